"""loop and state, when something goes wrong: the best weights stay, and a run can go on."""

from __future__ import annotations

import copy
import errno
import os
import re
import signal
import subprocess
import sys
import time
from functools import wraps
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from tests.support import Bomb, read_only_folder, refusal
from tests.training.training_runs import Noisy, Run, Walk, data, same, two_terms
from tssbook.training.batches import Batches
from tssbook.training.loop import TrainingDiverged, fit

ROOT = Path(__file__).resolve().parent.parent.parent


def at_call(number: int, action):
    """Loss terms that do something else in their call of that number (from 0).

    An epoch of `Run` is five calls: three batches of training data and two of validation data.
    """
    calls = iter(range(10**6))

    @wraps(two_terms)  # a state file knows the loss by its name
    def terms(model, prediction, target):
        result = two_terms(model, prediction, target)
        return action(result) if next(calls) == number else result

    return terms


def interrupt(_):
    raise KeyboardInterrupt


def ends_as(run: Run, state: Path, epochs: int) -> bool:
    """Whether a run from this state ends bit for bit as one that never stopped."""
    history, whole = run.fit(epochs, state), Run()
    expected = whole.fit(epochs)
    pd.testing.assert_frame_equal(history, expected, check_exact=True)
    return history.attrs == expected.attrs and same(run.everything(), whole.everything())


# --- the loss is no number ------------------------------------------------------------------


def spoil(value: float, term: str = "mse"):
    return lambda terms: terms | {term: terms[term] * value}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_no_number(value):
    run = Run()
    run.loss_terms = at_call(11, spoil(value))  # two epochs of 5 calls, then batch 1 of epoch 2
    with pytest.raises(TrainingDiverged) as caught:
        run.fit(5)
    error = caught.value
    twin = Run()
    expected = twin.fit(2)

    # Two epochs of three steps, and the step on batch 0.
    assert f"at step 7 (epoch 2, batch 1 of the training data: loss {value}" in str(error)
    assert f", mse {value}, penalty 0." in str(error)
    assert "its weights of epoch 1" in str(error)
    assert "\n" not in str(error)
    run.train.set_epoch(2)
    assert same(error.batch, list(run.train)[1])
    pd.testing.assert_frame_equal(error.history, expected, check_exact=True)
    assert error.history.attrs == {"best_epoch": 1, "stopped": "diverged"}
    assert same(run.model.state_dict(), twin.model.state_dict())


def test_loss_that_is_no_number_in_the_first_step():
    run = Run()
    before = Run().model.state_dict()
    run.loss_terms = at_call(0, spoil(float("nan")))
    message = refusal(lambda: run.fit(5), TrainingDiverged)
    assert "step 0 (epoch 0, batch 0 of the training data: loss nan" in message
    assert "the weights it came with" in message
    assert same(run.model.state_dict(), before)


def test_the_term_at_fault_is_named():
    run = Run()
    run.loss_terms = at_call(0, spoil(float("nan"), "penalty"))
    message = refusal(lambda: run.fit(1), TrainingDiverged)
    assert "loss nan, mse " in message
    assert "penalty nan)" in message
    assert "mse nan" not in message


def test_infinite_validation_loss():
    run = Run()
    run.loss_terms = at_call(9, spoil(float("inf")))  # the last batch of epoch 1's validation
    with pytest.raises(TrainingDiverged) as caught:
        run.fit(5)
    assert "step 6 (epoch 1, batch 1 of the validation data: loss inf" in str(caught.value)
    assert len(caught.value.history) == 1
    assert same(caught.value.batch, list(run.valid)[1])
    twin = Run()
    twin.fit(1)
    assert same(run.model.state_dict(), twin.model.state_dict())


def test_a_training_that_diverges_by_itself():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e9)
    batch = [(torch.ones(2, 1), torch.zeros(2, 1))]
    terms = lambda m, prediction, target: {"mse": (prediction - target).square()}  # noqa: E731
    message = refusal(
        lambda: fit(model, batch, batch, terms, optimizer, epochs=50, seed=0), TrainingDiverged
    )
    assert "lower the learning rate" in message
    assert all(p.isfinite().all() for p in model.parameters())


def test_state_of_a_diverged_run_is_that_of_its_last_epoch(tmp_path):
    run = Run()
    run.loss_terms = at_call(11, spoil(float("nan")))
    refusal(lambda: run.fit(5, tmp_path / "state"), TrainingDiverged)
    assert len(torch.load(tmp_path / "state", weights_only=True)["rows"]) == 2
    assert ends_as(Run(start=1), tmp_path / "state", 4)


# --- interrupted ----------------------------------------------------------------------------


@pytest.mark.parametrize("call", [10, 12, 13, 14])  # all in epoch 2: training, then validation
def test_interrupted_run(tmp_path, call):
    run = Run()
    run.loss_terms = at_call(call, interrupt)
    before = torch.get_rng_state()
    history = run.fit(8, tmp_path / "state")
    assert torch.equal(torch.get_rng_state(), before)
    assert len(history) == 2
    assert history.attrs == {"best_epoch": 1, "stopped": "interrupted"}
    assert not any(module.training for module in run.model.modules())
    twin = Run()
    twin.fit(2)
    assert same(run.model.state_dict(), twin.model.state_dict())
    assert ends_as(Run(start=1), tmp_path / "state", 8)


def test_interrupted_while_the_best_weights_are_copied(tmp_path, monkeypatch):
    run, copies, deepcopy = Run(), iter(range(10**6)), copy.deepcopy

    def interrupted_in_epoch_2(weights):  # copy 0 is of the weights that the model came with
        return interrupt(weights) if next(copies) == 3 else deepcopy(weights)

    patched = SimpleNamespace(deepcopy=interrupted_in_epoch_2)
    monkeypatch.setattr("tssbook.training.state.copy", patched)
    history = run.fit(8, tmp_path / "state")
    monkeypatch.undo()
    assert len(history) == 2
    twin = Run()
    twin.fit(2)
    assert same(run.model.state_dict(), twin.model.state_dict())
    assert ends_as(Run(start=1), tmp_path / "state", 8)


def test_interrupted_and_gone_on_with_the_same_objects(tmp_path):
    run = Run()
    run.loss_terms = at_call(12, interrupt)
    run.fit(8, tmp_path / "state")
    run.loss_terms = two_terms
    assert ends_as(run, tmp_path / "state", 8)


def test_interrupted_before_the_first_epoch_ends(tmp_path):
    run = Run()
    run.loss_terms = at_call(2, interrupt)
    history = run.fit(8, tmp_path / "state")
    assert len(history) == 0
    assert history.attrs == {"best_epoch": None, "stopped": "interrupted"}
    assert same(run.model.state_dict(), Run().model.state_dict())
    assert not (tmp_path / "state").exists()


PROGRAM = """
import functools, signal, sys, time
import torch
from tests.training.training_runs import Run, two_terms

# A shell that starts jobs in the background lets them ignore this signal.
signal.signal(signal.SIGINT, signal.default_int_handler)

@functools.wraps(two_terms)
def slow(model, prediction, target):
    time.sleep(0.005)
    return two_terms(model, prediction, target)

run = Run()
run.loss_terms = slow
history = run.fit(100_000, sys.argv[1] + "/state")
torch.save(run.model.state_dict(), sys.argv[1] + "/weights")
print(history.attrs["stopped"], len(history))
"""


def test_signal_to_a_program_that_trains(tmp_path):
    state = tmp_path / "state"
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        deadline = time.monotonic() + 60
        while not state.exists() and program.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.15)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=60)
    assert (program.returncode, err) == (0, "")
    stopped, epochs = out.split()
    assert stopped == "interrupted"
    twin = Run()
    twin.fit(int(epochs))
    assert same(torch.load(tmp_path / "weights", weights_only=True), twin.model.state_dict())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state", "weights"]
    assert ends_as(Run(start=1), state, int(epochs) + 2)


# --- the state cannot be written ------------------------------------------------------------


def test_full_disk_leaves_the_old_state(tmp_path, monkeypatch):
    state = tmp_path / "state"
    Run().fit(2, state)
    before = state.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = Run(start=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left on device" in refusal(lambda: run.fit(8, state), OSError)
    assert state.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["state"]
    twin = Run()
    twin.fit(3)  # the epoch that could not be stored counts for the model in memory
    assert same(run.model.state_dict(), twin.model.state_dict())
    assert ends_as(Run(start=1), state, 8)


def test_folder_that_cannot_be_written():
    walk = Walk([3.0, 1.0, 2.0])
    with read_only_folder() as folder:
        assert "Permission denied" in refusal(lambda: walk.fit(state=folder / "state"), OSError)
        assert list(folder.iterdir()) == []
    assert walk.weight == 1


# --- the state does not fit -----------------------------------------------------------------


@pytest.fixture
def state(tmp_path) -> Path:
    """A good state of `Run()` after two epochs, to be spoiled."""
    Run().fit(2, tmp_path / "state")
    return tmp_path / "state"


def with_model(run: Run, model: nn.Module) -> Run:
    run.model, run.scheduler = model, None
    run.optimizer = torch.optim.Adam(model.parameters())
    return run


def with_optimizer(run: Run) -> Run:
    run.optimizer, run.scheduler = torch.optim.SGD(run.model.parameters(), lr=0.1), None
    return run


def with_gamma(run: Run, gamma: float) -> Run:
    run.scheduler.gamma = gamma
    return run


def with_dropout(share: float) -> Noisy:
    model = Noisy()
    model.layers[3].p = share
    return model


class Other(Noisy):
    """Same tensors, another class."""


@pytest.mark.parametrize(
    ("run", "options", "complaint"),
    [
        (Run, {"seed": 18}, "its seed is 17, not 18"),
        (lambda: with_model(Run(), Other()), {}, "its model is Noisy, not Other"),
        (
            lambda: with_model(Run(), Noisy(9)),
            {},
            "(8, 4)",
        ),
        (lambda: with_optimizer(Run()), {}, "its optimizer is Adam, not SGD"),
        (lambda: Run(scheduler="plateau"), {}, "its scheduler is StepLR, not ReduceLROnPlateau"),
        (lambda: Run(scheduler="none"), {}, "its scheduler is StepLR, not NoneType"),
        (lambda: with_gamma(Run(), 0.1), {}, "'gamma': 0.5"),
        (lambda: with_model(Run(), with_dropout(0.3)), {}, "Dropout(p=0.5"),
        (lambda: with_model(Run(), Noisy().double()), {}, "torch.float32"),
    ],
    ids=[
        "seed",
        "model",
        "shapes",
        "optimizer",
        "scheduler",
        "no scheduler",
        "gamma",
        "dropout",
        "dtype",
    ],
)
def test_state_of_another_training(state, run, options, complaint):
    other, before = run(), state.read_bytes()
    weights = {name: tensor.clone() for name, tensor in other.model.state_dict().items()}
    message = refusal(lambda: other.fit(4, state, **options))
    assert str(state) in message
    assert complaint in message
    assert state.read_bytes() == before
    assert same(other.model.state_dict(), weights)


@pytest.mark.parametrize("row", [0, 11, 39])
def test_state_of_other_data(state, row):
    """Also where one number in one row differs."""
    run, (x, y) = Run(), data()
    x[row, 2] += 1e-3
    run.train = Batches(x, y, batch_size=16, seed=3)
    found, wanted = Run().train.about["content"], run.train.about["content"]
    complaint = f"its content of the training data is {found}, not {wanted}"
    assert complaint in refusal(lambda: run.fit(4, state))


def test_state_of_a_loader_with_other_data(tmp_path):
    run = Run(kind="loader")
    run.fit(1, tmp_path / "state")
    other = Run(kind="loader")
    x, y = data()
    other.train = DataLoader(TensorDataset(x, 100 + y), batch_size=16, shuffle=True)
    assert "content of the training data" in refusal(lambda: other.fit(2, tmp_path / "state"))


def test_a_loader_with_missing_targets_may_have_a_state(tmp_path):
    """A loss of one's own may leave NaN out; the digest of the data does not mind."""
    run = Run(kind="loader")
    x, y = data()
    y[3] = float("nan")
    run.train = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    run.loss_terms = known_only
    run.fit(1, tmp_path / "state")


def known_only(model, prediction, target):
    known = ~target.isnan()
    return {"mse": (prediction[known] - target[known]).square()}


def test_settings_that_hold_functions_are_the_same_in_another_process(tmp_path):
    run = Run()
    run.model.config = {"act": torch.relu, "of": Run.fit}
    run.fit(1, tmp_path / "state")
    about = torch.load(tmp_path / "state", weights_only=True)["about"]
    assert "0x" not in str(about)


def test_what_a_model_was_trained_on_stays_where_nothing_changes():
    run = Run()
    run.model.trained_on = {"length": 2114, "data": "5f1d"}
    run.fit(0)
    assert run.model.trained_on == {"length": 2114, "data": "5f1d"}
    run.loss_terms = at_call(
        7, lambda _: {"mse": torch.tensor(float("nan"))}
    )  # in the second epoch
    with pytest.raises(TrainingDiverged):
        run.fit(3)
    assert run.model.trained_on == {"length": 4, "data": run.train.about["content"]}


def test_a_model_may_answer_with_more_than_rows():
    run = Run()
    run.model.forward = lambda x: {"of x": run.model.layers(x), "penalty": x.sum()}
    run.loss_terms = lambda model, p, t: {"mse": (p["of x"] - t).square()}
    assert len(run.fit(1)) == 1


def test_state_of_a_wrapped_model_is_that_of_the_one_inside(tmp_path):
    run = Run()
    run.model = torch.compile(run.model, backend="eager")
    run.fit(1, tmp_path / "state")
    assert len(Run().fit(2, tmp_path / "state")) == 2


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"clip_norm": -1}, "clip_norm is -1"),
        ({"clip_norm": 0}, "clip_norm is 0"),
        ({"clip_norm": float("nan")}, "clip_norm is nan"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"seed": None}, "seed is None"),
    ],
)
def test_numbers_that_are_none(options, wanted):
    assert wanted in refusal(lambda: Run().fit(**{"epochs": 1} | options))


def test_a_model_that_loses_rows():
    run = Run()
    run.model.forward = lambda x: run.model.layers(x)[1:]
    run.loss_terms = lambda model, p, t: {"mse": (p - t[1:]).square()}
    assert "(15,) for 16" in refusal(lambda: run.fit(1))


def test_frozen_weights_lbfgs_and_batches_that_are_none():
    run = Run()
    run.model.requires_grad_(False)
    assert "frozen" in refusal(lambda: run.fit(1))
    run = Run()
    run.optimizer, run.scheduler = torch.optim.LBFGS(run.model.parameters()), None
    assert "LBFGS" in refusal(lambda: run.fit(1))
    run = Run()
    run.train = [{"x": 1}]
    assert "a dict; wanted a tuple of tensors" in refusal(lambda: run.fit(1), TypeError)
    run = Run()
    run.loss_terms = lambda model, p, t: {"mse": (p - t).square(), "penalty": 0.1}
    assert "'penalty' as a float" in refusal(lambda: run.fit(1), TypeError)


def test_state_of_a_newer_version(state):
    content = torch.load(state, weights_only=True)
    content["format"] = 4
    torch.save(content, state)
    assert re.search("another version.* 4, not 3", refusal(lambda: Run().fit(4, state)))


def test_state_of_an_older_version(state):
    content = torch.load(state, weights_only=True)
    del content["format"]
    content["about"] = {"format": 1, "model": "Noisy", "seed": 17}
    torch.save(content, state)
    assert re.search("another version.* 1, not 3", refusal(lambda: Run().fit(4, state)))


def broken(state: Path) -> str:
    """The refusal of this file, checked for what all of them must say and leave alone."""
    run, before = Run(), state.read_bytes()
    message = refusal(lambda: run.fit(4, state))
    assert f"{state} is not the state of a training" in message
    assert state.read_bytes() == before
    assert same(run.model.state_dict(), Run().model.state_dict())
    return message


@pytest.mark.parametrize("keep", [0, 1, 100, 2000, -100, -10, -1])
def test_truncated_state(state, keep):
    state.write_bytes(state.read_bytes()[:keep])
    broken(state)


def test_random_bytes(state):
    rng = np.random.default_rng(0)
    for _ in range(50):
        state.write_bytes(rng.bytes(rng.choice([1, 2, 5, 20, 100, 1000])))
        broken(state)


@pytest.mark.parametrize(
    "content",
    [
        None, 5, "state", [1], torch.zeros(3), {}, {"about": 5}, {"about": None},
        {"weight": torch.zeros(2)},
    ],
    ids=repr,
)  # fmt: skip
def test_something_else_in_the_file(state, content):
    torch.save(content, state)
    broken(state)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_bomb_does_not_go_off(state, tmp_path, zipped):
    crater = tmp_path / "crater"
    content = torch.load(state, weights_only=True) | {"bomb": Bomb(str(crater))}
    torch.save(content, state, _use_new_zipfile_serialization=zipped)
    assert "UnpicklingError" in broken(state)
    assert not crater.exists()
    torch.load(state, weights_only=False)  # the bomb is a real one
    assert crater.exists()


def test_state_that_is_a_folder(tmp_path):
    assert f"{tmp_path} is a folder" in refusal(lambda: Run().fit(1, tmp_path))


# --- the data do not fit --------------------------------------------------------------------


def shuffled_by_itself(where: str) -> DataLoader:
    dataset, generator = TensorDataset(*data()), torch.Generator().manual_seed(0)
    if where == "loader":
        return DataLoader(dataset, batch_size=16, shuffle=True, generator=generator)
    return DataLoader(dataset, batch_size=16, sampler=RandomSampler(dataset, generator=generator))


@pytest.mark.parametrize("where", ["loader", "sampler"])
def test_a_generator_of_its_own_cannot_be_resumed(tmp_path, where):
    run = Run()
    run.train = shuffled_by_itself(where)
    message = refusal(lambda: run.fit(2, tmp_path / "state"))
    assert "generator of their own" in message
    assert list(tmp_path.iterdir()) == []
    assert len(run.fit(2)) == 2  # without a state there is nothing to fear


PARTS = pytest.mark.parametrize(("which", "name"), [("train", "training"), ("valid", "validation")])


@PARTS
def test_no_batches(which, name):
    run = Run()
    setattr(run, which, [])
    assert f"The {name} data gave no batch in epoch 0; wanted" in refusal(lambda: run.fit(2))


@PARTS
def test_generator_that_is_used_up_after_the_first_epoch(which, name):
    run, twin = Run(), Run()
    setattr(run, which, (batch for batch in list(getattr(run, which))))
    message = refusal(lambda: run.fit(2))
    assert f"The {name} data gave no batch in epoch 1" in message
    assert "pass a list" in message
    twin.fit(1)
    if which == "valid":  # the same batches in the same order: the weights of epoch 0 are kept
        assert same(run.model.state_dict(), twin.model.state_dict())


@pytest.mark.parametrize("terms", [{}, {"loss": torch.ones(1), "penalty": torch.ones(1)}])
def test_terms_that_cannot_be_added_up(terms):
    run = Run()
    run.loss_terms = lambda *_: terms
    assert f"the terms {list(terms)}; wanted" in refusal(lambda: run.fit(1))


def test_error_in_the_loss_goes_through_and_the_best_weights_stay():
    def fail(_):
        raise RuntimeError("mine")

    run, twin = Run(), Run()
    run.loss_terms = at_call(12, fail)
    assert refusal(lambda: run.fit(5), RuntimeError) == "mine"
    twin.fit(2)
    assert same(run.model.state_dict(), twin.model.state_dict())


def test_patience_of_no_epoch():
    model, x = torch.nn.Linear(1, 1), torch.ones(2, 1)
    with pytest.raises(ValueError, match="patience is 0; wanted 1"):
        fit(model, [(x, x)], [(x, x)], None, None, epochs=1, seed=0, patience=0)


def test_another_learning_rate_is_another_training(state):
    other = Run()
    other.optimizer = torch.optim.Adam(other.model.parameters(), lr=0.5)
    message = refusal(lambda: other.fit(4, state))
    assert "its optimizer settings is {'lr': " in message


def test_workers_that_stay_cannot_be_resumed(tmp_path):
    model, x = torch.nn.Linear(1, 1), torch.ones(2, 1)
    loader = DataLoader(TensorDataset(x, x), num_workers=1, persistent_workers=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    message = refusal(
        lambda: fit(model, loader, [], None, optimizer, epochs=1, seed=0, state=tmp_path / "s")
    )
    assert "persistent_workers" in message


def test_loss_that_is_no_dict():
    model, x = torch.nn.Linear(1, 1), torch.ones(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss = lambda model, p, t: (p - t).square()  # noqa: E731
    message = refusal(
        lambda: fit(model, [(x, x)], [(x, x)], loss, optimizer, epochs=1, seed=0), TypeError
    )
    assert "returned a Tensor; wanted a dict" in message
