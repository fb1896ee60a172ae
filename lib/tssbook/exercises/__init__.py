"""Checks of the exercises: each looks at an answer and says in one sentence what it finds.

A module for each chapter; `Verdict` is what every check returns.
"""

from tssbook.exercises import chapter_1, chapter_2, chapter_3, chapter_4
from tssbook.exercises.verdict import Verdict

__all__ = ["Verdict", "chapter_1", "chapter_2", "chapter_3", "chapter_4"]
