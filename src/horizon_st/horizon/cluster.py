"""The workers of a search on one machine, or on the nodes of a Ray cluster.

What they share lies in the folder and in Optuna's storage, so that on a cluster both must be
reachable from all nodes under the same paths. Ray only starts the workers, and starts those of a
dead node again.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from horizon_st.display import ProgressBars
from horizon_st.errors import UserError, reason_of
from horizon_st.extras import check_extra
from horizon_st.hardware import take_share
from horizon_st.workers import Messages, Task, run_side_by_side

_MOST_RETRIES = 20
"""Of a worker whose node died: endless ones would hide a worker that always dies."""
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class RayCluster:
    """Where to run workers, and what each gets.

    Attributes:
        address: of the head node, or "auto" for the one that this machine belongs to.
        cpus: cores of each worker.
        gpus: of each worker; a fraction lets several share one.

    Raises:
        UserError: Ray is not installed.
    """

    address: str
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        check_extra("--ray", "ray", ["ray"])


def run_workers(
    workers: Sequence[Task],
    bars: ProgressBars,
    say: Callable[[str], None],
    cluster: RayCluster | None,
) -> None:
    """Runs all workers to their end; one that dies is replaced by the others, or started again.

    Args:
        workers: each does whatever work nobody else does.
        bars: where those of this machine draw their progress.
        say: shows a line.
        cluster: None for this machine.

    Raises:
        UserError: a worker failed, or there is no such cluster.
    """
    if cluster is None:
        shares = [_Share(worker, i, len(workers)) for i, worker in enumerate(workers)]
        run_side_by_side(shares, bars, say, can_replace_each_other=True)
    else:
        _run_on_ray(workers, say, cluster)


@dataclass(frozen=True)
class _Share:
    """A worker with its part of this machine."""

    worker: Task
    index: int
    num_workers: int

    @property
    def name(self) -> str:
        return self.worker.name

    @property
    def place(self) -> str:
        return self.worker.place

    def __call__(self, messages: Messages) -> None:
        take_share(self.index, self.num_workers)
        self.worker(messages)


class _PrintedMessages:
    """To the log, which Ray shows where the workers were started."""

    def advance_to(self, bar: str, done: int, total: int, figures: str = "") -> None:
        pass

    def say(self, line: str) -> None:
        print(line, flush=True)


def _run_on_ray(workers: Sequence[Task], say: Callable[[str], None], cluster: RayCluster) -> None:
    import ray

    try:
        _knock(cluster.address)
        ray.init(address=cluster.address)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--ray {cluster.address}",
            expected="the address of a running cluster",
            found=" ".join(str(error).split()),
            remedy="Start one with `ray start --head`, or name its HOST:PORT.",
        ) from error
    try:
        say(f"{len(workers)} workers on the cluster at {cluster.address}.")
        start = ray.remote(num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=_MOST_RETRIES)(
            _work
        )
        names = {start.remote(worker, cluster.cpus, Path.cwd()): worker.name for worker in workers}
        _follow(names, cluster.address)
    finally:
        ray.shutdown()


def _follow(names: dict[Any, str], address: str) -> None:
    """Waits for all workers, by their references; the first failure ends the others.

    Raises:
        UserError: one failed, or died as often as Ray starts it again.
    """
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

    left = [*names]
    try:
        while left:
            [ended], left = ray.wait(left, num_returns=1)
            try:
                failure = ray.get(ended)
            except (NodeDiedError, OutOfMemoryError, WorkerCrashedError) as error:
                raise UserError(
                    f"--ray {address}",
                    expected=f"the {names[ended]} run to end well",
                    found=reason_of(error),
                    remedy="Give each worker more memory (--gpus, fewer --workers); the same "
                    "command continues from the last checkpoints.",
                ) from error
            if failure is not None:
                raise failure
    finally:
        for reference in left:
            ray.cancel(reference, force=True)


def _knock(address: str) -> None:
    """Ray itself would wait for minutes where nobody listens.

    Raises:
        OSError: nobody does.
        ValueError: the port is no number.
    """
    host, colon, port = address.rpartition(":")
    if colon and "://" not in address:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()


def _work(worker: Task, cpus: float, folder: Path) -> UserError | None:
    """What the worker does on its node; a failure is no reason for Ray to try again."""
    if not folder.is_dir():
        return UserError(
            str(folder),
            expected="the working folder on all nodes",
            found=f"no such folder on {platform.node()}",
            remedy="Start the search in a folder that all nodes share.",
        )
    os.chdir(folder)
    torch.set_num_threads(max(1, int(cpus)))
    try:
        worker(_PrintedMessages())
    except UserError as error:
        return error
    return None
