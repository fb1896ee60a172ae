"""From a model and arrays to a trained model, and from a model and sequences to predictions.

`fit` is the book's one training loop, `predict` its one runner; the batch classes feed them.
"""

from tssbook.training.batches import Batches, TrackBatches, WindowBatches, epoch_seed, flip_half
from tssbook.training.loop import TrainingDiverged, fit
from tssbook.training.memory import keep_memory
from tssbook.training.prediction import on_device, predict, resolve_device
from tssbook.training.ranks import RankLost
from tssbook.training.start import enriched_words, start_from_words

__all__ = [
    "Batches",
    "RankLost",
    "TrackBatches",
    "TrainingDiverged",
    "WindowBatches",
    "enriched_words",
    "epoch_seed",
    "fit",
    "flip_half",
    "keep_memory",
    "on_device",
    "predict",
    "resolve_device",
    "start_from_words",
]
