"""Score against training time: what a cheaper run costs in quality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from horizon_st.horizon.drawing import BEST, COLORS, EDGE, SOFT, hover, plain, styled
from horizon_st.horizon.report.parts import Part
from horizon_st.horizon.report.runs import Runs
from horizon_st.horizon.results import TrialResult

_TITLE = "Quality against cost"
_HEIGHT = 3.2
_SENTENCE = (
    "Each dot is {dot} by its training time and its score; those on the line are worth their time: "
    "nothing that trained {faster} scored higher."
)


def costs(runs: Runs) -> Part:
    """The picture."""
    name = "cost"
    if len(cost_points(runs)) < 2:
        return Part(name, _TITLE, needed="Needs at least two different runs with a score.")
    is_mean = len(cost_points(runs)) < len(runs.scored)
    sentence = _SENTENCE.format(
        dot="a setting, the mean of its runs," if is_mean else "a run", faster="faster"
    )
    return Part(name, _TITLE, sentence, lambda width: draw_costs(runs, width))


def cost_points(runs: Runs) -> dict[str, tuple[float, float]]:
    """Minutes of the last stage and score of each arm, means over its runs."""
    by_arm: dict[str, list[TrialResult]] = {}
    for trial in runs.scored:
        by_arm.setdefault(trial.arm, []).append(trial)
    return {
        arm: (
            float(np.mean([trial.wall_s for trial in trials])) / 60,
            float(np.mean([trial.scores[runs.metric] for trial in trials])),
        )
        for arm, trials in by_arm.items()
    }


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points (cost, score) that no other one beats in both, the cheapest first."""
    front: list[int] = []
    for place in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[place][1] > points[front[-1]][1]:
            front.append(place)
    return front


@styled
def draw_costs(runs: Runs, width: float) -> Figure:
    """Dots with the front as a staircase; those on it have the number of their run."""
    found = cost_points(runs)
    arms, points = [*found], [*found.values()]
    front = pareto_front(points)
    figure = Figure(figsize=(width, _HEIGHT), layout="constrained")
    axes = plain(figure.subplots())
    number = {trial.arm: runs.number_of(trial) for trial in reversed(runs.scored)}
    first = {trial.arm: trial for trial in reversed(runs.scored)}
    stairs = [points[place] for place in front]
    end = max(cost for cost, _ in points)
    axes.step(
        [cost for cost, _ in stairs] + [end], [score for _, score in stairs] + [stairs[-1][1]],
        where="post", color=SOFT, linewidth=1.4, zorder=1, label="worth their time",
    )  # fmt: skip
    for place, (arm, (cost, score)) in enumerate(zip(arms, points, strict=True)):
        is_best, is_in_front = arm == runs.best, place in front
        axes.plot(
            cost, score, "*" if is_best else "o", color=BEST if is_best else COLORS[0],
            markeredgecolor=EDGE, markersize=14 if is_best else 7,
            alpha=1.0 if is_in_front or is_best else 0.45,
            label="best" if is_best else "_",
            gid=hover(f"{runs.described(first[arm])}, {cost:.1f} minutes"),
        )  # fmt: skip
        if is_in_front:
            axes.annotate(
                f"run {number[arm]}", (cost, score), xytext=(0, 8), textcoords="offset points",
                ha="center", fontsize=8, color=SOFT,
            )  # fmt: skip
    axes.set_xlabel("minutes of training, after pre-training")
    axes.set_ylabel(runs.metric)
    axes.margins(x=0.1, y=0.15)
    axes.legend(loc="lower right", fontsize=8)
    return figure
