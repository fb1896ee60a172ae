"""Recipes: files, flags, and the sentences about what is neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import refusal
from tssbook.cli.inputs import track_files
from tssbook.cli.recipe import Recipe, read_recipe, settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "model: ProCapNet\nvalid: chr8\ntest: [chr9]\nlearning_rate: 1e-3\nepochs: 3\n"
        "clip_norm: null\nsettings: {n_filters: 8}\n"
    )
    return path


def test_a_file_and_flags_that_count_more(file: Path) -> None:
    recipe = read_recipe(file, {"epochs": 5, "seed": None, "plus": [], "settings": {}})
    assert recipe == Recipe(
        "ProCapNet", valid=["chr8"], test=["chr9"], learning_rate=0.001, epochs=5,
        clip_norm=None, settings={"n_filters": 8},
    )  # fmt: skip
    again = recipe.as_dict()
    assert again["clip_norm"] is None  # and not what the chapter has
    (file.parent / "again.yaml").write_text(json.dumps(again))  # JSON is YAML
    assert read_recipe(file.parent / "again.yaml", {}) == recipe
    merged = read_recipe(file, {"settings": {"n_layers": 2}})
    assert merged.settings == {"n_filters": 8, "n_layers": 2}


def test_flags_alone() -> None:
    of_chapter_3 = Recipe("SimpleNet", learning_rate=0.0015, length=1650)
    assert read_recipe(None, {"model": "SimpleNet"}) == of_chapter_3
    assert read_recipe(None, {"model": "SimpleNet", "length": 900}).length == 900
    assert settings(["n_filters=8", "widths=[15, 5, 3]"]) == {
        "n_filters": 8, "widths": [15, 5, 3]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("epoch: 3", "has the key 'epoch', which there is not: did you mean 'epochs'?"),
        ("xyz: 3", "which there is not: the keys are background"),
        ("epochs: many", "epochs = 'many'; wanted a whole number"),
        ("epochs: 0", "epochs = 0; wanted more than 0"),
        ("length: 0", "length = 0; wanted more than 0"),
        ("epochs: true", "epochs = True; wanted a whole number"),
        ("seed: 1.5", "seed = 1.5; wanted a whole number"),
        ("learning_rate: fast", "learning_rate = 'fast'; wanted a number"),
        ("test: 9.5", "test = [9.5]; wanted a list of texts"),
        ("valid: chr1\nvalid: chr2", "the key 'valid' is there twice"),
        ("seed: -1", "seed = -1; wanted 0 or more"),
        ("count_weight: -5", "count_weight = -5.0; wanted 0 or more"),
        ("data: loci", "has data, which ProCapNet does not take; wanted fasta"),
        ("1: 2", "has the key '1', which there is not"),
        ("fasta: 9", "fasta = 9; wanted a text"),
        ("settings: 9", "settings = 9; wanted a table"),
        ("model: Puffin", "has the model 'Puffin'; wanted ProCapNet, PromoterNet, SimpleNet"),
        ("- 3", "is no YAML"),
        ("a: [", "is no YAML"),
    ],
)
def test_what_is_no_recipe(file: Path, line: str, words: str) -> None:
    key = line.split(":")[0]
    kept = [old for old in file.read_text().splitlines() if not old.startswith(f"{key}:")]
    file.write_text("\n".join([*kept, line]) + "\n")
    message = refusal(lambda: read_recipe(file, {}))
    assert message.startswith(str(file))
    assert words in message


def test_chromosomes_may_be_numbers(file: Path) -> None:
    file.write_text("model: ProCapNet\nvalid: 10\ntest: [8, 9]\n")
    recipe = read_recipe(file, {})
    assert (recipe.valid, recipe.test) == (["10"], ["8", "9"])


def test_names_of_tracks() -> None:
    plus, minus = ["x/A_plus.bw", "B.fwd.bw"], ["y/A_minus.bw", "B.rev.bw"]
    assert track_files(plus, minus, "ATAC.bw") == {
        "A+": "x/A_plus.bw", "A-": "y/A_minus.bw", "B+": "B.fwd.bw", "B-": "B.rev.bw",
        "ATAC": "ATAC.bw",
    }  # fmt: skip
    assert track_files(["ENCFF1.bw"], ["ENCFF2.bw"]) == {
        "reads+": "ENCFF1.bw", "reads-": "ENCFF2.bw"
    }  # fmt: skip
    assert track_files(["R=a.bw", "S=b.bw"], ["R=c.bw", "S=d.bw"])["S-"] == "d.bw"
    for wrong in (
        (["ENCFF1.bw", "ENCFF3.bw"], ["ENCFF2.bw", "ENCFF4.bw"]),
        (plus, minus[::-1]),
        (["R=a.bw"], ["S=b.bw"]),
    ):
        assert "are taken for the two strands of one track" in refusal(
            lambda w=wrong: track_files(*w)
        )


def test_what_is_no_table_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- a\n")
    assert "no table of keys" in refusal(lambda: read_recipe(tmp_path / "list.yaml", {}))
    with pytest.raises(FileNotFoundError, match="wanted a recipe in YAML"):
        read_recipe(tmp_path / "none.yaml", {})
    assert "wanted NAME=VALUE" in refusal(lambda: settings(["n_filters"]))
    assert "which is no YAML" in refusal(lambda: settings(["n_filters=["]))
