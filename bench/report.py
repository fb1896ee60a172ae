"""Run the benchmarks and write `bench/README.md`: machine, versions, figures beside their goals.

``python bench/report.py`` runs all of them, ``python bench/report.py mutagenesis training`` some;
the others keep what they had. What was measured stands in `bench/results.json`, with the date and
the machine of each run.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BENCH = Path(__file__).resolve().parent
RESULTS, README = BENCH / "results.json", BENCH / "README.md"
PACKAGES = ("torch", "numpy", "tangermeme", "torch-fftconv", "bpnet-lite", "dask", "zarr")
TEXT = """\
# Speed on record

Made by `make bench` (`bench/report.py`). Each script here times ways of doing one thing in turn, in
one run, and compares their numbers before their times; the first lines of a script say what it
does. A figure of this page is a ratio of medians. Times themselves are those of one machine, and
other work on it makes them longer: repeat a run in which minimum and median differ much.

## Goals

"A / ours" says how many times longer A takes.

| figure | goal | measured | reached | run |
|---|---|---|---|---|
"""


def machine() -> dict[str, str]:
    """Say what the figures are measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "packages": ", ".join(versions),
    }


def run(name: str) -> dict:
    """Run one script; return its output, its goals and how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        goals = Path(folder) / "goals"
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(BENCH / f"{name}.py")],
            env=os.environ | {"BENCH_GOALS": str(goals)},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found = (
            [json.loads(line) for line in goals.read_text().splitlines()] if goals.exists() else []
        )
    print(done.stdout)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(time.perf_counter() - start),
        "machine": machine(),
        "goals": found,
        "output": done.stdout,
    }


def page(results: dict[str, dict]) -> str:
    """Write the page."""
    rows, parts = [], []
    for name, result in sorted(results.items()):
        for what, found, wanted, at_most in result["goals"]:
            said = "yes" if (found <= wanted if at_most else found >= wanted) else "no"
            limit = f"{'at most' if at_most else 'at least'} {wanted:g}"
            rows.append(f"| {what} | {limit} | {found:g} | {said} | `{name}`, {result['date']} |")
        about = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
        parts.append(
            f"## {name}\n\n{result['date']}, {result['seconds']} s; {about}.\n\n"
            f"```text\n{result['output'].strip()}\n```"
        )
    return TEXT + "\n".join([*rows, ""]) + "\n" + "\n\n".join(parts) + "\n"


def main() -> None:
    """Run what is named, or everything, and write the page after each."""
    names = sorted(path.stem for path in BENCH.glob("[!_]*.py") if path.stem != "report")
    for wanted in sys.argv[1:]:
        if wanted not in names:
            sys.exit(f"There is no benchmark {wanted!r}; wanted some of {', '.join(names)}.")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in sys.argv[1:] or names:
        print(f"== {name}", flush=True)
        results[name] = run(name)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        README.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
