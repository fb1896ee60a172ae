"""Chapter 1's training in the page: seconds until the CNN's loss is below 1, and times of frames.

In headless Chromium, on a page of its own, opened from disk. A frame's work is what its callback
does: at most 12 ms of learning, and in some of them a drawing. From one frame to the next there is
also the browser's own work: style, layout, painting.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from _timing import describe_machine, goal
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "site"))

import live  # noqa: E402

ROUNDS = 3
PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="live.css">
<main style="width: 44rem">{place}</main><script src="live.js"></script>"""
WATCH = """() => {
  const ask = requestAnimationFrame.bind(window), now = document.querySelector(".tss-train-now");
  Object.assign(window, {work: [], begun: [], below: null, start: performance.now()});
  window.requestAnimationFrame = frame => ask(time => {
    const before = performance.now();
    frame(time);
    work.push(performance.now() - before);
    begun.push(time);
    if (below === null && /CNN ([\\d.]+)/.exec(now.textContent)[1] < 1)
      below = (performance.now() - start) / 1000;
  });
}"""


def stored() -> str:
    """Return the page fragment of the live training, as the chapter's notebook holds it."""
    notebook = json.loads((ROOT / "chapters" / "01-toy-cnn.ipynb").read_text(encoding="utf-8"))
    shown = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    texts = ["".join(out.get("data", {}).get("text/html", "")) for out in shown]
    return next(text for text in texts if 'data-live="train"' in text)


def train(page: Page) -> tuple[float, list[float], list[float]]:
    """Train one round; return seconds to a loss below 1, and of each frame work and interval."""
    page.reload()
    page.get_by_role("button", name="Train").wait_for()
    page.evaluate(WATCH)
    page.get_by_role("button", name="Train").click()
    page.get_by_text("50 epochs are done").wait_for(timeout=120_000)
    below, work, begun = page.evaluate("[below, work, begun]")
    return below, work, np.diff(begun).tolist()


def main() -> None:
    """Train some rounds on a page of its own, opened from disk."""
    describe_machine()
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (Path(folder) / "live.js").write_text(live.bundle(live.SITE / "live"), encoding="utf-8")
        shutil.copy(live.SITE / "live.css", folder)
        page_file = Path(folder) / "page.html"
        page_file.write_text(PAGE.format(place=stored()), encoding="utf-8")
        path = next(filter(None, found))
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(page_file.as_uri())
        rounds = [train(page) for _ in range(ROUNDS)]
        browser.close()
    below = [seconds for seconds, _, _ in rounds]
    print(f"\nseconds to a validation MSE below 1: {', '.join(f'{s:.1f}' for s in below)}")
    for name, which in (("work in a frame", 1), ("from frame to frame", 2)):
        times = np.concatenate([parts[which] for parts in rounds])
        low, high = np.quantile(times, [0.5, 0.95])
        print(f"  {name:20s} median {low:5.1f} ms   p95 {high:5.1f} ms")
    goal("Chapter 1 trained in the page: seconds to MSE below 1", max(below), 20, at_most=True)


if __name__ == "__main__":
    main()
