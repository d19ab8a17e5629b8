"""A table of kills and recoveries: the demo is killed at random moments and must lose nothing.

First the demo runs undisturbed. Then it runs in another folder, is killed by SIGKILL so many times
at seeded random moments, and is started again each time: every second time on average the whole
process group is hit, else its first process alone, whose children must then end by themselves.
Checked after each kill: no process of it is left. Checked while it runs: no checkpoint is ever
written twice, so that a restart continues from the newest one. Checked at the end: exit status 0, a
comparison, and weights that equal those of the undisturbed run to the byte.

    python scripts/kill_test.py OUT --kills 10
    python scripts/kill_test.py OUT --kills 3 -O stages.st.max_steps=20 -O stages.st.warmup_steps=5
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

RUNS = ("pretraining", "baseline", "regularised")
COMPARED = RUNS[1:]
POLL_S = 0.05
GRACE_S = 30.0
"""How long children may outlive their parent: they look for it once their imports are done."""


@dataclass
class Watch:
    """Every checkpoint that was ever seen in a folder, and those that were written anew."""

    folder: Path
    seen: dict[str, int] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Notes new checkpoints; one that is not newer than all before means lost work."""
        for path in sorted(self.folder.glob("*/stages/*/checkpoints/step-*")):
            try:
                inode = path.stat().st_ino
            except FileNotFoundError:
                continue  # pruned meanwhile
            name = str(path.relative_to(self.folder))
            if self.seen.get(name) == inode:
                continue
            stage, step = str(path.parent.parent), int(path.name.removeprefix("step-"))
            if name in self.seen or step <= self.newest.get(stage, 0):
                self.faults.append(f"{name} was written a second time")
            self.seen[name] = inode
            self.newest[stage] = max(step, self.newest.get(stage, 0))

    def summary(self) -> str:
        """The newest step of each run's newest stage."""
        newest = {}
        for stage, step in self.newest.items():
            path = Path(stage)
            newest[path.parent.parent.name] = f"{path.name} {step}"
        return ", ".join(f"{run}: {newest[run]}" for run in RUNS if run in newest) or "none yet"


@dataclass
class Attempt:
    """One start of the demo and how it ended."""

    delay_s: float
    ended: str
    checkpoints: str
    num_left: int = 0
    gone_after_s: float = 0.0


def main() -> int:
    """0 if every check holds, 1 otherwise."""
    options = parse_arguments()
    console = Console(width=140)
    undisturbed, killed = options.out / "undisturbed", options.out / "killed"
    started = time.monotonic()
    status = start(undisturbed, options).wait()
    whole_s = time.monotonic() - started
    console.print(f"Undisturbed: status {status} after {whole_s:.0f} s.")
    if status != 0:
        console.print((undisturbed / "log.txt").read_text()[-2000:], markup=False)
        return 1
    watch = Watch(killed)
    attempts = kill_and_restart(options, killed, whole_s, watch)
    process = start(killed, options)
    while process.poll() is None:
        watch.look()
        time.sleep(POLL_S)
    watch.look()
    attempts.append(Attempt(0.0, f"status {process.returncode}", watch.summary()))
    console.print(table_of(attempts))
    faults = find_faults(attempts, watch, undisturbed, killed)
    for fault in faults:
        console.print(f"[red]{fault}[/]")
    if not faults:
        console.print(f"{options.kills} kills, nothing lost: the weights are the same to the byte.")
    return int(bool(faults))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="an empty folder")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--target", default="es")
    parser.add_argument("-O", "--override", action="append", default=[], help="section.key=value")
    options = parser.parse_args()
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"{options.out} is not empty; give another folder, or remove it")
    return options


def start(folder: Path, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    """The demo as a process group of its own; what it prints goes to `log.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "horizon_st", "demo", "--target", options.target]
    command += ["--out", str(folder)]
    command += [part for override in options.override for part in ("-O", override)]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def kill_and_restart(
    options: argparse.Namespace, folder: Path, whole_s: float, watch: Watch
) -> list[Attempt]:
    """What became of every start; the moments are spread over about twice an undisturbed run.

    A demo that ends before its moment is started again, until all kills are done.
    """
    chance = random.Random(options.seed)
    attempts: list[Attempt] = []
    num_kills = 0
    while num_kills < options.kills:
        delay_s = chance.uniform(0.1, max(15.0, 4 * whole_s / options.kills))
        process = start(folder, options)
        deadline = time.monotonic() + delay_s
        while process.poll() is None and time.monotonic() < deadline:
            watch.look()
            time.sleep(POLL_S)
        if process.poll() is not None:
            ended = f"status {process.returncode}"
            attempts.append(Attempt(delay_s, ended, watch.summary()))
            if process.returncode != 0:
                break
            continue
        hits_group = chance.random() < 0.5
        num_left, gone_after_s = kill(process, hits_group=hits_group)
        num_kills += 1
        watch.look()
        ended = f"kill {num_kills}, {'group' if hits_group else 'first process'}"
        attempts.append(Attempt(delay_s, ended, watch.summary(), num_left, gone_after_s))
    return attempts


def kill(process: subprocess.Popen[bytes], *, hits_group: bool) -> tuple[int, float]:
    """How many of the demo's processes outlive a SIGKILL, and the seconds until the rest ended."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    if hits_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    killed_at = time.monotonic()
    while (left := [one for one in family if is_alive(one)]) and (
        time.monotonic() < killed_at + GRACE_S
    ):
        time.sleep(POLL_S)
    gone_after_s = time.monotonic() - killed_at
    for one in left:
        one.kill()
    return len(left), gone_after_s


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that has ended and waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def find_faults(
    attempts: list[Attempt], watch: Watch, undisturbed: Path, killed: Path
) -> list[str]:
    """Everything that should not be."""
    faults = list(watch.faults)
    for number, attempt in enumerate(attempts, start=1):
        if attempt.num_left:
            faults.append(f"start {number}: {attempt.num_left} processes outlived the kill")
        if attempt.ended.startswith("status") and attempt.ended != "status 0":
            faults.append(f"start {number}: {attempt.ended}; see {killed / 'log.txt'}")
    if not (killed / "comparison.json").is_file():
        faults.append("comparison.json is missing")
    for run in COMPARED:
        before, after = (sha256_of(folder / run / "model") for folder in (undisturbed, killed))
        if before != after:
            faults.append(f"{run}: weights {after} instead of {before}")
    return faults


def sha256_of(model: Path) -> str:
    """The fingerprint of a model's weights, or what is missing."""
    path = model / "model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else f"no {path}"


def table_of(attempts: list[Attempt]) -> Table:
    """One row per start."""
    table = Table("start", "killed after s", "ended by", "left over", "gone after s", "checkpoints")
    for number, attempt in enumerate(attempts, start=1):
        was_killed = attempt.ended.startswith("kill")
        table.add_row(
            str(number),
            f"{attempt.delay_s:.1f}" if was_killed else "",
            attempt.ended,
            str(attempt.num_left),
            f"{attempt.gone_after_s:.1f}" if was_killed else "",
            attempt.checkpoints,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
