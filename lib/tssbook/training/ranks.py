"""The processes of a training: one alone, or those that a Lightning Fabric has started.

:func:`tssbook.training.loop.fit` asks here for what it does together with the others. Lightning
is not imported: the Fabric comes from the caller.
"""

from __future__ import annotations

import platform
import re
import signal
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from tssbook import __version__
from tssbook.files import where_they_differ
from tssbook.models.weights import bare
from tssbook.training.batches import epoch_seed

__all__ = ["RankLost", "Ranks"]

_PRECISIONS = ("32-true", "bf16-mixed")
_STRATEGIES = {"SingleDeviceStrategy", "DDPStrategy"}
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_START = "start them with one script, one environment and one set of files"
# What the messages of torch.distributed have in common: gloo's are plain RuntimeErrors.
_CONTACT = re.compile("gloo|NCCL|ProcessGroup|TCPStore|[Cc]onnection|[Tt]imed out")
_IMPATIENT = 5.0  # seconds after which a second Ctrl-C is no echo of the first


class RankLost(RuntimeError):
    """Another process of the training was killed, has failed, or does not answer."""


class Ranks:
    """The processes that train a model together; each is called by its number, its rank.

    As a context it holds Ctrl-C back until all ranks can stop at the same batch, tells in one
    sentence when another rank is lost, and lets go of what Fabric has put around the model.

    Parameters
    ----------
    fabric
        A launched ``lightning_fabric.Fabric``, or None for this process alone.
    device
        As of :func:`tssbook.training.loop.fit`; with a Fabric None.

    Attributes
    ----------
    size, rank : int
        How many there are, and which this one is, from 0.
    device : str, torch.device or None
        Where this rank trains.
    precision : str
        What Fabric calls it: ``"32-true"``, ``"bf16-mixed"``.

    Raises
    ------
    TypeError
        If ``fabric`` is no Fabric.
    ValueError
        If there is a device besides, or the Fabric is not launched, or has a strategy or a
        precision with which `fit` does not keep its promises.
    """

    def __init__(self, fabric: Any | None, device: str | torch.device | None) -> None:
        self.fabric, self.device = fabric, device
        self.size, self.rank, self.precision = 1, 0, "32-true"
        self._net: Any = None
        self._stream: tuple[int, Tensor] | None = None
        self._asked: float | None = None
        if fabric is not None:
            _require_fabric(fabric, device)
            self.device, self.precision = fabric.device, fabric.strategy.precision.precision
            self.size, self.rank = fabric.world_size, fabric.global_rank

    def __enter__(self) -> Ranks:
        self._before = signal.getsignal(signal.SIGINT)
        in_main = threading.current_thread() is threading.main_thread()
        self._holds_back = self.size > 1 and in_main and self._before is signal.default_int_handler
        if self._holds_back:
            signal.signal(signal.SIGINT, self._hold_back)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        self._net = None  # and with it the hooks of DistributedDataParallel on the weights
        if self._holds_back:
            signal.signal(signal.SIGINT, self._before)
        if self.size == 1 or not isinstance(error, RuntimeError) or isinstance(error, RankLost):
            return
        if "find_unused_parameters" in str(error):
            raise ValueError(
                "Some of the model's weights have no part in its loss, and ranks wait for their "
                'gradients; wanted strategy="ddp_find_unused_parameters_true", or these weights '
                "frozen (requires_grad_(False))."
            ) from error
        if _CONTACT.search(str(error)):
            raise self._lost(error) from error

    def require_same(self, facts: Mapping[str, object], remedy: str = _START) -> None:
        """Compare what the ranks know; all of them refuse what differs, in the same sentence.

        Parameters
        ----------
        facts
            By their names in the message.
        remedy
            How the message ends.

        Raises
        ------
        ValueError
            Names the first fact that differs, and two ranks.
        """
        if self.size == 1:
            return
        own = {
            "version of tssbook": __version__,
            "version of torch": torch.__version__,
            "version of Python": platform.python_version(),
            "kind of device": self.device.type,
            **{name: str(fact) for name, fact in facts.items()},
        }
        every: list[Any] = [None] * self.size
        with self._contact():
            torch.distributed.all_gather_object(every, own)
        for name in dict.fromkeys(name for each in every for name in each):
            values = [each.get(name, "unknown") for each in every]
            for rank, value in enumerate(values):
                if value != values[0]:
                    one, other = where_they_differ(values[0], value)
                    raise ValueError(
                        f"The ranks differ in their {name}: {one} on rank 0, {other} on rank "
                        f"{rank}; wanted the same on all {self.size}: {remedy}."
                    )

    def require_parts(self, model: nn.Module, accumulate: int) -> None:
        """Refuse a model that a part of a batch tells something else than the whole.

        Raises
        ------
        ValueError
            If it normalises over batches and would see parts of them, or Fabric or
            DistributedDataParallel are around it already.
        """
        if self.fabric is not None:
            _require_bare(model)
        if accumulate > 1:
            _require_no_batch_norm(model, "accumulate cuts these", synchronised=False)
        elif self.size > 1:
            on_cuda = self.device.type == "cuda"
            _require_no_batch_norm(model, "each rank sees a part", synchronised=on_cuda)

    def setup(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Let Fabric set up model and optimizer; return the optimizer to make steps with."""
        self._net = model
        if self.fabric is not None:
            self._net, optimizer = self.fabric.setup(model, optimizer)
        return optimizer

    def predict(self, x: Tensor) -> Any:
        """Call the model, as Fabric wants it to be called."""
        return self._net(x)

    def backward(self, loss: Tensor) -> None:
        """Add a loss' gradient to the weights'; the mean over ranks, unless `without_mean`."""
        if self.fabric is None:
            loss.backward()
        else:
            self.fabric.backward(loss)

    def without_mean(self, enabled: bool) -> AbstractContextManager:
        """Leave the gradients of a block to this rank: a later one takes the mean of all."""
        if self.size == 1 or not enabled:
            return nullcontext()
        return self.fabric.no_backward_sync(self._net)

    @contextmanager
    def own_random_numbers(self) -> Iterator[None]:
        """Give a block this rank's random numbers (dropout); outside of it all draw the same.

        Each epoch has a stream of its own here too, because it has one outside.
        """
        if self.size == 1:
            yield
            return
        common, seed = torch.get_rng_state(), torch.initial_seed()
        if self._stream is None or self._stream[0] != seed:
            torch.manual_seed(epoch_seed(seed, 1 + self.rank))
        else:
            torch.set_rng_state(self._stream[1])
        try:
            yield
        finally:
            self._stream = seed, torch.get_rng_state()
            torch.set_rng_state(common)

    def mean(self, values: Tensor, n: int, place: str) -> tuple[list[float], int]:
        """Return means over the rows of all ranks, and how many rows these are.

        Parameters
        ----------
        values
            ``(K,)``, means over this rank's rows.
        n
            How many rows.
        place
            Where in the data this is, in words; must be the same on all ranks.

        Raises
        ------
        KeyboardInterrupt
            On all ranks, if Ctrl-C was pressed on any.
        RankLost
            If another rank does not answer.
        ValueError
            If ranks are at different places.
        """
        if self.size == 1:
            return values.tolist(), n
        label = zlib.crc32(place.encode())
        about = torch.tensor([self._asked is not None, label, n], dtype=torch.float64)
        about = about.to(values.device)
        # One message, in which whole numbers stay exact.
        sums = torch.cat([about, values.detach().double() * n])
        with self._contact():
            torch.distributed.all_reduce(sums)
        asked, labels, n_all, *sums = sums.tolist()
        if labels != self.size * label:
            raise ValueError(
                f"Not all ranks are where rank {self.rank} is ({place}); wanted the same whole "
                "batches on each, of which fit takes each rank's rows: leave out "
                "DistributedSampler and setup_dataloaders, and give all the same data and seeds."
            )
        if asked:
            raise KeyboardInterrupt
        return [total / n_all if n_all else total for total in sums], int(n_all)

    def _hold_back(self, number: int, frame: FrameType | None) -> None:
        """Remember Ctrl-C for the next `mean`; torchrun sends each a second time at once."""
        if self._asked is not None and time.monotonic() - self._asked > _IMPATIENT:
            raise KeyboardInterrupt
        self._asked = self._asked or time.monotonic()

    @contextmanager
    def _contact(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> RankLost:
        said = re.sub(r"^\[[^]]*\] *", "", str(error)).split(". ")[0].split("\n")[0]
        return RankLost(
            f"Rank {self.rank} has lost another of the {self.size} ranks ({said}): that one was "
            "killed, hangs, or failed and says itself why; start all of them again, with the same "
            "state to go on after the last whole epoch."
        )


def _require_fabric(fabric: Any, device: str | torch.device | None) -> None:
    if not all(hasattr(fabric, name) for name in ("strategy", "world_size", "no_backward_sync")):
        raise TypeError(
            f"fabric is a {type(fabric).__name__}; wanted a Fabric of lightning_fabric, or None."
        )
    if device is not None:
        raise ValueError(
            f"device is {device!r} and there is a fabric, which has devices of its own; wanted one "
            "of the two: Fabric(accelerator=..., devices=...)."
        )
    strategy, precision = type(fabric.strategy), fabric.strategy.precision.precision
    if not _STRATEGIES & {base.__name__ for base in strategy.__mro__}:
        raise ValueError(
            f"The fabric's strategy is {strategy.__name__}; wanted one device, or ddp, with which "
            "each rank holds the whole model."
        )
    if precision not in _PRECISIONS:
        raise ValueError(
            f"The fabric's precision is {precision}; wanted one of {', '.join(_PRECISIONS)}, with "
            "which weights stay float32 and a state file holds the whole training."
        )
    if fabric.world_size > 1 and not torch.distributed.is_initialized():
        raise ValueError(
            f"The fabric has {fabric.world_size} ranks and is not launched; wanted fabric.launch() "
            "before fit."
        )


def _require_bare(model: nn.Module) -> None:
    """Refuse a model that is set up for several devices already."""
    inside = getattr(model, "_orig_mod", model)  # of torch.compile, which Fabric knows
    if bare(inside) is not inside or hasattr(inside, "_forward_module"):
        raise ValueError(
            f"The model is set up for several devices already ({type(inside).__name__}); wanted "
            "the model itself and its own optimizer: fit calls fabric.setup."
        )


def _require_no_batch_norm(model: nn.Module, where: str, *, synchronised: bool) -> None:
    """Refuse layers that would normalise over a part of a batch instead of the whole."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.SyncBatchNorm) and synchronised:
            continue
        if isinstance(layer, _BATCH_NORMS):
            raise ValueError(
                f"The model normalises over batches ({type(layer).__name__}, {name}), and {where}; "
                "wanted whole batches, one process and accumulate=1; or, for several CUDA devices, "
                "torch.nn.SyncBatchNorm.convert_sync_batchnorm(model) before fit."
            )
