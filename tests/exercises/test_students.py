"""What students hand in, what becomes of it in a class table, and their variants."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from tssbook.exercises import Verdict, class_table, hand_in, variant, write_class

PASSED = Verdict(True, "well done.", {"error": 0.0123456789, "r": math.nan}, "1.1")
FAILED = Verdict(False, "look again.", exercise="1.2")
BEGUN = Verdict(None, "right so far; still to come: r.", exercise="1.2")
EMPTY = Verdict(None, "", exercise="1.3")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- variants -------------------------------------------------------------------------------


def test_numbers_are_their_own_variants() -> None:
    assert [variant(n) for n in (7, "8", " 9 ", 20_231_234)] == [7, 8, 9, 1234]


def test_names_have_variants_and_nobody_has_the_books() -> None:
    assert variant("Ada Lovelace") == variant("  ada  LOVELACE ") == variant("Ada\nLovelace")
    # zlib.crc32(b"ada lovelace") is 2_835_690_841, which leaves 4438 if divided by 9,999
    assert variant("Ada Lovelace") == 4439
    some = [variant(f"student {i}") for i in range(1000)]
    assert min(some) > 0
    assert len(set(some)) > 900
    assert [variant(nobody) for nobody in (None, "", "  ")] == [0, 0, 0]


# --- handing in -----------------------------------------------------------------------------


def test_the_file_on_paper(here: Path) -> None:
    done = hand_in([PASSED, FAILED, EMPTY], "Zoë  O'Hara")
    assert repr(done) == "exercises-1-zoë-o-hara.json is ready to hand in: 1 of 3 passed."
    text = (here / done.path).read_text(encoding="utf-8")
    content = json.loads(text)
    assert "Zoë O'Hara" in text
    assert content["variant"] == variant("Zoë O'Hara")
    assert set(content["versions"]) == {"tssbook", "torch", "numpy", "python"}
    assert datetime.fromisoformat(content["date"]).tzinfo
    assert content["exercises"] == [
        {
            "chapter": 1,
            "exercise": 1,
            "passed": True,
            "message": "well done.",
            "numbers": {"error": 0.0123457, "r": None},  # six digits; JSON has no NaN
        },
        {"chapter": 1, "exercise": 2, "passed": False, "message": "look again.", "numbers": {}},
        {"chapter": 1, "exercise": 3, "passed": None, "message": "", "numbers": {}},
    ]


@pytest.mark.parametrize("nobody", [None, "", " "])
def test_without_a_name_nothing_is_written(here: Path, nobody: str | None) -> None:
    done = hand_in([PASSED], nobody)
    assert repr(done).startswith("No file yet: set STUDENT to your name or number")
    assert done.path is None
    assert list(here.iterdir()) == []


def test_a_name_cannot_leave_the_folder(here: Path) -> None:
    hand_in([PASSED], "../../etc/passwd")
    hand_in([PASSED], "!!!")
    names = {path.name for path in here.iterdir()}
    assert names == {"exercises-1-etc-passwd.json", f"exercises-1-{variant('!!!')}.json"}


def test_ones_own_file_is_replaced_and_no_other(here: Path) -> None:
    hand_in([FAILED], "Ada", "mine.json")
    assert repr(hand_in([PASSED], "ada", "mine.json")).endswith("1 of 1 passed.")
    with pytest.raises(FileExistsError, match="with the results of ada; choose another path"):
        hand_in([PASSED], "Ben", "mine.json")
    (here / "notes.json").write_text("[1, 2]")
    with pytest.raises(FileExistsError, match="was not written by hand_in; choose another"):
        hand_in([PASSED], "Ada", "notes.json")
    assert (here / "notes.json").read_text() == "[1, 2]"


@pytest.mark.parametrize(
    ("verdicts", "error", "message"),
    [
        ([PASSED, None], TypeError, "Number 1 of the verdicts is None; wanted what the check"),
        ([Verdict(True, "by hand")], TypeError, "wanted what the check of an exercise returned"),
        ([PASSED, PASSED], ValueError, "Exercise 1.1 is there twice; hand in each once."),
        ([], ValueError, "There is no verdict to hand in"),
    ],
)
def test_what_is_no_verdict(verdicts, error, message) -> None:
    with pytest.raises(error, match=message):
        hand_in(verdicts, "Ada")


# --- the class table ------------------------------------------------------------------------


def later(path: Path, date: str) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"date": date}))


def test_the_table_on_paper(here: Path) -> None:
    hand_in([PASSED, FAILED, EMPTY], 10)
    hand_in([PASSED, BEGUN], 9)
    (here / "Ben").mkdir()
    other = Verdict(True, "good.", exercise="2.1")
    hand_in([other, PASSED], "Ben", "Ben/anything.txt")
    table, results, left_out = class_table(here)
    assert left_out == {}
    assert table.to_dict("list") == {
        "student": ["9", "10", "Ben"],
        "variant": [9, 10, variant("Ben")],
        "1.1": ["passed", "passed", "passed"],
        "1.2": ["not yet", "not yet", ""],
        "1.3": ["", "", ""],
        "2.1": ["", "", "passed"],
    }
    assert results[0]["numbers"] == {"error": 0.0123457, "r": None}
    assert results[0]["file"] == "exercises-1-9.json"


def test_a_pass_counts_and_else_the_later_one(here: Path) -> None:
    for i, (verdict, date) in enumerate(
        [
            (PASSED, "2026-01-01T10:00:00+00:00"),
            (PASSED._replace(passed=False), "2026-01-02T10:00:00+00:00"),
            (FAILED, "2026-01-01T12:00:00+01:00"),  # 11 o'clock in Greenwich
            (FAILED._replace(message="nearly."), "2026-01-01T11:30:00+00:00"),
        ]
    ):
        hand_in([verdict], "Ada", f"{i}.json")
        later(here / f"{i}.json", date)
    table, results, _ = class_table(here)
    assert table.to_numpy().tolist() == [["Ada", variant("Ada"), "passed", "not yet"]]
    assert [result["file"] for result in results] == ["0.json", "3.json"]


def content(**changes) -> str:
    hand_in([PASSED], "Eve", "eve.json")
    whole = json.loads(Path("eve.json").read_text())
    Path("eve.json").unlink()
    return json.dumps(whole | changes)


RESULT = {"chapter": 1, "exercise": 1, "passed": None, "message": "", "numbers": {}}
FOREIGN, DAMAGED = "This file was not written by hand_in.", "This file is damaged: entries"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.json", "", "This file is damaged: it is not JSON, or not to its end."),
        ("a.json", content, "This file is damaged: it is not JSON, or not to its end."),
        ("a.json", "[" * 100_000, "This file is damaged: it is not JSON, or not to its end."),
        ("a.json", b"\xff\xfe\x00", "This file is damaged: it is not JSON, or not to its end."),
        ("a.docx", b"PK\x03\x04", FOREIGN),
        ("a.json", "[]", FOREIGN),
        ("a.json", '{"cells": []}', FOREIGN),
        ("a.json", " " * 1_000_001, "This file has 1 MB; what hand_in writes is far smaller."),
        ("a.json", {"format_version": 2}, "This file was written by another version of tssbook"),
        ("a.json", {"student": " "}, DAMAGED),
        ("a.json", {"date": "yesterday"}, DAMAGED),
        ("a.json", {"date": "2026-01-01T10:00:00"}, DAMAGED),
        ("a.json", {"date": 3}, DAMAGED),
        ("a.json", {"variant": None}, DAMAGED),
        ("a.json", {"variant": 1e999}, DAMAGED),
        ("a.json", {"versions": 3}, DAMAGED),
        ("a.json", {"exercises": []}, DAMAGED),
        ("a.json", {"exercises": {"1.1": True}}, DAMAGED),
        ("a.json", {"exercises": [{"chapter": 1}]}, DAMAGED),
        (
            "a.json",
            {"exercises": [RESULT | {"passed": "yes"}]},
            DAMAGED,
        ),
    ],
)
def test_other_files_are_named_and_the_rest_is_read(here: Path, name, text, sentence) -> None:
    if callable(text):
        text = text()[:-20]  # the download broke off
    if isinstance(text, dict):
        text = content(**text)
    (here / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    hand_in([PASSED], "Ada")
    table, _, left_out = class_table(here)
    assert list(left_out) == [name]
    assert left_out[name].startswith(sentence)
    assert table["student"].tolist() == ["Ada"]


def test_hidden_files_are_not_looked_at_and_a_mark_at_the_start_does_no_harm(here: Path) -> None:
    (here / ".DS_Store").write_bytes(b"\0")
    (here / ".ipynb_checkpoints").mkdir()
    (here / ".ipynb_checkpoints" / "a.json").write_text("{")
    (here / "eve.json").write_text("\ufeff" + content(), encoding="utf-8")
    table, _, left_out = class_table(here)
    assert (len(table), left_out) == (1, {})


def test_a_number_of_too_many_digits_does_not_stop_the_table(here: Path) -> None:
    (here / "a.json").write_text(content(student="9" * 5000))
    hand_in([PASSED], 7)
    assert class_table(here).table["student"].tolist() == ["7", "9" * 100]


def test_control_characters_do_not_reach_the_screen(here: Path) -> None:
    (here / "a.json").write_text(content(student="E\x1b[2Jve\nX"))
    assert class_table(here).table["student"].tolist() == ["E[2Jve X"]


def test_an_empty_folder_and_none(here: Path) -> None:
    table, results, left_out = class_table(here)
    assert (list(table.columns), len(table), results, left_out) == (
        ["student", "variant"],
        0,
        [],
        {},
    )
    with pytest.raises(NotADirectoryError, match="There is no folder nowhere"):
        class_table("nowhere")


def test_csv_opens_in_a_spreadsheet_and_is_no_formula(here: Path) -> None:
    for name in ("Zoë", "=1+1", "@x", "-3"):
        hand_in([PASSED], name, f"{variant(name)}.json")
    write_class("class.csv", class_table(here).table)
    assert (here / "class.csv").read_bytes().startswith(b"\xef\xbb\xbfstudent,variant,1.1\n")
    read = pd.read_csv("class.csv", dtype=str)
    assert sorted(read["student"]) == sorted(["Zoë", "'=1+1", "'@x", "'-3"])
    assert read["1.1"].tolist() == ["passed"] * 4
