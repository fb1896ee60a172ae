"""The playground: what it shows is what the library says, and what readers can do to it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from matplotlib.image import imread
from playwright.sync_api import Browser

from tests.site.conftest import AXE, PHONE, ROOT, Visit
from tools.notebooks import read
from tssbook.data import Fasta
from tssbook.exercises.chapter_4 import one_strand
from tssbook.models import ProCapNet, SimpleNet, procapnet, puffin
from tssbook.sequence import decode, one_hot, reverse_complement

PAGE = "chapters/playground.html"
NETWORKS = ("simplenet", "procapnet", "simplenet-yeast", "procapnet-yeast-17")
MIDDLE = 1057
NOTED = "text => document.querySelector('.tss-note').textContent.includes(text)"
ALARMED = "() => document.querySelector('.tss-playground > [role=alert]').textContent"
CHANGED = "before => document.querySelector('.tss-said').innerText !== before"
CURSOR = '[role="gridcell"][tabindex="0"]'


@cache
def given() -> dict:
    """What the notebook hands over to the figure."""
    nb = read(ROOT / "chapters" / "playground.ipynb")
    cell = next(cell for cell in nb.cells if cell.id == "playground")
    text = "".join(cell.outputs[0]["data"]["text/html"])
    return json.loads(html.unescape(re.search(r'data-given="([^"]*)"', text)[1]))


@cache
def network(name: str) -> SimpleNet | ProCapNet:
    return (SimpleNet if name.startswith("simple") else ProCapNet).from_pretrained(name)


def expected(name: str, letters: str) -> np.ndarray:
    """The library's reads of the 1,000 bases in the middle, (2, 1000)."""
    net, about = network(name), given()["networks"][name]
    if isinstance(net, SimpleNet):
        x = one_hot([letters[232:-232]]).float()
        with torch.no_grad():
            return net(x)[0, about["tracks"], puffin.MARGIN : -puffin.MARGIN].expm1().numpy()
    with torch.no_grad():
        return procapnet.to_reads(*net(one_hot([letters]).float()))[0].numpy()


def written(letters: str, position: int, word: str) -> str:
    """A sequence with a word put in."""
    at = MIDDLE + position
    return letters[:at] + word + letters[at + len(word) :]


def locus(name: str) -> str:
    """The first locus of a network."""
    world = given()["networks"][name]["world"]
    return next(key for key, one in given()["loci"].items() if one["world"] == world)


def begin(visit: Visit, asked: str = "") -> None:
    """Open the page and wait for the first prediction; a link leads to the figure by itself."""
    visit.open(PAGE + asked)
    if not asked:
        visit.page.locator(".tss-live").scroll_into_view_if_needed()
    visit.page.wait_for_selector(".tss-said:not(:empty)")


def said(visit: Visit) -> str:
    return visit.page.locator(".tss-said").inner_text()


def alarm(visit: Visit) -> str:
    return visit.page.locator(".tss-playground > [role=alert]").inner_text()


def fresh(visit: Visit, name: str, letters: str | None = None, **more: str) -> None:
    """Ask for a state by a link, without loading the page again."""
    key = "own" if letters else locus(name)
    fields = [
        name,
        key,
        more.get("edits", ""),
        more.get("off", ""),
        *([letters] if letters else []),
    ]
    before = said(visit)
    visit.page.evaluate("hash => { location.hash = hash; }", "#play~" + "~".join(fields))
    visit.page.wait_for_function(CHANGED, arg=before)


def table(visit: Visit) -> dict[str, np.ndarray]:
    """The table that the page saves."""
    with visit.page.expect_download() as waiting:
        visit.page.get_by_role("button", name="Table").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    names, *rows = [line.split("\t") for line in text.splitlines()]
    return dict(zip(names, np.array(rows).T, strict=True))


# --- what it says -------------------------------------------------------------------------------


def test_predictions_are_the_librarys(visit: Visit) -> None:
    """Of all four networks, before and after a word is put in, to a thousandth of the highest."""
    begin(visit)
    for name in NETWORKS:
        key = locus(name)
        letters = written(given()["loci"][key]["letters"], -60, "GCGCGCATAT")
        fresh(visit, name, edits="-60GCGCGCATAT")
        found = table(visit)
        assert "".join(found["base"]) == letters[MIDDLE - 500 : MIDDLE + 500]
        shown = np.array([found[f"predicted_{s}"] for s in ("plus", "minus")], float)
        right = expected(name, letters)
        np.testing.assert_allclose(shown, right, atol=5e-3 * right.max())
        kind = given()["worlds"][given()["networks"][name]["world"]]["kind"]
        pairs = given()["loci"][key]["tracks"][0]
        at, value = pairs[0] + 500, pairs[1]
        assert float(found[f"{kind}_plus"][at]) == pytest.approx(value, rel=1e-4)


def test_own_sequences_are_read_as_they_are(visit: Visit) -> None:
    """Short ones get N on both sides, in the middle; the page says so."""
    begin(visit)
    word = "ACGTTGCATATAAAAGG" * 40  # 680 bases
    pad = "N" * ((2114 - len(word)) // 2)
    for name in ("simplenet", "procapnet"):
        fresh(visit, name, word)
        right = expected(name, pad + word + pad).sum()
        number = re.search(r"Predicted: ([\d,.]+) reads", said(visit))[1].replace(",", "")
        assert float(number) == pytest.approx(right, rel=0.02, abs=0.2)
        note = visit.page.locator(".tss-note").inner_text()
        wanted = given()["networks"][name]["length"]
        assert f"Your sequence has 680 bases and the network reads {wanted:,}" in note


# --- what readers do ----------------------------------------------------------------------------


def test_everything_by_keyboard(visit: Visit) -> None:
    """Tab leads into the grid; arrows move, letters write, Backspace and Ctrl-Z take back."""
    begin(visit)
    page = visit.page
    letters = given()["loci"][locus("simplenet")]["letters"]
    page.locator(CURSOR).focus()
    start = page.locator(CURSOR).get_attribute("aria-label")
    position = int(start.split(":")[0].replace("\N{MINUS SIGN}", "-"))
    before = said(visit)
    other = next(
        b for b in "ACGT" if b not in letters[MIDDLE + position - 1 : MIDDLE + position + 2]
    )
    page.keyboard.press("ArrowLeft")
    page.keyboard.type(other.lower() * 2)  # writes, and goes on by one
    assert "2 bases edited" in said(visit)
    assert "".join(table(visit)["base"]) == written(letters, position - 1, other * 2)[557:1557]
    page.locator(CURSOR).focus()
    page.keyboard.press("Backspace")  # the base at the cursor was not edited
    page.keyboard.press("Backspace")
    assert "1 base edited" in said(visit)
    page.keyboard.press("Control+z")
    assert "2 bases edited" in said(visit)
    page.keyboard.press("Control+Shift+z")
    assert "1 base edited" in said(visit)
    page.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Enter")
    assert said(visit) == f"All is as it was. {before}"
    page.locator(CURSOR).focus()
    page.keyboard.press("PageDown")
    assert page.locator(CURSOR).get_attribute("aria-label") != start
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "gridcell"


def test_words_are_chosen_turned_and_written(visit: Visit) -> None:
    begin(visit)
    page = visit.page
    letters = given()["loci"][locus("simplenet")]["letters"]
    name, word = given()["worlds"]["simulated"]["words"][1]
    page.get_by_label("Base in the middle of the window").fill("-100")
    page.get_by_role("group", name="Words").get_by_role("button").nth(1).press("Enter")
    page.get_by_label("turned round").check()
    page.get_by_role("button", name=f"Write {name} at \N{MINUS SIGN}100").press("Enter")
    turned = decode(reverse_complement(one_hot([word])))[0]
    assert "".join(table(visit)["base"]) == written(letters, -100, turned)[557:1557]
    assert f"{name}, turned round, stands at \N{MINUS SIGN}100." in said(visit)


def test_a_word_is_dragged_to_its_place(visit: Visit) -> None:
    begin(visit)
    page = visit.page
    letters = given()["loci"][locus("simplenet")]["letters"]
    word = given()["worlds"]["simulated"]["words"][0][1]
    page.get_by_role("heading", name="Letter by letter").scroll_into_view_if_needed()
    cell = page.locator('[data-row="2"][data-column="3"]')
    position = int(cell.get_attribute("aria-label").split(":")[0].replace("\N{MINUS SIGN}", "-"))
    page.get_by_role("group", name="Words").get_by_role("button").nth(0).hover()
    page.mouse.down()
    page.mouse.move(10, 10)
    box = cell.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    assert page.locator(".tss-drop").count() == 4 * len(word)
    page.mouse.up()
    assert page.locator(".tss-drop, .tss-ghost").count() == 0
    assert "".join(table(visit)["base"]) == written(letters, position, word)[557:1557]


def test_a_filter_is_taken_out_and_put_back(visit: Visit) -> None:
    """Of both kinds of network, as if its effects (SimpleNet) or its output (ProCapNet) were 0."""
    begin(visit)
    for name in ("simplenet", "procapnet"):
        fresh(visit, name, off="3")
        net, letters = network(name), given()["loci"][locus(name)]["letters"]
        layer = net.iconv if isinstance(net, ProCapNet) else net.deconv
        weight, kept = layer.weight, layer.weight.detach().clone()
        with torch.no_grad():
            if isinstance(net, ProCapNet):
                bias = net.iconv.bias.detach().clone()
                weight[3], net.iconv.bias[3] = 0, 0
            else:
                weight[:, [3, 43]] = 0
            right = expected(name, letters)
            weight.copy_(kept)
            if isinstance(net, ProCapNet):
                net.iconv.bias.copy_(bias)
        found = table(visit)
        shown = np.array([found[f"predicted_{s}"] for s in ("plus", "minus")], float)
        np.testing.assert_allclose(shown, right, atol=5e-3 * right.max())
        box = visit.page.get_by_role("checkbox", name=re.compile(r"filter 3\b"))
        assert not box.is_checked()
        box.check()
        assert "Filter 3 is back." in said(visit)
        assert "before" not in said(visit)


def test_another_network_keeps_the_edits(visit: Visit) -> None:
    """In its own world; in the other one it begins with a locus of that world."""
    begin(visit, f"#play~simplenet~{locus('simplenet')}~-31CCCC~3")
    assert "4 bases edited, 1 filter out" in said(visit)
    visit.page.get_by_label("Network").select_option("procapnet")
    visit.page.wait_for_function(NOTED, arg="ProCapNet")
    assert "(4 bases edited; before" in said(visit)
    visit.page.get_by_label("Network").select_option("simplenet-yeast")
    visit.page.wait_for_function(NOTED, arg="real yeast")
    assert visit.page.get_by_label("Locus").input_value() == locus("simplenet-yeast")
    assert "edited" not in said(visit)


@pytest.mark.parametrize("visit", [{"viewport": PHONE, "has_touch": True}], indirect=True)
def test_on_a_phone(visit: Visit) -> None:
    """Nothing sticks out, fingers find their targets, a tap writes."""
    begin(visit)
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = page.evaluate(
        "[...document.querySelectorAll('.tss-playground button')].filter(b => b.checkVisibility())"
        ".map(b => b.getBoundingClientRect()).filter(r => r.width < 24 || r.height < 24).length"
    )
    assert small == 0
    page.locator('[role="gridcell"][aria-selected="false"]').nth(3).tap()
    assert "1 base edited" in said(visit)
    page.locator(".tss-playground canvas").first.tap(position={"x": 60, "y": 60})
    assert int(page.get_by_label("Base in the middle").input_value()) < -400


# --- links --------------------------------------------------------------------------------------


def test_a_link_brings_everything_back(visit: Visit) -> None:
    begin(visit)
    own = "ACGTN" * 60
    fresh(visit, "procapnet", own, edits="-20GGG.7T", off="2.11")
    before = said(visit), "".join(table(visit)["base"])
    visit.page.get_by_role("button", name="Link").click()
    link = visit.page.get_by_label("Link to what you see").input_value()
    assert link == visit.page.url
    visit.open("index.html")
    begin(visit, link.removeprefix(visit.base + PAGE))
    assert (said(visit), "".join(table(visit)["base"])) == before
    assert visit.page.get_by_role("checkbox", name=re.compile(r"filter 11\b")).is_checked() is False


def hostile() -> list[str]:
    good = f"simplenet~{locus('simplenet')}"
    return [
        "", "simplenet", "nothing~G000884~~", f"{good}~", f"{good}~~~ACGT" + "A" * 20,
        f"{good}~-31XX~", f"{good}~-501A~", f"{good}~499AA~", f"{good}~1e9A~", f"{good}~31~",
        f"{good}~~40", f"{good}~~3.3", f"{good}~~-1", f"{good}~~3~~", "simplenet~own~~",
        "simplenet~own~~~ACG", "simplenet~YLR044C~~", "simplenet~__proto__~~",
        "constructor~own~~~" + "A" * 30, "simplenet~own~~~<img src=x onerror=alert(1)>" + "A" * 30,
        "simplenet~own~~~%3Cimg src=x onerror=alert(1)%3E", "simplenet~own~~~" + "A" * 2115,
        f"{good}~" + ".".join(["1A"] * 5000) + "~", "procapnet~own~~" + "~" * 50,
    ]  # fmt: skip


def test_hostile_links_get_a_sentence(visit: Visit) -> None:
    """Each in an open page; nothing is shown of them, and what was there stays."""
    begin(visit)
    before, page = said(visit), visit.page
    for link in hostile():
        page.evaluate("document.querySelector('.tss-playground > [role=alert]').textContent = ''")
        page.evaluate("hash => { location.hash = hash; }", "#play~" + link)
        page.wait_for_function(ALARMED)
        assert re.search("This link is not whole|bases? are wanted", alarm(visit)), link
        assert said(visit) == before
    assert page.locator(".tss-playground img").count() == 0


def test_a_hostile_link_at_first(visit: Visit) -> None:
    begin(visit, "#play~simplenet~own~~~<img src=x onerror=alert(1)>")
    assert "This link is not whole" in alarm(visit)
    assert said(visit).startswith("Predicted: ")


# --- wrong input --------------------------------------------------------------------------------


WRONG = {
    "": "There is no sequence",
    "HELLO WORLD, THIS IS NO DNA": "Letter 1 is “H”; only A, C, G, T and N are wanted.",
    "ACGT": "That is 4 bases; at least 20 bases are wanted.",
    "ACGT" * 600: "That is 2,400 bases; at most 2,114 bases are wanted.",
    f">a\n{'ACGT' * 9}\n>b\n{'ACGT' * 9}": "That FASTA holds 2 records; one is wanted.",
    "ACGT" * 262144: "That is 1,048,576 characters; at most 2,114 bases are wanted.",
    "<img src=x onerror=alert(1)>" * 3: "Letter 1 is “<”; only",
    f">a\n{'ACGT' * 9}<img src=x onerror=alert(1)>": "Letter 37 is “<”; only",
}


def test_wrong_sequences_get_a_sentence(visit: Visit) -> None:
    """And nothing hangs, nothing changes, nothing becomes HTML."""
    begin(visit)
    before, page = said(visit), visit.page
    page.get_by_text("Your own sequence", exact=True).click()
    for text, sentence in WRONG.items():
        page.get_by_label("Your own sequence, bare").fill(text)
        page.get_by_role("button", name="Read it").click()
        assert sentence in page.locator("details [role=alert]").inner_text()
    assert said(visit) == before
    assert page.locator(".tss-playground img").count() == 0


def test_lower_case_and_n_are_read(visit: Visit) -> None:
    begin(visit)
    page = visit.page
    page.get_by_text("Your own sequence", exact=True).click()
    page.get_by_label("Your own sequence, bare").fill(">mine\nacgtnnnnacgt\nACGTACGTACGT\n")
    page.get_by_role("button", name="Read it").click()
    page.wait_for_function(NOTED, arg="24 bases")
    assert "".join(table(visit)["base"]).strip("N") == "ACGTNNNNACGTACGTACGTACGT"


@pytest.fixture
def broken(visit: Visit) -> Callable[[str], None]:
    """Make the weights of a network fail to load; the browser's message about it is no fault."""

    def breaks(name: str) -> None:
        visit.page.route(f"**/weights-{name}.js", lambda route: route.abort())

    yield breaks
    visit.errors[:] = [text for text in visit.errors if "ERR_FAILED" not in text]


def test_weights_that_do_not_load_at_first(visit: Visit, broken: Callable[[str], None]) -> None:
    """The stored picture stays, with a sentence."""
    broken("simplenet")
    visit.open(PAGE)
    visit.page.locator(".tss-live").scroll_into_view_if_needed()
    note = visit.page.locator(".tss-live > [role=alert]")
    note.wait_for()
    assert "The file of this network could not be loaded; check the connection" in note.inner_text()
    assert visit.page.locator(".tss-live > img").count() == 1


def test_weights_that_do_not_load_later(visit: Visit, broken: Callable[[str], None]) -> None:
    """All stays as it was, and a second try is allowed."""
    begin(visit)
    before, page = said(visit), visit.page
    broken("procapnet")
    page.get_by_label("Network").select_option("procapnet")
    page.wait_for_function(ALARMED)
    assert "could not be loaded" in alarm(visit)
    assert page.get_by_label("Network").input_value() == "simplenet"
    assert said(visit) == before
    page.unroute("**/weights-procapnet.js")
    page.get_by_label("Network").select_option("procapnet")
    page.wait_for_function(NOTED, arg="ProCapNet")
    assert alarm(visit) == ""


# --- the game -----------------------------------------------------------------------------------


def designs() -> list[tuple[str, str]]:
    """Twenty designs: words and single letters at random, some with too many edits, some good."""
    letters, rng = given()["loci"][given()["game"]["locus"]]["letters"], np.random.default_rng(17)
    words = [word for _, word in given()["worlds"]["simulated"]["words"]]
    found = ["-36A", ".".join(f"{p}{b}" for p, b in ((-30, "C"), (-28, "G"), (-26, "C")))]
    while len(found) < 20:
        runs = {}
        if len(found) % 2:
            runs[int(rng.integers(-200, 100))] = words[rng.integers(len(words))]
        for place in rng.integers(120, 220, rng.integers(1, 6)):
            runs[int(place)] = "ACGT"[rng.integers(4)]
        found.append(".".join(f"{p}{w}" for p, w in sorted(runs.items())))
    found[2] = "-259G.-257C.-256T.-5C.22C.26C.27G.28G.88C.89A"  # by flip_strand
    return [(edits, letters) for edits in found]


def standing(visit: Visit) -> tuple[float, float, float]:
    """Edits, reads and score as the game shows them."""
    text = visit.page.locator(".tss-rules").inner_text()
    patterns = (r"edits: (\d+);", r"reads: (\d+), at", r"\): ([\d.]+) %, at")
    return tuple(float(re.search(pattern, text)[1]) for pattern in patterns)


def test_the_games_score_is_the_librarys(visit: Visit) -> None:
    """Edits, score, reads and verdict of twenty designs, as `one_strand` of Chapter 4 has them."""
    game, passed = given()["game"], 0
    begin(visit, f"#play~{game['network']}~{game['locus']}~-36A~")
    net, start = network(game["network"]), f"#play~{game['network']}~{game['locus']}"
    for edits, letters in designs():
        if edits != "-36A":
            before = said(visit)
            visit.page.evaluate("hash => { location.hash = hash; }", f"{start}~{edits}~")
            visit.page.wait_for_function(CHANGED, arg=before)
        design = letters
        for position, word in re.findall(r"(-?\d+)([ACGT]+)", edits):
            design = written(design, int(position), word)
        x, designed = one_hot([letters]).float(), one_hot([design]).float()
        verdict = one_strand(net, x, designed)
        with torch.no_grad():
            logits, count = net(designed)
        plus = 100 * procapnet.to_proba(logits.double())[0, 0].sum().item()
        n, reads, score = standing(visit)
        assert n == sum(a != b for a, b in zip(letters, design, strict=True))
        assert score == pytest.approx(max(plus, 100 - plus), abs=0.11)
        assert reads == pytest.approx(count.expm1().item(), rel=5e-3, abs=0.6)
        text = visit.page.locator(".tss-game [role=status]").inner_text()
        assert abs(score - game["least"]) > 0.15, "too near to the line to compare verdicts"
        assert text.startswith("Passed") == verdict.passed, edits
        passed += verdict.passed
    assert 1 <= passed < 20


def test_the_games_fasta_is_what_the_check_takes(visit: Visit, tmp_path: Path) -> None:
    """Begun with its button, won by a design, saved, read by the library, and passed there."""
    game = given()["game"]
    begin(visit)
    visit.page.get_by_role("button", name="Play with this promoter").click()
    visit.page.locator(".tss-rules").wait_for()
    before, edits = said(visit), dict(designs())
    visit.page.evaluate(
        "hash => { location.hash = hash; }",
        f"#play~{game['network']}~{game['locus']}~{list(edits)[2]}~",
    )
    visit.page.wait_for_function(CHANGED, arg=before)
    with visit.page.expect_download() as waiting:
        visit.page.get_by_role("button", name="FASTA").click()
    assert waiting.value.suggested_filename == f"playground-procapnet-{game['locus']}.fa"
    waiting.value.save_as(path := tmp_path / "design.fa")
    (name,) = Fasta(path).lengths
    letters = "".join(path.read_text().splitlines()[1:])
    assert name == f"procapnet_{game['locus']}_10_edits"
    x = one_hot([given()["loci"][game["locus"]]["letters"]])
    assert one_strand(network("procapnet"), x, one_hot([letters])).passed
    visit.page.get_by_role("checkbox").nth(1).uncheck()  # a filter
    assert "put it back to play" in visit.page.locator(".tss-game [role=status]").inner_text()


# --- the rest -----------------------------------------------------------------------------------


def test_from_disk_with_a_picture(browser: Browser, site: Path, tmp_path: Path) -> None:
    """Without a server: the networks load, and a picture can be saved."""
    page = browser.new_page(color_scheme="dark")
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto((site / PAGE).as_uri())
    page.locator(".tss-live").scroll_into_view_if_needed()
    page.wait_for_selector(".tss-said:not(:empty)")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Picture").click()
    waiting.value.save_as(path := tmp_path / "tracks.png")
    picture = imread(path)
    assert picture.shape[1] == 1600
    assert np.median(picture[..., :3]) < 0.3  # on the page's dark ground
    assert picture[..., :3].std() > 0.05
    page.close()
    assert errors == []


def test_no_fault_that_axe_finds(visit: Visit) -> None:
    """In both schemes, with all that can be open."""
    game = given()["game"]
    begin(visit, f"#play~{game['network']}~{game['locus']}~-36A~3")
    visit.page.get_by_text("Your own sequence", exact=True).click()
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme)
        found = Axe().run(visit.page, context=".tss-playground", options=AXE).response
        assert [(f["id"], f["nodes"][0]["html"][:150]) for f in found["violations"]] == []


EDITS = """async count => {
  const times = [];
  for (let i = 0; i < count; i++) {
    const cell = document.querySelector('[role="gridcell"][tabindex="0"]');
    const start = performance.now();
    const key = "ACGT"[(i * 7 + i % 3) % 4];
    cell.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}"""


def test_it_is_quick_and_small(visit: Visit) -> None:
    """With generous bounds, for machines with much else to do."""
    responses = []
    visit.page.on("response", lambda response: responses.append(response))
    begin(visit)
    assert visit.page.evaluate("performance.now()") < 15_000
    visit.page.wait_for_load_state("networkidle")
    assert 1_000_000 < sum(len(response.body()) for response in responses) < 5_000_000
    for name in NETWORKS:
        fresh(visit, name, edits="5A")
        times = visit.page.evaluate(EDITS, 15)
        assert times[7] < 200, name
