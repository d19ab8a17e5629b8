"""Work in several processes at once, with bars for all of them in this one."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from horizon_st.display import ProgressBars
from horizon_st.errors import UserError


class Messages:
    """What a task tells its parent process."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender

    def advance_to(self, bar: str, done: int, total: int, figures: str = "") -> None:
        """Moves the named bar to `done` of `total`."""
        self._sender.send((bar, done, total, figures))

    def say(self, line: str) -> None:
        """Shows a line that stays."""
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
    tasks: Sequence[Task], bars: ProgressBars, say: Callable[[str], None] = print
) -> None:
    """Runs all tasks at once, each in a process of its own, and draws their bars.

    Small models use two cores better as two single-threaded runs than as one run on both.

    Args:
        tasks: one process each.
        bars: where their progress is drawn.
        say: shows a line of theirs.

    Raises:
        UserError: a task failed or was killed; the others are ended.
    """
    context = multiprocessing.get_context("spawn")
    watched: dict[Connection, tuple[Task, SpawnProcess]] = {}
    try:
        for task in tasks:
            receiver, sender = context.Pipe(duplex=False)
            # Daemons may have no children of their own, such as processes that load data.
            process = context.Process(target=_run, args=(task, sender), name=task.name)
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
                    _check_ended_well(task, process)
                    del watched[ready]
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


def _run(task: Task, sender: Connection) -> None:
    _end_with_parent()
    try:
        task(Messages(sender))
    except UserError as error:
        sender.send(error)
    sender.close()


def _check_ended_well(task: Task, process: SpawnProcess) -> None:
    code = process.exitcode
    assert code is not None, "the process has ended"
    if code < 0:
        raise UserError(
            task.place,
            expected=f"the {task.name} run to end well",
            found=f"a process killed by signal {-code}, possibly for want of memory",
            remedy="Free some memory; the same command continues from the last checkpoint.",
        )
    if code > 0:
        raise UserError(
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
