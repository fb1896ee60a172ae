"""checkpoints, when something does not fit: one sentence, with the field and both values."""

from __future__ import annotations

import errno
import io
import json

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

import tssbook
from tests import support
from tests.models.tiny_models import Other, Tiny
from tests.support import Bomb, read_only_folder
from tssbook.data import download
from tssbook.models import checkpoints
from tssbook.models.checkpoints import CheckpointError, load, read_tensors, save


@pytest.fixture
def path(tmp_path):
    """A good checkpoint of Tiny(length=2, n_out=1), to be spoiled."""
    return save(Tiny(), tmp_path / "tiny")


def refusal(call, error: type[Exception] = CheckpointError) -> str:
    """The message with which the call refuses: one line."""
    return support.refusal(call, error)


def edit(path, **fields) -> None:
    """Change fields of the description."""
    description = path.with_suffix(".json")
    description.write_text(json.dumps(json.loads(description.read_text()) | fields))


def replace_tensors(path, tensors) -> None:
    """Other tensors, with a checksum that fits."""
    save_file(tensors, path)
    edit(path, sha256=download.sha256(path))


# --- another model, other settings, other tensors -------------------------------------------


def test_checkpoint_of_another_model(path):
    message = refusal(lambda: Other.from_pretrained(path))
    assert "describes a tiny.Tiny, not a tiny.Other" in message


def test_other_setting_than_expected(path):
    message = refusal(lambda: Tiny.from_pretrained(path, length=8))
    assert "has length = 2, not 8" in message


def test_expected_setting_that_does_not_exist(path):
    assert "has strict = nothing, not False" in refusal(
        lambda: Tiny.from_pretrained(path, strict=False)
    )


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (
            lambda t: t.pop("linear.bias"),
            "linear.bias: .* has no such tensor, Tiny needs shape (1,)",
        ),
        (
            lambda t: t.update({"extra": torch.zeros(3)}),
            "extra: .* has shape (3,), Tiny needs no such tensor",
        ),
        (
            lambda t: t.update({"linear.weight": torch.zeros(1, 12)}),
            "linear.weight: .* has shape (1, 12), Tiny needs shape (1, 8)",
        ),
        (
            lambda t: t.update({"linear.bias": torch.zeros(1, dtype=torch.int64)}),
            "linear.bias: .* has shape (1,) of integers, Tiny needs shape (1,)",
        ),
    ],
)
@pytest.mark.parametrize("way", [load, Tiny.from_pretrained])
def test_tensors_that_do_not_fit(path, way, spoil, complaint):
    tensors = load_file(path)
    spoil(tensors)
    replace_tensors(path, tensors)
    start, end = complaint.split(" .* ")
    message = refusal(lambda: way(path))
    assert message.startswith(start)
    assert message.endswith(end)
    assert str(path) in message


@pytest.mark.parametrize("config", [{"width": 3}, {"length": "two"}, {"length": -1}])
def test_config_that_the_class_cannot_take(path, config):
    edit(path, config=config)
    assert "no such Tiny, " in refusal(lambda: load(path))


def test_config_larger_than_the_memory(path):
    edit(path, config={"length": 10**12})
    message = refusal(lambda: load(path))
    assert message.endswith("has shape (1, 8), Tiny needs shape (1, 4000000000000)")


# --- damaged files --------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_tensors(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    assert "is not the file that tiny.json describes" in refusal(lambda: load(path))
    assert "is damaged" in refusal(lambda: read_tensors(path))


def test_tensors_of_another_training(path, tmp_path):
    wanted = json.loads(path.with_suffix(".json").read_text())["sha256"]
    other = save(Tiny(), tmp_path / "other")
    path.write_bytes(other.read_bytes())
    message = refusal(lambda: load(path))
    assert f"its sha256 is {download.sha256(other)}, wanted is {wanted}" in message


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_one_of_the_two_is_missing(path, suffix):
    missing = path.with_suffix(suffix)
    missing.unlink()
    message = refusal(lambda: load(path), FileNotFoundError)
    assert message.startswith(f"{missing} is missing")


def test_folder_without_its_description(tmp_path):
    Tiny().save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    message = refusal(lambda: Tiny.from_pretrained(tmp_path), FileNotFoundError)
    assert message.startswith(f"{tmp_path / 'config.json'} is missing")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "tiny.json is not JSON"),
        ("[]", "no field 'format'"),
        ('{"format": 1}', "model = None, which should be of type str"),
        ('{"format": 1, "model": 5}', "model = 5, which should be of type str"),
        ('{"format": 1, "model": "tiny.Tiny", "config": []}', "config = [], .* of type dict"),
    ],
)
def test_broken_description(path, text, complaint):
    path.with_suffix(".json").write_text(text)
    message = refusal(lambda: load(path))
    assert all(piece in message for piece in complaint.split(" .* "))


def test_description_that_is_not_text(path):
    path.with_suffix(".json").write_bytes(b"\xff\xfe\x00")
    assert "is not JSON" in refusal(lambda: load(path))


def test_description_that_is_nested_too_deep(path):
    path.with_suffix(".json").write_text("[" * 200_000)
    assert "is not JSON" in refusal(lambda: load(path))


def test_newer_format(path):
    edit(path, format=2, tssbook="9.1.0")
    message = refusal(lambda: load(path))
    assert "format 2, written by tssbook 9.1.0" in message
    assert f"this is tssbook {tssbook.__version__}" in message
    assert "upgrade" in message


@pytest.mark.parametrize(
    "name",
    [
        "tiny.Gone", "gone.Tiny", "tiny.not_a_model", "tiny.Linear", "checkpoints.nn.Module",
        "torch.nn.Linear", "os.system", "Tiny", "", ".", "__main__.Mine",
    ],
)  # fmt: skip
def test_unknown_class(path, name):
    edit(path, model=name)
    assert f"describes a {name}, which is no model of tssbook" in refusal(lambda: load(path))


# --- foreign files --------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_bomb_does_not_go_off(tmp_path, zipped):
    path, crater = tmp_path / "bomb.pth", tmp_path / "crater"
    content = {"weight": torch.zeros(2), "bomb": Bomb(str(crater))}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    message = refusal(lambda: read_tensors(path))
    assert "could run code, and was not loaded: ask its author for the bare state_dict" in message
    assert not crater.exists()
    torch.load(path, weights_only=False)  # the bomb is a real one
    assert crater.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [0, 10, 700, -1])
def test_truncated_pth(tmp_path, zipped, keep):
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(500)}, buffer, _use_new_zipfile_serialization=zipped)
    (tmp_path / "x.pth").write_bytes(buffer.getvalue()[:keep])
    message = refusal(lambda: read_tensors(tmp_path / "x.pth"))
    assert "x.pth is damaged" in message
    assert ". " not in message  # torch's own explanation is a page


def test_something_else_in_a_pth(tmp_path):
    path = tmp_path / "x.pth"
    path.write_text("hello world")
    assert "is damaged" in refusal(lambda: read_tensors(path))
    torch.save([torch.zeros(1)], path)
    assert "holds a list, not tensors by name" in refusal(lambda: read_tensors(path))
    torch.save({"epoch": 3, "model": {}}, path)
    assert "holds a int under 'epoch'" in refusal(lambda: read_tensors(path))


def test_foreign_file_that_is_not_there_or_has_another_suffix(tmp_path):
    path = tmp_path / "x.pth"
    assert refusal(lambda: read_tensors(path), FileNotFoundError) == f"there is no file {path}"
    assert "should end in" in refusal(lambda: read_tensors(tmp_path / "x.h5"), ValueError)


# --- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [load, Tiny.from_pretrained])
@pytest.mark.parametrize("folder", [True, False])
def test_shipped_name_that_is_also_a_file_here(path, tmp_path, monkeypatch, way, folder):
    monkeypatch.setattr(checkpoints, "_shipped_folder", lambda: path.parent)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model = Tiny(length=9)
    model.save_pretrained("tiny") if folder else save(model, "tiny")
    message = refusal(lambda: way("tiny"))
    assert "both a shipped checkpoint 'tiny' and a file of that name here" in message
    assert 'write "./tiny" for the file' in message
    assert way("./tiny").config["length"] == 9


@pytest.mark.parametrize("name", ["to-cnn", "", "/"])
def test_unknown_name_lists_what_there_is(path, monkeypatch, name):
    monkeypatch.setattr(checkpoints, "_shipped_folder", lambda: path.parent)
    message = refusal(lambda: load(name), FileNotFoundError)
    assert message == (
        f"there is no checkpoint {name!r}, neither as a path nor among the shipped ones (tiny)"
    )


def test_unknown_name_that_looks_like_a_repository(monkeypatch):
    def offline(*_, **__):
        raise LocalEntryNotFoundError("Cannot reach the Hub.\nCheck your connection.")

    monkeypatch.setattr(checkpoints, "hf_hub_download", offline)
    message = refusal(lambda: Tiny.from_pretrained("someone/tiny"), FileNotFoundError)
    assert "there is no checkpoint 'someone/tiny'" in message
    assert "and the Hub has none: Cannot reach the Hub" in message


# --- saving ---------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["tiny", "new/tiny"])
def test_read_only_folder(inside):
    with read_only_folder() as folder:
        message = refusal(lambda: save(Tiny(), folder / inside), OSError)
        assert f"cannot write {folder / inside}.safetensors (Permission denied)" in message
        assert list(folder.iterdir()) == []


def test_read_only_folder_for_the_hub():
    with read_only_folder() as folder:
        message = refusal(lambda: Tiny().save_pretrained(folder), OSError)
        assert "model.safetensors (Permission denied)" in message
        assert list(folder.iterdir()) == []


def test_full_disk_leaves_the_old_checkpoint(path, monkeypatch):
    def full(file):
        if ".json" in file.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    monkeypatch.setattr(download, "_to_disk", full)
    assert "No space left on device" in refusal(lambda: save(Tiny(length=5), path), OSError)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize(
    "value", [(1, 2), {1: 2}, {3}, torch.zeros(1), float("nan")], ids=lambda v: type(v).__name__
)
def test_values_that_json_would_change(tmp_path, value):
    message = refusal(lambda: save(Tiny(), tmp_path / "tiny", metrics=value), TypeError)
    assert message.startswith("metrics = ")
    assert "does not survive JSON" in message
    assert list(tmp_path.iterdir()) == []


def test_config_that_json_would_change(tmp_path):
    model = Tiny()
    model.config = {"length": (2,)}
    assert refusal(lambda: save(model, tmp_path / "x"), TypeError).startswith("config = ")


def test_model_without_config(tmp_path):
    message = refusal(lambda: save(torch.nn.Linear(2, 2), tmp_path / "x"), TypeError)
    assert "Linear has no dict `config`" in message


def test_fields_that_are_not_the_callers(tmp_path):
    message = refusal(lambda: save(Tiny(), tmp_path / "x", sha256="0", format=2), TypeError)
    assert message.startswith("format, sha256: these fields are filled in by save itself")
