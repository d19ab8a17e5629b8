"""What the benchmarks share: the machine in words, memory, tables."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from horizon_st.training.record import describe_hardware

_KB = 1024
_MB = 1e6


def describe_machine() -> dict[str, Any]:
    """Processor, cores, accelerator and versions."""
    return {
        **describe_hardware(),
        "bf16": bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def write_report(path: Path, settings: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """The machine, the settings and the rows of a table as JSON."""
    report = {"machine": describe_machine(), "settings": settings, "rows": rows}
    path.write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")


def memory_added_mb(work: Callable[[], object]) -> float:
    """What this process's memory rises by at its peak during some work (Linux only)."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until now
    before = memory_mb("VmRSS")
    work()
    return memory_mb("VmHWM") - before


def memory_mb(name: str) -> float:
    """What the system says of this process's memory, by its name for it (Linux only)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KB / _MB
    raise RuntimeError(f"no {name} in /proc/self/status")


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
