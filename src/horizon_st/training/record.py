"""The record of a run: everything needed to know what was done, with what, and what came out."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from horizon_st.data.files import whole_file
from horizon_st.errors import UserError
from horizon_st.versions import package_versions

RECORD_FILE = "record.json"


@dataclass
class StageRecord:
    """What one stage did.

    Attributes:
        name: mt_external, mt_in_domain, asr or st.
        steps: optimiser updates.
        wall_s: seconds of training and validation, over all interruptions; work that was lost to
            a kill and done again counts once.
        stopped_early: whether patience ran out before `max_steps`.
        train_history: per logged step, each term per target token, the share of transcripts that
            CTC could align, learning rate, gradient norm.
        dev_history: per validation, dev loss per target token and, if asked for, dev BLEU.
        final: the dev figures of the averaged weights; None until the stage has ended.
        averaged_steps: of the checkpoints behind these weights; None until then.
        data_wait_s: seconds of `wall_s` in which the main process waited for batches.
    """

    name: str
    steps: int
    wall_s: float
    stopped_early: bool
    train_history: list[dict[str, float]]
    dev_history: list[dict[str, float]]
    final: dict[str, float] | None = None
    averaged_steps: list[int] | None = None
    data_wait_s: float = 0.0


@dataclass
class RunRecord:
    """One run as JSON: the resolved recipe, its surroundings and its figures.

    Attributes:
        name: of the recipe.
        recipe: every key, with defaults.
        seed: of the recipe.
        num_parameters: of the model, frozen ones included.
        vocab_size: symbols that the decoder chooses from.
        data_fingerprint: SHA-256 of the files that `data.train`, `data.dev` and `data.text_pairs`
            name, and of the weights of `initial_model`.
        precision: as it was resolved: no (fp32), bf16 or fp16.
        num_processes: that train together.
        run_id: of this run folder, for trackers.
        versions: of the packages that a result depends on.
        hardware: processor, cores, threads, accelerator.
        stages: what each stage did.
        model_sha256: of the weights of the final model; None until it is there.
        wall_s: sum over the stages.
        peak_memory_mb: the most that one process has held, over all interruptions: on the
            accelerator if there is one, else resident.
    """

    name: str
    recipe: dict[str, Any]
    seed: int
    num_parameters: int
    vocab_size: int
    data_fingerprint: dict[str, str]
    precision: str
    num_processes: int
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    versions: dict[str, str] = field(default_factory=package_versions)
    hardware: dict[str, Any] = field(default_factory=lambda: describe_hardware())
    stages: list[StageRecord] = field(default_factory=list)
    model_sha256: str | None = None
    wall_s: float = 0.0
    peak_memory_mb: float = 0.0

    def continue_from(self, folder: Path) -> None:
        """Takes over id, stages and peak memory from the record in the folder, if there is one.

        Raises:
            UserError: that record cannot be read, or the data has changed since.
        """
        path = folder / RECORD_FILE
        if not path.is_file():
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            self.run_id = before["run_id"]
            self.stages = [StageRecord(**stage) for stage in before["stages"]]
            self.peak_memory_mb = before["peak_memory_mb"]
            data_before = dict(before["data_fingerprint"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                str(path),
                expected="the record of this run",
                found=f"{type(error).__name__}: {error}",
                remedy="Remove the file; it is made again from the checkpoints.",
            ) from error
        for name in sorted({*data_before, *self.data_fingerprint}):
            if data_before.get(name) != self.data_fingerprint.get(name):
                raise UserError(
                    name if name == "initial_model" else f"data.{name}",
                    expected="what the run in the folder began with, "
                    f"SHA-256 {data_before.get(name)}",
                    found=f"SHA-256 {self.data_fingerprint.get(name)}",
                    remedy="Put the old file back, or choose another --out.",
                )

    def stage(self, name: str) -> StageRecord | None:
        """What the stage of that name did, if it has begun."""
        return next((stage for stage in self.stages if stage.name == name), None)

    def put(self, stage: StageRecord) -> None:
        """Adds a stage, or replaces what was known about it."""
        names = [known.name for known in self.stages]
        if stage.name in names:
            self.stages[names.index(stage.name)] = stage
        else:
            self.stages.append(stage)

    def write(self, folder: Path) -> None:
        """Writes ``record.json`` in one step."""
        self.wall_s = sum(stage.wall_s for stage in self.stages)
        self.peak_memory_mb = max(self.peak_memory_mb, peak_memory_mb())
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False)
        with whole_file(folder / RECORD_FILE) as file:
            file.write(text + "\n")


def describe_hardware() -> dict[str, Any]:
    """Processor, cores, threads and accelerator."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "processor": _processor_name(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor_name(cpuinfo: Path) -> str:
    """The name on Linux for x86; elsewhere what Python knows."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """The most memory this process has held: on the accelerator if there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 2**20
