"""Whose folder of uploads goes: a killed server's, when the next one starts, and no other."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack

import pytest

from horizon_st.serving.kept import KeptUploads

SERVER = """
import asyncio, os, sys
from pathlib import Path
from horizon_st.serving.kept import KeptUploads

async def serve():
    kept = KeptUploads(Path(sys.argv[1]), 1_000)
    async with kept.open():
        for path in [*kept.path.iterdir()]:
            os.utime(path, (0, 0))
        kept.sweep()
        (kept.path / "a.wav").touch()
        print(kept.path, flush=True)
        sys.stdin.read()

asyncio.run(serve())
"""


@pytest.fixture
def start(tmp_path):
    """A function: a server in a process of its own that has had its folder for hours, and that."""
    running = []

    def run():
        command = [sys.executable, "-c", SERVER, str(tmp_path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen(command, **pipes))
        return running[-1], tmp_path / running[-1].stdout.readline().strip()

    yield run
    for process in running:
        process.communicate()
        assert process.returncode in {0, -9}


def test_uploads_of_a_killed_server_are_deleted_by_the_next(tmp_path, start):
    killed, abandoned = start()
    _, lived_in = start()
    killed.kill()
    killed.wait()
    elsewhere = tmp_path / "elsewhere"
    (abandoned / "b").mkdir()
    for folder in (tmp_path / "horizon-st-model", elsewhere, tmp_path / f"horizon-st-{'0' * 16}"):
        folder.mkdir()
        (folder / "a.wav").touch()
    for folder in (tmp_path / "horizon-st-model", elsewhere):
        for lock in abandoned.glob(".*"):
            (folder / lock.name).touch()
    (tmp_path / f"horizon-st-{'1' * 16}").symlink_to(elsewhere)
    others = {*tmp_path.rglob("*")} - {abandoned, *abandoned.rglob("*")}

    async def serve():
        async with AsyncExitStack() as stack:
            ours = [KeptUploads(tmp_path, 1_000) for _ in range(2)]
            for one in ours:
                await stack.enter_async_context(one.open())
            assert {*tmp_path.rglob("*.wav")} == {path for path in others if path.suffix == ".wav"}
            assert all(one.path.is_dir() for one in ours)

    assert (abandoned / "a.wav").exists()
    asyncio.run(serve())
    assert {*tmp_path.rglob("*")} == others
    assert (lived_in / "a.wav").exists()
