"""Translates images: a row of handwritten digits -> the number in words, on the horizon.

    python examples/digits/run.py

Searches the weights of the objective with few runs, then trains with them and without them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from digit_reader import DigitReader
from digit_rows import PAD_ID, Rows, make_rows, spell, split_digits
from horizon_st.horizon import HorizonResult, SearchSpace, find_horizon
from horizon_st.objective.objective import LossReport, ObjectiveConfig, compute_objective
from horizon_st.objective.passes import plan_passes

BASELINES = {
    "images alone": {"mt_weight": 0.0, "consistency_weight": 0.0, "rdrop_weight": 0.0},
    "joint training": {"mt_weight": 1.0, "consistency_weight": 0.0, "rdrop_weight": 0.0},
}
SPACE = SearchSpace(mt_weight=(0.0, 1.0), consistency_weight=(0.0, 4.0), rdrop_weight=(0.0, 4.0))
SYMBOLS = {"mt_weight": "α_t", "consistency_weight": "α_cr", "rdrop_weight": "α_rd"}
_BATCH, _LEARNING_RATE = 32, 3e-3
_NUM_DEV_IMAGES = 600


def train(
    objective: ObjectiveConfig,
    rows: Rows,
    *,
    updates: int,
    seed: int,
    new_model: Callable[[], DigitReader] = DigitReader,
) -> tuple[DigitReader, list[dict[str, float]]]:
    """A model, and each term per target token in each update."""
    torch.manual_seed(seed)
    model = new_model().train()
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, updates)
    history = []
    for update in range(updates):
        batch = rows[torch.randint(len(rows), (_BATCH,))]
        report = loss_of(model, objective.of_update(update), batch)
        num_tokens = (batch.target != PAD_ID).sum()
        optimizer.zero_grad()
        report.total(num_tokens).backward()
        optimizer.step()
        schedule.step()
        history.append({name: float(x / num_tokens) for name, x in report.sums().items()})
    return model.eval(), history


def loss_of(model: DigitReader, objective: ObjectiveConfig, batch: Rows) -> LossReport:
    """The terms of the objective: images stand where speech does, digit strings for transcripts."""
    passes = plan_passes(objective)
    return compute_objective(
        objective,
        model.run_images(batch, passes.speech),
        model.run_digits(batch, passes.text),
        batch.target,
        batch.digits,
        pad_id=PAD_ID,
    )


def exact_match(model: DigitReader, rows: Rows) -> float:
    """Percent of the rows whose words are all right."""
    found = map(spell, model.read(rows).tolist())
    wanted = map(spell, rows.target.tolist())
    return 100 * statistics.mean(a == b for a, b in zip(found, wanted, strict=True))


def search(rows: Rows, dev: Rows, *, updates: int, num_trials: int) -> HorizonResult:
    """The weights with which images of the dev set are read best."""

    def evaluate(weights: dict[str, float]) -> float:
        model, _ = train(ObjectiveConfig(**weights), rows, updates=updates, seed=0)
        score = exact_match(model, dev)
        print(f"{shown(weights)}: {score:.1f} % of the dev set", flush=True)
        return score

    return find_horizon(evaluate, SPACE, num_trials=num_trials, seed=1)


def shown(weights: dict[str, float]) -> str:
    """Weights with the symbols of the paper."""
    return ", ".join(f"{SYMBOLS[name]} {value:.2f}" for name, value in weights.items())


def main() -> None:
    """Prints the search and what its answer is worth; writes them as JSON if asked to."""
    parser = argparse.ArgumentParser(description="A row of digits -> the number in words.")
    parser.add_argument("--images", type=int, default=200, help="single digits to train on")
    parser.add_argument("--rows", type=int, default=300, help="rows made of them")
    parser.add_argument("--evaluated", type=int, default=1000, help="rows of dev and test set")
    parser.add_argument("--updates", type=int, default=800, help="of each training")
    parser.add_argument("--trials", type=int, default=12, help="trainings of the search")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each final setting")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    train_set, dev_set, test_set = split_digits(arguments.images, _NUM_DEV_IMAGES)
    rows = make_rows(train_set, arguments.rows, seed=1)
    dev, test = (make_rows(part, arguments.evaluated, seed=2) for part in (dev_set, test_set))
    found = search(rows, dev, updates=arguments.updates, num_trials=arguments.trials)
    table = Table("weights", "test rows all right (%), by seed", "mean")
    scores: dict[str, list[float]] = {}
    for name, weights in (BASELINES | {"found": found.best}).items():
        scores[name] = [
            exact_match(
                train(ObjectiveConfig(**weights), rows, updates=arguments.updates, seed=seed)[0],
                test,
            )
            for seed in range(1, arguments.seeds + 1)
        ]
        by_seed = "  ".join(f"{score:.1f}" for score in scores[name])
        mean = f"{statistics.mean(scores[name]):.1f}"
        table.add_row(f"{name}: {shown(weights)}", by_seed, mean)
    Console().print(table)
    seconds = time.perf_counter() - started
    print(f"{seconds / 60:.1f} minutes")
    if arguments.out is not None:
        settings = {name: x for name, x in vars(arguments).items() if name != "out"}
        report = {"settings": settings, "seconds": seconds, "search": found.to_json()}
        report |= {"exact_match": scores}
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
