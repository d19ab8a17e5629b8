"""What this machine computes fast."""

from __future__ import annotations

import os

import torch

__all__ = ["cpu_has_fast_bf16", "gpu_has_bf16", "usable_cores"]


def gpu_has_bf16() -> bool:
    """Whether it is more than emulated, which PyTorch would count as well; that is slower."""
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def cpu_has_fast_bf16() -> bool:
    """Whether the CPU has instructions for it (AMX, AVX512_BF16)."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def usable_cores() -> int:
    """The processor's cores that this process may use; schedulers often grant fewer than all."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
