"""procapnet, when something does not fit: one sentence, with what was found and what to do."""

from __future__ import annotations

import gzip
import re
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.procapnet_archives import (
    ENCODE,
    archive,
    encode_archive,
    fold_member,
    member,
    multimolecule_file,
    special,
)
from tests.support import Bomb, refusal
from tssbook.models import procapnet
from tssbook.models.checkpoints import CheckpointError
from tssbook.models.procapnet import (
    ProCapNet,
    count_loss,
    loss_terms,
    profile_loss,
)


@pytest.fixture
def model() -> ProCapNet:
    torch.manual_seed(0)
    return ProCapNet(n_filters=2, n_layers=8)


def refused(path: Path, pattern: str, fold: int | None = 0) -> None:
    """The file is refused, with a line that names it and in which the pattern is found."""
    message = refusal(lambda: ProCapNet.from_published(path, fold), CheckpointError)
    assert str(path) in message
    assert re.search(pattern, message), message


# --- sequences, counts and masks --------------------------------------------------------------


@pytest.mark.parametrize("length", [9, 11, 1])
def test_mask_of_the_wrong_length(model, length):
    prediction = torch.zeros(3, 2, 10), torch.zeros(3, 1)
    mask = torch.ones(3, length, dtype=torch.bool)
    message = refusal(lambda: loss_terms(model, prediction, torch.ones(3, 2, 10), mask))
    assert f"The mask is (3, {length}) and the counts are (3, 2, 10)" in message
    assert "wanted a mask (3, 10)" in message


def test_mask_of_numbers():
    logits, counts = torch.zeros(3, 2, 10), torch.ones(3, 2, 10)
    message = refusal(lambda: profile_loss(logits, counts, torch.full((3, 10), 0.5)))
    assert "The mask is torch.float32; wanted bool" in message


def test_counts_of_another_shape():
    message = refusal(lambda: profile_loss(torch.zeros(3, 2, 10), torch.ones(3, 10, 2)))
    assert "The profile is (3, 2, 10) and the counts (3, 10, 2)" in message
    message = refusal(lambda: count_loss(torch.zeros(3), torch.ones(3, 2, 10)))
    assert "The count is (3,) for 3 rows of counts; wanted (3, 1)" in message


# --- archives of ENCODE -----------------------------------------------------------------------


def test_folds(tmp_path, model):
    path = encode_archive(tmp_path / "models.tar.gz", {0: model, 2: model, 5: model})
    refused(path, "no fold 3; there are folds 0, 2, 5", fold=3)
    refused(path, "no fold None; there are folds 0, 2, 5", fold=None)
    other = archive(tmp_path / "other.tar.gz", [member("fold_0/readme.txt", b"text")])
    refused(other, "no fold 0; there are no folds")


def test_fold_that_is_there_twice(tmp_path, model):
    state = model.state_dict()
    other = ENCODE.format(0).replace("ENCSR261KBX", "ENCSR000AAA")
    again = member(f"fold_0/{other}", fold_member(0, state)[1])
    path = archive(tmp_path / "models.tar.gz", [fold_member(0, state), again])
    refused(path, f"fold 0 twice, fold_0/{ENCODE.format(0)} and fold_0/{other}")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_only_files_are_read(tmp_path, model, kind):
    link = special(f"fold_1/{ENCODE.format(1)}", kind, "/etc/hostname")
    path = archive(tmp_path / "models.tar.gz", [link, fold_member(0, model.state_dict())])
    refused(path, "no fold 1; there are folds 0", fold=1)
    found = ProCapNet.from_published(path, 0)
    assert torch.equal(found.iconv.weight, model.iconv.weight)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_archive(tmp_path, model, share):
    content = encode_archive(tmp_path / "whole.tar.gz", {0: model, 1: model}).read_bytes()
    path = tmp_path / "half.tar.gz"
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "is damaged")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_changed_byte(tmp_path, model, place):
    content = bytearray(encode_archive(tmp_path / "whole.tar.gz", {0: model}).read_bytes())
    content[int(len(content) * place)] ^= 255
    path = tmp_path / "changed.tar.gz"
    path.write_bytes(content)
    refused(path, "is damaged")


def test_no_archive(tmp_path):
    text, packed_text = tmp_path / "text.tar.gz", tmp_path / "text.gz"
    text.write_text("<html>not found</html>")
    packed_text.write_bytes(gzip.compress(b"GATTACA" * 1000))
    for path in (text, packed_text):
        refused(path, "is damaged or cut off")
    with pytest.raises(FileNotFoundError, match=r"nothing\.tar\.gz"):
        ProCapNet.from_published(tmp_path / "nothing.tar.gz", 0)


# --- weights ----------------------------------------------------------------------------------


def changed(model: ProCapNet, **layers: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The model's tensors with some others; None leaves one out."""
    state = model.state_dict() | {name.replace("__", "."): t for name, t in layers.items()}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("layers", "found", "wanted"),
    [
        ({"rconvs__3__weight": torch.zeros(2, 2, 5)}, "shape (2, 2, 5)", "shape (2, 2, 3)"),
        ({"fconv__weight": torch.zeros(2, 4, 75)}, "shape (2, 4, 75)", "shape (2, 2, 75)"),
        ({"rconvs__7__weight": None}, "no such tensor", "shape (2, 2, 3)"),
        ({"rconvs__8__bias": torch.zeros(2)}, "shape (2,)", "no such tensor"),
        ({"linear__bias": torch.zeros(1).long()}, "shape (1,) of integers", "shape (1,)"),
    ],
)
def test_layers_that_do_not_fit(tmp_path, model, layers, found, wanted):
    path = archive(tmp_path / "models.tar.gz", [fold_member(0, changed(model, **layers))])
    (layer,) = layers
    pattern = f"{layer.replace('__', '.')}: .* has {re.escape(found)}, .*needs {re.escape(wanted)}$"
    refused(path, pattern)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ([1, 2], "something else than tensors by name"),
        ({"iconv.weight": 3}, "something else than tensors by name"),
        (torch.nn.Linear(2, 1).state_dict(), r"no such tensor, .*needs shape \(512, 4, 21\)"),
    ],
)
def test_another_content(tmp_path, content, pattern):
    refused(archive(tmp_path / "models.tar.gz", [fold_member(0, content)]), pattern)


def test_member_that_would_run_code(tmp_path):
    bomb = fold_member(0, {"iconv.weight": Bomb(str(tmp_path / "ran"))})
    refused(archive(tmp_path / "models.tar.gz", [bomb]), "could run code, and was not loaded")
    assert not (tmp_path / "ran").exists()


def test_damaged_member(tmp_path, model):
    half = fold_member(0, model.state_dict())[1][:1000]
    bad = member(f"fold_0/{ENCODE.format(0)}", half)
    refused(archive(tmp_path / "models.tar.gz", [bad]), "is damaged")


# --- MultiMolecule ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "pattern"),
    [
        ("encoder.layer.3.conv", (2, 2, 5), r"rconvs.3.weight: .*\(2, 2, 5\), .*\(2, 2, 3\)"),
        ("encoder.stem.conv", (2, 6, 21), r"iconv.weight: .*\(2, 6, 21\), .*\(2, 4, 21\)"),
    ],
)
def test_layer_of_multimolecule_of_another_shape(tmp_path, model, layer, shape, pattern):
    path = multimolecule_file(tmp_path / "model.safetensors", model)
    save_file(load_file(path) | {f"model.{layer}.weight": torch.zeros(shape)}, path)
    refused(path, pattern, fold=None)


def test_other_files_of_multimolecule(tmp_path, model):
    path = multimolecule_file(tmp_path / "model.safetensors", model)
    refused(path, "one network, and fold 3", fold=3)
    heads = "profile_count_head"
    save_file({k: v for k, v in load_file(path).items() if not k.startswith(heads)}, path)
    refused(path, "fconv.weight: .*no such tensor", fold=None)
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "is damaged", fold=None)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        ProCapNet.from_published(path)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_losses_refuse_what_is_no_count(value):
    counts = torch.ones(2, 2, 10)
    counts[1, 0, 3] = value
    for loss, logits in (
        (procapnet.profile_loss, torch.zeros(2, 2, 10)), (procapnet.count_loss, torch.zeros(2, 1)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"hold {value:g} at \(1, 0, 3\)"):
            loss(logits, counts)
        seen = torch.ones(2, 10, dtype=torch.bool)
        seen[1, 3] = False  # masked bases may hold anything, NaN too
        whole = torch.where(counts == 1, counts, 0)
        assert torch.equal(loss(logits, counts, seen), loss(logits, whole, seen))


@pytest.mark.parametrize(("size", "kind"), [(-512, None), (300_000_000, None), (8, "sparse")])
def test_what_a_member_only_claims(tmp_path, size, kind):
    """A size below 0 never ended, a sparse member and a large one filled the memory."""
    info = tarfile.TarInfo("fold_0/ENCSR.procapnet_model.fold0.state_dict.torch")
    info.size = 0
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    if kind == "sparse":
        header[156:157] = tarfile.GNUTYPE_SPARSE
        header[483:495] = tarfile.itn(10**12, 12, tarfile.GNU_FORMAT)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(gzip.compress(bytes(header) + bytes(10_240)))
    message = refusal(lambda: ProCapNet.from_published(path, fold=0), CheckpointError)
    assert str(path) in message
