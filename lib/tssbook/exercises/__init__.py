"""Checks of the exercises: each looks at an answer and says in one sentence what it finds.

A module for each chapter; `Verdict` is what every check returns. `hand_in` writes verdicts into a
file, `class_table` collects such files, and `variant` gives neighbours different numbers.
"""

from tssbook.exercises import chapter_1, chapter_2, chapter_3, chapter_4
from tssbook.exercises.students import (
    ClassTable,
    HandedIn,
    class_table,
    hand_in,
    variant,
    write_class,
)
from tssbook.exercises.verdict import Verdict

__all__ = [
    "ClassTable",
    "HandedIn",
    "Verdict",
    "chapter_1",
    "chapter_2",
    "chapter_3",
    "chapter_4",
    "class_table",
    "hand_in",
    "variant",
    "write_class",
]
