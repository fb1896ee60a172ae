"""Files in the layouts in which ProCapNet was published, for several tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

ENCODE = "ENCSR261KBX.procapnet_model.fold{}.state_dict.torch"

Member = tuple[tarfile.TarInfo, bytes]


def stored(content: object) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def member(name: str, content: bytes) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def special(name: str, kind: bytes, target: str = "") -> Member:
    """A folder, a link or a device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def fold_member(fold: int, content: object) -> Member:
    return member(f"fold_{fold}/{ENCODE.format(fold)}", stored(content))


def archive(path: Path, members: Sequence[Member]) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as file:
        for info, content in members:
            file.addfile(info, io.BytesIO(content))
    return path


def encode_archive(path: Path, models: Mapping[int, nn.Module]) -> Path:
    """An archive as ENCFF976FHE.tar.gz."""
    return archive(path, [fold_member(i, model.state_dict()) for i, model in models.items()])


def multimolecule_file(path: Path, model: nn.Module) -> Path:
    """A file as a ProCapNetForProfilePrediction has it; the channel for N is the others' mean."""
    names = {
        "iconv": "model.encoder.stem.conv",
        "fconv": "profile_count_head.profile",
        "linear": "profile_count_head.count",
    }
    tensors = {}
    for name, tensor in model.state_dict().items():
        layer, _, kind = name.rpartition(".")
        theirs = names.get(layer, layer.replace("rconvs.", "model.encoder.layer.") + ".conv")
        tensors[f"{theirs}.{kind}"] = tensor
    stem = tensors["model.encoder.stem.conv.weight"]
    tensors["model.encoder.stem.conv.weight"] = torch.cat((stem, stem.mean(1, keepdim=True)), 1)
    save_file(tensors, path)
    return path
