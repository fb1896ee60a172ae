"""What the commands do with a trained model: windows around loci in, files out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tssbook.cli.console import require_new, require_output
from tssbook.cli.inputs import load_model, read_loci
from tssbook.data import Fasta, genome, write_bigwigs, write_table
from tssbook.data.assembly import on_genome
from tssbook.data.peaks import middles
from tssbook.files import written_whole
from tssbook.interpret import attribute, filters, funcs, ism, score_variants, total
from tssbook.models import (
    FastProCapNet,
    ProCapNet,
    PromoterNet,
    Puffin,
    SimpleNet,
    procapnet,
    puffin,
)
from tssbook.motifs import write_meme
from tssbook.sequence import one_hot_codes
from tssbook.training import predict

__all__ = ["attributed", "filter_motifs", "mutated", "predicted", "scored"]

_ROWS = 256  # loci in memory at a time
_EXPECTED = 0.01  # motifs of JASPAR that are as near by chance
_TABLES = (".tsv", ".parquet")
_STRANDED = (funcs.totals, funcs.strands)  # one number for each track, in mirror order
_LENGTHS = {"PromoterNet": 2000, "SimpleNet": 4650, "Puffin": 4650, "ProCapNet": 2114}


class _Windows(NamedTuple):
    """Windows of one model around loci, and what was left out."""

    model: nn.Module
    fasta: Fasta
    places: pd.DataFrame
    lost: pd.DataFrame

    def x(self, rows: slice) -> Tensor:
        """One-hot sequences of some windows, along each gene."""
        return one_hot_codes(genome.sequences(self.fasta, self.places.iloc[rows]))

    def parts(self) -> list[slice]:
        return [slice(i, i + _ROWS) for i in range(0, len(self.places), _ROWS)]


def predicted(
    name: str,
    fasta: Path,
    loci: Path,
    out: Path,
    func: str | None,
    *,
    force: bool,
    **how: Any,
) -> dict[str, Any]:
    """Predict around loci.

    ``out`` is a table (``.tsv``, ``.parquet``) of one number or a few for each locus, or ``.bw``,
    with the name of each track before the ending.
    """
    require_output(out, (*_TABLES, ".bw"), force=force)
    windows = _windows(name, fasta, loci)
    model, is_table = windows.model, out.suffix in _TABLES
    if not is_table and (func is not None or not isinstance(model, ProCapNet | SimpleNet | Puffin)):
        raise ValueError(
            f"--out is {out}, and one number or a few for each locus are asked; wanted a table, "
            f"{' or '.join(_TABLES)}."
        )
    if is_table:
        asked = _func(model, func)
        found = torch.cat([
            predict(model, windows.x(rows), func=asked, **how) for rows in windows.parts()
        ])  # fmt: skip
        found = found.reshape(len(found), -1)
        names = _columns(model, asked, found.shape[1])
        table = windows.places.assign(**dict(zip(names, found.T.numpy(), strict=True)))
        return {"table": write_table(out, table), "loci": len(table), **_left_out(windows)}

    def tracks(x: Tensor) -> Tensor:
        output = predict(model, x, **how)
        if isinstance(output, tuple):
            return procapnet.to_reads(*output)
        return puffin.to_counts(output)[..., puffin.MARGIN : -puffin.MARGIN]

    return _as_bigwigs(windows, tracks, out, force)


def mutated(
    name: str,
    fasta: Path,
    loci: Path,
    out: Path,
    func: str | None,
    *,
    force: bool,
    **how: Any,
) -> dict[str, Any]:
    """Change every base of every locus.

    ``out`` is ``.npy``: ``(N, 4, L, ...)``, with the loci as ``.loci.tsv`` beside it; or ``.bw``:
    the mean loss when a base becomes another one, a file for each number that is asked about.
    """
    require_output(out, (".npy", ".bw"), force=force)
    windows = _windows(name, fasta, loci)
    asked = _func(windows.model, func)

    def effects(x: Tensor) -> Tensor:
        return ism(windows.model, x, asked, **how)

    if out.suffix == ".npy":
        return _as_array(windows, effects, out, force)

    def losses(x: Tensor) -> Tensor:
        found = filters.contributions(effects(x), x)  # (N, L) or (N, L, K)
        return found.reshape(*found.shape[:2], -1).transpose(1, 2)

    return _as_bigwigs(windows, losses, out, force, stranded=asked in _STRANDED)


def attributed(
    name: str,
    fasta: Path,
    loci: Path,
    out: Path,
    func: str | None,
    *,
    shuffles: int,
    seed: int,
    force: bool,
    **how: Any,
) -> dict[str, Any]:
    """Share a prediction out among the bases.

    ``out`` is ``.npy``: hypothetical contributions ``(N, 4, L)``, with the loci as ``.loci.tsv``
    beside it; or ``.bw``: the contribution of each base.
    """
    require_output(out, (".npy", ".bw"), force=force)
    windows = _windows(name, fasta, loci)
    for rows in windows.parts():  # before hours of work
        places = windows.places.iloc[rows]
        genome.require_bases(genome.sequences(windows.fasta, places), places)
    asked = func if func == "profile" else _func(windows.model, func)

    def explained(x: Tensor) -> Any:
        return attribute(windows.model, x, asked, seed=seed, n_shuffles=shuffles, **how)

    if out.suffix == ".npy":
        return _as_array(windows, lambda x: explained(x).hypothetical, out, force)
    return _as_bigwigs(
        windows, lambda x: explained(x).contributions.sum(1, keepdim=True), out, force,
        stranded=False,
    )  # fmt: skip


def scored(
    name: str,
    vcf: Path,
    fasta: Path,
    out: Path,
    func: str | None,
    *,
    force: bool,
    **how: Any,
) -> dict[str, Any]:
    """Score the variants of a VCF into a table, ``.tsv``."""
    require_output(out, (".tsv",), force=force)
    model = load_model(name)
    length = None if model.trained_on.get("length") else _LENGTHS.get(type(model).__name__)
    asked = None if func is None and isinstance(model, ProCapNet) else _func(model, func)
    if isinstance(model, ProCapNet):
        model = FastProCapNet(model)
    score_variants(model, vcf, fasta, out, func=asked, length=length, **how)
    with out.open() as file:
        return {"table": out, "variants": sum(1 for _ in file) - 1}


def filter_motifs(
    name: str, fasta: Path, loci: Path, out: Path, n_sites: int, taxon: str, *, force: bool
) -> list[dict[str, Any]]:
    """Write motifs of the first layer in MEME's format; name those that JASPAR surely has."""
    require_output(out, (".meme",), force=force)
    windows = _windows(name, fasta, loci)
    model = windows.model
    first = next(part for part in model.modules() if isinstance(part, nn.Conv1d))
    both = isinstance(model, SimpleNet | Puffin)
    x = torch.cat([windows.x(rows) for rows in windows.parts()])
    found = filters.site_frequencies(first.weight, x, n_sites, both_strands=both)
    cores = {
        f"filter-{number}": filters.core(one)
        for number, one in enumerate(found)
        if not one.isnan().any()  # all its best sites have an N
    }
    rows = [
        {"filter": label, "width": core.shape[1], **_nearest(core, taxon)}
        for label, core in cores.items()
    ]
    write_meme(out, cores)
    return rows


def _nearest(motif: Tensor, taxon: str) -> dict[str, Any]:
    """Name JASPAR's nearest motif, where the motif is nearer than its columns in another order.

    Long motifs of one base composition are near to something in any order.
    """
    order = torch.from_numpy(np.random.default_rng(1).permutation(motif.shape[1]))
    found = filters.jaspar_names([motif, motif[:, order]], taxon)
    expected, by_chance = found["expected"]
    name = found["name"][0] if expected < min(_EXPECTED, by_chance / 100) else None
    return {"nearest": name, "expected": expected, "expected_shuffled": by_chance}


# --- windows ------------------------------------------------------------------------------------


def _windows(name: str, path: Path, loci: Path) -> _Windows:
    """Lay the windows that a model reads around loci; leave out what the genome does not have."""
    model, fasta, table = load_model(name), Fasta(path), read_loci(loci)
    kind = type(model).__name__
    length = model.trained_on.get("length") or _LENGTHS.get(kind)
    if length is None:
        raise ValueError(
            f"{name} is a {kind}, of which it is not known how many bases it reads; wanted a "
            f"checkpoint that says so, or one of {', '.join(_LENGTHS)}."
        )
    table = middles(table) if isinstance(model, ProCapNet) else table
    before = length if isinstance(model, PromoterNet) else length // 2
    places, lost = on_genome(fasta, genome.windows(table, before, length - before))
    places = places.assign(name=table["name"]) if "name" in table else places
    return _Windows(model, fasta, places.reset_index(drop=True), lost)


def _left_out(windows: _Windows) -> dict[str, Any]:
    return {"left_out": windows.lost.to_dict("records")} if len(windows.lost) else {}


# --- what is asked ------------------------------------------------------------------------------


def _func(model: nn.Module, name: str | None) -> Callable | None:
    """Return what a name on the command line asks: a func of `tssbook.interpret`, or a track."""
    if name is None:
        return funcs.usual(model)
    if name in funcs.NAMED:
        return funcs.NAMED[name]
    weight = getattr(getattr(model, "deconv", None), "weight", ())
    tracks = funcs.track_names(model, len(weight))
    if name not in tracks:
        raise ValueError(
            f"--func is {name!r}; wanted one of {', '.join([*funcs.NAMED, *tracks])}, or profile "
            "for attribute."
        )
    return total(name)


# --- files --------------------------------------------------------------------------------------


def _as_array(
    windows: _Windows, make: Callable[[Tensor], Tensor], out: Path, force: bool
) -> dict[str, Any]:
    """Write what is made of each window as one array, some windows at a time."""
    table = out.with_suffix(".loci.tsv")
    require_new(table, force)
    with written_whole(out) as beside:
        array = None
        for rows in windows.parts():
            part = make(windows.x(rows)).numpy()
            if array is None:
                shape = (len(windows.places), *part.shape[1:])
                array = np.lib.format.open_memmap(beside, "w+", part.dtype, shape)
            array[rows] = part
        array.flush()
    write_table(table, windows.places)
    return {"array": out, "shape": list(array.shape), "loci": table, **_left_out(windows)}


def _as_bigwigs(
    windows: _Windows,
    make: Callable[[Tensor], Tensor],
    out: Path,
    force: bool,
    *,
    stranded: bool = True,
) -> dict[str, Any]:
    """Write tracks of each window as bigWigs, by way of a file beside them."""
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        tracks = paths = None
        for rows in windows.parts():
            part = make(windows.x(rows)).numpy()
            if tracks is None:
                paths = _names(windows.model, out, part.shape[1], stranded)
                for path in paths:
                    require_new(path, force)
                shape = (len(windows.places), *part.shape[1:])
                file = Path(folder) / "tracks.npy"
                tracks = np.lib.format.open_memmap(file, "w+", np.float32, shape)
            if not stranded:  # along the + strand of the genome, and no track is another's mirror
                minus = (windows.places["strand"].iloc[rows] == "-").to_numpy()
                part[minus] = part[minus][..., ::-1]
            tracks[rows] = part
        places = windows.places if stranded else windows.places.assign(strand="+")
        write_bigwigs(paths, tracks, places, windows.fasta.lengths)
        del tracks
    return {"bigwigs": paths, "loci": len(windows.places), **_left_out(windows)}


def _names(model: nn.Module, out: Path, n: int, stranded: bool) -> list[Path]:
    """Name a bigWig for each track: OUT.plus.bw and OUT.minus.bw, or by the tracks' names."""
    if n == 1:
        return [out]
    names = funcs.track_names(model, n) if stranded else map(str, range(n))
    if n == 2 and stranded and isinstance(model, ProCapNet):
        names = ["plus", "minus"]
    return [out.with_name(f"{out.stem}.{track.replace(' ', '_')}.bw") for track in names]


def _columns(model: nn.Module, asked: Callable, n: int) -> list[str]:
    """Name the numbers of a table of predictions."""
    if asked is funcs.count and n == 1:
        return ["log_counts"]
    if asked is funcs.strands:
        return ["log_share_plus", "log_share_minus"]
    if n == 1:
        return ["prediction"]
    return [f"prediction_{track}" for track in funcs.track_names(model, n)]
