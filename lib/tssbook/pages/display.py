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
        import altair
        import vl_convert

        file = resources.files("tssbook").joinpath("shipped", "chart.html")
        page = Template(file.read_text(encoding="utf-8"))
        png = base64.b64encode(vl_convert.vegalite_to_png(self.spec, scale=1.5)).decode("ascii")
        libraries = [
            f"https://cdn.jsdelivr.net/npm/vega@{altair.VEGA_VERSION}",
            f"https://cdn.jsdelivr.net/npm/vega-lite@{altair.VEGALITE_VERSION}",
            f"https://cdn.jsdelivr.net/npm/vega-embed@{altair.VEGAEMBED_VERSION}",
        ]
        text = page.substitute(
            name=self.name,
            alt=html.escape(self.alt, quote=True),
            png=png,
            # "</script" inside a script would end it, and "<!--<script" would keep it open.
            spec=json.dumps(self.spec, separators=(",", ":")).replace("<", "\\u003c"),
            libraries=json.dumps(libraries),
        )
        return {"text/html": text, "image/png": png, "text/plain": f"[chart: {self.alt}]"}
