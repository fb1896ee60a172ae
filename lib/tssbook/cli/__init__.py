"""The command ``tssbook``, thin over the library; the extra ``cli``.

``tssbook --help`` lists the commands, ``tssbook COMMAND --help`` shows an example of each.
"""

from tssbook.cli.app import app, main

__all__ = ["app", "main"]
