"""Recipe and hardware -> one Accelerator: devices, precision, processes, trackers."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    ProjectConfiguration,
)

from horizon_st.errors import UserError, reason_of
from horizon_st.extras import install_extra
from horizon_st.hardware import cpu_has_fast_bf16, gpu_has_bf16
from horizon_st.training.recipe import Recipe

_PROJECT = "horizon-st"
_SUPPORTED = (
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
)


@contextmanager
def accelerated(recipe: Recipe, folder: Path) -> Iterator[Accelerator]:
    """A context with the accelerator of a run; its trackers end with it.

    Raises:
        UserError: the hardware lacks the precision, a tracker is not installed, or accelerate is
            configured for something that training does not support, or started too few processes.
    """
    _check_trackers(recipe.trackers)
    # transformers ties the embeddings, and its own loading restores the tie that this warns about.
    logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)
    # It is deprecated, but what replaces it broadcasts tables of different length at the start.
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),  # Apple's GPUs lack the float64 that sums are kept in
        mixed_precision=resolve_precision(recipe.precision),
        log_with=recipe.trackers or None,
        project_config=ProjectConfiguration(str(folder), logging_dir=str(folder / "tensorboard")),
        step_scheduler_with_optimizer=False,
        # Position tables that grow differ between processes. Text stages leave the speech encoder
        # out, layer drop leaves out layers.
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=True)
        ],
    )
    try:
        _check_launch(accelerator)
        yield accelerator
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        # The next run of this process may have another precision. The process group stays until
        # the end: its processes cannot find each other a second time.
        AcceleratorState._reset_state()
        atexit.unregister(_leave_process_group)
        atexit.register(_leave_process_group)


@contextmanager
def naming_lack_of_memory(folder: Path) -> Iterator[None]:
    """A block in which a run that exceeds the accelerator's memory ends in what to do about it.

    Args:
        folder: of the run.

    Raises:
        UserError: in place of PyTorch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            str(folder),
            expected="a run that fits the memory of the accelerator",
            found=reason_of(error),
            remedy="Lower data.max_batch_s (for stages of text data.max_batch_tokens) and raise "
            "the stage's accumulation by the same factor; give another --out if this folder holds "
            "checkpoints, since it continues the recipe that it has. `--dry-run` estimates what a "
            "recipe takes.",
        ) from error


def _leave_process_group() -> None:
    """Waits for its threads, which abort the process when they free tensors as it exits."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        gc.collect()  # the group ends with the last model that refers to it


def resolve_precision(precision: str) -> str:
    """Accelerate's name of a precision; on `auto` bf16 where it is fast, else fp32.

    Fast are GPUs that have it and CPUs with instructions for it (AMX, AVX512_BF16).

    Raises:
        UserError: fp16 is asked for without a GPU, or bf16 with a GPU that lacks it.
    """
    has_gpu = torch.cuda.is_available()
    if precision == "fp16" and not has_gpu:
        raise UserError(
            "precision",
            expected="fp32, bf16 or auto without a GPU",
            found=precision,
            remedy="Set precision: auto.",
        )
    if precision == "bf16" and has_gpu and not gpu_has_bf16():
        raise UserError(
            "precision",
            expected="fp32, fp16 or auto with a GPU that lacks bf16",
            found=f"{precision} on {torch.cuda.get_device_name()}",
            remedy="Set precision: auto, which takes fp32 here.",
        )
    if precision == "auto":
        return "bf16" if (gpu_has_bf16() if has_gpu else cpu_has_fast_bf16()) else "no"
    return {"fp32": "no"}.get(precision, precision)


def start_trackers(accelerator: Accelerator, recipe: Recipe, run_id: str, folder: Path) -> None:
    """Starts the recipe's trackers; W&B continues the run of the same id.

    TensorBoard's events go to ``folder/tensorboard``. MLflow begins a new run at each start.
    """
    accelerator.init_trackers(
        _PROJECT,
        init_kwargs={
            "wandb": {
                "id": run_id,
                "name": recipe.name,
                "resume": "allow",
                "dir": str(folder),
            }
        },
    )
    for tracker in accelerator.trackers:
        if tracker.name != "tensorboard":  # whose hyper-parameters need a folder of their own
            tracker.store_init_configuration(dict(_flatten(asdict(recipe))))


def _check_launch(accelerator: Accelerator) -> None:
    if accelerator.distributed_type not in _SUPPORTED:
        raise UserError(
            "accelerate's configuration",
            expected="one process, or data parallelism (DDP) over CPUs or GPUs",
            found=accelerator.distributed_type.value,
            remedy="Run `accelerate config` anew, or start without `accelerate launch`.",
        )
    # `accelerate launch --cpu` leaves it to MPI to start and number the processes that it was
    # asked for; without MPI there is one, and only the address where it would meet the others.
    if (
        accelerator.num_processes == 1
        and "MASTER_ADDR" in os.environ
        and os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1")
        and "WORLD_SIZE" not in os.environ
    ):
        raise UserError(
            "accelerate launch --cpu",
            expected="the several processes that were asked for",
            found="one, since no MPI started the others",
            remedy="Start them with `ACCELERATE_USE_CPU=true accelerate launch --multi_gpu "
            "--num_processes N`, which needs neither MPI nor a GPU.",
        )


def _check_trackers(names: list[str]) -> None:
    available = {tracker.value for tracker in get_available_trackers()}
    for name in names:
        if name not in available:
            raise UserError(
                "trackers",
                expected=f"{name} to be installed",
                found="no such package",
                remedy=f"{install_extra(name)} Or remove {name} from trackers.",
            )


def _flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, (int, float)) else str(value)
