"""display: the bundle of an interactive chart, and the library's own source."""

from __future__ import annotations

import ast
import base64
import inspect
import json
import re
import struct

import altair as alt
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from IPython.display import Markdown

from tssbook.models import toy
from tssbook.pages import display
from tssbook.pages.display import Interactive


def chart(*words: str) -> alt.Chart:
    table = pd.DataFrame({"word": list(words) or ["GATTACA"], "score": 1.0})
    return alt.Chart(table).mark_circle().encode(x="word:N", y="score:Q", tooltip="word")


def bundle(made: alt.Chart, name: str = "words", alt_text: str = "Scores.") -> dict:
    return Interactive(made, name, alt_text)._repr_mimebundle_()


@pytest.fixture(scope="module")
def shown() -> dict:
    return bundle(chart())


def spec_of(html: str) -> dict:
    line = next(line for line in html.splitlines() if "const spec = " in line)
    return json.loads(line.split("const spec = ")[1].removesuffix(";"))


def test_page_picture_and_words(shown):
    assert sorted(shown) == ["image/png", "text/html", "text/plain"]
    assert shown["text/plain"] == "[chart: Scores.]"


def test_picture_is_a_png_of_a_readable_size(shown):
    png = base64.b64decode(shown["image/png"], validate=True)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width > 50
    assert height > 300


def test_page_holds_the_picture_until_the_chart_is_drawn(shown):
    page = BeautifulSoup(shown["text/html"], "html.parser")
    (place,) = page.select("div.tss-vega")
    assert place["id"] == "chart-words"
    (picture,) = place.select("img")
    assert picture["src"] == "data:image/png;base64," + shown["image/png"]
    assert picture["alt"] == "Scores."
    (script,) = page.select("script")
    assert not script.get("src")  # nothing is loaded before it is asked for
    assert 'getElementById("chart-words")' in script.text
    assert "window.TSS_VEGA" in script.text


def test_page_holds_the_chart(shown):
    spec = spec_of(shown["text/html"])
    assert spec == chart().to_dict()
    assert [{"word": "GATTACA", "score": 1.0}] in spec["datasets"].values()


def test_libraries_are_exact_and_of_the_kind_that_altair_was_made_for(shown):
    """Each names one file of one version, and the checksum that a browser compares."""
    line = next(line for line in shown["text/html"].splitlines() if "const libraries" in line)
    libraries = json.loads(line.split(" : ", 1)[1].removesuffix(";"))
    wanted = (alt.VEGA_VERSION, alt.VEGALITE_VERSION, alt.VEGAEMBED_VERSION)
    names = ("vega", "vega-lite", "vega-embed")
    for name, version, library in zip(names, wanted, libraries, strict=True):
        major = version.split(".")[0]
        address = rf"https://[\w.]+/npm/{name}@{major}\.\d+\.\d+/build/{name}\.min\.js"
        assert re.fullmatch(address, library["src"])
        kind, checksum = library["integrity"].split("-", 1)
        assert kind == "sha384"
        assert len(base64.b64decode(checksum, validate=True)) == 48
        assert library["crossOrigin"] == "anonymous"


def test_the_same_chart_gives_the_same_bytes(shown):
    assert bundle(chart()) == shown


def test_words_are_escaped():
    nasty = """<b>5 > 3</b> & "quoted" 'too' $png ${spec}"""
    html = bundle(chart(), alt_text=nasty)["text/html"]
    page = BeautifulSoup(html, "html.parser")
    assert page.select_one("img")["alt"] == nasty
    assert not page.select("b")


@pytest.mark.parametrize(
    "name",
    ['"><script>alert(1)</script>', "</script><b>", "\\", "'\");alert(1);//", "<!--", "$png"],
)
def test_no_name_breaks_out_of_the_page(name):
    html = bundle(chart(), name=name)["text/html"]
    page = BeautifulSoup(html, "html.parser")
    (place,) = page.select("div.tss-vega")
    assert place["id"] == f"chart-{name}"
    assert len(page.select("script")) == 1
    assert not page.select("b")
    line = next(line for line in html.splitlines() if "getElementById" in line)
    text = line.split("getElementById(")[1].removesuffix(");")
    assert json.loads(text) == f"chart-{name}"
    assert "<" not in text


@pytest.mark.parametrize("word", ["</script><b>out</b>", "<!--<script>", "</SCRIPT >", "$png"])
def test_data_cannot_break_out_of_the_script(word):
    html = bundle(chart(word))["text/html"]
    script = html.split("<script>")[1].split("</script>")[0]
    assert "const spec" in script
    assert "draw().catch" in script
    line = next(line for line in script.splitlines() if "const spec = " in line)
    assert "<" not in line  # so neither the end of a script nor a comment can begin
    assert [{"word": word, "score": 1.0}] in spec_of(html)["datasets"].values()
    assert len(BeautifulSoup(html, "html.parser").select("script")) == 1


# --- source ---------------------------------------------------------------------------------


def shown_source(*objects) -> str:
    shown = display.source(*objects)
    assert isinstance(shown, Markdown)
    text = shown.data.removeprefix("```python\n").removesuffix("\n```")
    ast.parse(text)
    return text


def half(x):
    """Return the half of a number.

    Parameters
    ----------
    x : float
        The number.

    Returns
    -------
    float
        Its half.
    """
    return x / 2  # exact


class Pair:
    """Two numbers.

    The second one is not looked at:
    nobody asked.

    Attributes
    ----------
    first : float
    """

    text = """not a docstring

    Notes
    -----
    """

    def doubled(self, first):
        """Double the first.

        Raises
        ------
        TypeError
            It cannot be doubled.

        Notes
        -----
        None.
        """

        def twice(x):
            """Return it twice.

            Examples
            --------
            >>> twice(1)
            """
            return x + x

        return twice(first)

    def plain(self):
        return None

    def short(self):
        """Say nothing: one line."""


def test_source_shows_the_summary_of_a_docstring():
    assert (
        shown_source(half)
        == '''def half(x):
    """Return the half of a number."""
    return x / 2  # exact'''
    )


def test_source_of_a_class_with_methods():
    assert (
        shown_source(Pair)
        == '''class Pair:
    """Two numbers.

    The second one is not looked at:
    nobody asked.
    """

    text = """not a docstring

    Notes
    -----
    """

    def doubled(self, first):
        """Double the first."""

        def twice(x):
            """Return it twice."""
            return x + x

        return twice(first)

    def plain(self):
        return None

    def short(self):
        """Say nothing: one line."""'''
    )


def test_source_of_methods_begins_at_the_margin():
    assert shown_source(Pair.plain, Pair.short) == (
        'def plain(self):\n    return None\n\ndef short(self):\n    """Say nothing: one line."""'
    )


def test_source_of_the_library():
    text = shown_source(toy.LinearModel, toy.loss_terms)
    assert text.index("class LinearModel") < text.index("\n\ndef loss_terms(")
    assert "---" not in text
    assert text.endswith(inspect.getsource(toy.loss_terms).splitlines()[-1])
    assert "return scores.astype(np.float32)" in shown_source(toy.score)


def test_source_of_what_has_none():
    with pytest.raises(TypeError, match="module, class, method, function"):
        display.source(5)
