"""The playground's page: loci that nobody was trained on, and data that fit what they are of."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.support import needs_mirror
from tools.notebooks import ROOT, read
from tssbook import simulator
from tssbook.models import describe
from tssbook.sequence import one_hot

NOTEBOOK = ROOT / "chapters" / "playground.ipynb"
MIDDLE, SHOWN = 2114 // 2, slice(557, 1557)


def dense(pairs):
    values = np.zeros(1000)
    values[np.array(pairs[::2], int) + 500] = pairs[1::2]
    return values


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


def test_simulated_loci_are_held_out_and_have_their_truth(chapter):
    made, split, chosen = chapter["made"], chapter["split"], chapter["CHOSEN"]
    genes = made.loci.set_index("gene")
    ours = {k: one for k, one in chapter["loci"].items() if one["world"] == "simulated"}
    assert len(ours) == len(chosen) == 4
    for (name, one), row in zip(ours.items(), chosen.values(), strict=True):
        assert genes.loc[name, "chrom"] in ("chr8", "chr9")
        assert genes.loc[name, "family"] == -1
        codes = made.sequences[split.test[row]][None]
        truth = simulator.procap_rates(codes)[0, :, 2325 - 500 : 2325 + 500]
        assert one["reads"] == pytest.approx(truth.sum(1), abs=0.01)
        found = np.array([dense(pairs) for pairs in one["tracks"]])
        np.testing.assert_allclose(found, truth, rtol=5e-3, atol=truth.max() / 900)
        letters = "".join("ACGT"[b] for b in codes[0, 2325 - MIDDLE : 2325 + MIDDLE])
        assert one["letters"] == letters


def test_the_sharp_and_the_broad_locus_are_those_of_chapter_4(chapter):
    """Chapter 4 prints neither; its rule is repeated here, and the game needs its x_one."""
    reads = chapter["reads"]
    chosen, total = chapter["CHOSEN"], reads.sum((1, 2))
    enough = (total >= 500) & chapter["made"].mappable[chapter["split"].test][
        :, chapter["asked"]
    ].all(1)
    highest = reads.max((1, 2)) / np.maximum(total, 1)
    assert chosen["broad"] == np.where(enough, highest, np.inf).argmin()
    assert chapter["at"].iloc[chosen["sharp"]]["gene"] == chapter["game"]["locus"] == "G000884"


def test_networks_are_described_by_their_checkpoints(chapter):
    for name, about in chapter["networks"].items():
        data = describe(name)["training"]["data"]
        assert ("simulated" in data) == (about["world"] == "simulated")
        if about["world"] == "yeast":
            assert "without chrIV, chrXII (test) and chrVII (validation)" in data
    names = chapter["networks"]["simplenet"]["names"]
    assert names[3] == "TATA"
    assert names[19] == "SP"


def test_the_optimiser_wins_its_own_game(chapter):
    assert chapter["rival"].after[0] > 0.95
    assert len(chapter["rival"].edits) <= 10


def test_words_are_what_they_say(chapter):
    for words in chapter["WORDS"].values():
        assert all(one_hot([word]).sum() == len(word) for _, word in words)
    best = {"TATA box": "TATA", "initiator": "Long Inr"}
    motifs = dict(zip(simulator.truth().names, simulator.truth().pwms, strict=True))
    for name, word in chapter["WORDS"]["simulated"]:
        pwm = motifs[best.get(name, name)]
        assert word == "".join("ACGT"[b] for b in pwm.argmax(0))


def test_the_names_of_yeasts_filters_are_those_of_chapter_3(chapter):
    """The table of Chapter 3 on real DNA has them, with their verdicts."""
    page = read(ROOT / "chapters" / "03-real.ipynb")
    cell = next(cell for cell in page.cells if cell.id == "yeast-motifs")
    text = "".join(out.data["text/html"] for out in cell.outputs if "data" in out)
    rows = {
        factor: re.findall(r"<td>(.*?)</td>", row)
        for factor, row in re.findall(r"<th>([A-Z]+\d+)</th>(.*?)</tr>", text, re.DOTALL)
    }
    named = {"SPT15": "TATA", "REB1": "Reb1", "ABF1": "Abf1", "DOT6": "Dot6"}
    assert {factor for factor, row in rows.items() if "named" in row} == set(named)
    wanted = {int(rows[factor][0]): name for factor, name in named.items()}
    assert chapter["networks"]["simplenet-yeast"]["names"] == wanted


@needs_mirror
def test_yeast_is_what_was_measured(chapter):
    """Held-out chromosomes; ATG in the middle; most reads of a gene are on its strand."""
    genes = chapter["baker"].genes.set_index("name")
    ours = {k: one for k, one in chapter["loci"].items() if one["world"] == "yeast"}
    assert set(ours) == set(chapter["GENES"])
    for name, one in ours.items():
        assert genes.loc[name, "chrom"] in ("chrIV", "chrXII")
        assert one["letters"][MIDDLE : MIDDLE + 3] == "ATG"
        assert sum(map(sum, (dense(p) for p in one["tracks"]))) <= sum(one["reads"])
        assert one["reads"][0] > 0.9 * sum(one["reads"])
        assert all(value == int(value) for pairs in one["tracks"] for value in pairs)
    networks = chapter["networks"]
    assert [len(one["letters"]) for one in networks.values()] == [40, 64, 40, 64]
    assert networks["simplenet-yeast"]["letters"][31].startswith("CGT")
