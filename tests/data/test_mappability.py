"""Where a read can be placed: words that occur once, on either strand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tssbook.data import BigWigs, unique_words, write_mappability
from tssbook.sequence import encode_bytes

OTHER = str.maketrans("ACGT", "TGCA")


def codes_of(letters: str) -> np.ndarray:
    return encode_bytes(letters.encode())


def once_by_hand(sequences: dict[str, str], length: int) -> dict[str, list[bool]]:
    """Count each word together with its reverse complement, letter by letter."""

    def name(word):
        return min(word, word[::-1].translate(OTHER))

    words = {
        chrom: [s[i : i + length] for i in range(len(s) - length + 1)]
        for chrom, s in sequences.items()
    }
    counted = Counter(name(w) for all_of in words.values() for w in all_of if "N" not in w)
    return {
        chrom: ["N" not in w and counted[name(w)] == 1 for w in all_of]
        for chrom, all_of in words.items()
    }


def test_a_word_and_its_reverse_complement_are_one():
    # Words of three: GAT ATT TTA TAC ACA. GATTACA holds no word twice; with TGT, ACA is lost.
    assert unique_words({"a": codes_of("GATTACA")}, 3)["a"].tolist() == [True] * 5
    both = unique_words({"a": codes_of("GATTACA"), "b": codes_of("TGT")}, 3)
    assert both["a"].tolist() == [True, True, True, True, False]
    assert both["b"].tolist() == [False]


@pytest.mark.parametrize("length", [1, 3, 31, 32, 33, 50, 64])
def test_words_of_any_length_as_counted_by_hand(length):
    rng = np.random.default_rng(length)
    first = "".join(rng.choice(list("ACGT"), 300))
    copy = first[40:190] + "A" + first[200:290][::-1].translate(OTHER)
    sequences = {"one": first, "two": copy + "N" + first[:70], "short": "ACG"[: length - 1]}
    found = unique_words({name: codes_of(s) for name, s in sequences.items()}, length)
    wanted = once_by_hand(sequences, length)
    assert {name: list(once) for name, once in found.items()} == wanted
    assert length < 31 or 0 < np.mean(wanted["one"]) < 1


def test_n_is_no_copy_of_a():
    found = unique_words({"a": codes_of("AACNAC")}, 2)["a"]
    assert found.tolist() == [True, False, False, False, False]  # AC stands there twice


def test_the_mask_wants_both_strands(tmp_path):
    # TTC and ACA stand twice. A + read begins at the start of its word, a - read at its end.
    letters = "TTCGACATTCACA"
    (tmp_path / "genome.fa").write_text(f">chr1\n{letters}\n")
    path = write_mappability(tmp_path / "k3.bw", tmp_path / "genome.fa", 3)
    once = once_by_hand({"chr1": letters}, 3)["chr1"]
    wanted = [i < len(once) and i >= 2 and once[i] and once[i - 2] for i in range(len(letters))]
    assert BigWigs([path]).read(["chr1"], [0], len(letters))[0, 0].tolist() == wanted
    assert 0 < sum(wanted) < len(wanted)


@pytest.mark.parametrize("letters", ["NNNN", "ACNGT", "AC", "", "AAAA"])
def test_sequences_without_a_word_that_stands_once(letters):
    found = unique_words({"a": codes_of(letters)}, 3)["a"]
    assert found.tolist() == [False] * max(len(letters) - 2, 0)
    assert unique_words({}, 3) == {}


@pytest.mark.parametrize("length", [0, -1, 2.0, "3", None, True])
def test_words_of_no_length(length):
    with pytest.raises(ValueError, match=f"length is {length!r}; wanted a whole number"):
        unique_words({"a": codes_of("ACGT")}, length)
    with pytest.raises(ValueError, match="65 letters; wanted 1 to 64"):
        unique_words({"a": codes_of("ACGT")}, 65)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (np.array([0, 1, 7, 255], np.uint8), "codes hold 255; wanted A 0"),
        (np.array([0, 1, -1]), "codes are int64"),
        (np.zeros((1, 4), np.uint8), r"codes of a are \(1, 4\); wanted \(L,\)"),
        ("ACGT", r"codes of a are \(\); wanted \(L,\)"),
    ],
)
def test_what_is_no_codes(codes, said):
    with pytest.raises(ValueError, match=said):
        unique_words({"a": codes}, 2)


@pytest.mark.parametrize(
    ("genome", "length"),
    [
        (">chr1\nAAAAAAAA\n", 3),
        # ACGTT and CCGAA stand once, but no base begins one word and ends another.
        (">chr1\nACGTTNCCGAA\n", 5),
        (">chr1\nNNNNNNNN\n", 3),
        (">chr1\nACG\n", 4),
    ],
)
def test_a_mask_without_a_base_is_refused(tmp_path, genome, length):
    (tmp_path / "genome.fa").write_text(genome)
    with pytest.raises(ValueError, match=f"Reads of {length} bases cannot be placed on both"):
        write_mappability(tmp_path / "mask.bw", tmp_path / "genome.fa", length)
    assert not (tmp_path / "mask.bw").exists()


def test_an_empty_chromosome_is_left_out(tmp_path):
    (tmp_path / "genome.fa").write_text(">none\n>chr1\nTTCGACATTCACA\n")
    path = write_mappability(tmp_path / "k3.bw", tmp_path / "genome.fa", 3)
    assert BigWigs([path]).lengths == [{"chr1": 13}]
