"""The card of a model: what a reader of the Hugging Face Hub sees first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["model_card"]

_TOLD = {"task": "Task", "data": "Data", "assembly": "Assembly", "metrics": "Metrics",
         "licence": "Licence", "training": "Training"}  # fmt: skip


def model_card(description: Mapping[str, Any], n_weights: int, name: str) -> str:
    """Write a card in the Hub's Markdown: what the model is for, what it was trained on, and how.

    Parameters
    ----------
    description
        What the checkpoint says: ``model``, ``config``, ``tssbook``, and what the saver told, such
        as ``task``, ``data``, ``licence`` and ``metrics``.
    n_weights
        Numbers that were trained.
    name
        Of the repository or folder, for the lines that load the model.

    Returns
    -------
    str
        With the Hub's metadata on top. What was not told is said to be missing.
    """
    model, about = description["model"], dict(description)
    metadata = {"library_name": "tssbook", "tags": ["biology", "genomics", "dna"]}
    if isinstance(licence := about.get("licence"), str):
        metadata["license"] = licence.lower()
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in metadata.items()), "---", ""]
    lines += [f"# {name.rpartition('/')[2]}", ""]
    lines += [f"`{model}` of tssbook {about['tssbook']}, {n_weights:,} weights.", ""]
    for field, title in _TOLD.items():
        lines += [f"## {title}", "", _shown(about.get(field, "not told")), ""]
    told = {k: v for k, v in about.items() if k not in {*_TOLD, "format", "model", "tssbook"}}
    for field, value in told.items():
        lines += [f"- {field}: {_shown(value)}"]
    lines += ["", "## Use", "", "```python", f"from tssbook.models import {model}", ""]
    return "\n".join([*lines, f"model = {model}.from_pretrained({name!r})", "```", ""])


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):  # a history of a hundred epochs belongs into config.json
        return ", ".join(f"{k}: {_shown(v)}" for k, v in value.items() if k != "history")
    return json.dumps(value)
