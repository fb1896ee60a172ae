"""Write Vega (the chart library of Altair) as one script, so that charts draw without a network.

``python site/vega.py [FILE]``; the default file is ``vega.js`` beside this script, where Quarto
looks for it. The Sphinx build calls `write_bundle` itself. The file is generated, never committed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import vl_convert


def write_bundle(path: Path) -> None:
    """Write Vega, Vega-Lite and Vega-Embed to `path`; the script sets ``window.vegaEmbed``."""
    # The bundle declares thousands of short names at top level. Inside a function they cannot
    # clash with those of other scripts on the page.
    path.write_text(f"(() => {{\n{vl_convert.javascript_bundle()}\n}})();\n", encoding="utf-8")


if __name__ == "__main__":
    default = Path(__file__).with_name("vega.js")
    write_bundle(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
