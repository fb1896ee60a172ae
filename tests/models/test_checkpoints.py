"""checkpoints: what is saved comes back, by every way the ecosystem knows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tssbook
from tests.models.tiny_models import Other, Tiny
from tssbook.models import checkpoints
from tssbook.models.checkpoints import describe, load, read_tensors, save, shipped

ABOUT = {
    "task": "8-mer score",
    "training": {"data": "all 8-mers", "seed": 17, "epochs": 50},
    "metrics": {"validation_mse": 0.875},
    "licence": "MIT",
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Tiny(length=3, n_out=2)
    model.steps += 7
    return model


def same_tensors(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return list(first) == list(second) and all(torch.equal(first[k], second[k]) for k in first)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_save_and_load_give_the_same_model(model, tmp_path):
    path = save(model, tmp_path / "tiny", **ABOUT)
    assert path == tmp_path / "tiny.safetensors"
    assert names(tmp_path) == ["tiny.json", "tiny.safetensors"]
    loaded = load(path)
    assert type(loaded) is Tiny
    assert loaded.config == {"length": 3, "n_out": 2}
    assert loaded.steps == 7
    assert same_tensors(loaded, model)
    assert not loaded.training
    x = torch.eye(4)[:, [0, 1, 2]].expand(5, 4, 3)
    assert torch.equal(loaded(x), model.eval()(x))


@pytest.mark.parametrize("given", ["tiny-v1.2", "tiny-v1.2.json", "tiny-v1.2.safetensors"])
def test_suffix_may_be_given_or_not_and_names_may_have_dots(model, tmp_path, given):
    save(model, tmp_path / given)
    assert names(tmp_path) == ["tiny-v1.2.json", "tiny-v1.2.safetensors"]
    assert same_tensors(load(str(tmp_path / given)), model)


def test_description_holds_every_field(model, tmp_path):
    path = save(model, tmp_path / "new" / "folder" / "tiny", **ABOUT)
    about = json.loads(path.with_suffix(".json").read_text())
    assert about == describe(path) == {
        "format": 1,
        "model": "tiny.Tiny",
        "config": {"length": 3, "n_out": 2},
        **ABOUT,
        "tssbook": tssbook.__version__,
        "sha256": checkpoints.sha256(path),
    }  # fmt: skip


def test_saving_again_replaces_both_files(model, tmp_path):
    save(model, tmp_path / "tiny", task="first")
    changed = Tiny(length=5)
    save(changed, tmp_path / "tiny", task="second")
    assert describe(tmp_path / "tiny")["task"] == "second"
    assert same_tensors(load(tmp_path / "tiny"), changed)


def test_loading_does_not_move_the_random_numbers(model, tmp_path):
    path = save(model, tmp_path / "tiny")
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load(path)
    assert torch.equal(torch.rand(3), expected)


def test_shipped_names(model, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_shipped_folder", lambda: tmp_path / "package")
    assert shipped() == []
    save(model, tmp_path / "package" / "b")
    save(Tiny(), tmp_path / "package" / "a")
    assert shipped() == ["a", "b"]
    assert same_tensors(load("b"), model)
    assert describe("a")["config"] == {"length": 2, "n_out": 1}
    assert same_tensors(Tiny.from_pretrained("b"), model)


def test_a_path_never_means_a_shipped_name(model, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_shipped_folder", lambda: tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    save(model, tmp_path / "package" / "a")
    assert load("a").config["length"] == 3
    save(Tiny(length=9), "a")
    assert load(Path("a")).config["length"] == 9
    assert load("./a").config["length"] == 9


@pytest.mark.parametrize("precision", ["half", "bfloat16", "double"])
def test_the_precision_is_kept(model, tmp_path, precision):
    getattr(model, precision)()
    loaded = load(save(model, tmp_path / "tiny"))
    assert loaded.linear.weight.dtype == model.linear.weight.dtype
    assert same_tensors(loaded, model)
    assert loaded.linear.weight.requires_grad
    assert loaded.steps.dtype == torch.int64


def test_what_is_not_stored_is_built(tmp_path):
    class Masked(Tiny):
        def __init__(self, length: int = 2, n_out: int = 1) -> None:
            super().__init__(length, n_out)
            self.register_buffer("mask", torch.tensor([1.0, 0.0]), persistent=False)

    path = save(Masked(), tmp_path / "masked")
    assert Masked.from_pretrained(path).mask.tolist() == [1.0, 0.0]


def test_every_shipped_checkpoint_loads_and_says_what_it_is():
    assert shipped()
    for name in shipped():
        about = describe(name)
        assert {"task", "training", "metrics", "licence"} <= set(about)
        assert load(name).config == about["config"]


def test_folder_as_on_the_hub(model, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path)
    assert names(tmp_path) == ["README.md", "config.json", "model.safetensors"]
    assert "library_name: tssbook" in (tmp_path / "README.md").read_text()
    loaded = Tiny.from_pretrained(tmp_path)
    assert same_tensors(loaded, model)
    assert not loaded.training
    assert same_tensors(load(tmp_path), model)
    monkeypatch.chdir(tmp_path)
    assert same_tensors(load("."), model)


def test_save_pretrained_replaces_what_was_there(model, tmp_path):
    Other().save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    assert same_tensors(Tiny.from_pretrained(tmp_path), model)


def test_expected_settings_that_fit(model, tmp_path):
    save(model, tmp_path / "tiny")
    assert same_tensors(Tiny.from_pretrained(tmp_path / "tiny", length=3, n_out=2), model)


def test_push_to_hub_sends_the_folder(model, monkeypatch):
    sent = {}

    class Hub:
        def __init__(self, token=None):
            pass

        def create_repo(self, repo_id, **_):
            return type("Url", (), {"repo_id": repo_id})

        def upload_folder(self, *, repo_id, folder_path, **_):
            sent[repo_id] = names(Path(folder_path))
            return "https://hub/commit"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Hub)
    assert model.push_to_hub("someone/tiny") == "https://hub/commit"
    assert sent == {"someone/tiny": ["README.md", "config.json", "model.safetensors"]}


def test_from_pretrained_of_a_hub_repository(model, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path)
    asked = []

    def hub(repository, file, *, revision, **_):
        asked.append((repository, file, revision))
        return str(tmp_path / file)

    monkeypatch.setattr(checkpoints, "hf_hub_download", hub)
    assert same_tensors(Tiny.from_pretrained("someone/tiny", revision="v1"), model)
    assert asked == [
        ("someone/tiny", "model.safetensors", "v1"),
        ("someone/tiny", "config.json", "v1"),
    ]


def test_a_class_of_the_reader_loads_by_itself(tmp_path):
    class Mine(Tiny):
        pass

    Mine.__module__ = "__main__"
    Mine.__qualname__ = "Mine"
    mine = Mine()
    path = save(mine, tmp_path / "mine")
    assert describe(path)["model"] == "__main__.Mine"
    assert same_tensors(Mine.from_pretrained(path), mine)


def test_non_contiguous_tensors_are_saved_in_their_order(tmp_path):
    model = Tiny(length=1, n_out=4)
    values = torch.arange(16.0).reshape(4, 4)
    model.linear.weight = torch.nn.Parameter(values.t())
    loaded = load(save(model, tmp_path / "tiny"))
    assert torch.equal(loaded.linear.weight, values.t())


def test_read_tensors_of_foreign_files(tmp_path):
    tensors = {"a": torch.arange(3.0), "b.c": torch.ones(2, 2)}
    save_file(tensors, tmp_path / "x.safetensors")
    torch.save(tensors, tmp_path / "x.pth")
    torch.save(tensors, tmp_path / "x.pt")
    for suffix in ("safetensors", "pth", "pt"):
        found = read_tensors(tmp_path / f"x.{suffix}")
        assert sorted(found) == ["a", "b.c"]
        assert torch.equal(found["a"], torch.tensor([0.0, 1.0, 2.0]))


def test_tensors_can_be_read_by_safetensors_alone(model, tmp_path):
    found = load_file(save(model, tmp_path / "tiny"))
    assert sorted(found) == ["linear.bias", "linear.weight", "steps"]


def test_published_puffin_weights():
    mirror = Path(os.environ.get("TSSBOOK_MIRROR", "no-mirror"))
    if not (mirror / "puffin.pth").is_file():
        pytest.skip("TSSBOOK_MIRROR names no mirror folder")
    tensors = read_tensors(mirror / "puffin.pth")
    assert len(tensors) == 14
    assert sum(tensor.numel() for tensor in tensors.values()) == 510_948
    assert {tensor.device.type for tensor in tensors.values()} == {"cpu"}
