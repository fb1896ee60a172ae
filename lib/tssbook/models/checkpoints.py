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
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Self

from safetensors.torch import save as to_bytes
from torch import nn

from tssbook import __version__
from tssbook.files import sha256, write_whole
from tssbook.models.card import model_card
from tssbook.models.weights import CheckpointError, bare, download, fill, read_tensors

__all__ = ["CheckpointError", "Pretrained", "class_of", "describe", "load", "save", "shipped"]

_FORMAT = 1
# The fields that save fills in itself.
_OURS = {"format": int, "model": str, "config": dict, "tssbook": str, "sha256": str}
_IN_FOLDER = ("model.safetensors", "config.json")


_CLASSES: dict[str, type[Pretrained]] = {}  # of all models, by the name that a description has


class Pretrained:
    """Adds ``save_pretrained``, ``push_to_hub`` and a strict ``from_pretrained`` to a model.

    A model inherits ``nn.Module, Pretrained`` and keeps its constructor's arguments in
    ``self.config``.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _CLASSES[cls.__name__] = cls

    config: dict[str, Any]
    # What fit trained it on: the length of the sequences, and a digest of the data.
    trained_on: Mapping[str, Any] = MappingProxyType({})

    def save_pretrained(self, folder: str | Path, **about: Any) -> Path:
        """Write the model into a folder, as the Hugging Face Hub holds it.

        Parameters
        ----------
        folder
            Made if it is not there; files of an older checkpoint in it are replaced.
        **about
            What a reader should know, as for :func:`save`: ``task``, ``data``, ``licence``,
            ``metrics``, ... It stands in ``config.json`` and on the card, ``README.md``.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        TypeError, OSError
            As for :func:`save`.
        """
        return self._into(Path(folder), Path(folder).resolve().name, about)

    def push_to_hub(
        self,
        repository: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        **about: Any,
    ) -> str:
        """Upload the model to a repository of the Hugging Face Hub, with its card.

        Parameters
        ----------
        repository
            ``"owner/name"``; made if it is not there.
        private, token
            As in huggingface_hub; None is the owner's default, and the token of ``hf auth login``.
        **about
            As for :meth:`save_pretrained`.

        Returns
        -------
        str
            Address of the commit.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        name = api.create_repo(repository, private=private, exist_ok=True).repo_id
        with TemporaryDirectory() as folder:
            path = self._into(Path(folder), name, about)
            return api.upload_folder(repo_id=name, folder_path=path)

    def _into(self, folder: Path, name: str, about: Mapping[str, Any]) -> Path:
        files = tuple(folder / file for file in _IN_FOLDER)
        document = _write(self, files, about)
        n_weights = sum(weight.numel() for weight in bare(self).parameters())
        card = model_card(document, n_weights, name)
        write_whole({folder / "README.md": card.encode()})
        return folder

    @classmethod
    def from_pretrained(cls, name: str | Path, **expected: Any) -> Self:
        """Return a trained model of this class, in evaluation mode on the CPU.

        Parameters
        ----------
        name
            A shipped name (see `shipped`), a path with or without suffix, a folder, or a Hub
            repository ``"owner/name"``. A ``Path`` and a string such as ``"./toy-cnn"`` never mean
            a shipped name.
        **expected
            What the checkpoint must have been made with: constructor arguments, ``length`` and
            ``data`` as in ``trained_on``, or whatever else :func:`save` was told, such as
            ``assembly``. For the Hub also ``revision``, ``token`` and ``cache_dir``, as in
            huggingface_hub.

        Raises
        ------
        FileNotFoundError
            There is no such checkpoint, or one of its two files is missing.
        CheckpointError
            It is of another class, has other settings than expected, is damaged, or newer than
            this tssbook; or the name is that of both a shipped checkpoint and a file here.
        """
        hub = {key: expected.pop(key, None) for key in ("revision", "token", "cache_dir")}
        try:
            files = _locate(name)
        except FileNotFoundError:
            if isinstance(name, Path) or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
                raise
            if Path(name).exists():  # a path of this machine is told to nobody
                raise
            tensors, description = (download(str(name), file, **hub) for file in _IN_FOLDER)
            files = tensors, description
        about = _read(files[1])
        # Before version 0.2 the class stood there with its module: "toy.ToyCNN".
        if (found := about["model"].rpartition(".")[2]) != cls.__name__:
            raise CheckpointError(
                f"{files[1]} describes a {found}, not a {cls.__name__}: load it with its own class"
            )
        if (found := sha256(files[0])) != about["sha256"]:
            raise CheckpointError(
                f"{files[0]} is not the file that {files[1].name} describes (its sha256 is "
                f"{found}, wanted is {about['sha256']}): get both files again"
            )
        tensors = read_tensors(files[0])
        model = fill(lambda: cls(**about["config"]), tensors, files[0], keep_precision=True)
        model.trained_on = about.get("trained_on", {})
        known = about | model.trained_on | model.config
        for field, value in expected.items():
            if field not in known or known[field] != value:
                held = repr(known[field]) if field in known else "nothing"
                raise CheckpointError(f"{files[1]} has {field} = {held}, not {value!r}")
        return model


def class_of(name: str | Path) -> type[Pretrained]:
    """Return the class of a checkpoint, which `describe` names.

    Parameters and errors are those of `Pretrained.from_pretrained`, without the Hub; and
    CheckpointError where there is no such class.
    """
    found = describe(name)["model"].rpartition(".")[2]
    if found not in _CLASSES:
        raise CheckpointError(
            f"{name} is a {found}, and there is no model of that name; wanted one of "
            f"{', '.join(sorted(_CLASSES))}: import the module of your own first"
        )
    return _CLASSES[found]


def load(name: str | Path, **expected: Any) -> Any:
    """Return a trained model of whatever class a checkpoint says it is.

    Parameters and errors are those of `Pretrained.from_pretrained`, without the Hub, and of
    `class_of`.
    """
    return class_of(name).from_pretrained(name, **expected)


def save(model: nn.Module, path: str | Path, **about: Any) -> Path:
    """Write a model as ``PATH.safetensors`` and ``PATH.json``.

    Parameters
    ----------
    model
        Its attribute ``config`` is the dict of its constructor's arguments. Of a compiled or
        data-parallel model the one inside is saved.
    path
        With or without one of the two suffixes; missing folders are made.
    **about
        What a reader should know: ``task``, ``training``, ``metrics``, ``licence``, ``assembly``
        (of a store: ``store.made_from["assembly"]``), ...; anything that JSON can hold. What
        :func:`tssbook.training.fit` trained the model on is written by itself.

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


def describe(name: str | Path) -> dict[str, Any]:
    """Return what a checkpoint says about itself, without reading its tensors.

    Parameters and errors are those of `Pretrained.from_pretrained`, without the Hub.
    """
    return _read(_locate(name)[1])


def shipped() -> list[str]:
    """Names of the checkpoints that come with the package."""
    return sorted(path.stem for path in _shipped_folder().glob("*.json"))


# --- names and files ------------------------------------------------------------------------


def _pair(path: Path) -> tuple[Path, Path]:
    """Name the two files of a checkpoint; a dot in its name (``v1.2``) is no suffix."""
    if path.suffix in (".safetensors", ".json"):
        path = path.with_suffix("")
    return path.with_name(f"{path.name}.safetensors"), path.with_name(f"{path.name}.json")


def _shipped_folder() -> Path:
    return Path(str(resources.files("tssbook"))) / "shipped" / "checkpoints"


def _locate(name: str | Path) -> tuple[Path, Path]:
    """Find the two files: beside each other, in a folder, or among the shipped ones."""
    path = Path(name)
    pairs = [_pair(path)] if path.name else []  # "." and "/" have no name
    pairs.append((path / _IN_FOLDER[0], path / _IN_FOLDER[1]))
    here = [pair for pair in pairs if any(file.is_file() for file in pair)]
    if isinstance(name, str) and name in shipped():
        if here:
            raise CheckpointError(
                f"there are both a shipped checkpoint {name!r} and a file of that name here: "
                f'write "./{name}" for the file, or rename it'
            )
        here = [_pair(_shipped_folder() / name)]
    if not here and path.name and path.exists():
        raise FileNotFoundError(
            f"{path} is there, but no checkpoint of tssbook beside it or in it, which is "
            f"{' and '.join(_IN_FOLDER)} in a folder, or NAME.safetensors and NAME.json: for the "
            "weights of others use from_published"
        )
    if not here:
        raise FileNotFoundError(
            f"there is no checkpoint {str(name)!r}, neither as a path nor among the shipped ones "
            f"({', '.join(shipped()) or 'none'})"
        )
    for file in here[0]:
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} is missing: a checkpoint is its tensors and its description together"
            )
    return here[0]


def _write(model: nn.Module, files: tuple[Path, ...], about: Mapping[str, Any]) -> dict[str, Any]:
    """Write both files, the description last: it holds the checksum of the other; return it."""
    if taken := sorted(set(about) & set(_OURS)):
        raise TypeError(f"{', '.join(taken)}: these fields are filled in by save itself")
    model = bare(model)
    config = getattr(model, "config", None)
    if not isinstance(config, dict):
        raise TypeError(
            f"{type(model).__name__} has no dict `config` of its constructor's arguments"
        )
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    content = to_bytes(state, metadata={"format": "pt"})
    trained_on = dict(getattr(model, "trained_on", {}))
    about = ({"trained_on": trained_on} if trained_on else {}) | dict(about)
    document = {"format": _FORMAT, "model": type(model).__name__, "config": config, **about}
    document |= {"tssbook": __version__, "sha256": hashlib.sha256(content).hexdigest()}
    for field, value in document.items():
        try:
            back = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise TypeError(f"JSON cannot hold {field} = {value!r}: {error}") from error
        if back != value:  # a tuple would come back as a list
            raise TypeError(f"{field} = {value!r} would come back from JSON as {back!r}")
    text = json.dumps(document, indent=1) + "\n"
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        write_whole({files[0]: content, files[1]: text.encode()})
    except OSError as error:
        raise OSError(
            f"cannot write {files[0]} ({error.strerror}): free some space or choose another folder"
        ) from error
    return document


def _read(description: Path) -> dict[str, Any]:
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
    for field, kind in {**_OURS, "trained_on": dict}.items():
        if not isinstance(about.get(field, {} if field == "trained_on" else None), kind):
            raise CheckpointError(
                f"{description} has {field} = {about.get(field)!r}, which should be of type "
                f"{kind.__name__}: get it again"
            )
    return about
