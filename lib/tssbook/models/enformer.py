"""Enformer as a frozen feature extractor (Chapter 2 on real DNA, section 1).

It was trained on thousands of tracks of functional genomics. What it has learned comes out of its
trunk: one vector of features per bin of 128 bp, on which a ridge regression or a small head is
then fitted to few data.

The network is the PyTorch port ``enformer-pytorch``, which comes with
``pip install "tssbook[pretrained]"``. Its axis order, its input length and its lenient way of
loading end here.

Verified by tests, on the same class in a small random configuration: axis order, order of the
bases, centring, and that every tensor of a file arrives. Not verified: the published weights
themselves, which were not at hand. Before relying on them, compare a few predictions with the
port's own examples.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from tssbook.models.weights import CheckpointError, download, fill, read_tensors
from tssbook.sequence import require_sequences

__all__ = ["Enformer"]

_LENGTH = 196_608  # bp, what the published weights were made for


class Enformer(nn.Module):
    """The trunk of Enformer (Avsec et al., Nature Methods 2021), frozen, in evaluation mode.

    On two CPU cores one sequence takes about half a minute and 5 GB: use a GPU for more than a few.

    Parameters
    ----------
    port
        The port's network, ``enformer_pytorch.Enformer``; see `from_published`.
    """

    def __init__(self, port: nn.Module) -> None:
        super().__init__()
        self.port = port.requires_grad_(False)
        self.bin_size = 2**port.config.num_downsamples  # 128 bp
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, also as part of a model that is trained."""
        return super().train(False)

    def features(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, L)`` to features ``(N, 3072, 896)`` of the bins in the middle.

        What is shorter than 196,608 bp gets N on both sides (for an odd rest one more on the
        right). Real sequence around a promoter is better than N: the network looks far.

        Raises
        ------
        ValueError
            If ``x`` has another shape, or is longer.
        """
        require_sequences(x)
        if x.shape[2] > _LENGTH:
            raise ValueError(
                f"The sequences are {x.shape[2]:,} bp long; wanted {_LENGTH:,} bp or fewer: cut "
                f"them around their middle."
            )
        left = (_LENGTH - x.shape[2]) // 2
        x = F.pad(x.float(), (left, _LENGTH - x.shape[2] - left))  # (N, 4, 196608)
        return self.port.trunk(x.transpose(1, 2)).transpose(1, 2)  # (N, 3072, 896)

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, L)`` to one vector each, ``(N, 3072)``.

        The mean over the bins that the sequence covers, made even so that they are in the middle.
        """
        features = self.features(x)  # (N, 3072, 896)
        n_bins = features.shape[-1]
        covered = math.ceil(x.shape[-1] / self.bin_size)
        first = max(0, (n_bins - covered) // 2)
        return features[..., first : n_bins - first].mean(-1)  # (N, 3072)

    @classmethod
    def from_published(cls, path: str | Path) -> Self:
        """Load published weights, on the CPU, in ``float32``.

        Parameters
        ----------
        path
            A folder with ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``, or a
            repository of the Hugging Face Hub, ``"EleutherAI/enformer-official-rough"``, which is
            downloaded once (1.0 GB).

        Raises
        ------
        ModuleNotFoundError
            If the extra ``pretrained`` is not installed.
        FileNotFoundError
            If there is no such folder or repository, or a file is missing in it.
        CheckpointError
            If the files are damaged, of another network, or do not fit each other.
        """
        try:
            import enformer_pytorch
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"Enformer needs {error.name}, which is not installed: "
                f'pip install "tssbook[pretrained]"',
                name=error.name,
            ) from error
        config, weights = _files(path)
        try:
            settings = json.loads(config.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{config} is not JSON ({error}): get it again") from error
        found = settings.get("model_type") if isinstance(settings, dict) else None
        if found != "enformer":
            raise CheckpointError(f"{config} has model_type = {found!r}, wanted is 'enformer'")
        # The published weights are older than this setting. They were converted from TensorFlow,
        # whose gamma function differs a little: the port keeps its values in a table.
        settings.setdefault("use_tf_gamma", True)

        def make() -> nn.Module:
            return enformer_pytorch.Enformer(enformer_pytorch.EnformerConfig.from_dict(settings))

        return cls(fill(make, read_tensors(weights), weights))


def _files(path: str | Path) -> tuple[Path, Path]:
    """Return the paths of the configuration and of the tensors."""

    def find(name: str) -> Path:
        if not Path(path).is_dir():
            return download(str(path), name)
        if not (Path(path) / name).is_file():
            raise FileNotFoundError(f"{path} has no {name}: the two files belong together")
        return Path(path) / name

    config = find("config.json")
    try:
        return config, find("model.safetensors")
    except FileNotFoundError:
        return config, find("pytorch_model.bin")  # the older form
