"""The checks of Chapter 2: a solution passes, and each usual mistake hears its name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tssbook.data.splits import Split
from tssbook.exercises.chapter_2 import deletion, leak, shuffle
from tssbook.interpret.mutagenesis import ism
from tssbook.metrics import pearson_r
from tssbook.models.promoter import PromoterNet
from tssbook.sequence import one_hot, reverse_complement

# --- exercise 1 -----------------------------------------------------------------------------

# Rows 0 to 299; the test rows are in the middle, so that places in them are no test rows.
SPLIT = Split(np.r_[0:100, 200:270], np.arange(270, 300), np.arange(100, 200))
MEASURED = torch.from_numpy(np.random.default_rng(0).normal(0, 1, 100))
BEFORE = MEASURED + 0.7 * torch.from_numpy(np.random.default_rng(1).normal(0, 1, 100))


def leaky(split, seed):
    copied = np.random.default_rng(seed).choice(split.test, 10, replace=False)
    return np.concatenate([split.train, copied])


COPIED = torch.from_numpy(np.isin(SPLIT.test, leaky(SPLIT, 17)))
# By heart on the leaked genes; on the others as it was.
AFTER = torch.where(COPIED, MEASURED, BEFORE)


def r_of(prediction, part):
    return float(pearson_r(prediction[part], MEASURED[part]))


def check_leak(leaky=leaky, before=BEFORE, after=AFTER, split=SPLIT):
    return leak(leaky, before, after, split, MEASURED[: len(split.test)].float())


def adding(extra):
    """A solution that adds something else, made from the split and a generator."""
    return lambda split, seed: np.concatenate(
        [split.train, extra(split, np.random.default_rng(seed))]
    )


@pytest.mark.parametrize("answer", [None, lambda split, seed: None])
@pytest.mark.parametrize("after", [None, AFTER])
def test_leak_not_attempted(answer, after):
    assert repr(check_leak(answer, after=after)) == "Not attempted yet."


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        ({"before": None, "after": None}, "before, after"),
        ({"after": None}, "after"),
        ({"before": None}, "before"),
    ],
)
def test_leak_half_done(answers, missing):
    assert repr(check_leak(**answers)) == f"Right so far; still to come: {missing}."


@pytest.mark.parametrize("kind", [list, torch.from_numpy, np.random.default_rng(0).permutation])
def test_leak_solution(kind):
    verdict = check_leak(lambda *given: kind(leaky(*given)), before=BEFORE.numpy())
    # On the leaked genes r rises to 1, on the others nothing has changed.
    assert repr(verdict) == (
        f"Passed: r changes by {1 - r_of(BEFORE, COPIED):+.3f} on the leaked genes and by +0.000 "
        "on the others: the difference was learned by heart."
    )


def test_leak_takes_either_rounding_of_a_tenth():
    split = SPLIT._replace(test=SPLIT.test[:95])
    for n in (9, 10):
        some = adding(lambda s, r, n=n: r.choice(s.test, n, replace=False))
        chosen = torch.from_numpy(np.isin(split.test, some(split, 17)))
        after = torch.where(chosen, MEASURED[:95], BEFORE[:95])
        assert check_leak(some, BEFORE[:95], after, split).passed
    eleven = adding(lambda s, r: r.choice(s.test, 11, replace=False))
    assert check_leak(eleven, BEFORE[:95], AFTER[:95], split).passed is False


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (SPLIT.train, "leaky is an ndarray; wanted a function of a split and a seed."),
        (torch.nn.Linear(1, 1), "leaky is a Linear; wanted a function of a split and a seed."),
        (lambda s, seed: s, "leaky returns a Split; wanted one array of row numbers"),
        (lambda s, seed: "rows", "leaky returns 'rows'; wanted one array of row numbers"),
        (lambda s, seed: leaky(s, seed)[-10:], "170 of 170 training rows are missing; wanted all"),
        (lambda s, seed: leaky(s, seed)[3:], "3 of 170 training rows are missing; wanted all of"),
        (lambda s, seed: s.train, "0 of 100 test genes were added; wanted a tenth."),
        (adding(lambda s, r: r.choice(len(s.test), 10, replace=False)),
         "the added numbers are places in split.test, not rows: split.test[places]."),
        (adding(lambda s, r: [300, 301]), "row 300 was added; wanted rows of split.test only."),
        (adding(lambda s, r: s.valid[:4]), "row 270 was added; wanted rows of split.test only."),
        (adding(lambda s, r: np.r_[s.test[:10], 205]), "row 205 was added; wanted rows of"),
        (adding(lambda s, r: np.tile(r.choice(s.test, 5, replace=False), 2)),
         "a test gene was added twice; draw with replace=False."),
        (adding(lambda s, r: r.choice(s.test, 17, replace=False)),
         "17 of 100 test genes were added; wanted a tenth."),
        (adding(lambda s, r: np.random.default_rng().choice(s.test, 10, replace=False)),
         "the same seed should give the same genes, and another seed other genes"),
        (adding(lambda s, r: s.test[:10]), "other genes: draw them with np.random.defa"),
    ],
)  # fmt: skip
def test_leaky_mistakes(wrong, message):
    verdict = check_leak(wrong)
    assert verdict.passed is False
    assert message in verdict.message


def test_errors_of_the_answer_itself_are_raised():
    def broken(split, seed):
        raise KeyError("my own mistake")

    with pytest.raises(KeyError, match="my own mistake"):
        check_leak(broken)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"before": 0.8}, "before is (); wanted (100,): one for each test gene."),
        ({"after": "much"}, "after is 'much'; wanted (100,): one for each test gene."),
        ({"after": AFTER[COPIED]}, "after is (10,); wanted (100,): one for each test gene."),
        ({"after": AFTER * np.nan}, "after has no r: it is not finite, or the same for all"),
        ({"before": torch.ones(100)}, "before has no r: it is not finite, or the same for all"),
        ({"after": BEFORE}, "before and after are the same. Training changes the model itself"),
        (
            {"before": torch.where(COPIED, -MEASURED, BEFORE)},
            "before the leak r is -1.00 on",
        ),
        ({"before": AFTER, "after": BEFORE}, "the leaked genes gain -"),
        (
            {"after": torch.where(COPIED, BEFORE, MEASURED)},
            "the leaked genes gain +0.000 and",
        ),
    ],
)
def test_predictions_before_and_after(answers, message):
    verdict = check_leak(**answers)
    assert verdict.passed is False
    assert message in verdict.message


def test_other_genes_than_the_leaked_ones_were_learned():
    """The copy was trained with another seed: it knows other genes by heart."""
    other = torch.from_numpy(np.isin(SPLIT.test, leaky(SPLIT, 18)))
    verdict = check_leak(after=torch.where(other, MEASURED, BEFORE))
    assert "wanted a rise on the leaked ones, leaky(split, seed)" in verdict.message


# --- exercise 2 -----------------------------------------------------------------------------

N, HALF = 120, 49


class CountsMotif(nn.Module):
    """Says 2 for each A of a sequence, and 20 for each GTATG."""

    def forward(self, x):
        motif = (x.unfold(2, 5, 1) * one_hot("GTATG")[:, None]).sum((1, 3)) == 5
        return 2 * x[:, 0].sum(1) + 20 * motif.sum(1)


def _promoters():
    """Random promoters A..A..A, GTATG in the middle of every second one; halves exchanged.

    A left A right A becomes A right A left A: every pair of neighbours is still there, and
    GTATG, which had its A in the middle, is cut.
    """
    letters = np.random.default_rng(0).integers(0, 4, (N, 2 * HALF + 3))
    letters[::2, HALF - 1 : HALF + 4] = [2, 3, 0, 3, 2]
    letters[:, [0, HALF + 1, -1]] = 0
    left, right = letters[:, 1 : HALF + 1], letters[:, HALF + 2 : -1]
    a = letters[:, :1]
    exchanged = np.concatenate([a, right, a, left, a], axis=1)
    return (torch.eye(4)[torch.from_numpy(part)].transpose(1, 2) for part in (letters, exchanged))


X, EXCHANGED = _promoters()
MODEL = CountsMotif().train()
Y = MODEL(X) + torch.from_numpy(np.random.default_rng(1).normal(0, 20, N)).float()
R = float(pearson_r(MODEL(EXCHANGED), Y))


def test_exchanged_halves_keep_pairs():
    """ATAGACA has the pairs AT TA AG GA AC CA, and ACATAGA the same ones."""
    x, y = one_hot(["ATAGACA"] * 120), one_hot(["ACATAGA"] * 120)
    assert shuffle(x, y, None, Y, MODEL).message == ("right so far; still to come: shuffled_r.")


@pytest.mark.parametrize("r", [None, 0.5])
def test_shuffle_not_attempted(r):
    assert repr(shuffle(X, None, r, Y, MODEL)) == "Not attempted yet."


@pytest.mark.parametrize("kind", [torch.Tensor, torch.Tensor.char, torch.Tensor.numpy])
@pytest.mark.parametrize("n", [100, N])
def test_shuffle_solution(kind, n):
    r = pearson_r(MODEL(EXCHANGED[:n]), Y[:n])
    verdict = shuffle(X.char(), kind(EXCHANGED[:n]), r, Y, MODEL)
    assert verdict.passed, verdict.message
    assert verdict.message.endswith(f"on such sequences this model is left with r = {r:.2f}.")
    assert MODEL.training


def test_shuffle_accepts_the_mean_of_both_strands():
    both = (MODEL(EXCHANGED) + MODEL(reverse_complement(EXCHANGED))) / 2
    r = float(pearson_r(both, Y))
    assert abs(r - R) > 0.05
    assert shuffle(X, EXCHANGED, r, Y, MODEL).passed


def base_shuffled():
    random = np.random.default_rng(3)
    return torch.stack([row[:, random.permutation(X.shape[2])] for row in X])


OTHER_BASE = EXCHANGED.clone()
OTHER_BASE[5, :, 7] = OTHER_BASE[5, :, 7].roll(1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("text", "shuffled is 'text'; wanted a tensor (n, 4, 101)."),
        (list(EXCHANGED), "shuffled is a list; wanted a tensor (n, 4, 101)."),
        (torch.tensor(1.0), "shuffled is (); wanted (0, 4, 101)"),
        (
            EXCHANGED[:, None],
            "(120, 1, 4, 101); wanted one shuffle of each promoter: shuffled[:, 0].",
        ),
        (EXCHANGED.transpose(1, 2), "(120, 101, 4); wanted (120, 4, 101)"),
        (
            EXCHANGED[:, :, 1:],
            "(120, 4, 100); wanted (120, 4, 101), any number of rows.",
        ),
        (EXCHANGED.repeat(2, 1, 1), "has 240 rows; wanted 100 to 120, each promoter once."),
        (EXCHANGED[:20], "has 20 rows; wanted 100 to 120, each promoter once."),
        (EXCHANGED / 2, "shuffled is not one-hot: wanted a single 1 in each column"),
        (torch.ones_like(X), "shuffled is not one-hot: wanted a single 1 in each column"),
        (X, "row 0 is the promoter as it was; shuffle it."),
        (torch.cat([EXCHANGED[:7], X[7:]]), "row 7 is the promoter as it was; shuffle it."),
        (base_shuffled(), "row 0 had AA "),
        (X.flip(2), "wanted the dinucleotide_shuffle of the first promoters, in their order."),
        (EXCHANGED.flip(0), "wanted the dinucleotide_shuffle of the first promoters, in their ord"),
        (OTHER_BASE, "row 5 had "),
    ],
)
def test_shuffled_mistakes(wrong, message):
    verdict = shuffle(X, wrong, R, Y, MODEL)
    assert verdict.passed is False
    assert message in verdict.message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("half", "shuffled_r is 'half'; wanted one number."),
        ([0.1, 0.2], "shuffled_r is a list; wanted one number."),
        (float("nan"), "shuffled_r is NaN: wanted one number."),
        (40, "shuffled_r is 40.00, but the first 120 rows give "),
        (float(pearson_r(MODEL(X), Y)), " is about the r of the promoters as they were."),
        (-0.7, "wanted pearson_r(predictions for shuffled, y_test[:120])."),
    ],
)
def test_shuffled_r_mistakes(wrong, message):
    verdict = shuffle(X, EXCHANGED, wrong, Y, MODEL)
    assert verdict.passed is False
    assert message in verdict.message


def test_shuffle_asks_for_200_rows_at_most():
    torch.manual_seed(0)
    x, shuffled = X.repeat(5, 1, 1), EXCHANGED.repeat(5, 1, 1)
    asked = []

    class Asked(CountsMotif):
        def forward(self, x):
            asked.append(len(x))
            return super().forward(x)

    y = MODEL(shuffled) + 3 * torch.randn(600)
    assert shuffle(x, shuffled, float(pearson_r(MODEL(shuffled), y)), y, Asked()).passed
    assert sum(asked) == 200


def test_shuffle_leaves_room_for_rows_it_does_not_look_at():
    # r of the first 200 rows is about 0 and may be off by 0.01 + 3 * sqrt(1/200 - 1/600) = 0.18.
    torch.manual_seed(0)
    x, shuffled, y = X.repeat(5, 1, 1), EXCHANGED.repeat(5, 1, 1), torch.randn(600)
    first = float(pearson_r(MODEL(shuffled[:200]), y[:200]))
    assert abs(first) < 0.1
    assert shuffle(x, shuffled, first + 0.17, y, MODEL).passed
    assert shuffle(x, shuffled, first + 0.4, y, MODEL).passed is False


# --- exercise 3 -----------------------------------------------------------------------------


class HalfTata(nn.Module):
    """Says how well the best stretch fits CTATAG, cubed, and one less with an A at 5."""

    def forward(self, x):
        fits = (x.unfold(2, 6, 1) * one_hot("CTATAG")[:, None]).sum((1, 3)) / 6
        return 10 * fits.amax(1) ** 3 - 2 * x[:, 0, 5] + 3 * x[:, 2, 7]


CELL = HalfTata()
PROMOTER = one_hot("C" * 50 + "CTATAG" + "C" * 44)[None]
EFFECTS = ism(CELL, PROMOTER)[0]
SIZE = EFFECTS.abs().amax(0)
# 10 * (5/6)^3 - 10 = -4.21 at each of the six places; a G at 7 gives +3, an A at 5 takes 2.
TOP = [50, 51]


def replaced(start, letters, x=PROMOTER):
    mutant = x.clone()
    mutant[0, :, start : start + len(letters)] = one_hot(letters)
    return mutant


WITHOUT = replaced(50, "GGGCGA")
CHANGE = float(CELL(WITHOUT) - CELL(PROMOTER))


def check(top=TOP, without=WITHOUT, expected=-5.0, measured=CHANGE, x=PROMOTER):
    return deletion(CELL, x, EFFECTS, top, without, expected, measured)


def test_the_promoter_on_paper():
    assert [SIZE[7].item(), SIZE[5].item()] == [3, 2]
    assert torch.allclose(SIZE[50:56], torch.tensor(10 - 10 * (5 / 6) ** 3))
    # CCCCCC... fits CTATAG at 1 place of 6, GGGCGA with a C before at none more.
    assert CHANGE < -9


def test_deletion_not_attempted():
    assert repr(check(None, None, None, None)) == "Not attempted yet."


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        ({"without": None, "expected": None, "measured": None},
         "without_motif, expected_change, measured_change"),
        ({"measured": None}, "measured_change"),
        ({"top": None, "expected": None}, "top_two, expected_change"),
    ],
)  # fmt: skip
def test_deletion_half_done(answers, missing):
    shown = f"Right so far; still to come: {missing}."
    assert repr(check(**answers)) == shown


@pytest.mark.parametrize("top", [(50, 51), [55, 52], np.array([51, 50]), SIZE.topk(2).indices])
def test_deletion_solution(top):
    verdict = check(top, expected=-5)
    off = abs(CHANGE + 5)
    assert repr(verdict) == (
        f"Passed: the prediction changes by {CHANGE:+.2f}; you expected -5.00, off by {off:.2f}."
    )


def test_deletion_takes_tensors_and_the_mean_of_both_strands():
    assert check(measured=torch.tensor(CHANGE), expected=torch.tensor([-5.0])[0]).passed
    both = [(CELL(x) + CELL(reverse_complement(x))) / 2 for x in (WITHOUT, PROMOTER)]
    assert check(measured=float(both[0] - both[1])).passed


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ("50", "top_two is (); wanted (2,): 2 numbers from 0 to 99."),
        ([50], "top_two is (1,); wanted (2,): 2 numbers from 0 to 99."),
        ([50.5, 51], "top_two holds 50.5; wanted 0 to 99"),
        ([-50, -49], "holds -50; wanted 0 to 99: add 100 to what is counted from the TSS"),
        ([50, 151], "holds 151; wanted 0 to 99"),
        ([50, 151], "take the largest change of each column, amax(0)."),
        ([50, 50], "top_two holds a number twice; wanted 2 different ones."),
        (EFFECTS.amax(0).topk(2).indices, "these are the largest rises; a fall matters as much"),
        ([3, 4], "and position 3 only by 0: take effects.abs().amax(0)."),
    ],
)
def test_top_two_mistakes(top, message):
    verdict = check(top)
    assert verdict.passed is False
    assert message in verdict.message


def test_top_two_by_sum_and_by_rises():
    # Column by column: 4 up alone; 3 down three times; 3.5 down; 3.4 up and down.
    effects = torch.zeros(4, 6)
    effects[0, 0], effects[1:, 1], effects[1, 2] = 4, -3, -3.5
    effects[1, 3], effects[2, 3] = 3.4, -3.4
    x = torch.zeros(1, 4, 6)
    x[0, 3] = 1
    x[0, :, 1] = torch.tensor([1.0, 0, 0, 0])

    def check(*top):
        return deletion(CELL, x, effects, top, None, None, None)

    assert check(0, 2).passed is None  # 4 and 3.5: right so far
    assert "these are the largest rises; a fall matters as much" in check(0, 3).message
    assert "these have the largest sum; wanted the largest single" in check(0, 1).message
    assert check(1, 3).message.startswith("position 0 changes by 4, and position 1 only by 3:")


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("CCC", "without_motif is 'CCC'; wanted a tensor (1, 4, 100)."),
        (WITHOUT[0], "is (4, 100); wanted (1, 4, 100): keep the first axis, without_motif[None]."),
        (
            torch.cat([PROMOTER[..., :50], PROMOTER[..., 56:]], 2),
            "(1, 4, 94); wanted (1, 4, 100)",
        ),
        (PROMOTER * (torch.arange(100) < 50), "columns that are all zero (N); wanted bases."),
        (WITHOUT / 2, "without_motif is not one-hot: wanted a single 1 in each column"),
        (PROMOTER.clone(), "0 bases between 0 and 0 differ from x; replace one whole motif"),
        (
            replaced(10, "G" * 41),
            "41 bases between 10 and 50 differ from x; replace one whole motif",
        ),
        (replaced(52, "G"), "1 bases between 52 and 52 differ from x; replace one whole motif"),
        (replaced(20, "GGGGCCCCG"), "5 bases between 20 and 28 differ from x, and none of the"),
    ],
)
def test_without_motif_mistakes(without, message, monkeypatch):
    monkeypatch.setattr("tssbook.exercises.chapter_2._IMPORTANT", 6)  # of 100 positions, not 2,000
    verdict = check(without=without)
    assert verdict.passed is False
    assert message in verdict.message


def test_x_that_was_changed_in_place_is_seen():
    verdict = check(x=WITHOUT)
    assert verdict.passed is False
    assert verdict.message.startswith("x is no longer the promoter that effects belongs to.")


SINGLE = float((EFFECTS * (WITHOUT - PROMOTER)[0].clamp(min=0)).sum())


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"expected": "less"}, "expected_change is 'less'; wanted one number."),
        ({"measured": [CHANGE, 1.0]}, "measured_change is a list; wanted one number."),
        ({"measured": float("nan")}, "measured_change is NaN: wanted one number."),
        ({"measured": -CHANGE}, ": it is the prediction after, minus the one before."),
        ({"measured": SINGLE}, ": you added up single mutations, but together they do something"),
        ({"measured": CHANGE + 0.5}, "predict without_motif and x in evaluation mode, and subt"),
    ],
)
def test_change_mistakes(answers, message):
    verdict = check(**answers)
    assert verdict.passed is False
    assert message in verdict.message


def test_the_model_is_asked_in_evaluation_mode():
    torch.manual_seed(0)
    model = PromoterNet(n_filters=(4, 4, 4), n_hidden=4)
    effects = ism(model, PROMOTER)[0]
    model.train()
    with torch.no_grad():
        change = float(model.eval()(WITHOUT) - model(PROMOTER))
    model.train()
    top = effects.abs().amax(0).topk(2).indices
    assert deletion(model, PROMOTER, effects, top, WITHOUT, 0, change).passed
    assert model.training
