"""Each test file of a notebook names it as ``NOTEBOOK`` and gets one run of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chapters.running import Run, read, run_notebook, tags, working_in


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest) -> Run:
    """The one run of the module's notebook, in default flags."""
    return run_notebook(request.module.NOTEBOOK)


@pytest.fixture(scope="module")
def chapter(run: Run) -> dict[str, Any]:
    """The variables of the chapter."""
    return run.variables


@pytest.fixture(scope="module")
def solutions(run: Run) -> dict[str, Any]:
    """The variables of the solutions."""
    return run.variables


@pytest.fixture
def without_files(
    request: pytest.FixtureRequest, run: Run, cache: Path, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Run the cells of real data again, where no file can be had; returns the variables."""

    def again(*first: str) -> dict[str, Any]:
        cells = [
            cell.id for cell in read(request.module.NOTEBOOK).cells if "real-data" in tags(cell)
        ]
        with working_in(tmp_path):
            return run.again(*first, *cells)

    return again
