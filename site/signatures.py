"""Signatures and types as HTML that wraps on a narrow page, with links to the library's classes."""

from __future__ import annotations

import re
from html import escape, unescape

import griffe
from docstrings import Text, linked

SHORT = 60  # letters of a signature that stands on one line
LONGEST = 80  # letters of a constant's value


def expression(found: str | griffe.Expr | None, text: Text) -> str:
    """Return an annotation or a default as HTML."""
    if found is None:
        return ""
    if isinstance(found, str):
        return escape(found)
    pieces = []
    for part in found.iterate(flat=True):
        if isinstance(part, griffe.ExprName):
            pieces.append(name_html(part, text))
        else:
            pieces.append(escape(part if isinstance(part, str) else str(part)))
    return "".join(pieces)


def name_html(name: griffe.ExprName, text: Text) -> str:
    """Return a name in a type or default: a link, or what it stands for."""
    place = text.places.get(name.canonical_path)
    if place:
        return f'<a href="{place}">{escape(name.name)}</a>'
    meant = value_of(name)
    return escape(name.name) if meant is None else expression(meant, text)


def value_of(name: griffe.ExprName) -> str | griffe.Expr | None:
    """Return what stands behind a name of the library that no page describes.

    That is a type with a name of its own, such as ``Rows``, or a constant of one file.
    """
    if not name.canonical_path.startswith("tssbook."):
        return None
    module = name.parent
    while module.parent is not None:
        module = module.parent
    found = module.modules_collection[name.canonical_path]
    found = found.final_target if found.is_alias else found
    if not found.is_attribute or isinstance(found.value, griffe.ExprCall):
        return None
    return found.value


def type_markdown(item: object, thing: griffe.Object, text: Text) -> str:
    """Return the type of a parameter, result or error, with its default; one name is a link."""
    html = expression(item.annotation, text)
    path = getattr(item.annotation, "canonical_path", item.annotation)
    shown = linked(f"`{bare(html)}`", text.place(str(path), thing)) if html else ""
    default = default_of(getattr(item, "name", None), thing)
    if default is not None:
        shown += f"{', ' if shown else ''}default `{bare(expression(default, text))}`"
    return shown


def default_of(name: str | None, thing: griffe.Object) -> str | griffe.Expr | None:
    """Return the default of a parameter; those of stars, which griffe gives, are none."""
    for parameter in parameters(thing):
        if parameter.name == name and "variadic" not in parameter.kind.value:
            return parameter.default
    return None


def parameters(thing: griffe.Object) -> list[griffe.Parameter]:
    """Return what a function or class is called with, or the fields of a named tuple."""
    if thing.is_function:
        found = list(thing.parameters)
        methods = thing.parent.is_class and "staticmethod" not in thing.labels
        return found[1:] if methods else found
    if not thing.is_class:
        return []
    if any(str(base).endswith("NamedTuple") for base in thing.bases):
        kind = griffe.ParameterKind.positional_or_keyword
        fields = [(n, f) for n, f in thing.members.items() if f.is_attribute and f.annotation]
        return [griffe.Parameter(n, annotation=f.annotation, kind=kind, default=f.value)
                for n, f in fields if "property" not in f.labels]  # fmt: skip
    found = thing.all_members.get("__init__")
    if found is None or not found.is_function:
        return []
    return list(found.parameters)[1:]


def parameter_lines(found: list[griffe.Parameter], text: Text) -> list[str]:
    """Return each parameter of a signature as HTML, with the signs that stand between them."""
    lines, starred, positional = [], False, False
    for parameter in found:
        kind = parameter.kind.value
        if positional and kind != "positional-only":
            lines.append("/")
        positional = kind == "positional-only"
        if kind == "keyword-only" and not starred:
            lines.append("*")
        starred = starred or kind in ("keyword-only", "variadic positional")
        stars = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        line = f"{stars}<b>{escape(parameter.name)}</b>"
        if parameter.annotation is not None:
            line += f": {expression(parameter.annotation, text)}"
        if parameter.default is not None and not stars:
            equals = " = " if parameter.annotation is not None else "="
            line += f"{equals}{expression(parameter.default, text)}"
        lines.append(line)
    return lines + ["/"] * positional


def signature(name: str, thing: griffe.Object, room: str, text: Text) -> str:
    """Return how a name is imported, called or what it is, as one block of HTML."""
    if thing.is_module:
        return block([f"from {room} import {escape(name)}"])
    if thing.is_attribute:
        about = f": {expression(thing.annotation, text)}" if thing.annotation is not None else ""
        value = (
            str(thing.value) if thing.value is not None and "property" not in thing.labels else ""
        )
        value = value if len(value) <= LONGEST else f"{value[:LONGEST].rsplit(' ', 1)[0]} ..."
        return block([f"<b>{escape(name)}</b>{about}" + (f" = {escape(value)}" if value else "")])
    lines = parameter_lines(parameters(thing), text)
    if thing.is_class:
        errors = any(str(base).endswith(("Error", "Exception")) for base in thing.bases)
        start = f"{'exception' if errors else 'class'} <b>{escape(name)}</b>"
        if not lines and thing.bases:
            return block([f"{start}({', '.join(expression(b, text) for b in thing.bases)})"])
        returns = ""
    else:
        start = f"<b>{escape(name)}</b>"
        returns = expression(thing.returns, text) if thing.returns is not None else ""
    end = f") → {returns}" if returns else ")"
    whole = f"{start}({', '.join(lines)}{end}"
    if len(bare(whole)) <= SHORT:
        return block([whole])
    return block([f"{start}(", *(f"{line}," for line in lines), end])


def bare(html: str) -> str:
    """Return the text of HTML."""
    return unescape(re.sub(r"<[^>]*>", "", html))


def block(lines: list[str]) -> str:
    """Return lines as one block of code; the first and the last stand further out."""
    last = len(lines) - 1
    spans = [
        f'<span class="{"tss-end" if i in (0, last) else "tss-parameter"}">{line}\n</span>'
        for i, line in enumerate(lines)
    ]
    return f'<pre class="tss-signature"><code>{"".join(spans)}</code></pre>'
