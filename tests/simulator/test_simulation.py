"""Simulated loci: the same bytes for the same seed, as real and as noisy as said."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from tssbook.data.tracks import TRACKS
from tssbook.simulator import (
    MOTIFS,
    log_rate,
    noise_ceiling,
    rates,
    recovery,
    scan,
    simulate,
    simulation,
    truth,
)
from tssbook.simulator.loci import make_loci

N, L, TSS = 2000, 4650, 2325


@pytest.fixture(scope="module")
def loci():
    """Without reads."""
    return simulate(N, seed=3, tracks=False)


@pytest.fixture(scope="module")
def reads():
    return simulate(300, seed=3)


@pytest.fixture(scope="module")
def short():
    """Of two blocks, as `reads`, but quicker to make again."""
    return simulate(300, seed=3, length=2000)


def frame(simulation) -> pd.DataFrame:
    return simulation.loci.assign(noise=simulation.loci["expression"] - simulation.loci["log_rate"])


# --- the same bytes ---------------------------------------------------------------------------


def digest(simulation) -> str:
    """Of all that a simulation holds."""
    total = hashlib.sha256()
    for array in (simulation.sequences, simulation.tracks, simulation.mappable):
        total.update(np.ascontiguousarray(array).tobytes())
    for table in (simulation.loci, simulation.instances):
        total.update(table.to_csv(index=False, lineterminator="\n").encode())
    return total.hexdigest()[:16]


def test_same_seed_same_bytes_on_every_computer():
    assert digest(simulate(20, seed=7, length=2000)) == "6db76b46305464c5"


def test_another_seed_other_bases(reads):
    other = simulate(20, seed=4, tracks=False)
    assert (other.sequences != reads.sequences[:20]).mean() > 0.5


def test_the_first_loci_do_not_depend_on_how_many_follow(loci, reads):
    assert np.array_equal(loci.sequences[:300], reads.sequences)  # nor on whether reads are drawn
    pd.testing.assert_frame_equal(loci.loci[:300], reads.loci)


def test_the_first_reads_do_not_depend_on_how_many_follow(short):
    assert np.array_equal(simulate(260, seed=3, length=2000).tracks, short.tracks[:260])


def test_on_disk_as_in_memory(short, tmp_path):
    stored = simulate(300, seed=3, length=2000, folder=tmp_path)
    assert isinstance(stored.tracks, np.memmap)
    assert digest(stored) == digest(short)
    pd.testing.assert_frame_equal(stored.loci, short.loci)
    pd.testing.assert_frame_equal(stored.instances, short.instances)


def test_a_finished_folder_is_only_opened(tmp_path, monkeypatch):
    first = digest(simulate(30, seed=3, length=2000, folder=tmp_path))
    monkeypatch.setattr(simulation, "_block", None)
    assert digest(simulate(30, seed=3, length=2000, folder=tmp_path)) == first


def test_an_interrupted_folder_is_gone_on_with(short, tmp_path, monkeypatch):
    block = simulation._block

    def fails(number, *arguments):
        if number == 1:
            raise KeyboardInterrupt
        return block(number, *arguments)

    monkeypatch.setattr(simulation, "_block", fails)
    with pytest.raises(KeyboardInterrupt):
        simulate(300, seed=3, length=2000, folder=tmp_path)
    draw, drawn = simulation.draw_reads, []

    def watched(rng, codes, mappable):
        drawn.append(len(codes))
        return draw(rng, codes, mappable)

    monkeypatch.setattr(simulation, "_block", block)
    monkeypatch.setattr(simulation, "draw_reads", watched)
    assert digest(simulate(300, seed=3, length=2000, folder=tmp_path)) == digest(short)
    assert drawn == [50]  # no reads again for the first block


def test_rows_that_were_cut_inside_a_block_are_gone_on_with(short, tmp_path, monkeypatch):
    write = simulation.Writer.write

    def half(self, start, **parts):
        write(self, start, **{name: part[:130] for name, part in parts.items()})
        raise KeyboardInterrupt

    monkeypatch.setattr(simulation.Writer, "write", half)
    with pytest.raises(KeyboardInterrupt):
        simulate(300, seed=3, length=2000, folder=tmp_path)
    monkeypatch.undo()
    assert digest(simulate(300, seed=3, length=2000, folder=tmp_path)) == digest(short)


def test_memory_stays_bounded_on_disk(tmp_path):
    code = (
        "import resource, sys; from tssbook.simulator import simulate\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "simulate(500, seed=1, length=2000, folder=sys.argv[1] + '/a'); few = peak()\n"
        "many = simulate(2000, seed=1, length=2000, folder=sys.argv[1] + '/b')\n"
        "print(many.tracks.nbytes / 2**20, peak() - few)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    size, more = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert float(size) > 75  # megabytes
    assert float(more) < 40


# --- sequences --------------------------------------------------------------------------------


def composition(x: np.ndarray) -> tuple[float, float]:
    """GC content, and CpG over what C and G would give."""
    c, g = (x == 1).mean(), (x == 2).mean()
    return c + g, ((x[:, :-1] == 1) & (x[:, 1:] == 2)).mean() / (c * g)


@pytest.mark.parametrize(
    ("left", "right", "gc", "cpg"),
    # 237 human promoters, measured: GC content and CpG ratio from left to right of the TSS.
    [(-2300, -1500, 0.461, 0.32), (-200, 0, 0.615, 0.75), (0, 200, 0.61, 0.71),
     (1200, 2300, 0.459, 0.30)],
)  # fmt: skip
def test_composition_is_that_of_human_promoters(loci, left, right, gc, cpg):
    ours = composition(loci.sequences[:, TSS + left : TSS + right])
    assert ours == pytest.approx((gc, cpg), abs=0.03)


def test_promoter_classes_differ(loci):
    middle = loci.sequences[:, TSS - 250 : TSS + 250]
    kind = loci.loci["promoter_class"]
    gc = {name: composition(middle[kind == name])[0] for name in kind.unique()}
    assert gc["CpG island"] > 0.63 > 0.55 > gc["intermediate"] > gc["AT-rich"]
    assert (kind == "CpG island").mean() == pytest.approx(0.6, abs=0.04)


def test_no_motif_is_rare(loci):
    planted = loci.instances[loci.instances["planted"]]
    share = planted.groupby("motif")["locus"].nunique() / N
    assert set(share.index) == {motif.name for motif in MOTIFS}
    assert share.min() > 0.13
    assert share.max() < 0.85


def test_matches_by_chance_are_few_but_there(loci):
    chance = loci.instances[~loci.instances["planted"]]
    per_kb = chance.groupby("motif").size() / N / (L / 1000)
    assert (per_kb < 0.3).all()
    assert per_kb.sum() > 0.2


def test_motifs_stand_where_they_are_said_to(loci):
    planted = loci.instances[loci.instances["planted"] & (loci.instances["strand"] == "+")]
    tata = planted[planted["motif"] == "TATA"]["anchor"] - TSS
    assert tata.between(-33, -27).mean() > 0.75  # the others belong to other start sites
    u1 = planted[planted["motif"] == "U1 snRNP"]["anchor"] - TSS
    assert u1.between(30, 250).mean() > 0.75


def test_some_promoters_have_a_start_site_on_the_other_strand(loci):
    minus = loci.instances[loci.instances["planted"] & (loci.instances["strand"] == "-")]
    tata = minus[minus["motif"] == "TATA"]["anchor"] - TSS  # TATA has one direction
    assert 0.01 * N < tata.between(-170, -20).sum() < 0.25 * N


def test_instances_are_a_scan_of_the_sequences(loci):
    found = scan(loci.sequences[:50])
    ours = loci.instances[loci.instances["locus"] < 50]
    assert np.array_equal(np.array(truth().names)[found["motif"]], ours["motif"])
    columns = ["locus", "position", "width", "anchor", "strand", "score", "strength"]
    pd.testing.assert_frame_equal(found[columns], ours[columns])


def test_repeats_are_masked_and_stay_away_from_motifs(loci):
    assert 0.1 < (~loci.mappable).any(1).mean() < 0.2
    lost = (~loci.mappable).sum(1)
    assert set(lost) <= {0, 120, 180, 240, 300}
    assert loci.mappable[:, TSS - 200 : TSS + 200].all()
    planted = loci.instances[loci.instances["planted"]]
    assert loci.mappable[planted["locus"], planted["anchor"]].mean() > 0.999
    # Copies of one repeat are alike: among loci with a repeat of 300 bp some pairs agree almost.
    copies = np.stack([loci.sequences[i][~loci.mappable[i]] for i in np.nonzero(lost == 300)[0]])
    same = (copies[1:] == copies[0]).mean(1)
    assert (same > 0.9).any()


# --- genes ------------------------------------------------------------------------------------


def test_expression_is_log_rate_and_noise(loci):
    table = frame(loci)
    assert table["log_rate"].to_numpy() == pytest.approx(log_rate(loci.sequences), abs=1e-4)
    assert table["noise"].std() == pytest.approx(1.5, rel=0.06)
    r = np.corrcoef(table["log_rate"], table["expression"])[0, 1]
    assert 0.87 < r < 0.93
    assert noise_ceiling(loci).loc["expression", "pearson_r"] == pytest.approx(r)


def test_most_of_expression_is_decided_upstream(loci):
    upstream = loci.sequences.copy()
    upstream[:, TSS:] = 4
    assert np.corrcoef(log_rate(upstream), loci.loci["log_rate"])[0, 1] > 0.95


def test_composition_alone_does_not_decide(loci):
    gc = np.isin(loci.sequences[:, TSS - 2000 : TSS], (1, 2)).mean(1)
    assert 0.3 < np.corrcoef(gc, loci.loci["expression"])[0, 1] < 0.55


def test_families_share_chromosome_sequence_and_noise(loci):
    table = frame(loci)
    relatives = table[table["family"] >= 0]
    assert len(relatives) / N == pytest.approx(0.25, abs=0.05)
    sizes = relatives.groupby("family").size()
    assert sizes.between(2, 5).all()
    assert (relatives.groupby("family")["chrom"].nunique() == 1).all()
    first = relatives.groupby("family").head(1)
    second = relatives.groupby("family").nth(1)
    changed = (loci.sequences[first.index] != loci.sequences[second.index]).mean(1)
    assert (changed < 0.35).all()
    assert changed.mean() == pytest.approx(0.11, abs=0.04)
    assert np.corrcoef(first["noise"], second["noise"])[0, 1] > 0.5
    others = table[table["family"] < 0]["noise"].to_numpy()
    assert abs(np.corrcoef(others[1:], others[:-1])[0, 1]) < 0.1


def test_chromosomes_for_testing_have_genes(loci):
    share = loci.loci["chrom"].value_counts(normalize=True)
    assert len(share) == 23
    assert 0.09 < share["chr8"] + share["chr9"] < 0.15
    assert 0.08 < share["chr10"] < 0.13
    assert loci.loci["strand"].eq("+").mean() == pytest.approx(0.5, abs=0.04)
    assert loci.loci["gene"].is_unique


def test_places_on_chromosomes(loci):
    table = loci.loci
    plus = table["strand"] == "+"
    # [tss - 2325, tss + 2325) on +; shifted by 1 on -, so that the TSS is in the middle again.
    assert (table["tss"] - table["start"])[plus].unique().tolist() == [2325]
    assert (table["tss"] - table["start"])[~plus].unique().tolist() == [2324]
    for _, rows in table.groupby("chrom"):
        assert (np.diff(rows["start"]) == L + 350).all()
    begins = table.groupby("chrom").first()
    assert (begins.loc["chr8", "tss"], begins.loc["chr8", "strand"]) == (900, "+")


# --- reads ------------------------------------------------------------------------------------


def test_reads_are_as_many_as_the_rates_say(reads):
    expected = rates(reads.sequences) * reads.mappable[:, None]
    totals = expected.sum(2, dtype=float)
    z = (reads.tracks.sum(2) - totals) / np.sqrt(totals)
    assert abs(z.mean()) < 0.1
    assert z.std() == pytest.approx(1, abs=0.05)  # 3,000 Poisson numbers
    high = expected > 5
    z = (reads.tracks[high] - expected[high]) / np.sqrt(expected[high])
    assert abs(z.mean()) < 0.02
    assert z.std() == pytest.approx(1, abs=0.02)


def test_no_reads_on_repeats(reads):
    assert reads.tracks.sum(1)[~reads.mappable].sum() == 0
    assert (rates(reads.sequences).sum(1)[~reads.mappable] > 0).all()


def test_cage_is_a_share_of_encode_cage(reads):
    sums = reads.tracks.sum((0, 2))
    assert sums[0] / sums[1] == pytest.approx(0.61357, rel=0.02)
    assert sums[9] / sums[8] == pytest.approx(0.61357, rel=0.02)


def test_initiation_is_as_sharp_as_it_is(reads):
    """GRO-cap of K562 at 331 start sites of chr22: 28 % on the top base, half on 3, 80 % on 10."""
    around = reads.tracks[:, TRACKS.index("GRO-cap+"), TSS - 100 : TSS + 100].astype(float)
    around = around[around.sum(1) >= 50]
    highest = -np.sort(-around, axis=1) / around.sum(1, keepdims=True)
    assert 0.15 < np.median(highest[:, 0]) < 0.35
    assert 2 <= np.median((highest.cumsum(1) < 0.5).sum(1) + 1) <= 5
    assert 7 <= np.median((highest.cumsum(1) < 0.8).sum(1) + 1) <= 14
    assert (around == 0).mean() == pytest.approx(0.8, abs=0.05)


def test_sense_is_stronger_than_antisense(reads):
    sums = reads.tracks[:, :, TSS - 100 : TSS + 100].sum((0, 2))
    assert (sums[:5] > 1.5 * sums[:4:-1]).all()


# --- ceilings ---------------------------------------------------------------------------------


def test_noise_ceiling_by_a_plain_loop(short):
    reads = short._replace(**{name: getattr(short, name)[:60] for name in short._fields[:4]})
    ceiling = noise_ceiling(reads)
    assert ceiling.index.tolist() == ["expression", *TRACKS]
    expected, r, jsd = rates(reads.sequences), [], []
    for row in range(60):
        seen = reads.mappable[row]
        p, q = expected[row, 3][seen].astype(float), reads.tracks[row, 3][seen].astype(float)
        r.append(np.corrcoef(p, q)[0, 1])
        p, q = p / p.sum(), q / q.sum()
        m = (p + q) / 2
        halves = [sum(a * np.log(a / b) for a, b in zip(x, m, strict=True) if a) for x in (p, q)]
        jsd.append(np.sqrt(sum(halves) / 2))
    assert ceiling.loc["GRO-cap+", "pearson_r"] == pytest.approx(np.mean(r))
    assert ceiling.loc["GRO-cap+", "jsd"] == pytest.approx(np.mean(jsd))
    assert ceiling.loc["GRO-cap+", "counts_r"] > 0.98


# --- recovery ---------------------------------------------------------------------------------


def test_the_truth_recovers_itself():
    found = recovery(truth().pwms, truth().curves[:, 0])
    assert found["found"].all()
    assert found["match"].tolist() == list(range(10))
    assert found["r"].min() > 0.999
    assert found["curve_r"].min() > 0.999


def test_recovery_of_shifted_reversed_scaled_and_missing_motifs():
    tata, sp = truth().pwms[1], truth().pwms[5]
    rng = np.random.default_rng(0)
    noise = rng.random((4, 12))
    filters = [
        np.pad(2 * tata - 0.5, ((0, 0), (7, 3))),  # weights in a wider filter
        torch.from_numpy(sp[::-1, ::-1].copy()),  # the reverse complement
        noise,
    ]
    found = recovery(filters)
    rows = found.set_index("motif")
    assert (rows.loc["TATA", "match"], rows.loc["TATA", "reverse"]) == (0, False)
    assert (rows.loc["SP", "match"], rows.loc["SP", "reverse"]) == (1, True)
    assert rows.loc[["TATA", "SP"], "found"].all()
    assert not rows.drop(["TATA", "SP"])["found"].any()


def test_recovery_of_a_part_of_a_motif():
    assert recovery([truth().pwms[7][:, 2:12]]).set_index("motif").loc["ZNF143", "found"]


def test_curves_of_a_reverse_complement_and_of_a_shifted_filter():
    pwm, curve = truth().pwms[1], truth().curves[1]
    backwards = recovery([pwm[::-1, ::-1].copy()], curve[1][None])
    assert backwards.loc[1, "curve_r"] > 0.999
    shifted = recovery([pwm], np.roll(curve[0], 12, axis=-1)[None])
    assert shifted.loc[1, "curve_r"] > 0.999
    wrong = recovery([pwm], curve[0, :, ::-1][None])
    assert wrong.loc[1, "curve_r"] < 0.5


def test_families_end_with_their_block():
    made = make_loci(np.random.default_rng(0), 40, 2000)
    sizes = np.bincount(made.family[made.family >= 0], minlength=1)
    assert set(sizes) <= {0, 2, 3, 4, 5}
