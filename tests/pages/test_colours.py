"""The colour code: contrast on white, and colours of one figure are told apart by everyone."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tools.notebooks import notebook_paths, read
from tssbook.pages import colours, plots

# How linear RGB looks to people without red or green cones (Machado et al. 2009, severity 1).
SIGHT = {
    "usual": np.eye(3),
    "no red cones": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green cones": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
) / np.array([[0.9505], [1.0], [1.089]])
TOGETHER = {
    "bases": tuple(colours.BASE_COLOURS.values()),
    "strands": (colours.PLUS, colours.MINUS),
    "what it is": (colours.MODEL, colours.TRUTH, colours.MEASURED),
    "series": colours.SERIES,
    "strands and a place": (colours.PLUS, colours.MINUS, colours.MEASURED),
}
ALONE = (*sum(TOGETHER.values(), ()), colours.MARK, colours.INK, colours.LINE)


def linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast_on_white(colour: str) -> float:
    return 1.05 / (linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05)


def lab(colour: str, sight: str) -> np.ndarray:
    xyz = TO_XYZ @ np.clip(SIGHT[sight] @ linear(colour), 0, 1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_measures_know_black_and_white() -> None:
    assert contrast_on_white("#000000") == pytest.approx(21)
    assert contrast_on_white("#ffffff") == pytest.approx(1)
    assert np.linalg.norm(lab("#000000", "usual") - lab("#ffffff", "usual")) == pytest.approx(
        100, abs=0.1
    )
    # Red and green of one lightness are far apart for most people, and near for some.
    red, green = "#d62728", "#5c8a00"
    usual = np.linalg.norm(lab(red, "usual") - lab(green, "usual"))
    assert usual > 3 * np.linalg.norm(lab(red, "no green cones") - lab(green, "no green cones"))


@pytest.mark.parametrize("colour", sorted(set(ALONE)))
def test_reads_on_white(colour: str) -> None:
    assert contrast_on_white(colour) >= 3


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("name", TOGETHER)
def test_colours_of_one_figure_differ(name: str, sight: str) -> None:
    for one, other in combinations(TOGETHER[name], 2):
        assert np.linalg.norm(lab(one, sight) - lab(other, sight)) > 20, (one, other)


def test_words_read_well() -> None:
    assert contrast_on_white(colours.INK) >= 7
    assert contrast_on_white(colours.LINE) >= 4.5


def test_the_style_takes_them() -> None:
    with mpl.rc_context():
        plots.set_style()
        assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == list(colours.SERIES)


NAMED = r"tab:\w+|C\d|red|blue|green|orange|purple|gr[ae]y"
OWN = re.compile(rf"""#[0-9a-f]{{6}}\b|["']({NAMED})["']""")


@pytest.mark.parametrize(
    "path", notebook_paths(), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_pages_have_no_colours_of_their_own(path: Path) -> None:
    """Not the two strands in one chapter's blue and red, and in another's blue and orange."""
    code = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    assert [found[0] for source in code for found in OWN.finditer(source)] == []
