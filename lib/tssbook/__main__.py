"""``python -m tssbook`` and the command ``tssbook``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, which needs the extra ``cli``."""
    try:
        from tssbook.cli import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("typer", "yaml"):
            raise
        sys.exit(f'Error: the command needs the package {error.name}: pip install "tssbook[cli]"')
    run()


if __name__ == "__main__":
    main()
