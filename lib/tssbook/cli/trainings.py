"""From a recipe to a trained model: the data, the network and the numbers of each task."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from tssbook import models
from tssbook.cli.console import Interrupted, require_new
from tssbook.cli.inputs import read_loci, require_files, track_files
from tssbook.cli.recipe import Recipe
from tssbook.data import (
    OUTPUT,
    Fasta,
    Split,
    Store,
    load_promoters,
    open_store,
    read_peaks,
    split_by_chromosome,
)
from tssbook.data.store import locked, unlock
from tssbook.metrics import bootstrap_interval, pearson_r
from tssbook.models import procapnet, promoter, puffin, save
from tssbook.sequence import one_hot_codes, require_positive
from tssbook.training import (
    Batches,
    TrackBatches,
    WindowBatches,
    fit,
    flip_half,
    predict,
    resolve_device,
)

__all__ = ["Machines", "Prepared", "prepare", "train"]


class Prepared(NamedTuple):
    """What `tssbook.training.fit` needs, and the held-out rows.

    Attributes
    ----------
    model : torch.nn.Module
    train, valid : Batches
    loss_terms : callable
    test : callable
        ``test(device)`` returns what the model is worth on the test chromosomes, with intervals.
    about : dict
        ``task``, ``assembly`` and counts of rows, for the checkpoint.
    """

    model: nn.Module
    train: Batches
    valid: Batches
    loss_terms: Callable
    test: Callable[[str | None], dict[str, Any]]
    about: dict[str, Any]


class Machines(NamedTuple):
    """Where a training runs.

    Attributes
    ----------
    devices, nodes : int
        Devices of each machine, and machines; a process for each device.
    precision : str
        ``"32-true"`` or ``"bf16-mixed"``.
    accumulate : int
        As for `tssbook.training.fit`.
    device : str or None
        Which, where there is one process.
    """

    devices: int = 1
    nodes: int = 1
    precision: str = "32-true"
    accumulate: int = 1
    device: str | None = None

    def fabric(self) -> Any | None:
        """Return a launched Fabric, or None where one process computes in float32.

        Raises
        ------
        ModuleNotFoundError
            The extra ``scale`` is not installed.
        ValueError
            A number is below 1, there is no such precision, or not so many devices.
        """
        if (self.devices, self.nodes, self.precision) == (1, 1, "32-true"):
            return None
        require_positive(devices=self.devices, nodes=self.nodes)
        place = resolve_device(self.device)
        try:
            from lightning_fabric import Fabric
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "Several devices, and bf16-mixed, need the package lightning-fabric: "
                'pip install "tssbook[scale]".'
            ) from None
        several = self.devices * self.nodes > 1
        if place.type == "cuda" and self.devices > torch.cuda.device_count():
            raise ValueError(
                f"devices is {self.devices}, and this machine has {torch.cuda.device_count()}."
            )
        logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        made = Fabric(
            accelerator=place.type, devices=self.devices, num_nodes=self.nodes,
            precision=self.precision, strategy="ddp" if several else "auto",
        )  # fmt: skip
        made.launch()
        return made


def train(
    recipe: Recipe, out: Path, machines: Machines, *, force: bool, progress: bool
) -> dict[str, Any]:
    """Train what a recipe says, measure it on the test chromosomes, and save it.

    The state of the run stands beside the checkpoint until that is there: the same command goes on
    from it.

    Parameters
    ----------
    recipe
        What to train on what.
    out
        The checkpoint, with or without suffix.
    machines
        Where. With several processes each calls this, and one of them saves.
    force
        Replace an older one.
    progress
        Show a progress bar.

    Returns
    -------
    dict
        ``checkpoint``, ``epochs``, ``best_epoch``, ``valid_loss`` and ``test``; empty in all
        processes but one.

    Raises
    ------
    FileExistsError
        There is such a checkpoint.
    Interrupted
        Ctrl-C; the state is there.
    """
    out = out.with_suffix("") if out.suffix in (".safetensors", ".json") else out
    for suffix in (".safetensors", ".json"):
        require_new(out.with_name(out.name + suffix), force)
    fabric = machines.fabric()
    first = fabric is None or fabric.is_global_zero
    with _alone(out) if first else nullcontext():
        return _trained(recipe, out, machines, fabric, progress)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep others from training into the same files meanwhile."""
    lock = locked(out)
    try:
        yield
    finally:
        unlock(lock)


def _trained(
    recipe: Recipe, out: Path, machines: Machines, fabric: Any | None, progress: bool
) -> dict[str, Any]:
    prepared, state = prepare(recipe), out.with_name(f"{out.name}.state")
    device = machines.device if fabric is None else None
    optimizer = torch.optim.AdamW(
        prepared.model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs)
    history = fit(
        prepared.model, prepared.train, prepared.valid, prepared.loss_terms, optimizer,
        epochs=recipe.epochs, seed=recipe.seed, scheduler=schedule, clip_norm=recipe.clip_norm,
        patience=recipe.patience, state=state, device=device, progress=progress,
        accumulate=machines.accumulate, fabric=fabric,
    )  # fmt: skip
    if history.attrs["stopped"] == "interrupted":
        kept = f"the same command goes on from {state}" if len(history) else "nothing is kept"
        raise Interrupted(f"Interrupted after {len(history)} of {recipe.epochs} epochs; {kept}.")
    if fabric is not None and not fabric.is_global_zero:
        return {}
    numbers = prepared.test(machines.device)
    training = {"history": history.round(6).to_dict("list"), **history.attrs}
    weights = save(
        prepared.model, out, **prepared.about, recipe=recipe.as_dict(), training=training,
        metrics={"test": numbers}, licence=recipe.licence,
    )  # fmt: skip
    state.unlink(missing_ok=True)
    best = history.attrs["best_epoch"]
    valid_loss = float(history["valid_loss"].min())
    return {
        "checkpoint": weights, "epochs": len(history), "best_epoch": best,
        "valid_loss": valid_loss, "test": numbers,
    }  # fmt: skip


def prepare(recipe: Recipe) -> Prepared:
    """Read the data of a recipe and make its network, with weights drawn by its seed.

    Raises
    ------
    ValueError
        The recipe lacks something that its model needs, a file is not as it should be, or a part
        of the split is empty.
    """
    make = {"PromoterNet": _promoter, "SimpleNet": _tracks, "ProCapNet": _peaks}[recipe.model]
    return make(recipe)


def _network(recipe: Recipe, **settings: Any) -> nn.Module:
    kind = getattr(models, recipe.model)
    torch.manual_seed(recipe.seed)
    try:
        return kind(**(settings | recipe.settings))
    except (TypeError, ValueError, RuntimeError) as error:  # Python or PyTorch name what is wrong
        raise ValueError(f"The settings of {recipe.model} are not right: {error}.") from error


def _split(recipe: Recipe, chroms: Any) -> Split:
    for part in ("valid", "test"):
        if not getattr(recipe, part):
            raise ValueError(
                f"The recipe names no chromosomes for {part}; wanted some, which training does not "
                f"see: {part}: [chr8], or --{part} chr8."
            )
    return split_by_chromosome(chroms, recipe.valid, recipe.test)


def _counted(split: Split) -> dict[str, int]:
    return {name: len(getattr(split, name)) for name in ("train", "valid", "test")}


# --- Chapter 2 ----------------------------------------------------------------------------------


def _promoter(recipe: Recipe) -> Prepared:
    require_files(recipe, "fasta", "loci", "expression")
    fasta = Fasta(recipe.fasta)
    data = load_promoters(fasta, read_loci(recipe.loci), recipe.expression, length=recipe.length)
    split = _split(recipe, data.genes["chrom"])
    rows, valid, test = map(torch.from_numpy, split)
    model = _network(recipe)
    model.linear2.bias.data.fill_(data.y[rows].mean())  # start from the mean
    options = {"batch_size": recipe.batch_size}
    train = Batches(data.x[rows], data.y[rows], seed=recipe.seed, transform=flip_half, **options)

    def tested(device: str | None) -> dict[str, Any]:
        found = predict(model, data.x[test], device=device)
        return {"r of expression": _interval(pearson_r, found, data.y[test])}

    about = {"task": "expression of genes from their promoters", "n": _counted(split)}
    about["assembly"] = {chrom: fasta.length(chrom) for chrom in data.genes["chrom"].unique()}
    about["left_out"] = len(data.report)
    held_out = Batches(data.x[valid], data.y[valid], **options)
    return Prepared(model, train, held_out, promoter.loss_terms, tested, about)


# --- Chapter 3 ----------------------------------------------------------------------------------


def _logarithms(_: torch.Generator, x: Tensor, reads: Tensor) -> tuple[Tensor, Tensor]:
    return x, torch.log10(1 + reads)


def _opened(path: Path) -> Store:
    """Open a data set of `build`, or one of `tssbook.scale`, which is read into memory."""
    if (path / "zarr.json").is_file():
        from tssbook import scale

        return scale.open_store(path)
    return open_store(path)


def _tracks(recipe: Recipe) -> Prepared:
    require_files(recipe, "data")
    store = _opened(Path(recipe.data))
    codes, tracks = (np.asanyarray(store.arrays[name]) for name in ("sequences", "tracks"))
    split = _split(recipe, store.tables["loci"]["chrom"])
    names = store.tables["tracks"]["track"].tolist()
    model = _network(recipe, tracks=names)
    options = {
        "batch_size": recipe.batch_size, "transform": _logarithms, "length": recipe.length,
    }  # fmt: skip
    train = TrackBatches(
        codes, tracks, rows=split.train, seed=recipe.seed, reverse_complement=True, **options
    )
    valid = TrackBatches(codes, tracks, rows=split.valid, **options)
    inner = slice(puffin.MARGIN, -puffin.MARGIN)

    def tested(device: str | None) -> dict[str, Any]:
        found = torch.cat([
            puffin.to_counts(predict(model, one_hot_codes(codes[rows]), device=device))[..., inner]
            for rows in np.array_split(split.test, math.ceil(len(split.test) / 256))
        ])  # fmt: skip
        measured = torch.from_numpy(tracks[split.test].astype(np.float32))[..., inner]
        usual = torch.from_numpy(tracks[split.train].mean(0, dtype=np.float64))[..., inner]
        return _of_profiles(found, measured, usual, names)

    about = {"task": f"tracks {', '.join(names)}", "n": _counted(split), "tracks": names}
    about["assembly"] = store.made_from.get("assembly")
    return Prepared(model, train, valid, puffin.loss_terms, tested, about)


# --- Chapter 4 ----------------------------------------------------------------------------------


def _peaks(recipe: Recipe) -> Prepared:
    require_files(recipe, "fasta", "loci", "plus", "minus")
    fasta = Fasta(recipe.fasta)
    model = _network(recipe)
    length = OUTPUT + 2 * model.trim if recipe.length is None else recipe.length
    output = length - 2 * model.trim
    background = None if recipe.background is None else read_loci(recipe.background)
    windows = read_peaks(
        fasta, track_files(recipe.plus, recipe.minus), read_loci(recipe.loci), background,
        mappability=recipe.mappability, length=length,
    )  # fmt: skip
    split = _split(recipe, windows.loci["chrom"])
    options = {"batch_size": recipe.batch_size, "length": length, "output": output}
    train = WindowBatches(windows, rows=split.train, seed=recipe.seed, **options)
    valid = WindowBatches(windows, rows=split.valid, **options)

    def tested(device: str | None) -> dict[str, Any]:
        held_out = windows.subset(split.test)
        parts = zip(*WindowBatches(held_out.subset(held_out.peak), **options), strict=True)
        x, measured, seen = (torch.cat(part) for part in parts)
        found, seen = predict(model, x, device=device), seen[:, None]
        middle = windows.codes.shape[1] // 2
        asked = slice(middle - output // 2, middle + output // 2)
        at_peaks = windows.reads[split.train][windows.peak[split.train]][..., asked]
        usual = torch.from_numpy(at_peaks.mean(0, dtype=np.float64))
        return _of_profiles(procapnet.to_reads(*found) * seen, measured * seen, usual)

    about = {"task": "reads at base resolution around peaks", "n": _counted(split)}
    about["assembly"] = {c: fasta.length(c) for c in windows.loci["chrom"].unique()}
    about["left_out"] = len(windows.lost)
    terms = partial(procapnet.loss_terms, count_weight=recipe.count_weight)
    return Prepared(model, train, valid, terms, tested, about)


# --- numbers ------------------------------------------------------------------------------------


def _of_profiles(
    found: Tensor, measured: Tensor, usual: Tensor, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Compare profiles ``(N, T, L)`` base by base, and the logarithms of their sums.

    ``usual``, ``(T, L)``, is the mean of the training loci: what one would say without a model.
    With names of tracks each track is compared by itself, and the mean of them is given too:
    tracks of different depth side by side would look alike whatever is predicted. Without names
    both strands together are one profile.
    """
    usual = usual.to(measured).expand_as(measured)
    if names is None:
        found, measured, usual = (part.flatten(1)[:, None] for part in (found, measured, usual))
    r, mean = (pearson_r(part, measured) for part in (found, usual))  # (N, T)
    result = {
        "r of profiles": _mean_interval(r.nanmean(1)),
        "r of the mean profile": _mean_interval(mean.nanmean(1)),
    }
    if names is not None:
        result |= {f"r of {name}": _mean_interval(r[:, t]) for t, name in enumerate(names)}
    totals = [part.sum((1, 2)).clamp(min=0).log1p() for part in (found, measured)]
    result["r of log counts"] = _interval(pearson_r, *totals)
    result["loci without reads"] = int((measured.sum((1, 2)) == 0).sum())
    return result


def _mean_interval(values: Tensor) -> dict[str, float | None]:
    """Return a mean over loci, but for those where a correlation is not defined."""
    values = values[~values.isnan()]
    return _interval(_first_mean, values, values)


def _first_mean(values: Tensor, _: Tensor) -> Tensor:
    return values.mean()


def _interval(metric: Callable, found: Tensor, measured: Tensor) -> dict[str, float | None]:
    """Return a number with its 95 % interval over loci; None for what is not defined."""
    value = float(metric(found, measured)) if len(found) else math.nan
    ends = bootstrap_interval(metric, found, measured, seed=1) if math.isfinite(value) else ()
    known = [number if math.isfinite(number) else None for number in (value, *ends)]
    return dict(zip(("value", "from", "to"), [*known, None, None], strict=False))
