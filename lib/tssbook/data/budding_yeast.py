"""Budding yeast: one whole genome with measured start sites and expression.

Two assays count the 5' ends of RNA at each base: STRIPE-seq, in rich medium (YPD) and after an
hour of oxidative stress (diamide), and SLIC-CAGE in rich medium. RNA-seq of the two conditions
says how much RNA each gene has. Everything is made here from the tables that the studies' authors
published, and checked.

Sources: genome and genes, SGD R64-1-1 (sacCer3) by way of Ensembl 96; STRIPE-seq and RNA-seq,
Policastro et al., Genome Research 30, 910 (2020), GEO GSE142524; SLIC-CAGE, Cvetesic et al.,
Genome Research 28, 1943 (2018), counted again by the authors of STRIPE-seq.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from tssbook.data.annotation import read_gtf
from tssbook.data.bigwig import BigWigs
from tssbook.data.download import (
    ChecksumError,
    MissingFile,
    cache_folder,
    fetch,
    on_this_machine,
)
from tssbook.data.fasta import Fasta
from tssbook.data.genome import locus_windows, read_windows
from tssbook.data.mappability import write_mappability
from tssbook.data.writing import new_bigwigs
from tssbook.files import sha256, write_whole

__all__ = ["Yeast", "yeast"]

_VERSION = 1  # goes up when the same sources give other files
_ROMAN = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI".split()  # noqa: SIM905
_UCSC = {name: f"chr{name}" for name in _ROMAN} | {"Mito": "chrM"}
_GENOME = "3f6dc437dc48f2dd788ccbabd4b9b80683157ae7bca9f3d4b1a8bfbe6b98185e"  # of sacCer3.fa
# Each library: its table. Those of diamide have no checksum of a file, as there are two forms of
# them: theirs is `_digest` of the reads.
_LIBRARIES = {
    "stripe-50ng-1": "YPD_TSSset-1.txt",
    "stripe-50ng-2": "YPD_TSSset-2.txt",
    "stripe-50ng-3": "YPD_TSSset-3.txt",
    "stripe-100ng-1": "YPD_TSSset-4.txt",
    "stripe-100ng-2": "YPD_TSSset-5.txt",
    "stripe-100ng-3": "YPD_TSSset-6.txt",
    "diamide-1": "diamide_TSSset-10.txt",
    "diamide-2": "diamide_TSSset-11.txt",
    "diamide-3": "diamide_TSSset-12.txt",
    "slic-1": "CAGE_TSSset-1.txt",
    "slic-2": "CAGE_TSSset-2.txt",
}
_DIGESTS = {
    "diamide-1": "49b2242dc8702373e5d9727422241bceecff7a474101da6362a206d7a2660e89",
    "diamide-2": "15f4d0be3811d5e7555af0eb822cb556a3233ca944f1706893088119fc1d81b4",
    "diamide-3": "c719f922ea17bf419db462d2b14ed4d6b9e99d39263dc8c2f260f6e61f7a5c08",
}
_SUMS = ("stripe-50ng", "stripe-100ng", "stripe", "diamide", "slic")
_AGAIN = "delete the file and call again"
_UPSTREAM, _WITHIN = 250, 50  # bases around the start codon in which a gene's start site is sought
_COUNTS = {f"ypd-{i}": f"RNASEQ00{i}_S288C_untreated_r1" for i in (1, 2, 3)} | {
    f"diamide-{i}": f"RNASEQ00{i + 6}_S288C_diamide_r2" for i in (1, 2, 3)
}


class Yeast(NamedTuple):
    """The genome of yeast, and what was measured on it.

    Attributes
    ----------
    fasta : Path
        17 chromosomes, ``chrI`` to ``chrXVI`` and ``chrM``, 12,157,105 bp.
    mappability : Path
        A bigWig for `read_peaks`: 1 where reads of 50 bases can be placed, exactly.
    genes : pandas.DataFrame
        6,600 protein-coding genes: ``chrom``, ``start``, ``end`` (0-based, half-open, from the
        first base of the start codon to the last of the stop codon; a few are some bases off),
        ``name`` (systematic, such as YFL039C), ``strand``,
        ``symbol`` (such as ACT1; the name, where the annotation has none),
        ``atg`` (0-based place of the A), ``shadowed`` (more than half of it lies within a longer
        gene, on either strand), ``tss`` (0-based place of the base with most STRIPE-seq reads in
        YPD, from 250 bp upstream of the ATG to 49 behind it, the one nearer to the gene of equals;
        -1 where there is no read), ``reads`` (STRIPE-seq reads there, in YPD).
    expression : pandas.DataFrame
        ``gene``, reads of six RNA-seq libraries (``ypd-1`` ... ``diamide-3``; perhaps technical
        replicates), ``exons`` (bp), ``ypd`` and ``diamide``: mean TPM, without chrM.
    tracks : dict of str to tuple of Path
        Per library, such as ``"stripe-50ng-1"``, ``"diamide-3"``, ``"slic-2"``, and per sum of
        them, ``"stripe-50ng"``, ``"stripe-100ng"``, ``"stripe"`` (all six in YPD), ``"diamide"``,
        ``"slic"``, two bigWigs: 5' ends of reads on the + and on the - strand, raw counts.
    """

    fasta: Path
    mappability: Path
    genes: pd.DataFrame
    expression: pd.DataFrame
    tracks: dict[str, tuple[Path, Path]]

    def bigwigs(self, *names: str) -> BigWigs:
        """Open tracks, both strands of each, in mirror order: ``NAME+`` ... ``NAME-``.

        Raises
        ------
        ValueError
            There is no such track.
        """
        for name in names:
            if name not in self.tracks:
                raise ValueError(f"There is no track {name!r}: choose of {', '.join(self.tracks)}.")
        return BigWigs(
            {f"{n}{sign}": p for n in names for sign, p in zip("+-", self.tracks[n], strict=True)}
        )


def yeast(*, progress: bool = False) -> Yeast:
    """Get the yeast data set, making it from its sources when it is not there yet.

    39 MB are downloaded, or read where they lie in the mirror folder; what is made (`Yeast`) takes
    about 56 MB of ``yeast-built`` in the data folder, and half a minute. Later calls compare the
    checksums of what was made, and make it again where one differs; for them the folder may be
    read-only, as in a classroom.

    Parameters
    ----------
    progress
        Show progress bars while downloading.

    Returns
    -------
    Yeast
        Paths of genome, mask and tracks, and two tables.

    Raises
    ------
    MissingFile
        A source cannot be had now; the message says which, where to get it and where to put it.
    ChecksumError
        A source is not what it should be.
    OSError
        The data set cannot be written.
    """
    folder = cache_folder() / "yeast-built"
    if _is_sound(folder):
        return _opened(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not _is_sound(folder):  # another process may have made it while this one waited
                _make(folder, progress)
            return _opened(folder)
    except (MissingFile, ChecksumError):
        raise
    except OSError as error:
        raise OSError(
            f"The yeast data set cannot be made in {folder} ({error}): mend that, or name another "
            "folder by TSSBOOK_CACHE."
        ) from error


def _opened(folder: Path) -> Yeast:
    tables = [pd.read_csv(folder / f"{name}.tsv", sep="\t") for name in ("genes", "expression")]
    tracks = {name: _pair(folder, name) for name in (*_LIBRARIES, *_SUMS)}
    return Yeast(folder / "sacCer3.fa", folder / "mappability-50.bw", *tables, tracks)


def _is_sound(folder: Path) -> bool:
    try:
        return json.loads((folder / "about.json").read_bytes()) == _about(folder)
    except (OSError, ValueError):  # a file is missing, or about.json damaged
        return False


def _about(folder: Path) -> dict[str, object]:
    """Say of what version the data set is, and the sha256 of each of its files."""
    tracks = [path.name for name in (*_LIBRARIES, *_SUMS) for path in _pair(folder, name)]
    names = ["sacCer3.fa", "sacCer3.fa.fai", "mappability-50.bw", *tracks]
    names += ["genes.tsv", "expression.tsv"]
    return {"version": _VERSION, "files": {name: sha256(folder / name) for name in names}}


def _sources() -> dict[str, list[str]]:
    """Name what to fetch; a mirror may have the genome and diamide in another form."""
    named, original = "yeast/yeast_sacCer3.fa.gz", "yeast/original/Saccharomyces_cerevisiae.R64-1-1"
    sources = {
        "genome": [named if on_this_machine(named) else f"{original}.dna.toplevel.fa.gz"],
        "annotation": [f"{original}.96.gtf.gz"],
        "counts": ["yeast/original/cleaned_yeast_feature_counts.tsv"],
    }
    for name, table in _LIBRARIES.items():
        beginning = f"yeast/yeast_stripe_{name.replace('-', '_rep')}"
        converted = [f"{beginning}_{strand}.bw" for strand in ("plus", "minus")]
        is_here = name in _DIGESTS and all(map(on_this_machine, converted))
        sources[name] = converted if is_here else [f"yeast/original/{table}"]
    return sources


def _make(folder: Path, progress: bool) -> None:
    sources = {
        what: [fetch(name, progress=progress) for name in names]
        for what, names in _sources().items()
    }
    (folder / "about.json").unlink(missing_ok=True)
    fasta = _make_genome(folder / "sacCer3.fa", *sources["genome"])
    write_mappability(folder / "mappability-50.bw", fasta, 50)
    tables = {name: _library(name, sources[name], fasta) for name in _LIBRARIES}
    for name in _SUMS:
        parts = [tables[library] for library in _LIBRARIES if library.startswith(name)]
        tables[name] = pd.concat(parts).groupby(["chrom", "strand", "tss"])["reads"].sum()
        tables[name] = tables[name].reset_index()
    for name, table in tables.items():
        for strand, path in zip("+-", _pair(folder, name), strict=True):
            _write_counts(path, table[table["strand"] == strand], fasta.lengths)
    annotation = sources["annotation"][0]
    genes = _with_start_sites(_genes(annotation), fasta, _pair(folder, "stripe"))
    made = {"genes": genes, "expression": _expression(annotation, *sources["counts"], genes)}
    write_whole(
        {folder / f"{k}.tsv": t.to_csv(sep="\t", index=False).encode() for k, t in made.items()}
    )
    write_whole({folder / "about.json": json.dumps(_about(folder), indent=1).encode()})


def _make_genome(path: Path, source: Path) -> Fasta:
    """Write the genome with UCSC's names of chromosomes, from Ensembl's file or UCSC's."""
    chromosomes: dict[str, list[bytes]] = {}
    with gzip.open(source) as file:
        for line in file:
            if line.startswith(b">"):
                name = line[1:].split()[0].decode()
                here = chromosomes.setdefault(_UCSC.get(name, name), [])
            else:
                here.append(line.strip().upper())
    letters = {name: b"".join(chromosomes.get(name, ())) for name in _UCSC.values()}
    text = b"".join(b">%s\n%s\n" % (name.encode(), s) for name, s in letters.items())
    write_whole({path: text})
    if (found := sha256(path)) != _GENOME:
        raise ChecksumError(
            f"{source} gives a genome with the sha256 {found}; wanted {_GENOME}, R64-1-1: {_AGAIN}."
        )
    path.with_name(f"{path.name}.fai").unlink(missing_ok=True)  # of what stood here before
    return Fasta(path)


def _pair(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.plus.bw", folder / f"{name}.minus.bw"


def _library(name: str, sources: list[Path], fasta: Fasta) -> pd.DataFrame:
    """Read where reads begin: ``chrom``, ``strand``, ``tss`` (0-based), ``reads``."""
    if len(sources) == 2:
        table = _from_bigwigs(sources, fasta)
    else:
        table = _from_table(sources[0], fasta.lengths)
    if _DIGESTS.get(name) not in (None, _digest(table)):
        raise ChecksumError(
            f"{sources[0]} has other reads than {name} had when this was written: {_AGAIN}."
        )
    return table


def _digest(table: pd.DataFrame) -> str:
    """Sha256 of the reads at each place, in whatever order and form they came."""
    table = table.sort_values(["chrom", "strand", "tss"])
    columns = ["chrom", "strand", "tss", "reads"]
    text = table.to_csv(columns=columns, index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _from_table(path: Path, lengths: Mapping[str, int]) -> pd.DataFrame:
    columns = ["seq", "TSS", "strand", "nTAGs"]
    try:
        table = pd.read_csv(path, sep=r"\s+", usecols=columns, dtype=str)
    except ValueError as error:  # no text, nothing in it, or other columns
        said = " ".join(str(error).split())
        raise ChecksumError(f"{path} is no table of start sites ({said}): {_AGAIN}.") from error
    chrom = table["seq"].map(_UCSC)
    tss, reads = (pd.to_numeric(table[name], errors="coerce") for name in ("TSS", "nTAGs"))
    right = (
        (tss.between(1, chrom.map(lengths)) & (tss % 1 == 0))  # not where there is no such seq
        & ((reads >= 1) & (reads % 1 == 0))
        & table["strand"].isin(["+", "-"])
        & ~table.duplicated(["seq", "TSS", "strand"])
    )
    if not right.all():
        row = table[~right].iloc[0]
        raise ChecksumError(
            f"{path} has the row {', '.join(f'{k} {v}' for k, v in row.items())}; wanted a "
            f"chromosome ({', '.join(_UCSC)}), a place on it, + or -, and reads, each place once: "
            f"{_AGAIN}."
        )
    tss, reads = tss.astype(np.int64) - 1, reads.astype(np.int64)  # they count from 1 there
    return pd.DataFrame({"chrom": chrom, "strand": table["strand"], "tss": tss, "reads": reads})


def _from_bigwigs(paths: list[Path], fasta: Fasta) -> pd.DataFrame:
    files, parts = BigWigs(paths), []
    for chrom, length in fasta.lengths.items():
        for strand, row in zip("+-", files.read([chrom], [0], length)[0], strict=True):
            tss = np.flatnonzero(row)
            reads = row[tss].astype(np.int64)
            parts.append(pd.DataFrame({"tss": tss, "reads": reads}).assign(
                chrom=chrom, strand=strand))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _write_counts(path: Path, table: pd.DataFrame, lengths: Mapping[str, int]) -> None:
    with new_bigwigs([path], lengths, 3 * len(table)) as (file,):
        for chrom in lengths:
            here = table[table["chrom"] == chrom].sort_values("tss")
            if len(here):
                starts, reads = here["tss"].tolist(), here["reads"].astype(float).tolist()
                ends = [start + 1 for start in starts]
                file.addEntries([chrom] * len(starts), starts, ends=ends, values=reads)


def _genes(annotation: Path) -> pd.DataFrame:
    genes = read_gtf(annotation)
    genes = genes[genes["type"] == "protein_coding"].reset_index(drop=True)
    genes = genes.assign(chrom=genes["chrom"].map(_UCSC), symbol=genes["name"], name=genes["id"])
    genes["atg"] = genes["start"].where(genes["strand"] == "+", genes["end"] - 1)
    genes["shadowed"] = _shadowed(genes)
    columns = ["chrom", "start", "end", "name", "strand", "symbol", "atg", "shadowed"]
    return genes[columns]


def _shadowed(genes: pd.DataFrame) -> np.ndarray:
    """Say of which genes more than half lies within a longer one."""
    shadowed = np.zeros(len(genes), dtype=bool)
    for rows in genes.groupby("chrom").indices.values():
        start, end = (genes[c].to_numpy()[rows] for c in ("start", "end"))
        length = end - start
        shared = np.minimum(end[:, None], end) - np.maximum(start[:, None], start)
        shadowed[rows] = ((2 * shared > length[:, None]) & (length > length[:, None])).any(1)
    return shadowed


def _with_start_sites(genes: pd.DataFrame, fasta: Fasta, tracks: tuple[Path, Path]) -> pd.DataFrame:
    """Add ``tss``, the base with most reads in front of each gene, and ``reads``."""
    files, atgs = BigWigs(tracks), genes[["chrom", "strand"]].assign(tss=genes["atg"])
    around, _ = locus_windows(fasta, files, atgs, 2 * _UPSTREAM)
    _, reads = read_windows(fasta, files, around)
    here = reads[:, 0, : _UPSTREAM + _WITHIN]  # along the gene, the A of the ATG at index 250
    nearest = here.shape[1] - 1 - here[:, ::-1].argmax(1) - _UPSTREAM
    total = here.sum(1).astype(int)
    tss = genes["atg"] + nearest * np.where(genes["strand"] == "+", 1, -1)
    return genes.assign(tss=tss.where(total > 0, -1), reads=total)


def _expression(annotation: Path, counted: Path, genes: pd.DataFrame) -> pd.DataFrame:
    exons = read_gtf(annotation, "exon")
    length = (exons["end"] - exons["start"]).groupby(exons["id"]).sum()
    counts = pd.read_csv(counted, sep="\t")
    counts = counts.set_index("Geneid")[list(_COUNTS.values())].set_axis(list(_COUNTS), axis=1)
    counts = counts.reindex(genes["name"])
    table = counts.assign(exons=length.reindex(genes["name"]))
    rates = counts.div(table["exons"], axis=0)
    nuclear = (genes["chrom"] != "chrM").to_numpy()
    tpm = rates / rates[nuclear].sum() * 1e6
    for condition in ("ypd", "diamide"):
        table[condition] = tpm.filter(like=condition).mean(axis=1)
    return table.rename_axis("gene").reset_index()
