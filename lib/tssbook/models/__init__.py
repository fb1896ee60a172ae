"""What the chapters teach: a network and its loss in each file, readable in one sitting.

A model maps one-hot ``(N, 4, L)`` to predictions; it knows nothing of files, devices, training or
plots. ``MODEL.from_pretrained`` loads what this project has trained, ``MODEL.from_published`` what
others have.
"""

from tssbook.models import procapnet, promoter, puffin, toy
from tssbook.models.checkpoints import CheckpointError, class_of, describe, load, save, shipped
from tssbook.models.enformer import Enformer
from tssbook.models.long_conv import LongConv1d
from tssbook.models.procapnet import ProCapNet
from tssbook.models.procapnet_fast import FastProCapNet
from tssbook.models.promoter import PromoterNet
from tssbook.models.puffin import Puffin, SimpleNet
from tssbook.models.toy import LinearModel, MaxPoolCNN, ToyCNN

__all__ = [
    "CheckpointError",
    "Enformer",
    "FastProCapNet",
    "LinearModel",
    "LongConv1d",
    "MaxPoolCNN",
    "ProCapNet",
    "PromoterNet",
    "Puffin",
    "SimpleNet",
    "ToyCNN",
    "class_of",
    "describe",
    "load",
    "procapnet",
    "promoter",
    "puffin",
    "save",
    "shipped",
    "toy",
]
