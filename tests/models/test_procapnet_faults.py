"""procapnet, when something does not fit: one sentence, with what was found and what to do."""

from __future__ import annotations

import gzip
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
from tssbook.models import checkpoints
from tssbook.models.checkpoints import CheckpointError
from tssbook.models.procapnet import (
    ProCapNet,
    count_loss,
    ensemble_proba,
    loss_terms,
    predict_proba,
    predict_track,
    profile_loss,
)


@pytest.fixture
def model() -> ProCapNet:
    torch.manual_seed(0)
    return ProCapNet(n_filters=2, n_layers=8)


def of_encode(path: Path, fold: int = 0) -> str:
    return refusal(lambda: ProCapNet.from_encode(path, fold), CheckpointError)


# --- sequences, counts and masks --------------------------------------------------------------


@pytest.mark.parametrize("predict", [predict_proba, predict_track])
def test_short_sequences(model, predict):
    assert predict(model, torch.zeros(1, 4, 1115)).shape == (1, 2, 1)
    message = refusal(lambda: predict(model, torch.zeros(1, 4, 1114)))
    assert "1114 bp long" in message
    assert "wanted at least 1115 bp" in message


def test_other_axes(model):
    message = refusal(lambda: predict_proba(model, torch.zeros(1, 1200, 4)))
    assert "x is (1, 1200, 4); wanted (N, 4, L)" in message


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


def test_ensemble_of_nothing_and_of_unequal_models(model):
    x = torch.zeros(1, 4, 1200)
    assert "The 0 models trim []" in refusal(lambda: ensemble_proba([], x))
    message = refusal(lambda: ensemble_proba([model, ProCapNet(2, 2)], x))
    assert "The 2 models trim [53, 557] bp" in message


# --- archives of ENCODE -----------------------------------------------------------------------


def test_fold_that_is_not_there(tmp_path, model):
    path = encode_archive(tmp_path / "models.tar.gz", {0: model, 2: model, 5: model})
    assert of_encode(path, 3) == f"{path} has no fold 3; there are folds 0, 2, 5"


def test_archive_of_something_else(tmp_path):
    path = archive(tmp_path / "other.tar.gz", [member("fold_0/readme.txt", b"text")])
    assert of_encode(path) == f"{path} has no fold 0; there are no folds of ProCapNet"


def test_fold_that_is_there_twice(tmp_path, model):
    state = model.state_dict()
    other = ENCODE.format(0).replace("ENCSR261KBX", "ENCSR000AAA")
    again = member(f"fold_0/{other}", fold_member(0, state)[1])
    path = archive(tmp_path / "models.tar.gz", [fold_member(0, state), again])
    assert f"fold 0 twice, fold_0/{ENCODE.format(0)} and fold_0/{other}" in of_encode(path)


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize(
    ("name", "kind", "wrong"),
    [
        (f"fold_1/{ENCODE.format(1)}", tarfile.SYMTYPE, "is a link or a device"),
        (f"fold_1/{ENCODE.format(1)}", tarfile.LNKTYPE, "is a link or a device"),
        ("fold_1", tarfile.SYMTYPE, "is a link or a device"),
        ("fold_1/null", tarfile.CHRTYPE, "is a link or a device"),
        (f"../fold_1/{ENCODE.format(1)}", tarfile.REGTYPE, "leads out of the archive"),
        ("fold_1/../../x", tarfile.REGTYPE, "leads out of the archive"),
        (f"/fold_1/{ENCODE.format(1)}", tarfile.REGTYPE, "leads out of the archive"),
        ("/fold_1", tarfile.DIRTYPE, "leads out of the archive"),
    ],
)
def test_members_that_lead_elsewhere(tmp_path, model, name, kind, wrong, at_the_end):
    """Refused wherever they stand, also if another fold is wanted."""
    harmless, bad = fold_member(0, model.state_dict()), special(name, kind, "/etc/hostname")
    members = [harmless, bad] if at_the_end else [bad, harmless]
    path = archive(tmp_path / "models.tar.gz", members)
    for fold in (0, 1):
        message = of_encode(path, fold)
        assert f"{path} has a member {name!r}" in message
        assert wrong in message


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_archive(tmp_path, model, share):
    content = encode_archive(tmp_path / "whole.tar.gz", {0: model, 1: model}).read_bytes()
    path = tmp_path / "half.tar.gz"
    path.write_bytes(content[: int(len(content) * share)])
    message = of_encode(path)
    assert f"{path} is damaged or cut off" in message
    assert "get it again" in message


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_changed_byte(tmp_path, model, place):
    content = bytearray(encode_archive(tmp_path / "whole.tar.gz", {0: model}).read_bytes())
    content[int(len(content) * place)] ^= 255
    path = tmp_path / "changed.tar.gz"
    path.write_bytes(content)
    assert f"{path} is damaged or cut off" in of_encode(path)


def test_no_archive(tmp_path):
    text = tmp_path / "text.tar.gz"
    text.write_text("<html>not found</html>")
    packed_text = tmp_path / "text.gz"
    packed_text.write_bytes(gzip.compress(b"GATTACA" * 1000))
    for path in (text, packed_text):
        assert f"{path} is damaged or cut off" in of_encode(path)
    missing = tmp_path / "nothing.tar.gz"
    message = refusal(lambda: ProCapNet.from_encode(missing, 0), FileNotFoundError)
    assert message == f"there is no file {missing}"


# --- weights ----------------------------------------------------------------------------------


def changed(model: ProCapNet, **layers: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """The model's tensors with some others; None leaves one out."""
    state = model.state_dict() | {name.replace("__", "."): t for name, t in layers.items()}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"rconvs__3__weight": torch.zeros(2, 2, 5)},
            "rconvs.3.weight: {} has shape (2, 2, 5), ProCapNet needs shape (2, 2, 3)",
        ),
        (
            {"iconv__bias": torch.zeros(4), "iconv__weight": torch.zeros(4, 4, 21)},
            "iconv.weight: {} has shape (4, 4, 21), ProCapNet needs shape (2, 4, 21)",
        ),
        (
            {"fconv__weight": torch.zeros(2, 3, 75)},
            "fconv.weight: {} has shape (2, 3, 75), ProCapNet needs shape (2, 2, 75)",
        ),
        (
            {"fconv__weight": torch.zeros(1, 2, 75)},
            "fconv.weight: {} has shape (1, 2, 75), ProCapNet needs shape (2, 2, 75)",
        ),
        (
            {"linear__bias": None},
            "linear.bias: {} has no such tensor, ProCapNet needs shape (1,)",
        ),
        (
            {"rconvs__7__weight": None, "rconvs__7__bias": None},
            "rconvs.7.weight: {} has no such tensor, ProCapNet needs shape (2, 2, 3)",
        ),
        (
            {"rconvs__8__bias": torch.zeros(2)},
            "rconvs.8.bias: {} has shape (2,), ProCapNet needs no such tensor",
        ),
        (
            {"linear__bias": torch.zeros(1, dtype=torch.int64)},
            "linear.bias: {} has shape (1,) of integers, ProCapNet needs shape (1,)",
        ),
    ],
)
def test_layers_that_do_not_fit(tmp_path, model, layers, message):
    path = archive(tmp_path / "models.tar.gz", [fold_member(0, changed(model, **layers))])
    assert of_encode(path) == message.format(f"{path}, fold_0/{ENCODE.format(0)}")


def test_control_tracks(tmp_path, model):
    state = changed(model, fconv__weight=torch.zeros(2, 4, 75), linear__weight=torch.zeros(1, 3))
    message = of_encode(archive(tmp_path / "models.tar.gz", [fold_member(0, state)]))
    assert "was trained with 2 control tracks (fconv reads 4 channels" in message
    assert "ProCapNet has none" in message


def test_another_network(tmp_path):
    state = torch.nn.Linear(2, 1).state_dict()
    message = of_encode(archive(tmp_path / "models.tar.gz", [fold_member(0, state)]))
    assert "has no such tensor, ProCapNet needs shape (512, 4, 21)" in message


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ([1, 2], "holds something else than tensors by name"),
        ({"iconv.weight": 3}, "holds something else than tensors by name"),
    ],
)
def test_no_tensors(tmp_path, content, wrong):
    assert wrong in of_encode(archive(tmp_path / "models.tar.gz", [fold_member(0, content)]))


def test_member_that_would_run_code(tmp_path):
    bomb = fold_member(0, {"iconv.weight": Bomb(str(tmp_path / "ran"))})
    message = of_encode(archive(tmp_path / "models.tar.gz", [bomb]))
    assert "could run code, and was not loaded" in message
    assert not (tmp_path / "ran").exists()


def test_damaged_member(tmp_path, model):
    half = fold_member(0, model.state_dict())[1][:1000]
    bad = member(f"fold_0/{ENCODE.format(0)}", half)
    assert "is damaged" in of_encode(archive(tmp_path / "models.tar.gz", [bad]))


# --- MultiMolecule ----------------------------------------------------------------------------


def of_multimolecule(path: Path) -> str:
    return refusal(lambda: ProCapNet.from_multimolecule(path), CheckpointError)


def test_layer_of_multimolecule_of_another_shape(tmp_path, model):
    path = multimolecule_file(tmp_path / "model.safetensors", model)
    tensors = load_file(path) | {"model.encoder.layer.3.conv.weight": torch.zeros(2, 2, 5)}
    save_file(tensors, path)
    message = of_multimolecule(path)
    assert message == (
        f"rconvs.3.weight: {path} has shape (2, 2, 5), ProCapNet needs shape (2, 2, 3)"
    )


def test_stem_of_multimolecule_with_other_channels(tmp_path, model):
    path = multimolecule_file(tmp_path / "model.safetensors", model)
    save_file(load_file(path) | {"model.encoder.stem.conv.weight": torch.zeros(2, 6, 21)}, path)
    assert "has shape (2, 6, 21), ProCapNet needs shape (2, 4, 21)" in of_multimolecule(path)


def test_our_own_checkpoint_given_as_multimolecules(tmp_path, model):
    path = checkpoints.save(model, tmp_path / "ours")
    message = of_multimolecule(path)
    assert f"{path} has no model.encoder.stem.conv.weight" in message
    assert "ProCapNet.from_pretrained" in message


def test_backbone_without_heads(tmp_path, model):
    path = multimolecule_file(tmp_path / "model.safetensors", model)
    heads = "profile_count_head"
    save_file({k: v for k, v in load_file(path).items() if not k.startswith(heads)}, path)
    assert "fconv.weight: " in of_multimolecule(path)


def test_truncated_safetensors(tmp_path, model):
    path = multimolecule_file(tmp_path / "model.safetensors", model)
    path.write_bytes(path.read_bytes()[:-100])
    assert "is damaged" in of_multimolecule(path)
    path.unlink()
    message = refusal(lambda: ProCapNet.from_multimolecule(path), FileNotFoundError)
    assert str(path) in message
