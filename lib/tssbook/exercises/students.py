"""What a student hands in, what a teacher makes of it, and numbers that neighbours do not share.

`hand_in` writes one small JSON file for each student and chapter; `class_table` reads a folder of
them, and so does the command ``tssbook exercises``. The files are an aid to memory and not a
proof: whoever can edit JSON can pass every exercise.
"""

from __future__ import annotations

import json
import math
import platform
import re
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from tssbook import __version__
from tssbook.exercises.verdict import Verdict
from tssbook.files import write_whole

__all__ = ["ClassTable", "HandedIn", "class_table", "hand_in", "variant", "write_class"]

_FORMAT = "tssbook exercises"
_VERSION = 1
_LARGEST = 1_000_000  # bytes; what is handed in has a few thousand
_FOREIGN = "This file was not written by hand_in."
_NO_NAME = "No file yet: set STUDENT to your name or number, and run this cell again."


def variant(student: str | int | None) -> int:
    """Return a student's small number, by which the chapters vary their exercises.

    Parameters
    ----------
    student
        A number as it is, without whole ten thousands: neighbours who count on have different
        variants. A name becomes a number of 1 to 9,999; capitals and spaces make no difference.
        None or an empty text is 0, the exercises as they stand in the book.
    """
    name = _name(student)
    if name.isdecimal():
        return int(name) % 10_000
    return 1 + zlib.crc32(name.casefold().encode()) % 9_999 if name else 0


def _name(student: object) -> str:
    """Return a name on one line of 100 letters at most, without signs that cannot be printed."""
    words = "" if student is None else " ".join(str(student).split())
    return "".join(letter for letter in words if letter.isprintable())[:100].strip()


# --- the student ------------------------------------------------------------------------------


class HandedIn(NamedTuple):
    """What `hand_in` did; a notebook shows the message.

    Attributes
    ----------
    path : Path or None
        The file; None where nothing was written.
    message : str
        One sentence for the reader.
    """

    path: Path | None
    message: str

    def __repr__(self) -> str:
        """Return the message, which is what a notebook shows."""
        return self.message


def hand_in(
    verdicts: Sequence[Verdict], student: str | int | None, path: Path | str | None = None
) -> HandedIn:
    """Write what the checks found into a file that a student can hand in.

    Parameters
    ----------
    verdicts
        What the checks of a chapter returned, each once.
    student
        Name or number. Without one nothing is written.
    path
        None is ``exercises-CHAPTER-STUDENT.json``, here. A file that the same student handed in
        before is replaced, no other one.

    Raises
    ------
    TypeError
        If something is no verdict of a check.
    ValueError
        If there is none, or two are of one exercise.
    FileExistsError
        If the file is somebody else's, or something else.
    """
    results = _results(verdicts)
    if not (name := _name(student)):
        return HandedIn(None, _NO_NAME)
    if path is None:
        chapters = "-".join(sorted({str(result["chapter"]) for result in results}))
        own = re.sub(r"\W+", "-", name.casefold()).strip("-")[:60] or str(variant(name))
        path = f"exercises-{chapters}-{own}.json"
    path = Path(path)
    _require_own(path, name)
    content = {
        "format": _FORMAT,
        "format_version": _VERSION,
        "student": name,
        "variant": variant(name),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {
            "tssbook": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "exercises": results,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole({path: f"{text}\n".encode()})
    n = sum(result["passed"] is True for result in results)
    return HandedIn(path, f"{path.name} is ready to hand in: {n} of {len(results)} passed.")


def _results(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    for i, verdict in enumerate(verdicts):
        if not isinstance(verdict, Verdict) or not verdict.exercise:
            raise TypeError(
                f"Number {i} of the verdicts is {verdict!r}; wanted what the check of an exercise "
                "returned, as in first = checks.NAME(...)."
            )
        if verdict.exercise in results:
            raise ValueError(f"Exercise {verdict.exercise} is there twice; hand in each once.")
        chapter, exercise = map(int, verdict.exercise.split("."))
        results[verdict.exercise] = {
            "chapter": chapter,
            "exercise": exercise,
            "passed": verdict.passed,
            "message": verdict.message,
            "numbers": {name: _plain(value) for name, value in verdict.numbers.items()},
        }
    if not results:
        raise ValueError("There is no verdict to hand in; wanted what the checks returned.")
    return list(results.values())


def _plain(value: float) -> float | None:
    """Round to what JSON and a reader can use; it has no NaN."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None


def _require_own(path: Path, name: str) -> None:
    if not path.exists():
        return
    try:
        whose = _read(path)[0]["student"]
    except ValueError as error:
        raise FileExistsError(
            f"{path} is there already and was not written by hand_in; choose another path."
        ) from error
    if whose.casefold() != name.casefold():
        raise FileExistsError(
            f"{path} is there already, with the results of {whose}; choose another path."
        )


# --- the teacher ------------------------------------------------------------------------------


class ClassTable(NamedTuple):
    """What `class_table` found in a folder.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each student: ``student``, ``variant``, and a column such as ``1.2`` for each
        exercise with ``passed``, ``not yet`` or an empty text.
    results : list of dict
        What the table is made of, one for each student and exercise: also the message, the
        numbers, the versions, the date, and the file it comes from.
    left_out : dict of str
        Files that are not in the table, and why, in a sentence.
    """

    table: pd.DataFrame
    results: list[dict[str, Any]]
    left_out: dict[str, str]


def class_table(folder: Path | str) -> ClassTable:
    """Make one table of what all students handed in.

    Folders inside are read too. Hidden files are not looked at. Where a student handed in one
    exercise twice, a pass counts, and else what came later.

    Parameters
    ----------
    folder
        Files of `hand_in`, under any names.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"There is no folder {folder}; wanted one with files handed in.")
    best: dict[tuple[str, str], dict[str, Any]] = {}
    left_out = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") for part in name.parts):
            continue
        try:
            found = _read(path)
        except (OSError, ValueError) as error:
            left_out[str(name)] = str(error)
            continue
        for result in found:
            result["file"], key = str(name), (result["student"].casefold(), result["exercise"])
            best[key] = max(best.get(key, result), result, key=_worth)
    results = [best[key] for key in sorted(best, key=_order)]
    rows: dict[str, dict[str, Any]] = {}
    for result in results:
        row = rows.setdefault(result["student"].casefold(), {"student": result["student"]})
        row["variant"] = result["variant"]
        done = result["passed"] is not None or result["message"]
        row[result["exercise"]] = "passed" if result["passed"] else "not yet" if done else ""
    columns = sorted({result["exercise"] for result in results}, key=_exercise)
    table = pd.DataFrame(list(rows.values()), columns=["student", "variant", *columns]).fillna("")
    return ClassTable(table, results, left_out)


def write_class(path: Path | str, table: pd.DataFrame) -> None:
    """Write a class table as CSV that spreadsheets open as it is.

    Parameters
    ----------
    path
        Replaced if it is there.
    table
        Of `class_table`. What a spreadsheet would take for a formula is marked as text.
    """
    names = table["student"].map(lambda name: f"'{name}" if name[0] in "=+-@" else name)
    text = table.assign(student=names).to_csv(index=False, lineterminator="\n")
    write_whole({Path(path): text.encode("utf-8-sig")})


def _worth(result: dict[str, Any]) -> tuple[bool, datetime]:
    return result["passed"] is True, datetime.fromisoformat(result["date"])


def _order(key: tuple[str, str]) -> tuple[bool, int, str, list[int]]:
    """Sort numbers before names, and numbers by size."""
    student, exercise = key
    is_name = not student.isdecimal()
    return is_name, 0 if is_name else int(student), student, _exercise(exercise)


def _exercise(name: str) -> list[int]:
    return [int(part) for part in name.split(".")]


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the results of one file; what is none raises a ValueError that says why."""
    if (size := path.stat().st_size) > _LARGEST:
        raise ValueError(f"This file has {size / 1e6:,.0f} MB; what hand_in writes is far smaller.")
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if path.suffix != ".json":
            raise ValueError(_FOREIGN) from error
        raise ValueError("This file is damaged: it is not JSON, or not to its end.") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(_FOREIGN)
    if content.get("format_version") != _VERSION:
        raise ValueError("This file was written by another version of tssbook; update one of them.")
    try:
        return _checked(content)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            "This file is damaged: entries are missing, or have odd values."
        ) from error


def _checked(content: dict[str, Any]) -> list[dict[str, Any]]:
    student = _name(content["student"])
    if not student or datetime.fromisoformat(content["date"]).tzinfo is None:
        raise ValueError
    common = {
        "student": student,
        "variant": int(content["variant"]),
        "date": content["date"],
        "versions": dict(content["versions"]),
    }
    results = []
    for result in content["exercises"]:
        if not isinstance(result["passed"], bool | None) or not isinstance(result["message"], str):
            raise TypeError
        name = f"{int(result['chapter'])}.{int(result['exercise'])}"
        told = {key: result[key] for key in ("passed", "message")}
        results.append(
            common | {"exercise": name} | told | {"numbers": dict(result["numbers"]), "file": ""}
        )
    if not results:
        raise ValueError
    return results
