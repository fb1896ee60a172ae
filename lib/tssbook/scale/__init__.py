"""More loci than one machine has time for: Dask over a Zarr store; the extra ``scale``."""
