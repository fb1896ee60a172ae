"""Chapter 2's promoter that the reader touches: what the page says is what the library says."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Locator, expect

from tests.site.conftest import PHONE, ROOT, WIDE, Visit, serious
from tests.site.test_live_networks import random_edits, sequences
from tools.notebooks import read
from tssbook import simulator
from tssbook.models import PromoterNet
from tssbook.sequence import codes, one_hot
from tssbook.training import predict

NOTEBOOK = ROOT / "chapters" / "02-promoter-expression.ipynb"
NEAR = (1900, 2750)  # where the simulator's formula sees the start site, at 2325
SMALL = """all => all.map(e => e.getBoundingClientRect())
  .filter(r => Math.min(r.width, r.height) < 24).length"""
BARE = """async given => {
  const box = document.createElement("div");
  box.className = "tss-live-box";
  document.querySelector("main").prepend(box);
  await tssLive.figures.touch(box, given);
}"""


def given() -> dict:
    """What the notebook gives to the live figure."""
    cell = next(cell for cell in read(NOTEBOOK).cells if cell.id == "touch")
    place = BeautifulSoup(cell.outputs[0].data["text/html"], "html.parser").div
    return json.loads(place["data-given"])


def said(sequence: str, after: str) -> dict[str, float]:
    """Network and truth of a promoter, by the library."""
    # The simulator looks for the start site in the middle; what is far from it does not matter.
    middle = sequence[-len(after) :] + after
    return {
        "network": predict(PromoterNet.from_pretrained("promoter"), one_hot([sequence])).item(),
        "truth": float(simulator.log_rate(codes([middle]))[0]),
    }


def in_chapter(visit: Visit) -> Locator:
    """Open the chapter, come near the figure, and return it."""
    visit.open("chapters/02-promoter-expression.html")
    place = visit.page.locator(".tss-live[data-live=touch]")
    place.scroll_into_view_if_needed()
    box = place.locator(".tss-live-box")
    box.wait_for()
    return box


@pytest.fixture
def box(visit: Visit) -> Locator:
    """The figure of the chapter, alone on a short page."""
    visit.open("404.html")
    visit.page.add_script_tag(url=visit.base + "_static/live.js")
    visit.page.add_style_tag(url=visit.base + "_static/live.css")
    visit.page.evaluate(BARE, given())
    return visit.page.locator(".tss-live-box")


def table(box: Locator) -> dict[str, list[float]]:
    """The numbers of the table: now, at first, change."""
    rows = {}
    for row in box.locator("tbody tr").all():
        texts = row.locator("td:not([aria-hidden])").all_inner_texts()
        rows[row.locator("th").inner_text()] = [float(t.replace("−", "-")) for t in texts]
    return rows


def square(box: Locator, base: str, column: int) -> Locator:
    """A square of the network's map."""
    return box.locator(f"[role=gridcell][data-base='{'ACGT'.index(base)}']").nth(column)


def status(box: Locator) -> Locator:
    """Where the figure says what happened."""
    return box.locator("[role=status]")


def test_the_formula_in_the_page_is_the_simulators(visit: Visit) -> None:
    """After chains of edits near the start site, of 20 loci, to the last bit but rounding of log2;
    and all mutants of a position.
    """
    visit.open("404.html")
    visit.page.add_script_tag(url=visit.base + "_static/live.js")
    given, changed = [], []
    for i, sequence in enumerate(sequences()):
        low, high = NEAR
        edits = [(low + start % (high - low), word) for start, word in random_edits(4650, i)]
        letters = list(sequence)
        for start, word in edits[:60]:
            letters[start : start + len(word)] = word
        given.append([sequence, edits[:60]])
        changed.append("".join(letters))
    found = visit.page.evaluate(
        """given => given.map(([sequence, edits]) => {
          const truth = new tssLive.Formula();
          truth.set(tssLive.encode(sequence), 2325);
          for (const [start, word] of edits) truth.edit(start, tssLive.encode(word));
          return [truth.value, ...truth.mutants(2260), truth.value];
        })""",
        given,
    )
    found = np.array(found)
    np.testing.assert_allclose(found[:, 0], simulator.log_rate(codes(changed)), atol=1e-9)
    assert np.array_equal(found[:, 0], found[:, -1])
    for base in range(4):
        mutants = codes(changed)
        mutants[:, 2260] = base
        np.testing.assert_allclose(found[:, 1 + base], simulator.log_rate(mutants), atol=1e-9)


def test_a_touched_square_is_the_librarys_mutation_and_can_be_taken_back(visit: Visit) -> None:
    """In the chapter, twice in a motif: the table before and after; then undo and reset."""
    box, promoter = in_chapter(visit), given()["promoters"][0]
    sequence, start = promoter["sequence"], 2000 + promoter["window"]
    first = said(sequence, promoter["after"])
    assert {who: row[0] for who, row in table(box).items()} == pytest.approx(first, abs=0.006)
    for column, base in ((8, "T"), (9, "A")):
        assert sequence[start + column] != base
        square(box, base, column).click()
        expect(status(box)).to_contain_text(f"became {base} at")
        sequence = sequence[: start + column] + base + sequence[start + column + 1 :]
        now = said(sequence, promoter["after"])
        for who, (shown, at_first, change) in table(box).items():
            assert shown == pytest.approx(now[who], abs=0.006)
            assert at_first == pytest.approx(first[who], abs=0.006)
            assert change == pytest.approx(now[who] - first[who], abs=0.011)
    assert now["network"] < first["network"] - 2
    assert box.locator(".tss-touch-new").count() == 2
    box.get_by_role("button", name="Undo").click()
    assert box.locator(".tss-touch-new").count() == 1
    box.get_by_role("button", name="Reset").click()
    assert table(box)["network"][2] == 0
    expect(box.get_by_role("button", name="Undo")).to_be_disabled()


def test_maps_say_what_the_table_says_after_a_touch(box: Locator) -> None:
    """Each map's number is the change that making the mutation brings, also after an edit."""
    for column, base in ((10, "C"), (7, "T"), (12, "C")):
        cell = square(box, base, column)
        expect(cell).to_have_attribute("aria-label", re.compile(r"network [+−]\d.[0-9]*[1-9]"))
        box.page.wait_for_timeout(800)  # until an earlier edit has reached this square
        label = cell.get_attribute("aria-label").replace("−", "-").removesuffix(".")
        told = dict(re.findall(r"(network|truth) ([+-]\d+\.\d+)", label))
        before = table(box)
        cell.click()
        for who, row in table(box).items():
            assert row[0] - before[who][0] == pytest.approx(float(told[who]), abs=0.016)


def test_all_of_it_works_by_keyboard(box: Locator) -> None:
    """Tab to the map, arrows go and move the window at its edge, a letter writes, N does not."""
    page = box.page
    box.get_by_role("slider").focus()
    page.keyboard.press("Tab")
    focused = page.locator("[role=gridcell]:focus")
    assert focused.get_attribute("aria-label").startswith("−116:")
    page.keyboard.press("ArrowLeft")  # beyond the edge
    page.keyboard.press("ArrowDown")
    assert focused.get_attribute("aria-label").startswith("−117:")
    expect(status(box)).to_contain_text("−117:")
    assert focused.get_attribute("data-base") == "1"
    page.keyboard.press("n")
    assert box.locator(".tss-touch-new").count() == 0
    own = box.locator(".tss-touch-at").inner_text()
    other = "a" if own != "A" else "g"
    page.keyboard.press(other)
    expect(status(box)).to_contain_text(f"{own} became {other.upper()} at −117: network")
    assert focused.get_attribute("data-base") == str("acgt".index(other))
    assert box.locator("[role=gridcell][tabindex='0']").count() == 1


def test_a_word_is_written_or_refused_with_a_sentence(box: Locator) -> None:
    """NRF1, in lower case, into the weakest promoter; then what is no word."""
    promoter = given()["promoters"][2]
    box.get_by_label("Promoter").select_option(index=2)
    word = box.get_by_label("Word")
    word.fill("tgcgcatgcgca")
    box.get_by_role("button", name="Write from").click()
    start = 2000 + promoter["window"]
    changed = promoter["sequence"][:start] + "TGCGCATGCGCA" + promoter["sequence"][start + 12 :]
    now = said(changed, promoter["after"])
    assert {who: row[0] for who, row in table(box).items()} == pytest.approx(now, abs=0.006)
    assert "NRF1" in box.locator(".tss-touch-motifs").get_attribute("aria-label")
    alert = box.get_by_role("alert")
    for wrong, sentence in {
        "TATXA": "Letter 4 is “X”; only A, C, G and T are wanted.",
        "": "There is no sequence; type or paste letters A, C, G and T.",
        "A" * 41: "That is 41 bases; at most 40 bases are wanted.",
        "<img src=x>": "Letter 1 is “<”; only A, C, G and T are wanted.",
    }.items():
        word.fill(wrong)
        word.press("Enter")
        expect(alert).to_have_text(sentence)
    box.get_by_label("Where the maps begin").fill("1990")
    word.fill("A" * 40)
    square(box, "A", box.locator("[role=gridcell][data-base='0']").count() - 1).focus()
    word.press("Enter")
    expect(alert).to_have_text("That is 40 letters, and 1 position is left up to the start site.")


@pytest.mark.parametrize("visit", [{"viewport": PHONE, "has_touch": True}], indirect=True)
def test_motifs_outside_of_the_maps_are_one_tap_away(box: Locator) -> None:
    """From one end of the promoter to the other and back: each tap shows another motif."""
    onward, back = (box.get_by_role("button", name=name) for name in ("motif →", "← motif"))
    for first, second in ((back, onward), (onward, back)):
        places = []
        while first.is_enabled() and len(places) < 60:
            first.tap()
            names = box.locator(".tss-touch-motifs").get_attribute("aria-label")
            assert names.startswith("Motifs here: ")
            places.append(int(box.get_by_label("Where the maps begin").input_value()))
        assert len(places) > 1
        assert places == sorted(places, reverse=first is back)
        assert len(set(places)) == len(places) < 60
        expect(second).to_be_enabled()


@pytest.mark.parametrize("visit", [{"viewport": PHONE, "has_touch": True}], indirect=True)
def test_fingers_find_their_squares_on_a_phone(box: Locator) -> None:
    """Squares of 24 pixels, none outside of the box; a tap makes the mutation."""
    assert box.locator("[role=gridcell]").evaluate_all(SMALL) == 0
    assert box.evaluate("e => e.scrollWidth <= e.clientWidth")
    square(box, "A", 7).tap()
    expect(status(box)).to_contain_text("became A at −109")


@pytest.mark.parametrize(
    "visit",
    [{"viewport": WIDE}, {"viewport": PHONE, "color_scheme": "dark"}],
    indirect=True,
    ids=["light", "phone-dark"],
)
def test_axe_finds_nothing(visit: Visit) -> None:
    """In the figure, in both themes."""
    box = in_chapter(visit)
    box.page.wait_for_timeout(500)
    faults = serious(box.page, ".tss-live[data-live=touch]")
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in faults] == []
