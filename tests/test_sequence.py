"""sequence: letters to arrays and back, on words that a reader can encode by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tssbook import sequence
from tssbook.sequence import (
    AMBIGUOUS,
    codes,
    decode,
    kmers,
    one_hot,
    reverse_complement,
    reverse_complement_codes,
    shares_word,
)

# GATTACA, row by row: A at 1, 4 and 6; C at 5; G at 0; T at 2 and 3.
GATTACA = [
    [0, 1, 0, 0, 1, 0, 1],
    [0, 0, 0, 0, 0, 1, 0],
    [1, 0, 0, 0, 0, 0, 0],
    [0, 0, 1, 1, 0, 0, 0],
]

every_run_the_same = settings(deadline=None, derandomize=True, database=None)
dna = st.text("ACGTN", min_size=1, max_size=40)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 10 letters, so that a few words are several of them."""
    monkeypatch.setattr(sequence, "_BLOCK", 10)


def test_one_hot_of_a_string():
    x = one_hot("GATTACA")
    assert x.dtype == torch.float32
    assert x.tolist() == GATTACA


def test_one_hot_of_a_list_adds_an_axis():
    x = one_hot(["GATTACA", "AAAAAAA"])
    assert x.shape == (2, 4, 7)
    assert x[0].tolist() == GATTACA
    assert x[1].tolist() == [[1] * 7, [0] * 7, [0] * 7, [0] * 7]
    assert one_hot(["GATTACA"]).shape == (1, 4, 7)


@pytest.mark.parametrize(
    "seqs",
    [
        ["GAT", "TAC"],
        ("GAT", "TAC"),
        pd.Series(["GAT", "TAC"], index=[7, 3]),
        pd.Series(["GAT", "TAC"], dtype="string"),
        np.array(["GAT", "TAC"]),
        {"GAT": 1, "TAC": 2}.keys(),
    ],
    ids=lambda seqs: type(seqs).__name__,
)
def test_any_collection_of_strings(seqs):
    assert decode(one_hot(seqs)) == ["GAT", "TAC"]
    assert codes(seqs).tolist() == [[2, 0, 3], [3, 0, 1]]


def test_a_generator_is_read_once():
    assert decode(one_hot(word for word in ("GAT", "TAC"))) == ["GAT", "TAC"]


def test_lower_case_means_the_same():
    assert torch.equal(one_hot("gAttaca"), one_hot("GATTACA"))
    assert codes("acgtn").tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("letter", list("NRYSWKMBDHVnryswkmbdhv"))
def test_every_ambiguity_code_is_a_column_of_zeros(letter):
    assert one_hot(f"A{letter}").tolist() == [[1, 0], [0, 0], [0, 0], [0, 0]]
    assert codes(f"A{letter}").tolist() == [0, 4]


def test_ambiguity_codes_are_those_of_iupac():
    # 15 codes are the non-empty sets of four bases; four of them are single bases.
    assert len(set(AMBIGUOUS)) == len(AMBIGUOUS) == 2**4 - 1 - 4


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.bool, torch.int64, torch.float16, torch.bfloat16, torch.float64]
)
def test_dtype(dtype):
    x = one_hot(["GATTACA"], dtype=dtype)
    assert x.dtype == dtype
    assert x[0].int().tolist() == GATTACA
    assert decode(x) == ["GATTACA"]


def test_codes():
    encoded = codes("GATTACAN")
    assert encoded.dtype == np.uint8
    assert encoded.tolist() == [2, 0, 3, 3, 0, 1, 0, 4]
    assert codes(["GA", "NC"]).tolist() == [[2, 0], [4, 1]]
    assert codes(["GA"]).shape == (1, 2)


# --- block after block ----------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("number", [1, 3, 4, 6, 7])  # 3 words of 3 letters fit in a block of 10
def test_words_of_many_blocks(number):
    words = ["GAT", "TAC", "ACN", "CCC", "TTG", "NNN", "AGA"][:number]
    x = one_hot(words)
    assert decode(x) == words
    assert torch.equal(x, torch.stack([one_hot(word) for word in words]))


@pytest.mark.usefixtures("small_blocks")
def test_words_longer_than_a_block():
    words = ["GATTACAGATTACA", "CCCCCCCCCCCCCC"]
    assert decode(one_hot(words)) == words


def test_more_letters_than_a_real_block():
    length = sequence._BLOCK // 2 - 1  # so two words a block, and three words are two blocks
    words = ["A" * length, "C" * length, "G" * (length - 1) + "T"]
    assert one_hot(words, dtype=torch.uint8).sum(-1).tolist() == [
        [length, 0, 0, 0], [0, length, 0, 0], [0, 0, length - 1, 1]
    ]  # fmt: skip


# --- back to letters ------------------------------------------------------------------------


def test_decode():
    assert decode(torch.tensor(GATTACA)) == "GATTACA"
    assert decode(torch.tensor([GATTACA])) == ["GATTACA"]
    assert decode(torch.zeros(4, 2)) == "NN"
    assert decode(torch.zeros(0, 4, 2)) == []


def test_decode_of_a_tensor_with_gradient():
    assert decode(one_hot("GAT").requires_grad_()) == "GAT"


# --- the other strand -----------------------------------------------------------------------


def test_reverse_complement():
    # GATTACA, read backwards ACATTAG, each base replaced by its partner TGTAATC.
    assert decode(reverse_complement(one_hot("GATTACA"))) == "TGTAATC"
    assert decode(reverse_complement(one_hot(["GATN", "AAAA"]))) == ["NATC", "TTTT"]


def test_reverse_complement_is_a_copy():
    x = one_hot("GAT")
    reverse_complement(x).zero_()
    assert decode(x) == "GAT"


def test_reverse_complement_of_scores_and_of_more_axes():
    scores = torch.arange(8.0).reshape(4, 2)  # rows A 0 1, C 2 3, G 4 5, T 6 7
    assert reverse_complement(scores).tolist() == [[7, 6], [5, 4], [3, 2], [1, 0]]
    assert reverse_complement(scores.expand(2, 3, 4, 2)).shape == (2, 3, 4, 2)


def test_reverse_complement_of_codes():
    # GATN is 2 0 3 4; backwards, with each base replaced by its partner, NATC is 4 0 3 1.
    for kind in (np.uint8, np.int64):
        other = reverse_complement_codes(np.array([2, 0, 3, 4], kind))
        assert other.dtype == np.uint8
        assert other.tolist() == [4, 0, 3, 1]
    both = codes(["GATTACA", "NNACGTA"])
    assert np.array_equal(reverse_complement_codes(both), codes(["TGTAATC", "TACGTNN"]))


# --- words ----------------------------------------------------------------------------------


def test_kmers():
    assert kmers(1) == ["A", "C", "G", "T"]
    assert kmers(2)[:5] == ["AA", "AC", "AG", "AT", "CA"]
    eight = kmers(8)
    assert len(eight) == len(set(eight)) == 65_536
    assert eight == sorted(eight)
    # The index of a word is the word read as a number in base 4: TAT = 3 * 16 + 0 * 4 + 3.
    assert kmers(3)[51] == "TAT"


@pytest.mark.parametrize("k", [0, -1, 13])
def test_kmers_of_no_length_or_too_many(k):
    with pytest.raises(ValueError, match=rf"k is {k}; wanted 1 to 12"):
        kmers(k)


def test_a_word_that_is_shared():
    train = codes(["AAACCGTAAA", "TTTTTTTTTN"])
    asked = codes(["GGCCGTGG", "GGACGGGG", "GGGCGGGG", "NNNNNGGG"])  # ACGG is CCGT, turned round
    assert shares_word(asked, train, 4).tolist() == [True, True, False, False]
    assert shares_word(asked, train, 5).tolist() == [False, False, False, False]
    assert shares_word(codes(["A" * 31]), codes(["T" * 31]), 31).tolist() == [True]
    # As a number to the base 4, A (0), N (4), A would be A, A, C.
    assert shares_word(codes(["ANA"]), codes(["AAC"]), 3).tolist() == [False]


@pytest.mark.parametrize("length", [0, 32])
def test_a_shared_word_of_no_length_or_too_long(length):
    with pytest.raises(ValueError, match=f"The word has {length} letters; wanted 1 to 31"):
        shares_word(codes(["ACGT"]), codes(["ACGT"]), length)
    with pytest.raises(ValueError, match="with L of at least 5"):
        shares_word(codes(["ACGT"]), codes(["ACGTT"]), 5)


# --- for all sequences ----------------------------------------------------------------------


@every_run_the_same
@given(dna, st.booleans())
def test_decode_undoes_one_hot(seq, lower):
    assert decode(one_hot(seq.lower() if lower else seq)) == seq


@every_run_the_same
@given(dna)
def test_reverse_complement_twice_is_the_sequence(seq):
    x = one_hot(seq)
    assert torch.equal(reverse_complement(reverse_complement(x)), x)


@every_run_the_same
@given(dna)
def test_reverse_complement_as_with_strings(seq):
    partner = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
    expected = "".join(partner[letter] for letter in reversed(seq))
    assert decode(reverse_complement(one_hot(seq))) == expected


@every_run_the_same
@given(dna, dna)
def test_one_hot_of_joined_sequences(first, second):
    joined = torch.cat([one_hot(first), one_hot(second)], dim=-1)
    assert torch.equal(one_hot(first + second), joined)


@every_run_the_same
@given(st.integers(1, 12).flatmap(
    lambda length: st.lists(st.text("ACGTNacgtnRY", min_size=length, max_size=length), min_size=1)
))  # fmt: skip
def test_one_hot_of_a_list_is_the_stack_of_each(seqs):
    assert torch.equal(one_hot(seqs), torch.stack([one_hot(seq) for seq in seqs]))
    assert np.array_equal(codes(seqs), np.stack([codes(seq) for seq in seqs]))
