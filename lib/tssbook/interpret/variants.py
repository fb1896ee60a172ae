"""What single-base variants do to transcription initiation: a VCF in, a table out (Chapter 4).

A network that predicts a profile and a count reads the window around each variant twice, with
the reference base and with the other one. Three numbers say what has changed: the log of the
counts, the profile (as a Jensen-Shannon distance), and the strand with more initiation.

The file is read twice, line by line. The first time nothing is predicted: every line is checked
against the genome, so a file with a fault is refused at once and not after an hour. The second
time one batch of variants is in memory. No package for VCF is needed: of each line the first five
columns count, which are plain text.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from tssbook.data.fasta import Fasta, known
from tssbook.data.genome import padding
from tssbook.data.tables import lines, whole_number
from tssbook.files import written_whole
from tssbook.metrics import jsd
from tssbook.models.procapnet import to_proba
from tssbook.sequence import ALPHABET, one_hot_codes
from tssbook.training.prediction import on_device

__all__ = ["score_variants"]

_CHECKED = 1024  # variants that are compared with the genome at a time
# The empty block at the end of every file of bgzip. Without it the file was cut between blocks,
# which gzip does not notice.
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


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
    length: int = 2114,
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
        counts as a natural logarithm, as :class:`tssbook.models.procapnet.ProCapNet` does. It is used in
        evaluation mode; its mode and device are as before afterwards. On a CPU a
        :class:`tssbook.models.procapnet_fast.FastProCapNet` of it takes about half the time.
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
        Bases of the window, what the model was trained on.
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
        anything but a change of one base A, C, G or T to another (an insertion, a deletion, a
        symbolic allele, ``*`` or ``.``); the sentence names the first such line, and says how many
        there are. Nothing has been predicted or written then. Or ``out`` cannot be written, the
        window is too short for the model, or a prediction is not finite.
    """
    if length < 1 or batch_size < 1:
        raise ValueError(f"length is {length}, batch_size {batch_size}; wanted 1 or more of both.")
    fasta = fasta if isinstance(fasta, Fasta) else Fasta(fasta)
    vcf = Path(vcf)
    n_variants = _checked(vcf, fasta)
    if out is not None:
        _require_writable(Path(out), (vcf, fasta.path))
    with torch.no_grad(), on_device(model, device) as place:
        model.eval()
        variants = tqdm(_variants(vcf), total=n_variants, disable=not progress, unit="variant")
        batches = _chunks(variants, batch_size)
        tables = (_scored(model, some, fasta, length, place) for some in batches)
        if out is None:
            return pd.concat(tables, ignore_index=True)
        return _write(tables, Path(out))


# --- the file -----------------------------------------------------------------------------------


def _variants(path: Path) -> Iterator[_Variant]:
    """Yield every alternative allele of a VCF, in the order of the file."""
    for number, line in lines(path):
        if line.startswith("#"):
            continue
        where, fields = f"Line {number} of {path}", line.split("\t", 5)
        if len(fields) < 5:
            raise ValueError(
                f"{where} has {len(fields)} columns; wanted at least 5, separated by tabs: "
                "CHROM, POS, ID, REF, ALT."
            )
        chrom, text, name, ref, alts = fields[:5]
        position = whole_number(text, "POS", where)
        if position < 1:
            raise ValueError(f"{where} has the POS {position}; wanted 1 or more.")
        for alt in alts.split(","):
            yield _Variant(number, chrom, position - 1, name, ref.upper(), alt.upper())


def _require_whole(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file; wanted one on disk, because it is read twice.")
    with path.open("rb") as file:
        head = file.read(14)
        file.seek(-min(len(_BGZF_END), path.stat().st_size), os.SEEK_END)
        if head[:4] + head[12:] == _BGZF_END[:4] + b"BC" and file.read() != _BGZF_END:
            raise ValueError(f"{path} is incomplete: its last block is missing. Get it again.")


def _chunks(variants: Iterable[_Variant], size: int) -> Iterator[list[_Variant]]:
    variants = iter(variants)
    while some := list(islice(variants, size)):
        yield some


# --- checks -------------------------------------------------------------------------------------


def _checked(vcf: Path, fasta: Fasta) -> int:
    """Return how many changes there are; refuse the file for its first fault.

    The sentence says how many changes have a fault of that kind: with a few they can be taken
    out, with most of them the genome is another one.
    """
    _require_whole(vcf)
    total, first, counts = 0, {}, Counter()
    for some in _chunks(_variants(vcf), _CHECKED):
        total += len(some)
        for kind, variant, sentence in _faults(some, fasta):
            first.setdefault(kind, f"Line {variant.line} of {vcf} {sentence}")
            counts[kind] += 1
    if not total:
        raise ValueError(f"{vcf} has no variants; wanted a VCF file.")
    for kind, sentence in first.items():
        raise ValueError(f"{sentence} This holds for {counts[kind]:,} of {total:,} changes.")
    return total


def _faults(some: list[_Variant], fasta: Fasta) -> Iterator[tuple[str, _Variant, str]]:
    """Yield kind, variant and sentence of each fault, in the order of the file."""
    inside = [0 <= v.position < fasta.lengths.get(v.chrom, 0) for v in some]
    there = [v for v, is_inside in zip(some, inside, strict=True) if is_inside]
    bases = fasta.codes([v.chrom for v in there], [v.position for v in there], 1)
    found = dict(zip(there, ("ACGTN"[code] for code in bases[:, 0]), strict=True))
    for v in some:
        place = f"{v.chrom}:{v.position + 1}"
        if what := _no_substitution(v.ref, v.alt):
            sentence = (
                f"has REF {v.ref!r} and ALT {v.alt!r}, {what}; wanted a change of one base A, C, G "
                "or T to another: 'bcftools norm -m -' and then 'bcftools view -v snps' keep those."
            )
            yield "allele", v, sentence
        elif v.chrom not in fasta.lengths:
            names = known(v.chrom, fasta.lengths)
            yield "chrom", v, f"is on {v.chrom!r}, which {fasta.path} does not have: {names}."
        elif v not in found:
            sentence = f"is at {place}, and {v.chrom} has {fasta.length(v.chrom):,} bp in "
            yield "end", v, f"{sentence}{fasta.path}; wanted both of one assembly."
        elif found[v] != v.ref:
            sentence = (
                f"has REF {v.ref!r} at {place} where {fasta.path} has {found[v]!r}; wanted both of "
                "one assembly, and positions counted from 1: 'bcftools norm -c x -f FASTA' leaves "
                "out what disagrees."
            )
            yield "reference", v, sentence


def _no_substitution(ref: str, alt: str) -> str | None:
    """Say what a change is that is not one base for another."""
    if alt == ".":
        return "no change"
    if alt == "*":
        return "an allele that another deletion takes away"
    if set(alt) & set("<>[]."):
        return "a symbolic allele"
    if len(ref) != len(alt):
        return "an insertion or deletion"
    if len(ref) > 1:
        return "a change of several bases"
    if not {ref, alt} <= set(ALPHABET):
        return "not both of them known bases"
    return "the same base" if ref == alt else None


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
    weights = next(model.parameters(), None)
    dtype = weights.dtype if weights is not None else torch.float32
    output = model(one_hot_codes(codes).to(place, dtype))
    parts = output if isinstance(output, tuple) else (output,)
    shapes = [tuple(part.shape) if isinstance(part, Tensor) else () for part in parts]
    n = len(codes)
    if len(shapes) != 2 or shapes[1] != (n, 1) or (len(shapes[0]), *shapes[0][:2]) != (3, n, 2):
        raise TypeError(
            f"The model returns {shapes} for {n} sequences; wanted profile_logits (N, 2, L_out) "
            "and count_logits (N, 1), as a ProCapNet returns."
        )
    profile, count = (part.cpu().double() for part in parts)
    if not (profile.isfinite().all() and count.isfinite().all()):
        raise ValueError("The model predicts NaN or infinity: its weights are not sound.")
    return to_proba(profile), count[:, 0]


def _strand(p: Tensor) -> np.ndarray:
    plus, minus = p.sum(-1).T
    return np.where(plus >= minus, "+", "-")


# --- the table ----------------------------------------------------------------------------------


def _require_writable(out: Path, inputs: tuple[Path, ...]) -> None:
    """See now what would otherwise fail after all predictions."""
    if not out.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {out.parent} to write {out.name} to.")
    if out.is_dir():
        raise ValueError(f"{out} is a folder; wanted the name of a file.")
    if out.suffix in (".gz", ".bgz"):
        raise ValueError(f"{out} is named as a compressed file; wanted a name such as effects.tsv.")
    if out.exists() and any(out.samefile(path) for path in inputs):
        raise ValueError(f"{out} is a file to read from; wanted another name for the table.")


def _write(tables: Iterator[pd.DataFrame], out: Path) -> Path:
    """Write the tables as one."""
    with written_whole(out) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        for number, table in enumerate(tables):
            table.to_csv(file, sep="\t", index=False, header=not number, float_format="%.6g")
    return out
