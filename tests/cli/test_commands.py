"""Each command on simulated files: what it writes, what it says, how it ends."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyBigWig
import pytest
import torch

from tools.notebooks import ROOT
from tssbook.cli import main
from tssbook.data import Fasta, open_store, read_peaks, split_by_chromosome
from tssbook.data.genome import sequences
from tssbook.data.store import locked
from tssbook.interpret import attribute, ism, score_variants, total
from tssbook.metrics import pearson_r
from tssbook.models import ProCapNet, PromoterNet, SimpleNet, describe, procapnet, save
from tssbook.motifs import read_meme
from tssbook.sequence import one_hot_codes
from tssbook.training import predict

SPLIT = ["--valid", "chr10", "--test", "chr8", "--test", "chr9"]
GENOME = ["--fasta", "genome.fa", "--out"]
USE = ["--loci", "few.bed", *GENOME]
SMALL = ["--set", "n_filters=4", "--set", "n_layers=1", "--epochs", "1"]


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, sample: Path):
    """Run a command line in this process, in the folder of the sample."""
    monkeypatch.chdir(sample)

    def call(*words: object) -> Said:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["tssbook", *map(str, words)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        with warnings.catch_warnings(action="default"), pytest.raises(SystemExit) as ended:
            main()
        return Said(ended.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated files, a trained network and four peaks, made by the commands themselves."""
    folder = tmp_path_factory.mktemp("cli")
    strands = ["--plus", "PRO-cap_plus.bw", "--minus", "PRO-cap_minus.bw"]
    peaks = ["--fasta", "genome.fa", "--loci", "peaks.bed", *strands]
    for words in (
        ["data", "simulate", "sample", "--loci", "150", "--seed", "3"],
        ["train", "mine", "--model", "ProCapNet", *peaks, *SPLIT, *SMALL, "--licence", "MIT"],
    ):
        here = folder if words[0] == "data" else folder / "sample"
        command = [sys.executable, "-m", "tssbook", *words]
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    table = pd.read_csv(folder / "sample" / "peaks.bed", sep="\t", header=None)
    table[3], table[4], table[5] = "p", 0, ["+", "-"] * (len(table) // 2)
    (folder / "sample" / "bf.yaml").write_text("model: ProCapNet\n")
    save(PromoterNet(n_filters=[4, 4, 4]), folder / "sample" / "prom")
    few = table.head(4)
    few.to_csv(folder / "sample" / "few.bed", sep="\t", header=False, index=False)
    return folder / "sample"


# --- training -----------------------------------------------------------------------------------


def test_the_recipe_is_stored_with_the_checkpoint(sample: Path) -> None:
    about = describe(sample / "mine")
    assert about["recipe"]["settings"] == {"n_filters": 4, "n_layers": 1}
    assert about["recipe"]["test"] == ["chr8", "chr9"]
    assert about["licence"] == "MIT"
    assert set(about["assembly"]) >= {"chr8", "chr9", "chr10"}
    assert about["training"]["stopped"] == "finished"
    assert not (sample / "mine.state").exists()


def test_the_numbers_of_the_test_are_those_of_the_library(sample: Path) -> None:
    model = ProCapNet.from_pretrained(sample / "mine")
    length = 1000 + 2 * model.trim
    bigwigs = [sample / "PRO-cap_plus.bw", sample / "PRO-cap_minus.bw"]
    windows = read_peaks(sample / "genome.fa", bigwigs, sample / "peaks.bed", length=length)
    split = split_by_chromosome(windows.loci["chrom"], ["chr10"], ["chr8", "chr9"])
    assert describe(sample / "mine")["n"] == {p: len(getattr(split, p)) for p in split._fields}
    held_out = windows.subset(split.test)
    found = predict(model, one_hot_codes(held_out.codes[:, 200:-200]))
    middle = held_out.codes.shape[1] // 2
    counts = torch.from_numpy(held_out.reads[..., middle - 500 : middle + 500])
    assert held_out.mappable.all()
    r = pearson_r(procapnet.to_reads(*found).flatten(1), counts.flatten(1))
    said = describe(sample / "mine")["metrics"]["test"]["r of profiles"]
    assert said["value"] == pytest.approx(float(r[~r.isnan()].mean()), abs=1e-6)
    assert said["from"] < said["value"] < said["to"]


def test_a_stopped_training_goes_on(run, sample: Path) -> None:
    """Three epochs at a stretch are one epoch, a break, and two more: bit for bit."""
    recipe = json.loads((sample / "mine.json").read_text())["recipe"] | {"epochs": 3}
    assert recipe["clip_norm"] == 300  # as in Chapter 4
    (sample / "recipe.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    assert run("train", "whole", "--recipe", "recipe.yaml").code == 0
    command = [sys.executable, "-m", "tssbook", "train", "broken", "--recipe", "recipe.yaml"]
    with subprocess.Popen(command, cwd=sample, stderr=subprocess.PIPE, text=True) as child:
        while not (sample / "broken.state").exists():
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1]
    assert child.returncode == 130, said
    assert re.match(r"Error: Interrupted after [12] of 3 epochs; the same command goes on", said)
    assert not (sample / "broken.safetensors").exists()
    assert run("train", "broken", "--recipe", "recipe.yaml").code == 0
    assert (sample / "broken.safetensors").read_bytes() == (
        sample / "whole.safetensors"
    ).read_bytes()


def test_two_processes_train_as_one(sample: Path) -> None:
    recipe = json.loads((sample / "mine.json").read_text())["recipe"]
    (sample / "two.yaml").write_text(json.dumps(recipe))
    command = [sys.executable, "-m", "tssbook", "train", "two", "--recipe", "two.yaml", "--json"]
    done = subprocess.run(
        [*command, "--devices", "2", "--device", "cpu"],
        cwd=sample, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # of one process alone
    wanted = describe(sample / "mine")["training"]["history"]["valid_loss"]
    assert said["valid_loss"] == pytest.approx(min(wanted), rel=1e-5)


def test_the_other_two_networks(run, sample: Path) -> None:
    expression = ["--loci", "genes.bed", "--expression", "expression.tsv", "--fasta", "genome.fa"]
    sizes = ["--set", "n_filters=[4, 4, 4]", "--epochs", "1"]
    said = run("train", "promoter", "--model", "PromoterNet", *expression, *SPLIT, *sizes, "--json")
    assert said.code == 0, said.err
    assert set(said.json["test"]) == {"r of expression"}
    files = ["--plus", "PRO-cap_plus.bw", "--plus", "CAGE_plus.bw"]
    files += ["--minus", "PRO-cap_minus.bw", "--minus", "CAGE_minus.bw"]
    build = ["build", "loci", "--fasta", "genome.fa", "--loci", "tss.tsv", *files]
    said = run(*build, "--length", "900", "--json")
    assert said.json["arrays"] == {"sequences": [150, 900], "tracks": [150, 4, 900]}
    names = ["PRO-cap+", "CAGE+", "CAGE-", "PRO-cap-"]
    assert open_store("loci").tables["tracks"]["track"].tolist() == names
    few = ["--set", "n_motifs=2", "--set", "n_initiators=1", "--epochs", "1", "--length", "700"]
    said = run("train", "tracks", "--model", "SimpleNet", "--data", "loci", *SPLIT, *few)
    assert said.code == 0, said.err
    assert describe("tracks")["config"]["tracks"] == names
    assert (
        run("predict", "tracks", "--fasta", "genome.fa", "--loci", "few.bed", "--out", "t.bw").code
        == 0
    )
    assert sorted(path.name for path in sample.glob("t.*.bw")) == sorted(
        f"t.{name}.bw" for name in names
    )
    said = run("variants", "tracks", "variants.vcf", "--fasta", "genome.fa", "--out", "tracks.tsv")
    assert said.code == 0, said.err
    assert [c for c in pd.read_csv("tracks.tsv", sep="\t") if c.startswith("delta")] == [
        f"delta_{name}" for name in names
    ]


def test_tracks_are_those_of_the_genome_whatever_the_gene(run, sample: Path) -> None:
    """Of genes on the - strand too, in tables and in bigWigs."""
    names = describe("tracks")["config"]["tracks"]
    assert run("predict", "tracks", *USE, "sums.tsv").code == 0
    table = pd.read_csv("sums.tsv", sep="\t")
    assert table["strand"].tolist() == ["+", "-", "+", "-"]
    for name in names:
        with pyBigWig.open(f"t.{name}.bw") as file:
            for _, row in table.iterrows():
                values = file.values(row["chrom"], row["start"] + 325, row["end"] - 325)
                assert np.nansum(values) == pytest.approx(row[f"counts_{name}"], rel=1e-3)
    assert run("ism", "tracks", *USE, "all.bw").code == 0
    assert run("ism", "tracks", *USE, "one.bw", "--func", "CAGE+").code == 0
    assert (sample / "one.bw").read_bytes() == (sample / "all.CAGE+.bw").read_bytes()
    said = run("attribute", "tracks", *USE, "why.bw", "--shuffles", "1")
    assert 'wanted --func "PRO-cap+" or' in said.err
    said = run("attribute", "tracks", *USE, "why.bw", "--shuffles", "1", "--func", "CAGE+")
    assert said.code == 0, said.err
    model, row = SimpleNet.from_pretrained("tracks"), table.iloc[1]  # on the - strand
    x = one_hot_codes(sequences("genome.fa", table.iloc[1:2]))
    own = attribute(model, x, total("CAGE-"), seed=1, n_shuffles=1).contributions[0].sum(0)
    with pyBigWig.open("why.bw") as file:
        found = file.values(row["chrom"], int(row["start"]), int(row["end"]))
    np.testing.assert_allclose(found[::-1], own, atol=1e-5)


# --- uses ---------------------------------------------------------------------------------------


def test_predictions_as_bigwig_and_as_table(run, sample: Path) -> None:
    said = run("predict", "mine", *USE, "out.bw", "--json").json
    assert said == {"bigwigs": ["out.plus.bw", "out.minus.bw"], "loci": 4}
    assert run("predict", "mine", *USE, "out.tsv").code == 0
    table = pd.read_csv("out.tsv", sep="\t")
    with pyBigWig.open("out.plus.bw") as plus, pyBigWig.open("out.minus.bw") as minus:
        for _, row in table.iterrows():
            middle = (row["start"] + row["end"]) // 2
            place = row["chrom"], middle - 500, middle + 500
            reads = sum(np.nansum(file.values(*place)) for file in (plus, minus))
            assert np.log1p(reads) == pytest.approx(row["log_counts"], abs=1e-3)
    assert run("predict", "mine", *USE, "out.parquet", "--func", "strands").code == 0
    shares = np.exp(pd.read_parquet("out.parquet")[["log_share_plus", "log_share_minus"]])
    assert shares.sum(axis=1).tolist() == pytest.approx([1] * 4, abs=1e-5)


def test_effects_of_every_base(run, sample: Path) -> None:
    assert run("ism", "mine", *USE, "effects.npy").code == 0
    effects, table = np.load("effects.npy"), pd.read_csv("effects.loci.tsv", sep="\t")
    model = ProCapNet.from_pretrained("mine")
    fasta, length = Fasta("genome.fa"), 1000 + 2 * model.trim
    x = one_hot_codes(fasta.codes(table["chrom"][:1], table["start"][:1], length))
    wanted = ism(model, x, "count").numpy()
    np.testing.assert_allclose(effects[:1], wanted, atol=1e-6)
    assert run("ism", "mine", *USE, "effects.bw").code == 0
    with pyBigWig.open("effects.bw") as file:
        found = file.values(table["chrom"][0], int(table["start"][0]), int(table["end"][0]))
    np.testing.assert_allclose(found, -wanted[0].sum((0, 2)) / 3, atol=1e-5)


def test_contributions(run, sample: Path) -> None:
    how = ["--shuffles", "2", "--func", "count"]
    said = run("attribute", "mine", *USE, "shap.bw", *how, "--json")
    assert said.json["bigwigs"] == ["shap.bw"]
    assert run("attribute", "mine", *USE, "shap.npy", *how).code == 0
    table, model = pd.read_csv("shap.loci.tsv", sep="\t"), ProCapNet.from_pretrained("mine")
    length = 1000 + 2 * model.trim
    x = one_hot_codes(Fasta("genome.fa").codes(table["chrom"], table["start"], length))
    wanted = attribute(model, x, "count", seed=1, n_shuffles=2)
    np.testing.assert_allclose(np.load("shap.npy"), wanted.hypothetical, atol=1e-6)
    with pyBigWig.open("shap.bw") as file:
        found = file.values(table["chrom"][0], int(table["start"][0]), int(table["end"][0]))
    np.testing.assert_allclose(found, wanted.contributions[0].sum(0), atol=1e-6)


def test_variants_are_those_of_the_library(run, sample: Path) -> None:
    said = run("variants", "mine", "variants.vcf", "--fasta", "genome.fa", "--out", "v.tsv")
    assert said.code == 0, said.err
    found = pd.read_csv("v.tsv", sep="\t")
    model = ProCapNet.from_pretrained("mine")
    wanted = score_variants(model, "variants.vcf", "genome.fa")
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-4, atol=1e-5)
    assert len(found) == 20


def test_motifs(run, sample: Path) -> None:
    said = run("motifs", "filters", "mine", *USE, "mine.meme", "--sites", "20", "--json")
    assert said.code == 0, said.err
    motifs = read_meme("mine.meme")
    assert [row["filter"] for row in said.json["motifs"]] == list(motifs)
    assert all(row["nearest"] is None for row in said.json["motifs"])  # it has learned nothing
    scan = ["motifs", "scan", "mine.meme", "--fasta", "genome.fa", "--chrom", "chr8"]
    said = run(*scan, "--out", "m.tsv", "--json")
    table = pd.read_csv("m.tsv", sep="\t")
    assert said.json["matches"] == len(table) > 0
    assert set(table["chrom"]) == {"chr8"}


def test_files_of_the_book(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TSSBOOK_CACHE", str(tmp_path))
    monkeypatch.delenv("TSSBOOK_MIRROR", raising=False)
    rows = {row["name"]: row for row in run("data", "list", "--json").json["files"]}
    assert rows["puffin.pth"]["here"] is None
    assert run("data", "verify", "--json").json == {"verified": 0, "not_here": len(rows)}
    (tmp_path / "puffin.pth").write_bytes(b"damaged")
    said = run("data", "verify")
    assert said.code == 1
    assert "puffin.pth has 7 bytes; wanted" in said.err
    said = run("data", "fetch", "pufin.pth")
    assert (said.code, "choose puffin.pth" in said.err) == (1, True)


def test_doctor(run) -> None:
    said = run("doctor", "--json").json
    assert said["torch"] == torch.__version__
    assert said["extras"]["scale"] == "installed"


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["predict", "mine", *USE, "tss.tsv"], 1, "tss.tsv is there already"),
        (["predict", "mine", *USE, "x.csv"], 1, "wanted a name that ends in .tsv or .parquet or"),
        (["predict", "mine", *USE, "x.bw", "--func", "count"], 1, "wanted a table"),
        (["predict", "mine", *USE, "none/out.bw"], 1, "There is no folder none"),
        (["predict", "nobody", *USE, "x.bw"], 1, "there is no checkpoint 'nobody'"),
        (["predict", "mine", *USE, "x.bw", "--device", "gpu"], 1, "device is 'gpu'; wanted"),
        (["predict", "mine", *USE, "x.bw", "--batch-size", "0"], 1, "batch_size is 0"),
        (["ism", "mine", *USE, "x.tsv"], 1, "wanted a name that ends in .npy or .bw"),
        (["attribute", "mine", *USE, "x.bw", "--func", "sum"], 1, "'sum'"),
        (
            ["variants", "mine", "no.vcf", *GENOME, "x.parquet"],
            1,
            "wanted a name that ends in .tsv",
        ),
        (["variants", "mine", "peaks.bed", *GENOME, "x.tsv"], 1, "columns"),
        (["train", "mine", "--model", "ProCapNet"], 1, "mine.safetensors is there already"),
        (["train", "x", "--model", "ProCapNet"], 1, "ProCapNet needs fasta"),
        (["train", "x", "--model", "SimpleNet"], 1, "SimpleNet needs data"),
        (["train", "x", "--recipe", "bf.yaml", "--precision", "bf8"], 1, "'bf8' is invalid"),
        (
            ["train", "x", "--recipe", "bf.yaml", "--epochs", "0"],
            1,
            "epochs = 0; wanted more than 0",
        ),
        (["train", "x", "--recipe", "bf.yaml", "--devices", "0"], 1, "devices is 0"),
        (["train", "x", "--model", "SimpleNet", "--plus", "a"], 1, "SimpleNet does not take"),
        (["variants", "prom", "variants.vcf", *GENOME, "x.tsv"], 1, "a VCF says nothing of genes"),
        (["train", "x", "--epoch", "3"], 2, "No such option: --epoch"),
        (["train", "x", "--set", "n=1", "--model", "SimpleNet", "--data", "no"], 1, "about.json"),
        (["motifs", "scan", "peaks.bed", "--fasta", "genome.fa", "--out", "x.tsv"], 1, "MOTIF"),
        (["data", "simulate", "."], 1, "is there already"),
        (["nothing"], 2, "No such command"),
    ],
)
def test_one_sentence_and_nothing_written(
    run, sample: Path, words: list[str], code: int, sentence: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in sample.iterdir()}
    said = run(*words)
    assert said.code == code
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert code == 2 or len(said.err.strip().splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in sample.iterdir()} == before


@pytest.mark.parametrize(
    "words", [["ism", "mine", *USE, "stop.npy"], ["predict", "mine", *USE, "stop.bw"]]
)
def test_ctrl_c_leaves_nothing_behind(
    run, sample: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tssbook.cli.uses.ism", pressed)
    monkeypatch.setattr("tssbook.cli.uses.predict", pressed)
    before = set(sample.iterdir())
    said = run(*words)
    assert said.code == 130
    assert said.err.startswith("Error: Interrupted; what was being written is left out.")
    assert set(sample.iterdir()) == before


def test_loci_that_are_not_in_the_genome_are_reported(run, sample: Path) -> None:
    lines = (sample / "few.bed").read_text()
    (sample / "odd.bed").write_text(lines + "chrUn\t5\t9\tp\t0\t+\n")
    said = run("predict", "mine", "--fasta", "genome.fa", "--loci", "odd.bed", "--out", "odd.tsv")
    assert said.code == 0
    assert "genome.fa has no chromosome 'chrUn'" in said.out


def test_warnings_take_one_line(run, sample: Path) -> None:
    for strand in ("plus", "minus"):
        with pyBigWig.open(f"one.{strand}.bw", "w") as file:
            file.addHeader([("chr8", Fasta("genome.fa").lengths["chr8"])])
            file.addEntries("chr8", [5], values=[1.0], span=1)
    strands = ["--plus", "one.plus.bw", "--minus", "one.minus.bw"]
    said = run("build", "odd", "--fasta", "genome.fa", "--loci", "tss.tsv", *strands)
    first, second, last = said.err.strip().splitlines()
    assert first.startswith("Warning: one.plus.bw has no chromosome chr")
    assert second.startswith("Warning: one.minus.bw has no chromosome chr")
    assert last.startswith("Error: Of 150 loci ")


def test_a_table_beside_an_array_is_not_replaced(run, sample: Path) -> None:
    (sample / "mine.loci.tsv").write_text("keep me")
    said = run("ism", "mine", *USE, "mine.npy")
    assert (said.code, "mine.loci.tsv is there already" in said.err) == (1, True)
    assert (sample / "mine.loci.tsv").read_text() == "keep me"
    assert not (sample / "mine.npy").exists()


def test_an_n_is_said_before_the_work_begins(run, sample: Path) -> None:
    (sample / "edge.bed").write_text((sample / "few.bed").read_text() + "chr8\t0\t9\tp\t0\t+\n")
    words = ["--loci", "edge.bed", *GENOME, "edge.bw", "--func", "count"]
    said = run("attribute", "mine", *words)
    assert said.code == 1
    assert re.search(r"Error: The sequence of locus 4, at chr8:-\d+, has N", said.err)


def test_windows_of_n_are_warned_of(run, sample: Path) -> None:
    (sample / "start.bed").write_text("chr8\t0\t9\tp\t0\t+\nchr8\t9000\t9009\tp\t0\t+\n")
    said = run("predict", "mine", "--loci", "start.bed", *GENOME, "start.tsv")
    assert said.err.startswith("Warning: 1 of 2 windows have more than 10% N")
    assert pd.read_csv("start.tsv", sep="\t")["share_n"].round(1).tolist() == [0.5, 0]


def test_a_full_disk_is_said(run, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    before = set(sample.iterdir())
    for words in (["ism", "mine", *USE, "full.npy"], ["predict", "mine", *USE, "full.bw"]):
        said = run(*words)
        assert said.code == 1
        assert "has no room for 0 MB (No space left on device); free some space" in said.err
    assert set(sample.iterdir()) == before


def test_two_trainings_of_one_name(run, sample: Path) -> None:
    recipe = json.loads((sample / "mine.json").read_text())["recipe"]
    (sample / "again.yaml").write_text(json.dumps(recipe))
    with locked(sample / "again"):
        said = run("train", "again", "--recipe", "again.yaml")
    assert (said.code, "Another writer is at work in again" in said.err) == (1, True)


def test_published_weights_come_from_the_data_folder(run, sample: Path, monkeypatch) -> None:
    monkeypatch.setenv("TSSBOOK_CACHE", str(sample / "cache"))
    (sample / "cache").mkdir()
    (sample / "cache" / "puffin.pth").write_bytes(b"no weights")
    said = run("predict", "puffin.pth", *USE, "x.bw")
    assert "cache/puffin.pth" in said.err


# --- the script and the installed command -------------------------------------------------------


def test_five_lines(sample: Path, tmp_path: Path) -> None:
    for name in ("genome.fa", "peaks.bed", "PRO-cap_plus.bw", "PRO-cap_minus.bw", "variants.vcf"):
        (tmp_path / name).symlink_to(sample / name)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    script = ["sh", str(ROOT / "examples" / "five-lines.sh"), str(tmp_path)]
    done = subprocess.run(
        script, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    made = {"mine.safetensors", "predicted.plus.bw", "predicted.minus.bw", "effects.tsv"}
    assert made <= {file.name for file in tmp_path.iterdir()}


def test_without_typer_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from tssbook.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'the command needs the package typer: pip install "tssbook[cli]"' in done.stderr
