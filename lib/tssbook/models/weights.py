"""Weights from a file into a model: all of them, or none and a sentence that says why.

Nothing here runs code that a file brings along.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tssbook.files import kind, require_sound_zip

__all__ = ["CheckpointError", "bare", "download", "fill", "read_tensors"]

Model = TypeVar("Model", bound=nn.Module)


class CheckpointError(ValueError):
    """A checkpoint is damaged, or is not the one that was asked for."""


def bare(model: nn.Module) -> nn.Module:
    """Return the model inside what ``torch.compile`` or data parallelism has put around it."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def _bare_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take from names what wrappers add: ``_orig_mod.`` anywhere, ``module.`` before all."""
    names = [name.replace("_orig_mod.", "") for name in tensors]
    if names and all(name.startswith("module.") for name in names):
        names = [name.removeprefix("module.") for name in names]
    return dict(zip(names, tensors.values(), strict=True))


def download(repository: str, file: str, **options: Any) -> Path:
    """Fetch one file of a Hub repository, or say in one sentence why not.

    Raises
    ------
    FileNotFoundError
        The Hub has no such file, or cannot be reached.
    """
    with warnings.catch_warnings():  # in a notebook without ipywidgets its progress bars complain
        warnings.filterwarnings("ignore", message="IProgress not found")
        from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file, **options))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"there is no folder {repository!r} here, and no {file} of it on the Hub "
            f"({_brief(error)}): get the files from https://huggingface.co/{repository} and give "
            f"the folder that they are in"
        ) from error


def read_tensors(
    source: str | Path | IO[bytes], where: str | Path | None = None
) -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file, or of what ``torch.save`` wrote, on the CPU.

    Never runs code that a file brings along, and checks no names or shapes.

    Parameters
    ----------
    source
        A path, or an open file of ``torch.save``.
    where
        What to call an open file in messages.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    CheckpointError
        The file is damaged or of another kind, wants to run code, or holds something else than
        named tensors; or PyTorch is older than 2.10, whose reading of such files is not safe.
    """
    where, begin = source if where is None else where, b""
    try:
        with nullcontext(source) if hasattr(source, "read") else Path(source).open("rb") as file:
            begin = file.read(300)
            if str(source).endswith(".safetensors"):
                return load_file(source)
            _require_safe_torch(where)
            require_sound_zip(file)
            found = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {where}") from error
    except CheckpointError:
        raise
    except Exception as error:  # reading damaged bytes can fail in any way
        if (what := kind(begin)) and not begin.startswith((b"PK", b"\x80")):  # what torch writes
            raise CheckpointError(f"{where} is {what}; wanted a file of weights") from error
        raise CheckpointError(
            f"{where} is damaged, or holds Python objects that could run code, and was not "
            f"loaded ({_brief(error)}): get it again, or ask its author for the bare state_dict"
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(t, Tensor) for t in found.values()):
        raise CheckpointError(f"{where} holds something else than tensors by name")
    return dict(found)


def _require_safe_torch(where: str | Path) -> None:
    """Refuse to unpickle with a PyTorch that can be made to run code (CVE-2026-24747)."""
    version = torch.__version__.split("+")[0]
    if tuple(map(int, version.split(".")[:2])) < (2, 10):
        raise CheckpointError(
            f"{where} is a pickle, which PyTorch reads safely from 2.10 on, and this is {version}: "
            "upgrade torch, or ask for the weights as .safetensors"
        )


def fill(
    make: Callable[[], Model],
    tensors: Mapping[str, Tensor],
    where: str | Path,
    *,
    keep_precision: bool = False,
) -> Model:
    """Make a model and fill it with tensors, all or nothing.

    Parameters
    ----------
    make
        Makes the model. It is called twice, the first time on the device ``meta``: shapes are
        compared before any memory is taken, however large the model.
    tensors
        By name; what ``torch.compile`` and ``DataParallel`` put before names is taken off.
    where
        Where they come from, for the messages.
    keep_precision
        Take the tensors in their own type, not in that of the new model.

    Returns
    -------
    nn.Module
        In evaluation mode, on the CPU. The caller's random numbers stay as they are.

    Raises
    ------
    CheckpointError
        The model cannot be made, or a tensor is missing, left over, or of another shape.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            with torch.device("meta"):
                empty = make()
            wanted = empty.state_dict(keep_vars=True)
            short = _bare_names(tensors)
            if len(short) == len(tensors) and short.keys() <= wanted.keys():
                tensors = short
            # A file holds a tensor once, also if the model knows it under two names.
            once = {id(wanted[key]): tensor for key, tensor in tensors.items() if key in wanted}
            both = {key: once[id(own)] for key, own in wanted.items() if id(own) in once}
            tensors = both | dict(tensors)
            _require_fit(tensors, wanted, where, type(empty).__name__)
            model = make()
    except CheckpointError:
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise CheckpointError(f"{where}: no such model, {_brief(error)}") from error
    owned = {key: tensor.clone() for key, tensor in tensors.items()}
    model.load_state_dict(owned, strict=True, assign=keep_precision)
    return model.eval()


def _require_fit(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str | Path, model: str
) -> None:
    for key in wanted | found:
        has, needs = (_kind(tensors.get(key)) for tensors in (found, wanted))
        if has != needs:
            raise CheckpointError(f"{key}: {where} has {has}, {model} needs {needs}")


def _kind(tensor: Tensor | None) -> str:
    """Say what must agree: not the precision, but no integers for weights."""
    if tensor is None:
        return "no such tensor"
    integers = "" if tensor.is_floating_point() else " of integers"
    return f"shape {tuple(tensor.shape)}{integers}"


def _brief(error: Exception) -> str:
    """Return the first sentence of a message from elsewhere, which may be a page long."""
    return re.split(r"\.\s|\n", str(error).strip())[0][:200] or type(error).__name__
