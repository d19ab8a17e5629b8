"""The record of a run: everything needed to know what was done, with what, and what came out."""

from __future__ import annotations

import json
import platform
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from horizon_st.training.checkpoint import write_atomically

RECORD_FILE = "record.json"
_PACKAGES = (
    "horizon-st", "torch", "transformers", "accelerate", "lhotse", "tokenizers", "sacrebleu",
    "numpy",
)  # fmt: skip


@dataclass
class StageRecord:
    """What one stage did.

    Attributes:
        name: mt_external, mt_in_domain or st.
        steps: optimiser updates.
        wall_s: seconds of training and validation.
        train_history: per logged step, each term per target token, learning rate, gradient norm.
        dev_history: per validation, dev loss per target token and, if asked for, dev BLEU.
        stopped_early: whether patience ran out before `max_steps`.
    """

    name: str
    steps: int
    wall_s: float
    stopped_early: bool
    train_history: list[dict[str, float]]
    dev_history: list[dict[str, float]]


@dataclass
class RunRecord:
    """One run as JSON: the resolved recipe, its surroundings and its figures."""

    name: str
    recipe: dict[str, Any]
    seed: int
    num_parameters: int
    data_fingerprint: dict[str, str]
    precision: str
    num_processes: int
    versions: dict[str, str] = field(default_factory=lambda: package_versions())
    hardware: dict[str, Any] = field(default_factory=lambda: describe_hardware())
    stages: list[StageRecord] = field(default_factory=list)
    peak_memory_mb: float = 0.0

    def write(self, folder: Path) -> None:
        """Writes ``record.json`` in one step."""
        self.peak_memory_mb = peak_memory_mb()
        write_atomically(folder / RECORD_FILE, json.dumps(asdict(self), indent=1) + "\n")


def package_versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def describe_hardware() -> dict[str, Any]:
    """Processor, threads and accelerator."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def fingerprint_files(paths: Sequence[Path]) -> dict[str, str]:
    """The SHA-256 of each file's bytes, by file name."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in paths}


def peak_memory_mb() -> float:
    """The most memory this process has held: on the accelerator if there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 2**20
