"""Live figures: how their scripts are made, and what the page does around them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.site.conftest import ROOT, Visit

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
