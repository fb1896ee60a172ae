"""prediction: one runner, whatever comes out of the model; and the model comes back as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.support import refusal
from tssbook.models.toy import ToyCNN
from tssbook.sequence import one_hot
from tssbook.training.prediction import on_device, predict, resolve_device, weights_dtype


class Sums(nn.Module):
    """The sum of all values of a sequence, times a weight; 0 without batch norm in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.9)
        self.modes: list[bool] = []
        self.gradients: list[bool] = []
        self.moves: list[str] = []

    def to(self, device):
        self.moves.append(str(device))
        return super().to(device)

    def forward(self, x):
        self.modes.append(self.norm.training)
        self.gradients.append(torch.is_grad_enabled())
        return self.scale * self.dropout(self.norm(x)).sum((1, 2))


def test_predict_by_hand():
    x = torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]]).expand(3, 4, 2)
    # 1 + ... + 8 = 36, times 2; batch norm in evaluation divides by sqrt(1 + 1e-5).
    assert predict(Sums(), x).tolist() == pytest.approx([72] * 3, rel=1e-5)


def test_predict_does_not_depend_on_the_batch_size():
    x = torch.randn(20, 4, 6, generator=torch.Generator().manual_seed(0))
    model = Sums()
    whole = predict(model, x)
    for batch_size in (1, 3, 20, 1000):
        assert torch.allclose(predict(model, x, batch_size=batch_size), whole, atol=1e-5)
    assert torch.allclose(predict(model, x.flip(0)), whole.flip(0), atol=1e-5)


def test_predict_is_in_evaluation_mode_without_gradients():
    model = Sums().train()
    result = predict(model, torch.ones(3, 4, 2), batch_size=2)
    assert model.modes == model.gradients == [False, False]
    assert not result.requires_grad
    assert torch.is_grad_enabled()


def test_predict_restores_the_mode_of_each_module():
    model = Sums().train()
    model.norm.eval()  # frozen, as for fine tuning
    predict(model, torch.ones(3, 4, 2))
    assert (model.training, model.norm.training, model.dropout.training) == (True, False, True)
    model.eval()
    predict(model, torch.ones(3, 4, 2))
    assert not any(module.training for module in model.modules())


def test_predict_restores_mode_and_device_after_an_error():
    model = Sums().train()
    model.forward = lambda x: None
    with pytest.raises(TypeError, match="NoneType; wanted a tensor"):
        predict(model, torch.ones(3, 4, 2))
    assert model.training
    assert model.moves == [str(resolve_device(None)), "cpu"]


@pytest.mark.parametrize("shape", [(4, 8), (3, 5, 8), (8, 3, 4), (0, 4, 8), (1, 1, 4, 8)])
def test_predict_of_another_shape(shape):
    assert f"{shape}; wanted (N, 4, L)" in refusal(lambda: predict(Sums(), torch.zeros(shape)))


def test_predict_of_strings():
    assert "x is list" in refusal(lambda: predict(Sums(), ["GATTACA"]), TypeError)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_below_one(batch_size):
    call = lambda: predict(Sums(), torch.ones(1, 4, 2), batch_size=batch_size)  # noqa: E731
    assert f"batch_size is {batch_size}; wanted a whole number of 1 or more" in refusal(call)


def test_progress(capfd):
    predict(Sums(), torch.ones(3, 4, 2))
    assert capfd.readouterr().err == ""
    predict(Sums(), torch.ones(3, 4, 2), batch_size=1, progress=True)
    assert "3/3" in capfd.readouterr().err


# --- several outputs --------------------------------------------------------------------------


class Heads(nn.Module):
    """A profile ``(N, 1, L)`` and a total ``(N,)``, in the container asked for."""

    def __init__(self, container: type) -> None:
        super().__init__()
        self.container = container

    def forward(self, x):
        return self.container([x[:, :1], x.sum((1, 2))])


@pytest.mark.parametrize("container", [tuple, list])
@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_heads_come_back_as_a_tuple(container, batch_size):
    x = one_hot(["GATTACA", "TATAAAA", "NNNNNNA", "AAAAAAA"])
    found = predict(Heads(container), x, batch_size=batch_size)
    assert isinstance(found, tuple)
    profile, total = found
    assert torch.equal(profile, x[:, :1])
    assert total.tolist() == [7, 7, 1, 7]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda x: x[1:], "(2, 4, 5) for 3 sequences"),
        (lambda x: (x, x.sum((1, 2))[:2]), "(2,) for 3 sequences"),
        (lambda x: x.sum(), "one number for 3 sequences"),
    ],
)
def test_rows_that_get_lost(answer, found):
    model = Sums()
    model.forward = answer
    assert found in refusal(lambda: predict(model, torch.ones(3, 4, 5)))


@pytest.mark.parametrize(("answer", "found"), [({"y": 1}, "dict"), (("profile", 2), "str")])
def test_what_is_no_tensor(answer, found):
    model = Sums()
    model.forward = lambda x: answer
    message = refusal(lambda: predict(model, torch.ones(3, 4, 5)), TypeError)
    assert f"returns a {found}; wanted a tensor" in message


# --- types ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int64, torch.bool, torch.float64])
def test_predict_takes_any_type(dtype):
    x = one_hot(["GATTACAT", "TATAAAAN"])
    model = ToyCNN()
    assert torch.equal(predict(model, x.to(dtype)), predict(model, x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_predict_follows_the_weights(dtype):
    assert predict(ToyCNN().to(dtype), one_hot(["GATTACAT"])).dtype == dtype


def test_weights_dtype():
    assert weights_dtype(nn.ReLU()) == torch.float32
    model = nn.Linear(1, 1).double()
    model.register_parameter("a_number", nn.Parameter(torch.tensor(1), requires_grad=False))
    assert weights_dtype(model) == torch.float64


# --- devices --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_first_device_there_is(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device(None) == torch.device(expected)
    assert resolve_device("cpu") == torch.device("cpu")


def test_on_device_moves_there_and_back():
    model = Sums()
    with on_device(model, "cpu") as place:
        assert place == torch.device("cpu")
        model.eval()
        assert model.moves == ["cpu"]
    assert model.moves == ["cpu", "cpu"]
    assert model.training


def test_on_device_of_a_model_without_parameters():
    with on_device(nn.ReLU(), "cpu") as place:
        assert place.type == "cpu"


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 3.5])
def test_a_device_that_is_not_here(device):
    with pytest.raises(ValueError, match=r"device is .*; wanted one that PyTorch has here: cpu"):
        resolve_device(device)
    assert resolve_device("cpu") == torch.device("cpu")
