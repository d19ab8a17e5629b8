"""Numbers of several splits -> histograms as SVG, which take their colours from the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

import numpy as np

from horizon_st.data.validation.columns import Numbers

_WIDTH, _HEIGHT = 460, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 12, 46
_MOST_BINS = 40
_MOST_GRID_LINES = 5
_HIGHEST_SHOWN = 0.995
"""Quantile at which the axis ends; what is beyond is counted in the last bin."""

MOST_SPLITS = 6
"""As many as the page has colours for; further ones are in the tables only."""


def histogram(
    title: str,
    unit: str,
    values: Mapping[str, Numbers],
    *,
    marks: Sequence[float] = (),
    is_whole: bool = False,
) -> str:
    """An SVG element: for each split, the share of its rows in each bin, as an outline.

    Args:
        title: what is counted, for those who cannot see it.
        unit: written under the axis.
        values: finite numbers, 0 or more, of each split; empty ones are not drawn.
        marks: where to draw dashed lines, if they are within the axis.
        is_whole: whether the values are whole numbers.
    """
    shown = {name: array for name, array in list(values.items())[:MOST_SPLITS] if len(array)}
    if not shown:
        return '<p class="none">no usable rows</p>'
    ends = [float(np.quantile(array, _HIGHEST_SHOWN)) for array in shown.values()]
    edges = bin_edges(max(ends), is_whole=is_whole)
    shares = {name: bin_shares(array, edges) for name, array in shown.items()}
    top = max(share.max() for share in shares.values())
    axes = _Axes(edges[-1], top)
    has_rest = any(array.max() > edges[-1] for array in shown.values())
    colours = {name: index for index, name in enumerate(values, start=1)}
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(axes, unit, edges, has_rest=has_rest),
        *(_outline(axes, edges, share, name, colours[name]) for name, share in shares.items()),
        *(_mark(axes, mark) for mark in marks if mark < edges[-1]),
        "</svg>",
    ]
    return "\n".join(parts)


def bin_edges(highest: float, *, is_whole: bool = False) -> Numbers:
    """Round, evenly spaced numbers from 0 to more than `highest`, at least 1 apart if whole."""
    width = _nice_step(max(highest / _MOST_BINS, 1.0 if is_whole else 1e-6))
    num_bins = floor(highest / width + 1e-6) + 1
    return np.arange(num_bins + 1, dtype=np.float64) * width


def bin_shares(values: Numbers, edges: Numbers) -> Numbers:
    """The share of the values in each bin; those beyond the last edge are in the last bin."""
    counts, _ = np.histogram(np.minimum(values, edges[-1]), edges)
    return counts / len(values)


class _Axes:
    """From numbers to places on the picture."""

    def __init__(self, highest: float, top: float) -> None:
        self.highest = highest
        self.share_step = _nice_step(top / _MOST_GRID_LINES)
        self.num_steps = ceil(round(top / self.share_step, 6))
        self.top = self.num_steps * self.share_step

    def x(self, value: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.highest, 1)

    def y(self, share: float) -> float:
        return round(_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share / self.top, 1)


def _grid(axes: _Axes, unit: str, edges: Numbers, *, has_rest: bool) -> list[str]:
    bottom = axes.y(0)
    parts = []
    for share in (axes.share_step * number for number in range(1, axes.num_steps + 1)):
        y = axes.y(share)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        label = f"{100 * share:.3g} %"
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{label}</text>')
    parts.append(
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>'
    )
    step = _nice_step(axes.highest / 5)
    for value in np.arange(0, axes.highest * 1.0001, step):
        x = axes.x(value)
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
    rest = f", the last bin with all beyond {edges[-1]:g}" if has_rest else ""
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="unit" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(unit + rest)}</text>"
    )
    return parts


def _outline(axes: _Axes, edges: Numbers, shares: Numbers, name: str, colour: int) -> str:
    points = [(axes.x(0), axes.y(0))]
    for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True):
        points += [(axes.x(left), axes.y(share)), (axes.x(right), axes.y(share))]
    points.append((axes.x(edges[-1]), axes.y(0)))
    line = " ".join(f"{x},{y}" for x, y in points)
    return f'<polygon class="split{colour}" points="{line}"><title>{escape(name)}</title></polygon>'


def _mark(axes: _Axes, value: float) -> str:
    x = axes.x(value)
    return (
        f'<line class="mark" x1="{x}" x2="{x}" y1="{_TOP}" y2="{axes.y(0)}">'
        f"<title>looked at beyond {value:.1f}</title></line>"
    )


def _nice_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, `least` or more."""
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.9999)
