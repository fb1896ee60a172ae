"""A checkpoint over many loci: the numbers of one process, from a genome or from a store."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support import refusal
from tssbook import interpret, models, training
from tssbook.data import BigWigs, Fasta, genome, write_bigwigs
from tssbook.interpret import Totals, total
from tssbook.models import ProCapNet, PromoterNet, SimpleNet, save
from tssbook.models.puffin import to_counts
from tssbook.scale import asking, attribute, build_tracks, ism, open_store, predict, tile
from tssbook.scale.asking import identity
from tssbook.sequence import one_hot_codes


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Small networks with random weights: path by class."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    nets = [
        PromoterNet(n_filters=(8, 6, 4), n_hidden=4),
        ProCapNet(n_filters=4, n_layers=2),
        SimpleNet(n_motifs=3, n_initiators=2),
    ]
    return {type(net): save(net.eval(), folder / type(net).__name__) for net in nets}


@pytest.fixture
def windows(simulated) -> pd.DataFrame:
    """The 200 bp upstream of 150 genes."""
    return genome.windows(simulated / "tss.tsv", 200, 0)


def one_process(checkpoints, kind, simulated, windows):
    net = kind.from_pretrained(checkpoints[kind])
    return net, one_hot_codes(genome.sequences(simulated / "genome.fa", windows))


def require_equal(store, **wanted) -> None:
    assert set(store.arrays) == set(wanted)
    for name, tensor in wanted.items():
        assert np.asarray(store.arrays[name]).tobytes() == tensor.numpy().tobytes(), name


def test_predictions_and_effects_of_a_genome(client, checkpoints, simulated, windows, tmp_path):
    net, x = one_process(checkpoints, PromoterNet, simulated, windows)
    path, source = checkpoints[PromoterNet], simulated / "genome.fa"
    made = predict(tmp_path / "p.zarr", path, source, windows, client=client)
    require_equal(made, predictions=training.predict(net, x))
    assert made.tables["loci"].astype(str).equals(windows.astype(str))
    made = ism(tmp_path / "i.zarr", path, source, windows, client=client)
    require_equal(made, effects=interpret.ism(net, x))
    assert made.arrays["effects"].shape == (150, 4, 200)


def test_a_store_as_source(client, checkpoints, files, simulated, tmp_path):
    built = build_tracks(tmp_path / "a.zarr", **files, client=client)
    made = predict(
        tmp_path / "p.zarr", checkpoints[PromoterNet], tmp_path / "a.zarr", client=client
    )
    net = PromoterNet.from_pretrained(checkpoints[PromoterNet])
    x = one_hot_codes(built.arrays["sequences"][:])
    require_equal(made, predictions=training.predict(net, x))
    assert made.made_from["source"] == built.made_from


def test_two_heads_and_a_function_of_them(client, checkpoints, simulated, windows, tmp_path):
    net, x = one_process(checkpoints, ProCapNet, simulated, windows)
    path, source = checkpoints[ProCapNet], simulated / "genome.fa"
    made = predict(tmp_path / "p.zarr", path, source, windows, client=client)
    profile, counts = training.predict(net, x)
    require_equal(made, predictions_0=profile, predictions_1=counts)
    made = predict(tmp_path / "f.zarr", path, source, windows, func=counts_only, client=client)
    require_equal(made, predictions=counts[:, 0])
    message = refusal(
        lambda: predict(tmp_path / "f.zarr", path, source, windows, client=client), FileExistsError
    )
    assert "whose func is" in message
    some = windows[:70]
    made = ism(tmp_path / "i.zarr", path, source, some, func="count", client=client)
    require_equal(made, effects=interpret.ism(net, x[:70], "count"))


def counts_only(model, x):
    return model(x)[1][:, 0]


def test_attributions(client, checkpoints, simulated, windows, tmp_path):
    inside = windows[(windows["start"] >= 0)].iloc[:70]
    net, x = one_process(checkpoints, ProCapNet, simulated, inside)
    options = {"func": "count", "seed": 3, "n_shuffles": 2}
    made = attribute(
        tmp_path / "a.zarr", checkpoints[ProCapNet], simulated / "genome.fa", inside,
        **options, client=client,
    )  # fmt: skip
    require_equal(made, **interpret.attribute(net, x, **options)._asdict())


def test_totals_of_simplenet(client, checkpoints, simulated, windows, tmp_path):
    wide = genome.windows(simulated / "tss.tsv", 350, 350)[:3]
    net, x = one_process(checkpoints, SimpleNet, simulated, wide)
    path, source = checkpoints[SimpleNet], simulated / "genome.fa"
    made = ism(tmp_path / "i.zarr", path, source, wide, client=client)
    require_equal(made, effects=interpret.ism(Totals(net), x))
    assert made.arrays["effects"].shape == (3, 4, 700, 10)
    made = predict(tmp_path / "p.zarr", path, source, wide, func=counted, client=client)
    require_equal(made, predictions=to_counts(training.predict(net, x)))


def counted(model, x):
    return to_counts(model(x))


def test_tiles_meet_and_cover_every_base():
    tiles = tile({"chr1": 25, "chr2": 10}, 14, 10)
    assert tiles.values.tolist() == [
        ["chr1", -2, 12, "+"], ["chr1", 8, 22, "+"], ["chr1", 18, 32, "+"], ["chr2", -2, 12, "+"],
    ]  # fmt: skip
    for sizes, wanted in [((10, 14), "either end"), ((13, 10), "either end"), ((10, 0), "output")]:
        assert wanted in refusal(lambda sizes=sizes: tile({"chr1": 25}, *sizes))


def test_a_whole_genome_becomes_bigwigs(client, checkpoints, tmp_path):
    rng = np.random.default_rng(0)
    letters = {"chr1": 9_000, "chr2": 55}
    (tmp_path / "genome.fa").write_text(
        "".join(f">{c}\n{''.join(rng.choice(list('ACGT'), n))}\n" for c, n in letters.items())
    )
    lengths = Fasta(tmp_path / "genome.fa").lengths
    tiles = tile(lengths, 300, 100)
    made = predict(
        tmp_path / "p.zarr", checkpoints[ProCapNet], tmp_path / "genome.fa", tiles,
        func=middle, client=client,
    )  # fmt: skip
    paths = [tmp_path / "p.plus.bw", tmp_path / "p.minus.bw"]
    write_bigwigs(paths, made.arrays["predictions"], made.tables["loci"], lengths)
    predictions = np.asarray(made.arrays["predictions"])
    read = BigWigs(paths).read(["chr1", "chr2"], [0, 0], 9_000)
    assert np.array_equal(read[0], predictions[:90].transpose(1, 0, 2).reshape(2, 9_000))
    assert np.array_equal(read[1, :, :55], predictions[90, :, :55])


def middle(model, x):
    """Both strands' profiles of the middle 100 bp, above 0."""
    profile = model(x)[0].exp()
    margin = (profile.shape[-1] - 100) // 2
    return profile[..., margin : margin + 100]


def test_what_is_refused_before_anything_is_begun(
    client, checkpoints, simulated, windows, tmp_path
):
    path, source, out = checkpoints[PromoterNet], simulated / "genome.fa", tmp_path / "a.zarr"

    def refused(error=ValueError, call=predict, **change):
        options = {"model": path, "source": source, "loci": windows, "client": client} | change
        return refusal(lambda: call(out, **options), error)

    assert "tssbook.models.save(model, path) writes one" in refused(TypeError, model=PromoterNet())
    assert "no checkpoint 'promotor'" in refused(FileNotFoundError, model="promotor")
    assert "no loci are given" in refused(loci=None)
    assert "2 lengths" in refused(loci=windows.assign(end=windows["end"] + (windows.index == 7)))
    assert "no chromosome 'chrQ'" in refused(loci=windows.assign(chrom="chrQ"))
    assert "a shuffle needs to know each base" in refused(
        call=attribute, model=checkpoints[ProCapNet], func="count", seed=0,
        loci=windows[:2].assign(start=[-50, 3500], end=[150, 3700]),
    )  # fmt: skip
    far = windows.assign(start=windows["start"] + 10**6, end=windows["end"] + 10**6)
    assert "150 of 150 windows lie wholly outside their chromosomes" in refused(loci=far)
    assert "the strand '.'; wanted '+' or '-'" in refused(loci=windows.assign(strand="."))
    assert "wanted whole numbers" in refused(loci=windows.assign(start=windows["start"] + 0.5))
    assert "wanted (1,) or (1, K)" in refused(TypeError, call=ism, func=flat)
    assert not out.exists()


def flat(model, x):
    return model(x).sum()


def test_gigabytes_are_refused(client, checkpoints, simulated, tmp_path):
    wide = genome.windows(simulated / "tss.tsv", 1000, 0)[:65]
    message = refusal(
        lambda: ism(
            tmp_path / "a.zarr", checkpoints[ProCapNet], simulated / "genome.fa", wide,
            client=client,
        )
    )  # fmt: skip
    assert "64 loci would take" in message
    assert "give a func that keeps less" in message


def test_a_checkpoint_that_was_replaced_is_another_run(
    client, checkpoints, simulated, windows, tmp_path
):
    path, source = tmp_path / "net", simulated / "genome.fa"
    save(PromoterNet(n_filters=(8, 6, 4), n_hidden=4).eval(), path)
    first = predict(tmp_path / "a.zarr", path, source, windows, client=client)
    save(PromoterNet(n_filters=(8, 6, 4), n_hidden=4).eval(), path)
    with pytest.raises(FileExistsError, match="whose model is"):
        predict(tmp_path / "a.zarr", path, source, windows, client=client)
    second = predict(tmp_path / "b.zarr", path, source, windows, client=client)
    assert not np.array_equal(*(np.asarray(s.arrays["predictions"]) for s in (first, second)))
    assert models.describe(path)["sha256"] == open_store(tmp_path / "b.zarr").made_from["model"][1]


def test_a_worker_refuses_another_checkpoint_of_the_same_name(checkpoints):
    path = checkpoints[PromoterNet]
    with pytest.raises(models.CheckpointError, match="has sha256"):
        asking._model(path, "0" * 64)


def test_a_function_is_known_by_its_name_its_text_and_what_it_holds():
    first = identity(lambda model, x: model(x)[0])
    second = identity(lambda model, x: model(x)[1])
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert identity(counted) == identity(counted)
    assert identity(torch.exp)[0].endswith("exp")  # none of Python's own, without a text
    assert identity("totals") == "totals"
    assert identity(total("CAGE+")) == identity(total("CAGE+")) != identity(total("CAGE-"))
    weights = torch.ones(3)
    message = refusal(lambda: identity(lambda model, x: model(x) * weights))
    assert "holds weights, a Tensor, by which it cannot be known again" in message


def test_predictions_of_a_named_func(client, checkpoints, simulated, windows, tmp_path):
    net, x = one_process(checkpoints, ProCapNet, simulated, windows)
    path, source = checkpoints[ProCapNet], simulated / "genome.fa"
    made = predict(tmp_path / "p.zarr", path, source, windows, func="count", client=client)
    require_equal(made, predictions=training.predict(net, x)[1])
    message = refusal(lambda: predict(tmp_path / "q", path, source, windows, func="sum"))
    assert "func is 'sum'; wanted" in message


def test_a_warning_of_a_worker_comes_to_the_client_once(client, simulated, windows, tmp_path):
    save(PromoterNet(n_filters=(8, 6, 4), n_hidden=4).half().eval(), tmp_path / "half")
    with pytest.warns(RuntimeWarning, match="predicted in full for every change") as caught:
        ism(
            tmp_path / "a.zarr", tmp_path / "half", simulated / "genome.fa", windows[:70],
            client=client,
        )  # fmt: skip
    assert len(caught) == 2  # one of the first locus, which the client asks, one of all others


def test_the_slurm_script_of_the_page():
    jobqueue = pytest.importorskip("dask_jobqueue")
    with jobqueue.SLURMCluster(
        queue="short", account="lab", cores=16, processes=16, memory="64GB", walltime="04:00:00",
        job_script_prologue=["export OMP_NUM_THREADS=1"],
        scheduler_options={"dashboard_address": "127.0.0.1:0"},
    ) as cluster:  # fmt: skip
        script = cluster.job_script()
    for line in ("-p short", "-A lab", "--cpus-per-task=16", "--mem=60G", "-t 04:00:00"):
        assert f"#SBATCH {line}" in script, script
    assert "export OMP_NUM_THREADS=1" in script
    assert "--nthreads 1 --memory-limit 3.73GiB --nworkers 16" in script
