"""Every number in a page's text stands in an output of the page; the tool that says so can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chapters import typed_numbers
from tests.chapters.typed_numbers import claims, in_code, numbers, unfounded, words
from tools.notebooks import ROOT, notebook_paths

BOOK = notebook_paths()


@pytest.mark.parametrize("path", BOOK, ids=[str(path.relative_to(ROOT)) for path in BOOK])
def test_every_number_of_the_text_is_printed(path: Path) -> None:
    assert unfounded(path) == []


@pytest.mark.parametrize("name", typed_numbers.GIVEN)
def test_given_facts_are_in_the_text_and_have_a_reason(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8").replace('\\"', '"')
    for fact, reason in typed_numbers.GIVEN[name].items():
        assert fact in page
        assert len(reason) > 10


# --- the tool -----------------------------------------------------------------------------------


def page(*cells: str, output: str = "") -> dict:
    """A notebook of texts, and of code where a cell begins with ``>>>``; the last one prints."""
    made = []
    for number, text in enumerate(cells):
        cell = {"id": str(number), "metadata": {}, "source": text, "cell_type": "markdown"}
        if text.startswith(">>>"):
            cell |= {"cell_type": "code", "source": text[3:].strip(), "outputs": []}
        made.append(cell)
    code = [cell for cell in made if cell["cell_type"] == "code"]
    if code:
        code[-1]["outputs"] = [{"output_type": "stream", "text": output}]
    return {"cells": made}


def loose(text: str, output: str = "", code: str = "f(x)") -> list[str]:
    """What is unfounded in a section with one cell of code before the text."""
    made = page("## 1. Section", f">>> {code}", text, output=output)
    return [line.split("'")[1] for line in unfounded(Path("chapters/x.ipynb"), made)]


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("r is 0.91", "r 0.914"),
        ("r is 0.914", "r 0.914"),
        ("r is -0.91", "r 0.914"),  # signs are not compared
        ("91 % of them, or 91.4%", "share 0.914"),
        ("91 % of them", "91.4%"),
        ("0.91 of them", "91.4 %"),
        ("about 9 %", "0.0938"),
        ("13,108 words, about 13,100, or 13,000", "13108 words"),
        ("6.4 million weights", "6,431,512 weights"),
        ("6.4\u00a0million weights and 91\u00a0%", "6,431,512 weights, 0.914"),
        ("about 15", "mean 14.7"),
        ("1e-5", "0.00001"),
        ("$r = 0.58$", "0.58"),
    ],
)
def test_printed_numbers_may_be_rounded(text: str, output: str) -> None:
    assert loose(text, output) == []


@pytest.mark.parametrize(
    ("text", "output", "found"),
    [
        ("r is 0.92", "r 0.914", ["0.92"]),
        ("r is 0.914", "r 0.91", ["0.914"]),  # more than was printed
        ("90 % of them", "91.4%", ["90 %"]),
        ("0.5 of them", "50", ["0.5"]),  # 50 bases are no half
        ("13,200 words", "13108 words", ["13,200"]),
        ("350 and 420 reads", "medians 349 and 420", ["350"]),
        ("up to 6,838 reads", "many reads", ["6,838"]),
        ("$4^8$ words, $r = 0.58$", "", ["0.58"]),  # the form of a formula is no result
        ("| 0.77 | `0.78` |", "", ["0.77"]),
        ("```\n0.77\n```", "", []),
    ],
)
def test_an_invented_number_is_found(text: str, output: str, found: list[str]) -> None:
    assert loose(text, output) == found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("two thirds of them", 2 / 3), ("by a fifth", 0.2), ("nearly half the reads", 0.5),
        ("four cases out of five", 0.8), ("twice as many", 2), ("ten times the cost", 10),
        ("three hundred times as hard", 300), ("ten thousandfold", 10_000),
        ("four powers of ten", 4), ("nine tenths", 0.9),
    ],
)  # fmt: skip
def test_words_that_state_a_result(text: str, value: float) -> None:
    (word,) = words(text + ".")
    assert word.value == pytest.approx(value)
    assert len(loose(text + ".")) == 1
    assert loose(text + ".", f"value {value:.4f}") == []
    assert len(loose(text + ".", f"value {1.3 * value:.4f}")) == 1


@pytest.mark.parametrize(
    "text",
    ["a third network", "in one of two ways", "half-open", "one and a half hours", "twice", "five"],
)
def test_words_that_state_no_result(text: str) -> None:
    assert list(words(text + " ")) == []


def test_bands_of_words() -> None:
    # a quarter: 0.25 +- 0.025; half: 0.5 +- 0.035; powers: 10,000 reads in words or as log10
    assert loose("a quarter of them", "0.274") == []
    assert loose("a quarter of them", "0.276") == ["a quarter"]
    assert loose("half of them", "46.5%") == []
    assert loose("half of them", "46.4%") == ["half of them"]
    assert loose("twice as many", "2") == ["twice as"]  # a 2 stands everywhere
    assert loose("four powers of ten", "9,500 to 1") == []
    assert loose("four powers of ten", "1,000 to 1") == ["four powers of ten"]


def test_code_counts_as_given_and_comments_do_not() -> None:
    assert loose("32 filters, a fifth of the rest", code="f(32, test_size=0.2)") == []
    assert loose("20 % of the rest", code="f(test_size=0.2)") == []
    assert loose("r is 0.58", code="f(x)  # r is 0.58") == ["0.58"]
    assert loose("7 % of them", code="f(7)") == ["7 %"]
    assert set(in_code("f'{x} of 95 % and #2060b8'; 40_000")) == {(95, True), (40_000, False)}


def test_what_is_no_claim() -> None:
    silent = (
        "### 7. Title\n\nSee Chapter 3, section 9 and exercise 2 to 4; chr22 and chromosome 8, K562"
        ", [a paper](https://doi.org/10.1038/nbt.3300) (Core et al. 2014) at its 5' end.\n\n1. one"
        "\n2. two\n\n## References\n\n- Genome Research 14, 1562."
    )
    assert list(numbers(claims(silent))) == []


def test_a_number_belongs_to_its_section() -> None:
    def found(text: str) -> list[str]:
        cells = "## 4. A", ">>> f(x)", f"## 5. B\n\n{text}", "## Summary\n\nr 0.58"
        return unfounded(Path("chapters/x.ipynb"), page(*cells, output="r 0.58, 1,263 genes"))

    assert len(found("r 0.58")) == 1
    assert found("Section 4 gave an r of 0.58") == []
    assert found("1,263 genes") == []  # a whole number of three digits says what it is
    assert len(found("Section 4 gave 1,264 genes")) == 1


def test_captions_are_read_and_charts_are_no_text() -> None:
    made = page(">>> f(x)", output="")
    made["cells"][0]["metadata"]["fig-cap"] = "A peak of 350 reads."
    assert len(unfounded(Path("chapters/x.ipynb"), made)) == 1
    chart = {"output_type": "display_data", "data": {"text/html": "<script>350</script>"}}
    made["cells"][0]["outputs"] = [chart]
    assert len(unfounded(Path("chapters/x.ipynb"), made)) == 1
    table = {"output_type": "display_data", "data": {"text/html": "<td>350</td>"}}
    made["cells"][0]["outputs"] = [table]
    assert unfounded(Path("chapters/x.ipynb"), made) == []


def test_a_given_fact_covers_its_own_numbers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"chapters/x.ipynb": {"a word of 256": "4 to the power of 4"}}
    monkeypatch.setattr(typed_numbers, "GIVEN", given)
    assert loose("a word of 256") == []
    assert loose("a word of 256 and 256 more") == ["256"]
