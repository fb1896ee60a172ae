"""pretrained: the ports' own classes, small and random, behind the book's one contract.

The published weights were not at hand: nothing here says what they predict.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from borzoi_pytorch import Borzoi, pytorch_borzoi_transformer
from borzoi_pytorch.config_borzoi import BorzoiConfig
from enformer_pytorch import Enformer, EnformerConfig
from enformer_pytorch.data import one_hot_embed
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import nn

from tests.support import Bomb, refusal
from tssbook.data.download import MissingFile
from tssbook.models import enformer_borzoi as pretrained
from tssbook.models.checkpoints import CheckpointError
from tssbook.models.enformer_borzoi import Features, embed, load_borzoi, load_enformer
from tssbook.sequence import one_hot

LENGTH = {"enformer": 4096, "borzoi": 2048}  # instead of 196,608 and 524,288 bp
LOAD = {"enformer": load_enformer, "borzoi": load_borzoi}


@pytest.fixture(scope="module", autouse=True)
def short_input() -> Iterator[None]:
    """Shorter inputs, so that a forward pass takes a moment and not a minute."""
    positions = pytorch_borzoi_transformer.get_positional_embed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "_ENFORMER_LENGTH", LENGTH["enformer"])
        patch.setattr(pretrained, "_BORZOI_LENGTH", LENGTH["borzoi"])
        patch.setattr(  # Borzoi's attention always has 524,288 / 128 = 4,096 positions
            pytorch_borzoi_transformer,
            "get_positional_embed",
            lambda _, *rest: positions(LENGTH["borzoi"] // 128, *rest),
        )
        yield


@pytest.fixture(scope="module")
def ports() -> dict[str, nn.Module]:
    """Both networks with random values in every tensor, also where they start with 0 or 1."""
    torch.manual_seed(0)
    small = {"dim": 48, "depth": 1, "heads": 2, "attn_dim_key": 8}
    enformer = EnformerConfig(
        **small, output_heads={"human": 3}, target_length=16, dim_divisible_by=4
    )
    borzoi = BorzoiConfig(**small, attn_dim_value=8, bins_to_return=32, enable_human_head=False)
    models = {"enformer": Enformer(enformer).eval(), "borzoi": Borzoi(borzoi).eval()}
    for model in models.values():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_((torch.rand_like(tensor) - 0.5) * 0.05)
    return models


@pytest.fixture(scope="module")
def folders(ports, tmp_path_factory) -> dict[str, Path]:
    """Each network in the form in which it is published first: Enformer with all names twice."""
    made = {kind: tmp_path_factory.mktemp(kind) for kind in ports}
    ports["enformer"].config.save_pretrained(made["enformer"])
    torch.save(ports["enformer"].state_dict(), made["enformer"] / "pytorch_model.bin")
    ports["borzoi"].save_pretrained(made["borzoi"])
    return made


@pytest.fixture(scope="module")
def loaded(folders) -> dict[str, Features]:
    return {kind: LOAD[kind](folder) for kind, folder in folders.items()}


@pytest.fixture
def copy(folders, tmp_path) -> Path:
    """Enformer's folder, to be spoiled."""
    return Path(shutil.copytree(folders["enformer"], tmp_path / "copy"))


def random_dna(n: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    letters = torch.randint(0, 4, (n, length), generator=generator)
    return F.one_hot(letters, 4).transpose(1, 2).float()


def edit(folder: Path, **fields) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | fields))


# --- the contract -------------------------------------------------------------------------------


@torch.no_grad()
def test_enformer_is_what_the_port_computes(ports, loaded):
    x = random_dna(2, LENGTH["enformer"])
    features = loaded["enformer"](x)
    theirs = ports["enformer"](x.transpose(1, 2), return_only_embeddings=True)  # (N, bins, C)
    assert features.shape == (2, 96, 16)  # C is twice `dim`
    assert torch.equal(features, theirs.transpose(1, 2))
    assert features.std(dim=0).min() > 0  # two sequences differ in every feature and bin


@torch.no_grad()
def test_borzoi_is_what_the_port_computes(ports, loaded):
    x = random_dna(2, LENGTH["borzoi"])
    features = loaded["borzoi"](x)
    whole = ports["borzoi"]
    whole.human_head = nn.Identity()  # so that the port's output is softplus(features)
    assert features.shape == (2, 1920, 32)
    assert torch.equal(F.softplus(features), whole(x))
    del whole.human_head
    assert (features[0] - features[1]).abs().amax(dim=0).min() > 0


def test_the_port_has_the_bases_in_our_order():
    assert torch.equal(one_hot_embed[list(b"ACGTN")], one_hot("ACGTN").T)


@pytest.mark.parametrize("base", range(4))
@torch.no_grad()
def test_a_row_of_x_is_a_row_of_the_first_filters(folders, base):
    """Filters that see one base alone: changing the other three among them changes nothing."""
    features = load_enformer(folders["enformer"])
    weight = features.model.stem[0].weight
    weight[:, [row for row in range(4) if row != base]] = 0
    x = random_dna(1, 500)
    others = x.clone()
    rows = [row for row in range(4) if row != base]
    others[:, rows] = x[:, rows[1:] + rows[:1]]
    assert not torch.equal(x, others)
    assert torch.equal(features(x), features(others))
    assert not torch.equal(features(x), features(x.roll(1, dims=1)))


@torch.no_grad()
def test_a_base_changes_the_bins_around_it_and_no_others(folders):
    features = load_enformer(folders["enformer"])
    for name, value in features.model.named_parameters():
        if "to_out" in name:
            value.zero_()  # without attention each bin sees some 260 bp around it
    x = random_dna(1, LENGTH["enformer"])
    changed = x.clone()
    changed[..., 1200] = x[..., 1200].roll(1, dims=1)  # in bin 1200 // 128 = 9
    difference = (features(x) - features(changed)).abs().amax(dim=1)[0]
    bins = difference.nonzero().flatten().tolist()
    # 16 of 32 bins come out, the first one is number 8. Read backwards it would be 22 - 8 = 14.
    assert 9 - 8 in bins
    assert max(bins) <= 12 - 8


@pytest.mark.parametrize("kind", LOAD)
@pytest.mark.parametrize("length", [500, 501])
@torch.no_grad()
def test_short_sequences_stand_in_the_middle_between_n(loaded, kind, length):
    x = random_dna(1, length)
    left = {500: (LENGTH[kind] - 500) // 2, 501: (LENGTH[kind] - 502) // 2}[length]
    padded = torch.zeros(1, 4, LENGTH[kind])
    padded[..., left : left + length] = x
    assert torch.equal(loaded[kind](x), loaded[kind](padded))
    assert torch.equal(loaded[kind](x.to(torch.int8)), loaded[kind](padded))


@pytest.mark.parametrize("kind", LOAD)
def test_frozen_and_in_evaluation_mode_also_inside_a_model_in_training(loaded, kind):
    head = nn.Sequential(loaded[kind], nn.LazyLinear(1)).train()
    assert head.training
    assert not any(module.training for module in loaded[kind].modules())
    assert not any(value.requires_grad for value in loaded[kind].parameters())
    x = random_dna(1, 200).requires_grad_()
    first = loaded[kind](x)
    assert torch.equal(first, loaded[kind](x))  # no dropout
    first.sum().backward()  # attribution goes through the trunk to the bases
    assert x.grad.abs().sum() > 0


# --- embed --------------------------------------------------------------------------------------


@pytest.fixture
def counter() -> Features:
    """A trunk whose features are the share of each base in a bin of 2 bp; 8 bins."""
    trunk = lambda _, x: F.avg_pool1d(x, 2)  # noqa: E731
    return Features(nn.Linear(1, 1), trunk, length=16, bin_size=2, n_bins=8)


def test_embed_averages_over_the_bins_that_the_sequence_covers(counter):
    x = one_hot(["AAGA", "NNCT"])
    assert embed(counter, x).tolist() == [[0.75, 0, 0.25, 0], [0, 0.25, 0, 0.25]]
    assert torch.equal(embed(counter, x.to(torch.int8), batch_size=2), embed(counter, x))


def test_embed_over_more_and_fewer_bins(counter):
    x = one_hot(["CAAAAT"])  # stands in the bins NC AA AA TN: as wide as 3 bins, made even
    assert embed(counter, x, bins=2).tolist() == [[1, 0, 0, 0]]
    assert embed(counter, x, bins=8).tolist() == [[4 / 16, 1 / 16, 0, 1 / 16]]
    assert torch.equal(embed(counter, x), embed(counter, x, bins=4))


@pytest.mark.parametrize("bins", [0, 3, 10])
def test_embed_refuses_bins_that_are_not_in_the_middle(counter, bins):
    message = refusal(lambda: embed(counter, one_hot(["ACGT"]), bins=bins))
    assert message == f"bins is {bins}; wanted an even number from 1 to 8."


def test_embed_refuses_letters(counter):
    assert "x is list; wanted a tensor" in refusal(lambda: embed(counter, ["ACGT"]), TypeError)


@pytest.mark.parametrize("kind", LOAD)
@torch.no_grad()
def test_embed_of_a_network(loaded, kind):
    x = random_dna(2, 250)
    covered = {"enformer": slice(7, 9), "borzoi": slice(12, 20)}[kind]  # 250 bp: 2 or 8 bins
    vectors = embed(loaded[kind], x, device="cpu")
    expected = loaded[kind](x)[..., covered].mean(dim=-1)
    torch.testing.assert_close(vectors, expected)
    assert vectors.shape == (2, {"enformer": 96, "borzoi": 1920}[kind])


# --- loading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOAD)
def test_every_tensor_arrives(ports, loaded, kind):
    theirs, ours = ports[kind].state_dict(), loaded[kind].model.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_file_may_hold_one_of_the_two_names_of_a_tensor(ports, loaded, copy):
    state = ports["enformer"].state_dict()
    once = {name: value for name, value in state.items() if not name.startswith("_trunk.")}
    assert len(once) < len(state)
    (copy / "pytorch_model.bin").unlink()
    save_file(once, copy / "model.safetensors")
    x = random_dna(1, 300)
    assert torch.equal(load_enformer(copy)(x), loaded["enformer"](x))


def test_weights_in_half_precision_become_float32(ports, copy):
    half = {name: value.half() for name, value in ports["enformer"].state_dict().items()}
    torch.save(half, copy / "pytorch_model.bin")
    features = load_enformer(copy)
    assert features.model.stem[0].weight.dtype == torch.float32
    assert torch.equal(features.model.stem[0].weight, half["stem.0.weight"].float())


@pytest.mark.parametrize(("written", "used"), [(None, True), (False, False), (True, True)])
def test_gamma_table_unless_the_file_says_otherwise(copy, written, used):
    settings = json.loads((copy / "config.json").read_text())
    del settings["use_tf_gamma"]
    settings |= {"torch_dtype": "float32", "transformers_version": "4.19.2"}  # of that time
    (copy / "config.json").write_text(json.dumps(settings))
    if written is not None:
        edit(copy, use_tf_gamma=written)
    attention = load_enformer(copy).model.transformer[0][0].fn[1]
    assert attention.use_tf_gamma is used


def test_a_network_that_cuts_nothing_off(copy):
    edit(copy, target_length=-1)
    features = load_enformer(copy)
    assert features.n_bins == 32 == features(random_dna(1, 300)).shape[-1]


def test_loading_does_not_move_the_random_numbers(folders):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_enformer(folders["enformer"])
    assert torch.equal(torch.rand(3), expected)


def test_from_the_hub_in_the_older_form(folders, loaded, monkeypatch):
    asked = []

    def hub(name, file):
        asked.append((name, file))
        if not (folders["enformer"] / file).is_file():
            raise EntryNotFoundError(f"404: no {file}")
        return str(folders["enformer"] / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub)
    x = random_dna(1, 300)
    assert torch.equal(load_enformer()(x), loaded["enformer"](x))
    files = ("config.json", "model.safetensors", "pytorch_model.bin")
    assert asked == [("EleutherAI/enformer-official-rough", file) for file in files]


# --- what does not fit --------------------------------------------------------------------------


def test_without_the_network_the_message_says_where_to_put_the_files(monkeypatch):
    def offline(name, file):
        raise LocalEntryNotFoundError("Cannot reach the Hub. Check your connection.\nMore lines")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    message = refusal(load_borzoi, MissingFile)
    assert message == (
        "johahi/borzoi-replicate-0 (0.74 GB) is not on this machine and could not be downloaded "
        "(Cannot reach the Hub): get config.json and model.safetensors or pytorch_model.bin from "
        "https://huggingface.co/johahi/borzoi-replicate-0, put them into one folder, and give "
        "that folder instead of the name"
    )


@pytest.mark.parametrize("kind", LOAD)
def test_without_the_port_the_message_names_the_extra(monkeypatch, kind):
    monkeypatch.setitem(sys.modules, f"{kind}_pytorch", None)
    message = refusal(LOAD[kind], ModuleNotFoundError)
    assert message == (
        f"load_{kind} needs {kind}_pytorch, which is not installed: "
        f'pip install "tssbook[pretrained]"'
    )


@pytest.mark.parametrize("shape", [(1, 300, 4), (4, 300), (1, 4, 4097), (1, 4, 0)])
def test_wrong_shapes(loaded, shape):
    message = refusal(lambda: loaded["enformer"](torch.zeros(shape)))
    assert f"x is {shape}; wanted (N, 4, L) with L from 1 to 4,096 bp" in message


def test_no_folder(tmp_path):
    message = refusal(lambda: load_enformer(tmp_path / "none"), FileNotFoundError)
    assert f"there is no folder {tmp_path / 'none'}" in message


@pytest.mark.parametrize("name", ["config.json", "pytorch_model.bin"])
def test_a_file_is_missing(copy, name):
    (copy / name).unlink()
    message = refusal(lambda: load_enformer(copy), FileNotFoundError)
    assert name in message.removeprefix(str(copy))


def test_another_network(folders):
    message = refusal(lambda: load_borzoi(folders["enformer"]), CheckpointError)
    assert message.endswith("has model_type = 'enformer', wanted is 'borzoi'")


def test_flashzoi(folders, tmp_path):
    shutil.copy(folders["borzoi"] / "config.json", tmp_path)
    (tmp_path / "model.safetensors").touch()
    edit(tmp_path, flashed=True)
    assert "needs flash-attn" in refusal(lambda: load_borzoi(tmp_path), CheckpointError)


def test_configuration_that_is_no_json(copy):
    (copy / "config.json").write_text("{")
    assert "is not JSON" in refusal(lambda: load_enformer(copy), CheckpointError)


def test_configuration_of_no_network(copy):
    edit(copy, heads=0)
    message = refusal(lambda: load_enformer(copy), CheckpointError)
    assert "config.json: no such network" in message


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("depth", 2, "Missing key(s) in state_dict"),
        ("depth", 0, "Unexpected key(s) in state_dict"),
        ("attn_dim_key", 4, "size mismatch for transformer.0.0.fn.1.rel_content_bias"),
    ],
)
def test_weights_of_other_settings(copy, setting, value, reason):
    edit(copy, **{setting: value})
    message = refusal(lambda: load_enformer(copy), CheckpointError)
    assert f"pytorch_model.bin does not fit {copy / 'config.json'}: {reason}" in message
    assert len(message) < 600


def test_damaged_weights(copy):
    whole = (copy / "pytorch_model.bin").read_bytes()
    (copy / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in refusal(lambda: load_enformer(copy), CheckpointError)


def test_weights_that_would_run_code(copy, tmp_path):
    torch.save(Bomb(str(tmp_path / "made by the bomb")), copy / "pytorch_model.bin")
    assert "could run code" in refusal(lambda: load_enformer(copy), CheckpointError)
    assert not (tmp_path / "made by the bomb").exists()
