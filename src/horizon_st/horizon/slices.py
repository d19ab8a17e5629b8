"""The picture of a search: slices of the fitted surface through the best setting, with all runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from horizon_st.horizon.drawing import BEST, COLORS, NARROW, SOFT, WIDE, hover, plain, styled
from horizon_st.horizon.finder import HorizonResult, ScoredSetting
from horizon_st.horizon.values import labels, symbol

_PER_SIDE = 27
_COLUMNS, _TALLEST = 3, 3.0
_BAR, _LABELS = 0.8, 0.3
_CURVE_HEIGHT = 3.2
_MAP = "viridis"
_LINE = "#ffffff"


class Slices:
    """A panel for each pair of dimensions; the others stand at the best setting.

    Colour is what the surface predicts, the white line the horizon: within the tolerance of what it
    predicts of the best. Dots are runs, in the colour of their own score, and fainter the farther
    off the slice.

    Args:
        found: by a search.
        metric: of its scores.
        tolerance: in units of the score.
    """

    def __init__(self, found: HorizonResult, metric: str, tolerance: float) -> None:
        self._found, self._metric = found, metric
        self._level = found.horizon_level(tolerance)
        self._pairs = [*itertools.combinations(range(len(found.space.names)), 2)]
        self._planes = [_plane(found, pair) for pair in self._pairs]

    @styled
    def draw(self, width: float = WIDE) -> Figure:
        """The figure, so many inches wide."""
        found, names = self._found, self._found.space.names
        label = labels(names)
        if len(names) == 1:
            return _draw_curve(found, self._metric, width)
        columns = min(len(self._pairs), _COLUMNS) if width > NARROW else 1
        rows = math.ceil(len(self._pairs) / columns)
        height = min((width - _BAR) / columns, _TALLEST) * rows
        figure = Figure(figsize=(width, height + _LABELS), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        scores = [trial.score for trial in found.trials if math.isfinite(trial.score)]
        low = min([float(plane.min()) for plane in self._planes] + scores)
        high = max([float(plane.max()) for plane in self._planes] + scores)
        colors = Normalize(low, high)
        for axes, (i, j), plane in itertools.zip_longest(panels, self._pairs, self._planes):
            if plane is None:
                axes.set_visible(False)
                continue
            x, y = (np.linspace(*found.space.bounds[names[k]], _PER_SIDE) for k in (i, j))
            axes.pcolormesh(x, y, plane, cmap=_MAP, norm=colors, shading="gouraud", rasterized=True)
            if plane.min() < self._level < plane.max():
                axes.contour(x, y, plane, levels=[self._level], colors=_LINE, linewidths=1.5)
            _draw_runs(axes, found, (i, j), colors)
            axes.set_xlabel(label[names[i]])
            axes.set_ylabel(label[names[j]])
        figure.colorbar(ScalarMappable(colors, _MAP), ax=list(panels), label=self._metric)
        return figure


def _plane(found: HorizonResult, pair: tuple[int, int]) -> NDArray[np.float64]:
    """The surface at a lattice over two dimensions, [second, first]."""
    side = np.linspace(0, 1, _PER_SIDE)
    first, second = np.meshgrid(side, side)
    points = np.tile(found.space.to_unit(found.best), (first.size, 1))
    points[:, pair[0]], points[:, pair[1]] = first.ravel(), second.ravel()
    mean, _ = found.surrogate.predict(points)
    return mean.reshape(first.shape)


def _draw_runs(axes: Axes, found: HorizonResult, pair: tuple[int, int], colors: Normalize) -> None:
    best = found.space.to_unit(found.best)
    others = [k for k in range(len(best)) if k not in pair]
    for trial in found.trials:
        x, y = (trial.setting[found.space.names[k]] for k in pair)
        if not math.isfinite(trial.score):
            axes.plot(x, y, "x", color=_LINE, markersize=6, clip_on=False)
            continue
        off = np.abs(found.space.to_unit(trial.setting) - best)[others].max(initial=0.0)
        axes.scatter(
            x, y, c=[trial.score], cmap=_MAP, norm=colors, s=36, edgecolors=_LINE,
            alpha=1 - 0.7 * float(off), clip_on=False, zorder=3, gid=hover(_described(trial)),
        )  # fmt: skip
    x, y = (found.best[found.space.names[k]] for k in pair)
    axes.plot(x, y, "*", color=BEST, markeredgecolor=_LINE, markersize=14, clip_on=False, zorder=4)


def _described(trial: ScoredSetting) -> str:
    label = labels([*trial.setting])
    values = ", ".join(f"{label[key]} {value:.3g}" for key, value in trial.setting.items())
    return f"{values}: {trial.score:.2f}"


def _draw_curve(found: HorizonResult, metric: str, width: float) -> Figure:
    """The surface over the one dimension, with a deviation to both sides, and all runs."""
    (name,) = found.space.names
    figure = Figure(figsize=(width, _CURVE_HEIGHT), layout="constrained")
    axes = plain(figure.subplots())
    x = np.linspace(*found.space.bounds[name], _PER_SIDE)
    mean, deviation = found.surrogate.predict(np.linspace(0, 1, _PER_SIDE)[:, None])
    axes.fill_between(x, mean - deviation, mean + deviation, color=SOFT, alpha=0.2)
    axes.plot(x, mean, color=SOFT)
    for trial in found.trials:
        axes.plot(trial.setting[name], trial.score, "o", color=COLORS[0], alpha=0.6)
    axes.plot(found.best[name], found.best_score, "*", color=BEST, markersize=14)
    axes.set_xlabel(symbol(name))
    axes.set_ylabel(metric)
    return figure
