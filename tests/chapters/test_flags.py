"""Every branch behind a flag of a chapter runs to its end, on small inputs.

The chapter's own cells are executed, those that a branch needs, with the flag set and the sizes
of the flags cell made small. Nothing is replaced but downloads: in their place are files in the
published layouts, with other numbers in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyBigWig
import pytest
import torch
from torch import nn

from tests.models.procapnet_archives import encode_archive
from tools.notebooks import ROOT, read, tags
from tssbook import simulator
from tssbook.data import open_store, split_by_chromosome
from tssbook.data.budding_yeast import Yeast
from tssbook.models import FastProCapNet, ProCapNet, describe, procapnet
from tssbook.sequence import one_hot_codes

YEAST = "procapnet-yeast-17", "procapnet-yeast-18", "procapnet-yeast-19"

# Chapter, flag: the cells that the branch needs, in the order of the chapter. Those that name the
# flag must be among them.
BRANCHES = {
    ("01", "TRAIN"): (
        "known-scores histogram yours-model dataset hand-loop two-loops train-two test-scatter "
        "errors-by-copies maxpool"
    ),
    ("02", "TRAIN"): (
        "files load-promoters noise splits ridge baselines trained curves intervals scores leak "
        "strands"
    ),
    ("02-real", "TRAIN"): (
        "simulated ridge trained trunk yeast-data yeast-folds yeast-networks ecoli-data "
        "ecoli-predictions"
    ),
    ("02-real", "LARGE"): "simulated large",
    ("03", "LOGARITHMS"): "recipe",  # with BUILD_DATASET
    ("03", "BUILD_DATASET"): "files roughness recipe terms start trained curves",
    ("03", "TRAIN"): "files roughness recipe terms start trained curves replicates harder-terms",
    ("03-real", "TRAIN"): "yeast-data recipe fitted yeast-recipe yeast-nets",
    ("04", "BUILD_DATASET"): "recipe start trained curves",
    ("04", "TRAIN"): "simulate recipe start trained curves predict quality unmasked",
    ("04-real", "TRAIN"): "start yeast-trained small-networks",
    ("04-real", "ENCODE"): "shared who xist",
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder and an empty data folder; figures without a window."""
    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    with mpl.rc_context(), torch.random.fork_rng(devices=[]):
        yield tmp_path


def name_of(path: Path) -> str:
    """01 of a chapter, 02-real of a chapter's page on real DNA."""
    return path.stem if path.stem.endswith("-real") else path.stem[:2]


def notebook(chapter: str) -> Path:
    """Its path; ``03`` is the chapter, ``03-real`` its page on real DNA."""
    (path,) = (p for p in (ROOT / "chapters").glob("*.ipynb") if name_of(p) == chapter)
    return path


def run(
    chapter: str,
    flag: str,
    *,
    until: str | None = None,
    **flags: Any,
) -> dict:
    """Run a branch's cells, up to one of them, with flags; return the chapter's variables."""
    path = notebook(chapter)
    source = {cell.id: cell.source for cell in read(path).cells}
    variables: dict[str, Any] = {"__name__": "__main__"}
    for name in ("setup", "imports", "flags", *BRANCHES[chapter, flag].split()):
        exec(compile(source[name], f"{path.name}:{name}", "exec"), variables)  # noqa: S102
        plt.close("all")
        if name == until:
            break
        if name == "flags":
            assert {flag, *flags} <= set(variables)
            variables |= flags
    return variables


def written(elsewhere: Path) -> set[str]:
    """What a chapter has left in its part of the data folder, and nowhere else."""
    assert not list(elsewhere.glob("*.state"))
    (folder,) = (elsewhere / "cache").iterdir()
    return {path.name for path in folder.iterdir()}


def trained(variables: dict[str, Any], epochs: int) -> dict[str, nn.Module]:
    """The chapter's models, all of them trained just now and not loaded."""
    for name, (_, history) in variables["models"].items():
        assert len(history) == epochs, name
        assert history.attrs["stopped"] == "finished", name
        assert np.isfinite(history["valid_loss"]).all(), name
    return {name: model for name, (model, _) in variables["models"].items()}


# --- which flags there are ----------------------------------------------------------------------


def test_every_flag_has_its_test_and_every_cell_that_names_it_is_run():
    found = set()
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
        (flags,) = [cell.source for cell in cells if "parameters" in tags(cell)]
        for flag in re.findall(r"^(\w+) = (?:False|True)\b", flags, flags=re.M):
            key = name_of(path), flag
            found.add(key)
            named = [
                cell.id
                for cell in cells
                if re.search(rf"\b{flag}\b", re.sub(r'"[^"]*"', "", cell.source))
            ]
            left_out = set(named) - {"flags"} - set(BRANCHES.get(key, "").split())
            assert not left_out, f"{path.name}: {flag} is named in {sorted(left_out)} too"
    assert found == set(BRANCHES)


# --- Chapter 1 ----------------------------------------------------------------------------------


def test_chapter_1_trains():
    models = trained(run("01", "TRAIN", TRAIN=True, EPOCHS=1), epochs=1)
    assert set(models) == {"toy-linear", "toy-cnn", *(f"toy-maxpool-{i}" for i in (17, 18, 19))}


# --- Chapter 2 ----------------------------------------------------------------------------------


def ecoli_file(path: Path, n: int = 120) -> Path:
    """A table in the layout of the published one, around the whole genome."""
    rng = np.random.default_rng(0)
    start = np.sort(rng.choice(4_600_000, n, replace=False))
    table = pd.DataFrame(
        {
            "sequence": ["".join(rng.choice(list("ACGT"), 150)) for _ in range(n)],
            "expression": rng.exponential(size=n),
            "start": start,
            "end": start + 150,
            "name": [f"TSS_{i},{i},+" for i in range(n)],
            "active": "active",
        }
    )
    table.to_csv(path, sep="\t", header=False, index=False)
    return path


def small_yeast(folder: Path) -> Yeast:
    """Five genes on each of sixteen chromosomes, in the layout of the real ones."""
    rng = np.random.default_rng(0)
    roman = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI"
    chroms = [f"chr{number}" for number in roman.split()]
    letters = {chrom: "".join(rng.choice(list("ACGT"), 6000)) for chrom in chroms}
    fasta = folder / "yeast.fa"
    fasta.write_text("".join(f">{chrom}\n{s}\n" for chrom, s in letters.items()))
    start = np.tile(np.arange(5) * 1000 + 600, 16)
    genes = pd.DataFrame(
        {
            "chrom": np.repeat(chroms, 5),
            "start": start,
            "end": start + 300,
            "name": [f"Y{i}" for i in range(80)],
            "strand": "+",
            "shadowed": False,
        }
    )
    reads = pd.DataFrame(rng.integers(1, 1000, (80, 4)), columns=["ypd-1", "ypd-2", "ypd-3", "ypd"])
    expression = pd.DataFrame({"gene": genes["name"], "exons": 300}).join(reads)
    return Yeast(fasta, folder / "none.bw", genes, expression, {})


def test_chapter_2_trains():
    models = trained(run("02", "TRAIN", TRAIN=True, N_GENES=80, EPOCHS=1), epochs=1)
    assert {name: model.linear2.out_features for name, model in models.items()} == {
        "promoter": 1,
        "promoter-random-split": 1,
        "promoter-one-strand": 1,
    }


def test_chapter_2_trains_on_real_dna(elsewhere, monkeypatch):
    table = ecoli_file(elsewhere / "ecoli.tsv.gz")
    monkeypatch.setattr("tssbook.data.promoters.fetch", lambda name: table)
    monkeypatch.setattr("tssbook.data.yeast", lambda: small_yeast(elsewhere))
    variables = run("02-real", "TRAIN", TRAIN=True, N_GENES=80, EPOCHS=1)
    models = trained(variables, epochs=1)
    predicted = variables["yeast_predicted"]
    assert np.isfinite(predicted[["chromosomes", "random"]]).all(axis=None)
    assert (predicted[["chromosomes", "random"]].nunique() > 70).all()  # not the same for all
    assert {name: model.linear2.out_features for name, model in models.items()} == {
        "promoter-yeast": 1,
        "promoter-tracks": 10,
        "ecoli": 1,
    }


def test_chapter_2_uses_enformer(elsewhere, monkeypatch):
    enformer_pytorch = pytest.importorskip("enformer_pytorch")
    torch.manual_seed(0)
    config = enformer_pytorch.EnformerConfig(
        dim=48, depth=1, heads=2, attn_dim_key=8, output_heads={"human": 3}, target_length=16,
        dim_divisible_by=4,
    )  # fmt: skip
    config.save_pretrained(elsewhere)
    torch.save(enformer_pytorch.Enformer(config).state_dict(), elsewhere / "pytorch_model.bin")

    def download(repository: str, name: str) -> Path:
        if not (elsewhere / name).is_file():
            raise FileNotFoundError(name)
        return elsewhere / name

    monkeypatch.setattr("tssbook.models.enformer.download", download)
    monkeypatch.setattr("tssbook.models.enformer._LENGTH", 4096)  # not 196,608: a moment each
    variables = run("02-real", "LARGE", LARGE=True, N_GENES=60, N_LARGE=16)
    assert variables["inside"].shape == (16, 96)
    assert -1 <= variables["large_r"] <= 1


# --- Chapter 3 ----------------------------------------------------------------------------------


def own_name(bigwig: str) -> str:
    """ENCODE_CAGE_plus.bw as the chapter has it: encodecage.plus.bw."""
    name, strand = bigwig.removesuffix(".bw").rsplit("_", 1)
    return f"{re.sub('[_-]', '', name).lower()}.{strand}.bw"


def test_chapter_3_builds_from_files_and_trains_on_them(elsewhere):
    files = simulator.write_files(simulator.simulate(60, seed=3), elsewhere / "mine")
    names = {name: own_name(name) for name in simulator.FILES}
    names |= {"genome.fa": "hg38.fa", "genome.fa.fai": "hg38.fa.fai", "tss.tsv": "tss.tsv"}
    for theirs, mine in names.items():
        (files / theirs).rename(elsewhere / mine)
    variables = run(
        "03", "BUILD_DATASET", BUILD_DATASET=True, TRAIN=True, N_LOCI=40, EPOCHS=1, LOGARITHMS=False
    )
    assert written(elsewhere) == {"my-loci", "simplenet.state", "simplenet-tidy.state"}
    own = open_store(elsewhere / "cache" / "chapter-3" / "my-loci")
    assert own.arrays["tracks"].shape == (60, 10, 4650)
    assert own.tables["tracks"]["file"].to_list() == variables["TEN"]
    assert set(trained(variables, epochs=1 + variables["TIDY"])) == {"simplenet"}
    assert variables["history"].attrs["data"] == "own files"
    tracks = torch.from_numpy(own.arrays["tracks"][:1].copy())
    assert torch.equal(variables["to_log"](None, tracks, tracks)[1], torch.log10(1 + tracks))
    variables["LOGARITHMS"] = True  # in the notebook's own names, which its functions look up
    assert variables["to_log"](None, tracks, tracks)[1] is tracks


def yeast_with_reads(folder: Path) -> Yeast:
    """Four chromosomes of random letters, 18 genes each, reads in front of their ATGs."""
    rng = np.random.default_rng(0)
    lengths = dict.fromkeys(("chrI", "chrIV", "chrVII", "chrXII"), 20_000)
    records = (f">{c}\n{''.join(rng.choice(list('ACGT'), n))}\n" for c, n in lengths.items())
    (folder / "genome.fa").write_text("".join(records))
    names = ["stripe", "slic", "diamide", "stripe-50ng", "stripe-100ng", "slic-1", "slic-2"]
    names += [f"diamide-{i}" for i in (1, 2, 3)]
    tracks = {n: (folder / f"{n}.plus.bw", folder / f"{n}.minus.bw") for n in names}
    for path in (path for pair in tracks.values() for path in pair):
        with pyBigWig.open(str(path), "w") as file:
            file.addHeader(list(lengths.items()))
            for chrom, length in lengths.items():
                reads = rng.poisson(1.0, length).astype(float).tolist()
                file.addEntries(chrom, 0, values=reads, span=1, step=1)
    atg = np.arange(1_000, 19_000, 1_000)
    genes = pd.DataFrame(
        {"chrom": chrom, "atg": atg, "strand": ["+", "-"] * (len(atg) // 2)} for chrom in lengths
    ).explode(["atg", "strand"], ignore_index=True)
    genes = genes.astype({"atg": int}).assign(shadowed=False, reads=300, name="YFL039C")
    return Yeast(folder / "genome.fa", folder / "none.bw", genes, genes, tracks)


def test_chapter_3_trains(elsewhere):
    variables = run("03", "TRAIN", TRAIN=True, N_LOCI=40, N_TRAIN=40, EPOCHS=1, until="replicates")
    models = trained(variables, epochs=1 + variables["TIDY"])
    assert set(models) == {"simplenet", *(f"simplenet-noise-{i}" for i in (1, 2, 3))}


def test_chapter_3_trains_on_yeast(elsewhere, monkeypatch):
    monkeypatch.setattr("tssbook.data.yeast", lambda: yeast_with_reads(elsewhere))
    variables = run("03-real", "TRAIN", TRAIN=True, YEAST=1)
    models = trained(variables, epochs=1 + variables["TIDY"])
    noise = (f"simplenet-yeast-noise-{i}" for i in (1, 2, 3))
    assert set(models) == {"simplenet-yeast", *noise}
    net, history = models["simplenet-yeast"], variables["models"]["simplenet-yeast"][1]
    assert net.config["tracks"] == list(variables["SIX"])
    shipped = describe("simplenet-yeast")["training"]
    assert history.attrs["learning_rate"] == shipped["learning_rate"]
    assert variables["guess_y"]["simplenet-yeast"].shape[1:] == (6, 300)
    assert variables["part"].train.size == variables["part"].valid.size == 18


def test_chapter_3_trains_on_the_harder_setting():
    variables = run("03", "TRAIN", TRAIN=[], N_LOCI=40)
    variables |= {"TRAIN": True, "N_HARDER": 250, "HARDER_EPOCHS": 1, "TIDY": 1}
    net, history = variables["trained_harder"]("simplenet-pair", True)
    assert net.config == describe("simplenet-pair")["config"]
    assert len(history) == 2
    assert history.attrs["learning_rate"] == describe("simplenet-pair")["training"]["learning_rate"]


# --- Chapter 4 ----------------------------------------------------------------------------------


def procap_files(folder: Path) -> None:
    """A genome, reads, peaks, background and mappability, under the chapter's names."""
    files = simulator.write_files(simulator.simulate(60, seed=3), folder / "mine")
    for theirs, mine in {
        "genome.fa": "hg38.fa",
        "genome.fa.fai": "hg38.fa.fai",
        "PRO-cap_plus.bw": "procap.plus.bw",
        "PRO-cap_minus.bw": "procap.minus.bw",
    }.items():
        (files / theirs).rename(folder / mine)
    tss = pd.read_csv(files / "tss.tsv", sep="\t")
    tss.columns = ["chrom", "tss", "strand"]
    for name, shift in (("peaks.bed", 0), ("background.bed", 500)):
        start = tss["tss"] + shift
        bed = pd.DataFrame({"chrom": tss["chrom"], "start": start, "end": start + 100})
        bed.to_csv(folder / name, sep="\t", header=False, index=False)
    with (
        pyBigWig.open(str(folder / "procap.plus.bw")) as reads,
        pyBigWig.open(str(folder / "k36.bw"), "w") as mappable,
    ):
        lengths = reads.chroms()
        mappable.addHeader(list(lengths.items()))
        for chrom, length in lengths.items():
            mappable.addEntries([chrom] * 2, [0, 3000], ends=[2500, length], values=[1.0, 1.0])


def test_chapter_4_cuts_windows_from_files_and_trains_on_them(elsewhere):
    procap_files(elsewhere)
    variables = run("04", "BUILD_DATASET", BUILD_DATASET=True, TRAIN=["procapnet"], EPOCHS=1)
    train, valid = variables["data_set"]()
    assert len(train.codes) + len(valid.codes) < 120  # chromosomes 8 and 9 are kept out
    assert 0 < (~train.mappable).mean() < 0.5
    assert train.peak.sum() == (~train.peak).sum() > 0
    assert set(trained(variables, epochs=1)) == {"procapnet"}
    assert variables["models"]["procapnet"][1].attrs["data"] == "own files"
    assert written(elsewhere) == {"procapnet.state"}


def test_chapter_4_trains():
    variables = run("04", "TRAIN", TRAIN=True, N_LOCI=400, N_TRAIN=60, EPOCHS=1)
    masked, naive = trained(variables, epochs=1).values()
    assert not torch.equal(masked.fconv.weight, naive.fconv.weight)


def test_chapter_4_trains_on_yeast():
    """The recipe of the page on real DNA, on simulated windows."""
    variables = run("04-real", "TRAIN", TRAIN=["small-networks", *YEAST])
    made = simulator.simulate_procap(60, seed=17)
    rows = split_by_chromosome(made.loci["chrom"], ["chr10"], ["chr8", "chr9"])
    windows = simulator.peak_windows(made, np.arange(60))
    nets = [variables["yeast_trained"](seed, windows, rows, epochs=1) for seed in (17, 18, 17)]
    assert not torch.equal(nets[0].fconv.weight, nets[1].fconv.weight)
    assert torch.equal(nets[0].fconv.weight, nets[2].fconv.weight)  # from what was kept
    shipped = ProCapNet.from_pretrained(YEAST[0])
    assert not torch.equal(nets[0].fconv.weight, shipped.fconv.weight)
    x = one_hot_codes(made.sequences[:, :500])
    amount = torch.from_numpy(np.log2(1 + made.reads.sum((1, 2)))).float()
    found = variables["small_networks"](x, amount, rows, epochs=1)
    assert list(found) == ["toy CNN", "PromoterNet"]
    assert len(found) == len(rows.test)
    assert np.isfinite(found).all(axis=None)


def test_chapter_4_uses_the_published_networks(elsewhere, monkeypatch):
    """Seven folds out of an archive, their mean; XIST with letters as UCSC would send them."""
    torch.manual_seed(0)
    folds = {fold: ProCapNet(8).eval() for fold in range(7)}
    archive = encode_archive(elsewhere / "ENCFF976FHE.tar.gz", folds)
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 2114))
    fetched: dict[str, Callable] = {
        "fetch": {"ENCFF976FHE.tar.gz": archive}.__getitem__,
        "fetch_sequence": lambda chrom, start, end: letters[: end - start],
    }
    for name, stand_in in fetched.items():
        monkeypatch.setattr(f"tssbook.data.{name}", stand_in)
    variables = run("04-real", "ENCODE", ENCODE=True)
    assert "published" in variables["who"]
    assert [type(reader) for reader in variables["readers"]] == [FastProCapNet] * 7
    assert variables["dna"] == letters
    x = variables["one_hot"]([letters])
    proba, count = variables["read_dna"](x)
    with torch.no_grad():
        both = [net(x) for net in folds.values()]
    wanted = torch.stack([procapnet.to_proba(profile) for profile, _ in both]).mean(0)
    torch.testing.assert_close(proba, wanted, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(count, torch.stack([c for _, c in both]).mean(0))
