"""What the simulator writes is what it holds, read back by other programs' rules."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyBigWig
import pyfaidx
import pytest

from support import refusal
from tssbook.data.genome import sequences, windows
from tssbook.data.promoters import load_promoters
from tssbook.data.tables import read_bed, read_tss
from tssbook.data.tracks import TRACKS
from tssbook.sequence import codes
from tssbook.simulator import FILES, files, simulate, write_files

L = 4650


@pytest.fixture(scope="module")
def simulation():
    return simulate(260, seed=5)


@pytest.fixture(scope="module")
def folder(simulation, tmp_path_factory):
    return write_files(simulation, tmp_path_factory.mktemp("simulated") / "files")


@pytest.fixture(scope="module")
def genome(folder):
    return {record.name: str(record) for record in pyfaidx.Fasta(str(folder / "genome.fa"))}


def table(path, *names: str) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", names=names)


def inside(simulation, genome, row: int) -> tuple[str, slice, slice]:
    """Chromosome of a locus, its place there, and what part of it is on the chromosome."""
    locus = simulation.loci.iloc[row]
    start, end = int(locus["start"]), len(genome[locus["chrom"]])
    left, right = max(start, 0), min(start + L, end)
    return locus["chrom"], slice(left, right), slice(left - start, right - start)


def turned(simulation, row: int, array: np.ndarray) -> np.ndarray:
    return array if simulation.loci["strand"][row] == "+" else array[..., ::-1]


def test_the_folder_is_whole(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [
            *FILES, "blacklist_minus.bed", "blacklist_plus.bed", "expression.tsv", "genes.bed",
            "genome.fa", "genome.fa.fai", "tss.tsv", "unmappable.bed",
        ]
    )  # fmt: skip
    assert [path.name for path in folder.parent.iterdir()] == ["files"]
    assert FILES[:2] == ("CAGE_plus.bw", "ENCODE_CAGE_plus.bw")
    assert FILES[-1] == "CAGE_minus.bw"


def test_sequences_stand_on_the_chromosomes(simulation, genome):
    for row in range(260):
        chrom, place, part = inside(simulation, genome, row)
        written = codes(genome[chrom][place])
        code = simulation.sequences[row]
        if simulation.loci["strand"][row] == "-":
            code = 3 - code[::-1]
        assert np.array_equal(written, code[part])


def test_repeats_are_in_lower_case(simulation, genome, folder):
    lost = 0
    for row in np.nonzero(~simulation.mappable.all(1))[0]:
        chrom, place, part = inside(simulation, genome, row)
        lower = np.array([letter.islower() for letter in genome[chrom][place]])
        assert np.array_equal(lower, ~turned(simulation, row, simulation.mappable[row])[part])
        lost += lower.sum()
    unmappable = table(folder / "unmappable.bed", "chrom", "start", "end")
    assert (unmappable["end"] - unmappable["start"]).sum() == lost > 0
    for row in unmappable.itertuples():
        assert genome[row.chrom][row.start : row.end].islower()


def test_genes_point_at_their_start_sites(simulation, folder):
    genes = read_bed(folder / "genes.bed").set_index("name").loc[simulation.loci["gene"]]
    plus = genes["strand"] == "+"
    tss = np.where(plus, genes["start"], genes["end"] - 1)
    assert np.array_equal(tss, simulation.loci["tss"])
    assert (genes["start"] >= 0).all()
    listed = read_tss(folder / "tss.tsv")
    assert np.array_equal(listed["tss"], simulation.loci["tss"])
    assert (folder / "tss.tsv").read_text().startswith("chr\tTSS\tstrand\n")


def test_windows_read_from_the_files_are_the_loci(simulation, folder):
    around = windows(read_tss(folder / "tss.tsv"), 2325, 2325)
    read = sequences(folder / "genome.fa", around)
    known = read < 4
    assert np.array_equal(read[known], simulation.sequences[known])
    assert known.all(1).mean() > 0.95


def test_some_promoters_stick_out_of_their_chromosome(simulation, folder):
    made = load_promoters(
        folder / "genome.fa", folder / "genes.bed", folder / "expression.tsv", max_n=1
    )
    rows = simulation.loci.set_index("gene").index.get_indexer(made.genes["name"])
    upstream = simulation.sequences[rows, 325:2325]
    read = np.asarray(made.x).argmax(1)
    known = np.asarray(made.x).any(1)
    assert np.array_equal(read[known], upstream[known])
    padded = (~known).sum(1)
    assert (padded == 1100).sum() >= 1  # TSS at 900, so 1,100 of 2,000 bases are missing


def test_expression_has_something_to_report(simulation, folder):
    written = pd.read_csv(folder / "expression.tsv", sep="\t").set_index("gene")["expression"]
    truth = simulation.loci.set_index("gene")["expression"]
    assert len(truth.index.difference(written.index)) == 6  # genes 7, 57, ... 257 of 260
    assert len(written.index.difference(truth.index)) == 5
    both = written.index.intersection(truth.index)
    assert np.array_equal(written[both], truth[both])


def test_tracks_on_the_chromosomes(simulation, genome, folder):
    blacklist = pd.concat(
        table(folder / f"blacklist_{name}.bed", "chrom", "start", "end").assign(strand=strand)
        for strand, name in (("+", "plus"), ("-", "minus"))
    )
    assert len(blacklist)
    totals = np.zeros(10)
    for track, name in enumerate(FILES):
        with pyBigWig.open(str(folder / name)) as file:
            assert file.chroms() == {chrom: len(text) for chrom, text in genome.items()}
            chromosomes = {c: np.nan_to_num(file.values(c, 0, n, numpy=True))
                           for c, n in file.chroms().items()}  # fmt: skip
        for bad in blacklist[blacklist["strand"] == TRACKS[track][-1]].itertuples():
            if name.startswith("CAGE"):
                chromosomes[bad.chrom][bad.start : bad.end] -= 500
        totals[track] = sum(values.sum() for values in chromosomes.values())
        wanted = 0
        for row in range(260):
            chrom, place, part = inside(simulation, genome, row)
            # On the - strand of the genome a gene's + tracks are - tracks.
            own = track if simulation.loci["strand"][row] == "+" else 9 - track
            reads = turned(simulation, row, simulation.tracks[row, own])[part]
            assert np.array_equal(chromosomes[chrom][place], reads)
            wanted += reads.sum(dtype=int)
        assert totals[track] == wanted  # and nothing between the loci


def test_artefacts_are_within_the_loci(simulation, folder, genome):
    for name in ("plus", "minus"):
        blacklist = table(folder / f"blacklist_{name}.bed", "chrom", "start", "end")
        assert (blacklist["end"] - blacklist["start"]).between(10, 30).all()
        assert (blacklist["end"] < [len(genome[c]) for c in blacklist["chrom"]]).all()


def test_a_chromosome_that_ends_early(simulation, genome):
    loci = simulation.loci
    early = 0
    for chrom, rows in loci.groupby("chrom"):
        last = rows.iloc[-1]
        distance = len(genome[chrom]) - last["tss"]
        cut = rows["start"].iloc[0] < 0 and last["strand"] == "-"
        early += cut
        assert distance == (900 if cut else last["start"] + L + 350 - last["tss"])
    assert early >= 1


def test_without_reads_there_are_no_tracks(tmp_path):
    few = simulate(30, seed=1, length=2000, tracks=False)
    folder = write_files(few, tmp_path / "files")
    assert not list(folder.glob("*.bw"))
    assert (folder / "genome.fa").exists()


def test_of_two_calls_at_once_one_makes_the_folder(tmp_path, monkeypatch):
    few = simulate(3, seed=1, length=2000, tracks=False)
    write_genome, made = files._write_genome, []

    def meanwhile(*args):
        if not made:  # a second call begins and ends while the first one writes
            made.append(tmp_path / "files")
            write_files(few, made[0])
        write_genome(*args)

    monkeypatch.setattr(files, "_write_genome", meanwhile)
    message = refusal(lambda: write_files(few, tmp_path / "files"), FileExistsError)
    assert str(tmp_path / "files") in message
    assert "new folder" in message
    assert [path.name for path in tmp_path.iterdir()] == ["files"]
    again = write_files(few, tmp_path / "again")
    for path in made[0].iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_the_same_files_again(simulation, folder, tmp_path):
    again = write_files(simulation, tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
