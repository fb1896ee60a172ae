"""Enformer and Borzoi as frozen feature extractors (Chapter 2, last section).

Both were trained on thousands of tracks of functional genomics. What they have learned comes out
of their trunk: one vector of features per bin of the genome, on which a ridge regression or a
small head is then fitted to few data.

The networks are the PyTorch ports ``enformer-pytorch`` and ``borzoi-pytorch``, which come with
``pip install "tssbook[pretrained]"``. Each has its own axis order, input length and way of loading;
all of that ends here: `load_enformer` and `load_borzoi` return a module that takes the book's
``(N, 4, L)`` and returns ``(N, C, bins)``. Weights are loaded by this module and not by the ports,
because theirs goes on with random numbers where a tensor is missing, and depends on the version
of transformers.

Verified by tests, on the same classes in small random configurations: axis order, order of the
bases, centring, and that every tensor of a file arrives. Not verified: the published weights
themselves, which were not at hand, so neither that their files fit nor the published scores.
Before relying on them, compare a few predictions with the ports' own examples.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tssbook.data.download import MissingFile
from tssbook.models.checkpoints import CheckpointError, read_tensors
from tssbook.training.prediction import predict

__all__ = ["Features", "embed", "load_borzoi", "load_enformer"]

_ENFORMER_LENGTH, _BORZOI_LENGTH = 196_608, 524_288  # bp, what the published weights were made for
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class Features(nn.Module):
    """The trunk of a pretrained network, frozen and always in evaluation mode.

    ``trunk(model, x)`` maps ``(N, 4, length)`` to ``(N, C, n_bins)``: ``length`` in bp, bins of
    ``bin_size`` bp that lie around the middle of the input.
    """

    def __init__(
        self,
        model: nn.Module,
        trunk: Callable[[nn.Module, Tensor], Tensor],
        *,
        length: int,
        bin_size: int,
        n_bins: int,
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.length, self.bin_size, self.n_bins = length, bin_size, n_bins
        self._trunk = trunk
        self.eval()

    def train(self, mode: bool = True) -> Features:
        """Stay in evaluation mode, also as part of a model that is trained."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``(N, C, n_bins)`` of sequences ``(N, 4, L)``, in ``float32``.

        What is shorter than ``length`` gets N on both sides (for an odd rest one more on the
        right); what is longer, or has another shape, is a ValueError. Real sequence around a
        promoter is better than N: these networks look far.
        """
        if x.ndim != 3 or x.shape[1] != 4 or not 0 < x.shape[2] <= self.length:
            raise ValueError(
                f"x is {tuple(x.shape)}; wanted (N, 4, L) with L from 1 to {self.length:,} bp: "
                f"cut longer sequences around their middle."
            )
        left = (self.length - x.shape[2]) // 2
        padded = F.pad(x.float(), (left, self.length - x.shape[2] - left))  # (N, 4, length)
        return self._trunk(self.model, padded)  # (N, C, n_bins)


def load_enformer(path_or_name: str | Path = "EleutherAI/enformer-official-rough") -> Features:
    """Load Enformer (Avsec et al., Nature Methods 2021) as a frozen feature extractor.

    For 196,608 bp it returns 3,072 features in each of the 896 central bins of 128 bp. On two
    CPU cores one sequence takes about half a minute and 5 GB: use a GPU for more than a few.

    Parameters
    ----------
    path_or_name
        A folder with ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``, or a
        repository ``"owner/name"`` of the Hugging Face Hub, which is downloaded once (1.0 GB).

    Returns
    -------
    Features
        On the CPU, in ``float32``.

    Raises
    ------
    ModuleNotFoundError
        If the extra ``pretrained`` is not installed.
    FileNotFoundError
        If there is no such folder, or a file is missing in it (MissingFile for the Hub's).
    CheckpointError
        If the files are damaged, of another network, or do not fit each other.
    """
    try:
        from enformer_pytorch import Enformer, EnformerConfig
    except ModuleNotFoundError as error:
        raise _no_port("load_enformer", error) from error
    where, tensors = _files(path_or_name, "1.0 GB")
    settings = _settings(where, "enformer")
    # The published weights are older than this setting. They were converted from TensorFlow,
    # whose gamma function differs a little: the port keeps its values in a table.
    settings.setdefault("use_tf_gamma", True)
    model = _build(lambda: Enformer(EnformerConfig.from_dict(settings)), where, tensors)
    bin_size = 2**model.config.num_downsamples
    n_bins = model.config.target_length
    return Features(
        model,
        _enformer_trunk,
        length=_ENFORMER_LENGTH,
        bin_size=bin_size,
        n_bins=n_bins if n_bins != -1 else _ENFORMER_LENGTH // bin_size,  # -1: it cuts none off
    )


def load_borzoi(path_or_name: str | Path = "johahi/borzoi-replicate-0") -> Features:
    """Load Borzoi (Linder et al., Nature Genetics 2025) as a frozen feature extractor.

    For 524,288 bp it returns 1,920 features in each of the 6,144 central bins of 32 bp. On two
    CPU cores one sequence takes more than a minute and 4 GB: use a GPU for more than a few.

    Parameters
    ----------
    path_or_name
        As in `load_enformer`; 0.74 GB.

    Returns
    -------
    Features
        On the CPU, in ``float32``.

    Raises
    ------
    ModuleNotFoundError, FileNotFoundError, CheckpointError
        As in `load_enformer`; CheckpointError also for a Flashzoi, which runs on a GPU alone.
    """
    try:
        from borzoi_pytorch import Borzoi
        from borzoi_pytorch.config_borzoi import BorzoiConfig
    except ModuleNotFoundError as error:
        raise _no_port("load_borzoi", error) from error
    where, tensors = _files(path_or_name, "0.74 GB")
    settings = _settings(where, "borzoi")
    if settings.get("flashed"):
        raise CheckpointError(
            f"{where} describes a Flashzoi, which needs flash-attn and a GPU: "
            f"take a Borzoi, such as johahi/borzoi-replicate-0"
        )
    model = _build(lambda: Borzoi(BorzoiConfig.from_dict(settings)), where, tensors)
    return Features(
        model,
        _borzoi_trunk,
        length=_BORZOI_LENGTH,
        bin_size=32,
        n_bins=model.crop.target_length,
    )


def embed(
    model: Features,
    x: Tensor,
    *,
    bins: int | None = None,
    batch_size: int = 1,
    device: str | torch.device | None = None,
) -> Tensor:
    """Return one vector of features per sequence: the average over the bins in the middle.

    Parameters
    ----------
    model
        What `load_enformer` or `load_borzoi` returned.
    x
        ``(N, 4, L)``; bytes are welcome.
    bins
        Bins to average over, symmetrically about the middle: even where the network has an even
        number of them. None takes as many as the sequence covers.
    batch_size, device
        As in `tssbook.training.prediction.predict`.

    Returns
    -------
    torch.Tensor
        ``(N, C)``, ``float32``, on the CPU.

    Raises
    ------
    TypeError
        If ``x`` is no tensor.
    ValueError
        If ``bins`` cannot be cut from the middle, or ``x`` does not fit.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x is {type(x).__name__}; wanted a tensor (N, 4, L): call one_hot first.")
    if bins is None:
        bins = math.ceil(x.shape[-1] / model.bin_size)
        bins = min(bins + (model.n_bins - bins) % 2, model.n_bins)
    if not 0 < bins <= model.n_bins or (model.n_bins - bins) % 2:
        kind = "an odd" if model.n_bins % 2 else "an even"
        raise ValueError(f"bins is {bins}; wanted {kind} number from 1 to {model.n_bins}.")
    # Averaged batch by batch: all bins of 1,000 promoters would take 11 GB (Enformer).
    return predict(
        nn.Sequential(model, _CentralMean(bins)), x, batch_size=batch_size, device=device
    )


class _CentralMean(nn.Module):
    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, features: Tensor) -> Tensor:
        first = (features.shape[-1] - self.bins) // 2
        return features[..., first : first + self.bins].mean(dim=-1)  # (N, C, n_bins) -> (N, C)


def _enformer_trunk(port: nn.Module, x: Tensor) -> Tensor:
    return port.trunk(x.transpose(1, 2)).transpose(1, 2)  # (N, length, 4) -> (N, n_bins, C)


def _borzoi_trunk(port: nn.Module, x: Tensor) -> Tensor:
    return port.final_joined_convs(port.get_embs_after_crop(x))  # all (N, channels, places)


def _no_port(function: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f'{function} needs {error.name}, which is not installed: pip install "tssbook[pretrained]"',
        name=error.name,
    )


# --- files ----------------------------------------------------------------------------------


def _files(path_or_name: str | Path, size: str) -> tuple[Path, Path]:
    """Return the paths of the configuration and of the tensors."""
    folder = Path(path_or_name)
    if not folder.is_dir():
        if isinstance(path_or_name, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", path_or_name):
            return _from_hub(path_or_name, size)
        raise FileNotFoundError(
            f"there is no folder {folder}: give one with config.json and {' or '.join(_WEIGHTS)}"
        )
    weights = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    if not weights or not (folder / "config.json").is_file():
        missing = " or ".join(_WEIGHTS) if (folder / "config.json").is_file() else "config.json"
        raise FileNotFoundError(f"{folder} has no {missing}: the two files belong together")
    return folder / "config.json", weights[0]


def _from_hub(name: str, size: str) -> tuple[Path, Path]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    try:
        config = hf_hub_download(name, "config.json")
        try:
            weights = hf_hub_download(name, _WEIGHTS[0])
        except EntryNotFoundError:  # the older form
            weights = hf_hub_download(name, _WEIGHTS[1])
    except (OSError, ValueError, EntryNotFoundError, HfHubHTTPError) as error:
        raise MissingFile(
            f"{name} ({size}) is not on this machine and could not be downloaded "
            f"({_brief(error)}): get config.json and {' or '.join(_WEIGHTS)} from "
            f"https://huggingface.co/{name}, put them into one folder, and give that folder "
            f"instead of the name"
        ) from error
    return Path(config), Path(weights)


def _settings(path: Path, kind: str) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}): get it again") from error
    found = settings.get("model_type") if isinstance(settings, dict) else None
    if found != kind:
        raise CheckpointError(f"{path} has model_type = {found!r}, wanted is {kind!r}")
    return settings


def _build(make: Callable[[], nn.Module], where: Path, weights: Path) -> nn.Module:
    """Make the network and fill it from a file, or say what does not fit."""
    tensors = _read(weights)
    try:
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
            model = make()
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise CheckpointError(f"{where}: no such network, {_brief(error)}") from error
    # Enformer holds each of its tensors under two names, and a file may have only one of them.
    wanted = model.state_dict(keep_vars=True)
    held = {id(wanted[name]): tensor for name, tensor in tensors.items() if name in wanted}
    twins = {name: held[id(value)] for name, value in wanted.items() if id(value) in held}
    try:
        model.load_state_dict(twins | tensors)
    except RuntimeError as error:
        _, _, reasons = str(error).partition("\n")  # the first line only says where
        raise CheckpointError(f"{weights} does not fit {where}: {_brief(reasons)}") from error
    return model


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_tensors(path)
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # reading damaged bytes can fail in any way
        raise CheckpointError(
            f"{path} is damaged, or holds Python objects that could run code, and was not "
            f"loaded: get it again, or as model.safetensors"
        ) from error


def _brief(error: Exception | str) -> str:
    """Return the beginning of a message from elsewhere, which may be a page long."""
    first = re.split(r"\.\s|\n", str(error).strip())[0] or type(error).__name__
    return first if len(first) <= 200 else f"{first[:200]} ..."
