"""Chapter 1's filter that the reader slides, types and breaks."""

from __future__ import annotations

import json
import re
import time

import pytest
import torch
from bs4 import BeautifulSoup
from playwright.sync_api import Locator

from tests.site.conftest import PHONE, ROOT, WIDE, Visit, serious
from tools.notebooks import read
from tssbook.models import ToyCNN
from tssbook.pages.arithmetic import filter_sums
from tssbook.sequence import one_hot

NOTEBOOK = ROOT / "chapters" / "01-toy-cnn.ipynb"
TAT = 2 * one_hot("TAT").numpy() - 1


CORNERS = "all => all.map(e => [+e.getAttribute('y'), +e.getAttribute('x')])"
SMALL = """all => all.map(e => e.getBoundingClientRect())
  .filter(r => Math.min(r.width, r.height) < 24).length"""
TWO_RECORDS = "That FASTA holds 2 records; one is wanted. Paste the one that you mean."

# A live figure on a page without a chapter, which is there sooner.
BARE = """async ([name, given]) => {
  const [place, box] = [document.createElement("div"), document.createElement("div")];
  [place.className, box.className] = ["tss-live", "tss-live-box"];
  place.dataset.live = name;
  place.append(box);
  document.querySelector("main article, main").prepend(place);
  await tssLive.figures[name](box, given);
}"""


def in_chapter(visit: Visit, name: str) -> Locator:
    """Open the chapter and return one of its live figures."""
    visit.open("chapters/01-toy-cnn.html")
    return beside(visit, name)


def beside(visit: Visit, name: str) -> Locator:
    """Come near a live figure of the open page, and return it."""
    place = visit.page.locator(f".tss-live[data-live={name}]")
    place.scroll_into_view_if_needed()
    box = place.locator(".tss-live-box")
    box.wait_for()
    return box


def opened(visit: Visit, name: str) -> Locator:
    """Return a live figure of the chapter, alone on a short page."""
    visit.open("404.html")
    visit.page.add_script_tag(url=visit.base + "_static/live.js")
    visit.page.add_style_tag(url=visit.base + "_static/live.css")
    visit.page.evaluate(BARE, [name, given(name)])
    return visit.page.locator(".tss-live-box")


def given(name: str) -> dict:
    """What the notebook hands to a live figure."""
    for cell in read(NOTEBOOK).cells:
        for out in cell.get("outputs", []):
            found = BeautifulSoup(out.get("data", {}).get("text/html", ""), "html.parser")
            if place := found.find(attrs={"data-live": name}):
                return json.loads(place["data-given"])
    raise AssertionError(f"no live figure {name!r}")


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def rows(box: Locator) -> tuple[list[float], list[float]]:
    """The sums at all places and what the ReLU leaves of them, as they are drawn."""
    strip = box.locator(".tss-slide-strip").nth(1)
    texts = [number(text) for text in strip.locator("g text").all_text_contents()]
    # The cell of this place is drawn last: put the cells in the order of their places again.
    at = strip.locator("rect").evaluate_all(CORNERS)
    ordered = [text for _, text in sorted(zip(at, texts, strict=True))]
    return ordered[: len(texts) // 2], ordered[len(texts) // 2 :]


def fill(box: Locator, weights: list[float], bias: float) -> None:
    inputs = box.locator(".tss-slide-tables input")
    for i, weight in enumerate(weights):
        inputs.nth(i).fill(str(weight))
    box.get_by_role("spinbutton", name="bias").fill(str(bias))


def test_it_begins_as_the_stored_picture(visit: Visit) -> None:
    box = in_chapter(visit, "slide")
    sums, after = rows(box)
    assert sums == filter_sums("GCTATGCA", TAT).tolist() == [-1, -3, 3, -3, -1, -3]
    assert after == [0, 0, 3, 0, 0, 0]
    said = box.get_by_role("status").inner_text()
    assert said == "TAT at place 2: 1 + 1 + 1 = 3; after the ReLU 3."
    assert box.locator(".tss-slide-here text").all_text_contents() == ["3", "3"]


def test_keys_pointer_and_finger_move_the_filter(visit: Visit) -> None:
    box = opened(visit, "slide")
    said = box.get_by_role("status")
    box.get_by_role("slider").focus()
    visit.page.keyboard.press("ArrowRight")
    assert said.inner_text() == "ATG at place 3: −1 − 1 − 1 = −3; after the ReLU 0."
    assert box.get_by_role("slider").get_attribute("aria-valuetext") == "3, ATG"
    strip = box.locator(".tss-slide-strip").first
    cells = strip.locator("rect:not(.tss-slide-frame)")
    first, last = (cells.nth(i).bounding_box() for i in (0, 31))  # A of column 0, T of column 7
    visit.page.mouse.move(first["x"] + 60, first["y"] + 10)
    visit.page.mouse.down()
    assert said.inner_text().startswith("GCT at place 0")
    visit.page.mouse.move(last["x"] + 200, last["y"], steps=5)  # beyond the end
    visit.page.mouse.up()
    assert said.inner_text().startswith("GCA at place 5")
    visit.page.mouse.move(first["x"], first["y"])  # no longer pressed
    assert said.inner_text().startswith("GCA at place 5")


@pytest.mark.parametrize("visit", [{"viewport": PHONE, "has_touch": True}], indirect=True)
def test_a_finger_moves_it_and_twenty_letters_fit(visit: Visit) -> None:
    box = opened(visit, "slide")
    box.get_by_label("Sequence").fill("ACGT" * 5)
    cells = box.locator(".tss-slide-strip").first.locator("rect:not(.tss-slide-frame)")
    assert cells.count() == 80
    middle = cells.nth(4 * 10).bounding_box()  # of the filter, it goes to column 10
    visit.page.touchscreen.tap(middle["x"] + 3, middle["y"] + 3)
    assert box.get_by_role("status").inner_text().startswith("CGT at place 9")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert len(rows(box)[0]) == 18


@pytest.mark.parametrize("sequence", ["ACGTNACG", "TTTT", "acgu" * 5])
def test_sums_are_those_of_conv1d(visit: Visit, sequence: str) -> None:
    """Of any filter: the numbers of the page beside PyTorch's."""
    box = opened(visit, "slide")
    draw = torch.Generator().manual_seed(len(sequence))
    weights = torch.randn(4, 3, generator=draw).mul(3).round(decimals=2)
    fill(box, weights.flatten().tolist(), -0.25)
    box.get_by_label("Sequence").fill(sequence)
    x = one_hot([sequence.upper().replace("U", "T")])
    wanted = torch.nn.functional.conv1d(x, weights[None], torch.tensor([-0.25]))[0, 0]
    sums, after = rows(box)
    assert sums == pytest.approx(wanted.tolist(), abs=0.0051)
    assert after == pytest.approx(wanted.relu().tolist(), abs=0.0051)
    assert box.locator("select").input_value() == "your own"


def test_filters_to_choose_from(visit: Visit) -> None:
    """The one learned from data is number 28 of the shipped network; edge and zero by hand."""
    box = opened(visit, "slide")
    conv = ToyCNN.from_pretrained("toy-cnn").conv
    answers = conv(one_hot(["GCTATGCA"]))[0, 28]
    box.locator("select").select_option("learned from data")
    assert rows(box)[0] == pytest.approx(answers.tolist(), abs=0.03)  # weights have two decimals
    box.locator("select").select_option("from A or T to C or G")
    assert rows(box)[0] == [-2, -2, 0, 2, 2, -2]  # G.T, C.A, T.T, A.G, T.C, G.A
    box.locator("select").select_option("all zero")
    assert rows(box) == ([0] * 6, [0] * 6)


WRONG = {
    "ACX": "Letter 3 is “X”; only A, C, G, T and N are wanted.",
    "ACG": "That is 3 bases; at least 4 bases are wanted.",
    "A" * 21: "That is 21 bases; at most 20 bases are wanted.",
    " \n": "There is no sequence; type or paste letters A, C, G and T.",
    ">one\nACGTA\n>two\nACGTA": TWO_RECORDS,
    "A" * 1_000_000: "That is 1,000,000 characters; at most 20 bases are wanted.",
    "<img src=x onerror=alert(1)>": "Letter 1 is “<”; only A, C, G, T and N are wanted.",
}


def test_wrong_sequences_get_a_sentence_and_the_drawing_stays(visit: Visit) -> None:
    box = opened(visit, "slide")
    before = rows(box)
    for sequence, sentence in WRONG.items():
        start = time.perf_counter()
        box.get_by_label("Sequence").fill(sequence)
        assert box.get_by_role("alert").inner_text() == sentence
        assert time.perf_counter() - start < 5
        assert rows(box) == before
        assert box.get_by_label("Sequence").get_attribute("aria-invalid") == "true"
        assert box.locator(".tss-stale").count() == 3  # two strips and the sum: of before
    assert box.locator("img").count() == 0
    box.get_by_label("Sequence").fill(">one\nggctat")  # one record, lower case
    assert box.get_by_role("alert").inner_text() == ""
    assert box.locator(".tss-stale").count() == 0
    assert rows(box)[0] == filter_sums("GGCTAT", TAT).tolist()


@pytest.mark.parametrize("label", ["bias", "weight of C in column 2"])
def test_numbers_that_are_none_get_a_sentence(visit: Visit, label: str) -> None:
    box = opened(visit, "slide")
    before, field = rows(box), box.get_by_role("spinbutton", name=label)
    for text, said in [("", f"There is no {label}"), ("1000", f"The {label} is 1000")]:
        field.fill(text)
        wanted = f"{said}; a number from −100 to 100 is wanted."
        assert box.get_by_role("alert").inner_text() == wanted
        assert field.get_attribute("aria-invalid") == "true"
        assert rows(box) == before
    field.fill("0.5")
    assert box.get_by_role("alert").inner_text() == ""
    assert field.get_attribute("aria-invalid") is None


@pytest.mark.parametrize(
    "visit",
    [{"viewport": WIDE}, {"viewport": PHONE, "color_scheme": "dark"}],
    ids=["light-1280", "dark-390"],
    indirect=True,
)
def test_axe_finds_nothing_serious_and_all_fits(visit: Visit) -> None:
    """In the chapter, with both figures alive."""
    boxes = [in_chapter(visit, "slide"), beside(visit, "train")]
    width = visit.page.viewport_size["width"]
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    faults = serious(visit.page, ".tss-live")
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in faults] == []
    for box in boxes:
        assert box.locator("button, input, select, textarea").evaluate_all(SMALL) == 0


def test_what_the_notebook_gives_is_what_it_shows() -> None:
    shown = given("slide")
    assert (shown["sequence"], shown["place"]) == ("GCTATGCA", 2)
    assert len(shown["learned"]["weights"]) == 12
    losses = given("train")
    assert len(losses["linear"]) == len(losses["CNN"]) == 50
    assert all(re.fullmatch("[ACGT]{8}", word) for word in losses["words"])
