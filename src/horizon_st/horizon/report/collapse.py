"""Scores over the total regularisation: whether it is only the total that counts."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from horizon_st.horizon.comparison import FittedForm, least_settings
from horizon_st.horizon.drawing import (
    BEST,
    COLORS,
    EDGE,
    NARROW,
    SOFT,
    hover,
    plain,
    styled,
)
from horizon_st.horizon.report.parts import Part, table, with_interval
from horizon_st.horizon.report.runs import MT_WEIGHT, Runs
from horizon_st.horizon.values import short_name, shown

Array = NDArray[np.float64]
_HEIGHT, _PANEL_ROW = 3.6, 0.34
_TITLE = "Quality over total regularisation"
_SENTENCE = (
    "Each dot is a run: further right, all regularisers together are turned up more, and the "
    "closer the dots lie to the one curve, the more it is only the total that counts, not which "
    "regulariser it comes from. {seen}"
)
_NO_CURVE = (
    "But the curve says no more about these runs than their mean does, by Akaike's criterion: "
    "neither a rise nor a fall is seen."
)
_FEW = 3
"""Settings on a side of the horizon, below which nothing is said to be seen there."""
_TOO_FEW = "{side} the horizon there is {few}: whether quality {verb} there is not known yet."
_SURE = "{side} the horizon the fitted curve {verb} by {interval} {metric} (95 %)."
_UNSURE = (
    "{side} the horizon no {noun} is sure: the fitted curve {verb} by {interval} {metric} (95 %)."
)


def collapse(runs: Runs) -> Part:
    """The picture, and the weights of the total with their intervals."""
    name = "collapse"
    needed = needs(runs, least_for_total(runs))
    if needed:
        return Part(name, _TITLE, needed=needed)
    form = runs.linear
    rows = [
        [
            turned_up(runs, key),
            with_interval(form.weights[key]),
            with_interval(form.share(key)),
        ]
        for key in runs.weights
    ]
    headings = ["regulariser", "adds to R per unit (95 %)", "turned up fully (95 %)"]
    return Part(
        name,
        _TITLE,
        _SENTENCE.format(seen=_seen(runs)),
        lambda width: draw_collapse(runs, width),
        f"<p>Total regularisation R, which is 1 on the horizon: {equation(runs)}.</p>"
        + table(headings, rows, "Weights of the total regularisation"),
    )


def _seen(runs: Runs) -> str:
    """What the runs show of a rise up to the horizon, R = 1, and of a fall past it.

    A bootstrap begins at the fitted curve, and finds again whatever that made of noise. So the
    curve has to be better than a mean, too: on pure noise (12 and 16 runs, 25 draws of each) that
    was never so, and a fall alone was sure in 7 and 6.
    """
    linear, mean = runs.linear.aic, runs.form("mean").aic
    assert linear is not None
    assert mean is not None
    if linear >= mean:
        return _NO_CURVE
    return f"{_seen_at(runs, past=False)} {_seen_at(runs, past=True)}"


def _seen_at(runs: Runs, *, past: bool) -> str:
    """Of the curve between the horizon and the run farthest from it on one side."""
    totals = runs.linear.totals(runs.settings)
    is_there = totals > 1 if past else totals < 1
    found = runs.linear.below_horizon(
        runs.settings[int(totals.argmax() if past else totals.argmin())], past=past
    )
    number = len({*totals[is_there].round(9)})
    few = ["no setting", "only one setting"][number] if number < 2 else f"only {number} settings"
    text = _TOO_FEW if number < _FEW else _SURE if found.low > 0 else _UNSURE
    return text.format(
        side="Past" if past else "Before",
        few=few,
        noun="fall" if past else "rise",
        verb="falls" if past else "rises",
        interval=with_interval(found),
        metric=runs.metric,
    )


def least_for_total(runs: Runs) -> int:
    """Different settings that the curve over R needs; it has three parameters beside weights."""
    return least_settings(len(runs.weights) + 3)


def needs(runs: Runs, least: int) -> str:
    """What is missing for a picture over the weights; "" if nothing is.

    Args:
        runs: of the study.
        least: settings that have to differ.
    """
    if runs.not_numbers:
        names = ", ".join(runs.not_numbers)
        return f"Needs runs that differ in nothing but numbers; these differ in {names}, too."
    if not runs.weights:
        return "Needs runs that differ in some weight."
    if runs.num_settings < least:
        return (
            f"Needs runs with {least} different settings of the weights; there are "
            f"{runs.num_settings}."
        )
    return ""


@styled
def draw_collapse(runs: Runs, width: float) -> Figure:
    """Left the runs over R, coloured by what adds most to it; right what each weight can add."""
    form = runs.linear
    is_narrow = width <= NARROW
    heights = [_HEIGHT - 0.8 * is_narrow, 0.9 + _PANEL_ROW * len(runs.weights)]
    size = (width, sum(heights)) if is_narrow else (width, _HEIGHT)
    figure = Figure(figsize=size, layout="constrained")
    if is_narrow:
        left, right = figure.subplots(2, 1, height_ratios=heights)
    else:
        left, right = figure.subplots(1, 2, width_ratios=[2.1, 1])
    _draw_runs(plain(left), runs, form)
    _draw_shares(plain(right), runs, form)
    return figure


def equation(runs: Runs) -> str:
    """R as a sum over the weights."""
    weights = runs.linear.weights
    terms = [f"{weights[key].value:.2g}·{turned_up(runs, key)}" for key in runs.weights]
    return " + ".join(terms)


def turned_up(runs: Runs, key: str) -> str:
    """How a weight enters R: less text loss is more regularisation."""
    if short_name(key) != MT_WEIGHT:
        return runs.labels[key]
    highest = max(setting[key] for setting in runs.settings)
    return f"({shown(float(f'{highest:.3g}'))} − {runs.labels[key]})"


def _draw_runs(axes: Axes, runs: Runs, form: FittedForm) -> None:
    totals = form.totals(runs.settings)
    end = 1.05 * max(float(totals.max()), 1.0)
    grid = np.linspace(min(float(totals.min()), 0.95), end, 200)
    axes.plot(grid, form.over_total(grid), color=SOFT, linewidth=1.4)
    axes.axvline(1.0, color=SOFT, linestyle=":", linewidth=1.2)
    axes.annotate(
        "horizon", (1.0, 0.02), xycoords=("data", "axes fraction"), color=SOFT, ha="right",
        xytext=(-4, 0), textcoords="offset points",
    )  # fmt: skip
    largest = _largest_parts(runs, form)
    for color, key in zip(COLORS, runs.weights, strict=False):
        label = f"mostly by {runs.labels[key]}"
        for trial, total, score, part in zip(
            runs.scored, totals, runs.scores, largest, strict=True
        ):
            if part == key:
                axes.plot(
                    total, score, "o", color=color, markeredgecolor=EDGE, markersize=6.5,
                    label=label, gid=hover(f"{runs.described(trial)}, R {total:.2f}"),
                )  # fmt: skip
                label = "_"
    best = runs.scored.index(runs.best_run)
    axes.plot(
        totals[best], runs.scores[best], "*", color=BEST, markeredgecolor=EDGE, markersize=14,
        label="best", gid=hover(f"the best: {runs.described(runs.best_run)}"),
    )  # fmt: skip
    axes.set_xlabel("total regularisation R")
    axes.set_ylabel(runs.metric)
    axes.legend(loc="best", fontsize=8, handletextpad=0.3)


def _largest_parts(runs: Runs, form: FittedForm) -> list[str]:
    """Of each run the key that adds most to R."""
    found = []
    for setting in runs.settings:
        least = runs.settings[0] | {key: runs.least_turned_up(key) for key in runs.weights}
        parts = {key: float(form.totals([least | {key: setting[key]}])[0]) for key in runs.weights}
        found.append(max(parts, key=parts.__getitem__))
    return found


def _draw_shares(axes: Axes, runs: Runs, form: FittedForm) -> None:
    for row, (color, key) in enumerate(zip(COLORS, runs.weights, strict=False)):
        share = form.share(key)
        axes.hlines(row, share.low, share.high, color=color, linewidth=2)
        axes.plot(share.value, row, "o", color=color, markersize=7)
    axes.axvline(1.0, color=SOFT, linestyle=":", linewidth=1.2)
    axes.set_yticks(range(len(runs.weights)), [runs.labels[key] for key in runs.weights])
    axes.set_ylim(len(runs.weights) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("turned up fully, adds to R")
