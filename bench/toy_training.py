"""Epochs of Chapter 1's CNN: the hand-written DataLoader loop beside ``training.fit``.

Both train and validate, on the same data, in the same order, from the same weights; the losses
are compared before the times are.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import torch
from _timing import compare, describe_machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.ship_checkpoints import run_cells  # noqa: E402
from tssbook.models import toy  # noqa: E402
from tssbook.training import loop as training  # noqa: E402

EPOCHS = 2


def main() -> None:
    """Take the loop, the data and the batches from the chapter itself."""
    describe_machine()
    with contextlib.redirect_stdout(io.StringIO()):
        chapter = run_cells(ROOT / "chapters" / "01-toy-cnn.ipynb", until="train-two")
    orders = [chapter["train"].order(epoch).tolist() for epoch in range(EPOCHS)]

    def by_hand() -> list[float]:
        return chapter["train_by_hand"](chapter["new_model"](toy.ToyCNN), EPOCHS, orders)

    def by_fit() -> list[float]:
        model = chapter["new_model"](toy.ToyCNN)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        history = training.fit(
            model, chapter["train"], chapter["valid"], toy.loss_terms, optimizer,
            epochs=EPOCHS, seed=17, device="cpu",
        )  # fmt: skip
        return history["valid_loss"].tolist()

    for threads in (1, 2):
        torch.set_num_threads(threads)
        hand, fit = torch.tensor(by_hand()), torch.tensor(by_fit())
        print(f"\nlosses by hand {hand.tolist()}, by fit {fit.tolist()}")
        if not torch.allclose(hand, fit, rtol=1e-4):
            raise SystemExit("the loss curves differ")
        title = f"{EPOCHS} epochs, 41,942 words, batch 128, {threads} threads"
        compare(title, {"fit, resident tensors": by_fit, "by hand, DataLoader": by_hand})


if __name__ == "__main__":
    main()
