"""The networks in the page: time to a first prediction, and per edit, in headless Chromium.

A page that is opened from disk loads a network's weights, makes it and predicts a first sequence,
each time in a new page; then single bases of random sequences are changed, a word of ten is
written, a filter is taken out and put back, and mutagenesis goes over 100 positions. Each line of
JSON holds milliseconds.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from _timing import describe_machine, goal
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {
    "simplenet": ("SimpleNet", 4650),
    "simplenet-yeast": ("SimpleNet", 4650),
    "procapnet": ("ProCapNet", 2114),
    "procapnet-yeast-17": ("ProCapNet", 2114),
    "promoter": ("PromoterNet", 2000),
}
PAGES, EDITS = 5, 200
FIRST = """async ([name, kind, length]) => {
  globalThis.codes = size => Uint8Array.from({length: size}, () => Math.random() * 4);
  globalThis.timed = f => { const t = performance.now(); f(); return performance.now() - t; };
  const start = performance.now();
  globalThis.net = new tssLive[kind](await tssLive.loadWeights(name));
  net.set(codes(length));
  return performance.now() - start;
}"""
LATER = """([length, times]) => {
  const each = f => Array.from({length: times}, () => timed(f));
  const edit = size => net.edit(Math.floor(Math.random() * (length - size)), codes(size));
  const found = {base: each(() => edit(1)), word: each(() => edit(10))};
  if (net.knock) found.knock = Array.from({length: 40}, (_, i) =>
    timed(() => net.knock(i >> 1, i % 2 === 1)));
  if (net.scan) found["scan 100"] = [0, 1, 2, 3, 4].map(i =>
    timed(() => { for (const _ of net.scan(300 * i, 300 * i + 100)); }));
  return found;
}"""


def measure(browser: Browser, folder: Path, name: str) -> dict[str, list[float]]:
    """Return milliseconds of one network, by what was done."""
    kind, length = NETWORKS[name]
    first = []
    for _ in range(PAGES):
        page = browser.new_page()
        page.goto((folder / "index.html").as_uri())
        first.append(page.evaluate(FIRST, [name, kind, length]))
        later = page.evaluate(LATER, [length, EDITS]) if len(first) == PAGES else {}
        page.close()
    return {"first": first} | later


def main() -> None:
    """Print a line for each network and what was done, then the goals."""
    describe_machine()
    sys.path.append(str(ROOT))
    from tests.site.conftest import ARGUMENTS, chromium, load

    worst = {"first": 0.0, "edit": 0.0}
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        folder = Path(made)
        load("site/live.py").write(folder)
        page = '<!doctype html><html lang="en"><title>live</title><script src="live.js"></script>'
        (folder / "index.html").write_text(page)
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        print(f"Chromium {browser.version}")
        for name in NETWORKS:
            for what, times in measure(browser, folder, name).items():
                median = statistics.median(times)
                p95 = sorted(times)[int(0.95 * len(times))]
                line = {"network": name, "what": what, "n": len(times)}
                print(json.dumps(line | {"median": round(median, 1), "p95": round(p95, 1)}))
                if what in ("first", "base", "word"):
                    kind = "first" if what == "first" else "edit"
                    worst[kind] = max(worst[kind], p95)
        sizes = {f.stem: f.stat().st_size for f in folder.glob("*.js")}
        print(json.dumps({"bytes": sizes, "in all": sum(sizes.values())}))
        browser.close()
    goal("live networks: first prediction, ms, the slowest", worst["first"], 3000, at_most=True)
    goal("live networks: one edit, ms, 95 % of the slowest", worst["edit"], 100, at_most=True)


if __name__ == "__main__":
    main()
