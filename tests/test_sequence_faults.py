"""sequence, when the input is none: one sentence that says what and where."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import refusal
from tssbook import sequence
from tssbook.sequence import (
    codes,
    decode,
    one_hot,
    one_hot_codes,
    require_codes,
    require_counts,
    require_mirror_order,
    require_positive,
    require_sequences,
    reverse_complement,
)


@pytest.fixture(params=[one_hot, codes], ids=["one_hot", "codes"])
def encode(request):
    return request.param


# --- letters --------------------------------------------------------------------------------


def test_acgx(encode):
    message = refusal(lambda: encode("ACGX"))
    assert re.search("'X'.* position 3 of sequence 0 .*wanted A, C, G, T, N", message)


def test_several_bad_letters(encode):
    message = refusal(lambda: encode(["ACGT", "AZ-Z", "JACG"]))
    assert "'-', 'J', 'Z', first at position 1 of sequence 1 " in message


def test_no_more_than_five_letters_are_listed(encode):
    message = refusal(lambda: encode("0123456789"))
    assert "letter: '0', '1', '2', '3', '4', first" in message


@pytest.mark.parametrize("letter", ["é", "Ａ", "😀", "\ud800", "?", "U", "u", " ", "\n", "\0", "*"])
def test_one_letter_that_is_none(encode, letter):
    # Positions count letters, also after one that takes several bytes.
    message = refusal(lambda: encode(["ACGT", f"{letter}CG{letter}"]))
    assert f"{letter!r}, first at position 0 of sequence 1 " in message
    assert "position 3 of sequence 0 " in refusal(lambda: encode(f"ACG{letter}"))


@pytest.mark.parametrize("bad", range(7))
def test_bad_letter_in_a_later_block(encode, bad, monkeypatch):
    monkeypatch.setattr(sequence, "_BLOCK", 10)  # three words of three letters
    words = ["GAT"] * 7
    words[bad] = "GXT"
    assert f"position 1 of sequence {bad} " in refusal(lambda: encode(words))


def test_bad_letter_at_the_end_of_a_real_block(encode):
    words = ["A" * 1000] * (sequence._BLOCK // 1000 + 2)
    words[-1] = "A" * 999 + "X"
    message = refusal(lambda: encode(words))
    assert f"position 999 of sequence {len(words) - 1} " in message


# --- nothing, or something else -------------------------------------------------------------


def test_empty(encode):
    for nothing in ("", ["", ""]):
        assert "sequence is empty" in refusal(lambda seqs=nothing: encode(seqs))
    for nothing in ([], (), iter([]), pd.Series([], dtype=object)):
        assert "The list of sequences is empty" in refusal(lambda seqs=nothing: encode(seqs))


@pytest.mark.parametrize(
    "seqs", [b"ACGT", bytearray(b"ACGT"), None, 5, 1.5], ids=lambda seqs: type(seqs).__name__
)
def test_not_a_collection_of_strings(encode, seqs):
    message = refusal(lambda: encode(seqs), TypeError)
    assert re.search(f"{type(seqs).__name__}; wanted .*strings", message)


@pytest.mark.parametrize(
    "wrong", [None, 7, b"GAT", 1.5, ["G", "A", "T"], float("nan")], ids=lambda w: type(w).__name__
)
@pytest.mark.parametrize("index", [0, 1])
def test_an_element_that_is_no_string(encode, wrong, index):
    seqs: list = ["GAT", "TAC"]
    seqs[index] = wrong
    message = refusal(lambda: encode(seqs), TypeError)
    assert re.search(f"Sequence {index} is {type(wrong).__name__}; wanted a string", message)


@pytest.mark.parametrize("bad", range(1, 7))
def test_wrong_element_in_a_later_block(encode, bad, monkeypatch):
    monkeypatch.setattr(sequence, "_BLOCK", 10)  # three words of three letters
    words: list = ["GAT"] * 7
    words[bad] = "GATTACA"
    assert f"Sequence {bad} has 7 letters" in refusal(lambda: encode(words))
    words[bad] = None
    assert f"Sequence {bad} is NoneType" in refusal(lambda: encode(words), TypeError)


def test_missing_value_in_a_column(encode):
    column = pd.Series(["GAT", None, "TAC"])
    assert "Sequence 1 is " in refusal(lambda: encode(column), TypeError)


def test_lengths_that_differ(encode):
    message = refusal(lambda: encode(["GATTACA", "GATTACA", "GAT", "GA"]))
    assert re.search("Sequence 2 has 3 letters .*0 has 7; wanted one length", message)
    assert "Sequence 1 has 0 letters" in refusal(lambda: encode(["GAT", ""]))


@given(st.lists(st.text("AC\nXé", max_size=4), max_size=8) | st.lists(st.text("ACGT", max_size=2)))
@settings(deadline=None, derandomize=True, database=None, max_examples=300)
def test_any_words_are_encoded_or_refused(words):
    """Also where a letter could be taken for the end of a word, and blocks end anywhere."""
    good = len({len(word) for word in words}) == 1 and words[0] and set("".join(words)) <= {*"ACGT"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence, "_BLOCK", 5)
        if good:
            assert decode(one_hot(words)) == words
        else:
            message = refusal(lambda: one_hot(words))
            assert "wanted" in message


@pytest.mark.parametrize("dtype", ["float32", float, None])
def test_dtype_that_is_none_of_torch(dtype):
    message = refusal(lambda: one_hot("GAT", dtype=dtype), TypeError)
    assert f"dtype is {dtype!r}; wanted a torch.dtype" in message


# --- back to letters ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (1, 1, 4, 3), ()])
def test_decode_of_another_shape(shape):
    message = refusal(lambda: decode(torch.zeros(shape)))
    assert f"x is {shape}; wanted (4, L) or (N, 4, L)" in message


@pytest.mark.parametrize(
    "column",
    [
        [0.25, 0.25, 0.25, 0.25], [1, 1, 0, 0], [0.9, 0.1, 0, 0], [1, 0, 0, float("nan")],
        [2, 0, 0, 0], [1, 0, -1, 0],
    ],
    ids=str,
)  # fmt: skip
def test_decode_of_what_is_not_one_hot(column):
    x = one_hot(["GAT", "TAC"])
    x[1, :, 2] = torch.tensor(column)
    assert refusal(lambda: decode(x)).startswith("The column at (1, 2) is neither one-hot nor all")
    assert "The column at (2,) is" in refusal(lambda: decode(x[1]))


@pytest.mark.parametrize("shape", [(4,), (3, 5), (4, 2, 3)])
def test_reverse_complement_of_another_shape(shape):
    message = refusal(lambda: reverse_complement(torch.zeros(shape)))
    assert f"x is {shape}; wanted (..., 4, L)" in message


def test_rna_and_mappings_and_arrays():
    assert refusal(lambda: one_hot("ACGU")).endswith("in either case. In RNA, write T for U.")
    assert refusal(lambda: one_hot({"gene": "ACGT"}), TypeError).startswith("seqs is dict; wanted")
    for call in (decode, reverse_complement):
        message = refusal(lambda call=call: call("ACGT"), TypeError)
        assert "x is str; wanted a tensor" in message


# --- the one check of sequences -------------------------------------------------------------


def test_sequences_of_any_type_are_let_through():
    for x in (one_hot(["GATTN"]), one_hot(["GAT"], dtype=torch.uint8), torch.rand(2, 4, 7)):
        assert require_sequences(x) is None
    assert require_sequences(one_hot(["GATTN", "ACGTA"]), one_hot=True) is None
    assert require_sequences(one_hot(["GATTA"]), bases=True) is None


@pytest.mark.parametrize("x", ["GATTACA", None, [[1, 0, 0, 0]], 5], ids=lambda x: type(x).__name__)
def test_sequences_that_are_no_tensor(x):
    message = refusal(lambda: require_sequences(x), TypeError)
    assert re.search(f"{type(x).__name__}; wanted a tensor", message)


@pytest.mark.parametrize(
    "shape", [(4, 7), (2, 7, 4), (2, 5, 7), (1, 2, 4, 7), (0, 4, 7), (2, 4, 0)]
)
def test_sequences_of_another_shape(shape):
    message = refusal(lambda: require_sequences(torch.zeros(shape)))
    assert re.search(rf"{re.escape(str(shape))}; wanted \(N, 4, L\)", message)


@pytest.mark.parametrize("asked", [{"one_hot": True}, {"bases": True}], ids=["one_hot", "bases"])
@pytest.mark.parametrize("column", [[0.25] * 4, [1, 1, 0, 0], [2, 0, 0, 0], [1, 0, 0, torch.nan]])
def test_columns_that_are_not_one_hot(asked, column):
    x = one_hot(["GAT", "TAC"])
    x[1, :, 2] = torch.tensor(column)
    require_sequences(x)
    message = refusal(lambda: require_sequences(x, **asked))
    found = re.escape(str([float(value) for value in column]))
    assert re.search(f"position 2 of sequence 1 .*{found}; wanted a single 1", message)


def test_an_n_where_bases_are_asked_for():
    x = one_hot(["GATT", "TANC"])
    require_sequences(x, one_hot=True)
    message = refusal(lambda: require_sequences(x, bases=True))
    assert re.search("N at position 2 of sequence 1 .*wanted A, C, G and T", message)


# --- the one check of codes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (np.zeros((2, 9)), "float64 (2, 9)"),
        (np.zeros(9, np.uint8), "uint8 (9,)"),
        (np.zeros((2, 4, 9), np.uint8), "uint8 (2, 4, 9)"),
        (np.zeros((2, 7), np.uint8), "uint8 (2, 7)"),
    ],
    ids=["type", "one", "one-hot", "short"],
)
def test_what_is_no_codes(found, said):
    require_codes(codes(["GATTACAN"]), shortest=8)
    message = refusal(lambda: require_codes(found, shortest=8))
    assert f"codes are {said}; wanted uint8 (N, L)" in message
    assert "at least 8" in message


def test_codes_that_are_no_array():
    message = refusal(lambda: require_codes(["GATTACA"]), TypeError)
    assert "codes is list; wanted an array" in message


def test_whole_numbers_of_one_or_more():
    require_positive(batch_size=1, length=np.int64(2114))
    for value in (0, -3, 2.5, 4.0, True, None, "64", np.float64(64)):
        message = refusal(lambda value=value: require_positive(length=10, batch_size=value))
        assert message == f"batch_size is {value!r}; wanted a whole number of 1 or more."


def test_reads_are_finite_numbers_of_0_or_more():
    require_counts(torch.tensor([0.0, 1, 2.5]))
    require_counts(torch.zeros(0, 2))
    for value, said in ((-1.0, "-1"), (float("nan"), "nan"), (float("inf"), "inf")):
        counts = torch.zeros(2, 3)
        counts[1, 2] = value
        assert f"hold {said} at (1, 2); wanted" in refusal(lambda c=counts: require_counts(c))
        message = refusal(lambda c=counts: require_counts(c, "tracks", torch.tensor([40, 17])))
        assert f"The tracks hold {said} at (17, 2)" in message


def test_codes_above_4_are_no_n():
    assert one_hot_codes(np.array([[0, 4]], dtype=np.uint8)).sum() == 1
    message = refusal(lambda: one_hot_codes(np.array([[0, 5]], dtype=np.uint8)))
    assert "The codes hold 0 to 5; wanted" in message
    below = np.array([[0, -1]], dtype=np.int8)
    assert "The codes hold -1 to 0; wanted" in refusal(lambda: one_hot_codes(below))


@pytest.mark.parametrize(
    "wrong", [np.array([[0.0, 1.5]]), np.array([0, 1], np.uint8), np.array([[True, False]])]
)
def test_codes_that_are_no_whole_numbers_or_one_row(wrong):
    assert "wanted whole numbers (N, L)" in refusal(lambda: one_hot_codes(wrong))


@pytest.mark.parametrize(
    "names", [["a+", "a-"], ["a+", "b-", "b+", "a-"], ["x"], ["a+", "x", "a-"]]
)
def test_mirror_order(names):
    require_mirror_order(names)
    require_mirror_order(tuple(names))


@pytest.mark.parametrize(
    ("names", "error", "found"),
    [
        (["a+", "b+", "a-", "b-"], ValueError, r"'a\+' as track 0 has 'b-' as track 3 where 'a-'"),
        (["a+", "b+", "a-"], ValueError, r"'b\+' as track 1 has 'b\+' as track 1 where 'b-'"),
        (["x", "y"], ValueError, "'x' as track 0 has 'y' as track 1 where 'x'"),
        (["a+", "a+"], ValueError, "at least one name, and each once"),
        ([], ValueError, "at least one name"),
        ([""], ValueError, "at least one name"),
        ("a+", TypeError, "wanted a list of names"),
        ([1, 2], TypeError, "wanted a list of names"),
    ],
)
def test_no_mirror_order(names, error, found):
    with pytest.raises(error, match=found) as caught:
        require_mirror_order(names)
    assert "\n" not in str(caught.value)
