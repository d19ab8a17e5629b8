"""Where the time of a training step goes: the plain schedule's and the project's, side by side.

    python benchmarks/step_profile.py SIZE [--out FILE.json] [--threads 1]

SIZE and contenders are those of training_step.py. Each runs to warm up and once more under
PyTorch's profiler, one step or the mean over as many as it takes until they repeat; an operation
counts for what it is part of (attention, the update), or else for what it does. Prints Markdown:
milliseconds of CPU time, without what operations call in turn.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from measuring import print_table, write_report
from torch.profiler import ProfilerActivity, profile
from training_step import SIZES, Contender, make_steps

from horizon_st.cli.memory import keep_freed_memory

KINDS = {
    "attention": ("scaled_dot_product", "PiecewiseAttention"),
    "update": ("Optimizer.step", "_fused_adamw", "_foreach", "linalg_vector_norm"),
    "convolutions": ("conv",),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"),
    "random masks": ("aten::bernoulli", "aten::random_", "aten::native_dropout"),
    "normalisation": ("layer_norm", "group_norm", "batch_norm"),
    "softmax and losses": ("softmax", "logsumexp", "ctc_loss", "nll_loss", "aten::gather"),
    "copies and casts": ("aten::copy_", "aten::cat", "aten::clone", "aten::index"),
}
"""Parts of the names of operations, or of what they are part of; the first that fits counts."""


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    found = {
        contender.name: time_by_kind(options.size, contender)
        for contender in SIZES[options.size].contenders
    }
    rows: list[dict[str, Any]] = [
        {"part": kind, **{name: times_ms[kind] for name, times_ms in found.items()}}
        for kind in (*KINDS, "other")
    ]
    rows.append({"part": "all", **{name: sum(x.values()) for name, x in found.items()}})
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def time_by_kind(size: str, contender: Contender) -> Counter[str]:
    """Milliseconds of one step, by the kind of operation."""
    step = make_steps(size, only=contender.name)[contender.name]
    step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step()
    times_ms: Counter[str] = Counter()
    for event in found.events():
        times_ms[kind_of(event)] += event.self_cpu_time_total / 1e3 / contender.num_updates
    return times_ms


def kind_of(event: Any) -> str:
    """What an operation counts for."""
    names = []
    each = event
    while each is not None:
        names.append(each.name)
        each = each.cpu_parent
    for kind, parts in KINDS.items():
        if any(part in name for name in names for part in parts):
            return kind
    return "other"


if __name__ == "__main__":
    main()
