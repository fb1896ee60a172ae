"""A chapter and its page on real DNA share a few cells: what one changes, the other changes too."""

from __future__ import annotations

import pytest

from tools.notebooks import ROOT, read

# Cells that have one name for what they do, and that each page writes for its own data.
OF_EACH_PAGE = {"setup", "imports", "flags", "answer", "recipe", "curve-table"}
SHARED = {
    "02-promoter-expression": {"ridge", "trained", "intervals"},
    "03-puffin": set(),
    "04-procapnet": {"start"},
}


def code(name: str) -> dict[str, str]:
    """The sources of a notebook's code cells by their names."""
    cells = read(ROOT / "chapters" / f"{name}.ipynb").cells
    return {cell.id: cell.source for cell in cells if cell.cell_type == "code"}


@pytest.mark.parametrize("name", SHARED)
def test_cells_of_one_name_are_the_same(name):
    chapter, real = code(name), code(f"{name[:2]}-real")
    both = (chapter.keys() & real.keys()) - OF_EACH_PAGE
    assert both == SHARED[name]
    assert {cell: real[cell] for cell in both} == {cell: chapter[cell] for cell in both}
