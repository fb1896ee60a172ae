"""Keep the memory that tensors free, instead of handing it back to the system at once."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys

__all__ = ["keep_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # glibc's malloc.h
_KEPT = 2**31 - 1  # bytes, the most that mallopt takes


@functools.cache
def keep_memory() -> bool:
    """Tell the C library, once per process, to keep large pieces of freed memory.

    On Linux glibc gives each large tensor fresh pages of the system and hands them back as soon
    as the tensor is gone; touching fresh pages is most of a training step on a CPU. With this
    setting the next step uses the pages of the last one. The price: memory that was freed stays
    with the process, up to 2 GiB of it at the top of the heap, and more where something that is
    still in use lies above.

    Called by :func:`tssbook.training.prediction.on_device` before a model runs on a CPU. The
    environment variable ``TSSBOOK_KEEP_MEMORY=0`` leaves everything as it is.

    Returns
    -------
    bool
        Whether the setting was made: False on other systems, with other C libraries (musl), and
        where the variable says so.
    """
    if os.environ.get("TSSBOOK_KEEP_MEMORY") == "0":
        return False
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, _KEPT)])
