"""The space of the weights in three dimensions: the runs, and what is about as good as the best."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from horizon_st.horizon.drawing import (
    BEST,
    COLORS,
    EDGE,
    NARROW,
    SCORE_COLORS,
    SOFT,
    hover,
    score_colors,
    styled,
)
from horizon_st.horizon.finder import NUM_FIRST
from horizon_st.horizon.report.collapse import needs
from horizon_st.horizon.report.parts import Part
from horizon_st.horizon.report.runs import CONSISTENCY, MT_WEIGHT, RDROP, Runs
from horizon_st.horizon.values import short_name

_PER_SIDE, _PER_SIDE_OF_TWO = 13, 27
_HEIGHT = 4.2
_TITLE = "The horizon in three dimensions"
_OVER_THREE = (
    "Each ball is a run at its three weights, brighter the better, and the shaded body holds all "
    "weights that are predicted to come within {tolerance:g} {metric} of the best (in red)."
)
_OVER_TWO = (
    "Each ball is a run above its two weights, at the height of its score, and the sheet is what "
    "the surface through all runs predicts."
)
_AXES_FIRST = (MT_WEIGHT, CONSISTENCY, RDROP)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Body:
    """The surface on a lattice.

    Attributes:
        keys: of its two or three dimensions; others stand at the best setting.
        axes: the values of each.
        scores: predicted, [len(axes[0]), len(axes[1]), ...].
        level: of the horizon.
    """

    keys: list[str]
    axes: list[Array]
    scores: Array
    level: float


def space(runs: Runs) -> Part:
    """The picture, and the data of the one that turns."""
    name = "space"
    needed = needs(runs, max(2 * len(runs.weights) + 1, NUM_FIRST))
    if not needed and len(runs.found.space.names) < 2:
        needed = "Needs runs that differ in two weights or three."
    if needed:
        return Part(name, _TITLE, needed=needed)
    body = body_of(runs)
    sentence = _OVER_THREE if len(body.keys) == 3 else _OVER_TWO
    rest = [runs.labels[key] for key in runs.found.space.names if key not in body.keys]
    if rest:
        sentence += f" The rest ({', '.join(rest)}) stands at the best setting."
    data = json.dumps(turning(runs, body), ensure_ascii=False, separators=(",", ":"))
    data = data.replace("<", "\\u003c")  # or a name could end the script
    return Part(
        name,
        _TITLE,
        sentence.format(tolerance=runs.study.analysis.tolerance, metric=runs.metric),
        lambda width: draw_space(runs, body, width),
        f"<script type=application/json class=turning>{data}</script>",
    )


def body_of(runs: Runs) -> Body:
    """The surface over three of the weights, the paper's before others, or over the two."""
    found = runs.found
    order = sorted(found.space.names, key=lambda key: short_name(key) not in _AXES_FIRST)
    keys = [key for key in found.space.names if key in order[:3]]
    per_side = _PER_SIDE if len(keys) == 3 else _PER_SIDE_OF_TWO
    axes = [np.linspace(*found.space.bounds[key], per_side) for key in keys]
    points = np.tile(found.space.to_unit(found.best), (per_side ** len(keys), 1))
    lattice = np.array([*itertools.product(np.linspace(0, 1, per_side), repeat=len(keys))])
    points[:, [found.space.names.index(key) for key in keys]] = lattice
    scores = found.surrogate.predict(points)[0].reshape([per_side] * len(keys))
    return Body(keys, axes, scores, found.horizon_level(runs.study.analysis.tolerance))


def turning(runs: Runs, body: Body) -> dict[str, Any]:
    """Traces and axes for plotly; colours are names of the page's."""
    is_flat = len(body.keys) == 2
    found = runs.found
    points = [
        [*(setting[key] for key in body.keys), *([score] if is_flat else [])]
        for setting, score in zip(runs.settings, runs.scores, strict=True)
    ]
    best = [found.best[key] for key in body.keys] + ([found.best_score] if is_flat else [])
    markers = {
        "type": "scatter3d",
        "mode": "markers",
        "name": "runs",
        **_columns(points),
        "text": [runs.described(trial) for trial in runs.scored],
        "hoverinfo": "text",
        "marker": {"size": 6, "color": _rounded(runs.scores), "showscale": True},
    }
    star = {
        "type": "scatter3d",
        "mode": "markers",
        "name": "best",
        **_columns([best]),
        "text": [f"the best: {found.best_score:.2f}"],
        "hoverinfo": "text",
        "marker": {"size": 7, "symbol": "diamond", "color": "best"},
    }
    if is_flat:
        sheet = {
            "type": "surface",
            "x": _rounded(body.axes[0]),
            "y": _rounded(body.axes[1]),
            "z": [_rounded(row) for row in body.scores.T],
            "opacity": 0.75,
            "showscale": False,
            "hoverinfo": "skip",
        }
    else:
        lattice = [*itertools.product(*body.axes)]
        sheet = {
            "type": "isosurface",
            **_columns(lattice),
            "value": _rounded(body.scores.ravel()),
            "isomin": body.level,
            "isomax": float(body.scores.max()) + 1.0,
            "opacity": 0.35,
            "showscale": False,
            "hoverinfo": "skip",
        }
    titles = [runs.labels[key] for key in body.keys] + ([runs.metric] if is_flat else [])
    return {"traces": [sheet, markers, star], "axes": titles, "score": runs.metric}


@styled
def draw_space(runs: Runs, body: Body, width: float) -> Figure:
    """The same, standing still."""
    height = _HEIGHT if width > NARROW else width
    figure = Figure(figsize=(width, height), layout="constrained")
    axes: Any = figure.add_subplot(projection="3d")
    colors, norm = score_colors(min(runs.scores), max(runs.scores))
    is_flat = len(body.keys) == 2
    if is_flat:
        x, y = np.meshgrid(*body.axes, indexing="ij")
        axes.plot_surface(x, y, body.scores, color=SOFT, alpha=0.3, linewidth=0)
        axes.set_zlabel(runs.metric)
    else:
        lattice = np.array([*itertools.product(*body.axes)])
        inside = lattice[body.scores.ravel() >= body.level]
        axes.scatter(*inside.T, color=COLORS[0], s=7, alpha=0.2, linewidths=0, rasterized=True)
        axes.set_zlabel(runs.labels[body.keys[2]])
    for trial, setting, score in zip(runs.scored, runs.settings, runs.scores, strict=True):
        at = [setting[key] for key in body.keys] + ([score] if is_flat else [])
        is_best = trial is runs.best_run
        axes.plot(
            *([value] for value in at),
            "*" if is_best else "o",
            color=BEST if is_best else SCORE_COLORS[int(np.clip(norm(score), 0, 9))],
            markeredgecolor=EDGE,
            markersize=13 if is_best else 7,
            gid=hover(runs.described(trial)),
        )
    axes.set_xlabel(runs.labels[body.keys[0]])
    axes.set_ylabel(runs.labels[body.keys[1]])
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((0, 0, 0, 0))
    axes.view_init(elev=22, azim=-55)
    figure.colorbar(
        ScalarMappable(norm, colors), ax=axes, label=runs.metric, shrink=0.6, pad=0.12,
        format="%.1f",
    )  # fmt: skip
    return figure


def _columns(points: Any) -> dict[str, list[float]]:
    columns = np.array(points, dtype=float).T
    return {name: _rounded(column) for name, column in zip("xyz", columns, strict=False)}


def _rounded(values: Any) -> list[float]:
    """To four digits, which is what a screen can show."""
    return [float(f"{value:.4g}") if math.isfinite(value) else value for value in values]
