"""The checks of Chapter 1: a solution passes, and each usual mistake hears its name."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tssbook.exercises.chapter_1 import (
    MOTIFS,
    RATES,
    better_model,
    learning_rates,
    position_bonus,
)
from tssbook.exercises.verdict import Verdict
from tssbook.models.toy import BASE_SCORES, LinearModel, MaxPoolCNN, ToyCNN, score
from tssbook.sequence import decode, kmers, one_hot

# --- verdicts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        (Verdict(True, "well done."), "Passed: well done."),
        (Verdict(False, "look again."), "Not yet: look again."),
        (Verdict(None, ""), "Not attempted yet."),
        (Verdict(None, "right so far."), "Right so far."),
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
        lambda: better_model(None, *2 * (torch.zeros(2, 4, 8), torch.zeros(2))),
    ],
)
def test_not_attempted(check):
    assert repr(check()) == "Not attempted yet."


# --- exercise 1 -----------------------------------------------------------------------------


def position_score(word, *, first=0, every=False, grows=False, signs=(10, -10)):
    """The rule of exercise 1, with the mistakes that can be made."""
    total = sum(BASE_SCORES[base] for base in word) / len(word)
    for motif, sign in zip(("TAT", "GCG"), signs, strict=True):
        places = [p for p in range(len(word) - 2) if word[p : p + 3] == motif]
        if not places:
            continue
        chosen = places if every else places[:1]
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
        (answer(grows=True), "the bonus grows towards the end; the start should count most."),
        (answer(every=True), "every copy earns a bonus; only the first one should."),
        (answer(signs=(10, 10)), "GCG adds; it should subtract."),
        (answer(first=1), "you seem to count positions from 1; the first one is 0."),
        (lambda words: np.zeros((65_536, 1)), "the result is (65536, 1); wanted (65536,)"),
        (lambda words: 20.0, "the result is (); wanted (65536,)"),
    ],
    ids=["old", "grows", "every", "GCG adds", "from 1", "column", "number"],
)
def test_position_mistakes(wrong, message):
    verdict = position_bonus(wrong)
    assert verdict.passed is False
    assert message in verdict.message


def found(test, *, share=lambda p: (6 - p) / 6):
    """A solution with str.find; the test says which places count as found."""

    def answered(words):
        scores = []
        for word in words:
            total = sum(BASE_SCORES[letter] for letter in word) / len(word)
            for motif, sign in {"TAT": 10, "GCG": -10}.items():
                if test(word.find(motif)):
                    total += sign * share(word.find(motif))
            scores.append(total)
        return scores

    return answered


def there(place):
    return place >= 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (found(lambda p: True), "find returns -1 if there is no motif; add the bonus only"),
        (found(lambda p: p > 0), "position 0 counts too: a motif there earns the whole bonus."),
        (found(there, share=lambda p: 1 + (6 - p) / 6), "is added on top of the old one; it s"),
    ],
    ids=["-1", "> 0", "on top"],
)
def test_position_slips_with_find(wrong, message):
    verdict = position_bonus(wrong)
    assert verdict.passed is False
    assert message in verdict.message


@pytest.mark.parametrize(("up", "down"), MOTIFS)
def test_position_with_other_words(up, down):
    """Each pair has its own scores, and its mistakes are called by its own letters."""

    def found(words, *, signs=(10, -10), every=False):
        scores = []
        for word in words:
            total = sum(BASE_SCORES[letter] for letter in word) / len(word)
            for motif, sign in zip((up, down), signs, strict=True):
                places = [p for p in range(6) if word.startswith(motif, p)]
                total += sum(sign * (6 - p) / 6 for p in (places if every else places[:1]))
            scores.append(total)
        return scores

    verdict = position_bonus(found, (up, down))
    assert verdict.passed, verdict.message
    verdict = position_bonus(lambda words: found(words, signs=(10, 10)), (up, down))
    assert verdict.message == f"{down} adds; it should subtract."
    verdict = position_bonus(lambda words: found(words, every=True), (up, down))
    assert verdict.message == "every copy earns a bonus; only the first one should."
    assert position_bonus(found).passed is ((up, down) == ("TAT", "GCG"))


def test_position_solution_with_find():
    assert position_bonus(found(there)).passed


def test_position_function_of_two_things():
    verdict = position_bonus(lambda words, motif: None)
    assert verdict.message == (
        "position_score is called as position_score(words, motif); wanted a function of a list of "
        "words."
    )


@pytest.mark.parametrize("wrong", ["TAT", [1.0, 2.0], np.zeros(3), {}], ids=type)
def test_position_answer_that_is_no_function(wrong):
    verdict = position_bonus(wrong)
    assert verdict.passed is False
    assert re.search(rf"{type(wrong).__name__}|TAT.* wanted a function of", verdict.message)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (lambda words: dict.fromkeys(words, 1.0), "dict"),
        (lambda words: map(len, words), "map"),
        (lambda words: "twenty", "twenty"),
        (lambda words: [[1.0], [1.0, 2.0]], "list"),
        (lambda words: [10**400] * len(words), "list"),
        (lambda words: words, "list"),
        (lambda words: torch.zeros(2).to_sparse(), "Tensor"),
    ],
    ids=["dict", "iterator", "text", "ragged", "huge", "words", "sparse"],
)
def test_position_results_that_are_no_numbers(result, kind):
    verdict = position_bonus(result)
    assert verdict.passed is False
    assert re.search(rf"{kind}.* wanted \(65536,\)", verdict.message)


def test_position_solution_that_needs_gradients():
    given = torch.tensor(answer()(kmers(8)), requires_grad=True)
    assert position_bonus(lambda words: given).passed


def test_position_answer_for_one_word():
    verdict = position_bonus(position_score)
    assert repr(verdict) == (
        "Not yet: the function takes one word; it should take a list of words and return one "
        "number for each."
    )


@pytest.mark.parametrize("of_one_word", [None, "text", [1.0, 2.0]])
def test_errors_of_the_answer_itself_are_raised(of_one_word):
    def broken(words):
        if isinstance(words, str):
            return of_one_word
        raise KeyError("my own mistake")

    with pytest.raises(KeyError, match="my own mistake"):
        position_bonus(broken)


def test_any_other_position_mistake_is_shown_with_its_first_word():
    # The words come in the order of the alphabet: AAAAATAT is the first one with a motif.
    # Its letters give (6*20 + 2*11) / 8 = 17.75, and TAT at place 5 gives 10 / 6.
    verdict = position_bonus(lambda words: [position_score(w, signs=(0, -10)) for w in words])
    assert repr(verdict) == (
        "Not yet: AAAAATAT should score 19.417, but your function gives 17.750."
    )
    verdict = position_bonus(lambda words: np.full(len(words), np.nan))
    assert repr(verdict) == ("Not yet: AAAAAAAA should score 20.000, but your function gives nan.")


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
    assert verdict.message.endswith("and the CNN is much more sensitive to the rate.")


def test_order_of_the_table_does_not_matter():
    shuffled = table()[["cnn", "linear"]].iloc[[3, 0, 4, 1, 2]]
    assert learning_rates(shuffled, pd.Series(GOOD).to_dict()).passed


@pytest.mark.parametrize(
    ("given", "recommended", "message"),
    [
        (table().rename(columns={"cnn": "CNN"}), GOOD, "the columns ['linear', 'CNN'] and"),
        (table().rename(columns={"cnn": 3}), GOOD, "the columns ['linear', 3] and"),
        (table()[["linear", "linear"]], GOOD, "['linear', 'linear'] and the index"),
        (table(third=1.0), GOOD, "['linear', 'cnn', 'third'] and the index"),
        (pd.DataFrame(), GOOD, "the columns [] and the index []; wanted columns linear and cnn"),
        (table().to_dict(), GOOD, "the table is a dict; wanted a pandas DataFrame."),
        ("text", GOOD, "the table is 'text'; wanted a pandas DataFrame."),
        (table().T, GOOD, "the index ['linear', 'cnn']; wanted columns linear and cnn"),
        (table().rename_axis("rate").reset_index(), GOOD, ".set_index turns a column into"),
        (table().set_axis([(r, r) for r in RATES]), GOOD, "the index [(0.001, 0.001),"),
        (table(cnn=list("abcde")), GOOD, "some entries of the table are not numbers"),
        (table(linear=[[13.0, 13.1]] * 5), GOOD, "some entries of the table are not numbers"),
        (table(cnn=[9, 3, 1.5, 2, None]), GOOD, "write inf where a training diverged"),
        (table(cnn=[9, 3, 1.5, 0, 2]), GOOD, "lowest loss of cnn is 0; wanted 0 to 6"),
        (table(), 0.01, "the recommendation is 0.01; wanted a dict with the keys 'linear', 'cnn'"),
        (table(), [0.01, 0.01], "the recommendation is a list; wanted a dict"),
        (table(), {"linear": 0.01, "cnn": "0.01"}, "'0.01' for cnn is not one of the five rates"),
        (table(), {"linear": None, "cnn": 0.01}, "None for linear is not one of the five rates"),
        (table(), {"linear": 0.01}, "'linear'; wanted 'linear', 'cnn'"),
        (table().iloc[:4], GOOD, "[0.001, 0.005, 0.01, 0.05]; wanted columns linear and cnn, and"),
        (table().reset_index(drop=True), GOOD, "the index [0, 1, 2, 3, 4]; wanted"),
        (table(cnn=[9, 3, 1.5, 2, np.nan]), GOOD, "write inf where a training diverged"),
        (table(linear=[9, 3, 1.5, 2, 3]), GOOD, "lowest loss of linear is 1.5; wanted 12 to 13.5"),
        (table(linear=[90, 80, 70, 60, 50]), GOOD, "of linear is 50; wanted 12 to 13.5"),
        (table(cnn=[9, 8, 7, 9, np.inf]), GOOD, "lowest loss of cnn is 7; wanted 0 to 6"),
        (table(), {"linear": 0.01, "cnn": 0.02}, "0.02 for cnn is not one of the five rates"),
        (table(), {"linear": 0.01, "cnn": 0.05},
         "for cnn you recommend 0.05 (loss 2.00), but 0.01 reaches 1.50."),
        (table(linear=[15, 14, 13.1, 14, 15]), {"linear": 0.1, "cnn": 0.01},
         "for linear you recommend 0.1 (loss 15.00), but 0.01 reaches 13.10."),
        (table(), {"linear": 0.01, "cnn": 0.1}, "for cnn you recommend 0.1 (loss inf), but"),
        (table(linear=[13.1, 20, 20, 20, 30], cnn=[1.5] * 5), {"linear": 0.001, "cnn": 0.01},
         "the CNN should be the more sensitive one; are the columns swapped?"),
    ],
)  # fmt: skip
def test_learning_rates_mistakes(given, recommended, message):
    verdict = learning_rates(given, recommended)
    assert verdict.passed is False
    assert message in verdict.message


@pytest.mark.parametrize(
    "given",
    [
        table().set_axis(np.array(RATES, dtype=np.float32)),
        table().set_axis(pd.Index(RATES, dtype=object)),
        table().astype(object),
        table().astype(np.float32),
        table().astype(str).set_axis([str(rate) for rate in RATES]),
    ],
    ids=["float32 index", "object index", "object cells", "float32 cells", "text"],
)
def test_numbers_of_any_type_are_read(given):
    assert learning_rates(given, GOOD).passed
    assert learning_rates(given, {"linear": 0.01, "cnn": np.float32(0.01)}).passed
    verdict = learning_rates(given, {"linear": 0.01, "cnn": 0.05})
    assert verdict.message == "for cnn you recommend 0.05 (loss 2.00), but 0.01 reaches 1.50."


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
    verdict = better_model(model, *some_words, *some_words)
    assert repr(verdict) == (
        "Passed: the validation error is below 0.01, and the test error is 0.000."
    )
    assert verdict.exercise == "1.3"
    assert verdict.numbers == pytest.approx({"validation error": 0, "test error": 0}, abs=1e-6)


def test_better_model_is_asked_in_evaluation_mode(some_words):
    model = Answers(rule).train()
    assert better_model(model, *some_words, *some_words).passed
    assert model.asked_in_training is False


def test_the_bound_is_0_01(some_words):
    assert better_model(Answers(lambda w: rule(w) + 0.099), *some_words, *some_words).passed
    verdict = better_model(Answers(lambda w: rule(w) + 0.101), *some_words, *some_words)
    assert verdict.passed is False
    assert verdict.message.startswith("the validation error is 0.010, wanted below 0.01; ")


def test_the_test_words_are_asked_for_once_and_only_at_the_end(some_words):
    x, target = some_words
    seen = []

    class Watched(Answers):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    halves = x[:3000], target[:3000], x[3000:], target[3000:]  # 3,000 and 2,042 words
    assert better_model(Watched(lambda w: rule(w) + 1), *halves).passed is False
    assert seen == [3000]
    test = set(decode(x[3000:]))
    verdict = better_model(Watched(lambda w: rule(w) + 2 * (w in test)), *halves)
    assert seen == [3000, 3000, 2042]
    # 2 too high in each test word: it is told, and the validation words decide
    assert repr(verdict) == (
        "Passed: the validation error is below 0.01, and the test error is 4.000."
    )


def test_the_share_of_words_with_repeated_motifs(some_words):
    def counts(word):
        return rule(word) + 9 * max(copies(word, "TAT") - 1, 0)

    assert better_model(Answers(counts), *some_words, *some_words).message.endswith(
        "; 100% of it comes from words that hold a motif more than once."
    )
    words = one_hot(["TATATAAA", "AAAAAAAA", "AAAAAAAA", "AAAAAAAA"])
    target = torch.tensor([rule("TATATAAA"), 20, 20, 20])
    verdict = better_model(Answers(lambda word: rule(word) + 2), words, target, words, target)
    assert repr(verdict) == (
        "Not yet: the validation error is 4.000, wanted below 0.01; 25% of it comes from words "
        "that hold a motif more than once."
    )


def test_the_models_of_the_chapter(some_words):
    torch.manual_seed(17)
    for model in (
        ToyCNN(),
        ToyCNN.from_pretrained("toy-cnn"),
        LinearModel.from_pretrained("toy-linear"),
    ):
        assert ", wanted below 0.01; " in better_model(model, *some_words, *some_words).message
    assert better_model(
        MaxPoolCNN.from_pretrained("toy-maxpool-17"), *some_words, *some_words
    ).passed


def test_the_mode_of_every_part_is_as_before(some_words):
    model = solved().train()
    model.conv.eval()
    assert better_model(model, *some_words, *some_words).passed
    assert (model.training, model.conv.training, model.bases.training) == (True, False, True)
    broken = nn.Sequential(nn.Flatten(), nn.Linear(8, 1)).train()
    assert better_model(broken, *some_words, *some_words).passed is False
    assert broken.training


def test_a_model_may_write_into_its_input(some_words):
    class Writes(nn.Module):
        def forward(self, x):
            x.mul_(3)
            return x[:, 0, 0]

    before = some_words[0].clone()
    assert better_model(Writes(), *some_words, *some_words).passed is False
    assert torch.equal(some_words[0], before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (MaxPoolCNN, "got a type; wanted a model: make it with (), and train it."),
        (solved().forward, "got a method; wanted a model"),
        ("cnn", "got 'cnn'; wanted a model"),
        ((solved(), [1.0]), "got a tuple; wanted a model"),
        (solved().state_dict(), "got an OrderedDict; wanted a model"),
        (torch.zeros(5042), "got a Tensor; wanted a model"),
        (
            nn.Linear(3, 1),
            "the model fails on an input of (5042, 4, 8): mat1 and mat2 shapes",
        ),
        (nn.Module(), "the model fails on an input of (5042, 4, 8): Module [Module] is missing"),
    ],
)
def test_answers_that_are_no_model(some_words, given, message):
    verdict = better_model(given, *some_words, *some_words)
    assert verdict.passed is False
    assert message in verdict.message
    assert "\n" not in verdict.message


class Returns(nn.Module):
    """A model that returns what it is told, whatever the sequences."""

    def __init__(self, result) -> None:
        super().__init__()
        self.result = result

    def forward(self, x):
        return self.result


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ((torch.zeros(5042), 1), "returns a int; wanted a tensor"),
        (None, "returns a NoneType; wanted a tensor"),
        (np.zeros(5042), "returns a ndarray; wanted a tensor"),
        (torch.tensor(1.0), "returns one number for 5042 sequences"),
        (torch.zeros(5042, dtype=torch.int64), "wanted below 0.01; "),
        (torch.full((5042,), 15.5, dtype=torch.float16, requires_grad=True), "wanted below 0.01; "),
    ],
)
def test_better_model_outputs(some_words, result, message):
    verdict = better_model(Returns(result), *some_words, *some_words)
    assert verdict.passed is False
    assert message in verdict.message


def test_errors_of_the_model_itself_are_raised(some_words):
    def broken(word):
        raise KeyError("my own mistake")

    with pytest.raises(KeyError, match="my own mistake"):
        better_model(Answers(broken), *some_words, *some_words)


class Column(nn.Module):
    """The answer as a column, (N, 1)."""

    def forward(self, x):
        return solved()(x)[:, None]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Column(), "is (5042, 1); wanted (5042,): squeeze(-1) removes a last axis"),
        (Answers(lambda word: float("nan")), "some predictions are NaN or infinite; the training"),
        (Answers(lambda word: rule(word) + (word == "A" * 8) * float("inf")), "NaN or infinite"),
        (Answers(lambda word: rule(word) + 1), "the validation error is 1.000, wanted below 0.01;"),
    ],
    ids=["column", "nan", "one inf", "offset"],
)
def test_better_model_mistakes(some_words, model, message):
    verdict = better_model(model, *some_words, *some_words)
    assert verdict.passed is False
    assert message in verdict.message
