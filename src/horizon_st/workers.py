"""Work in several processes at once, with bars for all of them in this one."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Protocol

from horizon_st.display import ProgressBars
from horizon_st.errors import UserError


class Messages(Protocol):
    """What a task tells whoever started it."""

    def advance_to(self, bar: str, done: int, total: int, figures: str = "") -> None:
        """Moves the named bar to `done` of `total`."""

    def say(self, line: str) -> None:
        """Shows a line that stays."""


class _SentMessages:
    """To the parent process."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender

    def advance_to(self, bar: str, done: int, total: int, figures: str = "") -> None:
        self._sender.send((bar, done, total, figures))

    def say(self, line: str) -> None:
        self._sender.send(line)


class Task(Protocol):
    """Work of one process; it travels there by pickle."""

    @property
    def name(self) -> str:
        """Of the process, in messages."""

    @property
    def place(self) -> str:
        """Where its results go, in messages."""

    def __call__(self, messages: Messages) -> None:
        """Does the work."""


def run_side_by_side(
    tasks: Sequence[Task],
    bars: ProgressBars,
    say: Callable[[str], None] = print,
    *,
    can_replace_each_other: bool = False,
) -> None:
    """Runs all tasks at once, each in a process of its own, and draws their bars.

    Small models use two cores better as two single-threaded runs than as one run on both.

    Args:
        tasks: one process each.
        bars: where their progress is drawn.
        say: shows a line of theirs.
        can_replace_each_other: whether those that are left do the work of one that was killed.

    Raises:
        UserError: a task failed, or was killed and nobody is left to replace it; the others are
            ended.
    """
    context = process_context()
    watched: dict[Connection, tuple[Task, BaseProcess]] = {}
    try:
        for task in tasks:
            receiver, sender = context.Pipe(duplex=False)
            # Daemons may have no children of their own, such as processes that load data.
            process: BaseProcess = context.Process(target=_run, args=(task, sender), name=task.name)
            process.start()
            sender.close()
            watched[receiver] = (task, process)
        while watched:
            for ready in wait([*watched]):
                assert isinstance(ready, Connection)
                task, process = watched[ready]
                try:
                    message = ready.recv()
                except (EOFError, OSError):  # the latter amid a message
                    process.join()
                    del watched[ready]
                    failure = _failure_of(task, process)
                    if failure is not None:
                        was_killed = (process.exitcode or 0) < 0
                        if not (was_killed and watched and can_replace_each_other):
                            raise failure from None
                        say(f"{task.name}: {failure.found}. The others go on.")
                    continue
                if isinstance(message, UserError):
                    raise message
                if isinstance(message, str):
                    say(message)
                else:
                    bars.advance_to(*message)
    finally:
        for _, process in watched.values():
            process.terminate()
            process.join()


def process_context() -> ForkServerContext | SpawnContext:
    """Starts processes that have imported what this one has of the project, where that is safe.

    They are forked from a server without threads: PyTorch and transformers take seconds to import.
    """
    if sys.platform != "linux":  # libraries of macOS do not survive a fork
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in sys.modules if name.startswith("horizon_st.")])
    return context


def _run(task: Task, sender: Connection) -> None:
    _end_with_parent()
    try:
        task(_SentMessages(sender))
    except UserError as error:
        sender.send(error)
    sender.close()


def _failure_of(task: Task, process: BaseProcess) -> UserError | None:
    """Why a process ended; None if it had done its work."""
    code = process.exitcode
    if code == 0:
        return None
    if code is not None and code < 0:
        return UserError(
            task.place,
            expected=f"the {task.name} run to end well",
            found=f"a process killed by signal {-code}, possibly for want of memory",
            remedy="Free some memory; the same command continues from the last checkpoint.",
        )
    return UserError(
        task.place,
        expected=f"the {task.name} run to end well",
        found=f"a process that ended with status {code}",
        remedy="Read its message above; the same command continues from the last checkpoint.",
    )


def _end_with_parent() -> None:
    """Ends this process when its parent ends, even by SIGKILL: two writers never share a run."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "tasks run in child processes"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
