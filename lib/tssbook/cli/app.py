"""The commands: each takes flags apart, calls the library, and reports."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from tssbook.cli import console
from tssbook.cli.console import report, require_new, require_output, shows_progress

__all__ = ["app", "main"]

# The commands of ``tssbook``, as Typer holds them.
app = typer.Typer(
    help="From DNA sequence to transcription initiation: data, training, predictions, effects.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Files that the book knows, and simulated ones.", no_args_is_help=True)
motifs = typer.Typer(help="Motifs of filters, and where motifs match.", no_args_is_help=True)
app.add_typer(data, name="data")
app.add_typer(motifs, name="motifs")

_CTRL_C = 130
# The base class of usage errors is click's, which typer brings along under a private name.
(_USAGE,) = (kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps; the fastest if not said.")]
Genome = Annotated[Path, typer.Option("--fasta", help="Genome, FASTA, plain or bgzip.")]
Loci = Annotated[
    Path,
    typer.Option(
        "--loci", help="Start sites or genes (ProCapNet: peaks): BED, narrowPeak, GTF, TSV."
    ),
]
Model = Annotated[str, typer.Argument(help="Checkpoint: a path, a shipped name, owner/name.")]
Func = Annotated[
    str | None,
    typer.Option(
        help="What is asked: count, strands, totals, output, profile, or a track of the genome."
    ),
]
Batch = Annotated[int, typer.Option(help="Sequences at a time.")]


def main() -> None:
    """Run the command line; the process ends with 0, 1 (error), 2 (usage) or 130 (Ctrl-C)."""
    warnings.showwarning = console.warn
    try:
        if app(standalone_mode=False) == _CTRL_C:  # or Abort, by the version of typer
            raise KeyboardInterrupt
    except _USAGE as error:
        error.show()
        sys.exit(error.exit_code)
    except console.Interrupted as said:
        console.fail(said, _CTRL_C)
    except (typer.Abort, KeyboardInterrupt):
        console.fail("Interrupted; what was being written is left out.", _CTRL_C)
    except (ArithmeticError, ImportError, NotImplementedError, OSError, TypeError, ValueError) as e:
        console.fail(e)
    except RuntimeError as error:
        from tssbook.training import RankLost

        if not isinstance(error, RankLost):
            raise
        console.fail(error)
    sys.exit(0)


# --- data ---------------------------------------------------------------------------------------


@data.command("list")
def list_files(as_json: Json = False) -> None:
    """List the files that can be fetched, with size and licence, and whether they are here.

    Example: tssbook data list
    """
    from tssbook.cli.files import listed

    report({"files": listed()}, as_json)


@data.command()
def fetch(names: Annotated[list[str], typer.Argument()], as_json: Json = False) -> None:
    """Bring files to this machine, verified; prints where they are.

    Example: tssbook data fetch puffin.pth
    """
    from tssbook.data import fetch as fetch_file

    report({name: fetch_file(name, progress=shows_progress()) for name in names}, as_json)


@data.command()
def verify(as_json: Json = False) -> None:
    """Compare the files of the data folder, or else of the mirror, with their checksums.

    Example: tssbook data verify
    """
    from tssbook.cli.files import verified

    report(verified(), as_json)


@data.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    loci: Annotated[int, typer.Option(help="How many.")] = 200,
    seed: int = 1,
    as_json: Json = False,
) -> None:
    """Write simulated loci in the formats of real data: to try the other commands.

    Example: tssbook data simulate sample
    """
    from tssbook.cli.files import simulated

    require_new(folder, False)
    report({"files": simulated(folder, loci, seed)}, as_json)


# --- training -----------------------------------------------------------------------------------

Bigwigs = Annotated[
    list[str], typer.Option(help="bigWig of a strand, FILE or NAME=FILE; again for more.")
]


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="Where to put the data set; it can be resumed.")],
    fasta: Genome,
    loci: Loci,
    plus: Bigwigs = [],  # noqa: B006  typer makes a new list
    minus: Bigwigs = [],  # noqa: B006
    unstranded: Annotated[str | None, typer.Option(help="bigWig of no strand, one.")] = None,
    length: Annotated[int, typer.Option(help="Bases of each window.")] = 4650,
    as_json: Json = False,
) -> None:
    """Make a data set of sequences and tracks around start sites, on disk.

    Example: tssbook build loci --fasta genome.fa --loci tss.tsv --plus a.plus.bw --minus a.minus.bw
    """
    from tssbook.cli.inputs import read_loci, track_files
    from tssbook.data import build_tracks

    store = build_tracks(
        folder, fasta, track_files(plus, minus, unstranded), read_loci(loci),
        length=length, progress=shows_progress(),
    )  # fmt: skip
    shapes = {name: list(array.shape) for name, array in store.arrays.items()}
    left_out = store.tables["lost"].to_dict("records")
    report({"folder": folder, "arrays": shapes, "left_out": left_out}, as_json)


@app.command()
def train(
    out: Annotated[Path, typer.Argument(help="The checkpoint: OUT.safetensors and OUT.json.")],
    recipe: Annotated[Path | None, typer.Option(help="YAML file; its keys are the flags.")] = None,
    model: Annotated[str | None, typer.Option(help="PromoterNet, SimpleNet or ProCapNet.")] = None,
    data: Annotated[str | None, typer.Option(help="SimpleNet: what `build` made.")] = None,
    fasta: Annotated[str | None, typer.Option(help="Genome.")] = None,
    loci: Annotated[
        str | None, typer.Option(help="Genes (PromoterNet), peaks (ProCapNet).")
    ] = None,
    expression: Annotated[str | None, typer.Option(help="PromoterNet: gene, expression.")] = None,
    background: Annotated[str | None, typer.Option(help="ProCapNet: places without reads.")] = None,
    mappability: Annotated[str | None, typer.Option(help="ProCapNet: bigWig.")] = None,
    plus: Annotated[list[str] | None, typer.Option(help="ProCapNet: bigWig.")] = None,
    minus: Annotated[list[str] | None, typer.Option(help="ProCapNet: bigWig.")] = None,
    length: Annotated[int | None, typer.Option(help="Bases that the model reads.")] = None,
    valid: Annotated[list[str] | None, typer.Option(help="Chromosome; again for more.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Chromosome; again for more.")] = None,
    set: Annotated[
        list[str] | None, typer.Option(help="Argument of the model, such as n_filters=64.")
    ] = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    clip_norm: float | None = None,
    patience: int | None = None,
    count_weight: float | None = None,
    seed: int | None = None,
    licence: str | None = None,
    device: Device = None,
    devices: Annotated[int, typer.Option(help="Of each machine; a process for each.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines, started by torchrun or srun.")] = 1,
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    accumulate: Annotated[int, typer.Option(help="Pieces in which a batch is worked off.")] = 1,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Train a network of the book on your data; stopped, it goes on when it is called again.

    Example: tssbook train mine --model ProCapNet --fasta genome.fa --loci peaks.bed
    --plus plus.bw --minus minus.bw --valid chr8 --test chr9 --set n_filters=64
    """
    from tssbook.cli.recipe import Recipe, read_recipe, settings
    from tssbook.cli.trainings import Machines
    from tssbook.cli.trainings import train as trained

    given = {k: v for k, v in locals().items() if k in Recipe.__dataclass_fields__}
    chosen = read_recipe(recipe, given | {"settings": settings(set or [])})
    how = Machines(devices, nodes, precision, accumulate, device)
    if result := trained(chosen, out, how, force=force, progress=shows_progress()):
        report(result, as_json)  # of several processes one


# --- a trained model ----------------------------------------------------------------------------


@app.command()
def predict(
    model: Model,
    fasta: Genome,
    loci: Loci,
    out: Annotated[
        Path, typer.Option(help="Table (.tsv, .parquet), or bigWigs (.bw), one a track.")
    ],
    func: Func = None,
    batch_size: Batch = 16,
    device: Device = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Predict around loci: one number each as a table, tracks as bigWig, a file a track.

    Example: tssbook predict mine --fasta genome.fa --loci peaks.bed --out predicted.bw
    """
    from tssbook.cli.uses import predicted

    report(predicted(model, fasta, loci, out, func, **_how(batch_size, device, force)), as_json)


@app.command()
def ism(
    model: Model,
    fasta: Genome,
    loci: Loci,
    out: Annotated[Path, typer.Option(help="Effects (.npy), or the mean loss of each base (.bw).")],
    func: Func = None,
    batch_size: Batch = 16,
    device: Device = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Change every base of every locus, and write what the model says to it.

    Example: tssbook ism mine --fasta genome.fa --loci few.bed --out effects.bw
    """
    from tssbook.cli.uses import mutated

    how = _how(batch_size, device, force)
    report(mutated(model, fasta, loci, out, func, **how), as_json)


@app.command()
def attribute(
    model: Model,
    fasta: Genome,
    loci: Loci,
    out: Annotated[Path, typer.Option(help="Contributions (.npy), or one of each base (.bw).")],
    func: Func = None,
    shuffles: Annotated[int, typer.Option(help="References of each sequence.")] = 20,
    seed: int = 1,
    batch_size: Batch = 16,
    device: Device = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Share a prediction out among the bases: DeepLIFT/SHAP against shuffled sequences.

    Example: tssbook attribute mine --fasta genome.fa --loci few.bed --out count.bw --func count
    """
    from tssbook.cli.uses import attributed

    how = {"shuffles": shuffles, "seed": seed, **_how(batch_size, device, force)}
    report(attributed(model, fasta, loci, out, func, **how), as_json)


@app.command()
def variants(
    model: Model,
    vcf: Annotated[Path, typer.Argument(help="Variants, VCF, plain or compressed.")],
    fasta: Genome,
    out: Annotated[Path, typer.Option(help="Table, .tsv.")],
    func: Func = None,
    batch_size: Batch = 16,
    device: Device = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Score what each variant does to initiation around it.

    Example: tssbook variants mine my.vcf --fasta genome.fa --out effects.tsv
    """
    from tssbook.cli.uses import scored

    how = _how(batch_size, device, force)
    report(scored(model, vcf, fasta, out, func, **how), as_json)


@motifs.command("filters")
def filters_of(
    model: Model,
    fasta: Genome,
    loci: Loci,
    out: Annotated[Path, typer.Option(help="Motifs in MEME's format.")],
    sites: Annotated[int, typer.Option(help="Best sites of each filter.")] = 500,
    taxon: Annotated[str, typer.Option(help="JASPAR's, such as fungi or plants.")] = "vertebrates",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Read motifs off the first layer, name them by JASPAR, and write them in MEME's format.

    Example: tssbook motifs filters mine --fasta genome.fa --loci peaks.bed --out mine.meme
    """
    from tssbook.cli.uses import filter_motifs

    found = filter_motifs(model, fasta, loci, out, sites, taxon, force=force)
    report({"motifs": found}, as_json)


@motifs.command("scan")
def scan(
    meme: Annotated[Path, typer.Argument(help="Motifs in MEME's format.")],
    fasta: Genome,
    out: Annotated[Path, typer.Option(help="Table, .tsv or .parquet.")],
    p: Annotated[float, typer.Option(help="Largest p-value of a match.")] = 1e-5,
    chrom: Annotated[list[str] | None, typer.Option(help="Chromosome; again for more.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Find the matches of motifs along a genome, on both strands.

    Example: tssbook motifs scan mine.meme --fasta genome.fa --out matches.tsv
    """
    from tssbook.data import write_table
    from tssbook.interpret import scan_genome
    from tssbook.motifs import read_meme

    require_output(out, (".tsv", ".parquet"), force=force)
    table = scan_genome(read_meme(meme), fasta, chroms=chrom, p=p, progress=shows_progress())
    report({"table": write_table(out, table), "matches": len(table)}, as_json)


@app.command()
def exercises(
    folder: Annotated[Path, typer.Argument(help="What students handed in; its folders too.")],
    out: Annotated[Path | None, typer.Option(help="Write the table, .csv.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a class table: a row for each student, a column for each exercise.

    Example: tssbook exercises handed-in --out class.csv
    """
    from tssbook.exercises import class_table, write_class

    if out:
        require_output(out, (".csv",), force=force)
    table, results, left_out = class_table(folder)
    if out:
        write_class(out, table)
    lines = table.to_string(index=False).splitlines() if len(table) else []
    said = {"results": results} if as_json else {"class": lines}
    report(said | {"left_out": left_out} | ({"table": out} if out else {}), as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, which device there is, what is missing and how to get it.

    Example: tssbook doctor
    """
    from tssbook.cli.doctor import found

    report(found(), as_json)


def _how(batch_size: int, device: str | None, force: bool) -> dict[str, Any]:
    how = {"batch_size": batch_size, "device": device, "force": force}
    return how | {"progress": shows_progress()}
