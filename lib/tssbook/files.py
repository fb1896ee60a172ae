"""Files that are whole or not there: written beside their goal, then renamed."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["beside", "compression", "remove", "sha256", "to_disk", "write_whole", "written_whole"]

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
    mine = f".{os.getpid()}-{threading.get_ident()}.tmp"  # others may write the same file now
    temporary = {path: beside(path, mine) for path in paths}
    try:
        yield temporary
        for written in temporary.values():
            with written.open("rb+") as file:
                to_disk(file)
        for path, written in temporary.items():
            written.replace(path)
    except BaseException:
        remove(temporary.values())
        raise


def sha256(path: Path) -> str:
    """Sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
