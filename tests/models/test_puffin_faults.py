"""puffin, when something does not fit: one sentence, with what was found and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from tests.support import Bomb, refusal
from tssbook.models import checkpoints
from tssbook.models.checkpoints import CheckpointError
from tssbook.models.puffin import Puffin, SimpleNet, loss_terms


@pytest.fixture
def simple() -> SimpleNet:
    return SimpleNet(n_motifs=2, n_initiators=1)


def refused(cls, tensors, path: Path, pattern: str) -> None:
    """A file of these tensors is refused, with a line that names it."""
    torch.save(tensors, path)
    message = refusal(lambda: cls.from_published(path), CheckpointError)
    assert str(path) in message
    assert re.search(pattern, message), message


# --- sequences and tracks ---------------------------------------------------------------------


@pytest.mark.parametrize("make", [SimpleNet, Puffin])
def test_sequences(make):
    net = make()
    net(torch.zeros(1, 4, 651))
    assert re.search("650 bp .*651 bp", refusal(lambda: net(torch.zeros(1, 4, 650))))
    for shape in ((4, 700), (1, 700, 4)):
        assert f"x is {shape}" in refusal(lambda shape=shape: net(torch.zeros(shape)))


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"tracks": ["a+", "b-"]}, r"'a\+' as track 0 has 'b-' as track 1 where 'a-' should be"),
        ({"tracks": ["a+", "a-"], "n_tracks": 3}, "n_tracks is 3, and there are 2 names"),
    ],
)
def test_names_of_tracks(config, found):
    with pytest.raises(ValueError, match=found):
        SimpleNet(2, 2, **config)


def test_tracks(simple):
    message = refusal(lambda: loss_terms(simple, torch.ones(2, 10, 700), torch.ones(2, 700, 10)))
    assert re.search(r"\(2, 10, 700\) .*\(2, 700, 10\)", message)
    tracks = torch.ones(2, 10, 650)
    assert re.search("650 positions.*651", refusal(lambda: loss_terms(simple, tracks, tracks)))


# --- files ------------------------------------------------------------------------------------


def test_file_of_the_other_network(tmp_path, simple):
    pattern = r"scaler: .*no such tensor, Puffin needs shape \(1,\)"
    refused(Puffin, simple.state_dict(), tmp_path / "stage1_10000_0.pth", pattern)
    pattern = "scaler: .*SimpleNet needs no such tensor"
    refused(SimpleNet, Puffin().state_dict(), tmp_path / "puffin.pth", pattern)


@pytest.mark.parametrize("classes", [(SimpleNet, Puffin), (Puffin, SimpleNet)])
def test_checkpoint_of_the_other(tmp_path, classes):
    ours, other = classes
    path = checkpoints.save(ours(), tmp_path / "net")
    message = refusal(lambda: other.from_pretrained(path), CheckpointError)
    assert f"describes a {ours.__name__}, not a {other.__name__}" in message


def test_tensors_that_do_not_fit(tmp_path, simple):
    tensors = Puffin().state_dict()
    del tensors["scaler2"]
    pattern = r"^scaler2: .*no such tensor, .*shape \(1,\)"
    refused(Puffin, tensors, tmp_path / "puffin.pth", pattern)
    tensors = simple.state_dict() | {"deconv.weight": torch.zeros(10, 4, 301)}
    pattern = r"^deconv.weight: .*\(10, 4, 301\), .*\(10, 4, 601\)"
    refused(SimpleNet, tensors, tmp_path / "stage1.pth", pattern)


@pytest.mark.parametrize("cls", [SimpleNet, Puffin])
def test_other_files(tmp_path, cls):
    path = tmp_path / "x.pth"
    with pytest.raises(FileNotFoundError, match=r"x\.pth"):
        cls.from_published(path)
    refused(cls, torch.nn.Linear(2, 1).state_dict(), path, "no such tensor")
    refused(cls, {"conv.weight": torch.tensor(1.0)}, path, "no such tensor|no such model")
    refused(cls, {"conv.weight": Bomb(str(tmp_path / "ran"))}, path, "was not loaded")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_loss_refuses_what_is_no_track(value):
    model, target = SimpleNet(), torch.ones(1, 10, 700)
    target[0, 4, 340] = value
    with pytest.raises(
        ValueError, match=rf"The tracks, wanted as .*, hold {value:g} at \(0, 4, 340\)"
    ):
        loss_terms(model, torch.ones(1, 10, 700), target)


def test_counts_where_their_logarithm_is_wanted(simple):
    target = torch.full((1, 10, 700), 5000.0)
    message = refusal(lambda: loss_terms(simple, torch.ones(1, 10, 700), target))
    assert re.search(r"wanted as log10\(1 \+ count\), hold 5000", message)
