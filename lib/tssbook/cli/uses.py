"""What the commands do with a trained model: windows around loci in, files out."""

from __future__ import annotations

import os
import tempfile
import warnings
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
_MUCH_N = 0.1  # of a window; a prediction from more than that is hardly one
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
        asked = _asked(model, func, counts=True)
        found = torch.cat([
            _answer(predict(model, windows.x(rows), func=asked.func, **how))
            for rows in windows.parts()
        ])  # fmt: skip
        found = found.reshape(len(found), -1)
        if asked.mirrored:
            minus = torch.from_numpy((windows.places["strand"] == "-").to_numpy())
            found[minus] = found[minus].flip(1)
        found = found if asked.only is None else found[:, asked.only : asked.only + 1]
        names = _columns(model, asked, found.shape[1])
        table = windows.places.assign(**dict(zip(names, found.T.numpy(), strict=True)))
        return {"table": write_table(out, table), "loci": len(table), **_left_out(windows)}

    def tracks(x: Tensor, _: np.ndarray) -> Tensor:
        output = predict(model, x, **how)
        if isinstance(output, tuple):
            return procapnet.to_reads(*output)
        return puffin.to_counts(output)[..., puffin.MARGIN : -puffin.MARGIN]

    return _as_bigwigs(windows, tracks, _Asked(None, mirrored=True), out, force)


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
    asked = _asked(windows.model, func)

    def effects(x: Tensor) -> Tensor:
        return _answer(ism(windows.model, x, asked.func, **how))

    if out.suffix == ".npy":
        if asked.only is None:
            return _as_array(windows, effects, out, force)
        return _as_array(windows, lambda x: effects(x)[..., asked.only], out, force)

    def losses(x: Tensor, _: np.ndarray) -> Tensor:
        found = filters.contributions(effects(x), x)  # (N, L) or (N, L, K)
        return found.reshape(*found.shape[:2], -1).transpose(1, 2)

    return _as_bigwigs(windows, losses, asked, out, force)


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
    own, other = _one_number(windows.model, func)

    def explained(x: Tensor, asked: Callable | str) -> Any:
        return attribute(windows.model, x, asked, seed=seed, n_shuffles=shuffles, **how)

    if out.suffix == ".npy":
        return _as_array(windows, lambda x: explained(x, own).hypothetical, out, force)

    def contributions(x: Tensor, minus: np.ndarray) -> Tensor:
        each = [
            explained(one, other if turned else own).contributions
            for one, turned in zip(x.split(1), minus, strict=True)
        ]
        return torch.cat(each).sum(1, keepdim=True)

    return _as_bigwigs(windows, contributions, _Asked(None), out, force)


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
    if isinstance(model, PromoterNet):
        raise ValueError(
            f"{name} is a PromoterNet, which reads the bases before a gene, along the gene, and a "
            "VCF says nothing of genes; wanted a model of what is around a position, such as a "
            "ProCapNet or a SimpleNet."
        )
    length = None if model.trained_on.get("length") else _LENGTHS.get(type(model).__name__)
    asked = None if func is None and isinstance(model, ProCapNet) else _named(model, func)
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
    share = [
        (genome.sequences(fasta, places.iloc[i : i + _ROWS]) > 3).mean(1)
        for i in range(0, len(places), _ROWS)
    ]
    places = places.assign(share_n=np.concatenate(share).round(3))
    if n_much := int((places["share_n"] > _MUCH_N).sum()):
        warnings.warn(
            f"{n_much} of {len(places)} windows have more than {_MUCH_N:.0%} N, or lie so far "
            "outside their chromosomes; see share_n, and do not trust what is said of these.",
            stacklevel=2,
        )
    return _Windows(model, fasta, places.reset_index(drop=True), lost)


def _left_out(windows: _Windows) -> dict[str, Any]:
    return {"left_out": windows.lost.to_dict("records")} if len(windows.lost) else {}


# --- what is asked ------------------------------------------------------------------------------


class _Asked(NamedTuple):
    """What is asked of a model.

    Attributes
    ----------
    func : callable or None
        Of :mod:`tssbook.interpret.funcs`.
    mirrored : bool
        It gives a number for each track, in mirror order along the gene: of a gene on the - strand
        the first is that of the genome's last track.
    only : int or None
        The one track, of the genome, that is wanted.
    """

    func: Callable | None
    mirrored: bool = False
    only: int | None = None


def _asked(model: nn.Module, name: str | None, *, counts: bool = False) -> _Asked:
    """Say what a name on the command line asks: a func, or a track of the genome."""
    tracks = _tracks(model)
    if name in tracks:
        return _Asked(_counts if counts else funcs.totals, True, tracks.index(name))
    func = _counts if counts and name is None and tracks else _named(model, name)
    return _Asked(func, func in (_counts, funcs.totals, funcs.strands))


def _named(model: nn.Module, name: str | None) -> Callable:
    tracks = _tracks(model)
    if name in tracks:
        return total(name)
    if name is not None and name not in funcs.NAMED:
        raise ValueError(
            f"--func is {name!r}; wanted one of {', '.join([*funcs.NAMED, *tracks])}"
            f"{', or profile for attribute' if isinstance(model, ProCapNet) else ''}."
        )
    return funcs.usual(model) if name is None else funcs.NAMED[name]


def _one_number(model: nn.Module, name: str | None) -> tuple[Callable | str, Callable | str]:
    """Return what `attribute` explains, of genes on the + and on the - strand of the genome."""
    if name == "profile" and isinstance(model, ProCapNet):
        return name, name
    tracks = _tracks(model)
    if name in tracks:
        return total(name), total(tracks[len(tracks) - 1 - tracks.index(name)])
    func = _named(model, name)
    if func is funcs.strands or (func is funcs.totals and len(tracks) > 1):
        wanted = [f'--func "{track}"' for track in tracks] or ["--func count", "--func profile"]
        raise ValueError(f"attribute explains one number; wanted {' or '.join(wanted)}.")
    return func, func


def _tracks(model: nn.Module) -> list[str]:
    """Names of the tracks of a network of Chapter 3; of others there are none."""
    if not isinstance(model, SimpleNet | Puffin):
        return []
    return funcs.track_names(model, len(model.deconv.weight))


def _counts(model: nn.Module, x: Tensor) -> Tensor:
    """Add up the reads of each track over the central positions."""
    return puffin.to_counts(model(x))[..., puffin.MARGIN : -puffin.MARGIN].sum(-1)


def _answer(found: Tensor | tuple[Tensor, ...]) -> Tensor:
    if isinstance(found, tuple):
        raise ValueError("The model has two outputs; wanted --func count or --func strands.")
    return found


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
                array = _on_disk(beside, (len(windows.places), *part.shape[1:]))
            array[rows] = part
        array.flush()
    write_table(table, windows.places)
    return {"array": out, "shape": list(array.shape), "loci": table, **_left_out(windows)}


def _as_bigwigs(
    windows: _Windows, make: Callable[..., Tensor], asked: _Asked, out: Path, force: bool
) -> dict[str, Any]:
    """Write tracks of each window along the genome's + strand, by way of a file beside them."""
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        tracks = None
        for rows in windows.parts():
            minus = (windows.places["strand"].iloc[rows] == "-").to_numpy()
            part = make(windows.x(rows), minus).numpy()
            part[minus] = part[minus][:, :: -1 if asked.mirrored else 1, ::-1]
            names = _names(windows.model, out, part.shape[1], asked)
            if asked.only is not None:
                part, names = part[:, asked.only : asked.only + 1], [out]
            if tracks is None:
                for path in names:
                    require_new(path, force)
                shape = (len(windows.places), *part.shape[1:])
                tracks = _on_disk(Path(folder) / "tracks.npy", shape)
            tracks[rows] = part
        places = windows.places.assign(strand="+")
        write_bigwigs(names, tracks, places, windows.fasta.lengths)
        del tracks
    return {"bigwigs": names, "loci": len(windows.places), **_left_out(windows)}


def _on_disk(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Make an array on disk; a disk that is full is said here, and not by a signal later."""
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            raise OSError(
                f"{path.parent.resolve()} has no room for {array.nbytes / 1e6:,.0f} MB "
                f"({error.strerror}); free some space or choose another folder."
            ) from error
    return array


def _names(model: nn.Module, out: Path, n: int, asked: _Asked) -> list[Path]:
    """Name a bigWig for each track: OUT.plus.bw and OUT.minus.bw, or by the tracks' names."""
    if n == 1:
        return [out]
    names = funcs.track_names(model, n) if asked.mirrored else map(str, range(n))
    if n == 2 and asked.mirrored and isinstance(model, ProCapNet):
        names = ["plus", "minus"]
    return [out.with_name(f"{out.stem}.{track.replace(' ', '_')}.bw") for track in names]


def _columns(model: nn.Module, asked: _Asked, n: int) -> list[str]:
    """Name the numbers of a table of predictions."""
    if asked.func is funcs.count and n == 1:
        return ["log_counts"]
    if asked.func is funcs.strands:
        return ["log_share_plus", "log_share_minus"]
    if asked.func is funcs.output:
        return ["prediction"] if n == 1 else [f"prediction_{number}" for number in range(n)]
    what = "counts" if asked.func is _counts else "totals"  # ln(1 + counts), added up
    tracks = _tracks(model)
    tracks = tracks if asked.only is None else [tracks[asked.only]]
    return [f"{what}_{track}" for track in tracks]
