"""checks: a solution passes, nothing is not attempted, and each usual mistake hears its name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tssbook import checkpoints
from tssbook.checks import RATES, Verdict, better_model, learning_rates, position_bonus
from tssbook.sequence import decode, kmers, one_hot
from tssbook.toy import BASE_SCORES, MaxPoolCNN, score

# --- verdicts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        (Verdict(True, "well done."), "Passed: well done."),
        (Verdict(False, "look again."), "Not yet: look again."),
        (Verdict(None, ""), "Not attempted yet."),
    ],
)
def test_what_a_notebook_shows(verdict, shown):
    assert repr(verdict) == shown


@pytest.mark.parametrize(
    "check",
    [
        lambda: position_bonus(None),
        lambda: position_bonus(lambda words: None),
        lambda: learning_rates(None, None),
        lambda: learning_rates(None, {"linear": 0.01, "cnn": 0.01}),
        lambda: learning_rates(table(), None),
        lambda: better_model(None, torch.zeros(2, 4, 8), torch.zeros(2)),
    ],
)
def test_not_attempted(check):
    assert repr(check()) == "Not attempted yet."


# --- exercise 1 -----------------------------------------------------------------------------


def position_score(word, *, first=0, last=False, every=False, grows=False, signs=(10, -10)):
    """The rule of exercise 1, with the mistakes that can be made."""
    total = sum(BASE_SCORES[base] for base in word) / len(word)
    for motif, sign in zip(("TAT", "GCG"), signs, strict=True):
        places = [p for p in range(len(word) - 2) if word[p : p + 3] == motif]
        if not places:
            continue
        chosen = places if every else places[-1:] if last else places[:1]
        total += sum(sign * (p + 1 if grows else 6 - p - first) / 6 for p in chosen)
    return total


def answer(**mistake):
    return lambda words: [position_score(word, **mistake) for word in words]


def test_the_rule_on_paper():
    assert position_score("TATTTTTT") == 22.125  # 97 / 8 + 10 * 6 / 6
    assert position_score("GCGAAAAA") == 8.125  # 145 / 8 - 10 * 6 / 6
    assert position_score("CCCCCTAT") == pytest.approx(15.875 + 10 / 6)  # at place 5
    assert position_score("TATATTTT") == 23.25  # 106 / 8 + 10, for the first copy only


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, pd.Series])
def test_position_solution(kind):
    verdict = position_bonus(lambda words: kind(answer()(words)))
    assert repr(verdict) == "Passed: all 65,536 8-mers have the score of the new rule."


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (score, "this is the old rule: the bonus does not depend on the position yet."),
        (answer(grows=True), "the bonus grows towards the end; a motif at the start should count"),
        (answer(every=True), "every copy adds its bonus; only the first copy should."),
        (answer(last=True), "the last copy counts; the first one should."),
        (answer(signs=(10, 0)), "GCG has no effect; it should subtract what TAT would add"),
        (answer(signs=(10, 10)), "GCG adds; it should subtract."),
        (answer(first=1), "positions seem to be counted from 1: the first place should give"),
        (lambda words: np.zeros((65_536, 1)), "result has shape (65536, 1), wanted (65536,)."),
        (lambda words: 20.0, "the result has shape (), wanted (65536,)."),
    ],
    ids=["old", "grows", "every", "last", "no GCG", "GCG adds", "from 1", "column", "number"],
)
def test_position_mistakes(wrong, message):
    verdict = position_bonus(wrong)
    assert verdict.passed is False
    assert message in verdict.message


def test_any_other_position_mistake_is_shown_with_its_first_word():
    # The words come in the order of the alphabet: AAAAATAT is the first one with a motif.
    # Its letters give (6*20 + 2*11) / 8 = 17.75, and TAT at place 5 gives 10 / 6.
    verdict = position_bonus(lambda words: [position_score(w, signs=(0, -10)) for w in words])
    assert repr(verdict) == "Not yet: AAAAATAT should score 19.417 and scores 17.750."
    verdict = position_bonus(lambda words: np.full(len(words), np.nan))
    assert repr(verdict) == "Not yet: AAAAAAAA should score 20.000 and scores nan."


# --- exercise 2 -----------------------------------------------------------------------------


def table(**changes) -> pd.DataFrame:
    """Losses as they come out: the linear model hardly minds the rate, the CNN diverges."""
    columns = {
        "linear": [13.4, 13.2, 13.1, 13.2, 13.5],
        "cnn": [9.0, 3.0, 1.5, 2.0, np.inf],
    } | changes
    return pd.DataFrame(columns, index=list(RATES))


GOOD = {"linear": 0.01, "cnn": 0.01}


@pytest.mark.parametrize(
    "recommended",
    [GOOD, {"linear": 0.005, "cnn": 0.01}, {"linear": 0.1, "cnn": 0.01, "why": "the lowest"}],
)
def test_learning_rates_solution(recommended):
    verdict = learning_rates(table(), recommended)
    assert verdict.passed
    # 13.5 / 13.1 = 1.03
    assert verdict.message.endswith("and the CNN depends on them far more.")


def test_order_of_the_table_does_not_matter():
    shuffled = table()[["cnn", "linear"]].iloc[[3, 0, 4, 1, 2]]
    assert learning_rates(shuffled, pd.Series(GOOD).to_dict()).passed


@pytest.mark.parametrize(
    ("given", "recommended", "message"),
    [
        (table().rename(columns={"cnn": "CNN"}), GOOD, "wanted columns linear and cnn"),
        (table(third=1.0), GOOD, "wanted columns linear and cnn"),
        (table(), {"linear": 0.01}, "one recommendation for each"),
        (table().iloc[:4], GOOD, "the index should hold the learning rates (0.001, 0.005"),
        (table().reset_index(drop=True), GOOD, "the index should hold the learning rates"),
        (table(cnn=[9, 3, 1.5, 2, np.nan]), GOOD, "write inf where a training diverged"),
        (table(linear=[9, 3, 1.5, 2, 3]), GOOD, "cannot come below about 13; is it the CNN's"),
        (table(linear=[90, 80, 70, 60, 50]), GOOD, "the linear model has not converged"),
        (table(cnn=[9, 8, 7, 9, np.inf]), GOOD, "the CNN has hardly learned at any rate"),
        (table(), {"linear": 0.01, "cnn": 0.02}, "0.02 for cnn is not one of the five rates"),
        (table(), {"linear": 0.01, "cnn": 0.05},
         "for cnn you recommend 0.05 (loss 2.00), but 0.01 gives 1.50."),
        (table(linear=[15, 14, 13.1, 14, 15]), {"linear": 0.1, "cnn": 0.01},
         "for linear you recommend 0.1 (loss 15.00), but 0.01 gives 13.10."),
        (table(), {"linear": 0.01, "cnn": 0.1}, "for cnn you recommend 0.1 (loss inf), but"),
        (table(linear=[13.1, 20, 20, 20, 30], cnn=[1.5] * 5), {"linear": 0.001, "cnn": 0.01},
         "the CNN should be the more sensitive one; are the columns swapped?"),
    ],
)  # fmt: skip
def test_learning_rates_mistakes(given, recommended, message):
    verdict = learning_rates(given, recommended)
    assert verdict.passed is False
    assert message in verdict.message


def test_a_choice_nearly_as_good_as_the_best_is_good():
    close = table(cnn=[9, 3, 1.5, 1.57, 9])  # 1.57 / 1.5 = 1.047
    assert learning_rates(close, {"linear": 0.01, "cnn": 0.05}).passed
    far = table(cnn=[9, 3, 1.5, 1.58, 9])  # 1.053
    assert learning_rates(far, {"linear": 0.01, "cnn": 0.05}).passed is False


# --- exercise 3 -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some_words():
    words = kmers(8)[::13]
    return one_hot(words), torch.from_numpy(score(words))


class Answers(nn.Module):
    """A model that says for each word what a function says."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.asked_in_training = function, None

    def forward(self, x):
        self.asked_in_training = self.training
        return torch.tensor([float(self.function(word)) for word in decode(x)])


def rule(word: str) -> float:
    return float(score([word])[0])


def copies(word: str, motif: str) -> int:
    return sum(word.startswith(motif, p) for p in range(6))


def solved() -> MaxPoolCNN:
    """The rule written into the weights: a filter for each motif, and the base scores."""
    model = MaxPoolCNN(n_filters=2)
    with torch.no_grad():
        model.conv.weight.copy_(one_hot(["TAT", "GCG"]))
        model.conv.bias.fill_(-2)
        model.presence.weight.copy_(torch.tensor([[10.0, -10.0]]))
        model.presence.bias.zero_()
        bases = torch.tensor([20.0, 17, 14, 11])[:, None].expand(4, 8) / 8
        model.bases.weight.copy_(bases.reshape(1, 32))
    return model


def test_better_model_solution(some_words):
    model = solved().train()
    verdict = better_model(model, *some_words)
    assert repr(verdict) == "Passed: the test error is below 0.01."


def test_better_model_is_asked_in_evaluation_mode(some_words):
    model = Answers(rule).train()
    assert better_model(model, *some_words).passed
    assert model.asked_in_training is False


def test_the_bound_is_0_01(some_words):
    assert better_model(Answers(lambda w: rule(w) + 0.099), *some_words).passed
    verdict = better_model(Answers(lambda w: rule(w) + 0.101), *some_words)
    assert repr(verdict) == "Not yet: the test error is 0.010, wanted below 0.01."


def test_a_model_that_counts_copies(some_words):
    def counts(word):
        return rule(word) + 5 * max(copies(word, "TAT") - 1, 0) + 0.05

    verdict = better_model(Answers(counts), *some_words)
    assert verdict.passed is False
    assert "where a motif occurs more than once and 0.00 elsewhere" in verdict.message
    assert verdict.message.endswith("so the model still counts copies.")


def test_the_models_of_the_chapter(some_words):
    assert "counts copies" in better_model(checkpoints.load("toy-cnn"), *some_words).message
    linear = better_model(checkpoints.load("toy-linear"), *some_words)
    assert linear.message.endswith("wanted below 0.01.")
    assert better_model(checkpoints.load("toy-maxpool-17"), *some_words).passed


class Column(nn.Module):
    """The answer as a column, (N, 1)."""

    def forward(self, x):
        return solved()(x)[:, None]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Column(), "returns (5042, 1), wanted (5042,); squeeze(-1) removes a last axis"),
        (Answers(lambda word: 15.5), "the model predicts nearly the same for all (error "),
        (Answers(lambda word: float("nan")), "some predictions are NaN or infinite; the training"),
        (Answers(lambda word: rule(word) + (word == "A" * 8) * float("inf")), "NaN or infinite"),
        (Answers(lambda word: rule(word) + 1), "the test error is 1.000, wanted below 0.01."),
    ],
    ids=["column", "constant", "nan", "one inf", "offset"],
)
def test_better_model_mistakes(some_words, model, message):
    verdict = better_model(model, *some_words)
    assert verdict.passed is False
    assert message in verdict.message


def test_words_without_repeats_are_judged_too():
    x = one_hot(["AAAAAAAA", "CCCCCCCC", "GGGGGGGG"])
    verdict = better_model(Answers(lambda word: rule(word) + 1), x, torch.tensor([20.0, 17, 14]))
    assert repr(verdict) == "Not yet: the test error is 1.000, wanted below 0.01."
