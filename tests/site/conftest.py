"""The built site, once per session; a browser for it; scripts of the repository as modules."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from filelock import FileLock
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host answers
]  # fmt: skip
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def load(path: str) -> ModuleType:
    """Import a script of the repository by its path."""
    name = "tested_" + Path(path).stem
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str((ROOT / path).parent))  # its neighbours
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """The function that imports a script of the repository by its path."""
    return load


@pytest.fixture(scope="session")
def book() -> dict:
    """The ``book`` section of `_quarto.yml`."""
    return load("site/adapt.py").read_book(ROOT)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site: the folder that TSSBOOK_SITE names, or one built now with Sphinx."""
    if os.environ.get("TSSBOOK_SITE"):
        return Path(os.environ["TSSBOOK_SITE"]).resolve()
    out = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        out = out.parent  # which all workers share: the first that comes here builds the site
    out = out / "built" / "site"
    out.parent.mkdir(exist_ok=True)
    with FileLock(out.parent / "lock"):
        if not out.exists():
            load("site/build.py").build(ROOT, out, "sphinx")
    return out


@pytest.fixture(scope="session")
def pages(site: Path, book: dict) -> list[Path]:
    """The HTML page of every chapter, the preface first."""
    return [site / Path(page).with_suffix(".html") for page in load("site/adapt.py").pages(book)]


@cache
def tree(page: Path) -> BeautifulSoup:
    """Return a page of the site, parsed once: tests read it and leave it as it is."""
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


# The page of lost links has no script.
SEEN = """() => !document.querySelector("script[src*='book.js']")
  || document.querySelector("main").dataset.measured === "yes" """


@dataclass
class Visit:
    """An open page and what went wrong on it."""

    page: Page
    base: str
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def open(self, address: str) -> None:
        """Open a page of the site and wait until the book's script has seen all of it."""
        self.page.goto(self.base + address, wait_until="load")
        self.page.wait_for_function(SEEN)

    def live(self, name: str, given: Any) -> Locator:
        """Open a page that holds one live figure and nothing else; return its place."""
        page = {"body": live_html(name, given), "content_type": "text/html"}
        self.page.route("**/live-figure.html", lambda route: route.fulfill(**page))
        self.page.goto(self.base + "live-figure.html")
        self.page.locator(".tss-live-on, .tss-live [role=alert]").first.wait_for(state="attached")
        return self.page.locator(".tss-live")


def live_html(name: str, given: Any) -> str:
    """Return a page with one live figure, under the policy that the site's pages have."""
    rules = load("site/policy.py").policy(set())
    data = html.escape(json.dumps(given))
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live</title>
        <meta http-equiv="Content-Security-Policy" content="{rules}">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <link rel="icon" href="data:,"><link rel="stylesheet" href="_static/book.css"></head>
        <body><main><h1>Live</h1><div class="tss-live" data-live="{name}" data-given="{data}">
        <img src="data:," alt="A picture."></div></main><script src="_static/book.js"></script>
        </body></html>"""


# "preload" would fetch the style sheets a second time, some by a wrong address.
AXE = {"resultTypes": ["violations"], "preload": False}
CONTRAST = AXE | {"runOnly": ["color-contrast"]}
OTHERS = AXE | {"rules": {"color-contrast": {"enabled": False}}}

# axe measures contrast at every piece of text, which takes minutes. Text of the same colour, size
# and weight on the same backgrounds has the same: one piece of each kind is marked for it. Then
# code, thousands of coloured pieces, becomes plain text, which all other rules read alike.
MARK_KINDS_OF_TEXT = """([part, known]) => {
  const seen = new Set(known), none = ["rgba(0, 0, 0, 0)", "none", "1"];
  for (const e of document.querySelectorAll(part + " *")) {
    const own = [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
    if (!own || !e.checkVisibility()) continue;
    const { color, fontSize, fontWeight } = getComputedStyle(e);
    const looks = [color, fontSize, fontWeight];
    for (let box = e; box; box = box.parentElement) {
      const { backgroundColor, backgroundImage, opacity, filter } = getComputedStyle(box);
      looks.push(...[backgroundColor, backgroundImage, opacity, filter].filter(
        look => !none.includes(look)));
    }
    const kind = looks.join();
    if (!seen.has(kind)) e.dataset.kindOfText = kind;
    seen.add(kind);
  }
  return [...seen];
}"""
PLAIN_CODE = """() => {
  document.querySelectorAll("pre").forEach(code => { code.textContent = code.textContent; });
}"""


def serious(page: Page, part: str | None = None, kinds: list[str] | None = None) -> list[dict]:
    """Return the serious and critical faults that axe-core finds on a page, or in a part of it.

    Every rule; contrast at one of each kind of text, but for the kinds that a list holds, to which
    those of this page are added. Code is plain afterwards.
    """
    known = [] if kinds is None else kinds
    seen = page.evaluate(MARK_KINDS_OF_TEXT, [part or "body", known])
    found = []
    if len(seen) > len(known):
        found += Axe().run(page, "[data-kind-of-text]", options=CONTRAST).response["violations"]
    known[:] = seen
    page.evaluate(PLAIN_CODE)
    found += Axe().run(page, part, options=OTHERS).response["violations"]
    return [fault for fault in found if fault["impact"] in ("serious", "critical")]


def chromium() -> str | None:
    """Return the path of the system's Chromium or Chrome."""
    named = os.environ.get("CHROMIUM")
    found = [named] if named else [shutil.which(name) for name in BROWSERS]
    return next((path for path in found if path), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser."""
    path = chromium()
    if path is None:
        reason = "No Chromium on the PATH: install it (apt install chromium) or set CHROMIUM."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def base(site: Path, script: Callable[[str], ModuleType]) -> Iterator[str]:
    """The address of the site on a server of this machine."""
    server = script("site/serve.py").server(site, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def visit(browser: Browser, base: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A page in the colour scheme and size that the test asks for; other hosts do not answer."""
    options = {"color_scheme": "light", "viewport": WIDE} | getattr(request, "param", {})
    context = browser.new_context(reduced_motion="reduce", **options)
    visit = Visit(context.new_page(), base)

    def note(request: Request) -> None:
        if not request.url.startswith((base, "data:", "blob:")):
            visit.outside.append(request.url)

    context.on("request", note)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            visit.errors.append(f"{message.text} {message.location.get('url')}")

    visit.page.on("console", listen)
    yield visit
    context.close()
    assert visit.outside == []
    assert visit.errors == []
