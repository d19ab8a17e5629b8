"""What the benchmarks share: the machine in words, memory, tables."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

_KB = 1024
_MB = 1e6


def describe_machine() -> dict[str, Any]:
    """Processor, cores and versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "bf16": bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def memory_added_mb(work: Callable[[], object]) -> float:
    """What this process's memory rises by at its peak during some work (Linux only)."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until now
    before = _memory_kb("VmRSS")
    work()
    return (_memory_kb("VmHWM") - before) * _KB / _MB


def matrix_product_peak(dtype: torch.dtype, *, size: int = 2048, seconds: float = 2.0) -> float:
    """Floating-point operations a second of the fastest product of two square matrices."""
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    fastest = math.inf
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        left @ right
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest


def matrix_product_operations(work: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products, convolutions and attention in some work."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def _memory_kb(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"no {name} in /proc/self/status")


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Rows of equal keys as a table in Markdown."""
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(_cell(value) for value in row.values()) + " |")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return str(value)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
