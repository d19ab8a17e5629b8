"""Tasks in processes of their own: what they say, and what happens when one of them fails."""

import io
import multiprocessing
import os
import signal
import threading
import time

import pytest
from rich.console import Console

from horizon_st.demo import Job
from horizon_st.display import ProgressBars
from horizon_st.errors import UserError
from horizon_st.workers import run_side_by_side


@pytest.fixture
def jobs(tmp_path):
    """Two runs without data."""
    missing = ("data.train=nowhere.jsonl", "data.dev=nowhere.jsonl")
    return [Job(name, missing, tmp_path / name, tmp_path / "test.jsonl") for name in "ab"]


def test_a_mistake_in_one_run_ends_both(jobs):
    with (
        ProgressBars(Console(file=io.StringIO())) as bars,
        pytest.raises(UserError, match=r"nowhere\.jsonl: expected a manifest"),
    ):
        run_side_by_side(jobs, bars)
    assert multiprocessing.active_children() == []


def test_a_killed_run_is_named_and_ends_the_other(jobs):
    def kill_first():
        while len(children := multiprocessing.active_children()) < 2:
            time.sleep(0.01)
        [pid] = [child.pid for child in children if child.name == "a"]
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill_first)
    thread.start()
    with (
        ProgressBars(Console(file=io.StringIO())) as bars,
        pytest.raises(
            UserError, match=r"/a: expected the a run to end well, found .* by signal 9, .*memory"
        ),
    ):
        run_side_by_side(jobs, bars)
    thread.join()
    assert multiprocessing.active_children() == []
