"""Learning curves: dev BLEU, dev loss and each term of the objective through the last stage."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from horizon_st.horizon.drawing import (
    BEST,
    NARROW,
    SCORE_COLORS,
    hover,
    plain,
    score_colors,
    styled,
)
from horizon_st.horizon.report.parts import Part
from horizon_st.horizon.report.runs import Runs
from horizon_st.horizon.results import TrialResult

_TITLE = "Learning curves"
_PANEL_HEIGHT, _COLUMNS = 2.0, 3
_LARGE_RANGE = 8
"""Of a term, from which on its scale is logarithmic."""
_SENTENCE = (
    "Each line is a run through its training, brighter the better it ended, the best one in red: "
    "quality and loss on the dev set, and every term of the loss that is trained on."
)
_NO_TERMS = (
    " The terms of the loss are missing: these results were written before they were kept; "
    "`horizon-st search` with the same command adds them without training anything again."
)
_DEV = {"bleu": "dev BLEU", "loss": "dev loss per token"}
_TERMS = {
    "ce_speech": "cross-entropy, speech",
    "ce_text": "cross-entropy, text (MT)",
    "consistency": "consistency",
    "rdrop": "R-drop",
    "mt_rdrop": "R-drop of text",
    "ctc": "CTC",
}


def learning_curves(runs: Runs) -> Part:
    """The picture of whatever the runs recorded."""
    name = "curves"
    if not _panels(runs):
        needed = "Needs runs that were validated at least twice while they trained."
        return Part(name, _TITLE, needed=needed)
    sentence = _SENTENCE
    if not any(trial.train_history for trial in runs.trials):
        sentence += _NO_TERMS
    return Part(name, _TITLE, sentence, lambda width: draw_curves(runs, width))


def curves_of(trial: TrialResult, key: str) -> tuple[list[float], list[float]]:
    """Updates and values of a figure, of the dev set or of a term, where it was recorded."""
    history = trial.dev_history if key in _DEV else trial.train_history
    points = [(entry["step"], entry[key]) for entry in history if key in entry]
    return [step for step, _ in points], [value for _, value in points]


@styled
def draw_curves(runs: Runs, width: float) -> Figure:
    """A panel for each figure that was recorded."""
    panels = _panels(runs)
    columns = min(_COLUMNS if width > NARROW else 1, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(width, _PANEL_HEIGHT * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    colors, norm = score_colors(min(runs.scores), max(runs.scores))
    best = runs.best_run
    order = sorted(runs.scored, key=lambda trial: (trial is best, trial.scores[runs.metric]))
    score_of = dict(zip(map(id, runs.scored), runs.scores, strict=True))
    for place, (axes, key) in enumerate(zip(grid, panels, strict=False)):
        plain(axes)
        for trial in order:
            x, y = curves_of(trial, key)
            color = SCORE_COLORS[int(min(max(norm(score_of[id(trial)]), 0), len(SCORE_COLORS) - 1))]
            axes.plot(
                x, y,
                color=BEST if trial is best else color,
                linewidth=2.2 if trial is best else 1.0,
                gid=hover(runs.described(trial)),
            )  # fmt: skip
        axes.set_title(_DEV.get(key) or _TERMS.get(key, key))
        if key in _TERMS or key not in _DEV:
            _scale_by_size(axes)
        is_lowest = place + columns >= len(panels)
        axes.tick_params(labelbottom=is_lowest)
        if is_lowest:
            axes.set_xlabel("updates of stage st")
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.colorbar(
        ScalarMappable(norm, colors), ax=list(grid), label=f"{runs.metric} in the end",
        format="%.1f", aspect=40 if width > NARROW else 20, pad=0.02,
        location="right" if width > NARROW else "bottom",
    )  # fmt: skip
    return figure


def _panels(runs: Runs) -> list[str]:
    """The figures that some run has at two updates or more."""
    recorded = [key for trial in runs.scored for entry in trial.train_history for key in entry]
    others = {"step", "learning_rate", "gradient_norm", "ctc_aligned", "seconds"}
    terms = [key for key in dict.fromkeys([*_TERMS, *recorded]) if key not in others]
    return [key for key in (*_DEV, *terms) if _is_drawn(runs.scored, key)]


def _is_drawn(trials: Sequence[TrialResult], key: str) -> bool:
    return any(len(curves_of(trial, key)[0]) > 1 for trial in trials)


def _scale_by_size(axes: Axes) -> None:
    """A logarithmic scale, as terms fall by orders of magnitude."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    values = values[values > 0]
    if len(values) and values.max() > _LARGE_RANGE * values.min():
        axes.set_yscale("log")
        axes.minorticks_off()
