"""The figures of a study: one in the form that its kind of analysis asks for, one of forgetting."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.drawing import COLORS, SOFT, WIDE, plain, styled
from horizon_st.horizon.outcome import outcome
from horizon_st.horizon.results import TrialResult
from horizon_st.horizon.slices import Slices
from horizon_st.horizon.values import is_number, shown, symbol

_HEIGHT, _ROW_HEIGHT = 4.2, 0.34
_NARROW, _PANEL_HEIGHT, _LEGEND_COLUMNS = 5.0, 2.5, 2
_MT_WEIGHT = "objective.mt_weight"
_PATHS = {"text_bleu": "dev BLEU of text", "bleu": "dev BLEU of speech"}


@styled
def draw(analysis: Analysis, width: float = WIDE) -> Figure:
    """The figure, so many inches wide: every run a dot, means with their 95 % intervals."""
    return {
        "comparison": _draw_arms,
        "equivalence": _draw_arms,
        "saturation": _draw_arms,
        "peak": _draw_peak,
        "order": _draw_order,
        "horizon": _draw_horizon,
        "search": _draw_search,
    }[analysis.study.analysis.kind](analysis, width)


@styled
def draw_forgetting(analysis: Analysis, width: float = _NARROW) -> Figure | None:
    """BLEU of the text path through stage st, beside that of speech; None where it was not tracked.

    A curve is the mean over the runs of an arm; of more arms than there are colours, over those of
    equal α_t, if that is what varies.
    """
    runs = {label: [run.dev_history for run in group] for label, group in _curves(analysis).items()}
    entries = [entry for group in runs.values() for history in group for entry in history]
    if not entries or not all(key in entry for key in _PATHS for entry in entries):
        return None
    num_rows = math.ceil(len(runs) / _LEGEND_COLUMNS)
    is_wide = width >= WIDE
    height = (1 if is_wide else len(_PATHS)) * _PANEL_HEIGHT + 0.5 + 0.2 * num_rows
    figure = Figure(figsize=(width, height), layout="constrained")
    rows_and_columns = (1, len(_PATHS)) if is_wide else (len(_PATHS), 1)
    panels = figure.subplots(*rows_and_columns, sharex=True)
    for panel, (key, heading) in zip(panels, _PATHS.items(), strict=True):
        axes = plain(panel)
        for color, (label, histories) in zip(COLORS, runs.items(), strict=False):
            points = _mean_history(histories, key)
            axes.plot([*points], [*points.values()], "o-", color=color, markersize=3, label=label)
        axes.set_ylabel(heading)
    for panel in panels if is_wide else panels[-1:]:
        panel.set_xlabel("updates of stage st")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=_LEGEND_COLUMNS)
    return figure


def _curves(analysis: Analysis) -> dict[str, list[TrialResult]]:
    """The runs that have scores, by the name of their curve; none if there are too many curves."""
    scored = [trial for trial in analysis.results.trials if trial.arm in analysis.mean_of]
    scored = [trial for trial in scored if analysis.study.metric in trial.scores]
    by_arm = len(analysis.mean_of) <= len(COLORS)
    if not by_arm and _MT_WEIGHT not in analysis.study.varied_keys:
        return {}

    def name(arm: str) -> str:
        if not by_arm:
            return f"{symbol(_MT_WEIGHT)} {shown(analysis.value_of(arm, _MT_WEIGHT))}"
        return re.sub(r"\b\w+_weight\b", lambda found: symbol(found[0]), arm)

    curves: dict[str, list[TrialResult]] = {name(arm): [] for arm in analysis.mean_of}
    for trial in scored:
        curves[name(trial.arm)].append(trial)
    return curves if len(curves) <= len(COLORS) else {}


def _mean_history(histories: Sequence[list[dict[str, float]]], key: str) -> dict[float, float]:
    """The mean figure of each validation that all runs have, by its update."""
    by_step = [{entry["step"]: entry[key] for entry in history} for history in histories]
    common = [step for step in by_step[0] if all(step in found for found in by_step)]
    return {step: float(np.mean([found[step] for found in by_step])) for step in common}


def _draw_arms(analysis: Analysis, width: float) -> Figure:
    arms = [*analysis.mean_of]
    figure = Figure(figsize=(width, 1.1 + _ROW_HEIGHT * len(arms)), layout="constrained")
    axes = plain(figure.subplots())
    for row, arm in enumerate(arms):
        is_baseline = arm == analysis.study.baseline
        color = SOFT if is_baseline else COLORS[0]
        scores = _runs(analysis, arm)
        axes.plot(scores, [row] * len(scores), "o", color=color, alpha=0.35, markersize=5)
        mean = analysis.means.mean(arm)
        axes.plot(mean.value, row, "D", color=color, markersize=6)
        if not math.isnan(mean.low):
            axes.hlines(row, mean.low, mean.high, color=color, linewidth=2)
        if is_baseline:
            axes.axvline(mean.value, color=SOFT, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(arms)), arms)
    axes.invert_yaxis()
    axes.set_xlabel(_score_name(analysis))
    return figure


def _draw_peak(analysis: Analysis, width: float) -> Figure:
    """Scores over the key: a line through the best arm of each value."""
    key = analysis.study.analysis.key
    assert key is not None
    best = analysis.best_of_each(key, [*analysis.mean_of]).values()
    arms = sorted(best, key=lambda arm: float(analysis.value_of(arm, key)))
    x = [float(analysis.value_of(arm, key)) for arm in arms]
    texts = {row.name: row.text_score for row in analysis.rows()}
    of_text = [score for arm in arms if (score := texts[arm]) is not None]
    has_text = len(of_text) == len(arms)
    figure = Figure(figsize=(width, _HEIGHT), layout="constrained")
    panels = figure.subplots(1, 2 if has_text else 1, squeeze=False)[0]
    axes = plain(panels[0])
    _draw_line(axes, analysis, arms, x, COLORS[0], None)
    for arm in analysis.mean_of:
        if arm not in arms:
            _draw_runs(axes, analysis, arm, float(analysis.value_of(arm, key)), SOFT)
    axes.set_xlabel(symbol(key))
    axes.set_ylabel(_score_name(analysis))
    if has_text:
        axes = plain(panels[1])
        axes.plot(x, of_text, "D-", color=COLORS[1], linewidth=1.2)
        axes.set_xlabel(symbol(key))
        axes.set_ylabel(f"{analysis.study.metric} of the transcripts")
    return figure


def _draw_order(analysis: Analysis, width: float) -> Figure:
    """A line for each value of the key over another numeric key, or dots without one."""
    key, baseline = analysis.study.analysis.key, analysis.study.baseline
    assert key is not None
    arms = [arm for arm in analysis.mean_of if arm != baseline]
    x_key = next(
        (
            other
            for other in analysis.study.varied_keys
            if other != key and all(is_number(analysis.value_of(arm, other)) for arm in arms)
        ),
        None,
    )
    if x_key is None or not arms:
        return _draw_arms(analysis, width)
    figure = Figure(figsize=(width, _HEIGHT), layout="constrained")
    axes = plain(figure.subplots())
    at = {arm: float(analysis.value_of(arm, x_key)) for arm in arms}
    values = dict.fromkeys([shown(analysis.value_of(arm, key)) for arm in arms])
    for color, value in zip(itertools.cycle(COLORS), values, strict=False):
        of_value = sorted(
            (arm for arm in arms if shown(analysis.value_of(arm, key)) == value), key=at.__getitem__
        )
        _draw_line(axes, analysis, of_value, [at[arm] for arm in of_value], color, value)
    if baseline in analysis.mean_of:
        axes.axhline(
            analysis.mean_of[baseline], color=SOFT, linestyle=":", linewidth=1, label=baseline
        )
    ticks = sorted({*at.values()})
    positive = [tick for tick in ticks if tick > 0]
    if positive and max(positive) > 5 * min(positive) and min(ticks) >= 0:
        axes.set_xscale("symlog", linthresh=min(positive))
    axes.set_xticks(ticks, [shown(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(symbol(x_key))
    axes.set_ylabel(_score_name(analysis))
    axes.legend()
    return figure


def _draw_horizon(analysis: Analysis, width: float) -> Figure:
    """Scores against total regularisation, coloured by the first varied key."""
    curve, totals = analysis.single_index()
    figure = Figure(figsize=(width, _HEIGHT), layout="constrained")
    axes = plain(figure.subplots())
    grid = np.linspace(0, 1.05 * max(totals.values()), 200)
    axes.plot(grid, curve.score_at(grid), color=SOFT, linewidth=1.2)
    axes.axvline(1.0, color=SOFT, linestyle=":", linewidth=1)
    axes.annotate(
        "horizon", (1.0, 0.03), xycoords=("data", "axes fraction"), color=SOFT, ha="left",
        xytext=(4, 0), textcoords="offset points",
    )  # fmt: skip
    key = analysis.study.varied_keys[0]
    values = sorted({analysis.value_of(arm, key) for arm in totals})
    for color, value in zip(itertools.cycle(COLORS), values, strict=False):
        arms = [arm for arm in totals if analysis.value_of(arm, key) == value]
        x = [totals[arm] for arm in arms]
        means = [analysis.means.mean(arm) for arm in arms]
        axes.plot(
            x, [m.value for m in means], "o", color=color, markersize=6,
            label=f"{symbol(key)} {shown(value)}",
        )  # fmt: skip
        if not any(math.isnan(m.low) for m in means):
            axes.vlines(
                x, [m.low for m in means], [m.high for m in means], color=color, linewidth=1.2
            )
    parts = [
        f"{weight:.2g}·{'(' + shown_range(analysis, name) + symbol(name) + ')'}"
        if name.endswith(".mt_weight")
        else f"{weight:.2g}·{symbol(name)}"
        for name, weight in curve.weights.items()
        if weight > 0
    ] or ["0"]
    axes.set_xlabel("R = " + " + ".join(parts))
    axes.set_ylabel(_score_name(analysis))
    axes.legend()
    return figure


def _draw_search(analysis: Analysis, width: float) -> Figure:
    study = analysis.study
    return Slices(outcome(analysis.results), study.metric, study.analysis.tolerance).draw(width)


def shown_range(analysis: Analysis, key: str) -> str:
    """The value that counts as no regularisation of the text loss, and a minus sign."""
    return f"{shown(float(max(analysis.value_of(arm, key) for arm in analysis.mean_of)))} − "


def _draw_line(
    axes: Axes,
    analysis: Analysis,
    arms: Sequence[str],
    x: Sequence[float],
    color: str,
    label: str | None,
) -> None:
    means = [analysis.means.mean(arm) for arm in arms]
    for arm, at in zip(arms, x, strict=True):
        _draw_runs(axes, analysis, arm, at, color)
    axes.plot(x, [m.value for m in means], "D-", color=color, linewidth=1.2, label=label)
    if not any(math.isnan(m.low) for m in means):
        axes.vlines(x, [m.low for m in means], [m.high for m in means], color=color, linewidth=1.2)


def _draw_runs(axes: Axes, analysis: Analysis, arm: str, at: float, color: str) -> None:
    scores = _runs(analysis, arm)
    axes.plot([at] * len(scores), scores, "o", color=color, alpha=0.35, markersize=4)


def _runs(analysis: Analysis, arm: str) -> list[float]:
    return [score for (name, _), score in analysis.results.scores.items() if name == arm]


def _score_name(analysis: Analysis) -> str:
    return analysis.study.metric
