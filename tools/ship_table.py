"""Store a table that a chapter computes from real data, for readers who do not have these data.

``python tools/ship_table.py chapters/03-real.ipynb gene_scores`` runs the code cells of the
chapter in default flags up to the one that sets ``gene_scores``, a DataFrame, and writes it to
``lib/tssbook/shipped/tables/03-gene_scores.csv``. A table holds what our networks say of held-out
loci and how good that is, and nothing of the measured data themselves. Do that after a change of
the networks or of how they are judged, with the data at hand (``TSSBOOK_MIRROR``, or a download):
without them the chapter reads the shipped table, and the tool refuses to ship that again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.notebooks import missing_file, read, tags  # noqa: E402
from tools.ship_checkpoints import run_cells  # noqa: E402
from tssbook.files import write_whole  # noqa: E402

TABLES = ROOT / "lib" / "tssbook" / "shipped" / "tables"


def as_text(table: pd.DataFrame) -> str:
    """Return a table as it is shipped: four digits are enough for what it says."""
    return table.to_csv(index=False, float_format="%.4g")


def path_of(chapter: Path, name: str) -> Path:
    """Return where the table of a chapter is kept."""
    return TABLES / f"{chapter.name[:2]}-{name}.csv"


def cell_after(chapter: Path, name: str) -> str | None:
    """Return the id of the first code cell behind the one that sets ``name``."""
    cells = [c for c in read(chapter).cells if c.cell_type == "code" and "setup" not in tags(c)]
    sets = re.compile(rf"^\s*{re.escape(name)} = ", re.MULTILINE)
    places = [i for i, c in enumerate(cells) if sets.search(c.source)]
    if not places:
        raise SystemExit(f"{chapter} sets no {name}; wanted the name of one of its tables")
    return cells[places[-1] + 1].id if places[-1] + 1 < len(cells) else None


def main() -> None:
    """Run the chapter and store the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", type=Path)
    parser.add_argument("name", help="variable of the chapter that holds the table")
    arguments = parser.parse_args()
    if missing := missing_file(read(arguments.chapter)):
        raise SystemExit(f"the table would be made of itself: {missing}")
    with contextlib.redirect_stdout(io.StringIO()):
        until = cell_after(arguments.chapter, arguments.name)
        variables = run_cells(arguments.chapter, until=until)
    table, path = variables[arguments.name], path_of(arguments.chapter, arguments.name)
    TABLES.mkdir(exist_ok=True)
    write_whole({path: as_text(table).encode()})
    print(f"{path.relative_to(ROOT)}: {len(table):,} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
