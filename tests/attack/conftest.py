from __future__ import annotations

import pytest

from tests.attack.attacks import SURVIVED, TRIED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many attacks there were of each kind."""
    if TRIED:
        terminalreporter.section("attacks")
        for kind, tried in TRIED.items():
            terminalreporter.write_line(f"{kind}: {SURVIVED[kind]} of {tried} did no harm")
        terminalreporter.write_line(f"all: {SURVIVED.total()} of {TRIED.total()}")
