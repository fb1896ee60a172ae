"""``tssbook exercises``: a folder of what students handed in, as a table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tssbook.cli import main
from tssbook.exercises import Verdict, hand_in, variant


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run the command in a folder with two students and a file of something else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "handed-in").mkdir()
    first = Verdict(True, "well done.", {"error": 0.5}, "1.1")
    second = Verdict(False, "look again.", exercise="1.2")
    hand_in([first, second], "Ada", "handed-in/ada.json")
    hand_in([first], 7, "handed-in/7.json")
    (tmp_path / "handed-in" / "essay.txt").write_text("My essay")

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["tssbook", "exercises", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return call


def test_on_the_screen(said) -> None:
    code, out, err = said("handed-in")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines == [
        ["class:"],
        ["student", "variant", "1.1", "1.2"],
        ["7", "7", "passed"],
        ["Ada", str(variant("Ada")), "passed", "not", "yet"],
        ["left", "out:"],
        ["essay.txt:", "This", "file", "was", "not", "written", "by", "hand_in."],
    ]


def test_as_csv_and_as_json(said) -> None:
    code, out, _ = said("handed-in", "--out", "class.csv", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["table"] == "class.csv"
    assert list(found["left_out"]) == ["essay.txt"]
    assert [(r["student"], r["exercise"], r["passed"]) for r in found["results"]] == [
        ("7", "1.1", True), ("Ada", "1.1", True), ("Ada", "1.2", False),
    ]  # fmt: skip
    assert found["results"][0]["numbers"] == {"error": 0.5}
    wanted = f"student,variant,1.1,1.2\n7,7,passed,\nAda,{variant('Ada')},passed,not yet\n"
    assert Path("class.csv").read_text(encoding="utf-8-sig") == wanted


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "There is no folder nowhere; wanted one with files handed in."),
        (["handed-in", "--out", "class.xlsx"], "wanted a name that ends in .csv."),
        (["handed-in", "--out", "old.csv"], "old.csv is there already; choose another name, or"),
    ],
)
def test_one_sentence_and_nothing_written(said, words, sentence) -> None:
    Path("old.csv").write_text("old")
    code, out, err = said(*words)
    assert (code, out) == (1, "")
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert Path("old.csv").read_text() == "old"
    assert said("handed-in", "--out", "old.csv", "--force")[0] == 0
