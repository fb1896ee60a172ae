"""Live figures: how their scripts are made, and what the page does around them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from playwright.sync_api import Browser
from safetensors.numpy import load_file

from tests.site.conftest import PHONE, ROOT, Visit, live_html

UNPACK = """async name => {
  const {tensors} = await tssLive.loadWeights(name);
  return Object.fromEntries(Object.entries(tensors).map(
    ([key, {shape, values}]) => [key, [shape, Array.from(values)]]));
}"""


@pytest.fixture
def live(script: Callable[[str], ModuleType]) -> ModuleType:
    """The script that makes the bundle."""
    return script("site/live.py")


def test_the_bundle_has_each_module_once_and_no_name_twice(live: ModuleType) -> None:
    """All modules of the folder, in one scope, where a second definition would win in silence."""
    assert sorted(live.MODULES) == sorted(p.stem for p in (ROOT / "site" / "live").glob("*.js"))
    code = live.bundle(ROOT / "site" / "live")
    assert not re.search(r"^(import|export) ", code, flags=re.MULTILINE)
    pattern = r"^(?:async )?(?:function\*?|class|const|let) (\w+)"
    names = re.findall(pattern, code, flags=re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if names.count(name) > 1] == []


def test_modules_import_what_earlier_ones_export(live: ModuleType) -> None:
    """In the bundle all names are there, so a wrong import would be seen by nobody."""
    exported: dict[str, set[str]] = {}
    for name in live.MODULES:
        code = (ROOT / "site" / "live" / f"{name}.js").read_text(encoding="utf-8")
        for names, source in re.findall(
            r'^import \{([^}]+)\} from "\./(.+)\.js";', code, re.MULTILINE
        ):
            wanted = {word.strip() for word in names.split(",")} - {""}
            assert wanted <= exported[source], f"{name} imports from {source}"
        kinds = r"^export (?:async )?(?:function\*?|class|const|let) (\w+)"
        exported[name] = set(re.findall(kinds, code, re.MULTILINE))
    assert "Refused" in exported["core"]


def test_weights_are_those_of_the_checkpoint(live: ModuleType) -> None:
    """Names and shapes of one file, and its size: two bytes a number, four signs for three."""
    said = live.weights("toy-cnn").removeprefix("tssWeights(").removesuffix(");\n")
    name, description, packed = json.loads(f"[{said}]")
    assert name == "toy-cnn"
    assert description["config"] == {"length": 8, "n_filters": 32, "width": 3}
    shapes = dict(description["tensors"])
    assert shapes["conv.weight"] == [32, 4, 3]
    numbers = sum(np.prod(shape) for shape in shapes.values())
    assert len(packed) == -(-2 * numbers // 3) * 4


@pytest.mark.parametrize("name", ["procapnet", "promoter"])
def test_the_page_unpacks_the_same_numbers(visit: Visit, name: str) -> None:
    """In the browser, each to a half's 11 bits."""
    visit.open("index.html")
    visit.page.add_script_tag(url=visit.base + "_static/live.js")
    found = visit.page.evaluate(UNPACK, name)
    shipped = load_file(ROOT / "lib/tssbook/shipped/checkpoints" / f"{name}.safetensors")
    kept = {key for key in shipped if not key.endswith("num_batches_tracked")}
    assert set(found) == kept
    for key in kept:
        shape, values = found[key]
        assert tuple(shape) == shipped[key].shape
        np.testing.assert_allclose(
            np.reshape(values, shape), shipped[key], rtol=2**-11, atol=2**-25
        )


def test_modules_by_themselves() -> None:
    """Their tests in Node's own runner: what needs no page."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("No Node on the PATH, which runs the tests of the live figures' modules.")
    tests = sorted((ROOT / "tests" / "site" / "live").glob("*.test.mjs"))
    ran = subprocess.run([node, "--test", *tests], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert int(re.search(r"^# pass (\d+)$", ran.stdout, flags=re.MULTILINE)[1]) >= 20


MOTIFS = {
    "network": "simplenet",
    "tracks": [f"track {i}" for i in range(10)],
    "pairs": [["track 0", "track 9"], ["track 1", "track 8"]],
    "motifs": [
        {"channel": 3, "name": "TATA box", "note": "", "logo": [[0, 1], [0, 0], [0, 0], [1, 0]]},
        {"channel": 45, "name": "<b>other</b>", "note": "", "logo": [[1], [0], [0], [0]]},
    ],
}
POINTS = {
    "names": ["ACT1", "TDH3", "<i>X</i>"],
    "series": {"a": {"x": [0, 9, 99], "y": [0, 99, 9]}, "b": {"x": [9, 9, 9], "y": [1, 2, 3]}},
    "x": "measured", "y": "predicted", "what": "gene",
}  # fmt: skip


def test_motifs_and_their_effects(visit: Visit) -> None:
    """The number below the chart is the checkpoint's, at each distance and on either strand."""
    live = visit.live("motifs", MOTIFS)
    shipped = load_file(ROOT / "lib/tssbook/shipped/checkpoints/simplenet.safetensors")
    weight = shipped["deconv.weight"]
    for motif, turned, distance in [(0, False, 0), (0, False, 30), (1, False, -300), (1, True, 7)]:
        live.get_by_role("combobox", name="Motif").select_option(str(motif))
        button = live.get_by_role("button", name="Other strand")
        if (button.get_attribute("aria-pressed") == "true") != turned:
            button.click()
        live.get_by_role("slider").fill(str(distance))
        channel = (MOTIFS["motifs"][motif]["channel"] + 40 * turned) % 80
        wanted = [f"{weight[t, channel, 300 - distance]:.2f}" for t in (0, 9)]
        said = live.locator(".tss-said").inner_text().replace("\N{MINUS SIGN}", "-")
        found = re.search(r"track 0 ([-\d.]+), track 9 ([-\d.]+)\.$", said).groups()
        assert [float(x) for x in found] == [float(x) for x in wanted], said
    assert live.locator("b").count() == 0  # names are text
    live.get_by_role("combobox", name="Motif").select_option("0")  # at its peak
    if live.get_by_role("button", name="Other strand").get_attribute("aria-pressed") == "true":
        live.get_by_role("button", name="Other strand").click()
    peak = np.abs(weight[0, 3, ::-1]).argmax() - 300
    assert live.get_by_role("slider").input_value() == str(peak)
    box = live.locator(".tss-zero").bounding_box()
    visit.page.mouse.click(box["x"] + box["width"] * 0.75, box["y"])  # 150 of -300 to 300
    assert abs(int(live.get_by_role("slider").input_value()) - 150) <= 1


def test_points_are_touched_walked_and_looked_up(visit: Visit) -> None:
    """By pointer, keyboard and name; a name that is not there gets a sentence."""
    live = visit.live("points", POINTS)
    said, alert = live.locator(".tss-said"), live.get_by_role("alert")
    assert said.inner_text() == "Touch a point, or look up a gene."
    points = live.locator(".tss-point")
    points.nth(1).hover()
    assert said.inner_text().startswith("TDH3: 9.00 measured, 99.0 predicted, 10.0 times")
    live.get_by_role("group").press("ArrowRight")
    assert said.inner_text().startswith("<i>X</i>: 99.0 measured, 9.00 predicted, 0.10 times")
    live.get_by_label("Find a gene").fill("act1")
    live.get_by_role("button", name="Find").click()
    assert said.inner_text().startswith("ACT1: 0.00 measured")
    live.get_by_label("Find a gene").fill("ACT9")
    live.get_by_label("Find a gene").press("Enter")
    assert re.fullmatch("There is no .ACT9. here; try ACT1.", alert.inner_text())
    live.get_by_role("combobox", name="Track").select_option("b")
    assert said.inner_text().startswith("ACT1: 9.00 measured, 1.00 predicted")
    assert live.locator("i").count() == 0


@pytest.mark.parametrize("visit", [{"viewport": PHONE, "has_touch": True}], indirect=True)
def test_figures_fit_a_phone_and_answer_to_a_finger(visit: Visit) -> None:
    """At 390 px nothing reaches over the edge, and a tap marks a point."""
    live = visit.live("points", POINTS)
    live.locator(".tss-point").nth(2).tap()
    assert live.locator(".tss-said").inner_text().startswith("<i>X</i>")
    visit.live("motifs", MOTIFS)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_without_its_network_a_figure_says_so(visit: Visit) -> None:
    """The stored picture stays, with a sentence."""
    visit.page.route("**/weights-*.js", lambda route: route.abort())
    live = visit.live("motifs", MOTIFS)
    assert live.get_by_role("alert").inner_text().startswith("The file of this network could not")
    assert live.locator("img").count() == 1
    assert "ERR_FAILED" in visit.errors.pop()


def test_a_damaged_network_is_refused(visit: Visit) -> None:
    """A file that ends early."""
    description = '{"config": {}, "tensors": [["deconv.weight", [2, 2, 3]]]}'
    body = f'tssWeights("simplenet", {description}, "AAAA")'
    script = {"body": body, "content_type": "text/javascript"}
    visit.page.route("**/weights-*.js", lambda route: route.fulfill(**script))
    live = visit.live("motifs", MOTIFS)
    assert live.get_by_role("alert").inner_text().startswith("The file of this network is damaged")
    assert live.locator("img").count() == 1


def test_from_disk_too(browser: Browser, site: Path, tmp_path: Path) -> None:
    """Scripts and weights of a page that was opened as a file."""
    (tmp_path / "_static").symlink_to(site / "_static")
    (tmp_path / "page.html").write_text(live_html("motifs", MOTIFS), encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.locator(".tss-live-on .tss-said").wait_for()
    page.close()
