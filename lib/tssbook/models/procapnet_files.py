"""Published weights of Chapter 4's model: ENCODE's archives and MultiMolecule's files.

Both are read as tensors with the names that `tssbook.models.procapnet.ProCapNet` gives its layers.
Whether they fit is not looked at here.
"""

from __future__ import annotations

import gzip
import io
import pickle
import re
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from tssbook.models.checkpoints import CheckpointError, read_tensors

__all__ = ["read_encode", "read_multimolecule"]

# fold_0/ENCSR261KBX.procapnet_model.fold0.state_dict.torch, but not fold_0/._ENCSR... of a Mac.
_FOLD = re.compile(r"(?:^|/)fold_([0-9]+)/[^./][^/]*\.fold\1\.state_dict\.torch$")

# MultiMolecule's names of the layers; those of the dilated convolutions are numbered.
_STEM, _DILATED = "model.encoder.stem.conv", re.compile(r"model\.encoder\.layer\.([0-9]+)\.conv")
_NAMES = {
    _STEM: "iconv",
    "profile_count_head.profile": "fconv",
    "profile_count_head.count": "linear",
}


def read_encode(path: str | Path, fold: int) -> tuple[dict[str, Tensor], str]:
    """Read one fold of an archive of ENCODE, in one go and without unpacking it.

    Parameters and errors are those of :meth:`tssbook.models.procapnet.ProCapNet.from_encode`.

    Returns
    -------
    tuple
        Tensors by name, and the name of the member that they stood in.
    """
    content, member = _read_fold(Path(path), fold)
    return _tensors(content, f"{path}, {member}"), member


def read_multimolecule(path: str | Path) -> dict[str, Tensor]:
    """Read MultiMolecule's weights under our names and without the input channel for N.

    Parameters and errors are those of
    :meth:`tssbook.models.procapnet.ProCapNet.from_multimolecule`.
    """
    found = read_tensors(path)
    if f"{_STEM}.weight" not in found:
        raise CheckpointError(
            f"{path} has no {_STEM}.weight, so it is no ProCapNetForProfilePrediction of "
            f"MultiMolecule: load a checkpoint of tssbook with ProCapNet.from_pretrained"
        )
    tensors = {_our_name(name): tensor for name, tensor in found.items()}
    stem = tensors["iconv.weight"]
    if stem.ndim == 3 and stem.shape[1] == 5:  # A, C, G, T, N
        tensors["iconv.weight"] = stem[:, :4]
    return tensors


def _read_fold(path: Path, fold: int) -> tuple[bytes, str]:
    """Read one fold's member of an archive; return its bytes and name."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    names: dict[int, str] = {}
    content = b""
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                _require_harmless(member, path)
                match = _FOLD.search(member.name)
                if match is None or not member.isfile():
                    continue
                number = int(match[1])
                if number in names:
                    raise CheckpointError(
                        f"{path} has fold {number} twice, {names[number]} and {member.name}: "
                        f"get it again"
                    )
                names[number] = member.name
                if number == fold:
                    content = archive.extractfile(member).read()
            while stream.read(1 << 20):  # to the end, where gzip compares its checksum
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CheckpointError(f"{path} is damaged or cut off ({error}): get it again") from error
    if fold not in names:
        there = f"folds {', '.join(map(str, sorted(names)))}" if names else "no folds of ProCapNet"
        raise CheckpointError(f"{path} has no fold {fold!r}; there are {there}")
    return content, names[fold]


def _require_harmless(member: tarfile.TarInfo, path: Path) -> None:
    """Refuse what would lead out of the archive, though nothing is ever written to disk."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        wrong = "whose path leads out of the archive"
    elif not (member.isfile() or member.isdir()):
        wrong = "which is a link or a device"
    else:
        return
    raise CheckpointError(
        f"{path} has a member {member.name!r}, {wrong}, and was not read: wanted files and "
        f"folders only; get it again from ENCODE"
    )


def _tensors(content: bytes, where: str) -> dict[str, Tensor]:
    """Read tensors by name without running code that the file brings along."""
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{where} is damaged, or holds Python objects that could run code, and was not loaded"
        ) from error
    except Exception as error:  # reading damaged bytes can fail in any way
        raise CheckpointError(f"{where} is damaged ({type(error).__name__})") from error
    if not isinstance(found, Mapping) or not all(isinstance(t, Tensor) for t in found.values()):
        raise CheckpointError(f"{where} holds something else than tensors by name")
    return dict(found)


def _our_name(name: str) -> str:
    """Translate a name of MultiMolecule; others stay as they are."""
    layer, _, kind = name.rpartition(".")
    if numbered := _DILATED.fullmatch(layer):
        return f"rconvs.{numbered[1]}.{kind}"
    return f"{_NAMES.get(layer, layer)}.{kind}"
