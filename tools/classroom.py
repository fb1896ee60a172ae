"""Pack everything that a class without Internet needs into one folder.

``python tools/classroom.py FOLDER`` collects, where there is Internet, the library with all that
it depends on (wheels), the chapters without their solutions, and the real files that have an
address. In the class, ``sh start.sh`` in a copy of the folder installs from it and opens
JupyterLab. It can be called again: what is there is kept.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tssbook.data import MissingFile, fetch
from tssbook.data.download import catalogue

ROOT = Path(__file__).resolve().parent.parent
START = """\
#!/bin/sh
# Installs the book from this folder alone, once for each computer, and opens the chapters.
set -eu
cd "$(dirname "$0")"
export TSSBOOK_MIRROR="$PWD/data"
if [ ! -f venv/ready ]; then
    {python} -m venv venv
    venv/bin/python -m pip install --no-index --find-links wheels "tssbook[jupyter,cli]"
    touch venv/ready
fi
exec venv/bin/jupyter lab chapters/01-toy-cnn.ipynb
"""


def pack_files(data: Path) -> list[str]:
    """Put the files of the level *sample* into `data`; return what could not be had, and why."""
    missing = []
    for name in (name for name, entry in catalogue().items() if entry["level"] == "sample"):
        goal = data / name
        try:
            found = fetch(name)
        except MissingFile as error:
            missing.append(f"{name}: {str(error).splitlines()[0]}")
            continue
        if not goal.exists():
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, part := goal.with_name(goal.name + ".part"))
            part.replace(goal)
    return missing


def pack_chapters(folder: Path) -> None:
    """Copy the chapters, without the solutions, and write the script that starts the class."""
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        goal = folder / "chapters" / path.name
        goal.parent.mkdir(parents=True, exist_ok=True)
        if not goal.exists():  # it may have been worked in
            shutil.copyfile(path, goal)
    start = folder / "start.sh"
    start.write_text(START.format(python=f"python{sys.version_info[0]}.{sys.version_info[1]}"))
    start.chmod(0o755)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    pack_chapters(folder)
    missing = pack_files(folder / "data")
    wheels = [sys.executable, "-m", "pip", "wheel", "--wheel-dir", str(folder / "wheels")]
    subprocess.run([*wheels, f"{ROOT}[jupyter,cli]"], check=True)
    for line in missing:
        print(f"not packed: {line}")
    print(f"Copy {folder} to each computer and run `sh start.sh` in it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
