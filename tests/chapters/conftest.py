"""Each test file of a notebook names it as ``NOTEBOOK`` and gets one run of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chapters.running import Run, run_notebook


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
