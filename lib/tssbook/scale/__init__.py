"""More loci than one machine has time for: Dask over a Zarr store; the extra ``scale``.

`build_tracks` is the data set of Chapter 3, `predict`, `ism` and `attribute` run a checkpoint over
any number of loci, `tile` lays windows over a whole genome. Each fills a Zarr store, which
`open_store` opens, and so does ``zarr.open`` alone. Numbers are those of one process.
"""

try:
    from tssbook.scale.models import attribute, ism, predict, tile
    from tssbook.scale.regions import open_store
    from tssbook.scale.tracks import build_tracks
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("dask", "distributed", "zarr"):
        raise
    raise ModuleNotFoundError(
        f"tssbook.scale needs Dask and Zarr ({error}): install them with "
        'pip install "tssbook[scale]".',
        name=error.name,
    ) from error

__all__ = ["attribute", "build_tracks", "ism", "open_store", "predict", "tile"]
