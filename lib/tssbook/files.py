"""Files that are whole or not there: written beside their goal, then renamed."""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = [
    "beside",
    "compression",
    "kind",
    "remove",
    "require_sound_zip",
    "sha256",
    "to_disk",
    "where_they_differ",
    "write_whole",
    "written_whole",
]

_SHOWN = 60  # letters of a value in a message
# The empty block at the end of every file of bgzip.
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def write_whole(contents: Mapping[Path, bytes]) -> None:
    """Write files so that each is either the old or the new one, never half of it.

    All are written beside their goals first and then renamed in the given order.

    Parameters
    ----------
    contents : mapping of Path to bytes
        What to write where; the folders must exist.

    Raises
    ------
    OSError
        A file could not be written; nothing new is left behind.
    """
    with _all_whole(contents) as temporary:
        for path, content in contents.items():
            temporary[path].write_bytes(content)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a file to write beside ``path``; it becomes ``path`` at the end, or is removed.

    For what is too large for :func:`write_whole`.

    Parameters
    ----------
    path : Path
        Its folder must exist.

    Raises
    ------
    OSError
        The file could not be written; nothing new is left behind.
    """
    with _all_whole([path]) as temporary:
        yield temporary[path]


@contextmanager
def _all_whole(paths: Iterable[Path]) -> Iterator[dict[Path, Path]]:
    # Others may write the same file now, also from another machine.
    mine = f".{platform.node()}-{os.getpid()}-{threading.get_ident()}.tmp"
    temporary = {path: beside(path, mine) for path in paths}
    for path in temporary:
        remove(_left_behind(path))
    try:
        yield temporary
        for written in temporary.values():
            with written.open("rb+") as file:
                to_disk(file)
        for path, written in temporary.items():
            written.replace(path)
    except BaseException as error:
        remove(temporary.values())
        if isinstance(error, OSError) and error.errno and error.filename is None and temporary:
            error.filename = str(next(iter(temporary)))  # a full disk does not say which
        raise


def _left_behind(path: Path) -> Iterator[Path]:
    """Name what processes of this machine that were killed have left beside a file."""
    if os.name != "posix" or not path.parent.is_dir():
        return
    host = platform.node()
    for file in path.parent.glob(glob.escape(beside(path, f".{host}-").name) + "*-*.tmp"):
        number = file.name.removeprefix(beside(path, f".{host}-").name).split("-")[0]
        if number.isdigit() and not _is_alive(int(number)):
            yield file


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        pass
    return True


def sha256(path: Path) -> str:
    """Sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def where_they_differ(found: str, wanted: str) -> tuple[str, str]:
    """Cut two long texts, such as settings in a message, down to where they differ."""
    if max(len(found), len(wanted)) <= 2 * _SHOWN:
        return found, wanted
    pairs = enumerate(zip(found, wanted, strict=False))
    same = next((i for i, (a, b) in pairs if a != b), min(len(found), len(wanted)))
    start = max(same - _SHOWN // 2, 0)
    cut = slice(start, start + 2 * _SHOWN)
    return tuple(f"{'...' if start else ''}{text[cut]}..." for text in (found, wanted))


def beside(path: Path, suffix: str) -> Path:
    """Name of a hidden file in the same folder."""
    return path.with_name(f".{path.name}{suffix}")


def remove(paths: Iterable[Path]) -> None:
    """Remove files, as far as they are there."""
    for path in paths:
        path.unlink(missing_ok=True)


def to_disk(file: Any) -> None:
    """Wait until what was written to an open file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def require_sound_zip(file: IO[bytes]) -> None:
    """Compare the members of a zip archive, such as ``torch.save`` writes, with their checksums.

    PyTorch does not; one flipped bit of a weight would be read without a word. Files that are no
    zip archives are left to their reader.

    Raises
    ------
    ValueError
        A member is damaged, or compressed, which ``torch.save`` never does.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"{member.filename} is compressed")
            if bad := archive.testzip():
                raise ValueError(f"{bad} is not what its checksum says")
    file.seek(0)


_KINDS = {
    b"PK\x03\x04": "a zip archive",
    b"\xfd7zXZ": "compressed with xz",
    b"BZh": "compressed with bzip2",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x80\x02": "a pickled Python object",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself (git lfs pull)",
    b"<!doctype html": "an HTML page, perhaps of an error",
    b"<html": "an HTML page, perhaps of an error",
    b"\x26\xfc\x8f\x88": "a bigWig file",
    b"\xeb\xf2\x89\x87": "a bigBed file",
    b"\x43\x27\x41\x1a": "a 2bit file",
    b"BAM\x01": "a BAM file",
    b"BCF\x02": "a BCF file",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a numpy file",
}


def kind(content: bytes) -> str | None:
    """Say what a file is by its first 32 bytes, where it is one that is given by mistake.

    Returns
    -------
    str or None
        Such as ``"a zip archive"``; None for text, gzip and all that is not known.
    """
    head = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:32]
    for magic, name in _KINDS.items():
        if head.startswith(magic) or head.lower().startswith(magic):
            return name
    return "a tar archive" if content[257:262] == b"ustar" else None


def compression(path: str | Path) -> str | None:
    """Say how a file is compressed: ``"bgzip"``, ``"gzip"`` or None.

    Raises
    ------
    ValueError
        The file is of bgzip and lacks the empty block at its end: it was cut between two blocks,
        which programs for gzip do not notice.
    """
    with Path(path).open("rb") as file:
        head = file.read(14)
        file.seek(max(file.seek(0, os.SEEK_END) - len(_BGZF_END), 0))
        end = file.read()
    if not head.startswith(b"\x1f\x8b"):
        return None
    if head[12:] != b"BC":
        return "gzip"
    if end != _BGZF_END:
        raise ValueError(f"{path} is incomplete: its last block is missing; get it again.")
    return "bgzip"
