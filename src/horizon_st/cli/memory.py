"""What the process does with memory that it no longer needs."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST = 2**31 - 1


def keep_freed_memory() -> None:
    """Has the process keep freed memory for its next tensors (glibc only).

    By default every large tensor gets pages of its own from the system, which clears them, and
    gives them back; with the paper's model on a CPU that is a third of a training step.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _MOST)
