"""Networks that are not the chapters' own, all the way: other trimming, one track or two."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tssbook.data.peaks import Windows
from tssbook.interpret import attribute, filters, flip_strand, ism, score_variants, total
from tssbook.models import FastProCapNet, ProCapNet, SimpleNet, procapnet, puffin
from tssbook.sequence import decode, one_hot_codes
from tssbook.training import (
    TrackBatches,
    WindowBatches,
    enriched_words,
    fit,
    predict,
    start_from_words,
)

LENGTH, OUTPUT = 160, 54  # 10 + 2 + 4 + 37 = 53 are trimmed from each side


def codes(n: int, length: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (n, length)).astype(np.uint8)


def write(folder, chromosome: str, place: int) -> tuple:
    """A genome of one chromosome, and a change of one base with an insertion beside it."""
    ref, alt = chromosome[place], "ACGT"["CGTA".index(chromosome[place])]
    lines = [f"chr1\t{place + 1}\t.\t{ref}\t{a}\n" for a in (alt, ref + "GATT")]
    (folder / "x.vcf").write_text("".join(lines))
    (folder / "genome.fa").write_text(f">chr1\n{chromosome}\n")
    return folder / "x.vcf", folder / "genome.fa"


def test_a_procapnet_of_two_layers(tmp_path):
    rng, data = np.random.default_rng(1), codes(16, LENGTH + 20)
    reads = rng.poisson(2, (16, 2, LENGTH + 20))
    windows = Windows(data, reads, np.ones(data.shape, bool), np.arange(16) < 14)
    options = {"length": LENGTH, "output": OUTPUT, "batch_size": 8}
    torch.manual_seed(0)
    model = ProCapNet(8, 2)
    assert LENGTH - 2 * model.trim == OUTPUT
    optimizer = torch.optim.AdamW(model.parameters())
    batches = WindowBatches(windows, seed=0, jitter=10, **options)
    fit(model, batches, WindowBatches(windows, **options), procapnet.loss_terms, optimizer,
        epochs=1, seed=0, device="cpu")  # fmt: skip
    assert model.trained_on["length"] == LENGTH

    x = one_hot_codes(data[:2, 10:-10])
    profile, count = predict(model, x, device="cpu")
    assert (profile.shape, count.shape) == ((2, 2, OUTPUT), (2, 1))
    for found, wanted in zip(predict(FastProCapNet(model), x), (profile, count), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)

    changes, count_changes = ism(
        model, x, start=78, end=80
    )  # a warning where it is not the fast way
    assert changes.shape == (2, 4, 2, 2, OUTPUT)
    torch.testing.assert_close(
        ism(model, x, "count", start=78, end=80), count_changes, atol=1e-5, rtol=1e-3
    )
    for func in ("profile", "count"):
        found = attribute(model, x, func, seed=0, n_shuffles=2, device="cpu")
        assert found.deltas.abs().max() < 1e-4
    design = flip_strand(model, x[:1], seed=0, max_edits=4, max_iter=10, device="cpu")
    assert len(design.edits) <= 4
    assert sum(design.after) == pytest.approx(1, abs=1e-5)

    files = write(tmp_path, decode(one_hot_codes(codes(1, 600)))[0], 300)
    table = score_variants(model, *files)  # of the length that it was trained on
    pd.testing.assert_frame_equal(
        table, score_variants(FastProCapNet(model), *files), rtol=1e-3, atol=1e-5
    )
    assert (table["jsd"] > 0).all()
    with pytest.raises(ValueError, match=f"the model was trained on sequences of {LENGTH} bases"):
        score_variants(model, *files, length=2114)


@pytest.mark.parametrize("tracks", [["PRO-cap+", "PRO-cap-"], ["ATAC"]])
def test_a_simple_net_of_few_tracks(tmp_path, tracks):
    torch.manual_seed(0)
    data = codes(4, 660)
    x, reads = (
        one_hot_codes(data).float(),
        np.random.default_rng(1).poisson(2, (4, len(tracks), 660)),
    )
    model = SimpleNet(4, 2, tracks=tracks)
    start_from_words(model.conv, enriched_words(data, 2)["word"])
    batches = TrackBatches(data, np.log10(1 + reads), batch_size=2, seed=0, reverse_complement=True)
    fit(model, batches, batches, puffin.loss_terms, torch.optim.AdamW(model.parameters()),
        epochs=1, seed=0, device="cpu")  # fmt: skip
    model = puffin.symmetrised(model).eval()
    with torch.no_grad():
        flipped = puffin.reverse_complement_tracks(model(x))
        torch.testing.assert_close(model(x.flip(1, 2)), flipped, atol=1e-5, rtol=1e-4)

    assert set(filters.ranking(model)["track"]) <= set(tracks)
    assert filters.motif_effects(model, x, tracks[-1]).shape == (4, 8, 660)
    changes = ism(model, x[:1], "totals", start=329, end=331)
    assert changes.shape == (1, 4, 2, len(tracks))
    in_full = ism(model, x[:1], total(tracks[0]), start=329, end=331)
    torch.testing.assert_close(changes[..., 0], in_full, atol=1e-5, rtol=1e-3)
    files = write(tmp_path, decode(one_hot_codes(codes(1, 800)))[0], 400)
    table = score_variants(model, *files, func="totals")
    names = ["delta"] if len(tracks) == 1 else [f"delta_{track}" for track in tracks]
    assert list(table)[5:] == [*names, "padded"]
    assert (table[names] != 0).all(axis=None)
