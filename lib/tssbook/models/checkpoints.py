"""Checkpoints: trained weights that say what they are.

A checkpoint is two files side by side. ``NAME.safetensors`` holds the tensors, ``NAME.json`` the
rest: format, model class, constructor arguments, task, training data and seed, metrics, version
of tssbook, licence, and the sha256 of the tensors. A folder or Hub repository holds the same two
under the names that are usual there, ``model.safetensors`` and ``config.json``.

Whatever does not fit is refused, with the field or tensor and both values: weights that load
half-way give predictions that look plausible and are wrong.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from tssbook import __version__
from tssbook.files import sha256, write_whole

with warnings.catch_warnings():  # in a notebook without ipywidgets its progress bars complain
    warnings.filterwarnings("ignore", message="IProgress not found")
    from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
    from huggingface_hub.utils import HfHubHTTPError

Model = TypeVar("Model", bound=nn.Module)

_FORMAT = 1
# The fields that save fills in itself.
_OURS = {"format": int, "model": str, "config": dict, "tssbook": str, "sha256": str}
_IN_FOLDER = ("model.safetensors", "config.json")


class CheckpointError(ValueError):
    """A checkpoint is damaged, or is not the one that was asked for."""


def save(model: nn.Module, path: str | Path, **about: Any) -> Path:
    """Write a model as ``PATH.safetensors`` and ``PATH.json``.

    Parameters
    ----------
    model : nn.Module
        Its attribute ``config`` is the dict of its constructor's arguments.
    path : str or Path
        With or without one of the two suffixes; missing folders are made.
    **about
        What a reader should know: ``task``, ``training``, ``metrics``, ``licence``, ...;
        anything that JSON can hold.

    Returns
    -------
    Path
        The ``.safetensors`` file.

    Raises
    ------
    TypeError
        The model has no ``config``, or JSON cannot hold a value as it is.
    OSError
        The files cannot be written; older ones stay as they are.
    """
    files = _pair(Path(path))
    _write(model, files, about)
    return files[0]


def load(name_or_path: str | Path) -> nn.Module:
    """Return the model of a checkpoint, in eval mode on the CPU.

    Only classes of tssbook are loaded by name; for another one call its own ``from_pretrained``.

    Parameters
    ----------
    name_or_path : str or Path
        A shipped name (see `shipped`), a path with or without suffix, or a folder. A ``Path``
        and a string such as ``"./toy-cnn"`` never mean a shipped name.

    Raises
    ------
    FileNotFoundError
        There is no such checkpoint, or one of its two files is missing.
    CheckpointError
        It is damaged, newer than this tssbook, or of an unknown class; or the name is that of
        both a shipped checkpoint and a file in the working folder.
    """
    files = _locate(name_or_path)
    about = _read(files)
    return _build(_model_class(about["model"], files[1]), files, about)


def describe(name_or_path: str | Path) -> dict[str, Any]:
    """Return what a checkpoint says about itself, without reading its tensors."""
    return _read(_locate(name_or_path))


def shipped() -> list[str]:
    """Names of the checkpoints that come with the package."""
    return sorted(path.stem for path in _shipped_folder().glob("*.json"))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a foreign ``.safetensors``, ``.pth`` or ``.pt`` file, on the CPU.

    Never runs code that a file brings along, and checks no names or shapes.

    Raises
    ------
    ValueError
        The suffix is another one.
    CheckpointError
        The file is damaged, wants to run code, or holds something else than named tensors.
    """
    path = Path(path)
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise ValueError(f"{path} should end in .safetensors, .pth or .pt to be read as tensors")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged, or holds Python objects that could run code, and was not "
            f"loaded: ask its author for the bare state_dict, or for a .safetensors file"
        ) from error
    except Exception as error:  # reading damaged bytes can fail in any way
        raise CheckpointError(f"{path} is damaged ({_brief(error)}): get it again") from error
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds a {type(found).__name__}, not tensors by name")
    for key, value in found.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path} holds a {type(value).__name__} under {key!r}, and not only tensors: "
                f"ask its author for the bare state_dict"
            )
    return dict(found)


class Pretrained(PyTorchModelHubMixin, library_name="tssbook"):
    """Adds ``save_pretrained``, ``push_to_hub`` and a strict ``from_pretrained`` to a model.

    A model inherits ``nn.Module, Pretrained`` and keeps its constructor's arguments in
    ``self.config``. What PyTorchModelHubMixin brings by itself ignores missing tensors and
    unknown settings; this refuses them.
    """

    config: dict[str, Any]

    def _save_pretrained(self, save_directory: Path) -> None:
        _write(self, (save_directory / _IN_FOLDER[0], save_directory / _IN_FOLDER[1]), {})

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        **expected: Any,
    ) -> Self:
        """Return a trained model of this class, in eval mode on the CPU.

        Parameters
        ----------
        pretrained_model_name_or_path : str or Path
            A folder, a path, a shipped name, or a Hub repository ``"owner/name"``.
        revision, token, cache_dir, force_download, local_files_only
            For the Hub, as in huggingface_hub.
        **expected
            Constructor arguments that the checkpoint must have been made with.

        Raises
        ------
        FileNotFoundError
            There is no such checkpoint.
        CheckpointError
            It is of another class, has other settings than expected, or is damaged.
        """
        try:
            files = _locate(pretrained_model_name_or_path)
        except FileNotFoundError as error:
            name = str(pretrained_model_name_or_path)
            if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
                raise
            try:
                tensors, description = (
                    hf_hub_download(
                        name, file, revision=revision, token=token, cache_dir=cache_dir,
                        force_download=force_download, local_files_only=local_files_only,
                    )
                    for file in _IN_FOLDER
                )  # fmt: skip
            except (OSError, ValueError, HfHubHTTPError) as hub:
                raise FileNotFoundError(f"{error}, and the Hub has none: {_brief(hub)}") from hub
            files = Path(tensors), Path(description)
        about = _read(files)
        if about["model"] != _class_name(cls):
            raise CheckpointError(
                f"{files[1]} describes a {about['model']}, not a {_class_name(cls)}: "
                f"load it with its own class, or with tssbook.models.checkpoints.load"
            )
        for field, value in expected.items():
            if field not in about["config"] or about["config"][field] != value:
                held = repr(about["config"][field]) if field in about["config"] else "nothing"
                raise CheckpointError(f"{files[1]} has {field} = {held}, not {value!r}")
        return _build(cls, files, about)


# --- names and files ------------------------------------------------------------------------


def _pair(path: Path) -> tuple[Path, Path]:
    """Name the two files of a checkpoint; a dot in its name (``v1.2``) is no suffix."""
    if path.suffix in (".safetensors", ".json"):
        path = path.with_suffix("")
    return path.with_name(f"{path.name}.safetensors"), path.with_name(f"{path.name}.json")


def _candidates(path: Path) -> list[tuple[Path, Path]]:
    """Name the files that a path may mean: a pair beside each other, or a folder's."""
    in_folder = (path / _IN_FOLDER[0], path / _IN_FOLDER[1])
    return [_pair(path), in_folder] if path.name else [in_folder]  # "/" has no name


def _shipped_folder() -> Path:
    return Path(str(resources.files("tssbook"))) / "shipped" / "checkpoints"


def _locate(name_or_path: str | Path) -> tuple[Path, Path]:
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in shipped():
        if any(file.is_file() for files in _candidates(path) for file in files):
            raise CheckpointError(
                f"there are both a shipped checkpoint {name_or_path!r} and a file of that name "
                f'here: write "./{name_or_path}" for the file, or rename it'
            )
        path = _shipped_folder() / name_or_path
    for files in _candidates(path if path.name else path.absolute()):  # such as "."
        missing = [file for file in files if not file.is_file()]
        if not missing:
            return files
        if len(missing) == 1:
            raise FileNotFoundError(
                f"{missing[0]} is missing: a checkpoint is its tensors and its description together"
            )
    raise FileNotFoundError(
        f"there is no checkpoint {str(name_or_path)!r}, neither as a path nor among the "
        f"shipped ones ({', '.join(shipped()) or 'none'})"
    )


def _brief(error: Exception) -> str:
    """Return the first sentence of a message from elsewhere, which may be a page long."""
    return re.split(r"\.\s|\n", str(error).strip())[0] or type(error).__name__


def _class_name(cls: type) -> str:
    return f"{cls.__module__.removeprefix('tssbook.')}.{cls.__qualname__}"


def _model_class(name: str, where: Path) -> type[nn.Module]:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(f"tssbook.{module}"), attribute, None)
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("tssbook."):
            raise  # a package that the module needs
        found = None
    # Also what a module has merely imported is not a model of tssbook.
    if not (isinstance(found, type) and issubclass(found, nn.Module)) or _class_name(found) != name:
        raise CheckpointError(
            f"{where} describes a {name}, which is no model of tssbook {__version__}: "
            f"call from_pretrained of that class, or upgrade tssbook if it is a newer one"
        )
    return found


# --- reading and writing --------------------------------------------------------------------


def _write(model: nn.Module, files: tuple[Path, Path], about: Mapping[str, Any]) -> None:
    """Write both files, the description last: it holds the checksum of the other."""
    if taken := sorted(set(about) & set(_OURS)):
        raise TypeError(f"{', '.join(taken)}: these fields are filled in by save itself")
    config = getattr(model, "config", None)
    if not isinstance(config, dict):
        raise TypeError(
            f"{type(model).__name__} has no dict `config` of its constructor's arguments"
        )
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    content = to_bytes(state, metadata={"format": "pt"})
    document = {
        "format": _FORMAT,
        "model": _class_name(type(model)),
        "config": _as_json(config, "config"),
        **{field: _as_json(value, field) for field, value in about.items()},
        "tssbook": __version__,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    text = json.dumps(document, indent=1) + "\n"
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        write_whole({files[0]: content, files[1]: text.encode()})
    except OSError as error:
        raise OSError(
            f"cannot write {files[0]} ({error.strerror}): free some space or choose another folder"
        ) from error


def _as_json(value: Any, field: str) -> Any:
    """Return the value if JSON gives it back as it is; a tuple would come back as a list."""
    try:
        same = json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        same = False
    if not same:
        raise TypeError(
            f"{field} = {value!r} does not survive JSON: use dict, list, str, int, float or bool"
        )
    return value


def _read(files: tuple[Path, Path]) -> dict[str, Any]:
    description = files[1]
    try:
        about = json.loads(description.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{description} is not JSON ({error}): get it again") from error
    if not isinstance(about, dict) or "format" not in about:
        raise CheckpointError(f"{description} has no field 'format': it is no tssbook checkpoint")
    if about["format"] != _FORMAT:
        raise CheckpointError(
            f"{description} has format {about['format']!r}, written by tssbook "
            f"{about.get('tssbook', 'unknown')}; this is tssbook {__version__}, which reads "
            f"format {_FORMAT}: upgrade tssbook"
        )
    for field, kind in _OURS.items():
        if not isinstance(about.get(field), kind):
            raise CheckpointError(
                f"{description} has {field} = {about.get(field)!r}, which should be of type "
                f"{kind.__name__}: get it again"
            )
    return about


def _build(cls: type[Model], files: tuple[Path, Path], about: Mapping[str, Any]) -> Model:
    tensors, description = files
    found = sha256(tensors)
    if found != about["sha256"]:
        raise CheckpointError(
            f"{tensors} is not the file that {description.name} describes (its sha256 is {found}, "
            f"wanted is {about['sha256']}): get both files again"
        )
    state = read_tensors(tensors)
    try:
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
            with torch.device("meta"):  # shapes without memory, however large the config says
                shapes = cls(**about["config"]).state_dict()
            require_fit(state, shapes, tensors, cls.__name__)
            model = cls(**about["config"])
    except CheckpointError:
        raise
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise CheckpointError(f"{description}: no such {cls.__name__}, {_brief(error)}") from error
    # Assigned and not copied in, so that each tensor keeps the precision it was stored in.
    owned = {key: tensor.clone() for key, tensor in state.items()}
    model.load_state_dict(owned, strict=True, assign=True)
    return model.eval()


def require_fit(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str | Path, model: str
) -> None:
    """Refuse tensors that have other names or shapes than those of a model, for the first of them.

    Raises
    ------
    CheckpointError
        It names the tensor, the file (``where``) and the model.
    """
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
