"""What the commands say, and how they end.

Results go to stdout, as text or with ``--json`` as one JSON document; progress, warnings and
errors go to stderr. 0 is success, 1 an error, 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "Interrupted",
    "fail",
    "report",
    "require_new",
    "require_output",
    "shows_progress",
    "warn",
]


class Interrupted(Exception):
    """Ctrl-C during a command that has something to say about it."""


def report(result: Mapping[str, Any], as_json: bool) -> None:
    """Print a result: one line a field, or JSON."""
    if as_json:
        print(json.dumps(result, indent=1, default=str))  # noqa: T201
        return
    for name, value in result.items():
        rows = value if isinstance(value, list) else [value]
        if isinstance(value, Mapping):
            rows = [f"{part.replace('_', ' ')}: {_shown(v)}" for part, v in value.items()]
        rows = rows or ["none"]
        one = len(rows) == 1 and not isinstance(value, Mapping)
        lines = [_shown(row) for row in rows]
        print(f"{name.replace('_', ' ')}:", *(lines if one else ()))  # noqa: T201
        for line in () if one else lines:
            print(f"  {line}")  # noqa: T201


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and list(value) == ["value", "from", "to"]:
        return f"{_shown(value['value'])} (95 %: {_shown(value['from'])} to {_shown(value['to'])})"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    if isinstance(value, list):
        return " x ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def fail(sentence: object, code: int = 1) -> None:
    """End the process with a sentence on stderr."""
    print(f"Error: {' '.join(str(sentence).split())}", file=sys.stderr)  # noqa: T201
    sys.exit(code)


def warn(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning on one line of stderr; takes the place of ``warnings.showwarning``."""
    print(f"Warning: {' '.join(str(message).split())}", file=sys.stderr)  # noqa: T201


def shows_progress() -> bool:
    """Whether somebody is there to watch a progress bar."""
    return sys.stderr.isatty()


def require_output(path: Path, kinds: Sequence[str], *, force: bool) -> None:
    """Refuse an output of another kind, or one that exists, before any work is done.

    Parameters
    ----------
    path
        The output; of a ``.bw`` only the start of the names counts, see `require_new` for those.
    kinds
        Endings that there may be, such as ``.tsv``.
    force
        Replace what exists.

    Raises
    ------
    ValueError, ModuleNotFoundError, FileExistsError, FileNotFoundError
        The sentence names the path.
    """
    if path.suffix not in kinds:
        raise ValueError(f"--out is {path}; wanted a name that ends in {' or '.join(kinds)}.")
    if path.suffix == ".parquet":
        # Here, as it costs what --help need not wait for.
        from tssbook.data.writing import require_table_name

        require_table_name(path)
    if path.suffix == ".bw":
        _require_folder(path)
    else:
        require_new(path, force)


def require_new(path: Path, force: bool) -> None:
    """Refuse a file that exists, or whose folder does not.

    Raises
    ------
    FileExistsError, FileNotFoundError
        The sentence names the path.
    """
    if path.exists() and not force:
        raise FileExistsError(f"{path} is there already; choose another name, or say --force.")
    _require_folder(path)


def _require_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent}; wanted one to write into.")
