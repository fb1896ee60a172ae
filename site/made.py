"""Write the parts of the site's own pages that follow from other files.

``python site/made.py``; both engines read the same parts, which git ignores:

* `_path.md`: the chapters with their questions and times, for the first page;
* `_needs.md`: what each chapter needs, for the teacher's guide;
* `_glossary.md`: the words of `glossary.toml`, each with the section that uses it first;
* `_files.md`: the files and networks of the registry.
"""

from __future__ import annotations

import json
import re
import tomllib
from html import escape
from pathlib import Path

import adapt
import docstrings

# What each page of the path asks.
QUESTIONS = {
    "chapters/01-toy-cnn.ipynb": "What does a convolution see in DNA that a linear model misses?",
    "chapters/01-real.ipynb": "Does it see anything in real promoters?",
    "chapters/02-promoter-expression.ipynb": "How much of a gene's expression can be read from the"
    " DNA in front of it?",
    "chapters/02-real.ipynb": "What remains of that on real DNA, and how can a number fool us?",
    "chapters/03-puffin.ipynb": "Which motifs start transcription, and at what distance?",
    "chapters/03-real.ipynb": "Does that network find start sites in a real genome?",
    "chapters/04-procapnet.ipynb": "At which base does transcription start, and which letters"
    " decide?",
    "chapters/04-real.ipynb": "Does the same network learn from real yeast and human DNA?",
    "chapters/grammar.ipynb": "Which rules has a network learned, and are they true?",
    "chapters/playground.ipynb": "What happens if I change this letter?",
}
WORDS_A_MINUTE, SECONDS_A_CELL = 200, 15  # a technical text; a look at each piece of code
BOLD = re.compile(r"\*\*([^*]+?)[.:,]?\*\*")
TIME = re.compile(r"\*\*(Reading time|Run time)[^*]*\*\*:?\s*([^.;\n]+)")


def notebook(path: Path) -> list[dict]:
    """Return the cells of a notebook, each with its source as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def times(cells: list[dict]) -> tuple[str, str]:
    """Return how long a chapter takes to read and to run.

    Both as the chapter's own box says; a reading time that it lacks is reckoned from its words
    and cells, to five minutes.
    """
    prose = [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]
    said = dict(reversed(TIME.findall("\n".join(prose[:3]))))
    words = sum(len(text.split()) for text in prose)
    minutes = words / WORDS_A_MINUTE + (len(cells) - len(prose)) * SECONDS_A_CELL / 60
    reading = said.get("Reading time", f"about {max(5, 5 * round(minutes / 5))} minutes")
    return reading.strip(), said.get("Run time", "").strip()


def path(root: Path) -> str:
    """Return the table of the chapters: question, reading time, run time."""
    rows = [
        "| Chapter | It asks | To read | To run |",
        "|:------------|:--------------|:-----|:-----|",
    ]
    for page, question in QUESTIONS.items():
        cells = notebook(root / page)
        title = re.search(r"^# (.+)$", "\n".join(c["source"] for c in cells), flags=re.MULTILINE)[1]
        title = re.sub(r"^Chapter (\d+):?", r"\1.", title).replace(". on", " on")
        rows.append(f"| [{title}]({page}) | {question} | {' | '.join(times(cells))} |")
    return "\n".join(rows) + "\n"


def needs(root: Path) -> str:
    """Return the table of what a class needs for each chapter: times, and files for real data."""
    shipped = root / "lib" / "tssbook" / "shipped" / "files.toml"
    registry = tomllib.loads(shipped.read_text(encoding="utf-8"))
    rows = [
        "| Chapter | To read | To run | Files for its real data |",
        "|:----|:-----|:-----|:------|",
    ]
    for page in QUESTIONS:
        book = json.loads((root / page).read_text(encoding="utf-8"))
        named = book["metadata"].get("tssbook", {}).get("files", [])
        bytes_of = sum(registry[name].get("bytes", 0) for name in named)
        prose = "\n".join(cell["source"] for cell in notebook(root / page))
        title = re.search(r"^# (Chapter \d+(?=:)|.+)", prose, flags=re.MULTILINE)[1]
        number = f"{len(named)} file{'s' * (len(named) != 1)}"
        shown = f"{number}, {size({'bytes': bytes_of})}" if named else "none"
        rows.append(f"| [{title}]({page}) | {' | '.join(times(notebook(root / page)))} | {shown} |")
    return "\n".join(rows) + "\n"


def words(root: Path) -> dict[str, dict]:
    """Return the entries of the glossary by their words, in the order of the alphabet."""
    text = (root / "site" / "glossary.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)
    return {word: found[word] for word in sorted(found, key=str.lower)}


def forms(word: str, entry: dict) -> list[str]:
    """Return the ways in which a chapter may write a word."""
    return [word, *entry.get("forms", [])]


def pattern(forms: list[str]) -> re.Pattern[str]:
    """Return what finds whole words, the longest first; those without capitals in any case."""
    forms = sorted(forms, key=len, reverse=True)
    parts = [re.escape(f) if re.search("[A-Z]", f) else f"(?i:{re.escape(f)})" for f in forms]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(parts)})(?![\w-])")


def sections(root: Path, book: dict) -> list[tuple[str, str, str]]:
    """Return the sections as ``(name, address, text)``, in the order of the book."""
    found = []
    pages = [p for title, files in adapt.parts(book) if title != "Solutions" for p in files]
    for page in (p for p in pages if p.endswith(".ipynb")):
        prose = [c["source"] for c in notebook(root / page) if c["cell_type"] == "markdown"]
        text = "\n\n".join(prose)
        chapter = re.search(r"^# (Chapter \d+(?=:))?:?\s*(.*)$", text, flags=re.MULTILINE)
        html = Path(page).with_suffix(".html").as_posix()
        for part in re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]:
            heading, _, body = part.partition("\n")
            number = re.match(r"## (\d+)\. ", heading)
            if number:
                name = f"{chapter[1] or chapter[2]}, section {number[1]}"
                title = heading.removeprefix(number[0])
                found.append((name, f"{html}#{docstrings.anchor(title)}", body))
    return found


def first_use(word: str, entry: dict, parts: list[tuple[str, str, str]]) -> tuple[str, str] | None:
    """Return name and address of the section that explains a word, or else uses it first.

    A section explains a word where it sets it in bold. None if no section has the word.
    """
    finds = pattern(forms(word, entry))
    bold = [p[:2] for p in parts if any(map(finds.fullmatch, BOLD.findall(p[2])))]
    used = [p[:2] for p in parts if finds.search(p[2])]
    return next(iter(bold + used), None)


def in_one_line(name: str) -> str:
    """Return a section's name so that its number does not begin a line."""
    return name.replace("section ", "section\N{NO-BREAK SPACE}")


def anchor(word: str) -> str:
    """Return the address of a word on the page of the glossary."""
    return re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")


def glossary(root: Path, book: dict) -> str:
    """Return the entries of the glossary, below a heading for each letter."""
    parts, lines, letter = sections(root, book), [], ""
    for word, entry in words(root).items():
        if word[0].upper() != letter:
            letter = word[0].upper()
            lines.append(f"## {letter} {{#letter-{letter.lower()}}}")
        use = first_use(word, entry, parts)
        link = f' <a href="{use[1]}">{escape(in_one_line(use[0]))}</a>' if use else ""
        lines += [f"### {word} {{#{anchor(word)}}}", f"{entry['text']}{link}"]
    return "\n\n".join(lines) + "\n"


def size(entry: dict) -> str:
    """Return the size of a file as people write it."""
    if "bytes" not in entry:
        return str(entry.get("about", "not known"))
    number = entry["bytes"]
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.3g}\N{NO-BREAK SPACE}{unit}"
        number /= 1000
    raise AssertionError


def files(root: Path) -> str:
    """Return the tables of the files that can be fetched and of the networks that come along."""
    shipped = root / "lib" / "tssbook" / "shipped"
    registry = tomllib.loads((shipped / "files.toml").read_text(encoding="utf-8"))
    parts = []
    for level, about in (("sample", "a few megabytes each"), ("full", "large")):
        rows = ["| File | What it is | Size | Licence |", "|:--------|:------------|:---|:------|"]
        for name, entry in registry.items():
            if entry["level"] == level:
                shown = soft(name)
                if "url" in entry:
                    shown = f'<a href="{entry["url"]}">{shown}</a>'
                cells = [escape(entry[key]) for key in ("content", "licence")]
                rows.append(f"| {shown} | {cells[0]} | {size(entry)} | {cells[1]} |")
        parts += [f"## Real files, {about} {{#{level}}}", "\n".join(rows)]
    rows = [
        "| Network | Model | Task | Trained on | Size |",
        "|:-----|:----|:------|:------------|:---|",
    ]
    for path in sorted((shipped / "checkpoints").glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        data = escape(card["training"].get("data", "not said"))
        weights = size({"bytes": path.with_suffix(".safetensors").stat().st_size})
        task = escape(card["task"])
        rows.append(f"| {soft(path.stem)} | {card['model']} | {task} | {data} | {weights} |")
    parts += ["## Networks that come with the book {#networks}", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


def soft(name: str) -> str:
    """Return a file's name as HTML that may break after its signs."""
    shown = re.sub(r"([/_.-])(?=\w)", r"\1<wbr>", escape(name)).replace("_", "&#95;")
    return f"<code>{shown}</code>"


def pages(root: Path, book: dict) -> dict[str, str]:
    """Return the Markdown of every part by its file's name."""
    return {
        "_path.md": path(root),
        "_needs.md": needs(root),
        "_glossary.md": glossary(root, book),
        "_files.md": files(root),
    }


def write(root: Path) -> None:
    """Write the parts; those that are up to date are not touched."""
    for name, markdown in pages(root, adapt.read_book(root)).items():
        adapt.write_changed(root / name, markdown)


if __name__ == "__main__":
    write(Path(__file__).resolve().parent.parent)
