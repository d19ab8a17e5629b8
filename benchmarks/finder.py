"""`find_horizon` against Optuna's samplers and the full grid, on surfaces whose best is known.

    python benchmarks/finder.py [--surfaces 42] [--noise 0 0.25 0.5] [--seeds 3] [--runs 32]
        [--out FILE.json]

Counts the runs until what a contender would recommend is within 1 % of the best true score of a
4×4×4 grid: for `find_horizon` the setting of the highest mean, for the others that of the highest
score so far. A contender that does not get there counts as one run more than it had. Surfaces are
drawn at random, of six kinds by turns: one ridge, a ridge with interaction, one that
saturates, a flat one, two peaks, an optimum at a corner. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from measuring import print_table, write_report

from horizon_st.horizon import SearchSpace, find_horizon
from horizon_st.horizon.finder import ScoredSetting, conclude

Score = Callable[[np.ndarray], float]

SPACE = SearchSpace()
_TOLERANCE = 0.01
_GRID = np.array([*itertools.product(np.linspace(0, 1, 4), repeat=3)])


@dataclass(frozen=True)
class Surface:
    """A true score over the unit cube of (α_t, α_cr, α_rd)."""

    kind: str
    score: Score

    @property
    def wanted(self) -> float:
        """The least score that is good enough."""
        best = max(map(self.score, _GRID))
        return best - _TOLERANCE * abs(best)


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--surfaces", type=int, default=42)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.25, 0.5])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    needed: dict[str, list[int]] = {name: [] for name in CONTENDERS}
    for number, surface in enumerate(make_surfaces(options.surfaces)):
        for noise, seed in itertools.product(options.noise, range(options.seeds)):
            for name, contender in CONTENDERS.items():
                rng = np.random.default_rng((zlib.crc32(name.encode()), number, seed))
                recommended = contender(noisy(surface, noise, rng), options.runs, seed)
                needed[name].append(runs_needed(surface, recommended))
    rows = [
        {
            "search": name,
            "median of runs": statistics.median(numbers),
            "90th percentile": float(np.quantile(numbers, 0.9)),
            "within 16": f"{np.mean(np.array(numbers) <= 16):.0%}",
            "within 24": f"{np.mean(np.array(numbers) <= 24):.0%}",
        }
        for name, numbers in needed.items()
    ]
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def noisy(surface: Surface, noise: float, rng: np.random.Generator) -> Score:
    """A score of one run."""
    return lambda point: surface.score(point) + noise * float(rng.normal())


def runs_needed(surface: Surface, recommended: Iterator[np.ndarray]) -> int:
    """After how many runs the recommendation is good enough."""
    number = 0
    for number, point in enumerate(recommended, start=1):
        if surface.score(point) >= surface.wanted:
            return number
    return number + 1


def ours(evaluate: Score, num_runs: int, seed: int) -> Iterator[np.ndarray]:
    """What `find_horizon` recommends after each run."""
    trials: list[ScoredSetting] = []
    found = find_horizon(lambda setting: evaluate(SPACE.to_unit(setting)), SPACE, num_runs, seed)
    for trial in found.trials:
        trials.append(trial)
        yield SPACE.to_unit(conclude(trials, SPACE).best)


def by_optuna(
    make_sampler: Callable[[int], optuna.samplers.BaseSampler],
) -> Callable[[Score, int, int], Iterator[np.ndarray]]:
    """A contender: the best so far under one of Optuna's samplers."""

    def run(evaluate: Score, num_runs: int, seed: int) -> Iterator[np.ndarray]:
        study = optuna.create_study(direction="maximize", sampler=make_sampler(seed))
        names = SPACE.names
        for _ in range(num_runs):
            trial = study.ask()
            point = np.array([trial.suggest_float(name, 0.0, 1.0) for name in names])
            study.tell(trial, evaluate(point))
            yield np.array([study.best_params[name] for name in names])

    return run


def grid(evaluate: Score, num_runs: int, seed: int) -> Iterator[np.ndarray]:
    """All of the grid in random order, whatever `num_runs` is."""
    order = np.random.default_rng(seed).permutation(_GRID)
    best, best_score = order[0], -np.inf
    for point in order:
        score = evaluate(point)
        if score > best_score:
            best, best_score = point, score
        yield best


CONTENDERS: dict[str, Callable[[Score, int, int], Iterator[np.ndarray]]] = {
    "find_horizon": ours,
    "Optuna, GP": by_optuna(lambda seed: optuna.samplers.GPSampler(seed=seed)),
    "Optuna, TPE": by_optuna(lambda seed: optuna.samplers.TPESampler(seed=seed)),
    "random": by_optuna(lambda seed: optuna.samplers.RandomSampler(seed=seed)),
    "grid 4×4×4": grid,
}


def make_surfaces(number: int) -> list[Surface]:
    """So many surfaces, the kinds by turns; the same for the same number."""
    rng = np.random.default_rng(0)
    return [KINDS[index % len(KINDS)](rng) for index in range(number)]


def _ridge(rng: np.random.Generator) -> Surface:
    return Surface("ridge", _over_total(rng, lambda v, w: v @ w))


def _ridge_with_interaction(rng: np.random.Generator) -> Surface:
    strength = rng.uniform(-0.5, 0.5)
    return Surface("interaction", _over_total(rng, lambda v, w: v @ w + strength * v[1] * v[2]))


def _saturating(rng: np.random.Generator) -> Surface:
    return Surface("saturating", _over_total(rng, lambda v, w: 1 - np.exp(-2.5 * (v @ w))))


def _over_total(
    rng: np.random.Generator, total: Callable[[np.ndarray, np.ndarray], float]
) -> Score:
    """A parabola over total regularisation that falls off otherwise on either side."""
    weights = rng.uniform(0.2, 1.0, 3)
    weights /= weights.sum()
    top, depth = rng.uniform(15, 35), rng.uniform(3, 12)
    horizon, fall = rng.uniform(0.25, 0.75), rng.uniform(0.4, 2.5)

    def score(point: np.ndarray) -> float:
        v = np.array([1 - point[0], point[1], point[2]])
        off = float(total(v, weights)) - horizon
        return top - 4 * depth * off**2 * (fall if off > 0 else 1.0)

    return score


def _flat(rng: np.random.Generator) -> Surface:
    top, center = rng.uniform(15, 35), rng.uniform(0.1, 0.9, 3)
    return Surface("flat", lambda point: float(top - 0.02 * top * ((point - center) ** 2).sum()))


def _two_peaks(rng: np.random.Generator) -> Surface:
    top, depth = rng.uniform(15, 35), rng.uniform(3, 12)
    first, second = rng.uniform(0.1, 0.9, (2, 3))

    def score(point: np.ndarray) -> float:
        high = np.exp(-((point - first) ** 2).sum() / 0.1)
        broad = 0.85 * np.exp(-((point - second) ** 2).sum() / 0.15)
        return float(top - depth + depth * max(high, broad))

    return Surface("two peaks", score)


def _corner(rng: np.random.Generator) -> Surface:
    top, depth = rng.uniform(15, 35), rng.uniform(3, 12)
    weights = rng.uniform(0.2, 1.0, 3)
    corner = rng.integers(0, 2, 3)
    return Surface(
        "corner",
        lambda point: float(
            top - depth * (np.abs(point - corner) @ weights / weights.sum()) ** 1.3
        ),
    )


KINDS = (_ridge, _ridge_with_interaction, _saturating, _flat, _two_peaks, _corner)

if __name__ == "__main__":
    main()
