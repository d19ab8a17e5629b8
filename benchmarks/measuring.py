"""What the benchmarks share: the machine in words, memory, tables."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

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
