"""Enformer: the port's own class, small and random, behind the book's one contract.

The published weights were not at hand: nothing here says what they predict.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import enformer_pytorch
import pytest
import torch
import torch.nn.functional as F
from enformer_pytorch.data import one_hot_embed
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import nn

from tests.support import Bomb, refusal
from tssbook.models import enformer
from tssbook.models.enformer import Enformer
from tssbook.models.weights import CheckpointError
from tssbook.sequence import one_hot

LENGTH = 4096  # instead of 196,608 bp; 32 bins of 128 bp, 16 of which come out


@pytest.fixture(scope="module", autouse=True)
def short_input() -> Iterator[None]:
    """Shorter inputs, so that a forward pass takes a moment and not a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enformer, "_LENGTH", LENGTH)
        yield


@pytest.fixture(scope="module")
def port() -> nn.Module:
    """The port with random values in every tensor, also where they start with 0 or 1."""
    torch.manual_seed(0)
    small = {"dim": 48, "depth": 1, "heads": 2, "attn_dim_key": 8}
    config = enformer_pytorch.EnformerConfig(
        **small, output_heads={"human": 3}, target_length=16, dim_divisible_by=4
    )
    model = enformer_pytorch.Enformer(config).eval()
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_((torch.rand_like(tensor) - 0.5) * 0.05)
    return model


@pytest.fixture(scope="module")
def folder(port, tmp_path_factory) -> Path:
    """The network in the form in which it is published: with all names twice."""
    made = tmp_path_factory.mktemp("enformer")
    port.config.save_pretrained(made)
    torch.save(port.state_dict(), made / "pytorch_model.bin")
    return made


@pytest.fixture(scope="module")
def loaded(folder) -> Enformer:
    return Enformer.from_published(folder)


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    """The folder, to be spoiled."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def random_dna(n: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    letters = torch.randint(0, 4, (n, length), generator=generator)
    return F.one_hot(letters, 4).transpose(1, 2).float()


def edit(folder: Path, **fields) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | fields))


def refused(path: Path | str, pattern: str, error: type[Exception] = CheckpointError) -> None:
    message = refusal(lambda: Enformer.from_published(path), error)
    assert re.search(pattern, message), message


# --- the contract -------------------------------------------------------------------------------


@torch.no_grad()
def test_features_are_what_the_port_computes(port, loaded):
    x = random_dna(2, LENGTH)
    features = loaded.features(x)
    theirs = port(x.transpose(1, 2), return_only_embeddings=True)  # (N, bins, C)
    assert features.shape == (2, 96, 16)  # C is twice `dim`
    assert torch.equal(features, theirs.transpose(1, 2))
    assert features.std(dim=0).min() > 0  # two sequences differ in every feature and bin


def test_the_port_has_the_bases_in_our_order():
    assert torch.equal(one_hot_embed[list(b"ACGTN")], one_hot("ACGTN").T)


@pytest.mark.parametrize("base", range(4))
@torch.no_grad()
def test_a_row_of_x_is_a_row_of_the_first_filters(folder, base):
    """Filters that see one base alone: changing the other three among them changes nothing."""
    model = Enformer.from_published(folder)
    rows = [row for row in range(4) if row != base]
    model.port.stem[0].weight[:, rows] = 0
    x = random_dna(1, 500)
    others = x.clone()
    others[:, rows] = x[:, rows[1:] + rows[:1]]
    assert not torch.equal(x, others)
    assert torch.equal(model(x), model(others))
    assert not torch.equal(model(x), model(x.roll(1, dims=1)))


@torch.no_grad()
def test_a_base_changes_the_bins_around_it_and_no_others(folder):
    model = Enformer.from_published(folder)
    for name, value in model.port.named_parameters():
        if "to_out" in name:
            value.zero_()  # without attention each bin sees some 260 bp around it
    x = random_dna(1, LENGTH)
    changed = x.clone()
    changed[..., 1200] = x[..., 1200].roll(1, dims=1)  # in bin 1200 // 128 = 9
    difference = (model.features(x) - model.features(changed)).abs().amax(dim=1)[0]
    bins = difference.nonzero().flatten().tolist()
    # 16 of 32 bins come out, the first one is number 8. Read backwards it would be 22 - 8 = 14.
    assert 9 - 8 in bins
    assert max(bins) <= 12 - 8


@pytest.mark.parametrize(("length", "left"), [(500, 1798), (501, 1797)])  # of 4,096
@torch.no_grad()
def test_short_sequences_stand_in_the_middle_between_n(loaded, length, left):
    x = random_dna(1, length)
    padded = torch.zeros(1, 4, LENGTH)
    padded[..., left : left + length] = x
    assert torch.equal(loaded.features(x), loaded.features(padded))
    assert torch.equal(loaded.features(x.to(torch.int8)), loaded.features(padded))


@pytest.mark.parametrize(
    ("length", "covered"), [(250, slice(7, 9)), (260, slice(6, 10)), (4096, slice(0, 16))]
)
@torch.no_grad()
def test_one_vector_is_the_mean_of_the_bins_that_are_covered(loaded, length, covered):
    x = random_dna(2, length)  # 250 bp are 2 bins, 260 are 3, made even; all are 16
    assert loaded(x).shape == (2, 96)
    torch.testing.assert_close(loaded(x), loaded.features(x)[..., covered].mean(-1))


def test_frozen_and_in_evaluation_mode_also_inside_a_model_in_training(loaded):
    head = nn.Sequential(loaded, nn.LazyLinear(1)).train()
    assert head.training
    assert not any(module.training for module in loaded.modules())
    assert not any(value.requires_grad for value in loaded.parameters())
    x = random_dna(1, 200).requires_grad_()
    first = loaded(x)
    assert torch.equal(first, loaded(x))  # no dropout
    first.sum().backward()  # attribution goes through the trunk to the bases
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(1, 300, 4), (4, 300), (1, 4, 0)])
def test_wrong_shapes(loaded, shape):
    assert f"x is {shape}" in refusal(lambda: loaded(torch.zeros(shape)))


def test_too_long(loaded):
    message = refusal(lambda: loaded(torch.zeros(1, 4, 4097)))
    assert re.search("4,097 bp.*4,096 bp", message)


# --- loading ------------------------------------------------------------------------------------


def test_every_tensor_arrives_and_random_numbers_stay(port, folder):
    state = torch.get_rng_state()
    theirs, ours = port.state_dict(), Enformer.from_published(folder).port.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_file_may_hold_one_of_the_two_names_of_a_tensor(port, loaded, copy):
    state = port.state_dict()
    once = {name: value for name, value in state.items() if not name.startswith("_trunk.")}
    assert len(once) < len(state)
    (copy / "pytorch_model.bin").unlink()
    save_file(once, copy / "model.safetensors")
    x = random_dna(1, 300)
    assert torch.equal(Enformer.from_published(copy)(x), loaded(x))


def test_weights_in_half_precision_become_float32(port, copy):
    state = port.state_dict()
    half = {name: v.half() if v.is_floating_point() else v for name, v in state.items()}
    torch.save(half, copy / "pytorch_model.bin")
    weight = Enformer.from_published(copy).port.stem[0].weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, half["stem.0.weight"].float())


@pytest.mark.parametrize(("written", "used"), [(None, True), (False, False), (True, True)])
def test_gamma_table_unless_the_file_says_otherwise(copy, written, used):
    settings = json.loads((copy / "config.json").read_text())
    del settings["use_tf_gamma"]
    settings |= {"torch_dtype": "float32", "transformers_version": "4.19.2"}  # of that time
    (copy / "config.json").write_text(json.dumps(settings))
    if written is not None:
        edit(copy, use_tf_gamma=written)
    attention = Enformer.from_published(copy).port.transformer[0][0].fn[1]
    assert attention.use_tf_gamma is used


def test_from_the_hub_in_the_older_form(folder, loaded, monkeypatch):
    asked = []

    def hub(name, file):
        asked.append((name, file))
        if not (folder / file).is_file():
            raise LocalEntryNotFoundError(f"404: no {file}")
        return str(folder / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub)
    x = random_dna(1, 300)
    assert torch.equal(Enformer.from_published("someone/enformer")(x), loaded(x))
    files = ("config.json", "model.safetensors", "pytorch_model.bin")
    assert asked == [("someone/enformer", file) for file in files]


# --- what does not fit --------------------------------------------------------------------------


def test_without_the_network_the_message_says_where_to_put_the_files(monkeypatch):
    def offline(name, file):
        raise LocalEntryNotFoundError("Cannot reach the Hub. Check your connection.\nMore lines")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    pattern = r"someone/enformer.*\(Cannot reach the Hub\).*https://.*/someone/enformer"
    refused("someone/enformer", pattern, FileNotFoundError)


def test_without_the_port_the_message_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "enformer_pytorch", None)
    refused(folder, r"enformer_pytorch.*tssbook\[pretrained\]", ModuleNotFoundError)


def test_no_folder(tmp_path):
    refused(tmp_path / "none", re.escape(str(tmp_path / "none")), FileNotFoundError)


@pytest.mark.parametrize("name", ["config.json", "pytorch_model.bin"])
def test_a_file_is_missing(copy, name):
    (copy / name).unlink()
    refused(copy, f"has no {name}", FileNotFoundError)


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({"model_type": "borzoi"}, "model_type = 'borzoi', wanted is 'enformer'"),
        ({"heads": 0}, "no such model"),
        ({"depth": 2}, r"^transformer\.1\..*no such tensor, Enformer needs shape"),
        ({"depth": 0}, r"^transformer\.0\..*has shape .*, Enformer needs no such tensor"),
        ({"attn_dim_key": 4}, r"^transformer\.0\.0\.fn\.1\.rel_content_bias: .*needs shape"),
    ],
)
def test_another_configuration(copy, fields, pattern):
    edit(copy, **fields)
    refused(copy, pattern)


def test_damaged_files(copy):
    whole = (copy / "pytorch_model.bin").read_bytes()
    (copy / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    refused(copy, "pytorch_model.bin is damaged")
    (copy / "config.json").write_text("{")
    refused(copy, "config.json is not JSON")


def test_weights_that_would_run_code(copy, tmp_path):
    torch.save(Bomb(str(tmp_path / "made by the bomb")), copy / "pytorch_model.bin")
    refused(copy, "could run code")
    assert not (tmp_path / "made by the bomb").exists()
