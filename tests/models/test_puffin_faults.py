"""puffin, when something does not fit: one sentence, with what was found and what to do."""

from __future__ import annotations

import pytest
import torch

from tests.support import Bomb, refusal
from tssbook.models import checkpoints
from tssbook.models.checkpoints import CheckpointError
from tssbook.models.puffin import Puffin, SimpleNet, loss_terms


@pytest.fixture
def simple() -> SimpleNet:
    return SimpleNet(n_motifs=2, n_initiators=1)


def stored(path, tensors):
    torch.save(tensors, path)
    return path


# --- sequences and tracks ---------------------------------------------------------------------


@pytest.mark.parametrize("make", [SimpleNet, Puffin])
def test_short_sequence(make):
    net = make()
    net(torch.zeros(1, 4, 651))
    message = refusal(lambda: net(torch.zeros(1, 4, 650)))
    assert "650 bp long" in message
    assert "wanted at least 651 bp" in message


@pytest.mark.parametrize("shape", [(4, 700), (1, 700, 4)])
def test_other_axes(simple, shape):
    message = refusal(lambda: simple(torch.zeros(shape)))
    assert f"x is {shape}; wanted one-hot sequences (N, 4, L)" in message


def test_tracks_of_another_shape(simple):
    message = refusal(lambda: loss_terms(simple, torch.ones(2, 10, 700), torch.ones(2, 700, 10)))
    assert "The prediction is (2, 10, 700) and the target (2, 700, 10)" in message


def test_tracks_without_a_centre(simple):
    tracks = torch.ones(2, 10, 650)
    message = refusal(lambda: loss_terms(simple, tracks, tracks))
    assert "650 positions" in message
    assert "at least 651" in message


# --- files ------------------------------------------------------------------------------------


def test_file_of_simplenet_given_to_puffin(tmp_path, simple):
    path = stored(tmp_path / "stage1_10000_0.pth", simple.state_dict())
    message = refusal(lambda: Puffin.from_published(path), CheckpointError)
    assert f"{path} has no conv_sim.weight, which Puffin needs" in message
    assert "SimpleNet.from_source" in message


def test_file_of_puffin_given_to_simplenet(tmp_path):
    path = stored(tmp_path / "puffin.pth", Puffin().state_dict())
    message = refusal(lambda: SimpleNet.from_source(path), CheckpointError)
    assert f"{path} has conv_sim.weight, which only Puffin has" in message
    assert "Puffin.from_published" in message


@pytest.mark.parametrize("classes", [(SimpleNet, Puffin), (Puffin, SimpleNet)])
def test_checkpoint_of_the_other(tmp_path, classes):
    ours, other = classes
    path = checkpoints.save(ours(), tmp_path / "net")
    message = refusal(lambda: other.from_pretrained(path), CheckpointError)
    assert f"describes a puffin.{ours.__name__}, not a puffin.{other.__name__}" in message


def test_missing_tensor(tmp_path):
    tensors = Puffin().state_dict()
    del tensors["scaler2"]
    path = stored(tmp_path / "puffin.pth", tensors)
    message = refusal(lambda: Puffin.from_published(path), CheckpointError)
    assert message == f"scaler2: {path} has no such tensor, Puffin needs shape (1,)"


def test_tensor_of_another_shape(tmp_path, simple):
    tensors = simple.state_dict() | {"deconv.weight": torch.zeros(10, 4, 301)}
    path = stored(tmp_path / "stage1.pth", tensors)
    message = refusal(lambda: SimpleNet.from_source(path), CheckpointError)
    assert "deconv.weight" in message
    assert "(10, 4, 301), SimpleNet needs shape (10, 4, 601)" in message


def test_another_network(tmp_path):
    path = stored(tmp_path / "linear.pth", torch.nn.Linear(2, 1).state_dict())
    for load in (SimpleNet.from_source, Puffin.from_published):
        assert str(path) in refusal(lambda load=load: load(path), CheckpointError)


def test_file_that_would_run_code(tmp_path):
    path = stored(tmp_path / "puffin.pth", {"conv.weight": Bomb(str(tmp_path / "ran"))})
    assert "was not loaded" in refusal(lambda: Puffin.from_published(path), CheckpointError)
    assert not (tmp_path / "ran").exists()


def test_no_such_file(tmp_path):
    path = tmp_path / "nothing.pth"
    assert str(path) in refusal(lambda: Puffin.from_published(path), FileNotFoundError)
    assert str(path) in refusal(lambda: SimpleNet.from_source(path), FileNotFoundError)
