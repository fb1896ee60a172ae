"""Write data/README.md from lib/tssbook/shipped/files.toml.

Run it after a change of that file: ``python tools/data_readme.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tssbook.data.download import catalogue, size

README = Path(__file__).resolve().parent.parent / "data" / "README.md"

TEXT = """\
# Data

What a reader downloads lands in this folder, as long as the book runs from a checkout; git ignores
everything here but this page, which `python tools/data_readme.py` makes from
`lib/tssbook/shipped/files.toml`. There are three levels:

| level | what | how to get it |
|---|---|---|
| demo | simulated loci with known truth, small trained networks | comes with the package |
| sample | real files of a few megabytes | `fetch`, or a mirror folder |
| full | whole genomes, tracks, published networks | `fetch`, when a chapter's flag asks for it |

All chapters run on the demo level; their sections on real data want the sample level and go on
without it.

## Getting a file

```python
from tssbook.data import fetch

path = fetch("puffin.pth", progress=True)
```

`fetch` looks in the data folder, then in the mirror folder, and then downloads into the data
folder; an interrupted download goes on where it stopped. The size and the sha256 below are
compared each time. The data folder is the one that the variable `TSSBOOK_CACHE` names; else this
one in a checkout; else the system's place for caches. A file without an address has to be put into
the data folder or the mirror folder by hand.

## One folder for a whole class

Put the files into a folder that all can read, under the names below, and set the variable
`TSSBOOK_MIRROR` to it, for example in the shell that starts Jupyter:

```bash
export TSSBOOK_MIRROR=/path/to/shared/folder
```

Its files are used where they lie; nothing is copied, and no network is needed.
"""


def page() -> str:
    """Return the whole page."""
    parts = [TEXT]
    for level in ("sample", "full"):
        rows = [_row(name, entry) for name, entry in catalogue().items() if entry["level"] == level]
        parts.append(
            f"\n## Files of the level *{level}*\n\n"
            "| file | content | size | licence | source | where to get it | sha256 |\n"
            "|---|---|---|---|---|---|---|\n" + "".join(rows)
        )
    return "".join(parts)


def _row(name: str, entry: Mapping[str, Any]) -> str:
    addresses = [entry["url"], *entry.get("mirrors", ())] if "url" in entry else []
    links = ", or ".join(f"<{address}>" for address in addresses)
    checksum = f"`{entry['sha256']}`" if "sha256" in entry else "not known"
    cells = (
        f"`{name}`", entry["content"], size(entry), entry["licence"], entry["source"],
        links or f"no address: {entry['how']}", checksum,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    README.parent.mkdir(exist_ok=True)
    README.write_text(page(), encoding="utf-8")
