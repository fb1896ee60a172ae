"""A simulation written as the files that real data come in.

So the path from files to arrays runs, and is tested, without a download.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tssbook.data.tracks import TRACKS
from tssbook.data.writing import new_bigwigs
from tssbook.sequence import reverse_complement_codes
from tssbook.simulator.simulation import SPACER, Simulation

__all__ = ["FILES", "write_files"]

FILES = tuple(
    f"{track[:-1].replace(' ', '_')}_{'plus' if track[-1] == '+' else 'minus'}.bw"
    for track in TRACKS
)  # names of the bigWig files, CAGE_plus.bw and so on, in the tracks' order
_GENE_LENGTH = 1500
_END_TSS = 900  # distance of the last TSS to the end, on chromosomes that end early
_ARTEFACT = 500  # reads per base
_LINE = 60


def write_files(simulation: Simulation, folder: str | Path) -> Path:
    """Write a simulation as the files that real data come in.

    * ``genome.fa`` with ``genome.fa.fai``: chromosomes, the loci on them with random letters
      between; repeats in lower case. Some chromosomes begin or end so near to a gene that its
      upstream window sticks out.
    * ``genes.bed``: BED6; on the + strand a gene starts at its TSS, on the - strand it ends one
      base after it.
    * ``tss.tsv``: chr, TSS (0-based), strand.
    * ``expression.tsv``: gene, expression. One gene in fifty is missing, five are unknown.
    * ten bigWigs (:data:`FILES`), where there are tracks: reads, never negative.
    * ``blacklist_plus.bed``, ``blacklist_minus.bed``: artefacts of CAGE, where its files hold 500
      reads per base more than ``simulation.tracks``.
    * ``unmappable.bed``: where reads are lost.

    Parameters
    ----------
    simulation
        What to write; one chromosome at a time is in memory.
    folder
        A new folder.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        The folder exists.
    OSError
        There is no room, or a file cannot be written; no folder is left.
    """
    folder = Path(folder)
    if folder.exists():
        raise _exists(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        part = Path(beside, "files")  # a folder of the usual mode; that around it is private
        part.mkdir()
        layout = _layout(simulation)
        artefacts = _inside(_artefacts(simulation), layout)
        _write_tables(simulation, layout, artefacts, part)
        _write_genome(simulation, layout, part)
        if simulation.tracks is not None:
            _write_bigwigs(simulation, layout, artefacts, part)
        try:
            part.rename(folder)
        except OSError as error:
            if not folder.exists():
                raise
            raise _exists(folder) from error  # made meanwhile, by another call
    return folder


def _exists(folder: Path) -> FileExistsError:
    return FileExistsError(f"{folder} exists; wanted the name of a new folder.")


def _layout(simulation: Simulation) -> dict[str, tuple[int, np.ndarray]]:
    """Per chromosome its length and its rows, in the order of chromosome numbers."""
    loci, length = simulation.loci, simulation.sequences.shape[1]
    layout = {}
    names = loci["chrom"].unique()
    for name in sorted(names, key=lambda n: int(n[3:]) if n[3:].isdigit() else 99):
        rows = np.nonzero(loci["chrom"] == name)[0]
        last, begins_early = loci.iloc[rows[-1]], loci["start"].iloc[rows[0]] < 0
        end = last["start"] + length + SPACER
        if begins_early and last["strand"] == "-":
            end = min(end, last["tss"] + _END_TSS)
        layout[name] = (int(end), rows)
    return layout


def _oriented(simulation: Simulation, row: int, array: np.ndarray) -> np.ndarray:
    """Turn an array along the gene (last axis) into one along the + strand."""
    return array if simulation.loci["strand"].iat[row] == "+" else array[..., ::-1]


def _artefacts(simulation: Simulation) -> pd.DataFrame:
    """Draw places on one strand where CAGE has reads that come from no start site."""
    n, length = simulation.sequences.shape
    rng = np.random.default_rng([simulation.seed, 1 << 31])
    rows = np.nonzero(rng.random(n) < 0.02)[0]
    left = rng.integers(SPACER, length - SPACER, len(rows))
    start = simulation.loci["start"].to_numpy()[rows] + left
    return pd.DataFrame(
        {
            "chrom": simulation.loci["chrom"].to_numpy()[rows],
            "start": start,
            "end": start + rng.integers(10, 31, len(rows)),
            "strand": np.where(rng.integers(0, 2, len(rows)) == 0, "+", "-"),
        }
    )


def _inside(intervals: pd.DataFrame, layout: dict) -> pd.DataFrame:
    """Cut intervals at the ends of their chromosomes."""
    ends = intervals["chrom"].map({name: end for name, (end, _) in layout.items()})
    cut = intervals.assign(
        start=intervals["start"].clip(lower=0), end=np.minimum(intervals["end"], ends)
    )
    return cut[cut["start"] < cut["end"]]


def _write_tables(
    simulation: Simulation, layout: dict, artefacts: pd.DataFrame, folder: Path
) -> None:
    loci = simulation.loci
    plus = loci["strand"] == "+"
    start = np.where(plus, loci["tss"], np.maximum(loci["tss"] + 1 - _GENE_LENGTH, 0))
    genes = pd.DataFrame(
        {
            "chrom": loci["chrom"], "start": start,
            "end": np.where(plus, loci["tss"] + _GENE_LENGTH, loci["tss"] + 1),
            "name": loci["gene"], "score": 0, "strand": loci["strand"],
        }
    )  # fmt: skip
    _bed(genes, folder / "genes.bed")
    tss = loci[["chrom", "tss", "strand"]].set_axis(["chr", "TSS", "strand"], axis=1)
    tss.to_csv(folder / "tss.tsv", sep="\t", index=False)
    expression = loci[["gene", "expression"]].drop(index=loci.index[7::50])
    unknown = pd.DataFrame({"gene": [f"X{i:06d}" for i in range(5)], "expression": 0.0})
    expression = pd.concat([expression, unknown], ignore_index=True)
    expression.to_csv(folder / "expression.tsv", sep="\t", index=False)
    for strand, name in (("+", "plus"), ("-", "minus")):
        on_strand = artefacts["strand"] == strand
        _bed(artefacts.loc[on_strand, ["chrom", "start", "end"]], folder / f"blacklist_{name}.bed")
    _bed(_inside(_unmappable(simulation), layout), folder / "unmappable.bed")


def _bed(table: pd.DataFrame, path: Path) -> None:
    table = table.sort_values(["chrom", "start"])
    table.to_csv(path, sep="\t", index=False, header=False)


def _unmappable(simulation: Simulation) -> pd.DataFrame:
    found = []
    for row in np.nonzero(~simulation.mappable.all(1))[0]:
        lost = ~_oriented(simulation, row, simulation.mappable[row])
        ends = np.nonzero(np.diff(np.concatenate([[0], lost.astype(np.int8), [0]])))[0]
        locus = simulation.loci.iloc[row]
        found += [(locus["chrom"], *pair) for pair in (ends + locus["start"]).reshape(-1, 2)]
    return pd.DataFrame(found, columns=["chrom", "start", "end"])


def _write_genome(simulation: Simulation, layout: dict, folder: Path) -> None:
    from pyfaidx import Faidx

    letters = np.frombuffer(b"ACGTNacgtn", np.uint8)
    with (folder / "genome.fa").open("w") as file:
        for number, (name, (end, rows)) in enumerate(layout.items()):
            rng = np.random.default_rng([simulation.seed, (1 << 31) + 1, number])
            chromosome = letters[rng.integers(0, 4, end)]
            for row, place, inside in _placed(simulation, rows, end):
                strand = simulation.loci["strand"].iat[row]
                code = simulation.sequences[row]
                code = code if strand == "+" else reverse_complement_codes(code)
                lower = ~_oriented(simulation, row, simulation.mappable[row])
                chromosome[place] = letters[code + np.uint8(5) * lower][inside]
            text = chromosome.tobytes().decode("ascii")
            lines = (text[left : left + _LINE] for left in range(0, end, _LINE))
            file.write(f">{name}\n")
            file.writelines(f"{line}\n" for line in lines)
    Faidx(str(folder / "genome.fa")).close()  # writes the index


def _placed(
    simulation: Simulation, rows: np.ndarray, end: int
) -> Iterator[tuple[int, slice, slice]]:
    """Yield each row, its place on the chromosome, and which part of it lies inside."""
    length = simulation.sequences.shape[1]
    for row in rows.tolist():
        start = int(simulation.loci["start"].iat[row])
        left, right = max(start, 0), min(start + length, end)
        yield row, slice(left, right), slice(left - start, right - start)


def _write_bigwigs(
    simulation: Simulation, layout: dict, artefacts: pd.DataFrame, folder: Path
) -> None:
    lengths = {name: end for name, (end, _) in layout.items()}
    bases = np.count_nonzero(simulation.tracks) + (artefacts["end"] - artefacts["start"]).sum()
    with new_bigwigs([folder / name for name in FILES], lengths, 3 * int(bases)) as files:
        for track, (file_name, file) in enumerate(zip(FILES, files, strict=True)):
            for name, (end, rows) in layout.items():
                reads = np.zeros(end)
                for row, place, inside in _placed(simulation, rows, end):
                    plus = simulation.loci["strand"].iat[row] == "+"
                    of_gene = simulation.tracks[row, track if plus else len(TRACKS) - 1 - track]
                    reads[place] = _oriented(simulation, row, of_gene)[inside]
                if file_name.startswith("CAGE"):
                    here = (artefacts["chrom"] == name) & (artefacts["strand"] == TRACKS[track][-1])
                    for bad in artefacts[here].itertuples():
                        reads[bad.start : bad.end] += _ARTEFACT
                at = np.nonzero(reads)[0]
                if len(at):
                    file.addEntries(name, at, values=reads[at], span=1)
