"""Consistency at several strengths of R-drop: whether both do the same work twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from horizon_st.horizon.drawing import COLORS, SOFT, plain, styled
from horizon_st.horizon.report.collapse import needs
from horizon_st.horizon.report.parts import Part
from horizon_st.horizon.report.runs import CONSISTENCY, RDROP, Runs
from horizon_st.horizon.values import short_name, shown, symbol

_TITLE = "Consistency against R-drop: do they add up?"
_HEIGHT, _PER_LINE, _LEAST_SETTINGS = 3.4, 33, 7
_SENTENCE = (
    "{metric} as consistency ({cr}) is turned up, at several strengths of R-drop ({rd}): where "
    "the line of the strongest R-drop stays below the dashed one, which adds the gains of both, "
    "the two do the same work twice."
)


@dataclass(frozen=True)
class Line:
    """Scores over the consistency weight, at one R-drop weight.

    Attributes:
        rdrop: the weight.
        x: consistency weights.
        scores: at them.
        low: of a band or of intervals around them; NaN without.
        high: likewise.
    """

    rdrop: float
    x: list[float]
    scores: list[float]
    low: list[float]
    high: list[float]


def saturation(runs: Runs) -> Part:
    """From the means of a grid, or from the surface of a search."""
    name = "saturation"
    keys = runs.weight(CONSISTENCY), runs.weight(RDROP)
    if keys[0] is None or keys[1] is None:
        needed = "Needs runs that differ in the consistency weight and in the R-drop weight."
        return Part(name, _TITLE, needed=needed)
    if runs.is_search:
        needed = needs(runs, _LEAST_SETTINGS)
        lines = [] if needed else lines_of_surface(runs, keys[0], keys[1])
    else:
        lines = lines_of_grid(runs, keys[0], keys[1])
        needed = "" if lines else "Needs a study with all combinations of both weights."
    if needed:
        return Part(name, _TITLE, needed=needed)
    sentence = _SENTENCE.format(metric=runs.metric, cr=symbol(CONSISTENCY), rd=symbol(RDROP))
    if runs.is_search:
        sentence += " Other weights stand at the best setting; the band is a standard deviation."
    return Part(name, _TITLE, sentence, lambda width: draw_lines(lines, runs, width))


def lines_of_surface(runs: Runs, consistency: str, rdrop: str) -> list[Line]:
    """At the least, the middle and the largest R-drop weight of the space."""
    space = runs.found.space
    unit = space.to_unit(runs.found.best)
    lines = []
    for share in (0.0, 0.5, 1.0):
        points = np.tile(unit, (_PER_LINE, 1))
        points[:, space.names.index(rdrop)] = share
        points[:, space.names.index(consistency)] = np.linspace(0, 1, _PER_LINE)
        mean, deviation = runs.found.surrogate.predict(points)
        low, high = space.bounds[rdrop]
        x = np.linspace(*space.bounds[consistency], _PER_LINE)
        at = low + share * (high - low)
        band = (mean - deviation).tolist(), (mean + deviation).tolist()
        lines.append(Line(at, x.tolist(), mean.tolist(), *band))
    return lines


def lines_of_grid(runs: Runs, consistency: str, rdrop: str) -> list[Line]:
    """Means over the runs that have all combinations of both; [] where they are no grid.

    Other weights of the grid stand at the values of the best of its arms.
    """
    grid = runs.grid()
    if grid is None or not {consistency, rdrop} <= {*grid[0]}:
        return []
    keys, trials = grid
    arms = {trial.arm: trial for trial in trials}
    best = max(arms, key=lambda arm: runs.analysis.mean_of[arm])
    for key in keys:
        if key not in (consistency, rdrop):
            wanted = shown(runs.value_of(arms[best], key))
            arms = {a: t for a, t in arms.items() if shown(runs.value_of(t, key)) == wanted}
    by_rdrop: dict[float, dict[float, str]] = {}
    for arm, trial in arms.items():
        at, x = (float(runs.value_of(trial, key)) for key in (rdrop, consistency))
        by_rdrop.setdefault(at, {})[x] = arm
    lines = []
    for at in sorted(by_rdrop):
        points = dict(sorted(by_rdrop[at].items()))
        means = [runs.analysis.means.mean(arm) for arm in points.values()]
        values = [m.value for m in means]
        lines.append(Line(at, [*points], values, [m.low for m in means], [m.high for m in means]))
    return lines


def if_added_up(lines: Sequence[Line]) -> list[float]:
    """The line of strongest R-drop, if consistency gained there what it gains without R-drop."""
    weakest, strongest = lines[0], lines[-1]
    gains = [score - weakest.scores[0] for score in weakest.scores]
    return [strongest.scores[0] + gain for gain in gains]


@styled
def draw_lines(lines: Sequence[Line], runs: Runs, width: float) -> Figure:
    """A line for each R-drop weight, with its band or intervals, and the dashed sum."""
    figure = Figure(figsize=(width, _HEIGHT), layout="constrained")
    axes = plain(figure.subplots())
    for color, line in zip(COLORS, lines, strict=False):
        label = f"{symbol(RDROP)} {shown(float(f'{line.rdrop:.3g}'))}"
        marker = "-" if runs.is_search else "o-"
        axes.plot(line.x, line.scores, marker, color=color, linewidth=1.8, label=label)
        if runs.is_search and line is lines[-1]:
            axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.15, linewidth=0)
        elif not runs.is_search and not any(map(math.isnan, line.low)):
            axes.vlines(line.x, line.low, line.high, color=color, linewidth=1.4)
    axes.plot(
        lines[-1].x, if_added_up(lines), "--", color=SOFT, linewidth=1.4,
        label="gains of both added",
    )  # fmt: skip
    axes.set_xlabel(f"{symbol(CONSISTENCY)} ({short_name(CONSISTENCY).replace('_', ' ')})")
    axes.set_ylabel(runs.metric)
    axes.legend(fontsize=8, ncols=2, loc="best")
    return figure
