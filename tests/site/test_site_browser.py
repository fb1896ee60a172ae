"""The built site in a browser: headless Chromium, this machine's own server, no other host.

Without Chromium these tests are skipped, but under CI they fail.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.image import imread
from playwright.sync_api import Locator, Page, TimeoutError

from tests.site.conftest import PHONE, WIDE, Visit, serious, tree

ROOT = Path(__file__).resolve().parents[2]

# Backgrounds that are lighter than a dark page can have, outside what the style sheet inverts.
LIGHT_BACKGROUNDS = """() => [...document.querySelectorAll("body, body *")].filter(e => {
  const c = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number);
  const box = e.getBoundingClientRect();
  const light = 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] > 130;
  return light && (c[3] ?? 1) > 0.3 && box.width * box.height > 900 && box.bottom > 0
    && e.checkVisibility() && getComputedStyle(e).filter === "none";
}).map(e => e.outerHTML.slice(0, 120))"""

# What reaches over the window's right edge: the page itself, or parts without a box to scroll in;
# with all that a reader can unfold unfolded.
OVERFLOW = """() => {
  const folded = [...document.querySelectorAll("main details:not([open])")];
  for (const box of folded) box.open = true;
  const ARTICLE = "main article *, main#quarto-document-content *";
  const scrolls = e => e !== document.body && e !== document.documentElement
    && ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
  const boxed = e => e && (scrolls(e) || boxed(e.parentElement));
  const found = [document.documentElement, ...document.querySelectorAll(ARTICLE)].filter(e =>
    (e === document.documentElement ? e.scrollWidth : e.getBoundingClientRect().right)
      > innerWidth + 1 && e.checkVisibility() && !boxed(e.parentElement)
  ).map(e => e.outerHTML.slice(0, 120));
  for (const box of folded) box.open = false;
  return found;
}"""

# Pictures that are mostly light: after the style sheet's filter, on the page's background, their
# median pixel is. Drawn small, off the page; a screenshot of each takes ten times as long.
LIGHT_PICTURES = """async () => {
  const faults = [], paper = getComputedStyle(document.body).backgroundColor;
  const sheet = new OffscreenCanvas(96, 96).getContext("2d", { willReadFrequently: true });
  for (const picture of document.querySelectorAll("main img")) {
    picture.loading = "eager";
    await picture.decode();
    sheet.filter = "none";
    sheet.fillStyle = paper;
    sheet.fillRect(0, 0, 96, 96);
    sheet.filter = getComputedStyle(picture).filter;
    sheet.drawImage(picture, 0, 0, 96, 96);
    const { data } = sheet.getImageData(0, 0, 96, 96), light = [];
    for (let i = 0; i < data.length; i += 4) {
      light.push((0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2]) / 255);
    }
    const median = light.sort((a, b) => a - b)[light.length / 2];
    if (median > 0.35) faults.push(picture.outerHTML.slice(0, 120));
  }
  return faults;
}"""

DARK = """() => {
  const c = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
  return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] < 77;
}"""

PREFERS_DARK = "matchMedia('(prefers-color-scheme: dark)').matches"

TOOLTIP = "() => document.querySelector('#vg-tooltip-element.visible')?.innerText.trim()"


def addresses(site: Path, pages: list[Path]) -> list[str]:
    """Return the pages' addresses below the site's, the search page too."""
    found = [page.relative_to(site).as_posix() for page in pages]
    return found + (["search.html"] if (site / "search.html").exists() else [])


def pixels(png: bytes) -> np.ndarray:
    """Return a screenshot as luminance, 0 black to 1 white."""
    return imread(BytesIO(png))[..., :3] @ np.array([0.2126, 0.7152, 0.0722])


def light_boxes(page: Page) -> list[str]:
    """Return the backgrounds, pictures and charts of a dark page that are light."""
    faults = page.evaluate(LIGHT_BACKGROUNDS) + page.evaluate(LIGHT_PICTURES)
    charts = page.locator("main .tss-vega")
    for i in range(charts.count()):
        charts.nth(i).scroll_into_view_if_needed()
        drawing = charts.nth(i).locator("canvas, svg").first
        drawing.wait_for(state="visible")
        if np.median(pixels(drawing.screenshot())) > 0.35:
            faults.append(f"chart {i}")
    return faults


# Colours and widths have nothing to do with one another: two looks hold both of each.
LOOKS = {
    "light-1280": {"color_scheme": "light", "viewport": WIDE},
    "dark-390": {"color_scheme": "dark", "viewport": PHONE},
}


@pytest.mark.parametrize("visit", LOOKS.values(), ids=LOOKS, indirect=True)
def test_pages_load_fit_and_are_accessible(visit: Visit, site: Path, pages: list[Path]) -> None:
    """No error, no request to another host, no overflow, nothing light on a dark page, no serious
    fault that axe-core finds.
    """
    faults, kinds = [], []
    for address in addresses(site, pages):
        visit.open(address)
        if visit.page.evaluate(PREFERS_DARK):
            faults += [f"{address}: light: {html}" for html in light_boxes(visit.page)]
        faults += [f"{address}: too wide: {html}" for html in visit.page.evaluate(OVERFLOW)]
        visit.page.locator("main[data-measured=yes]").wait_for()  # boxes that scroll can be reached
        for found in serious(visit.page, kinds=kinds):
            nodes = [node["html"][:150] for node in found["nodes"][:3]]
            faults.append(f"{address}: {found['id']}: {found['help']}: {nodes}")
    assert faults == []


@pytest.mark.parametrize("visit", [{"viewport": PHONE}], ids=["phone"], indirect=True)
def test_a_box_fades_until_its_end_is_seen(visit: Visit) -> None:
    """So that no column of a table is missed; the keyboard reaches the box and scrolls it."""
    visit.open("chapters/01-toy-cnn.html")
    box = visit.page.locator("main .tss-more:visible").first
    box.evaluate("box => { box.id = 'wide'; box.focus(); }")
    assert visit.page.evaluate("document.activeElement.id") == "wide"
    box = visit.page.locator("#wide")
    box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    visit.page.wait_for_function("() => !document.querySelector('#wide').matches('.tss-more')")
    box.evaluate("box => { box.scrollLeft = 0; }")
    visit.page.wait_for_function("() => document.querySelector('#wide').matches('.tss-more')")


@pytest.mark.parametrize(
    "visit", [{"color_scheme": scheme} for scheme in ("light", "dark")], indirect=True
)
def test_a_page_is_light_or_dark_before_its_scripts_run(visit: Visit) -> None:
    """Nothing flashes up in the other colours, and nothing is drawn twice."""
    visit.page.route("**/*.js*", lambda route: route.abort())
    visit.page.goto(visit.base + "index.html")
    scheme = visit.page.evaluate(PREFERS_DARK)
    quarto = visit.page.locator("body.quarto-light, body.quarto-dark").count()
    assert quarto or visit.page.evaluate(DARK) == scheme
    visit.errors.clear()


def test_the_switch_turns_the_page_dark(visit: Visit) -> None:
    """The button in the page's head changes the colour of the page."""
    visit.open("index.html")
    before = np.median(pixels(visit.page.screenshot()))
    visit.page.locator(".theme-switch-button, .quarto-color-scheme-toggle").first.click()
    menu = visit.page.locator(".theme-change-button[data-mode=dark]")  # Quarto has no menu
    if menu.count():
        menu.click()
    visit.page.mouse.move(640, 880)
    visit.page.wait_for_function(DARK)
    assert before > 0.9
    assert np.median(pixels(visit.page.screenshot())) < 0.3


def test_charts_draw_and_show_a_tooltip(visit: Visit, site: Path, pages: list[Path]) -> None:
    """Every stored chart becomes a live one, and the pointer over a mark shows its values."""
    charts = 0
    for address in addresses(site, pages):
        if "tss-vega" not in (site / address).read_text(encoding="utf-8"):
            continue
        visit.open(address)
        boxes = visit.page.locator(".tss-vega")
        for i in range(boxes.count()):
            boxes.nth(i).scroll_into_view_if_needed()
            drawing = boxes.nth(i).locator("canvas, svg").first
            drawing.wait_for(state="visible")
            assert hover_shows_tooltip(visit.page, drawing), f"{address}: chart {i}"
            charts += 1
    assert charts > 0


def test_a_chart_loads_its_library_when_the_reader_comes_near(visit: Visit) -> None:
    """Until then the stored picture stands there."""
    loaded: list[str] = []
    visit.page.on("request", lambda request: loaded.append(request.url))
    visit.open("chapters/01-toy-cnn.html")
    visit.page.wait_for_load_state("networkidle")
    chart = visit.page.locator(".tss-vega").first
    assert chart.locator("img").count() == 1
    assert not [url for url in loaded if "vega" in url]
    chart.scroll_into_view_if_needed()
    chart.locator("canvas, svg").first.wait_for(state="visible")
    assert len([url for url in loaded if "vega" in url]) == 1


def hover_shows_tooltip(page: Page, drawing: Locator) -> bool:
    """Move the pointer over up to 60 coloured places of a chart until a tooltip shows."""
    box = drawing.bounding_box()
    colours = imread(BytesIO(drawing.screenshot()))[..., :3]
    rows, columns = np.nonzero(np.ptp(colours, axis=2) > 0.15)
    for k in np.linspace(0, len(rows) - 1, 60).astype(int) if len(rows) else []:
        page.mouse.move(box["x"] + int(columns[k]), box["y"] + int(rows[k]))
        try:
            page.wait_for_function(TOOLTIP, timeout=300)
        except TimeoutError:
            continue  # an axis, or the edge of a mark
        return True
    return False


def test_math_is_typeset(pages: list[Path]) -> None:
    """Formulas are MathML, which browsers draw; no TeX is left to read, nor a script for it."""
    drawn = 0
    for path in pages:
        page = tree(path)
        formulas = [formula.get_text() for formula in page.select("main math")]
        drawn += len(formulas)
        assert not [text for text in formulas if "\\" in text or "$" in text]
        assert not page.select("main .math, script[src*=mathjax]")
    assert drawn > 0


SOUGHT = {
    "one-hot": ("Chapter 1", "01-toy-cnn"),
    "read_peaks": ("read_peaks", "api/data"),
    "receptive field": ("receptive field", "glossary"),
}


@pytest.mark.parametrize("words", SOUGHT)
def test_search_finds_topics_and_names(visit: Visit, site: Path, words: str) -> None:
    """Topics lead to chapters, names to the reference, words to the glossary."""
    if (site / "search.html").exists():  # Sphinx
        visit.open(f"search.html?q={words}")
    else:  # Quarto
        visit.open("index.html")
        visit.page.locator("#quarto-search input").fill(words)
    text, address = SOUGHT[words]
    hits = visit.page.locator("#search-results a, .aa-List a").filter(has_text=text)
    hits.first.wait_for(state="visible")
    assert address in hits.first.get_attribute("href")


def test_code_that_was_planted_in_a_page_does_not_run(visit: Visit) -> None:
    """The browser says why."""
    visit.open("index.html")
    plant = """() => {
      const script = document.createElement("script");
      script.textContent = "window.planted = 1";
      document.head.append(script);
    }"""
    visit.page.evaluate(plant)
    assert visit.page.evaluate("window.planted") is None
    assert len(visit.errors) == 1
    assert "Content Security Policy" in visit.errors.pop()


def test_callouts_are_marked_by_their_lead_word(visit: Visit) -> None:
    """The boxes that the preface explains get the class of their kind, and a colour."""
    visit.open("index.html")
    for kind in ["Predict", "Exercise"]:
        quote = visit.page.locator("blockquote").filter(has_text=f"{kind}.").first
        assert f"tss-{kind.lower()}" in quote.get_attribute("class").split()
    colours = visit.page.locator(".tss-callout").evaluate_all(
        "boxes => boxes.map(b => getComputedStyle(b).borderLeftColor)"
    )
    assert len(set(colours)) == 2


def test_every_lead_word_makes_a_callout_and_others_do_not(visit: Visit, site: Path) -> None:
    """The script alone, on a page of its own."""
    script = next(path for path in site.rglob("book.js")).relative_to(site).as_posix()
    leads = ["Exercise 1.", "Note.", "Predict", "Warning:", "Solution 2", "You will learn"]
    others = ["Notebook.", "A note.", ""]
    quotes = [
        f"<blockquote><p><strong>{lead}</strong> x</p></blockquote>" for lead in leads + others
    ]
    quotes.append("<blockquote><p>see <strong>Note.</strong></p></blockquote>")
    visit.open("index.html")
    visit.page.set_content(f"<main>{''.join(quotes)}</main>")
    visit.page.add_script_tag(url=visit.base + script)
    classes = visit.page.locator("blockquote").evaluate_all("q => q.map(e => e.className)")
    kinds = ["exercise", "note", "predict", "warning", "solution", "learn"]
    assert classes == [f"tss-callout tss-{kind}" for kind in kinds] + [""] * 4


def test_the_header_for_quarto_finds_vega_and_the_script(visit: Visit) -> None:
    """The lines that `_quarto.yml` adds to each page, on a page as Quarto lays it out."""
    config = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    header = config["format"]["html"]["include-in-header"][0]["text"]
    offset = '<meta name="quarto:offset" content="../">'
    early = "<script>window.early = window.TSS_VEGA;</script>"
    body = f"<main>{early}<blockquote><p><strong>Note.</strong></p></blockquote></main>"
    html = f"<!doctype html><head>{header}{offset}<link rel=icon href=data:,></head>{body}"
    visit.page.route(
        "**/q/chapters/x.html", lambda r: r.fulfill(body=html, content_type="text/html")
    )
    visit.page.route("**/q/site/book.js", lambda r: r.fulfill(path=ROOT / "site" / "book.js"))
    visit.open("q/chapters/x.html")
    visit.page.locator(".tss-note").wait_for(state="visible")
    assert visit.page.evaluate("window.early") == visit.base + "q/site/vega.js"
