"""Named files: where they come from, and how they arrive whole.

``fetch(name)`` looks in three places, in this order:

1. the data folder (:func:`cache_folder`);
2. the mirror folder named by ``TSSBOOK_MIRROR``, whose files are used in place, not copied: a
   class-room or a cluster node without Internet needs nothing else;
3. the Internet.

A download is written beside its goal as ``NAME.part``, gone on with after an interruption, and
renamed when size and sha256 are those of ``shipped/files.toml``. So a file that stands under its
own name is whole. It is not pooch that downloads, because pooch begins at zero after each
interruption, and the largest file has 37 GB.
"""

from __future__ import annotations

import os
import time
import tomllib
import urllib.request
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from http.client import HTTPException
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import platformdirs
from filelock import FileLock
from tqdm import tqdm

from tssbook import __version__
from tssbook.files import beside, kind, remove, sha256, to_disk

__all__ = [
    "ChecksumError",
    "MissingFile",
    "cache_folder",
    "catalogue",
    "fetch",
    "on_this_machine",
    "size",
]

_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18  # bytes
_SLOWEST, _LARGEST = 10_000, 200_000_000_000  # bytes a second; bytes, where no length is known
# How files begin whose sha256 is not known.
_MAGIC = {".gz": b"\x1f\x8b", ".bw": b"\x26\xfc\x8f\x88", ".bigWig": b"\x26\xfc\x8f\x88"}


class MissingFile(FileNotFoundError):
    """The file is on this machine neither here nor there, and could not be downloaded."""


class ChecksumError(OSError):
    """The content of a file is not what it should be."""


def fetch(name: str, *, progress: bool = False) -> Path:
    """Return the path of a named file, downloading it when it is not on this machine yet.

    Does not unpack anything, and never replaces a file that it finds.

    Parameters
    ----------
    name : str
        A key of ``shipped/files.toml``: a file's name, such as ``"puffin.pth"``, or its folder
        too.
    progress : bool, default False
        Show a progress bar while downloading.

    Returns
    -------
    Path
        In the data folder or in the mirror folder. Size and sha256 have been compared, as far as
        they are known: of the largest files they are not.

    Raises
    ------
    ValueError
        The name is not known.
    MissingFile
        The file cannot be had now; the message says where to get it and where to put it.
    ChecksumError
        There is such a file, but its content is not what it should be.
    """
    files = catalogue()
    if name not in files:
        near = get_close_matches(str(name), files, n=3) or sorted(files)
        raise ValueError(f"{name!r} is not a file that tssbook knows: choose {' or '.join(near)}")
    entry, goal = files[name], cache_folder() / name
    if path := on_this_machine(name):
        _verify(path, entry)
        return path
    if "url" not in entry:
        raise MissingFile(_missing(name, entry, "it has no download address of its own"))
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(beside(goal, ".lock")):
            # Another process may have finished the same download while this one waited.
            if not goal.is_file():
                _download(name, entry, goal, progress)
    except (MissingFile, ChecksumError):
        raise
    except OSError as error:
        reason = f"its folder cannot be written ({_reason(error)})"
        raise MissingFile(_missing(name, entry, reason)) from error
    return goal


def on_this_machine(name: str) -> Path | None:
    """Where a file of the catalogue lies, in the data folder or the mirror; not verified."""
    mirror = os.environ.get("TSSBOOK_MIRROR", "")
    folders = [cache_folder(), *([Path(mirror).expanduser().absolute()] if mirror else [])]
    return next((f / name for f in folders if (f / name).is_file()), None)


def cache_folder() -> Path:
    """Folder of downloaded files.

    ``TSSBOOK_CACHE`` if that is set; ``data/`` of the checkout where the package lies in one;
    else the system's place for caches.
    """
    if named := os.environ.get("TSSBOOK_CACHE", ""):
        return Path(named).expanduser().absolute()
    checkout = Path(__file__).resolve().parents[3]
    if all((checkout / name).is_file() for name in ("_quarto.yml", "pyproject.toml")):
        return checkout / "data"
    return Path(platformdirs.user_cache_dir("tssbook"))


@lru_cache
def catalogue() -> dict[str, dict[str, Any]]:
    """All files that can be fetched, by name: what ``shipped/files.toml`` says of each."""
    text = resources.files("tssbook").joinpath("shipped", "files.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def size(entry: Mapping[str, Any]) -> str:
    """Size of a file, for people."""
    if "bytes" in entry:
        return f"{entry['bytes'] / 1e6:.2f} MB"
    return entry.get("about", "size unknown")


def _verify(path: Path, entry: Mapping[str, Any]) -> None:
    """Compare size and sha256 of a file with what is known of them."""
    stat = path.stat()
    _require(path, f"{stat.st_size:,} bytes", f"{entry.get('bytes', stat.st_size):,} bytes")
    if wanted := entry.get("sha256"):
        found = _sha256_once(path, stat.st_size, stat.st_mtime_ns)
        _require(path, f"the sha256 {found}", f"the sha256 {wanted}")
        return
    with path.open("rb") as file:
        begin = file.read(300)
    if magic := _MAGIC.get(Path(path.name.removesuffix(".part")).suffix):
        _require(path, f"the first bytes {begin[: len(magic)]!r}", f"the first bytes {magic!r}")
    elif "HTML" in (found := kind(begin) or ""):  # such as of a network that wants a log-in
        _require(path, f"the form of {found}", "the file itself")


def _require(path: Path, found: str, wanted: str) -> None:
    if found != wanted:
        raise ChecksumError(
            f"{path} has {found}; wanted {wanted}: it is damaged or another version, so delete it "
            "and get it again"
        )


@lru_cache
def _sha256_once(path: Path, size: int, modified: int) -> str:
    """Sha256, computed once per process unless the file changes."""
    return sha256(path)


def _download(name: str, entry: Mapping[str, Any], goal: Path, progress: bool) -> None:
    """Download to ``NAME.part``, verify, rename. The part of an interrupted download stays."""
    part = goal.with_name(f"{goal.name}.part")
    reasons, wrong = {}, False
    for url in [entry["url"], *entry.get("mirrors", ())]:
        # What is gone on with may be of another version, or another server's: then once more.
        for _ in range(2 if part.exists() else 1):
            try:
                _receive(url, part, entry.get("bytes"), progress)
                _verify(part, entry)
                part.replace(goal)
            except ChecksumError as error:
                remove([part])
                reasons[url], wrong = str(error), True
            except HTTPError as error:
                error.close()
                reasons[url] = _reason(error)
                if error.code != 416:
                    break
                remove([part])  # the server has nothing after what is there already
            except (OSError, HTTPException, ValueError) as error:
                reasons[url] = _reason(error)
                break
            else:
                return
    kept = f"; {part.stat().st_size:,} bytes are kept to go on from" if part.exists() else ""
    said = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
    sentence = _missing(name, entry, f"it could not be downloaded ({said}{kept})")
    raise ChecksumError(sentence) if wrong else MissingFile(sentence)


def _receive(url: str, part: Path, wanted: int | None, progress: bool) -> None:
    """Bring the part file to its full length, going on from what is there."""
    done = part.stat().st_size if part.exists() else 0
    if done and done == wanted:
        return
    headers = {"User-Agent": f"tssbook/{__version__}"} | (
        {"Range": f"bytes={done}-"} if done else {}
    )
    # The addresses are those of files.toml, not a user's.
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
        if response.status not in ((200, 206) if done else (200,)):
            raise OSError(f"it answers with the status {response.status}")
        if response.status == 200:  # a server that knows no ranges sends the whole
            done = 0
        place = response.headers["Content-Range"] or "nothing"
        if response.status == 206 and not place.startswith(f"bytes {done}-"):
            raise ChecksumError(f"it was asked for bytes {done}-, and calls its part {place}")
        length = response.headers["Content-Length"]
        total = wanted if length is None else done + int(length)
        limit = time.monotonic() + 2 * _TIMEOUT + (total or _LARGEST) / _SLOWEST
        if wanted is not None and total != wanted:
            raise ChecksumError(f"it offers {total:,} bytes where {wanted:,} are wanted")
        bar = tqdm(
            total=total, initial=done, unit="B", unit_scale=True, desc=part.stem,
            disable=not progress,
        )  # fmt: skip
        with bar, part.open("ab" if done else "wb") as file:
            while chunk := response.read1(_CHUNK):  # what is there, not all that was asked for
                if (done := done + len(chunk)) > (total or _LARGEST):
                    raise ChecksumError(
                        f"it sends more than the {total or _LARGEST:,} bytes wanted"
                    )
                if time.monotonic() > limit:
                    raise OSError(f"it sends fewer than {_SLOWEST:,} bytes a second")
                file.write(chunk)
                bar.update(len(chunk))
            to_disk(file)
    # http.client reports a connection that closes too early like an ordinary end.
    if total is not None and (came := part.stat().st_size) < total:
        raise OSError(f"the connection broke off after {came:,} of {total:,} bytes")


def _missing(name: str, entry: Mapping[str, Any], reason: str) -> str:
    """Say what is missing and why, where to get it, and where to put it."""
    mirror = os.environ.get("TSSBOOK_MIRROR", "")
    if not mirror:
        mirrored = "TSSBOOK_MIRROR names no mirror folder"
    elif Path(mirror).expanduser().is_dir():
        mirrored = f"it is not in the mirror folder {mirror}"
    else:
        mirrored = f"the mirror folder {mirror} does not exist"
    origin = f"get it from {entry['url']}" if "url" in entry else f"it is {entry['how']}"
    return (
        f"{name} ({size(entry)}) is not at {cache_folder() / name}, {mirrored}, and {reason}: "
        f"{origin}; put it there or into a folder that TSSBOOK_MIRROR names"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        said = f"HTTP {error.code} {error.reason}"
    elif isinstance(error, URLError):
        said = str(error.reason)
    else:
        said = (isinstance(error, OSError) and error.strerror) or str(error)
    said = "".join(c if c.isprintable() else " " for c in said)  # a server may say anything
    return " ".join(said.split())[:200] or type(error).__name__
