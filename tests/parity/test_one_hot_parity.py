"""one_hot against tangermeme's encoder and against a plain loop: the same arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tangermeme.utils import one_hot_encode

from tssbook.sequence import one_hot


def by_a_loop(seqs: list[str]) -> torch.Tensor:
    x = torch.zeros(len(seqs), 4, len(seqs[0]))
    for number, seq in enumerate(seqs):
        for position, letter in enumerate(seq.upper()):
            if letter in "ACGT":
                x[number, "ACGT".index(letter), position] = 1
    return x


@pytest.fixture(scope="module")
def seqs() -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("ACGTN"), 101)) for _ in range(40)]


def test_as_tangermeme(seqs):
    theirs = torch.stack([one_hot_encode(seq) for seq in seqs])
    assert theirs.sum() < 40 * 101  # there are N among the letters
    assert torch.equal(one_hot(seqs, dtype=theirs.dtype), theirs)
    assert torch.equal(one_hot(seqs[0], dtype=theirs.dtype), theirs[0])
    assert torch.equal(one_hot(seqs), theirs.float())


def test_as_tangermeme_without_n():
    words = ["GATTACA", "TATATAT", "GCGCGCG"]
    theirs = torch.stack([one_hot_encode(word, dtype=torch.float32) for word in words])
    assert torch.equal(one_hot(words), theirs)


def test_as_a_loop(seqs):
    mixed = [seq[:50].lower() + seq[50:].replace("N", "R") for seq in seqs]
    assert torch.equal(one_hot(seqs), by_a_loop(seqs))
    assert torch.equal(one_hot(mixed), by_a_loop(mixed))
