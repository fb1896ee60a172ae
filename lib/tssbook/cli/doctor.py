"""What is installed here, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from tssbook import __version__, models
from tssbook.data import cache_folder
from tssbook.data.download import catalogue, on_this_machine
from tssbook.training import resolve_device

__all__ = ["found"]

# What an extra brings, by the packages that say whether it is there.
_EXTRAS = {
    "cli": ["typer", "pyyaml"],
    "scale": ["dask", "distributed", "lightning-fabric", "pyarrow", "zarr"],
    "fftconv": ["torch-fftconv"],
    "pretrained": ["enformer-pytorch"],
    "jupyter": ["jupyterlab", "nbval"],
}


def found() -> dict[str, Any]:
    """Return versions, devices, extras, folders and files, each with the remedy where it lacks."""
    folder, mirror = cache_folder(), os.environ.get("TSSBOOK_MIRROR")
    here = [name for name in catalogue() if on_this_machine(name)]
    existing = next(part for part in (folder, *folder.parents) if part.is_dir())
    return {
        "tssbook": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": _device(),
        "threads": torch.get_num_threads(),
        "extras": {name: _extra(name, packages) for name, packages in _EXTRAS.items()},
        "data_folder": _from_home(folder),
        "free": f"{shutil.disk_usage(existing).free / 1e9:.1f} GB in the data folder",
        "mirror": _mirror(mirror),
        "files": f"{len(here)} of {len(catalogue())} are here; 'tssbook data list' names them",
        "checkpoints": models.shipped(),
    }


def _device() -> str:
    device = resolve_device(None)
    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name()}, {torch.cuda.device_count()} of them"
    return device.type


def _extra(name: str, packages: list[str]) -> str:
    missing = [package for package in packages if not _is_installed(package)]
    if missing:
        return f'lacks {", ".join(missing)}: pip install "tssbook[{name}]"'
    return "installed"


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _mirror(mirror: str | None) -> str:
    if not mirror:
        return "none; TSSBOOK_MIRROR may name a folder of files that were fetched before"
    shown = _from_home(Path(mirror))
    return shown if Path(mirror).is_dir() else f"{shown}, which is no folder"


def _from_home(path: Path) -> str:
    """Write a path with ``~`` for the home folder."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
