"""What variants do to a model's prediction: a VCF in, a table out (Chapter 4).

A network reads the window around each variant twice, with the reference allele and with the other
one. Where it predicts a profile and a count, three numbers say what has changed: the log of the
counts, the profile (as a Jensen-Shannon distance), and the strand with more initiation. Of any
other model the numbers change that it returns, or that a func asks about.

**Insertions and deletions.** Both windows have the same length and the same left end. The allele's
first base stands at index ``length // 2``; what follows the allele moves, and the window is filled
up from the genome at its right end, or cut there. An allele must fit into the window. So of
ALT ``A`` for REF ``ATC``, where the genome goes on with ``GG``, windows of 6 read ``...ATC`` and
``...AGG``. Equal variants that are written in two ways differ in what stands in the middle:
``bcftools norm`` writes all in one. (It is what tangermeme's ``deletion_effect`` and
``insertion_effect`` do with ``left=False``.)

**Profiles of two lengths.** The predicted positions are taken for the middle of the window, one a
base. Bases of both alleles are paired from the allele's first one on; those of the longer allele
that are left have no partner, and count as a probability of 0 in the other profile, as nothing
starts at a base that is not there. Behind the allele each base is paired with itself, wherever it
has moved to. What only one of the two windows predicts, at the right end, is left out, and what is
left of both adds up to 1. So a mere shift is a distance of 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from tssbook.data.fasta import Fasta
from tssbook.data.genome import padding
from tssbook.files import written_whole
from tssbook.interpret.funcs import (
    Func,
    probabilities,
    require_two_heads,
    track_names,
)
from tssbook.interpret.heads import asked
from tssbook.interpret.vcf import Variant, checked_variants
from tssbook.metrics import jsd
from tssbook.models.weights import bare
from tssbook.sequence import codes, one_hot_codes, require_positive
from tssbook.training.prediction import on_device, run

__all__ = ["score_variants"]

_LENGTH = 2114  # of a model that does not say what it was trained on
_CHECKED = 1024  # variants that are compared with the genome at a time


def score_variants(
    model: nn.Module,
    vcf: str | Path,
    fasta: Fasta | str | Path,
    out: str | Path | None = None,
    *,
    func: Func | str | None = None,
    length: int | None = None,
    batch_size: int = 16,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> pd.DataFrame | Path:
    """Predict what each variant of a VCF does around it (Chapter 4, section 10).

    The variant stands at index ``length // 2`` of its window on the + strand; neighbouring
    variants are not combined, and genotypes are not looked at. How insertions and deletions are
    read, the module's docstring says.

    Parameters
    ----------
    model
        Has two heads, as a `ProCapNet` has (see :mod:`tssbook.interpret.funcs`), or returns one
        number or a few for each sequence, as a `PromoterNet` does; of others ``func`` asks for
        some. It is used in evaluation mode; its mode and device are as before afterwards. On a
        CPU a `FastProCapNet` takes about half the time of a `ProCapNet`.
    vcf
        The variants, plain or compressed with gzip or bgzip, with or without a header. Each
        line has CHROM, POS, ID, REF and ALT, separated by tabs; further columns are not read.
        A line with several alternative alleles gives a row for each.
    fasta
        The genome: a path or an opened :class:`tssbook.data.fasta.Fasta`.
    out
        Where to write the table, tab-separated with a header. It is written beside and renamed
        when it is complete, and an older file of that name is replaced. None returns the table.
    func
        Which numbers of the output are compared, ``func(model, x) -> (N,)`` or ``(N, K)``, or a
        name such as ``"totals"``. None is what the model returns.
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
        ``position`` (counted from 1, as in the VCF), ``id``, ``ref``, ``alt`` (upper case); what
        has changed, below; and ``padded``, positions of the reference's window outside the
        chromosome, which the model reads as N.

        Of one number: ``delta``, alternative minus reference. Of several: ``delta_`` and their
        names (see :func:`tssbook.interpret.funcs.track_names`).

        Of two heads: ``delta_log_counts``, alternative minus reference, natural logarithm; and
        ``jsd``, the Jensen-Shannon distance of the profiles, between 0 and 0.833 (natural
        logarithm; NaN where no probability is left to compare). Both have names as above where
        each track has its own count. With two strands and one count also ``strand_before`` and
        ``strand_after``, the strand with more probability (+ where they are equal). Near a
        probability of one half it may change although hardly anything does: look at ``jsd`` as
        well.

    Raises
    ------
    FileNotFoundError
        A file or the folder of ``out`` is not there.
    TypeError
        Model or ``func`` return something else.
    ValueError
        The VCF has no variants, is damaged or incomplete, or holds a line with too few columns,
        an unknown chromosome, a position outside it, another reference allele than the genome, an
        allele that is not letters A, C, G and T, or one that leaves the window; the sentence names
        the line.
        Nothing has been predicted or written then. Or ``out`` cannot be written, the window is
        too short for the model or not what it was trained on, or a prediction is not finite.
    """
    length = _length(model, length)
    require_positive(length=length, batch_size=batch_size)
    vcf, fasta = Path(vcf), Fasta.of(fasta)
    if out is not None:
        _require_writable(Path(out), (vcf, fasta.path))
    n_variants = sum(map(len, checked_variants(vcf, fasta, length, _CHECKED)))
    if not n_variants:
        raise ValueError(f"{vcf} has no variants; wanted a VCF file.")
    with (
        torch.no_grad(),
        on_device(model, device, exact=True) as place,
        tqdm(total=n_variants, disable=not progress, unit="variant") as bar,
    ):
        model.eval()

        def tables() -> Iterator[pd.DataFrame]:
            for some in checked_variants(vcf, fasta, length, batch_size):
                yield _scored(model, func, some, fasta, length, place)
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


# --- predictions --------------------------------------------------------------------------------


def _scored(
    model: nn.Module,
    func: Func | str | None,
    some: list[Variant],
    fasta: Fasta,
    length: int,
    place: torch.device,
) -> pd.DataFrame:
    """Predict both alleles of some variants, and compare."""
    sites: dict[tuple[str, int], int] = {}  # alleles of one site share the reference's prediction
    row = [sites.setdefault((v.chrom, v.position), len(sites)) for v in some]
    chroms, positions = map(list, zip(*sites, strict=True))
    starts = np.array(positions) - length // 2
    around = pd.DataFrame({"chrom": chroms, "start": starts, "end": starts + length})
    more = max(0, *(len(v.ref) - len(v.alt) for v in some))  # a deletion lets come in from outside
    windows = fasta.codes(chroms, starts, length + more)  # (sites, length + more)
    changed = np.stack([_changed(windows[r], v, length) for r, v in zip(row, some, strict=True)])
    before = [part[row] for part in _predicted(model, func, windows[:, :length], place)]
    after = _predicted(model, func, changed, place)
    columns = {
        "chrom": [v.chrom for v in some],
        "position": [v.position + 1 for v in some],
        "id": [v.name for v in some],
        "ref": [v.ref for v in some],
        "alt": [v.alt for v in some],
    }
    name = "delta" if len(after) == 1 else "delta_log_counts"
    columns |= _named(name, after[-1] - before[-1], model)
    if len(after) == 2:
        columns |= _profiles(before[0], after[0], some, length, after[1].shape[1], model)
    return pd.DataFrame(columns | {"padded": padding(fasta, around)[row]})


def _changed(window: np.ndarray, variant: Variant, length: int) -> np.ndarray:
    """Put the alternative allele into a window, whose left end stays."""
    left, right = window[: length // 2], window[length // 2 + len(variant.ref) :]
    return np.concatenate([left, codes(variant.alt), right])[:length]


def _predicted(
    model: nn.Module, func: Func | str | None, windows: np.ndarray, place: torch.device
) -> tuple[Tensor, ...]:
    """Return numbers ``(N, K)``, for two heads after ``(N, T, L_out)``; float64 on the CPU."""
    x = one_hot_codes(windows).to(place)
    outputs = run(model, x, place) if func is None else asked(model, func)(x)
    if isinstance(outputs, tuple) or outputs.ndim > 2:
        profile, counts = require_two_heads(outputs, len(x))
        outputs = probabilities(profile.cpu().double(), counts), counts
    else:
        outputs = (outputs.reshape(len(x), -1),)
    outputs = tuple(part.cpu().double() for part in outputs)
    if not all(part.isfinite().all() for part in outputs):
        raise ValueError("The model predicts NaN or infinity: its weights are not sound.")
    return outputs


def _named(name: str, values: Tensor, model: nn.Module) -> dict[str, np.ndarray]:
    """Return the columns of a table ``(N, K)``: under one name, or with the K names behind it."""
    n = values.shape[1]
    names = [name] if n == 1 else [f"{name}_{track}" for track in track_names(model, n)]
    return dict(zip(names, values.numpy().T, strict=True))


def _profiles(
    p: Tensor, q: Tensor, some: list[Variant], length: int, n_counts: int, model: nn.Module
) -> dict[str, np.ndarray]:
    """Compare profiles ``(N, T, L_out)`` of both alleles, which may have other lengths."""
    offset = (length - p.shape[-1]) // 2
    ref, alt = torch.tensor([(len(v.ref), len(v.alt)) for v in some]).T
    place = length // 2 - offset + torch.minimum(ref, alt)  # behind the last base with a partner
    a, a_seen = _spread(p, place, (alt - ref).clamp(min=0))
    b, b_seen = _spread(q, place, (ref - alt).clamp(min=0))
    seen = (a_seen & b_seen)[:, None]
    one, other = ((part * seen).reshape(len(p), n_counts, -1) for part in (a, b))
    found = _named("jsd", jsd(one, other), model)
    if p.shape[1] == 2 and n_counts == 1:
        found |= {"strand_before": _strand(p), "strand_after": _strand(q)}
    return found


def _spread(profile: Tensor, place: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """Put ``gap`` zeros into each profile ``(N, T, L)`` at ``place``; what follows moves right.

    Returns
    -------
    tuple
        The profiles, and where they say something, ``(N, L)``: not at a position that would have
        to come from before the first one.
    """
    position = torch.arange(profile.shape[-1])
    behind = position >= place[:, None]
    source = position - behind * gap[:, None]
    zero = behind & (source < place[:, None])
    index = source.clamp(min=0)[:, None].expand_as(profile)
    return profile.gather(-1, index) * ~zero[:, None], zero | (source >= 0)


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
