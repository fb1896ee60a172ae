"""state: a file is taken up by the training that wrote it, and by no other."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
from torch.utils.data import DataLoader, TensorDataset

from tests.support import refusal
from tests.training.training_runs import Run, data, same, source, two_terms
from tssbook.training.batches import Batches

X, Y = data()
LAST_CHANGED = Y.clone()
LAST_CHANGED[-1] += 1


def other_terms(model, prediction, target):
    return two_terms(model, prediction, target)


def weighted(model, prediction, target, weight):
    return {"mse": weight * (prediction - target).square()}


def turned(generator, x, y):
    return x.flip(0), y.flip(0)


def loader(batch_size: int, rows: int = 40) -> DataLoader:
    return DataLoader(TensorDataset(X[:rows], Y[:rows]), batch_size=batch_size, shuffle=True)


@pytest.mark.parametrize(
    ("one", "other", "complaint"),
    [
        ({}, {"terms": other_terms}, r"loss_terms is \S+\.two_terms, not \S+\.other_terms;"),
        (
            {"terms": partial(weighted, weight=2)},
            {"terms": partial(weighted, weight=3)},
            r"loss_terms is \S+\.weighted .*2.*, not \S+\.weighted .*3",
        ),
        ({}, {"clip_norm": 1}, r"clip_norm is None, not 1\.0;"),
        ({"clip_norm": 2}, {"clip_norm": 1}, r"clip_norm is 2\.0, not 1\.0;"),
    ],
    ids=["loss", "settings of the loss", "clipping", "norm"],
)
def test_another_loss_or_clipping_is_another_training(tmp_path, one, other, complaint):
    def train(terms=two_terms, **options):
        run = Run()
        run.loss_terms = terms
        return run.fit(2, tmp_path / "state", **options)

    train(**one)
    assert re.search(complaint, refusal(lambda: train(**other)))
    assert train(**one).attrs["stopped"] == "finished"


@pytest.mark.parametrize("part", ["training", "validation"])
@pytest.mark.parametrize(
    ("tensors", "options", "complaint"),
    [
        ((X + 1, Y), {}, "content"),
        ((X, LAST_CHANGED), {}, "content"),
        ((X, Y.double()), {}, "content"),
        ((X, Y), {"rows": [*range(38), 39, 38]}, "content"),
        ((X, Y), {"rows": range(20)}, "number of rows of the {} data is 40, not 20;"),
        ((X[:20], Y[:20]), {}, "number of rows of the {} data is 40, not 20;"),
        ((X, Y), {"seed": 4}, "seed of the {} data is 3, not 4;"),
        ((X, Y), {"seed": None}, "seed of the {} data is 3, not None;"),
        ((X, Y), {"batch_size": 20}, "batch size of the {} data is 16, not 20;"),
        ((X, Y), {"transform": turned}, r"transform of the {} data is None, not \S+\.turned;"),
    ],
)
def test_other_data_are_another_training(tmp_path, part, tensors, options, complaint):
    def train(tensors, **options):
        run = Run()
        made = Batches(*tensors, **{"batch_size": 16, "seed": 3} | options)
        setattr(run, "train" if part == "training" else "valid", made)
        return run.fit(1, tmp_path / "state")

    if complaint == "content":
        complaint = "content of the {} data is ([0-9a-f]+), not (?!\\1)[0-9a-f]+;"
    train((X, Y))
    assert re.search(complaint.format(part), refusal(lambda: train(tensors, **options)))
    assert len(train((X.clone(), Y.clone()))) == 1  # the same numbers anew


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (lambda: source("batches"), r"class of the training data is DataLoader, not \S+\.Batches;"),
        (lambda: list(loader(16)), "class of the training data is DataLoader, not list;"),
        (lambda: loader(20), "batch size of the training data is 16, not 20;"),
        (lambda: loader(16, rows=30), "number of batches of the training data is 3, not 2;"),
    ],
    ids=["class", "list", "batch size", "rows"],
)
def test_other_loaders_are_another_training(tmp_path, other, complaint):
    run = Run(kind="loader")
    run.fit(1, tmp_path / "state")
    run.train = other()
    assert re.search(complaint, refusal(lambda: run.fit(2, tmp_path / "state")))


def test_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "state"
    Run().fit(2, path)
    whole = path.read_bytes()
    twin = Run()
    twin.fit(3)
    rng, sentences = np.random.default_rng(0), []
    for at, mask in rng.integers((0, 1), (len(whole), 256), (60, 2)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        run = Run(start=1)
        try:
            run.fit(3, path)
        except ValueError as error:
            sentences.append(str(error))
        else:  # a byte that is nobody's, between two members
            assert same(run.model.state_dict(), twin.model.state_dict())
    assert len(sentences) > 30
    assert all(str(path) in sentence for sentence in sentences)
