"""ship_table: which cell sets the table, and that it is not shipped from itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tools import ship_table
from tools.notebooks import to_text


def stored(path: Path, *sources: str, files: tuple[str, ...] = ()) -> Path:
    nb = new_notebook(cells=[new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)])
    nb.metadata["tssbook"] = {"files": list(files)}
    path.write_text(to_text(nb))
    return path


def test_a_name_is_no_part_of_another(tmp_path: Path) -> None:
    path = stored(
        tmp_path / "09-x.ipynb",
        "scores = 1",
        "gene_scores = 2",
        "if True:\n    gene_scores = 3",
        "4",
    )
    assert ship_table.cell_after(path, "scores") == "c1"
    assert ship_table.cell_after(path, "gene_scores") == "c3"
    with pytest.raises(SystemExit, match="sets no ores"):
        ship_table.cell_after(path, "ores")


def test_without_the_data_nothing_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    name = "yeast/original/YPD_TSSset-1.txt"
    monkeypatch.setattr(ship_table, "TABLES", tmp_path / "tables")
    monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "09-x.ipynb"), "scores"])
    stored(tmp_path / "09-x.ipynb", "scores = 1", files=(name,))
    here = {"about": "x", "how": "made by hand", name: {}}
    monkeypatch.setattr("tssbook.data.download.catalogue", lambda: {name: here})
    with pytest.raises(SystemExit, match=f"would be made of itself: {name}"):
        ship_table.main()
    assert not (tmp_path / "tables").exists()
