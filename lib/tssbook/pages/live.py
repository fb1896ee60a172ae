"""Figures to touch: a stored picture, which the book's site replaces by something that answers."""

from __future__ import annotations

import base64
import html
import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Live"]

_SITE = "https://github.com/PLACEHOLDER-OWNER/from-sequence-to-start-site"


class Live:
    """A picture that becomes a live figure where the site's scripts are loaded.

    In Colab, in JupyterLab and without JavaScript the picture stays, with a link to the book.

    Parameters
    ----------
    name
        Which live figure: a key of ``figures`` in ``site/live/core.js``.
    figure
        The picture, drawn by Matplotlib; it is closed, so that it shows once.
    alt
        What the picture shows, in words.
    given
        What the live figure needs besides its networks: anything that JSON can hold.
    """

    def __init__(self, name: str, figure: Figure, alt: str, given: Any = None) -> None:
        import matplotlib.pyplot as plt

        self.name, self.alt, self.given = name, alt, given
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        plt.close(figure)
        self._png = base64.b64encode(picture.getvalue()).decode("ascii")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        given = json.dumps(self.given, separators=(",", ":"), allow_nan=False)
        place = {"class": "tss-live", "data-live": self.name, "data-given": given}
        written = " ".join(f'{name}="{html.escape(text)}"' for name, text in place.items())
        text = (
            f'<div {written}><img src="data:image/png;base64,{self._png}" '
            f'alt="{html.escape(self.alt)}"><p><a href="{_SITE}">On the book\'s site you can '
            "touch this figure.</a></p></div>"
        )
        return {"text/html": text, "image/png": self._png, "text/plain": f"[{self.alt}]"}
