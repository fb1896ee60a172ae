"""Files that were cut off, and files of which one byte has changed: refused, or read rightly."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.attack.attacks import SERVER, Attack, end, frozen, outcome, rounds, start
from tests.attack.formats import FORMATS, Format, read_bigwigs, whole_files

SECONDS = 60  # for one file; a reader that takes longer hangs


def harm_of(form: Format, folder: Path, name: str, damaged: bytes, content: dict[str, bytes],
            right: Any, seen: bool) -> str | None:  # fmt: skip
    """Write files of which one is damaged, read them, and say what went wrong, if anything."""
    for file, part in (content | {name: damaged}).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(part)
    # A store's or a checkpoint's files belong together: one may be named for the other.
    together = [(folder / name).parent] if "/" in name else [(folder / name).with_suffix("")]
    how, what = outcome(lambda: form.read(folder), [folder / name, *together])
    left = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - set(content)
    (folder / name).unlink()  # it may be mapped
    (folder / name).write_bytes(content[name])
    again = outcome(lambda: form.read(folder), [folder]) if how == "refused" and left else None
    shutil.rmtree(folder)
    if how == "raw":
        return what
    # The user gets the file again. What is left beside it must not spoil it, or be named.
    if again not in (None, ("read", right)) and not any(file in again[1] for file in left):
        return f"left {', '.join(sorted(left))} behind, and the whole file is then {again[0]}"
    return "other values, without a word" if how == "read" and what != right and seen else None


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_off(tmp_path, kind):
    """A file that ends too early is refused by name, where it is possible to know."""
    form = FORMATS[kind]
    content, right = whole_files(form, tmp_path / "whole")
    rng = np.random.default_rng(1)
    with Attack(f"cuts, {kind}") as attack:
        for n in range(rounds(200, 8)):
            name = form.hit[n % len(form.hit)]
            length = int(rng.integers(len(content[name])))
            # Where the format knows no end, a cut at the end of a line is none that can be seen.
            cut = content[name][:length]
            harm = harm_of(
                form, tmp_path / str(n), name, cut, content, frozen(right), form.cut_seen
            )
            attack.tried(harm and f"{name} cut to {length}: {harm}")


def flips(form: Format, content: dict[str, bytes], number: int) -> Iterator[tuple[str, int, bytes]]:
    """Change one byte of one of the files, at random."""
    rng = np.random.default_rng(2)
    for n in range(number):
        name = form.hit[n % len(form.hit)]
        at, mask = int(rng.integers(len(content[name]))), int(rng.integers(1, 256))
        changed = bytearray(content[name])
        changed[at] ^= mask
        yield name, at, bytes(changed)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "bigWig"])
def test_changed_byte(tmp_path, kind):
    """Where a file has checksums, no changed byte passes with another result."""
    form = FORMATS[kind]
    content, right = whole_files(form, tmp_path / "whole")
    with Attack(f"flips, {kind}") as attack:
        for n, (name, at, changed) in enumerate(flips(form, content, rounds(500, 16))):
            harm = harm_of(
                form, tmp_path / str(n), name, changed, content, frozen(right), form.flip_seen
            )
            was = content[name][at]
            attack.tried(harm and f"{name} byte {at}, {was} to {changed[at]}: {harm}")


def read_flipped(folder: Path, bigwig: bytes, changes: list[tuple[int, int]], said: Any) -> None:
    """Read a bigWig with one changed byte after the other; tell how each was taken."""
    path = folder / "a.plus.bw"
    for at, mask in changes:
        changed = bytearray(bigwig)
        changed[at] ^= mask
        path.unlink(missing_ok=True)  # the old one may be mapped
        path.write_bytes(changed)
        with warnings.catch_warnings(action="ignore"):
            said.send(outcome(lambda: read_bigwigs(folder), [path]))


def test_changed_byte_of_a_bigwig(tmp_path):
    """A damaged header neither ends Python nor hangs. A bigWig has no checksum: values may pass."""
    content, _ = whole_files(FORMATS["bigWig"], tmp_path / "whole")
    bigwig, n = content["a.plus.bw"], rounds(500, 30)
    rng = np.random.default_rng(3)
    changes = rng.integers((0, 1), (min(2000, len(bigwig)), 256), (n, 2)).tolist()
    with Attack("flips, bigWig") as attack:
        while changes:
            here, there = SERVER.Pipe(duplex=False)
            child = start(read_flipped, tmp_path / "whole", bigwig, changes, there)
            there.close()
            while changes:
                at, mask = changes.pop(0)
                try:
                    if not here.poll(SECONDS):
                        raise TimeoutError
                    how, what = here.recv()
                except (EOFError, TimeoutError) as error:  # a new child goes on after it
                    attack.tried(f"byte {at} ^ {mask}: {type(error).__name__}, {end(child, 1)}")
                    break
                attack.tried(f"byte {at} ^ {mask}: {what}" if how == "raw" else None)
            else:
                assert end(child) == 0
