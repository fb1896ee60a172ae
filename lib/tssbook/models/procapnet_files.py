"""Published weights of Chapter 4's model: ENCODE's archives and MultiMolecule's files.

Both are read as tensors with the names that `tssbook.models.procapnet.ProCapNet` gives its layers.
Whether they fit is not looked at here.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from pathlib import Path

from torch import Tensor

from tssbook.models.weights import CheckpointError, read_tensors

__all__ = ["read_published"]

_LARGE, _LARGEST = 200_000_000, 4_000_000_000  # bytes of a network, and of an archive unpacked

# fold_0/ENCSR261KBX.procapnet_model.fold0.state_dict.torch, but not fold_0/._ENCSR... of a Mac.
_FOLD = re.compile(r"(?:^|/)fold_([0-9]+)/[^./][^/]*\.fold\1\.state_dict\.torch$")

# MultiMolecule's names of the layers.
_NAMES = (
    (r"^model\.encoder\.stem\.conv\.", "iconv."),
    (r"^model\.encoder\.layer\.([0-9]+)\.conv\.", r"rconvs.\1."),
    (r"^profile_count_head\.profile\.", "fconv."),
    (r"^profile_count_head\.count\.", "linear."),
)


def read_published(path: str | Path, fold: int | None = None) -> tuple[dict[str, Tensor], str]:
    """Read tensors under our names, from a file of MultiMolecule or an archive of ENCODE.

    Parameters and errors are those of :meth:`tssbook.models.procapnet.ProCapNet.from_published`.

    Returns
    -------
    tuple
        Tensors by name, and what to call their place in messages.
    """
    if str(path).endswith(".safetensors"):
        if fold is not None:
            raise CheckpointError(f"{path} holds one network, and fold {fold!r} was asked for")
        return _read_multimolecule(path), str(path)
    return _read_encode(Path(path), fold)


def _read_multimolecule(path: str | Path) -> dict[str, Tensor]:
    tensors = read_tensors(path)
    for theirs, ours in _NAMES:
        tensors = {re.sub(theirs, ours, name): tensor for name, tensor in tensors.items()}
    stem = tensors.get("iconv.weight")
    if stem is not None and stem.shape[1:2] == (5,):  # A, C, G, T, N
        tensors["iconv.weight"] = stem[:, :4]
    return tensors


class _Unpacked(gzip.GzipFile):
    """What an archive unpacks to, in bounds: a name may claim gigabytes, and zeros never end."""

    def read(self, size: int | None = -1) -> bytes:
        if (size or 0) > _LARGE or self.tell() > _LARGEST:
            raise CheckpointError(
                f"{self.name} unpacks to {max(size or 0, self.tell()):,} bytes or more; wanted "
                f"members of at most {_LARGE:,}, and {_LARGEST:,} in all: get it again from ENCODE"
            )
        return super().read(size)


def _require_sane(path: Path, member: tarfile.TarInfo) -> None:
    """Refuse what a tar file only claims: it would fill the memory, or never end."""
    end = member.offset_data + member.size
    if member.issparse() or member.size < 0 or member.size > _LARGE or end > _LARGEST:
        raise CheckpointError(
            f"{path}: {member.name} claims to have {member.size:,} bytes; wanted a network of at "
            f"most {_LARGE:,}, in an archive of at most {_LARGEST:,}: get it again from ENCODE"
        )


def _read_encode(path: Path, fold: int | None) -> tuple[dict[str, Tensor], str]:
    """Read one member. Nothing is written to disk, so it does not matter where names lead."""
    tensors, folds = None, {}
    try:
        with _Unpacked(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                _require_sane(path, member)
                match = _FOLD.search(member.name)
                if match is None or not member.isfile():
                    continue
                if (number := int(match[1])) in folds:
                    raise CheckpointError(
                        f"{path} has fold {number} twice, {folds[number]} and {member.name}"
                    )
                folds[number] = member.name
                if number == fold:
                    where = f"{path}, {member.name}"
                    tensors = read_tensors(io.BytesIO(archive.extractfile(member).read()), where)
            while stream.read(1 << 20):  # to the end, where gzip compares its checksum
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged or cut off ({error}): get it again") from error
    if tensors is None:
        there = f"folds {', '.join(map(str, sorted(folds)))}" if folds else "no folds of ProCapNet"
        raise CheckpointError(f"{path} has no fold {fold!r}; there are {there}")
    return tensors, where
