"""What this machine computes fast.

PyTorch is imported where it is asked: exported models run where it is not installed.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_has_fast_bf16", "gpu_has_bf16", "memory_gb", "take_share", "usable_cores"]


def gpu_has_bf16() -> bool:
    """Whether it is more than emulated, which PyTorch would count as well; that is slower."""
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def cpu_has_fast_bf16() -> bool:
    """Whether the CPU has instructions for it (AMX, AVX512_BF16)."""
    import torch

    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def usable_cores() -> int:
    """The processor's cores that this process may use; schedulers often grant fewer than all."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_gb(limits: Path = Path("/sys/fs/cgroup")) -> float:
    """The memory that this process may use, in GB (1e9 bytes): the machine's, or a container's.

    Args:
        limits: folder of the control group, of Linux; elsewhere there is none.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = limits / "memory.max"
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(machine, int(text)) / 1e9 if text.isdigit() else machine / 1e9


def take_share(index: int, num_workers: int) -> None:
    """Gives this process its part of the machine: a GPU in turn, or its share of the cores.

    Args:
        index: of this worker, from 0.
        num_workers: that work on this machine.
    """
    import torch

    num_gpus = torch.cuda.device_count()
    if num_gpus > 0:
        torch.cuda.set_device(index % num_gpus)
    # Its number of threads is what OMP_NUM_THREADS allows, where somebody has set that.
    torch.set_num_threads(max(1, min(torch.get_num_threads(), usable_cores() // num_workers)))
