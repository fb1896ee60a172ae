"""What a training is made of: read from a YAML file, from flags, or from both.

The keys of the file are the names of the flags, with ``_`` for ``-``; a flag that is given counts
more than the file. The whole recipe is stored with the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

__all__ = ["CHAPTERS", "Recipe", "read_recipe", "settings"]

# What each chapter trains its network with, where that is not the recipe's own default.
CHAPTERS: dict[str, dict[str, Any]] = {
    "PromoterNet": {
        "batch_size": 64, "learning_rate": 0.02, "weight_decay": 0.05, "clip_norm": 1.0,
        "length": 2000,
    },
    "SimpleNet": {"learning_rate": 0.0015, "length": 1650},
    "ProCapNet": {"clip_norm": 300.0},
}  # fmt: skip


_FILES = {
    "PromoterNet": ("fasta", "loci", "expression"),
    "SimpleNet": ("data",),
    "ProCapNet": (
        "fasta", "loci", "plus", "minus", "background", "mappability", "count_weight"
    ),
}  # fmt: skip
_ALL = (
    "settings", "length", "valid", "test", "epochs", "batch_size", "learning_rate", "weight_decay",
    "clip_norm", "patience", "seed", "licence",
)  # fmt: skip
# Keys whose values must be above 0, or may be 0.
_POSITIVE = ("epochs", "batch_size", "length", "patience", "learning_rate", "clip_norm")
_NOT_NEGATIVE = ("weight_decay", "count_weight", "seed")


@dataclass(frozen=True)
class Recipe:
    """A training.

    Attributes
    ----------
    model : str
        ``PromoterNet`` (``fasta``, ``loci``, ``expression``), ``SimpleNet`` (``data``) or
        ``ProCapNet`` (``fasta``, ``loci``, ``plus``, ``minus``).
    data : str
        A data set that ``tssbook build`` made.
    fasta, loci, expression, background, mappability : str
        Files, as the builders of `tssbook.data` take them; genes may be a GTF file.
    plus, minus : list of str
        bigWigs of the two strands.
    length : int
        Bases that the model reads, out of the middle of a data set's windows.
    valid, test : list of str
        Chromosomes that choose the best epoch, and those of the final numbers.
    settings : dict
        Arguments of the model's constructor.
    epochs, batch_size, learning_rate, weight_decay, clip_norm, patience, seed
        As of `tssbook.training.fit` and PyTorch's AdamW; the rate ends at 0 along a cosine.
    count_weight : float
        Weight of ProCapNet's count loss.

    What is not said is what the model's chapter trains with (`CHAPTERS`). Chapter 3 starts its
    filters from words besides, which is left to Python (`tssbook.training.start_from_words`).
    licence : str
        Of the weights.
    """

    model: str
    data: str | None = None
    fasta: str | None = None
    loci: str | None = None
    expression: str | None = None
    background: str | None = None
    mappability: str | None = None
    plus: list[str] = field(default_factory=list)
    minus: list[str] = field(default_factory=list)
    length: int | None = None
    valid: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    epochs: int = 10
    batch_size: int = 16
    learning_rate: float = 0.004
    weight_decay: float = 0.01
    clip_norm: float | None = None
    patience: int | None = None
    count_weight: float = 1000.0
    seed: int = 1
    licence: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all that counts for the model, as YAML and JSON hold it."""
        used = {"model", *_ALL, *_FILES[self.model]}
        return {name: value for name, value in asdict(self).items() if name in used}


def read_recipe(path: Path | None, flags: Mapping[str, Any]) -> Recipe:
    """Read a recipe from a file and flags.

    Parameters
    ----------
    path
        A YAML file, or None.
    flags
        What was given on the command line; None and empty lists were not.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is no YAML or no table of keys, a key is misspelt, a value of another kind, or
        the model unknown.
    """
    given = {} if path is None else _read(path)
    said = {name: value for name, value in flags.items() if value not in (None, [], {})}
    if isinstance(given.get("settings"), dict):
        said["settings"] = given["settings"] | said.get("settings", {})
    given |= said
    where = "The command line" if path is None else str(path)
    known = {part.name for part in fields(Recipe)}
    for name in map(str, given):
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"the keys are {_listed(known)}."
            raise ValueError(f"{where} has the key {name!r}, which there is not: {hint}")
    if given.get("model") not in CHAPTERS:
        raise ValueError(
            f"{where} has the model {given.get('model')!r}; wanted {_listed(CHAPTERS)}."
        )
    kinds = get_type_hints(Recipe)
    checked = {name: _checked(value, name, kinds[name], where) for name, value in given.items()}
    recipe = Recipe(**(CHAPTERS[checked["model"]] | checked))
    for name in (*_POSITIVE, *_NOT_NEGATIVE):
        value = getattr(recipe, name)
        if value is not None and (value < 0 or (value == 0 and name in _POSITIVE)):
            wanted = "0 or more" if name in _NOT_NEGATIVE else "more than 0"
            raise ValueError(f"{where} has {name} = {value}; wanted {wanted}.")
    for name in checked:
        if name not in ("model", *_ALL, *_FILES[recipe.model]):
            raise ValueError(
                f"{where} has {name}, which {recipe.model} does not take; wanted "
                f"{', '.join(_FILES[recipe.model])}."
            )
    return recipe


def settings(given: Sequence[str]) -> dict[str, Any]:
    """Read arguments of a model, such as ``n_filters=64`` or ``widths=[15, 5, 3]``.

    Raises
    ------
    ValueError
        One has no ``=``, or its value is no YAML.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"--set is {text!r}; wanted NAME=VALUE, such as n_filters=64.")
        try:
            found[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"--set {name} has the value {value!r}, which is no YAML.") from error
    return found


class _Once(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.YAMLError(f"the key {twice[0]!r} is there twice")
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; wanted a recipe in YAML.")
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _Once)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is no table of keys and values; wanted 'model: ProCapNet' etc.")
    return found


def _checked(value: Any, name: str, kind: Any, where: str) -> Any:
    """Return a value in the kind of its key; refuse another."""
    if kind == list[str]:
        value = value if isinstance(value, list) else [value]
        # A chromosome may be called 10, which YAML takes for a number.
        value = [str(part) if type(part) is int else part for part in value]
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return value
        raise ValueError(f"{where} has {name} = {value!r}; wanted a list of texts.")
    kinds = [get_origin(part) or part for part in get_args(kind) or (kind,)]
    kinds = [kind] if get_origin(kind) is dict else kinds
    if value is None and type(None) in kinds:
        return value
    if float in kinds and not isinstance(value, bool):
        try:
            return float(value)  # YAML takes 1e-3 for a text
        except (TypeError, ValueError):
            pass
    elif type(value) in [get_origin(part) or part for part in kinds]:
        return value
    wanted = {str: "a text", int: "a whole number", float: "a number"}.get(kinds[0], "a table")
    raise ValueError(f"{where} has {name} = {value!r}; wanted {wanted}.")


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
