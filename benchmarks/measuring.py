"""What the benchmarks share: the machine in words, memory, tables, made-up utterances."""

from __future__ import annotations

import json
import math
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from horizon_st.decoding.scoring import score
from horizon_st.hardware import cpu_has_fast_bf16
from horizon_st.training.record import describe_hardware

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "la", "ro", "si")]
"""Of made-up sentences."""

_KB = 1024
_MB = 1e6
_SAMPLE_S = 0.2
"""Looking takes some milliseconds from the program that is watched."""


def describe_machine() -> dict[str, Any]:
    """Processor, cores, accelerator and versions."""
    return {
        **describe_hardware(),
        "bf16": cpu_has_fast_bf16(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def write_report(
    path: Path, settings: dict[str, Any], rows: Sequence[dict[str, Any]], **more: Any
) -> None:
    """The machine, the settings, the rows of a table, and what else is worth keeping, as JSON.

    Of absolute paths, the last two parts: where a machine keeps its files tells nobody anything.
    """
    told = {key: _without_folders(value) for key, value in settings.items() if key != "out"}
    report = {"machine": describe_machine(), "settings": told, "rows": rows} | more
    path.write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")


def _without_folders(value: Any) -> Any:
    if isinstance(value, str | Path) and Path(value).is_absolute():
        return "/".join(Path(value).parts[-2:])
    return value


def memory_added_mb(work: Callable[[], object]) -> float:
    """What this process's memory rises by at its peak during some work (Linux only)."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until now
    before = memory_mb("VmRSS")
    work()
    return memory_mb("VmHWM") - before


def memory_mb(name: str, process: str = "self") -> float:
    """What the system says of a process's memory, by its name for it (Linux only)."""
    return _sizes_mb(Path(f"/proc/{process}/status"))[name]


def run_and_watch(command: Sequence[str]) -> tuple[str, float]:
    """What a command prints, and the most MB that it and its children held (Linux only).

    It looks five times a second, so that a shorter peak may be missed.

    Raises:
        CalledProcessError: the command failed.
    """
    peak_mb = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while True:
            try:
                printed, _ = process.communicate(timeout=_SAMPLE_S)
                break
            except subprocess.TimeoutExpired:
                peak_mb = max(peak_mb, memory_of_family_mb(process.pid))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return printed, peak_mb


def memory_of_family_mb(process_id: int) -> float:
    """What a process and its children hold (Linux only).

    Pages that they share count once; of mapped files, such as PyTorch's libraries, those of the
    process with most of them, which another program that maps them does not make cheaper.
    """
    own_mb, files_mb = 0.0, 0.0
    for folder in _family(process_id):
        sizes_mb = _sizes_mb(folder / "smaps_rollup")
        own_mb += sizes_mb.get("Pss_Anon", 0.0) + sizes_mb.get("Pss_Shmem", 0.0)
        files_mb = max(files_mb, _sizes_mb(folder / "status").get("RssFile", 0.0))
    return own_mb + files_mb


def _family(process_id: int) -> Iterator[Path]:
    """What the system shows of a process and of all its children."""
    folder = Path(f"/proc/{process_id}")
    yield folder
    for children in folder.glob("task/*/children"):
        for child in _read_of_living(children).split():
            yield from _family(int(child))


def _sizes_mb(path: Path) -> dict[str, float]:
    """The lines `NAME: NUMBER kB` of a file; none once the process has ended."""
    lines = (line.split() for line in _read_of_living(path).splitlines())
    return {line[0].rstrip(":"): int(line[1]) * _KB / _MB for line in lines if line[2:] == ["kB"]}


def _read_of_living(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # the process has just ended
        return ""


def made_up_cut(
    name: str, duration_s: float, *, audio: str, source: str, target: str, rate: int = 16_000
) -> dict[str, Any]:
    """A line of a manifest: an utterance that is the whole of an audio file."""
    supervision = {
        **{"id": name, "recording_id": name, "start": 0.0, "duration": duration_s, "channel": 0},
        **{"text": source, "custom": {"translated_text": target}},
    }
    recording = {
        **{"id": name, "sampling_rate": rate, "num_samples": round(duration_s * rate)},
        **{"duration": duration_s, "sources": [{"type": "file", "channels": [0], "source": audio}]},
    }
    return {
        **{"id": name, "type": "MonoCut", "start": 0.0, "duration": duration_s, "channel": 0},
        **{"supervisions": [supervision], "recording": recording},
    }


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


def print_bleu_signature(references: Sequence[str]) -> str:
    """Prints below a table, and returns, how its BLEU was computed."""
    signature = score(references, references).metrics["BLEU"].signature
    print(f"\nBLEU signature: `{signature}`.")
    return signature


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return str(value)
