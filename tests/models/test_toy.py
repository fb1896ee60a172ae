"""toy: the rule on paper, the models' sizes, and the shipped checkpoints measured again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import train_test_split

from tssbook.metrics import mse
from tssbook.models import checkpoints
from tssbook.models.toy import LinearModel, MaxPoolCNN, ToyCNN, loss_terms, score
from tssbook.sequence import kmers, one_hot
from tssbook.training import Batches, fit, predict

# Last validation loss in the shipped history, and the best one, which is that of the weights.
LINEAR = (13.0, 13.2)
CNN_LAST, CNN_BEST = (0.85, 0.90), (0.80, 0.95)


@pytest.fixture(scope="module")
def eight():
    """All 8-mers, their scores, and the three sets of Chapter 1, section 2."""
    words = kmers(8)
    train, test = train_test_split(np.arange(len(words)), test_size=0.2, random_state=42)
    train, valid = train_test_split(train, test_size=0.2, random_state=42)
    return SimpleNamespace(
        words=words, x=one_hot(words), y=torch.from_numpy(score(words)),
        train=train, valid=valid, test=test,
    )  # fmt: skip


# --- the rule -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("AAAAAAAA", 20.000),  # 160 / 8
        ("AAAAAAAC", 19.625),  # 157 / 8
        ("AAAAAAAG", 19.250),  # 154 / 8
        ("AAAAAAAT", 18.875),  # 151 / 8
        ("CCCCCTAT", 25.875),  # (5*17 + 11 + 20 + 11) / 8 + 10 = 127 / 8 + 10
        ("TGCGTTTT", 2.500),  # (6*11 - 11 + 14 + 17 + 14) / 8 - 10 = 100 / 8 - 10
        ("TATATTTT", 23.250),  # TAT twice, overlapping: (2*20 + 6*11) / 8 + 10, once
        ("GCGCGCGC", 5.500),  # GCG three times: (4*14 + 4*17) / 8 - 10, once
        ("TATGCGAA", 15.875),  # both cancel: (3*20 + 2*11 + 17 + 2*14) / 8
        ("TA", 15.5),  # too short for a motif: 31 / 2
        ("TAT", 24.0),  # 42 / 3 + 10
    ],
)
def test_scores_on_paper(word, expected):
    assert score([word]).tolist() == [expected]
    assert score([word.lower()]).tolist() == [expected]


def test_scores_of_all_words_as_in_a_plain_loop(eight):
    value = {"A": 20, "C": 17, "G": 14, "T": 11}
    expected = [
        sum(map(value.get, word)) / 8 + 10 * ("TAT" in word) - 10 * ("GCG" in word)
        for word in eight.words
    ]
    scores = score(eight.words)
    assert scores.dtype == np.float32
    assert scores.tolist() == expected  # all are multiples of 1/8, so exact


def test_score_takes_a_column_of_a_table():
    column = pd.Series(["AAAAAAAA", "TTTTTTTT"], index=["x", "y"])
    assert score(column).tolist() == [20, 11]


@pytest.mark.parametrize("letter", "NRn")
def test_ambiguity_has_no_score(letter):
    with pytest.raises(ValueError, match="holds N or another ambiguity code; wanted A, C, G and T"):
        score(["ACGT", f"ACG{letter}"])


def test_words_that_cannot_be_encoded_have_no_score():
    with pytest.raises(ValueError, match="'X', first at position 3 of sequence 0"):
        score(["ACGX"])
    with pytest.raises(ValueError, match="list of sequences is empty"):
        score([])


# --- the models -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (LinearModel(), 33),  # 4*8 + 1
        (ToyCNN(), 609),  # 32*4*3 + 32, and 32*6 + 1
        (MaxPoolCNN(), 481),  # 32*4*3 + 32, and 32 + 1, and 4*8
        (LinearModel(60), 241),
        (ToyCNN(60, n_filters=2, width=5), 155),  # 2*4*5 + 2, and 2*56 + 1
        (MaxPoolCNN(60, n_filters=2, width=5), 285),  # 2*4*5 + 2, and 2 + 1, and 4*60
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else value,
)
def test_sizes(model, parameters):
    assert sum(p.numel() for p in model.parameters()) == parameters
    for n_rows in (1, 5):
        assert model(torch.zeros(n_rows, 4, model.config["length"])).shape == (n_rows,)
    assert same_model(type(model)(**model.config), model)


def same_model(one, other) -> bool:
    shapes = [{name: t.shape for name, t in m.state_dict().items()} for m in (one, other)]
    return type(one) is type(other) and shapes[0] == shapes[1]


def test_linear_model_by_hand():
    model = LinearModel(length=2)
    with torch.no_grad():
        # Rows A, C, G, T of the first and the second base; flattened row by row.
        model.linear.weight.copy_(torch.tensor([[1.0, 10, 2, 20, 3, 30, 4, 40]]))
        model.linear.bias.fill_(100)
    assert model(one_hot(["AA", "CG", "TN"])).tolist() == [111, 132, 104]


def with_tat_filter(model):
    """One filter that answers 1 to TAT and 0 to every other word: 3 matches minus 2."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.conv.weight[0] = one_hot("TAT")
        model.conv.bias[0] = -2
    return model


def test_cnn_counts_and_max_pool_asks_whether():
    words = one_hot(["CCCCCCCC", "TATCCCCC", "TATATCCC", "TATATATC"])
    counts = with_tat_filter(ToyCNN(n_filters=1))
    torch.nn.init.ones_(counts.linear.weight)
    assert counts(words).tolist() == [0, 1, 2, 3]
    asks = with_tat_filter(MaxPoolCNN(n_filters=1))
    torch.nn.init.ones_(asks.presence.weight)
    assert asks(words).tolist() == [0, 1, 1, 1]
    torch.nn.init.ones_(asks.bases.weight)
    assert asks(words).tolist() == [8, 9, 9, 9]


def test_cnn_knows_the_place():
    model = with_tat_filter(ToyCNN(n_filters=1))
    with torch.no_grad():
        model.linear.weight.copy_(torch.arange(6.0)[None])
    assert model(one_hot(["TATCCCCC", "CTATCCCC", "CCCCCTAT"])).tolist() == [0, 1, 5]


def test_loss_of_each_sequence():
    terms = loss_terms(None, torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0]))
    assert {name: term.tolist() for name, term in terms.items()} == {"mse": [4, 0]}


@pytest.mark.parametrize(("prediction", "target"), [((3, 1), (3,)), ((3,), (3, 1)), ((3,), (2,))])
def test_loss_refuses_to_broadcast(prediction, target):
    with pytest.raises(ValueError, match="wanted the same shape") as caught:
        loss_terms(None, torch.zeros(prediction), torch.zeros(target))
    assert f"{prediction} and the target {target}" in str(caught.value)


# --- the shipped checkpoints ----------------------------------------------------------------

SHIPPED = {
    "toy-linear": LinearModel,
    "toy-cnn": ToyCNN,
    "toy-maxpool-17": MaxPoolCNN,
    "toy-maxpool-18": MaxPoolCNN,
    "toy-maxpool-19": MaxPoolCNN,
}


@pytest.mark.parametrize("name", SHIPPED)
def test_stored_loss_is_that_of_the_weights(eight, name):
    about, model = checkpoints.describe(name), SHIPPED[name].from_pretrained(name)
    loss = float(mse(predict(model, eight.x[eight.valid]), eight.y[eight.valid]))
    assert loss == pytest.approx(about["metrics"]["valid_loss"], rel=1e-4, abs=2e-6)
    training = about["training"]
    history = pd.DataFrame(training["history"])
    assert history["epoch"].tolist() == list(range(training["epochs"]))
    best = history["valid_loss"][training["best_epoch"]]
    assert best == history["valid_loss"].min() == about["metrics"]["valid_loss"]


def test_shipped_linear_model():
    about = checkpoints.describe("toy-linear")
    history = about["training"]["history"]["valid_loss"]
    assert len(history) == 50
    assert LINEAR[0] < about["metrics"]["valid_loss"] <= history[-1] < LINEAR[1]


def test_no_linear_model_is_better(eight):
    design = torch.cat([eight.x.flatten(1), torch.ones(len(eight.x), 1)], dim=1).double().numpy()
    weights, *_ = np.linalg.lstsq(design[eight.train], eight.y[eight.train].double().numpy())
    best = np.mean((design[eight.valid] @ weights - eight.y[eight.valid].numpy()) ** 2)
    assert LINEAR[0] < best < LINEAR[1]
    assert checkpoints.describe("toy-linear")["metrics"]["valid_loss"] < 1.01 * best


def test_shipped_cnn():
    about = checkpoints.describe("toy-cnn")
    history = about["training"]["history"]["valid_loss"]
    assert len(history) == 50
    assert CNN_LAST[0] < history[-1] < CNN_LAST[1]
    assert CNN_BEST[0] < about["metrics"]["valid_loss"] < CNN_BEST[1]


@pytest.mark.parametrize("seed", [17, 18, 19])
def test_shipped_max_pool_models(eight, seed):
    model = MaxPoolCNN.from_pretrained(f"toy-maxpool-{seed}")
    assert float(mse(predict(model, eight.x[eight.test]), eight.y[eight.test])) < 0.01
    assert checkpoints.describe(f"toy-maxpool-{seed}")["training"]["seed"] == seed


def test_training_now_gives_the_shipped_losses(eight):
    torch.manual_seed(17)
    model = ToyCNN()
    train = Batches(eight.x[eight.train], eight.y[eight.train], batch_size=128, seed=17)
    valid = Batches(eight.x[eight.valid], eight.y[eight.valid], batch_size=128)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    history = fit(model, train, valid, loss_terms, optimizer, epochs=3, seed=17, device="cpu")
    shipped = checkpoints.describe("toy-cnn")["training"]["history"]["valid_loss"][:3]
    assert history["valid_loss"].tolist() == pytest.approx(shipped, rel=1e-3)


def test_score_of_a_single_word_or_a_generator():
    with pytest.raises(TypeError, match=r"^seqs is one string; wanted a list of sequences\.$"):
        score("TATATATA")
    assert score(word for word in ["AAAAAAAA"]).tolist() == [20]


@pytest.mark.parametrize("model", [LinearModel(8), ToyCNN(8), MaxPoolCNN(8)])
@pytest.mark.parametrize("length", [7, 9])
def test_sequences_of_another_length(model, length):
    with pytest.raises(ValueError, match=rf"are {length} bp long and the model reads 8; wanted"):
        model(torch.zeros(2, 4, length))
