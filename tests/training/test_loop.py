"""loop: one training, by hand where it can be, and bit for bit where it is resumed."""

from __future__ import annotations

from functools import wraps

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

from tests.training.training_runs import Run, Walk, data, same, two_terms
from tssbook.models.toy import ToyCNN, loss_terms, score
from tssbook.sequence import kmers, one_hot
from tssbook.training.batches import Batches
from tssbook.training.loop import fit


def slope(weight: float, rate: float) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The model y = weight * x, and plain gradient descent."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, weight)
    return model, torch.optim.SGD(model.parameters(), lr=rate)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


# --- by hand --------------------------------------------------------------------------------


def test_one_step():
    # loss = ((1*1 - 3)**2 + (1*2 - 4)**2) / 2 = 4;  its gradient in the weight is
    # (2*(1 - 3)*1 + 2*(2 - 4)*2) / 2 = -6;  the new weight is 1 + 0.1 * 6 = 1.6.
    model, optimizer = slope(1, rate=0.1)
    train, valid = [(column(1, 2), column(3, 4))], [(column(1), column(2))]
    history = fit(model, train, valid, loss_terms, optimizer, epochs=1, seed=0)
    assert model.weight.item() == pytest.approx(1.6)
    assert history["train_loss"].tolist() == pytest.approx([4])
    assert history["valid_loss"].tolist() == pytest.approx([0.16])  # (1.6 - 2)**2


def test_two_steps_of_one_epoch():
    # x = 1, y = 1, weight 0: gradient -2, so 0 -> 0.5 with rate 1/4; then -1, so 0.5 -> 0.75.
    model, optimizer = slope(0, rate=0.25)
    one = (column(1), column(1))
    history = fit(model, [one, one], [one], loss_terms, optimizer, epochs=1, seed=0)
    assert model.weight.item() == 0.75
    assert history["train_loss"].item() == (1 + 0.25) / 2  # while the weights move
    assert history["valid_loss"].item() == 0.0625


def test_means_are_over_examples():
    # Errors 1, 1, 1 in the first batch and 9 in the second: 12 / 4 = 3; the mean of the two
    # batches' means would be (1 + 9) / 2 = 5.
    model, optimizer = slope(0, rate=0)
    batches = [(column(1, 1, 1), column(1, 1, 1)), (column(1), column(3))]
    history = fit(model, batches, batches, loss_terms, optimizer, epochs=1, seed=0)
    assert history["train_loss"].item() == history["valid_loss"].item() == 3


def test_named_terms_add_up_and_may_be_reduced_already():
    # Errors (2*1 - 1)**2 = 1 and (2*2 - 1)**2 = 9, mean 5; penalty 10 * 2**2 = 40; together 45.
    def terms(model, prediction, target):
        return {
            "error": (prediction - target).square()[:, 0],  # one for each example
            "penalty": 10 * model.weight.square().sum(),  # one number
        }

    model, optimizer = slope(2, rate=1 / 100)
    batch = (column(1, 2), column(1, 1))
    history = fit(model, [batch], [batch], terms, optimizer, epochs=1, seed=0)
    first = history.filter(like="train").iloc[0].to_dict()
    assert first == {"train_loss": 45, "train_error": 5, "train_penalty": 40}
    # The gradient is that of the sum: (2*1*1 + 2*3*2) / 2 + 20 * 2 = 47.
    assert model.weight.item() == pytest.approx(2 - 0.47)


def test_terms_see_every_part_of_the_batch():
    seen = []

    def terms(model, prediction, *rest):
        seen.append([part.tolist() for part in rest])
        return {"mse": (prediction - rest[0]).square()}

    model, optimizer = slope(0, rate=0)
    batch = (column(1), column(2), column(3))
    fit(model, [batch], [batch], terms, optimizer, epochs=1, seed=0)
    assert seen == [[[[2]], [[3]]]] * 2


def test_clip_norm_limits_the_step():
    # loss = -(3 a + 4 b): gradient (-3, -4) of norm 5, cut to norm 1: a step of (0.6, 0.8).
    def step(clip_norm):
        model = nn.Linear(2, 1, bias=False)
        nn.init.zeros_(model.weight)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        batch = [(torch.tensor([[3.0, 4.0]]), torch.zeros(1))]
        fit(
            model, batch, batch, lambda m, prediction, _: {"cost": -prediction + 100}, optimizer,
            epochs=1, seed=0, clip_norm=clip_norm,
        )  # fmt: skip
        return model.weight[0].tolist()

    assert step(1) == pytest.approx([0.6, 0.8], rel=1e-5)
    assert step(10) == step(None) == [3, 4]


def test_columns_and_attrs():
    history = Run().fit(2)
    assert list(history.columns) == [
        "epoch", "train_loss", "train_mse", "train_penalty",
        "valid_loss", "valid_mse", "valid_penalty",
    ]  # fmt: skip
    assert history["epoch"].tolist() == [0, 1]
    best = int(history["valid_loss"].argmin())
    assert history.attrs == {"best_epoch": best, "stopped": "finished"}
    for part in ("train", "valid"):
        total = history[f"{part}_mse"] + history[f"{part}_penalty"]
        assert np.allclose(history[f"{part}_loss"], total, rtol=1e-6)


def test_loss_falls():
    torch.manual_seed(0)
    words = kmers(4)
    x, y = one_hot(words), torch.from_numpy(score(words))
    model = ToyCNN(length=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    train = Batches(x, y, batch_size=16, seed=0)
    history = fit(model, train, Batches(x, y, batch_size=64), loss_terms, optimizer,
                  epochs=15, seed=0)  # fmt: skip
    assert history["valid_loss"].iloc[0] > 1.5 * history["valid_loss"].iloc[-1]
    assert history["valid_loss"].iloc[-1] < y.var()


def test_as_the_loop_written_by_hand():
    """Chapter 1, section 5: same order, same loss curve, whatever the loop around it."""
    words = kmers(5)
    x, y = one_hot(words), torch.from_numpy(score(words))
    train = Batches(x[:800], y[:800], batch_size=64, seed=17)

    torch.manual_seed(0)
    by_hand = ToyCNN(length=5)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.003)
    losses = []
    for epoch in range(3):
        order = train.order(epoch).tolist()
        for a, b in DataLoader(TensorDataset(x[:800], y[:800]), batch_size=64, sampler=order):
            loss = (by_hand(a) - b).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            losses.append((by_hand(x[800:]) - y[800:]).square().mean().item())

    torch.manual_seed(0)
    model = ToyCNN(length=5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.003)
    history = fit(model, train, Batches(x[800:], y[800:], batch_size=50), loss_terms, optimizer,
                  epochs=3, seed=17)  # fmt: skip
    assert history["valid_loss"].tolist() == pytest.approx(losses, rel=1e-5)
    assert history.attrs["best_epoch"] == 2  # so these are the last weights
    for ours, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)


# --- the best weights, and the end ----------------------------------------------------------


def test_best_weights_and_not_the_last():
    walk = Walk([5, 3, 4, 6])
    history = walk.fit()
    assert history["valid_loss"].tolist() == [5, 3, 4, 6]
    assert history.attrs == {"best_epoch": 1, "stopped": "finished"}
    assert walk.weight == 2


def test_of_equal_epochs_the_first_is_best():
    walk = Walk([5, 3, 3])
    assert walk.fit().attrs["best_epoch"] == 1
    assert walk.weight == 2


def test_running_means_belong_to_the_best_weights():
    run, twin = Run(), Run()
    best = run.fit(12).attrs["best_epoch"]
    assert best < 11
    twin.fit(best + 1)
    assert same(run.model.state_dict(), twin.model.state_dict())


@pytest.mark.parametrize(
    ("patience", "epochs", "weight", "stopped"),
    [
        (1, 3, 2, "early"),  # epoch 2 is no better than epoch 1
        (2, 4, 2, "early"),  # nor is epoch 3, which is only as good
        (3, 5, 2, "early"),
        (4, 6, 6, "finished"),  # epoch 5 comes in time
        (None, 6, 6, "finished"),
    ],
)
def test_early_stop(patience, epochs, weight, stopped):
    walk = Walk([5, 4, 6, 4, 7, 3])
    history = walk.fit(patience=patience)
    assert len(history) == epochs
    assert walk.weight == weight
    assert history.attrs == {"best_epoch": weight - 1, "stopped": stopped}


def test_no_epochs():
    walk = Walk([1.0])
    history = walk.fit(epochs=0)
    assert len(history) == 0
    assert history.attrs == {"best_epoch": None, "stopped": "finished"}
    assert walk.weight == 0


# --- schedulers -----------------------------------------------------------------------------


def rates(walk: Walk, scheduler) -> list[float]:
    """The learning rate of each epoch's step."""
    seen = []

    def terms(model, prediction, target):
        if model.training:
            seen.append(walk.optimizer.param_groups[0]["lr"])
            return {"cost": -0.0 * prediction}
        return {"cost": walk.valid_losses[len(seen) - 1]}

    walk.loss_terms = terms
    walk.fit(scheduler=scheduler)
    return seen


def test_scheduler_is_stepped_after_each_epoch():
    walk = Walk([1] * 5)
    assert rates(walk, StepLR(walk.optimizer, step_size=2, gamma=0.5)) == [1, 1, 0.5, 0.5, 0.25]


def test_plateau_scheduler_follows_the_validation_loss():
    walk = Walk([5, 4, 4.5, 3, 3.5, 9])
    plateau = ReduceLROnPlateau(walk.optimizer, factor=0.5, patience=0)
    assert rates(walk, plateau) == [1, 1, 1, 0.5, 0.5, 0.25]


# --- stopped and taken up again -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["batches", "loader"])
@pytest.mark.parametrize("scheduler", ["step", "plateau", "none"])
def test_resumed_is_bit_identical_to_never_stopped(tmp_path, kind, scheduler):
    options = {"kind": kind, "scheduler": scheduler}
    whole = Run(**options)
    expected = whole.fit(8, tmp_path / "whole")
    assert expected.attrs["best_epoch"] < 7

    Run(**options).fit(4, tmp_path / "parts")
    torch.manual_seed(99)  # nothing depends on where the global random numbers are
    resumed = Run(**options, start=1)
    history = resumed.fit(8, tmp_path / "parts")

    pd.testing.assert_frame_equal(history, expected, check_exact=True)
    assert history.attrs == expected.attrs
    assert same(resumed.everything(), whole.everything())
    # The files hold the last weights too, which are not the best ones.
    one, other = (torch.load(tmp_path / name, weights_only=True) for name in ("whole", "parts"))
    assert same(one, other)
    assert len(one["rows"]) == 8
    assert one["step"] == 24
    assert not same(one["model"], one["best_weights"])


def test_a_state_file_changes_nothing_in_the_result(tmp_path):
    one, other = Run(), Run()
    expected = one.fit(4)
    history = other.fit(4, tmp_path / "state")
    pd.testing.assert_frame_equal(history, expected, check_exact=True)
    assert same(one.everything(), other.everything())


def test_resumed_after_every_epoch(tmp_path):
    whole = Run()
    expected = whole.fit(4)
    for epochs in range(1, 5):
        history = Run(start=epochs - 1).fit(epochs, tmp_path / "state")
    pd.testing.assert_frame_equal(history, expected, check_exact=True)


def test_a_finished_run_is_not_trained_further(tmp_path):
    first = Run()
    expected = first.fit(3, tmp_path / "state")
    before = (tmp_path / "state").read_bytes()
    again = Run(start=1)
    again.loss_terms = wraps(two_terms)(lambda *_: None)  # would fail if called
    history = again.fit(3, tmp_path / "state")
    pd.testing.assert_frame_equal(history, expected, check_exact=True)
    assert same(again.model.state_dict(), first.model.state_dict())
    assert (tmp_path / "state").read_bytes() == before


def test_resumed_run_stops_early_at_the_same_epoch(tmp_path):
    losses = [5, 4, 6, 7, 3]
    Walk(losses).fit(epochs=3, state=tmp_path / "state")
    walk = Walk(losses)
    history = walk.fit(patience=2, state=tmp_path / "state")
    assert (len(history), walk.weight, history.attrs["stopped"]) == (4, 2, "early")


def test_state_may_be_a_string_in_a_new_folder(tmp_path):
    Walk([1.0]).fit(state=str(tmp_path / "new" / "folder" / "state"))
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == ["state"]


# --- randomness -----------------------------------------------------------------------------


def test_the_seed_alone_decides():
    def weights(seed, global_seed):
        run = Run(kind="loader")
        torch.manual_seed(global_seed)
        run.fit(2, seed=seed)
        return run.model.state_dict()

    assert same(weights(1, 5), weights(1, 6))
    assert not same(weights(1, 5), weights(2, 5))


def test_each_epoch_has_random_numbers_of_its_own():
    orders = []

    def terms(model, prediction, target):
        if model.training:
            orders.append(target.tolist())
        return two_terms(model, prediction, target)

    run = Run(kind="loader")
    run.loss_terms = terms
    run.fit(2)
    first, second = ([x for batch in part for x in batch] for part in (orders[:3], orders[3:]))
    assert first != second
    assert sorted(first) == sorted(second) == sorted(data()[1].tolist())


def test_global_random_numbers_are_left_as_they_were():
    run = Run(kind="loader")
    before = torch.get_rng_state()
    run.fit(2)
    assert torch.equal(torch.get_rng_state(), before)


# --- modes, devices, bars -------------------------------------------------------------------


def test_modes_in_between_and_afterwards():
    modes = []

    def terms(model, prediction, target):
        modes.append((model.training, torch.is_grad_enabled()))
        return two_terms(model, prediction, target)

    run = Run()
    run.model.eval()
    run.loss_terms = terms
    run.fit(2)
    assert modes == 2 * ([(True, True)] * 3 + [(False, False)] * 2)
    assert not any(module.training for module in run.model.modules())


def test_sources_are_told_the_epoch():
    class Source(list):
        def __init__(self, *args):
            super().__init__(*args)
            self.epochs = []

        def set_epoch(self, epoch):
            self.epochs.append(epoch)

    model, optimizer = slope(0, rate=0)
    train, valid = (Source([(column(1), column(1))]) for _ in range(2))
    fit(model, train, valid, loss_terms, optimizer, epochs=3, seed=0)
    assert train.epochs == valid.epochs == [0, 1, 2]


def test_silent_unless_asked(capfd):
    Walk([3.0, 2.0]).fit()
    assert capfd.readouterr() == ("", "")
    Walk([3.0, 2.0]).fit(progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "2/2" in err
    assert "valid=2" in err


def test_model_goes_back_to_its_device():
    class Moved(nn.Linear):
        moves: tuple = ()

        def to(self, device):
            self.moves = (*self.moves, str(device))
            return super().to(device)

    model = Moved(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    one = [(column(1), column(1))]
    fit(model, one, one, loss_terms, optimizer, epochs=1, seed=0, device="cpu")
    assert model.moves == ("cpu", "cpu")


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bool, torch.int8])
def test_types_are_cast_once(kind):
    x = (torch.arange(32).reshape(8, 4) % 3 == 0).to(kind)
    y = torch.arange(8.0, dtype=torch.float64)

    def weights(x: Tensor, y: Tensor) -> Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        fit(model, [(x, y)], [(x, y)], squared, optimizer, epochs=2, seed=0)
        return model[0].weight

    assert torch.equal(weights(x, y), weights(x.float(), y.float()))


def test_targets_are_not_rounded_to_the_type_of_the_weights():
    seen = []

    def terms(model: nn.Module, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        seen.extend(target.tolist())
        return {"mse": (prediction.float() - target).square()}

    model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)).bfloat16()
    batch = (torch.rand(2, 4), torch.tensor([257.0, 70_001.0]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    fit(model, [batch], [batch], terms, optimizer, epochs=1, seed=0)
    assert seen == [257, 70_001] * 2


def test_groups_of_the_optimizer_stay_the_same_objects():
    """A schedule of one's own may hold them."""
    model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    optimizer = torch.optim.Adam(model.parameters())
    groups = list(map(id, optimizer.param_groups))
    batches = [(torch.rand(2, 4), torch.rand(2))]
    fit(model, batches, batches, squared, optimizer, epochs=1, seed=0)
    assert list(map(id, optimizer.param_groups)) == groups


def squared(model: nn.Module, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    assert prediction.dtype == target.dtype == torch.float32
    return {"mse": (prediction - target).square()}


def test_optimizer_of_another_model_is_refused():
    """One cell of a notebook run again: a new model, and the optimizer of the old one."""
    old, model = (nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)) for _ in range(2))
    batches = [(torch.rand(2, 4), torch.rand(2))]
    optimizer = torch.optim.SGD(old.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="holds none of the model's weights"):
        fit(model, batches, batches, squared, optimizer, epochs=1, seed=0)
    head = torch.optim.SGD([model[0].bias], lr=0.1)  # some of them is what fine-tuning wants
    before = model[0].weight.clone()
    fit(model, batches, batches, squared, head, epochs=1, seed=0)
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_training_inside_a_block_without_gradients(mode):
    def weights() -> Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        fit(model, batches, batches, squared, optimizer, epochs=1, seed=0)
        return model[0].weight.detach()

    torch.manual_seed(1)
    batches = [(torch.rand(2, 4), torch.rand(2))]
    wanted = weights()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with mode():
        made_inside = [(x.clone(), y.clone()) for x, y in batches]
        fit(model, made_inside, made_inside, squared, optimizer, epochs=1, seed=0)
    assert torch.equal(model[0].weight, wanted)


def test_a_model_made_in_inference_mode_is_refused():
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [(torch.rand(2, 4), torch.rand(2))]
    with pytest.raises(ValueError, match="made in inference mode"):
        fit(model, batches, batches, squared, optimizer, epochs=1, seed=0)


def test_a_model_knows_what_it_was_trained_on(tmp_path):
    run = Run()
    run.fit(2, tmp_path / "state")
    assert run.model.trained_on == {"length": 4, "data": run.train.about["content"]}
    resumed = Run()
    resumed.fit(2, tmp_path / "state")  # nothing is left to do
    assert resumed.model.trained_on == run.model.trained_on
    loader = Run(kind="loader")
    loader.fit(1)
    assert loader.model.trained_on == {"length": 4, "data": None}
