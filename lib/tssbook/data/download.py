"""Named files: where they come from, and how they arrive whole.

``fetch(name)`` looks in three places, in this order:

1. the cache folder (``TSSBOOK_CACHE``, else the user's cache folder of this system);
2. the mirror folder named by ``TSSBOOK_MIRROR``, whose files are used in place, not copied: a
   class-room or a cluster node without Internet needs nothing else;
3. the Internet.

A download is written beside its goal as ``NAME.part``, continued after an interruption, compared
with the known size and sha256, and only then renamed. So a file that stands under its own name
is whole.

This is the project's own code over urllib and not pooch, because pooch starts again from zero
after an interruption, which hurts with archives of many gigabytes.

What can be fetched is listed in ``shipped/files.toml`` inside the package.
"""

from __future__ import annotations

import errno
import json
import os
import tomllib
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import platformdirs
from filelock import FileLock
from tqdm import tqdm

from tssbook import __version__
from tssbook.files import beside, remove, sha256, to_disk, write_whole

_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18  # bytes


class MissingFile(FileNotFoundError):
    """The file is neither cached nor mirrored, and could not be downloaded."""


class ChecksumError(OSError):
    """The content of a file is not what it should be."""


class _NetworkError(Exception):
    """What the network did to us; an OSError comes from the disk, which no other address mends."""


def fetch(name: str, *, progress: bool = False) -> Path:
    """Return the path of a named file, downloading it when it is not on this machine yet.

    Does not unpack anything, and never replaces a file that it finds.

    Parameters
    ----------
    name : str
        File name, a key of ``shipped/files.toml``, such as ``"puffin.pth"``.
    progress : bool
        Show a progress bar while downloading.

    Returns
    -------
    Path
        In the cache or in the mirror folder; its content has been verified.

    Raises
    ------
    ValueError
        The name is not known.
    MissingFile
        The file cannot be had now; the message says where to get it and where to put it.
    ChecksumError
        There is such a file, but its content is not what it should be.
    """
    entry = _entry(name)
    goal = cache_folder() / name
    for path in (goal, *_mirrored(name)):
        if path.is_file():
            _verify(path, name, entry)
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
        reason = f"the cache folder cannot be written ({_reason(error)})"
        raise MissingFile(_missing(name, entry, reason)) from error
    return goal


def cache_folder() -> Path:
    """Folder of downloaded files: ``TSSBOOK_CACHE``, else the system's place for caches."""
    named = os.environ.get("TSSBOOK_CACHE", "")
    return Path(named or platformdirs.user_cache_dir("tssbook")).expanduser().absolute()


def _entry(name: str) -> dict[str, Any]:
    files = _catalogue()
    if name not in files:
        near = get_close_matches(str(name), files, n=3) or sorted(files)
        raise ValueError(f"{name!r} is not a file that tssbook knows: choose {' or '.join(near)}")
    return files[name]


@lru_cache
def _catalogue() -> dict[str, dict[str, Any]]:
    text = resources.files("tssbook").joinpath("shipped", "files.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _mirrored(name: str) -> list[Path]:
    mirror = os.environ.get("TSSBOOK_MIRROR", "")
    return [Path(mirror).expanduser().absolute() / name] if mirror else []


# --- verification ---------------------------------------------------------------------------


def _verify(path: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Compare a file that was found with the known size and sha256, or pin it.

    A file may have been put there by hand, so finding it is no proof. Only a file that was
    pinned when it came into the cache is trusted by its size: those are the many-gigabyte ones.
    """
    stat = path.stat()
    expected = entry.get("bytes")
    if expected is not None and stat.st_size != expected:
        raise ChecksumError(
            f"{path} has {stat.st_size:,} bytes and {name} should have {expected:,}: "
            f"delete it and fetch it again"
        )
    if path.parent == cache_folder() and "sha256" not in entry and name in _pins():
        return
    _compare(name, entry, _sha256_once(path, stat.st_size, stat.st_mtime_ns), str(path))


@lru_cache
def _sha256_once(path: Path, size: int, modified: int) -> str:
    """Sha256, computed once per process unless the file changes."""
    return sha256(path)


def _compare(name: str, entry: Mapping[str, Any], found: str, where: str) -> None:
    expected, origin = entry.get("sha256"), "files.toml"
    if expected is None:
        expected, origin = _pins().get(name), str(_pin_file())
    if expected is None:
        _pin(name, found)
    elif found != expected:
        raise ChecksumError(
            f"{where} is not the {name} that {origin} describes (its sha256 is {found}, wanted "
            f"is {expected}): it is damaged or has changed at its source, so get it again"
        )


def _pin_file() -> Path:
    return cache_folder() / "pins.json"


def _pins() -> dict[str, str]:
    path = _pin_file()
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ChecksumError(f"{path} is not JSON ({error}): delete it to pin anew") from error


def _pin(name: str, found: str) -> None:
    path = _pin_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(beside(path, ".lock")):
            pins = _pins() | {name: found}
            write_whole({path: json.dumps(pins, indent=1, sort_keys=True).encode() + b"\n"})
        outcome = f"was pinned in {path}, and any later copy must be the same"
    except ChecksumError:
        raise
    except OSError as error:  # such as a read-only cache beside a mirror: the file is still good
        outcome = f"could not be pinned in {path} ({_reason(error)}), so it stays unchecked"
    warnings.warn(
        f"tssbook knows no checksum of {name}: its sha256 {found} {outcome}", stacklevel=5
    )


# --- Internet -------------------------------------------------------------------------------


def _download(name: str, entry: Mapping[str, Any], goal: Path, progress: bool) -> None:
    """Download to ``NAME.part``, verify, rename. The part of an interrupted download stays."""
    part, tag = goal.with_name(f"{name}.part"), goal.with_name(f"{name}.part.json")
    reasons, wrong = [], None
    for url in (entry["url"], *entry.get("mirrors", ())):
        try:
            _receive(url, part, tag, entry.get("bytes"), progress)
            _compare(name, entry, sha256(part), "what it gives")
        except (_NetworkError, HTTPError) as error:
            reasons.append(f"{url}: {_reason(error)}")
            if isinstance(error, HTTPError):
                error.close()
        except ChecksumError as error:
            remove((part, tag))
            reasons.append(f"{url}: {error}")
            wrong = error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                remove((part, tag))  # or the disk would stay full
            raise
        else:
            part.replace(goal)
            remove([tag])
            return
    if wrong is not None:
        raise ChecksumError(f"{name} cannot be had whole: {'; '.join(reasons)}") from wrong
    kept = f"; {part.stat().st_size:,} bytes are kept to go on from" if part.exists() else ""
    reason = f"it could not be downloaded ({'; '.join(reasons)}{kept})"
    raise MissingFile(_missing(name, entry, reason))


def _receive(url: str, part: Path, tag: Path, expected: int | None, progress: bool) -> None:
    """Bring the part file to its full length, going on from what is there if that still fits."""
    response, done = _open(url, part, tag)
    with response:
        length = response.headers["Content-Length"]
        total = expected if length is None else done + int(length)
        if expected is not None and total != expected:
            raise ChecksumError(f"it offers {total:,} bytes where {expected:,} are wanted")
        if not done:
            remove([part])  # a stale part must not outlive its tag
            write_whole({tag: json.dumps(_identity(url, response)).encode()})
        bar = tqdm(
            total=total, initial=done, unit="B", unit_scale=True, desc=part.stem,
            disable=not progress,
        )  # fmt: skip
        with bar, part.open("ab") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                bar.update(len(chunk))
            to_disk(file)
    size = part.stat().st_size
    # http.client reports a connection that closes too early like an ordinary end.
    if total is not None and size < total:
        raise _NetworkError(f"the connection broke off after {size:,} of {total:,} bytes")
    if total is not None and size > total:
        raise ChecksumError(f"it gave {size:,} bytes where {total:,} are wanted")


def _open(url: str, part: Path, tag: Path) -> tuple[HTTPResponse, int]:
    """Open the URL; returns the response and the number of bytes that need not be sent again.

    If-Range makes the server send the whole file when it is no longer the one that the part
    came from; a server that knows no ranges does so always.
    """
    headers = {"User-Agent": f"tssbook/{__version__}"}
    done = part.stat().st_size if part.exists() else 0
    validator = _validator(url, tag) if done else None
    if validator is not None:
        resumed = headers | {"Range": f"bytes={done}-", "If-Range": validator}
        try:
            response = _urlopen(url, resumed)
        except HTTPError as error:
            if error.code != 416:  # nothing after `done`: the part is too long or just complete
                raise
            error.close()
        else:
            if response.status == 206:
                if response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
                    return response, done
                response.close()
            else:
                return response, 0
    return _urlopen(url, headers), 0


def _urlopen(url: str, headers: Mapping[str, str]) -> HTTPResponse:
    # The addresses are those of files.toml, not a user's.
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except HTTPError:
        raise  # an answer
    except (OSError, HTTPException) as error:
        raise _NetworkError(_reason(error)) from error


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _NetworkError(_reason(error)) from error


def _identity(url: str, response: HTTPResponse) -> dict[str, str | None]:
    """Tell this version of the file from a later one: by a strong ETag, else by its date."""
    etag = response.headers.get("ETag", "")
    strong = etag.startswith('"')
    return {"url": url, "validator": etag if strong else response.headers.get("Last-Modified")}


def _validator(url: str, tag: Path) -> str | None:
    try:
        identity = json.loads(tag.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None  # no memory of where the part came from: start again
    return identity["validator"] if identity["url"] == url else None


# --- messages -------------------------------------------------------------------------------


def _missing(name: str, entry: Mapping[str, Any], reason: str) -> str:
    mirror = os.environ.get("TSSBOOK_MIRROR", "")
    if not mirror:
        mirrored = "TSSBOOK_MIRROR names no mirror folder"
    elif Path(mirror).expanduser().is_dir():
        mirrored = f"it is not in the mirror folder {mirror}"
    else:
        mirrored = f"the mirror folder {mirror} does not exist"
    origin = f"get it from {entry['url']}" if "url" in entry else f"it is {entry['how']}"
    return (
        f"{name} ({_size(entry)}) is not in the cache, {mirrored}, and {reason}: {origin}; put it "
        f"at {cache_folder() / name} or into a folder that TSSBOOK_MIRROR names"
    )


def _size(entry: Mapping[str, Any]) -> str:
    if "bytes" in entry:
        return f"{entry['bytes'] / 1e6:.2f} MB"
    return f"about {entry['about']}" if "about" in entry else "size unknown"


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, URLError):
        return str(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
