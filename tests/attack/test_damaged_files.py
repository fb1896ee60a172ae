"""Files that were cut off, and files of which one byte has changed: refused, or read rightly."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.attack.attacks import Attack, frozen, outcome, rounds
from tests.attack.formats import FORMATS, Format, whole_files

SECONDS = 20  # for one file; a reader that takes longer hangs


def harm_of(form: Format, folder: Path, name: str, content: dict[str, bytes], right: Any,
            seen: bool) -> str | None:  # fmt: skip
    """Write the damaged files, read them, and say what went wrong, if anything."""
    for file, part in content.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(part)
    # A store's or a checkpoint's files belong together: one may be named for the other.
    together = [(folder / name).parent] if "/" in name else [(folder / name).with_suffix("")]
    how, what = outcome(lambda: form.read(folder), [folder / name, *together])
    left = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - set(content)
    shutil.rmtree(folder)
    if how == "raw":
        return what
    if how == "refused" and left:
        return f"refused, and left {', '.join(sorted(left))} behind"
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
            damaged = content | {name: content[name][:length]}
            harm = harm_of(form, tmp_path / str(n), name, damaged, frozen(right), form.cut_seen)
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


@pytest.mark.parametrize("kind", [kind for kind, form in FORMATS.items() if form.flip_seen])
def test_changed_byte(tmp_path, kind):
    """Where a file has checksums, no changed byte passes with another result."""
    form = FORMATS[kind]
    content, right = whole_files(form, tmp_path / "whole")
    with Attack(f"flips, {kind}") as attack:
        for n, (name, at, changed) in enumerate(flips(form, content, rounds(500, 16))):
            damaged = content | {name: changed}
            harm = harm_of(form, tmp_path / str(n), name, damaged, frozen(right), True)
            was = content[name][at]
            attack.tried(harm and f"{name} byte {at}, {was} to {changed[at]}: {harm}")
