"""yeast: made from the published tables, and compared with what others made of the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tssbook.data import (
    BigWigs,
    ChecksumError,
    Fasta,
    MissingFile,
    Yeast,
    budding_yeast,
    download,
    yeast,
)
from tssbook.data.budding_yeast import _from_table, _shadowed

CONVERTED = {
    **{f"stripe-{n}ng-{i}": f"stripe_ypd{n}ng_rep{i}" for n in (50, 100) for i in (1, 2, 3)},
    **{f"diamide-{i}": f"stripe_diamide_rep{i}" for i in (1, 2, 3)},
    **{f"slic-{i}": f"sliccage_rep{i}" for i in (1, 2)},
    "stripe": "stripe",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory, mirror) -> Yeast:
    """Made once, from the tables of the mirror folder."""
    folder = tmp_path_factory.mktemp("yeast")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSSBOOK_CACHE", str(folder))
        patch.setenv("TSSBOOK_MIRROR", str(mirror))
        return yeast()


@pytest.fixture
def found(made: Yeast, monkeypatch, mirror) -> Yeast:
    monkeypatch.setenv("TSSBOOK_CACHE", str(made.fasta.parents[1]))
    monkeypatch.setenv("TSSBOOK_MIRROR", str(mirror))
    return made


def chromosomes(paths: list[Path], lengths: dict[str, int]) -> dict[str, np.ndarray]:
    files = BigWigs(paths)
    return {chrom: files.read([chrom], [0], n)[0] for chrom, n in lengths.items()}


@pytest.mark.parametrize("name", CONVERTED)
def test_tracks_are_those_that_others_made_of_the_same_tables(found, mirror, name):
    theirs = [mirror / f"yeast/yeast_{CONVERTED[name]}_{s}.bw" for s in ("plus", "minus")]
    lengths = Fasta(found.fasta).lengths
    wanted = chromosomes(theirs, lengths)
    assert all(
        np.array_equal(row, wanted[chrom])
        for chrom, row in chromosomes(list(found.tracks[name]), lengths).items()
    )
    assert sum(row.sum() for row in wanted.values()) > 2e5


def test_genes_and_start_sites(found, mirror):
    theirs = pd.read_csv(mirror / "yeast/yeast_tss.tsv.gz", sep="\t")
    both = found.genes.merge(theirs, left_on="name", right_on="gene", suffixes=("", "_theirs"))
    assert len(both) == len(found.genes) == 6600
    # Of four genes the annotation has untranslated bases in front of a codon that is no ATG.
    off = (both["atg"] != both["atg_theirs"]) & both["name"].isin(
        ["YOR312C", "YMR242C", "YJL041W", "YIL111W"]
    )
    assert off.sum() == 4
    same = both[~off]
    for mine, other in {"atg": "atg_theirs", "tss": "stripe_tss"}.items():
        assert (same[mine] == same[other]).all()
    assert (same["reads"] == same["stripe_window_reads"]).all()
    # What others call dubious is mostly a gene in the shadow of a longer one.
    many = same[(same["reads"] >= 20) & (same["chrom"] != "chrM")]
    assert pd.crosstab(both["shadowed"], both["dubious"]).loc[True].tolist() == [71, 415]
    assert (~many["shadowed"]).sum() == pytest.approx(4988, abs=5)
    assert found.genes.set_index("symbol").loc["ACT1", "name"] == "YFL039C"


def test_start_sites_and_codons_by_hand(found):
    genes, fasta = found.genes.set_index("name"), Fasta(found.fasta)
    names = {"YGR192C": "TDH3", "YHR174W": "ENO2", "YCR012W": "PGK1", "YFL039C": "ACT1"}
    distance = {}
    for name in names:
        gene = genes.loc[name]
        distance[names[name]] = (gene["tss"] - gene["atg"]) * (1 if gene["strand"] == "+" else -1)
    assert distance == {"TDH3": -39, "ENO2": -30, "PGK1": -40, "ACT1": -120}
    plus = found.genes[(found.genes["strand"] == "+") & (found.genes["chrom"] != "chrM")]
    codons = [fasta.letters(g.chrom, g.atg, g.atg + 3) for g in plus.head(300).itertuples()]
    assert codons.count("ATG") == 300


def test_expression(found, mirror):
    theirs = pd.read_csv(mirror / "yeast/yeast_expression.tsv.gz", sep="\t")
    both = found.expression.merge(theirs, on="gene")
    assert len(both) == 6600
    assert (both["exons"] == both["exon_len"]).all()
    for i in (1, 2, 3):
        assert (both[f"ypd-{i}"] == both[f"ypd_rep{i}"]).all()
        assert (both[f"diamide-{i}"] == both[f"diamide_rep{i}"]).all()
    assert np.abs(both["ypd"] - both["tpm_ypd"]).max() < 6e-4  # theirs is rounded
    assert np.abs(both["diamide"] - both["tpm_diamide"]).max() < 6e-4


def test_the_mask_is_of_this_genome(found):
    lengths = Fasta(found.fasta).lengths
    shares = {c: row.mean() for c, row in chromosomes([found.mappability], lengths).items()}
    # Ends of chromosomes are alike: the smallest chromosome is mostly ends.
    assert min(shares, key=shares.get) == "chrI"
    assert 0.9 < np.mean(list(shares.values())) < 0.95


def test_tracks_are_opened_in_mirror_order(found):
    assert found.bigwigs("stripe", "slic").names == ["stripe+", "slic+", "slic-", "stripe-"]
    with pytest.raises(ValueError, match=r"no track 'cage': choose of stripe-50ng-1"):
        found.bigwigs("cage")


def test_what_is_damaged_is_made_again(found, monkeypatch):
    path, made = found.tracks["slic-1"][0], []
    whole = path.read_bytes()
    monkeypatch.setattr(
        budding_yeast, "_make", lambda folder, progress: made.append(path.write_bytes(whole))
    )
    yeast()
    assert not made  # what is whole is kept
    path.write_bytes(whole[:-100] + bytes(100))
    yeast()
    assert len(made) == 1
    path.unlink()
    yeast()
    assert len(made) == 2
    monkeypatch.setattr(budding_yeast, "_VERSION", 0)
    yeast()
    assert len(made) == 3


def test_another_genome_and_other_reads_are_refused(found, monkeypatch, tmp_path):
    monkeypatch.setattr(budding_yeast, "_GENOME", "0" * 64)
    monkeypatch.setenv("TSSBOOK_CACHE", str(tmp_path))
    with pytest.raises(ChecksumError, match="gives a genome with the sha256 3f6dc437dc48"):
        yeast()
    monkeypatch.undo()
    file, plus, minus = budding_yeast._LIBRARIES["slic-1"]
    monkeypatch.setitem(budding_yeast._LIBRARIES, "slic-1", (file, plus, minus + 1))
    with pytest.raises(ChecksumError, match=r"664,503 reads on the . strand and 627,264 on"):
        budding_yeast._library("slic-1", Fasta(found.fasta), False)


def test_ensembls_file_gives_the_same_genome(found, monkeypatch, tmp_path):
    """Plain gzip, Roman numbers, other lines, lower case: what a reader downloads."""
    import gzip

    names = {ucsc: name for name, ucsc in budding_yeast._UCSC.items()}
    text = []
    for record in found.fasta.read_text().split(">")[1:]:
        name, letters = record.split()
        lines = [letters[i : i + 60] for i in range(0, len(letters), 60)]
        text.append(f">{names[name]} dna:chromosome\n" + "\n".join(lines).lower())
    source = tmp_path / "ensembl.fa.gz"
    source.write_bytes(gzip.compress("\n".join(text).encode(), 1))
    monkeypatch.setattr(budding_yeast, "fetch", lambda name, progress: source)
    made = budding_yeast._make_genome(tmp_path / "sacCer3.fa", False)
    assert made.path.read_bytes() == found.fasta.read_bytes()


def test_without_sources_the_message_says_what_to_get(cache, monkeypatch):
    monkeypatch.delenv("TSSBOOK_MIRROR", raising=False)
    entries = {k: {kk: v for kk, v in e.items() if kk != "mirrors"} for k, e in
               download.catalogue().items()}  # fmt: skip
    closed = {k: e | ({"url": "http://127.0.0.1:9/x"} if "url" in e else {})
              for k, e in entries.items()}  # fmt: skip
    monkeypatch.setattr("tssbook.data.download.catalogue", lambda: closed)
    with pytest.raises(MissingFile, match=r"R64-1-1\.dna\.toplevel\.fa\.gz"):
        yeast()


def test_the_tables_count_from_one(tmp_path):
    path = tmp_path / "TSSset.txt"
    path.write_text(
        "seq\tTSS\tstrand\tnTAGs\tisreal\n  I\t   101\t+\t  7\tTRUE\nMito\t 5\t-\t1\tTRUE\n"
    )
    table = _from_table(path)
    assert table.to_dict("list") == {
        "chrom": ["chrI", "chrM"], "strand": ["+", "-"], "tss": [100, 4], "reads": [7, 1],
    }  # fmt: skip


def test_in_the_shadow_of_a_longer_gene():
    # The second lies within the first to 60 %, the third to 40 %; the fourth is elsewhere.
    genes = pd.DataFrame(
        {"chrom": ["a", "a", "a", "b"], "start": [0, 940, 960, 0], "end": [1000, 1040, 1060, 50]}
    )
    assert _shadowed(genes).tolist() == [False, True, False, False]
