"""Files that are whole or not there: written beside their goal, then renamed."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["beside", "remove", "sha256", "to_disk", "write_whole", "written_whole"]


def sha256(path: Path) -> str:
    """Sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    mine = f".{os.getpid()}-{threading.get_ident()}.tmp"  # others may write the same file now
    temporary = {path: beside(path, mine) for path in contents}
    try:
        for path, content in contents.items():
            with temporary[path].open("wb") as file:
                file.write(content)
                to_disk(file)
        for path, written in temporary.items():
            written.replace(path)
    except BaseException:
        remove(temporary.values())
        raise


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a file to write beside ``path``; it becomes ``path`` at the end, or is removed.

    For what is too large for :func:`write_whole`.
    """
    temporary = beside(path, f".{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            to_disk(file)
        temporary.replace(path)
    except BaseException:
        remove([temporary])
        raise


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}{suffix}")


def remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
