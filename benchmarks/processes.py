"""One training process against two, beside what two processes get out of this machine at all.

    python benchmarks/processes.py [--minutes 20] [--products 20000] [--rounds 3] [--out FILE.json]

Trains one epoch as `growth.py` does, but that each process loads its own audio, once in one process
and once in two that share the epoch and average their gradients, each with one thread. Two
processes also share the caches, the memory and what power the processor has, so the first rows are
work without anything to exchange: matrix products of the sizes of the model, and two epochs that
have nothing to do with each other. The contenders take turns; ratios are medians over the rounds.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import torch
from growth import make_corpus, measure
from measuring import print_table, write_report

_SHAPES = ((1500, 128), (128, 512))
"""States of a batch by the width of the model, and its wider layer."""

_LONGEST_S = 600


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=int, default=20, help="of audio in the epoch")
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--measure", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        torch.set_num_threads(1)
        row = measure(options.measure, num_workers=0)
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(row))
        return
    times_s: dict[str, list[tuple[float, float]]] = {
        "matrix products": [],
        "two epochs apart": [],
        "an epoch": [],
    }
    for _ in range(options.rounds):
        times_s["matrix products"].append(seconds_of_products(options.products))
        one, apart, shared = seconds_of_epochs(options.minutes)
        times_s["two epochs apart"].append((2 * one, apart))
        times_s["an epoch"].append((one, shared))
    rows = [
        {
            "work": name,
            "one process (s)": statistics.median(one for one, _ in times),
            "two (s)": statistics.median(two for _, two in times),
            "times faster": statistics.median(one / two for one, two in times),
        }
        for name, times in times_s.items()
    ]
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def seconds_of_products(num_products: int) -> tuple[float, float]:
    """How long so many products take one process, and two that share them.

    Raises:
        BrokenBarrierError: a process ended before its products were done.
    """
    return _multiplied(num_products, 1), _multiplied(num_products, 2)


def _multiplied(num_products: int, num_processes: int) -> float:
    context = get_context("spawn")
    barrier = context.Barrier(num_processes + 1, timeout=_LONGEST_S)
    share = num_products // num_processes
    processes = [
        context.Process(target=_multiply, args=(share, barrier)) for _ in range(num_processes)
    ]
    for process in processes:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    return seconds


def _multiply(num_products: int, barrier: Barrier) -> None:
    torch.set_num_threads(1)
    left, right = (torch.randn(shape, dtype=torch.bfloat16) for shape in _SHAPES)
    left @ right
    barrier.wait()
    for _ in range(num_products):
        left @ right
    barrier.wait()


def seconds_of_epochs(minutes: int) -> tuple[float, float, float]:
    """How long an epoch takes alone, beside another one, and shared by two processes."""
    with tempfile.TemporaryDirectory(prefix="horizon-st-processes-") as folder:
        corpora = [Path(folder) / name for name in ("alone", "left", "right", "shared")]
        for corpus in corpora:
            corpus.mkdir()
            make_corpus(corpus, minutes)
        alone, left, right, shared = corpora
        one = _finish(_start(alone, 1))
        apart = [_start(corpus, 1) for corpus in (left, right)]
        return one, max(map(_finish, apart)), _finish(_start(shared, 2))


def _start(corpus: Path, num_processes: int) -> subprocess.Popen[str]:
    launch = []
    if num_processes > 1:  # accelerate knows no other way, on CPUs either
        launch = ["-m", "accelerate.commands.launch", "--multi_gpu"]
        launch += ["--num_processes", str(num_processes)]
    return subprocess.Popen(
        [sys.executable, *launch, __file__, "--measure", str(corpus)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
    )


def _finish(process: subprocess.Popen[str]) -> float:
    """The seconds that its epoch took."""
    output, _ = process.communicate()
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    seconds: float = json.loads(output.splitlines()[-1])["epoch (s)"]
    return seconds


if __name__ == "__main__":
    main()
