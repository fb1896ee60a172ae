"""Matches of motifs, where one can see them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tssbook.interpret import scan_genome, scan_motifs, scanning
from tssbook.motifs import frequencies
from tssbook.sequence import one_hot

WORD = "GATTACAT"  # one of 65,536 words of eight letters
MOTIFS = {"word": frequencies(one_hot(WORD)), "long": frequencies(one_hot("C" * 90))}
OTHER = "ATGTAATC"  # its reverse complement


def test_a_word_is_found_on_both_strands() -> None:
    x = one_hot("CC" + WORD + "CCCCCCC")[None]
    table = scan_motifs({"word": MOTIFS["word"]}, x)
    assert table[["sequence", "start", "end", "strand"]].values.tolist() == [[0, 2, 10, "+"]]
    assert table["p"][0] == pytest.approx(4.0**-8, rel=0.01)
    assert table["score"][0] == pytest.approx(16, abs=0.1)  # two bits a letter
    other = one_hot("CCC" + OTHER + "CCCC")[None]
    assert scan_motifs(MOTIFS, other)["strand"].tolist() == ["-"]
    assert scan_motifs(MOTIFS, other, both_strands=False).empty


def test_a_motif_that_is_longer_than_the_sequences_matches_nowhere() -> None:
    assert scan_motifs(MOTIFS, one_hot("C" * 20)[None]).empty


def test_a_genome_is_scanned_across_the_ends_of_stretches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(
        f">chr1\n{'C' * 26}{WORD}{'C' * 30}{WORD}{'C' * 28}\n>chr2\n{OTHER}{'C' * 42}\n"
    )
    monkeypatch.setattr(scanning, "_AT_A_TIME", 30)  # the word lies over the end of the first
    wanted = [
        ["chr1", 26, 34, "word", "+"],
        ["chr1", 64, 72, "word", "+"],  # in the third
        ["chr2", 0, 8, "word", "-"],
    ]
    found = scan_genome({"word": MOTIFS["word"]}, path, p=1e-4)
    assert found[["chrom", "start", "end", "motif", "strand"]].values.tolist() == wanted
    only = scan_genome({"word": MOTIFS["word"]}, path, chroms=["chr2"], p=1e-4)
    assert only["chrom"].tolist() == ["chr2"]


def test_what_cannot_be_scanned() -> None:
    x = one_hot("ACGT")[None]
    with pytest.raises(ValueError, match="There are no motifs"):
        scan_motifs({}, x)
    with pytest.raises(ValueError, match="p is 2; wanted"):
        scan_motifs(MOTIFS, x, p=2)
    with pytest.raises(ValueError, match=r"w is \(4, 3\)"):
        scan_motifs({"w": torch.ones(4, 3)}, x)
