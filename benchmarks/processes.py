"""One training process against two, beside what two processes get out of this machine at all.

    python benchmarks/processes.py [--minutes 20] [--products 20000] [--rounds 3] [--out FILE.json]

Trains one epoch as `growth.py` does, but that each process loads its own audio, once in one process
and once in two that share the epoch and average their gradients, each with one thread. Two
processes also share the caches, the memory and what power the processor has, so the first row is
work without anything to exchange: matrix products of the sizes of the model. The contenders take
turns; ratios are medians over the rounds. Prints Markdown.
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
from typing import Any

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
    times_s: dict[str, list[tuple[float, float]]] = {"matrix products": [], "an epoch": []}
    for _ in range(options.rounds):
        times_s["matrix products"].append(seconds_of_products(options.products))
        times_s["an epoch"].append(seconds_of_epoch(options.minutes))
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


def seconds_of_epoch(minutes: int) -> tuple[float, float]:
    """How long an epoch takes one process, and two that share it."""
    one, two = (_measured(minutes, num_processes)["epoch (s)"] for num_processes in (1, 2))
    return one, two


def _measured(minutes: int, num_processes: int) -> dict[str, Any]:
    launch = ["-m", "accelerate.commands.launch", "--num_processes", str(num_processes)]
    launch += ["--multi_gpu"] if num_processes > 1 else []  # of which accelerate knows no other way
    with tempfile.TemporaryDirectory(prefix="horizon-st-processes-") as folder:
        make_corpus(Path(folder), minutes)
        finished = subprocess.run(
            [sys.executable, *launch, __file__, "--measure", folder],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        )
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
