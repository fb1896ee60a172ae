"""The solutions of Chapter 2, run once: the checks accept them, and their text is true.

Trainings differ in their last digits from one processor to the next, so that their outputs are
tagged nbval-ignore-output; here they are held to what the text says of them.
"""

from __future__ import annotations

import pytest

from tools.notebooks import ROOT

NOTEBOOK = ROOT / "solutions" / "02-promoter-expression.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


@pytest.mark.parametrize("exercise", ["first", "second", "third"])
def test_check_accepts_the_solution(solutions, exercise):
    assert solutions[exercise].passed, solutions[exercise].message


def test_network_learns_the_noise_of_the_copied_genes_alone(solutions):
    table = solutions["leak_table"]
    assert table.loc["leaked", "r before"] < table.loc["leaked", "ceiling"] - 0.03
    assert table.loc["leaked", "r after"] > table.loc["leaked", "ceiling"]
    assert table.loc["leaked", "r after"] - table.loc["leaked", "r before"] > 0.05
    assert abs(table.loc["leaked", "noise before"]) < 0.15
    assert table.loc["leaked", "noise after"] > 0.4
    assert table.loc["others", ["noise before", "noise after"]].abs().max() < 0.12
    for others in ("others", "all test genes"):
        assert abs(table.loc[others, "r after"] - table.loc[others, "r before"]) < 0.03


def test_hardly_anything_is_left_after_shuffling(solutions):
    r = solutions["composition"]
    assert r["network, promoters as they are"] > 0.75
    assert r["network, shuffled"] < 0.3
    assert r["ridge on pairs"] > r["network, shuffled"] + 0.1
    assert r["ridge on pairs"] > r["share of G + C"]
    predictions = solutions["shuffled_prediction"], solutions["before"]
    assert predictions[0].std() < 0.3 * predictions[1].std()
    assert predictions[0].mean() < predictions[1].mean() - 1  # a weak promoter


def test_top_positions_lie_in_the_motif_that_is_deleted(solutions):
    stretch = solutions["stretch"]
    assert all(stretch.start <= position < stretch.stop for position in solutions["top_two"])
    assert solutions["strongest"]["motif"] == "NRF1"


def test_network_exaggerates_this_deletion(solutions):
    measured, truth = solutions["measured_change"], solutions["true_change"]
    assert measured < solutions["expected_change"] < 0  # the guess was too small
    assert 1.5 < measured / truth < 2.7  # twice what it is worth
    best = solutions["test"][solutions["best"]]
    assert solutions["before"].max() > solutions["true_value"][best] + 1  # the highest: too high
    above, highest = solutions["above"], solutions["highest"]
    assert above[solutions["best"]] > 2  # much too high
    assert abs(above[highest].mean()) < 0.5  # the forty highest are not


def test_new_bases_make_no_motif(solutions):
    scan, mutant = solutions["simulator"].scan(solutions["mutant"]), solutions["mutant"]
    whole, changed = solutions["whole"], solutions["mutant"] != solutions["whole"]
    assert mutant.shape == whole.shape
    first, last = changed[0].nonzero()[0][[0, -1]]
    assert last - first < 16
    across = (scan["position"] <= first) & (scan["position"] + scan["width"] > last)
    assert not across.any()


def test_network_knows_the_motifs_and_not_their_places(solutions):
    assert solutions["r_deletions"] > 0.7
    motifs, nrf1 = solutions["by_motif"], solutions["nrf1"]
    assert motifs["model"].idxmin() == motifs["truth"].idxmin() == "NRF1"
    assert abs(nrf1["model"] - nrf1["truth"]).iloc[0] < 0.6
    near, far = nrf1["truth"]
    assert 0.3 < far / near < 0.65  # about half
    near, far = nrf1["model"]
    assert far / near > 0.75  # as much as a near one
    assert motifs.loc["U1 snRNP", "truth"] > 0.2
    assert abs(motifs.loc["U1 snRNP", "model"]) < 0.2
