"""yeast: made from the published tables, and compared with what others made of the same."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from tests.support import refusal
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

OTHER = str.maketrans("ACGT", "TGCA")
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
    # One piece by hand: a read of 50 that begins or ends at each base, sought in the whole genome.
    whole = {chrom: Fasta(found.fasta).letters(chrom, 0, n) for chrom, n in lengths.items()}
    both = "|".join([*whole.values(), *(s[::-1].translate(OTHER) for s in whole.values())])
    start = 20_040  # of chrI: the end of a copy of what stands elsewhere, too
    once = {i: both.find(w := whole["chrI"][i : i + 50], both.find(w) + 1) < 0
            for i in range(start - 49, start + 40)}  # fmt: skip
    wanted = [once[i] and once[i - 49] for i in range(start, start + 40)]
    mask = BigWigs([found.mappability]).read(["chrI"], [start], 40)[0, 0]
    assert mask.tolist() == wanted
    assert 0 < sum(wanted) < 40


def test_tracks_are_opened_in_mirror_order(found):
    assert found.bigwigs("stripe", "slic").names == ["stripe+", "slic+", "slic-", "stripe-"]
    with pytest.raises(ValueError, match=r"no track 'cage': choose of stripe-50ng-1"):
        found.bigwigs("cage")


# --- a small yeast of 17 chromosomes of 900 bases, made from files of a few lines --------------


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """A mirror with all sources; what they give is what is wanted. The data folder is beside."""
    folder, rng = tmp_path / "mirror", np.random.default_rng(0)
    (folder / "yeast/original").mkdir(parents=True)
    genome = {name: "".join(rng.choice(list("ACGT"), 900)) for name in budding_yeast._UCSC}
    fasta = "".join(f">{budding_yeast._UCSC[n]}\n{s}\n" for n, s in genome.items())
    monkeypatch.setattr(budding_yeast, "_GENOME", hashlib.sha256(fasta.encode()).hexdigest())
    whole = "".join(f">{name} dna\n{letters}\n" for name, letters in genome.items())
    about = 'gene_id "{0}"; gene_biotype "protein_coding";'
    lines = [
        f"{chrom}\tx\t{what}\t{start}\t{end}\t.\t{strand}\t.\t{about.format(name)}"
        for chrom, name, begin, last, strand in (
            ("I", "YA", 401, 500, "+"), ("I", "YB", 301, 400, "-"), ("Mito", "YM", 1, 100, "+")
        )
        for what, start, end in (("gene", begin, last), ("exon", last - 49, last))
    ]  # fmt: skip
    lines[1] = lines[1].replace("451", "401")  # the exon of YA is twice as long as the others
    numbers = {"YA": "2", "YB": "3", "YM": "5"}
    counts = [["Geneid", *budding_yeast._COUNTS.values()]]
    counts += [[name] + [number] * 6 for name, number in numbers.items()]
    table = HEADER + "I\t  381\t+\t 2\tTRUE\nI\t391\t+\t2\tTRUE\nII\t7\t-\t1\tTRUE\n"
    contents = {
        "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz": gzip.compress(whole.encode()),
        "Saccharomyces_cerevisiae.R64-1-1.96.gtf.gz": gzip.compress("\n".join(lines).encode()),
        "cleaned_yeast_feature_counts.tsv": "\n".join("\t".join(c) for c in counts).encode(),
        **{name: table.encode() for name in budding_yeast._LIBRARIES.values()},
    }
    for name, content in contents.items():
        (folder / "yeast/original" / name).write_bytes(content)
    reads = {"chrom": ["chrI", "chrI", "chrII"], "strand": ["+", "+", "-"], "tss": [380, 390, 6]}
    reads["reads"] = [2, 2, 1]
    digest = budding_yeast._digest(pd.DataFrame(reads))
    monkeypatch.setattr(budding_yeast, "_DIGESTS", {f"diamide-{i}": digest for i in (1, 2, 3)})
    entries = {f"yeast/original/{name}": {"how": "made by a test"} for name in contents}
    monkeypatch.setattr(download, "catalogue", lambda: entries)
    monkeypatch.setenv("TSSBOOK_MIRROR", str(folder))
    monkeypatch.setenv("TSSBOOK_CACHE", str(tmp_path / "data"))
    return folder / "yeast/original"


def test_a_small_yeast_by_hand(small):
    path = small / budding_yeast._LIBRARIES["diamide-2"]  # in another order: the same reads
    path.write_text(HEADER + "II\t 7\t-\t1\tTRUE\nI\t391\t+\t2\tTRUE\nI\t381\t+\t2\tFALSE\n")
    made = yeast()
    # YA begins at base 400; six libraries of two reads each at 380 and 390: the nearer.
    assert made.genes[["name", "atg", "tss", "reads"]].to_numpy().tolist() == [
        ["YA", 400, 390, 24], ["YB", 399, -1, 0], ["YM", 0, -1, 0]
    ]  # fmt: skip
    # 2 reads on 100 bases, 3 and 5 on 50: 0.02, 0.06, 0.1; what is nuclear makes a million.
    assert made.expression["ypd"].tolist() == pytest.approx([250_000, 750_000, 1_250_000])
    read = made.bigwigs("stripe", "diamide").read(["chrI", "chrII"], [380, 6], 1)[..., 0]
    assert read.tolist() == [[12, 6, 0, 0], [0, 0, 3, 6]]


def test_what_is_damaged_is_made_again(small, monkeypatch):
    made = yeast()
    folder = made.fasta.parent
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    for content in (b"", b"{}", b"[]", b"\xff\0", whole["about.json"][:200],
                    b'{"version": 1, "files": {}}'):  # fmt: skip
        (folder / "about.json").write_bytes(content)
        assert not budding_yeast._is_sound(folder)
    for name, content in {
        "about.json": b"{}", "slic-1.plus.bw": whole["slic-1.plus.bw"][:-100], "genes.tsv": None
    }.items():  # fmt: skip
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        assert yeast().genes.equals(made.genes)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole, name
    (folder / "notes.txt").write_text("mine")  # what is not ours does not matter
    monkeypatch.setattr(budding_yeast, "_make", lambda *_: pytest.fail("it was made again"))
    yeast()
    monkeypatch.setattr(budding_yeast, "_make", made_again := Mock())
    monkeypatch.setattr(budding_yeast, "_VERSION", 0)
    yeast()
    made_again.assert_called_once()


def test_what_is_sound_needs_no_lock_and_stays_until_all_sources_are_there(small, monkeypatch):
    folder = yeast().fasta.parent
    about = (folder / "about.json").read_bytes()
    monkeypatch.setattr(budding_yeast, "_VERSION", 2)
    (small / "CAGE_TSSset-2.txt").rename(small / "away")
    with pytest.raises(MissingFile, match=r"CAGE_TSSset-2\.txt"):
        yeast()
    assert (folder / "about.json").read_bytes() == about
    locked = PermissionError(13, "Permission denied", str(folder / ".lock"))
    monkeypatch.setattr(budding_yeast, "FileLock", Mock(side_effect=locked))
    message = refusal(yeast, OSError)
    assert str(folder) in message
    assert "Permission denied" in message
    assert "TSSBOOK_CACHE" in message
    monkeypatch.setattr(budding_yeast, "_VERSION", 1)
    assert len(yeast().genes) == 3  # read-only, as in a class-room


HEADER = "seq\tTSS\tstrand\tnTAGs\tisreal\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no table of start sites (No columns"),
        (HEADER.replace("TSS", "x"), "is no table of start sites (Usecols do not match"),
        ("seq TSS\nI 1 2 3\n" * 2, "is no table of start sites ("),
        (HEADER + "chrI\t5\t+\t1\tTRUE\n", "seq chrI, TSS 5"),
        (HEADER + "I\t5\t.\t1\tTRUE\n", "strand .,"),
        (HEADER + "I\t0\t+\t1\tTRUE\n", "TSS 0"),
        (HEADER + "I\t-5\t+\t1\tTRUE\n", "TSS -5"),
        (HEADER + "I\t901\t+\t1\tTRUE\n", "TSS 901"),
        (HEADER + "I\tx\t+\t1\tTRUE\n", "TSS x"),
        (HEADER + "I\t5.5\t+\t1\tTRUE\n", "TSS 5.5"),
        (HEADER + "I\t5\t+\t0\tTRUE\n", "nTAGs 0"),
        (HEADER + "I\t5\t+\t1\tTRUE\nI\t5\t+\t2\tTRUE\n", "nTAGs 2"),
        (HEADER + "I\t382\t+\t2\tTRUE\nII\t7\t-\t1\tTRUE\n", "has other reads than diamide-2"),
        (HEADER + "I\t381\t+\t1\tTRUE\nII\t7\t-\t2\tTRUE\n", "has other reads than diamide-2"),
        ("<!DOCTYPE html><html>Log in</html>", "an HTML page"),
    ],
)
def test_another_table_is_refused(small, text, said):
    path = small / budding_yeast._LIBRARIES["diamide-2"]
    path.write_text(text)
    message = refusal(yeast, ChecksumError)
    assert said in message
    assert str(path) in message
    assert re.search("delete (it|the file) and (get it|call) again", message)


def test_another_genome_is_refused(small, monkeypatch):
    monkeypatch.setattr(budding_yeast, "_GENOME", "0" * 64)
    with pytest.raises(ChecksumError, match=r"toplevel.fa.gz gives a genome with the sha256"):
        yeast()


@pytest.mark.parametrize("name", ["diamide-1", "diamide-2", "diamide-3"])
def test_tables_and_bigwigs_of_diamide_have_one_digest(found, mirror, tmp_path, name):
    fasta, paths = Fasta(found.fasta), found.tracks[name]
    table = budding_yeast._from_bigwigs(list(paths), fasta)
    names = {ucsc: short for short, ucsc in budding_yeast._UCSC.items()}
    table = table.assign(seq=table["chrom"].map(names), TSS=table["tss"] + 1, nTAGs=table["reads"])
    columns = ["seq", "TSS", "strand", "nTAGs"]
    table.sample(frac=1, random_state=0)[columns].to_csv(tmp_path / "x", sep="\t", index=False)
    assert len(budding_yeast._library(name, [tmp_path / "x"], fasta)) == len(table)


def test_ensembls_file_gives_the_same_genome(found, tmp_path):
    """Plain gzip, Roman numbers, other lines, lower case: what a reader downloads."""
    names = {ucsc: name for name, ucsc in budding_yeast._UCSC.items()}
    text = []
    for record in found.fasta.read_text().split(">")[1:]:
        name, letters = record.split()
        lines = [letters[i : i + 60] for i in range(0, len(letters), 60)]
        text.append(f">{names[name]} dna:chromosome\n" + "\n".join(lines).lower())
    source = tmp_path / "ensembl.fa.gz"
    source.write_bytes(gzip.compress("\n".join(text).encode(), 1))
    made = budding_yeast._make_genome(tmp_path / "sacCer3.fa", source)
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
    table = _from_table(path, {"chrI": 101, "chrM": 5})  # the last base of each
    assert table.to_dict("list") == {
        "chrom": ["chrI", "chrM"], "strand": ["+", "-"], "tss": [100, 4], "reads": [7, 1],
    }  # fmt: skip


def test_in_the_shadow_of_a_longer_gene():
    # The second lies within the first to 60 %, the third to 40 %; the fourth is elsewhere.
    genes = pd.DataFrame(
        {"chrom": ["a", "a", "a", "b"], "start": [0, 940, 960, 0], "end": [1000, 1040, 1060, 50]}
    )
    assert _shadowed(genes).tolist() == [False, True, False, False]
