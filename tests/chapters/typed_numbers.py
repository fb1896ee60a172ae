"""Numbers that were typed into a notebook's text and stand in no output or code of it.

``python -m tests.chapters.typed_numbers NOTEBOOK ...`` prints them, one a line, with the cell.
Text and output part sooner or later where the text is typed by hand. So a number in Markdown or in
a caption has to be found in what the cells of its section (##) print, also rounded (0.914 allows
"0.91" and "91 %"); or in the notebook's code (sizes, seeds); or among the facts of ``GIVEN``. Whole
numbers of three digits may be printed anywhere in the notebook. A summary, and what stands before
the first section, may speak of all sections, and a paragraph that names "section 5" of that one.
Words that state a result ("two thirds", "twice as") need an output too: see ``SHARE``.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What a notebook may say without printing it: a piece of its text, and why it is no result.
GIVEN: dict[str, dict[str, str]] = {
    "chapters/01-toy-cnn.ipynb": {
        "The prediction is now 4.2": "0.6 less a weight, times the input 3, computed by hand",
        "the loss has fallen to 0.64": "4.2 - 5, squared; the picture shows it",
        "it is 2.5, -2.5 and -2.5, 2.5": "computed by hand in the text",
        "has a mean of 12.5": "worked out by hand: five T, two G and a C, 100 / 8",
        "0.001, 0.005, 0.01, 0.05 and 0.1": "the rates that the exercise asks for",
    },
    "chapters/01-real.ipynb": {
        "**Reading time** about 15 minutes": "words and cells, see site/made.py",
        "to 10 downstream": "how the file was cut",
        "within two bases of -30": "-32 to -28 in the code",
        "works only near -30": "the peak that section 1 finds",
        "60 bases instead of 8": "the words of Chapter 1",
        "256 words of four letters": "4 to the power of 4",
        "with replacement, 1,000 times": "what bootstrap_interval does unasked",
        "58 places": "60 bases, a filter of 3: 60 - 3 + 1",
    },
    "chapters/04-procapnet.ipynb": {
        "510 to either side": "dilations 2 to 256, added up; the tree shows it",
        "the profile head 37": "half of its width of 75",
        "+ 74 = 219": "the sum that stands before it",
        "8, 16 and so on up to 256": "2 to the power of 1 to 8, the layers' gaps",
        "save more than nine tenths of it": "the ratio of the work is printed above",
        "a learning rate of 0.0005": "the paper of ProCapNet",
        "a twentieth of a percent": "1 of 2,000 places",
        "gaps of 2 to 256": "the layers' gaps",
        "here 0.70 against 0.30": "drawn in the figure above, by hand: 14 and 6 of 20",
        "about 7.6, wherever": "the logarithm of 2,000",
    },
    "chapters/04-real.ipynb": {
        "(512 filters)": "counted in Chapter 4",
        "64 codons in the first 350": "1,050 bases in the code, by three",
    },
    "chapters/02-promoter-expression.ipynb": {
        "under a ceiling of 0.99": "an example, no result",
        "followed by a tenth of the test rows": "what the exercise asks for",
        "at a learning rate of 0.002": "what the exercise asks for",
        "**Reading time** about 40 minutes": "words and cells, see site/made.py",
        "gives about 0.7. The truth is then half of": "the square root of a half",
        "the sequence is a quarter as long": "what pooling by four does",
    },
    "chapters/appendix-many-machines.ipynb": {
        "not 300 promoters but 40,000": "an example; the second is PROMOTERS in the code",
        "come in 625 pieces, so more than 625 cores": "40,000 / 64, both in the code",
        "reads 2,114 bp and predicts 1,000": "ProCapNet's windows",
    },
    "solutions/02-promoter-expression.ipynb": {
        "The exercise takes 500": "what the exercise of Chapter 2 asks for"
    },
    "chapters/appendix-shell.ipynb": {"130 after Ctrl-C": "the shells' exit code for it"},
    "chapters/03-puffin.ipynb": {
        "an SP 45 to 85 bases away": "a rule of the simulator (harder.py)",
        "a window, 45 to 85 bases": "the same rule",
        "filters of 31 bases whose effects reach 150": "what warm-up 1 gives",
        "needs 165. The window is 1,000 + 2 x 165 = 1,330": "worked out by hand: 150 + 15",
    },
    "chapters/playground.ipynb": {
        "Chapter 3 or 4, or only": "numbers of chapters",
        "about 5 minutes, and": "words and cells, see site/made.py",
        "TATAAAA some 30 bases in front": "what the reader is asked to look at",
        "Write Reb1 at -150": "what the reader is asked to do",
    },
    "chapters/grammar.ipynb": {
        "in a fifth of the genes": "Basehoar and others 2004, in its references",
        "by a hundredth of r, by a tenth": "guesses that a reader may make",
    },
    "chapters/appendix-big-models.ipynb": {
        "| 6.4 million |": "counted in Chapter 4; the paper of ProCapNet",
        "5,313 human and 1,643 mouse tracks": "the paper of Enformer",
        "about 250 million": "the paper of Enformer",
        "about 190 million a replicate": "the paper of Borzoi",
        "5,930 human and 1,128 mouse tracks of 11 kinds": "the paper of AlphaGenome",
        "about 450 million": "the paper of AlphaGenome",
        "12 of whose human tracks are PRO-cap": "the paper of AlphaGenome, its table of tracks",
        "on 13 of its 16 chromosomes": "the split of Chapters 3 and 4",
        "Elsewhere it is half the window": "what the column holds",
        "factors are at 128": "the paper of AlphaGenome, its table of outputs",
    },
    "chapters/appendix-yeast.ipynb": {
        "Ensembl 96": "a release of the annotation",
        "Policastro et al., 2020": "the year of a reference",
        "Cvetesic et al., 2018": "the year of a reference",
        "to 49 downstream": "the window of 300 bases ends at +49",
        "more than half of its length": "the rule of `shadowed`",
        "One locus in three tracks": "the figure has three",
        "the 41 bases shown": "20 to either side and the start itself",
        "-80 to -61": "a bin of 20 bases",
        "-100 to -81": "a bin of 20 bases",
        "-120 to -101": "a bin of 20 bases",
    },
    "chapters/appendix-simulator.ipynb": {
        "at index 2,325": "half of 4,650",
        "a ripple of 10.5 bases": "a rule of the simulator (rules.py)",
        "half of them on 3.7 and 3.0 bases": "how the row above defines this number of bases",
        "at half of the loci": "what a median is",
        "planted 90 to 170 bases": "a rule of the simulator (loci.py)",
        "at least a tenth as many reads": "what the row above counts",
    },
}

# --- numbers ------------------------------------------------------------------------------------

_NUMBER = re.compile(
    r"(?<![\w.#/])(?<!\d,)(?P<digits>\d{1,3}(?:,\d{3})+(?![\d,]*\d)|\d+)(?P<decimals>\.\d+)?"
    r"(?P<power>e[+-]?\d+)?(?P<scale>[ \u00a0](?:thousand|million|billion)\b)?"
    r"(?P<percent>[ \u00a0]?%|[ \u00a0](?:percent|per cent)\b)?(?![\w'’′])"
)
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}


class Number(NamedTuple):
    """A number as it is written: 91.4 % has the value 91.4 and half a unit of 0.05."""

    value: float
    half: float
    percent: bool
    start: int = 0
    text: str = ""


def numbers(text: str) -> Iterator[Number]:
    """Yield the numbers in a text, without their signs."""
    for match in _NUMBER.finditer(text):
        digits = match["digits"].replace(",", "")
        scale = _SCALES.get((match["scale"] or "").strip(), 1.0)
        scale *= float("1" + (match["power"] or "e0"))
        zeros = len(digits) - len(digits.rstrip("0")) if not match["decimals"] else 0
        # 13,100 and 400 may stand for 13,108 and 395; 10, 20 and 30 are exact
        unit = 10.0 ** (zeros if zeros > 1 and digits.strip("0") else 0)
        if match["decimals"]:
            unit = 10.0 ** (1 - len(match["decimals"]))
        value = float(digits + (match["decimals"] or "")) * scale
        percent = bool(match["percent"])
        yield Number(value, unit * scale / 2, percent, match.start(), match[0].strip())


def is_founded(number: Number, known: list[Number], exact: set[tuple[float, bool]]) -> bool:
    """Say whether a number (value, is percent) is in ``exact``, or one of ``known`` rounded."""
    return (number.value, number.percent) in exact or any(
        abs(value - number.value) <= number.half * (1 + 1e-6)
        for other in known
        if other.half <= number.half * (1 + 1e-6)
        or other.percent != number.percent
        or other.value == number.value
        for value in _as(number.percent, other)
    )


def _as(percent: bool, other: Number) -> tuple[float, ...]:
    if percent and not other.percent:
        return other.value, 100 * other.value
    if other.percent and not percent:
        return other.value, other.value / 100
    return (other.value,)


# --- words --------------------------------------------------------------------------------------

_COUNT = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10,
}  # fmt: skip
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "twentieth": 20, "fiftieth": 50, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_MANY = _COUNT | {
    "twice": 2, "twenty": 20, "thirty": 30, "fifty": 50, "hundred": 100, "thousand": 1000,
    "ten thousand": 10_000, "hundred thousand": 100_000, "million": 1e6,
}  # fmt: skip
_ONE_TO_TEN = "|".join(_COUNT)
_NAMED = "|".join(sorted(set(_MANY) - {"twice", "one"}, key=len, reverse=True))
_NTH = "|".join(set(_PARTS) - {"half"})
_THAN = (
    "as|more|fewer|less|too|faster|slower|better|worse|higher|lower|larger|smaller|bigger|stronger"
    "|weaker|wider|farther|nearer|the"
)
_WORDS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # two thirds; a third of, by a third: not a third network
        rf"\b(?P<n>{_ONE_TO_TEN})[ -](?P<part>{_NTH})s\b",
        rf"\b(?:an?|one) (?P<part>{_NTH})\b(?= (?:of|for|to|or|and|{_THAN})\b|[.,;:)])",
        r"(?<!at least )(?<!first )(?<!second )(?<!other )\b(?P<part>half) (?:of )?"
        r"(?:the|all|its|their|them|these|those|ours?)\b",
        rf"\b(?P<n>{_ONE_TO_TEN})(?: \w+)? (?:out of|in) (?:every )?(?P<m>{_ONE_TO_TEN})\b",
        rf"\b(?:(?P<n>{_ONE_TO_TEN}) )?(?P<times>twice|{_NAMED})(?P<as> times)? (?:{_THAN})\b",
        rf"\b(?P<times>{_NAMED})[ -]?fold\b",
        rf"\b(?P<powers>{_ONE_TO_TEN}) (?:powers of ten|orders of magnitude|decades)\b",
    )
]
# How far a printed number may be from the word. A share: a tenth of itself, at most 0.035 (half:
# 0.465 to 0.535, a third: 0.30 to 0.367, a quarter: 0.225 to 0.275, a fifth: 0.18 to 0.22). A
# multiple: an eighth of itself (twice: 1.75 to 2.25, ten times: 8.75 to 11.25). Powers of ten: a
# quarter of one, in the number itself or in its logarithm. Printed whole numbers below 10 do not
# count, since they stand everywhere.
SHARE, MOST, TIMES, POWERS = 0.1, 0.035, 0.125, 0.25


class Word(NamedTuple):
    """A word that states a result: its value, and how far an output may be from it."""

    value: float
    reach: float
    is_power: bool
    start: int
    text: str


def words(text: str) -> Iterator[Word]:
    """Yield the words in a text that state a share or a multiple."""
    for pattern in _WORDS:
        for match in pattern.finditer(text):
            said = {name: word.lower() for name, word in match.groupdict().items() if word}
            at = match.start(), match[0]
            if "powers" in said:
                yield Word(_COUNT[said["powers"]], POWERS, True, *at)
            elif "times" in said:
                times = _MANY[said["times"]] * _COUNT[said.get("n", "one")]
                if said["times"] == "twice" or "as" in said or "fold" in match[0]:
                    yield Word(times, TIMES * times, False, *at)
            else:
                parts = _COUNT[said["m"]] if "m" in said else _PARTS[said["part"]]
                share = _COUNT[said.get("n", "one")] / parts
                if share < 1:
                    yield Word(share, min(SHARE * share, MOST), False, *at)


def is_shown(word: Word, known: list[Number], code: set[tuple[float, bool]]) -> bool:
    """Say whether an output holds a number close to what the word states, or code that very one."""
    for other in known:
        value = other.value / 100 if other.percent else other.value
        powers = [abs(math.log10(value))] if word.is_power and value > 0 else []
        near = any(abs(v - word.value) <= word.reach * (1 + 1e-6) for v in [value, *powers])
        if near and (other.percent or other.half < 0.5 or value >= 10):
            return True
    return (word.value, False) in code


# --- notebooks ----------------------------------------------------------------------------------

_FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1[^\n]*$", re.MULTILINE | re.DOTALL)
_SILENT = [
    re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL),  # code
    re.compile(r"\]\([^)]*\)|<[^>\n]+>|\bhttps?://\S+"),  # links and tags
    re.compile(r"^(?:> ?)*#{1,6} +\d+\.", re.MULTILINE),  # numbers of headings and lists
    re.compile(r"^(?:> ?)*\s*\d+[.)] ", re.MULTILINE),
    re.compile(
        r"\b(?:chapter|section|exercise|figure|appendix|chromosome|question|python|version)s?"
        r"\*{0,2}[ \u00a0]\d+(?:\.\d+)*(?:(?:, | and | to | or )\d+)*",
        re.IGNORECASE,
    ),
    re.compile(r"\((?:[\w .&-]+,? )?(?:19|20)\d\d\)|\b[53]['’′]"),  # years of papers, ends of DNA
]
_MATH = re.compile(r"\$\$.+?\$\$|(?<!\\)\$[^$\n]+?\$", re.DOTALL)
_REFERENCES = re.compile(r"^## (?:\d+\. )?References\b.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+")
_COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b")


def _blank(match: re.Match[str]) -> str:
    """Write blanks, so that all that follows keeps its place."""
    return re.sub(r"[^\n]", " ", match[0])


def _formula(match: re.Match[str]) -> str:
    """Keep the decimals of a formula: whole numbers are its form, 0.58 is a result."""
    kept = re.sub(r"\d+\.\d+", lambda m: m[0].replace(".", "\0"), match[0])
    whole = r"[^\n\0\d]|(?<![\d\0])\d+(?![\d\0])"
    return re.sub(whole, lambda m: " " * len(m[0]), kept).replace("\0", ".")


def claims(source: str) -> str:
    """Return Markdown in which only numbers and words that claim something are left."""
    source = _FENCE.sub(_blank, _REFERENCES.sub(_blank, source))
    for pattern in _SILENT:
        source = pattern.sub(_blank, source)
    return _MATH.sub(_formula, source)


def printed(cell: dict) -> str:
    """Return what a code cell shows as text; data of interactive charts is no text."""
    texts = []
    for out in cell["outputs"]:
        texts.append("".join(out.get("text", [])))
        for mime, content in out.get("data", {}).items():
            content = "".join(content) if mime.startswith("text/") else ""
            if "<script" not in content:
                texts.append(re.sub(r"<[^>]+>", " ", _DATA_URI.sub(" ", content)))
    return _COLOUR.sub(" ", "\n".join(texts)).replace("_", "")


def in_code(source: str) -> Iterator[tuple[float, bool]]:
    """Yield the numbers in code and in its texts, not in its comments; and if in percent."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield from ((n.value, n.percent) for n in numbers(_COLOUR.sub(" ", node.value)))
            elif isinstance(node.value, int | float) and not isinstance(node.value, bool):
                yield float(node.value), False
                if 0 < node.value < 1:
                    yield round(100 * node.value, 9), True


class Section:
    """What the cells of one section (##) print, and what stands in their code."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.known: list[Number] = []
        self.code: set[tuple[float, bool]] = set()


_TITLE = re.compile(r"^## (.*)$", re.MULTILINE)
_WHOLE = re.compile(r"Summary|Pitfalls")  # sections that speak of the whole notebook
_NAMES = re.compile(r"\bsections? (\d+)(?:(?:,| and| to) (\d+))?", re.IGNORECASE)


def unfounded(path: Path, notebook: dict | None = None) -> list[str]:
    """List the numbers and words of a notebook that no output or code of it holds."""
    nb = notebook or json.loads(path.read_text(encoding="utf-8"))
    sections, texts = [Section("")], []  # texts: of each piece its cell, section, text
    for cell in nb["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            sections[-1].known += numbers(printed(cell))
            sections[-1].code |= set(in_code(source))
            texts.append((cell["id"], len(sections) - 1, cell["metadata"].get("fig-cap", "")))
        elif cell["cell_type"] == "markdown":
            outline = _FENCE.sub(_blank, source)
            starts = [match.start() for match in _TITLE.finditer(outline)]
            for start, end in itertools.pairwise(sorted({0, *starts, len(source)})):
                if start in starts:
                    sections.append(Section(_TITLE.match(outline, start)[1]))
                texts.append((cell["id"], len(sections) - 1, source[start:end]))
    given = GIVEN.get(f"{path.parent.name}/{path.name}", {})
    found = []
    for name, at, text in texts:
        for loose in _loose(text, sections, at):
            around = text[max(0, loose.start - 50) : loose.start + 50].split()
            if not any(_holds(text, fact, loose.start) for fact in given):
                found.append(f"cell {name}: {loose.text!r} in '{' '.join(around)}'")
    return found


def _holds(text: str, fact: str, start: int) -> bool:
    return fact in text[max(0, start - len(fact) + 1) : start + len(fact)]


def _loose(text: str, sections: list[Section], at: int) -> Iterator[Number | Word]:
    everything = [number for section in sections for number in section.known]
    exact = set().union(*(section.code for section in sections))
    exact |= {(n.value, n.percent) for n in everything if n.value >= 100 and n.value % 1 == 0}
    whole = at == 0 or _WHOLE.search(sections[at].title)
    said = claims(text)
    for loose in sorted([*numbers(said), *words(said)], key=lambda loose: loose.start):
        known = everything if whole else [*sections[at].known, *_named(text, loose.start, sections)]
        if isinstance(loose, Number):
            founded = is_founded(loose, known, exact)
        else:
            founded = is_shown(loose, known, sections[at].code)
        if not founded:
            yield loose


def _named(text: str, start: int, sections: list[Section]) -> Iterator[Number]:
    """Yield what the sections print that the paragraph around a number names."""
    begin = text.rfind("\n\n", 0, start) + 1
    end = text.find("\n\n", start)
    named = {n for m in _NAMES.finditer(text[begin : end if end > 0 else None]) for n in m.groups()}
    for section in sections:
        if section.title.partition(".")[0] in named:
            yield from section.known


if __name__ == "__main__":
    for name in sys.argv[1:]:
        lines = unfounded(Path(name).resolve())
        sys.stdout.write("\n    ".join([f"{name}: {len(lines)} without an output", *lines]) + "\n")
