"""What a notebook shows besides figures: the library's own source, and interactive charts."""

from __future__ import annotations

import ast
import base64
import html
import inspect
import json
import textwrap
from importlib import resources
from itertools import pairwise
from string import Template
from typing import TYPE_CHECKING, Any

from IPython.display import Markdown

if TYPE_CHECKING:
    import altair

__all__ = ["Interactive", "source"]

# Vega's three parts for pages that are not of the site: the minified file of each npm package, and
# the sha384 of its bytes, without which a browser does not run it.
_LIBRARIES = {
    "vega@6.2.0/build/vega.min.js": (
        "0Wc8+KeboSkAq/fK81pd4uFbWKu4ouB+y4KWCYxlC69hRWol7vnc6zZSruXOtc0F"
    ),
    "vega-lite@6.4.1/build/vega-lite.min.js": (
        "QtG7pnWvq1Tk0Rcvl53B1TEVw7U1PUqfciCz3XMUqSmi1fNpJwiv5ml+m5NeOOzH"
    ),
    "vega-embed@7.0.2/build/vega-embed.min.js": (
        "MsH1NE1KRDpmMJCcJ8Ulqhadgiz4lT0GIaHN7DKB1POKAoBhSWywPDQ2sJDkP8M7"
    ),
}


def source(*objects: Any) -> Markdown:
    """Show the source of functions or classes of the library, as it runs.

    Docstrings are cut before their first section (``Parameters``, ``Raises`` and so on), those of
    a class's methods too: what is left is the summary. `help` shows the whole.

    Parameters
    ----------
    *objects
        Functions, methods or classes that were read from a file.

    Returns
    -------
    IPython.display.Markdown
        One block of Python.

    Raises
    ------
    TypeError
        An object is no function, method or class.
    OSError
        Its source is not to be found.
    """
    text = "\n\n".join(_summarised(thing) for thing in objects)
    return Markdown(f"```python\n{text}\n```")


def _summarised(thing: Any) -> str:
    """Return an object's source with summaries for docstrings, from the left margin."""
    code = textwrap.dedent(inspect.getsource(thing))
    lines = code.splitlines()
    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, documented)]
    for node in sorted(found, key=lambda node: -node.lineno):  # from below: line numbers stay true
        if ast.get_docstring(node) is not None:
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno
            lines[first:last] = _summary(lines[first:last])
    return "\n".join(lines)


def _summary(docstring: list[str]) -> list[str]:
    """Cut the lines of a docstring before the first title that is underlined by hyphens."""
    lines = [line.strip() for line in docstring]
    underlined = (title and under == "-" * len(title) for title, under in pairwise(lines))
    number = next((i for i, found in enumerate(underlined) if found), None)
    if number is None:
        return docstring
    kept = "\n".join(docstring[:number]).rstrip().splitlines()
    quotes = lines[-1][-3:]
    if len(kept) == 1:
        return [kept[0] + quotes]
    indent = docstring[-1][: -len(lines[-1])]
    return [*kept, indent + quotes]


class Interactive:
    """An Altair chart that also works where Altair's own output does not.

    Shown in a notebook it is one bundle: a page fragment that holds the picture and replaces
    it by the live chart once Vega is loaded (from the site's own copy if there is one, else
    from the network), and the picture alone for everything that shows no HTML.

    Parameters
    ----------
    chart
        The chart; at most a few thousand points, since they are all stored in the notebook.
    name
        Distinguishes the charts of a page; lower-case letters, digits and hyphens.
    alt
        What the picture shows, in words.
    """

    def __init__(self, chart: altair.TopLevelMixin, name: str, alt: str) -> None:
        self.spec, self.name, self.alt = chart.to_dict(), name, alt

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        import vl_convert

        file = resources.files("tssbook").joinpath("shipped", "chart.html")
        page = Template(file.read_text(encoding="utf-8"))
        png = base64.b64encode(vl_convert.vegalite_to_png(self.spec, scale=1.5)).decode("ascii")
        libraries = [
            {
                "src": f"https://cdn.jsdelivr.net/npm/{path}",
                "integrity": f"sha384-{checksum}",
                "crossOrigin": "anonymous",
            }
            for path, checksum in _LIBRARIES.items()
        ]
        place = f"chart-{self.name}"
        text = page.substitute(
            place=html.escape(place, quote=True),
            place_text=_for_script(place),
            alt=html.escape(self.alt, quote=True),
            png=png,
            spec=_for_script(self.spec),
            libraries=_for_script(libraries),
        )
        return {"text/html": text, "image/png": png, "text/plain": f"[chart: {self.alt}]"}


def _for_script(value: Any) -> str:
    """Write a value as JavaScript that cannot leave the script of a page it stands in."""
    # "</script" inside a script would end it, and "<!--<script" would keep it open.
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
