"""What single-base variants do to transcription initiation: a VCF in, a table out (Chapter 4).

A network that predicts a profile and a count reads the window around each variant twice, with
the reference base and with the other one. Three numbers say what has changed: the log of the
counts, the profile (as a Jensen-Shannon distance), and the strand with more initiation.

The file is read twice, line by line. The first time nothing is predicted: every line is checked
against the genome, so a file with a fault is refused at once and not after an hour. The second
time one batch of variants is in memory. No package for VCF is needed: of each line the first five
columns count, which are plain text. (tangermeme's ``read_vcf`` wants nine columns, where files
without genotypes have eight, holds the whole file in memory, and loses the lines' numbers.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from tssbook.data.fasta import Fasta
from tssbook.data.genome import padding
from tssbook.data.tables import known, lines
from tssbook.files import written_whole
from tssbook.interpret.heads import two_heads
from tssbook.metrics import jsd
from tssbook.models.procapnet import to_proba
from tssbook.models.weights import bare
from tssbook.sequence import ALPHABET, one_hot_codes, require_positive
from tssbook.training.prediction import on_device

__all__ = ["score_variants"]

_LENGTH = 2114  # of a model that does not say what it was trained on
_CHECKED = 1024  # variants that are compared with the genome at a time


class _Variant(NamedTuple):
    """One alternative allele of one line."""

    line: int
    chrom: str
    position: int  # 0-based
    name: str
    ref: str
    alt: str


def score_variants(
    model: nn.Module,
    vcf: str | Path,
    fasta: Fasta | str | Path,
    out: str | Path | None = None,
    *,
    length: int | None = None,
    batch_size: int = 32,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> pd.DataFrame | Path:
    """Predict what each single-base variant of a VCF does around it (Chapter 4, section 10).

    The variant stands at index ``length // 2`` of its window on the + strand; neighbouring
    variants are not combined, and genotypes are not looked at.

    Parameters
    ----------
    model
        Returns ``(profile_logits (N, 2, L_out), count_logits (N, 1))``, the + strand first and
        counts as a natural logarithm, as a `ProCapNet` does. It is used in evaluation mode; its
        mode and device are as before afterwards. On a CPU a `FastProCapNet` of it takes about
        half the time.
    vcf
        The variants, plain or compressed with gzip or bgzip, with or without a header. Each
        line has CHROM, POS, ID, REF and ALT, separated by tabs; further columns are not read.
        A line with several alternative alleles gives a row for each.
    fasta
        The genome: a path or an opened :class:`tssbook.data.fasta.Fasta`.
    out
        Where to write the table, tab-separated with a header. It is written beside and renamed
        when it is complete, and an older file of that name is replaced. None returns the table.
    length
        Bases of the window. None takes the length that the model was trained on, or 2,114 where
        that is not known.
    batch_size
        Variants at a time. Memory grows with it (the published model needs about 20 MB for each),
        and not with the number of variants, but for the table where it is returned: 0.1 kB a row.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is.
    progress
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame or pathlib.Path
        The table, or ``out`` where it was written. In the order of the file: ``chrom``,
        ``position`` (counted from 1, as in the VCF), ``id``, ``ref``, ``alt`` (upper case);
        ``delta_log_counts``, alternative minus reference, natural logarithm; ``jsd``, the
        Jensen-Shannon distance of the profiles, each one softmax over both strands, between 0
        and 0.833 (natural logarithm); ``strand_before`` and ``strand_after``, the strand with
        more probability (+ where they are equal); ``padded``, positions of the window outside
        the chromosome, which the model reads as N. Near a probability of one half the strand
        may change although hardly anything does: look at ``jsd`` as well.

    Raises
    ------
    FileNotFoundError
        A file or the folder of ``out`` is not there.
    TypeError
        The model returns something else.
    ValueError
        The VCF has no variants, is damaged or incomplete, or holds a line with too few columns,
        an unknown chromosome, a position outside it, another reference base than the genome, or
        anything but a change of one base A, C, G or T to another; the sentence names the line.
        Nothing has been predicted or written then. Or ``out`` cannot be written, the window is
        too short for the model or not what it was trained on, or a prediction is not finite.
    """
    length = _length(model, length)
    require_positive(length=length, batch_size=batch_size)
    vcf, fasta = Path(vcf), Fasta.of(fasta)
    if out is not None:
        _require_writable(Path(out), (vcf, fasta.path))
    n_variants = sum(map(len, _checked(vcf, fasta, _CHECKED)))
    if not n_variants:
        raise ValueError(f"{vcf} has no variants; wanted a VCF file.")
    with (
        torch.no_grad(),
        on_device(model, device, exact=True) as place,
        tqdm(total=n_variants, disable=not progress, unit="variant") as bar,
    ):
        model.eval()

        def tables() -> Iterator[pd.DataFrame]:
            for some in _checked(vcf, fasta, batch_size):
                yield _scored(model, some, fasta, length, place)
                bar.update(len(some))

        if out is None:
            return pd.concat(tables(), ignore_index=True)
        with written_whole(Path(out)) as beside, beside.open("w", newline="") as file:
            for number, table in enumerate(tables()):
                table.to_csv(file, sep="\t", index=False, header=not number, float_format="%.6g")
        return Path(out)


def _length(model: nn.Module, length: int | None) -> int:
    """Return the length that a model was trained on; refuse another one."""
    trained = getattr(bare(model), "trained_on", {}).get("length")
    if length is not None and trained is not None and length != trained:
        raise ValueError(
            f"length is {length}, and the model was trained on sequences of {trained} bases, to "
            "which its counts belong; wanted the same (model.trained_on = {} forgets them)."
        )
    return (trained or _LENGTH) if length is None else length


# --- the file -----------------------------------------------------------------------------------


def _checked(vcf: Path, fasta: Fasta, size: int) -> Iterator[list[_Variant]]:
    """Yield some variants at a time, in the order of the file; refuse what the genome denies."""
    variants = _variants(vcf, fasta)
    while some := list(islice(variants, size)):
        codes = fasta.codes([v.chrom for v in some], [v.position for v in some], 1)
        for variant, code in zip(some, codes[:, 0], strict=True):
            if (base := "ACGTN"[code]) != variant.ref:
                raise ValueError(
                    f"Line {variant.line} of {vcf} has REF {variant.ref!r} at {variant.chrom}:"
                    f"{variant.position + 1} where {fasta.path} has {base!r}; wanted both of one "
                    "assembly, and positions counted from 1: 'bcftools norm -c x -f FASTA' leaves "
                    "out what disagrees."
                )
        yield some


def _variants(vcf: Path, fasta: Fasta) -> Iterator[_Variant]:
    """Yield every alternative allele of a VCF; refuse what is none that can be read."""
    if vcf.exists() and not vcf.is_file():
        raise ValueError(f"{vcf} is no file; wanted one on disk, because it is read twice.")
    for number, line in lines(vcf):
        if line.startswith("#"):
            continue
        where, fields = f"Line {number} of {vcf}", line.split("\t", 5)
        if len(fields) < 5:
            raise ValueError(
                f"{where} has {len(fields)} columns; wanted at least 5, separated by tabs: "
                "CHROM, POS, ID, REF, ALT."
            )
        chrom, position, name, ref, alts = fields[:5]
        if chrom not in fasta.lengths:
            names = known(chrom, fasta.lengths)
            raise ValueError(f"{where} is on {chrom!r}, which {fasta.path} does not have: {names}.")
        if not re.fullmatch(r"0*[1-9][0-9]{0,14}", position, re.ASCII):
            raise ValueError(
                f"{where} has the POS {position[:40]!r}; wanted a whole number above 0."
            )
        if int(position) > fasta.length(chrom):
            raise ValueError(
                f"{where} is at {chrom}:{position}, and {chrom} has {fasta.length(chrom):,} bp in "
                f"{fasta.path}; wanted both of one assembly."
            )
        for alt in alts.split(","):
            variant = _Variant(number, chrom, int(position) - 1, name, ref.upper(), alt.upper())
            if not {variant.ref, variant.alt} <= set(ALPHABET) or variant.ref == variant.alt:
                raise ValueError(
                    f"{where} has REF {ref!r} and ALT {alt!r}; wanted a change of one base A, C, G "
                    "or T to another, and no insertion, deletion, symbolic allele, IUPAC code or "
                    "'*': 'bcftools norm -m -', and then bcftools view -i "
                    '\'REF~"^[ACGTacgt]$" && ALT~"^[ACGTacgt]$"\', keep those.'
                )
            yield variant


# --- predictions --------------------------------------------------------------------------------


def _scored(
    model: nn.Module, some: list[_Variant], fasta: Fasta, length: int, place: torch.device
) -> pd.DataFrame:
    """Predict both alleles of some variants, and compare."""
    sites: dict[tuple[str, int], int] = {}  # alleles of one site share the reference's prediction
    row = [sites.setdefault((v.chrom, v.position), len(sites)) for v in some]
    chroms, positions = map(list, zip(*sites, strict=True))
    starts = np.array(positions) - length // 2
    around = pd.DataFrame({"chrom": chroms, "start": starts, "end": starts + length})
    codes = fasta.codes(chroms, starts, length)  # (sites, length)
    changed = codes[row]  # (variants, length)
    changed[:, length // 2] = [ALPHABET.index(v.alt) for v in some]
    (p, before), (q, after) = (_predicted(model, x, place) for x in (codes, changed))
    p, before = p[row], before[row]
    return pd.DataFrame(
        {
            "chrom": [v.chrom for v in some],
            "position": [v.position + 1 for v in some],
            "id": [v.name for v in some],
            "ref": [v.ref for v in some],
            "alt": [v.alt for v in some],
            "delta_log_counts": (after - before).numpy(),
            "jsd": jsd(p.flatten(1), q.flatten(1)).numpy(),
            "strand_before": _strand(p),
            "strand_after": _strand(q),
            "padded": padding(fasta, around)[row],
        }
    )


def _predicted(model: nn.Module, codes: np.ndarray, place: torch.device) -> tuple[Tensor, Tensor]:
    """Return probabilities ``(N, 2, L_out)`` and log counts ``(N,)``, in float64 on the CPU."""
    outputs = two_heads(model, one_hot_codes(codes).to(place))
    profile, count = (part.cpu().double() for part in outputs)
    if not (profile.isfinite().all() and count.isfinite().all()):
        raise ValueError("The model predicts NaN or infinity: its weights are not sound.")
    return to_proba(profile), count[:, 0]


def _strand(p: Tensor) -> np.ndarray:
    plus, minus = p.sum(-1).T
    return np.where(plus >= minus, "+", "-")


def _require_writable(out: Path, inputs: tuple[Path, ...]) -> None:
    """See now what would otherwise fail after all predictions."""
    if not out.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {out.parent} to write {out.name} to.")
    if out.is_dir() or out.suffix in (".gz", ".bgz"):
        raise ValueError(f"{out} is a folder or compressed; wanted a name such as effects.tsv.")
    if out.exists() and any(out.samefile(path) for path in inputs if path.exists()):
        raise ValueError(f"{out} is a file to read from; wanted another name for the table.")
