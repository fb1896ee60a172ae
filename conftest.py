"""Before anything else is imported: the tests and their kernels run in one environment."""

from __future__ import annotations

from tools.notebooks import prepare_environment

prepare_environment()
