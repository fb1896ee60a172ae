"""motifs: columns whose information is known, and filters whose sites can be listed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from tssbook.motifs import (
    frequencies,
    information,
    read_meme,
    similarity,
    site_counts,
    write_meme,
)
from tssbook.sequence import one_hot


def columns(*values: list[float]) -> torch.Tensor:
    """``(4, L)`` from one list of A, C, G, T for each column."""
    return torch.tensor(values, dtype=torch.float32).T


# --- frequencies ----------------------------------------------------------------------------


def test_frequencies_with_n():
    # A, A, C and N: an N counts for no base, so 2/3 and 1/3; four N count for nothing.
    counts = one_hot(["AN", "AN", "CN", "NN"]).sum(0)
    freqs = frequencies(counts)
    assert freqs[:, 0].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert freqs[:, 1].isnan().all()


def test_frequencies_of_many_filters():
    counts = torch.tensor([1, 1, 2, 0]).expand(3, 5, 4).transpose(1, 2)
    assert frequencies(counts).shape == (3, 4, 5)
    assert frequencies(counts)[2, :, 4].tolist() == [0.25, 0.25, 0.5, 0]


def test_negative_counts():
    with pytest.raises(ValueError, match="counts hold negative numbers; wanted 0 or more"):
        frequencies(columns([1, -1, 0, 0]))


# --- information ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "bits"),
    [
        ([0.25, 0.25, 0.25, 0.25], 0),
        ([0, 0, 1, 0], 2),
        ([0.5, 0.5, 0, 0], 1),  # 2 - 2 * 0.5 * 1
        ([0.5, 0.25, 0.25, 0], 0.5),  # 2 - (0.5 * 1 + 2 * 0.25 * 2)
        ([0.9, 0.1, 0, 0], 2 + 0.9 * math.log2(0.9) + 0.1 * math.log2(0.1)),
    ],
)
def test_information(column, bits):
    heights = information(columns(column))[:, 0]
    assert heights.tolist() == pytest.approx([f * bits for f in column], abs=1e-6)
    assert heights.sum().item() == pytest.approx(bits, abs=1e-6)


def test_information_of_nothing_stays_nan():
    freqs = torch.stack([columns([1, 0, 0, 0]), torch.full((4, 1), torch.nan)])
    heights = information(freqs)
    assert heights[0, :, 0].tolist() == [2, 0, 0, 0]
    assert heights[1].isnan().all()


# --- sites ----------------------------------------------------------------------------------


def filters(*words: str) -> nn.Conv1d:
    """Filters that answer 1 to their word and 0 or less to any other."""
    conv = nn.Conv1d(4, len(words), len(words[0]))
    with torch.no_grad():
        conv.weight.copy_(one_hot(words))
        conv.bias.fill_(1 - len(words[0]))
    return conv


def test_sites_by_hand():
    # TATATCAT holds TAT, ATA, TAT, ATC, TCA, CAT; GGGTATGG holds GGG, GGT, GTA, TAT, ATG, TGG:
    # TAT three times, GCG never.
    x = one_hot(["TATATCAT", "GGGTATGG"])
    counts = site_counts(filters("TAT", "GCG"), x, threshold=0.5)
    assert torch.equal(counts[0], 3 * one_hot("TAT"))
    assert torch.equal(counts[1], torch.zeros(4, 3))  # a filter without a site
    assert frequencies(counts)[1].isnan().all()
    # Two matching letters are enough: CAT comes in, all others have one or none.
    loose = site_counts(filters("TAT"), x, threshold=-0.5)
    assert torch.equal(loose[0], 3 * one_hot("TAT") + one_hot("CAT"))


def test_the_threshold_itself_is_not_above():
    x = one_hot(["TATCC"])
    assert site_counts(filters("TAT"), x, threshold=1).sum() == 0
    assert site_counts(filters("TAT"), x, threshold=0.999).sum() == 3


def test_sites_as_in_a_plain_loop():
    torch.manual_seed(0)
    conv = nn.Conv1d(4, 5, 3)
    x = one_hot(["GATTACAN", "TTTTTTTT", "ACGTACGT", "CCNNGGAT"])
    expected = torch.zeros(5, 4, 3)
    for number in range(5):
        for seq in x:
            for place in range(8 - 3 + 1):
                window = seq[:, place : place + 3]
                if (conv.weight[number] * window).sum() + conv.bias[number] > 0.1:
                    expected[number] += window
    assert expected.sum() > 20
    assert torch.equal(site_counts(conv, x, threshold=0.1), expected)


def test_sites_need_no_gradient():
    assert not site_counts(filters("TAT"), one_hot(["TATCC"]), 0).requires_grad


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv1d(4, 2, 3, padding=1), nn.Conv1d(4, 2, 3, padding="same"),
        nn.Conv1d(4, 2, 3, stride=2), nn.Conv1d(4, 2, 3, dilation=2), nn.Conv1d(8, 2, 3),
    ],
    ids=["padding", "same", "stride", "dilation", "channels"],
)  # fmt: skip
def test_layers_whose_sites_would_be_elsewhere(conv):
    with pytest.raises(ValueError, match="wanted 4 input channels and no padding, stride or"):
        site_counts(conv, one_hot(["GATTACA"]), 0)


# --- similarity -----------------------------------------------------------------------------


def test_similarity_finds_the_best_shift():
    tat = one_hot("TAT")
    assert similarity(tat, tat) == pytest.approx(1)
    for word in ("TATCC", "CTATC", "CCTAT"):
        assert similarity(one_hot(word), tat) == pytest.approx(1)
    # TAC has two of three: means 1/4, sums 2 - 9/12 over 3 - 9/12 = 1.25 / 2.25.
    assert similarity(one_hot("TAC"), tat) == pytest.approx(5 / 9)
    # GCG shares no position with TAT: (0 - 9/12) / (9/4).
    assert similarity(one_hot("GCG"), tat) == pytest.approx(-1 / 3)


def test_similarity_does_not_mind_scale_and_offset():
    assert similarity(5 * one_hot("CTATC") + 2, one_hot("TAT")) == pytest.approx(1)


def test_similarity_of_weights_with_gradient():
    assert similarity(filters("TAT").weight[0], one_hot("TAT")) == pytest.approx(1)


def test_similarity_of_nothing_is_nan():
    tat = one_hot("TAT")
    assert math.isnan(similarity(torch.full((4, 3), 0.25), tat))
    assert math.isnan(similarity(torch.full((4, 3), torch.nan), tat))


def test_motif_that_is_wider_than_the_matrix():
    with pytest.raises(ValueError, match="motif has 3 columns and the matrix 2; wanted a motif"):
        similarity(one_hot("TA"), one_hot("TAT"))


# --- shapes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 5), (5, 4)])
def test_rows_that_are_not_bases(shape):
    x, good = torch.ones(shape), torch.ones(4, 5)
    calls = [
        lambda: frequencies(x), lambda: information(x), lambda: similarity(x, good),
        lambda: similarity(good, x), lambda: site_counts(filters("TAT"), x, 0),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match="4, L") as caught:
            call()
        assert str(shape) in str(caught.value)


def test_sites_of_a_single_sequence():
    with pytest.raises(ValueError, match=r"x is \(4, 7\); wanted \(N, 4, L\)"):
        site_counts(filters("TAT"), one_hot("GATTACA"), 0)


def test_similarity_beside_a_uniform_flank():
    matrix = torch.cat([torch.full((4, 3), 0.25), one_hot("TAT")], dim=1)
    assert similarity(matrix, one_hot("TAT")) == pytest.approx(1)


def test_information_of_counts_is_refused():
    with pytest.raises(ValueError, match=r"^Column 0 .* adds up to 8; wanted frequencies"):
        information(torch.full((4, 2), 2.0))


def test_information_names_the_first_wrong_column():
    x = torch.full((2, 4, 3), 0.25)
    x[0, :, 0] = torch.nan
    x[1, 2, 1] = 3
    with pytest.raises(ValueError, match=r"^Column 1, 1 .* adds up to 3\.75; wanted"):
        information(x)
    with pytest.raises(ValueError, match=r"^Column 1 .* adds up to 3\.75; wanted"):
        information(x[1])


def test_site_counts_of_more_sequences_than_a_part():
    conv, x = torch.nn.Conv1d(4, 2, 3), one_hot(["GATTACA", "TATATAT"]).repeat(600, 1, 1)
    few = site_counts(conv, x[:2].to(torch.uint8), 0)
    assert torch.equal(site_counts(conv, x, 0), 600 * few)


# --- MEME's format ----------------------------------------------------------------------------

MEME = """MEME version 4

ALPHABET= ACGT

MOTIF MA0001.1   AT
letter-probability matrix: alength= 4 w= 2 nsites= 7 E= 0
 0.75 0.25 0.00 0.00
 0.00 0.00 0.333 0.667
URL http://example.org

MOTIF two
letter-probability matrix: alength= 4 w= 1
0 0 0 1
"""


def test_motifs_of_a_meme_file(tmp_path: Path):
    path = tmp_path / "motifs.meme"
    path.write_text(MEME)
    motifs = read_meme(path)
    assert list(motifs) == ["MA0001.1 AT", "two"]
    assert motifs["MA0001.1 AT"][:, 0].tolist() == [0.75, 0.25, 0, 0]
    assert motifs["two"].tolist() == [[0], [0], [0], [1]]
    again = read_meme(write_meme(tmp_path / "again.meme", motifs))
    assert list(again) == list(motifs)
    for name, matrix in motifs.items():
        torch.testing.assert_close(again[name], matrix, atol=1e-6, rtol=0)


def test_other_programs_read_what_is_written(tmp_path: Path):
    from memelite.io import read_meme as theirs

    motifs = {"a b": columns([1.0, 0, 0, 0], [0, 0.5, 0.5, 0])}
    found = theirs(str(write_meme(tmp_path / "m.meme", motifs)))
    assert list(found) == ["a b"]
    assert found["a b"].tolist() == motifs["a b"].tolist()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.75 0.25", "0.85 0.25", "columns that add up to"),
        ("w= 2", "w= 5", "has not the 5 rows"),
        ("0.75", "x", "has not the 2 rows of four numbers"),
        ("MOTIF two", "MOTIF MA0001.1 AT", "two motifs 'MA0001.1 AT'"),
        ("letter-probability matrix: alength= 4 w= 1", "", "there is no line 'letter-prob"),
        ("ALPHABET= ACGT", "ALPHABET= ACGU", "has the alphabet ACGU"),
        ("MOTIF", "motif", "no line that begins with MOTIF"),
        ("0 0 0 1\n", "", "has not the 1 rows of four numbers"),
    ],
)
def test_meme_files_that_are_not_whole(tmp_path: Path, old: str, new: str, words: str):
    path = tmp_path / "motifs.meme"
    path.write_text(MEME.replace(old, new))
    with pytest.raises(ValueError, match=words):
        read_meme(path)


def test_a_meme_file_that_is_none(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="wanted motifs in MEME's format"):
        read_meme(tmp_path / "none.meme")
    (tmp_path / "packed.meme").write_bytes(b"\x1f\x8b\x08\xff")
    with pytest.raises(ValueError, match="is no text; wanted motifs"):
        read_meme(tmp_path / "packed.meme")


def test_motifs_that_meme_cannot_hold(tmp_path: Path):
    one = columns([1.0, 0, 0, 0])
    for motifs, words in (
        ({}, "There are no motifs"),
        ({" ": one}, "the name ' '"),
        ({"a\nb": one}, "wanted words on one line"),
        ({"a": one * 2}, "add up to 2"),
        ({"a": columns([math.nan] * 4)}, "add up to nan"),
    ):
        with pytest.raises(ValueError, match=words):
            write_meme(tmp_path / "m.meme", motifs)
    assert not list(tmp_path.iterdir())
