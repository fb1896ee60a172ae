"""The networks and losses that a chapter hands to its reader are those of the library.

Only the definitions of the cells tagged ``make-it-yours`` are executed: the same weights must
give the same output, and the same prediction the same loss.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.notebooks import ROOT, read, tags
from tssbook.models import ProCapNet, PromoterNet, SimpleNet, ToyCNN, procapnet, puffin, toy


def yours(chapter: str) -> dict[str, Any]:
    """Classes and functions of the chapter's cells tagged ``make-it-yours``, and nothing else."""
    path = next(p for p in (ROOT / "chapters").glob(f"{chapter}-*.ipynb") if "real" not in p.stem)
    cells = [cell for cell in read(path).cells if "make-it-yours" in tags(cell)]
    body = [statement for cell in cells for statement in ast.parse(cell.source).body]
    kept = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    variables = {"torch": torch, "F": F, "math": math}
    code = compile(ast.Module(kept, type_ignores=[]), path.name, "exec")
    exec(code, variables)  # noqa: S102 - the project's own chapters
    return variables


def filled(mine: torch.nn.Module, ours: torch.nn.Module) -> torch.nn.Module:
    mine.load_state_dict(ours.state_dict())  # strict: the same layers, no more and no fewer
    return mine.eval()


def dna(n: int, length: int) -> Tensor:
    letters = torch.randint(4, (n, length), generator=torch.Generator().manual_seed(0))
    return F.one_hot(letters, 4).transpose(1, 2).float()


def assert_same_terms(mine: dict[str, Tensor], ours: dict[str, Tensor]) -> None:
    assert list(mine) == list(ours)
    for name, term in ours.items():
        assert mine[name].shape == term.shape, name
        torch.testing.assert_close(mine[name], term, rtol=1e-5, atol=1e-7, msg=name)


def backward(terms: dict[str, Tensor]) -> None:
    sum(term.mean() for term in terms.values()).backward()


@pytest.mark.parametrize(
    ("chapter", "name", "library", "checkpoint", "length", "loss_terms"),
    [
        ("01", "MyCNN", ToyCNN, "toy-cnn", 8, toy.loss_terms),
        ("02", "MyPromoterNet", PromoterNet, "promoter", 2000, toy.loss_terms),
    ],
)
@torch.no_grad()
def test_one_number_per_sequence(
    chapter: str,
    name: str,
    library: type,
    checkpoint: str,
    length: int,
    loss_terms: Callable,
):
    cells, ours = yours(chapter), library.from_pretrained(checkpoint).eval()
    mine, x, target = filled(cells[name](), ours), dna(3, length), torch.tensor([0.0, 15.0, -2.0])
    prediction = ours(x)
    assert torch.equal(mine(x), prediction)
    assert_same_terms(
        cells["my_loss"](mine, prediction, target), loss_terms(ours, prediction, target)
    )


def test_dropout_of_chapter_2_is_on_in_training_alone():
    cells, x = yours("02"), dna(4, 64)
    mine = cells["MyPromoterNet"]().train()
    assert not torch.equal(mine(x), mine(x))
    mine.eval()
    assert torch.equal(mine(x), mine(x))


def test_ten_tracks():
    cells, ours = yours("03"), SimpleNet.from_pretrained("simplenet").eval()
    mine, x = filled(cells["MySimpleNet"](), ours), dna(2, 900)
    prediction = mine(x)
    with torch.no_grad():  # the library convolves in the frequency domain
        torch.testing.assert_close(prediction, ours(x), rtol=1e-4, atol=1e-5)
    target = torch.rand(2, 10, 900, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    terms = cells["my_loss"](mine, prediction, target)
    assert_same_terms(terms, puffin.loss_terms(ours, prediction, target))
    backward(terms)
    assert all(p.grad.isfinite().all() for p in mine.parameters())


def test_profile_and_count():
    cells, ours = yours("04"), ProCapNet.from_pretrained("procapnet").eval()
    mine, x = filled(cells["MyProCapNet"](), ours), dna(2, 2114)
    prediction = mine(x)
    with torch.no_grad():
        for own, theirs in zip(prediction, ours(x), strict=True):
            torch.testing.assert_close(own, theirs, rtol=1e-5, atol=1e-5)
    generator = torch.Generator().manual_seed(1)
    counts = torch.randint(5, (2, 2, 1000), generator=generator).float()
    mappable = torch.rand(2, 1000, generator=generator) > 0.3
    terms = cells["my_loss"](mine, prediction, counts, mappable)
    wanted = procapnet.loss_terms(ours, prediction, counts, mappable, count_weight=1000)
    assert_same_terms(terms, wanted)
    backward(terms)
    assert all(p.grad.isfinite().all() for p in mine.parameters())
