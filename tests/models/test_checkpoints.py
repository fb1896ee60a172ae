"""checkpoints: what is saved comes back, and what does not fit is refused in one sentence."""

from __future__ import annotations

import errno
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from torch import nn

import tssbook
from tests import support
from tests.models.tiny_models import Other, Tiny
from tests.support import Bomb, read_only_folder
from tssbook import files, models
from tssbook.models import checkpoints
from tssbook.models.checkpoints import CheckpointError, describe, save, shipped
from tssbook.models.weights import fill, read_tensors

ABOUT = {
    "task": "8-mer score",
    "training": {"data": "all 8-mers", "seed": 17, "epochs": 50},
    "metrics": {"validation_mse": 0.875},
    "licence": "MIT",
}


@pytest.fixture
def model() -> Tiny:
    torch.manual_seed(0)
    model = Tiny(length=3, n_out=2)
    model.steps += 7
    return model


@pytest.fixture
def path(tmp_path) -> Path:
    """A good checkpoint of Tiny(length=2, n_out=1), to be spoiled."""
    return save(Tiny(), tmp_path / "tiny")


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A folder that stands for that of the shipped checkpoints; the working folder is another."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(checkpoints, "_shipped_folder", lambda: tmp_path / "package")
    return tmp_path / "package"


def same_tensors(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return list(first) == list(second) and all(torch.equal(first[k], second[k]) for k in first)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


OLD_SIZES = {"n_motifs": 40, "n_initiators": 20}  # without n_tracks


def refused(call, pattern: str, error: type[Exception] = CheckpointError) -> None:
    """The call refuses, with a line in which the pattern is found."""
    message = support.refusal(call, error)
    assert re.search(pattern, message), message


def edit(path: Path, **fields) -> None:
    """Change fields of the description."""
    description = path.with_suffix(".json")
    description.write_text(json.dumps(json.loads(description.read_text()) | fields))


def replace_tensors(path: Path, tensors) -> None:
    """Other tensors, with a checksum that fits."""
    save_file(tensors, path)
    edit(path, sha256=files.sha256(path))


# --- what is saved comes back -----------------------------------------------------------------


def test_save_and_load_give_the_same_model(model, tmp_path):
    path = save(model, tmp_path / "new" / "tiny", **ABOUT)
    assert names(path.parent) == ["tiny.json", "tiny.safetensors"]
    loaded = Tiny.from_pretrained(path)
    assert loaded.config == {"length": 3, "n_out": 2}
    assert same_tensors(loaded, model)
    assert not loaded.training
    x = torch.eye(4)[:, [0, 1, 2]].expand(5, 4, 3)
    assert torch.equal(loaded(x), model.eval()(x))
    assert json.loads(path.with_suffix(".json").read_text()) == describe(path) == {
        "format": 1,
        "model": "Tiny",
        "config": {"length": 3, "n_out": 2},
        **ABOUT,
        "tssbook": tssbook.__version__,
        "sha256": files.sha256(path),
    }  # fmt: skip
    assert sorted(load_file(path)) == ["linear.bias", "linear.weight", "steps"]


@pytest.mark.parametrize("given", ["tiny-v1.2", "tiny-v1.2.json", "tiny-v1.2.safetensors"])
def test_suffix_may_be_given_or_not_and_names_may_have_dots(model, tmp_path, given):
    save(Tiny(length=5), tmp_path / given)
    save(model, tmp_path / given)
    assert names(tmp_path) == ["tiny-v1.2.json", "tiny-v1.2.safetensors"]
    assert same_tensors(Tiny.from_pretrained(str(tmp_path / given)), model)


def test_loading_does_not_move_the_random_numbers(path):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    Tiny.from_pretrained(path)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("precision", ["half", "bfloat16", "double"])
def test_the_precision_is_kept(model, tmp_path, precision):
    getattr(model, precision)()
    loaded = Tiny.from_pretrained(save(model, tmp_path / "tiny"))
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


def test_non_contiguous_tensors_are_saved_in_their_order(tmp_path):
    model = Tiny(length=1, n_out=4)
    model.linear.weight = nn.Parameter(torch.arange(16.0).reshape(4, 4).t())
    loaded = Tiny.from_pretrained(save(model, tmp_path / "tiny"))
    assert loaded.linear.weight[0].tolist() == [0, 4, 8, 12]


def test_every_shipped_checkpoint_loads_and_says_what_it_is():
    assert shipped()
    for name in shipped():
        about = describe(name)
        assert {"task", "training", "metrics", "licence"} <= set(about)
        model = getattr(models, about["model"]).from_pretrained(name)
        assert about["config"].items() <= model.config.items()


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("toy-cnn", {"model": "toy.ToyCNN"}),
        ("simplenet", {"model": "puffin.SimpleNet", "config": OLD_SIZES}),
        ("procapnet", {"model": "procapnet.ProCapNet"}),
    ],
)  # fmt: skip
def test_descriptions_of_the_first_version(tmp_path, name, old):
    cls = getattr(models, old["model"].partition(".")[2])
    model = cls.from_pretrained(name)
    path = save(model, tmp_path / name)
    edit(path, tssbook="0.1.0", **old)
    assert same_tensors(cls.from_pretrained(path), model)


# --- names ----------------------------------------------------------------------------------


def test_shipped_names(model, package):
    assert shipped() == []
    save(model, package / "b")
    save(Tiny(), package / "a")
    assert shipped() == ["a", "b"]
    assert describe("a")["config"] == {"length": 2, "n_out": 1}
    assert same_tensors(Tiny.from_pretrained("b"), model)


@pytest.mark.parametrize("folder", [True, False])
def test_a_path_never_means_a_shipped_name(package, folder):
    save(Tiny(), package / "tiny")
    model = Tiny(length=9)
    model.save_pretrained("tiny") if folder else save(model, "tiny")
    refused(lambda: Tiny.from_pretrained("tiny"), r"both a shipped .*'tiny'.* \"\./tiny\"")
    assert Tiny.from_pretrained("./tiny").config["length"] == 9
    assert Tiny.from_pretrained(Path("tiny")).config["length"] == 9


@pytest.mark.parametrize("name", ["to-cnn", "", "/"])
def test_unknown_name_lists_what_there_is(package, name):
    save(Tiny(), package / "tiny")
    pattern = r"no checkpoint '.*'.*\(tiny\)"
    refused(lambda: Tiny.from_pretrained(name), pattern, FileNotFoundError)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_one_of_the_two_is_missing(path, suffix):
    path.with_suffix(suffix).unlink()
    pattern = rf"tiny\{suffix} is missing"
    refused(lambda: Tiny.from_pretrained(path), pattern, FileNotFoundError)


# --- the Hub ----------------------------------------------------------------------------------


def test_folder_as_on_the_hub(model, tmp_path, monkeypatch):
    Other().save_pretrained(tmp_path)  # replaced
    model.save_pretrained(tmp_path)
    assert names(tmp_path) == ["README.md", "config.json", "model.safetensors"]
    assert 'library_name: "tssbook"' in (tmp_path / "README.md").read_text()
    assert same_tensors(Tiny.from_pretrained(tmp_path), model)
    monkeypatch.chdir(tmp_path)
    assert same_tensors(Tiny.from_pretrained("."), model)
    (tmp_path / "config.json").unlink()
    refused(lambda: Tiny.from_pretrained("."), "config.json is missing", FileNotFoundError)


def test_push_to_hub_sends_the_folder(model, monkeypatch):
    sent = {}

    class Hub:
        def __init__(self, token):
            sent["token"] = token

        def create_repo(self, repository, *, private, exist_ok):
            assert exist_ok
            sent["private"] = private
            return type("Url", (), {"repo_id": repository})

        def upload_folder(self, *, repo_id, folder_path):
            sent[repo_id] = names(Path(folder_path))
            sent["card"] = (folder_path / "README.md").read_text()
            return "https://hub/commit"

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    address = model.push_to_hub("someone/tiny", private=True, token="secret", task="adding up")
    assert address == "https://hub/commit"
    assert "Tiny.from_pretrained('someone/tiny')" in sent.pop("card")
    files = ["README.md", "config.json", "model.safetensors"]
    assert sent == {"token": "secret", "private": True, "someone/tiny": files}


def test_the_card_says_what_was_told_and_what_was_not(model, tmp_path):
    model.trained_on = {"length": 3}
    model.save_pretrained(
        tmp_path / "mine", task="adding up", licence="MIT", metrics={"r": 0.5}, training={"seed": 1}
    )
    card = (tmp_path / "mine" / "README.md").read_text()
    _, metadata, body = card.split("---\n", 2)
    assert yaml.safe_load(metadata) == {
        "library_name": "tssbook", "license": "mit", "tags": ["biology", "genomics", "dna"]
    }  # fmt: skip
    for words in ("# mine", "adding up", "r: 0.5", "seed: 1", "## Data\n\nnot told", "length: 3"):
        assert words in body
    assert describe(tmp_path / "mine")["task"] == "adding up"
    with pytest.raises(TypeError, match="model: these fields are filled in by save itself"):
        model.save_pretrained(tmp_path / "other", model="x")


def test_from_pretrained_of_a_hub_repository(model, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path)
    asked = []

    def hub(repository, file, *, revision, **_):
        asked.append((repository, file, revision))
        return str(tmp_path / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub)
    assert same_tensors(Tiny.from_pretrained("someone/tiny", revision="v1", length=3), model)
    assert asked == [
        ("someone/tiny", "model.safetensors", "v1"),
        ("someone/tiny", "config.json", "v1"),
    ]


def test_the_hub_cannot_be_reached(monkeypatch):
    def offline(*_, **__):
        raise LocalEntryNotFoundError("Cannot reach the Hub.\nCheck your connection.")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    pattern = r"'someone/tiny'.*Cannot reach the Hub\).*huggingface.co/someone/tiny"
    refused(lambda: Tiny.from_pretrained("someone/tiny"), pattern, FileNotFoundError)


# --- another model, other settings, other tensors -------------------------------------------


def test_checkpoint_of_another_model(path):
    refused(lambda: Other.from_pretrained(path), "describes a Tiny, not a Other")


@pytest.mark.parametrize(
    ("expected", "pattern"),
    [({"length": 8}, "length = 2, not 8"), ({"strict": False}, "strict = nothing, not False")],
)
def test_other_setting_than_expected(path, expected, pattern):
    refused(lambda: Tiny.from_pretrained(path, **expected), pattern)
    assert Tiny.from_pretrained(path, length=2, n_out=1).config["length"] == 2


UNFIT = [
    (lambda t: t.pop("linear.bias"), r"^linear.bias: .*no such tensor, .*needs shape \(1,\)"),
    (lambda t: t.update(extra=torch.zeros(3)), r"^extra: .*\(3,\), .*needs no such tensor"),
    (
        lambda t: t.update({"linear.weight": torch.zeros(1, 12)}),
        r"^linear.weight: .*shape \(1, 12\), .*needs shape \(1, 8\)",
    ),
    (
        lambda t: t.update({"linear.bias": torch.zeros(1, dtype=torch.int64)}),
        r"^linear.bias: .*\(1,\) of integers, .*needs shape \(1,\)",
    ),
]


@pytest.mark.parametrize(("spoil", "pattern"), UNFIT)
def test_tensors_that_do_not_fit(path, spoil, pattern):
    tensors = load_file(path)
    spoil(tensors)
    replace_tensors(path, tensors)
    refused(lambda: Tiny.from_pretrained(path), pattern)
    refused(lambda: Tiny.from_pretrained(path), re.escape(str(path)))


@pytest.mark.parametrize("config", [{"width": 3}, {"length": "two"}, {"length": -1}])
def test_config_that_the_class_cannot_take(path, config):
    edit(path, config=config)
    refused(lambda: Tiny.from_pretrained(path), "no such model")


def test_config_larger_than_the_memory(path):
    edit(path, config={"length": 10**12})
    refused(lambda: Tiny.from_pretrained(path), r"shape \(1, 8\), .*\(1, 4000000000000\)")


# --- damaged files --------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_tensors(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    refused(lambda: Tiny.from_pretrained(path), "is not the file that tiny.json describes")
    refused(lambda: read_tensors(path), "is damaged")


def test_tensors_of_another_training(path, tmp_path):
    wanted = describe(path)["sha256"]
    other = save(Tiny(), tmp_path / "other")
    path.write_bytes(other.read_bytes())
    refused(lambda: Tiny.from_pretrained(path), rf"{files.sha256(other)}, .*{wanted}")


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b"[]", "no field 'format'"),
        (b'{"format": 1}', "model = None, .*str"),
        (b'{"format": 1, "model": 5}', "model = 5, .*str"),
        (b'{"format": 1, "model": "Tiny", "config": []}', r"config = \[\], .*dict"),
        (
            b'{"format": 1, "model": "Tiny", "config": {}, "tssbook": "0", "sha256": "0", '
            b'"trained_on": null}',
            "trained_on = None, .*dict",
        ),
        (b'{"format": 2, "tssbook": "9.1.0"}', "format 2, .*9.1.0; .*format 1: upgrade"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_broken_description(path, content, pattern):
    path.with_suffix(".json").write_bytes(content)
    refused(lambda: Tiny.from_pretrained(path), pattern)
    refused(lambda: describe(path), pattern)


# --- files of others --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "bin"])
def test_read_tensors_of_foreign_files(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    refused(lambda: read_tensors(path), re.escape(str(path)), FileNotFoundError)
    tensors = {"a": torch.arange(3.0), "b.c": torch.ones(2, 2)}
    (save_file if suffix == "safetensors" else torch.save)(tensors, path)
    found = read_tensors(path)
    assert sorted(found) == ["a", "b.c"]
    assert torch.equal(found["a"], torch.tensor([0.0, 1.0, 2.0]))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_bomb_does_not_go_off(tmp_path, zipped):
    path, crater = tmp_path / "bomb.pth", tmp_path / "crater"
    content = {"weight": torch.zeros(2), "bomb": Bomb(str(crater))}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused(lambda: read_tensors(path), "could run code, and was not loaded")
    assert not crater.exists()
    torch.load(path, weights_only=False)  # the bomb is a real one
    assert crater.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [0, 10, 700, -1])
def test_truncated_pth(tmp_path, zipped, keep):
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(500)}, buffer, _use_new_zipfile_serialization=zipped)
    (tmp_path / "x.pth").write_bytes(buffer.getvalue()[:keep])
    refused(lambda: read_tensors(tmp_path / "x.pth"), "x.pth is damaged")


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"epoch": 3, "model": {}}])
def test_something_else_in_a_pth(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    refused(lambda: read_tensors(tmp_path / "x.pth"), "something else than tensors by name")


@pytest.mark.parametrize("keep", [False, True])
def test_fill(model, keep):
    tensors = model.double().state_dict()
    filled = fill(lambda: Tiny(3, 2), tensors, "here", keep_precision=keep)
    assert filled.linear.weight.dtype == (torch.float64 if keep else torch.float32)
    torch.testing.assert_close(filled.state_dict(), tensors, check_dtype=False)
    tensors["linear.bias"] += 1
    assert not torch.equal(filled.linear.bias.double(), tensors["linear.bias"])  # its own
    refused(lambda: fill(Tiny, tensors, "here"), r"here has shape \(2, 12\), Tiny needs .*\(1, 8\)")


def test_a_tensor_under_two_names_may_be_there_once():
    def tied() -> nn.Module:
        net = nn.ModuleDict({"one": nn.Linear(2, 2), "other": nn.Linear(2, 2, bias=False)})
        net["other"].weight = net["one"].weight
        return net

    tensors = {"one.bias": torch.zeros(2), "other.weight": torch.eye(2)}
    assert torch.equal(fill(tied, tensors, "here")["one"].weight, torch.eye(2))


# --- saving ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["tiny", "new/tiny", None])
def test_read_only_folder(way):
    with read_only_folder() as folder:
        call = Tiny().save_pretrained if way is None else lambda path: save(Tiny(), path)
        path = folder if way is None else folder / way
        refused(lambda: call(path), r"\.safetensors \(Permission denied\)", OSError)
        assert list(folder.iterdir()) == []


def test_full_disk_leaves_the_old_checkpoint(path, monkeypatch):
    def full(file):
        if ".json" in file.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    monkeypatch.setattr(files, "to_disk", full)
    refused(lambda: save(Tiny(length=5), path), "No space left on device", OSError)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        ((1, 2), r"metrics = \(1, 2\) .*\[1, 2\]"),
        ({1: 2}, r"metrics = \{1: 2\} .*\{'1': 2\}"),
        (float("nan"), "metrics = nan"),
        ({3}, "set"),
        (torch.zeros(1), "Tensor"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_json_would_change(tmp_path, value, pattern):
    refused(lambda: save(Tiny(), tmp_path / "tiny", metrics=value), pattern, TypeError)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_saved(model, tmp_path):
    path = tmp_path / "x"
    refused(lambda: save(nn.Linear(2, 2), path), "Linear has no dict `config`", TypeError)
    refused(lambda: save(model, path, sha256="0", format=2), "format, sha256: ", TypeError)
    model.config = {"length": (2,)}
    refused(lambda: save(model, path), "config = ", TypeError)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's
@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_a_wrapped_model_is_saved_as_the_one_inside(model, tmp_path, wrap):
    save(wrap(model), tmp_path / "inside")
    loaded = type(model).from_pretrained(tmp_path / "inside")
    assert describe(tmp_path / "inside")["model"] == type(model).__name__
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_names_that_wrappers_have_lengthened(model, prefix):
    tensors = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    filled = fill(lambda: type(model)(**model.config), tensors, "weights.pt")
    for name, tensor in model.state_dict().items():
        assert torch.equal(filled.state_dict()[name], tensor)


def test_names_are_shortened_only_where_that_helps(model):
    tensors = model.state_dict() | {"_orig_mod.extra": torch.zeros(1)}
    refused(
        lambda: fill(lambda: type(model)(**model.config), tensors, "w.pt"), "_orig_mod.extra: w"
    )
    (first, *_), twice = model.state_dict(), model.state_dict()
    twice[f"_orig_mod.{first}"] = torch.zeros_like(twice[first])
    refused(lambda: fill(lambda: type(model)(**model.config), twice, "w.pt"), f"_orig_mod.{first}")


def test_a_path_that_is_there_is_never_asked_of_the_hub(model, tmp_path, monkeypatch):
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(checkpoints, "download", asked)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "best_model.pt").write_bytes(b"weights")
    (tmp_path / "runs" / "empty").mkdir()
    for name in ("runs/best_model.pt", "runs/empty"):
        with pytest.raises(FileNotFoundError, match=f"{name} is there, but no checkpoint"):
            type(model).from_pretrained(name)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        type(model).from_pretrained(Path("runs/typo"))  # a Path never means the Hub


def test_every_flipped_byte_of_a_weight_is_noticed(tmp_path):
    """Of 500 flips PyTorch lets most pass without a word; the archive has checksums."""
    path = tmp_path / "x.pth"
    tensors = {"w": torch.arange(500.0)}
    torch.save(tensors, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    silent = refusals = 0
    for at, mask in rng.integers((0, 1), (len(whole), 256), (200, 2)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        try:
            found = read_tensors(path)
        except CheckpointError:
            refusals += 1
        else:
            silent += not torch.equal(found["w"], tensors["w"])
    assert silent == 0
    assert refusals > 100


def test_compressed_weights_are_no_work_of_pytorch(tmp_path):
    """A bomb: a member that unpacks to a thousand times its size."""
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(1_000_000))
    refused(lambda: read_tensors(tmp_path / "bomb.pth"), "archive/data/0 is compressed")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
     (b"<!doctype html><html>", "is an HTML page"), (b"\x89HDF\r\n", "is an HDF5 file"),
     (bytes(257) + b"ustar\x0000" + bytes(200), "is a tar archive")],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_of_another_kind_is_named(tmp_path, content, said, suffix):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    refused(lambda: read_tensors(path), said)


def test_pickles_are_refused_where_pytorch_is_not_safe(tmp_path, monkeypatch):
    torch.save({"w": torch.zeros(1)}, tmp_path / "x.pth")
    save_file({"w": torch.zeros(1)}, tmp_path / "x.safetensors")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cu121")
    refused(lambda: read_tensors(tmp_path / "x.pth"), "from 2.10 on, and this is 2.9.1")
    assert list(read_tensors(tmp_path / "x.safetensors")) == ["w"]


def test_a_checkpoint_knows_what_it_was_trained_on(model, tmp_path):
    model.trained_on = {"length": 3, "data": "5f1d"}
    path = save(model, tmp_path / "known", assembly={"chrI": 230218})
    same = type(model).from_pretrained(path, length=3, data="5f1d", assembly={"chrI": 230218})
    assert same.trained_on == model.trained_on
    for other, found, wanted in (
        ({"length": 9}, "3", "9"),
        ({"data": "aaaa"}, "'5f1d'", "'aaaa'"),
        ({"assembly": {"chrI": 1}}, "230218", "1}"),
    ):
        with pytest.raises(CheckpointError, match=f"{found}.*not.*{wanted}"):
            type(model).from_pretrained(path, **other)


def test_a_model_that_was_never_trained_says_so(model, path):
    assert type(model).from_pretrained(path).trained_on == {}
