"""start: counting over- and underrepresented words, and filters that start from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tssbook.sequence import one_hot
from tssbook.training.start import enriched_words, start_from_words


def encoded(*sequences):
    return np.array([["ACGTN".index(base) for base in s] for s in sequences], np.uint8)


def test_counts_and_expectations_can_be_checked_by_hand():
    # Both strands: AAAC and GTTT. Pairs: AA AA AC GT TT TT, so after A comes A twice, C once.
    # 4 words; the first letter is an A in 3 of 6, so AAC is expected 4 * 3/6 * 2/3 * 1/3 times.
    table = enriched_words(encoded("AAAC"), 10, width=3)
    assert table["word"].to_list() == ["AAC"]  # the others are like it, or GTT, its other strand
    assert table["observed"][0] == 1
    assert table["expected"][0] == pytest.approx(4 / 9)
    assert table["z"][0] == pytest.approx((1 - 4 / 9) / (4 / 9) ** 0.5)


def test_a_planted_word_comes_first_and_only_once_on_either_strand():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (400, 60)).astype(np.uint8)
    word = encoded("ATGGCGGC")[0]
    codes[:100, 20:28] = word
    codes[100:200, 30:38] = 3 - word[::-1]
    table = enriched_words(codes, 5)
    assert table["word"][0] in ("ATGGCGGC", "GCCGCCAT")
    assert table["observed"][0] >= 200
    assert table["z"][0] > 10 * table["z"][1]
    assert table["z"].is_monotonic_decreasing
    assert len(table) == 5


def test_words_with_n_do_not_count():
    codes = encoded("ACGTNACG")
    assert enriched_words(codes, 99, width=3)["observed"].sum() <= 6
    assert len(enriched_words(encoded("NNNN"), 5, width=3)) == 0


@pytest.mark.parametrize(
    ("codes", "options", "says"),
    [
        (encoded("ACGTACGT"), {"number": 0}, "1 or more"),
        (encoded("ACGTACGT"), {"number": 1, "width": 11}, "3 to 10"),
        (encoded("ACG"), {"number": 1}, "L of at least 8"),
        (encoded("ACGTACGT")[0], {"number": 1}, r"\(8,\)"),
    ],
)
def test_wrong_input(codes, options, says):
    with pytest.raises(ValueError, match=says):
        enriched_words(codes, **options)


def test_a_filter_says_most_at_its_word():
    conv = nn.Conv1d(4, 3, 51, padding=25)
    start_from_words(conv, ["ATGGCGGC", "TATAAA"])
    x = one_hot(["C" * 40 + "ATGGCGGC" + "C" * 40 + "TATAAA" + "C" * 40])
    answer = conv(x)[0]
    assert answer[0].argmax() == 43  # the word's fourth letter
    assert answer[1].argmax() == 90
    with torch.no_grad():
        conv.weight.zero_()
    start_from_words(conv, ["ATGGCGGC"])
    assert conv(x)[0, 0, 43].item() == pytest.approx(8 * 1.125 - 6)
    assert (conv.bias == -6).all()
    assert not conv.weight[1:].any()


def test_too_many_or_too_long_words():
    for words in (["ACGT"] * 3, ["A" * 16]):
        with pytest.raises(ValueError, match="at most 2 words of at most 15 letters"):
            start_from_words(nn.Conv1d(4, 2, 15), words)
