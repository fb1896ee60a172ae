"""display: the bundle of an interactive chart, and the library's own source."""

from __future__ import annotations

import base64
import json
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


def test_libraries_are_those_that_altair_was_made_for(shown):
    line = next(line for line in shown["text/html"].splitlines() if "const libraries" in line)
    for name, version in (
        ("vega", alt.VEGA_VERSION),
        ("vega-lite", alt.VEGALITE_VERSION),
        ("vega-embed", alt.VEGAEMBED_VERSION),
    ):
        assert f"/npm/{name}@{version}" in line


def test_the_same_chart_gives_the_same_bytes(shown):
    assert bundle(chart()) == shown


def test_words_are_escaped():
    nasty = """<b>5 > 3</b> & "quoted" 'too' $png ${spec}"""
    html = bundle(chart(), alt_text=nasty)["text/html"]
    page = BeautifulSoup(html, "html.parser")
    assert page.select_one("img")["alt"] == nasty
    assert not page.select("b")


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


def test_source():
    shown = display.source(toy.score)
    assert isinstance(shown, Markdown)
    assert shown.data.startswith("```python\ndef score(seqs")
    assert shown.data.endswith("return scores.astype(np.float32)\n```")


def test_source_of_several():
    text = display.source(toy.LinearModel, toy.loss_terms).data
    assert text.count("```") == 2
    assert text.index("class LinearModel") < text.index("\n\ndef loss_terms(")
