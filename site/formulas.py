"""Write formulas as MathML, which browsers draw by themselves, as Quarto does.

So a page with formulas needs no script. What docutils cannot translate stops the build.
"""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

log = logging.getLogger(__name__)


def write(writer, node: nodes.math | nodes.math_block) -> None:
    """Write a formula: in its line, or one of its own that can be scrolled on a phone."""
    block = isinstance(node, nodes.math_block)
    try:
        drawn = tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        log.warning("no MathML for %s: %s", node.astext(), error, location=node)
        drawn = ""
    tag = "div" if block else "span"
    writer.body.append(f'<{tag} class="tss-formula">{drawn}</{tag}>')
    raise nodes.SkipNode
