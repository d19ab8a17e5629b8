"""Made-up scores over a space of weights, whose best is known: what searches are counted on.

`FAMILIES` are the six kinds that the search was built with; `HELD_OUT` four that it never saw while
it was built, in two to four dimensions with other bounds. Random, but the same for the same draw.

Legend: D dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from horizon_st.horizon import SearchSpace

Array = NDArray[np.float64]
Score = Callable[[Array], Array]
Family = Callable[[np.random.Generator, int], Score]

TOLERANCE = 0.01
"""Share of the grid's best true score that a good enough setting may lack."""
_PER_SIDE = 4
_BOUNDS = (0.5, 1.0, 5.0, 20.0)


@dataclass(frozen=True)
class Surface:
    """A true score.

    Attributes:
        kind: the name of its family.
        space: that it lies over.
        score: of points of the unit cube, [..., D] -> [...]; NaN where training diverges.
        residuals: what real runs differed from it, where it is made of such; its noise is normal
            otherwise.
    """

    kind: str
    space: SearchSpace
    score: Score
    residuals: Array | None = None

    @property
    def wanted(self) -> float:
        """The least score that is good enough."""
        best = float(np.nanmax(self.score(grid_points(len(self.space.names)))))
        return best - TOLERANCE * abs(best)

    @property
    def noise(self) -> float:
        """Standard deviation of its residuals; 0 without any."""
        if self.residuals is None:
            return 0.0
        return float(np.sqrt((self.residuals**2).mean()))

    def draw_noise(self, deviation: float, rng: np.random.Generator) -> float:
        """What one run differs from the true score: one of the residuals, or normal."""
        if self.residuals is None:
            return deviation * float(rng.normal())
        return float(rng.choice(self.residuals))


def grid_points(num_dimensions: int) -> Array:
    """The full grid of four values each."""
    axes = [np.linspace(0, 1, _PER_SIDE)] * num_dimensions
    return np.array([*itertools.product(*axes)])


def draw_surfaces(number: int, draw: int) -> list[Surface]:
    """So many surfaces over the paper's three weights, the families by turns."""
    rng = np.random.default_rng((draw, 0))
    families = itertools.islice(itertools.cycle(FAMILIES.items()), number)
    return [Surface(kind, SearchSpace(), family(rng, 3)) for kind, family in families]


def draw_held_out(number: int, draw: int, dimensions: Sequence[int] = (2, 3, 4)) -> list[Surface]:
    """So many surfaces of the held-out families, over spaces of several sizes and bounds."""
    rng = np.random.default_rng((draw, 1))
    surfaces = []
    for d, (kind, family) in itertools.islice(
        itertools.cycle(itertools.product(dimensions, HELD_OUT.items())), number
    ):
        space = SearchSpace(**{f"w{i}": (0.0, float(rng.choice(_BOUNDS))) for i in range(d)})
        surfaces.append(Surface(kind, space, family(rng, d)))
    return surfaces


def _weights(rng: np.random.Generator, d: int) -> Array:
    weights: Array = rng.uniform(0.2, 1.0, d)
    return weights / weights.sum()


def _turned_up(points: Array) -> Array:
    """How far each regulariser is turned up: less text loss, the first weight, is more of it."""
    return np.concatenate([1 - points[..., :1], points[..., 1:]], axis=-1)


def _top_and_depth(rng: np.random.Generator) -> tuple[float, float]:
    return rng.uniform(15, 35), rng.uniform(3, 12)


def _over_total(rng: np.random.Generator, total: Score) -> Score:
    """A parabola over total regularisation that falls off otherwise on either side."""
    top, depth = _top_and_depth(rng)
    horizon, fall = rng.uniform(0.25, 0.75), rng.uniform(0.4, 2.5)

    def score(points: Array) -> Array:
        off = total(points) - horizon
        return top - 4 * depth * off**2 * np.where(off > 0, fall, 1.0)

    return score


def _ridge(rng: np.random.Generator, d: int) -> Score:
    weights = _weights(rng, d)
    return _over_total(rng, lambda points: _turned_up(points) @ weights)


def _interaction(rng: np.random.Generator, d: int) -> Score:
    weights, strength = _weights(rng, d), rng.uniform(-0.5, 0.5)

    def total(points: Array) -> Array:
        v = _turned_up(points)
        return v @ weights + strength * v[..., -2] * v[..., -1]

    return _over_total(rng, total)


def _saturating(rng: np.random.Generator, d: int) -> Score:
    weights = _weights(rng, d)
    return _over_total(rng, lambda points: 1 - np.exp(-2.5 * (_turned_up(points) @ weights)))


def _flat(rng: np.random.Generator, d: int) -> Score:
    (top, _), center = _top_and_depth(rng), rng.uniform(0.1, 0.9, d)
    return lambda points: top - 0.02 * top * ((points - center) ** 2).sum(-1)


def _two_peaks(rng: np.random.Generator, d: int) -> Score:
    top, depth = _top_and_depth(rng)
    first, second = rng.uniform(0.1, 0.9, (2, d))

    def score(points: Array) -> Array:
        high = np.exp(-((points - first) ** 2).sum(-1) / 0.1)
        broad = 0.85 * np.exp(-((points - second) ** 2).sum(-1) / 0.15)
        return top - depth + depth * np.maximum(high, broad)

    return score


def _corner(rng: np.random.Generator, d: int) -> Score:
    top, depth = _top_and_depth(rng)
    weights, corner = _weights(rng, d), rng.integers(0, 2, d)
    return lambda points: top - depth * (np.abs(points - corner) @ weights) ** 1.3


def _by_logarithm(rng: np.random.Generator, d: int) -> Score:
    """Weights that act by their order of magnitude: most happens near 0."""
    weights = _weights(rng, d)
    return _over_total(rng, lambda points: (np.log1p(50 * points) / np.log1p(50)) @ weights)


def _cliff(rng: np.random.Generator, d: int) -> Score:
    """Better and better, level for a while, then a fall into runs that diverge."""
    top, depth = _top_and_depth(rng)
    weights, horizon = _weights(rng, d), rng.uniform(0.3, 0.7)

    def score(points: Array) -> Array:
        off = points @ weights - horizon
        rising = -4 * depth * np.minimum(off, 0) ** 2
        scores = top + rising - depth / (1 + np.exp(-(off - 0.2) / 0.03))
        return np.where(off > 0.35, np.nan, scores)

    return score


def _hills(rng: np.random.Generator, d: int) -> Score:
    """A smooth random function without any structure."""
    top, depth = _top_and_depth(rng)
    waves, phases = rng.normal(0, 1 / 0.45, (256, d)), rng.uniform(0, 2 * np.pi, 256)
    heights = rng.normal(0, np.sqrt(2 / 256), 256)
    return lambda points: top - depth + depth / 3 * (np.cos(points @ waves.T + phases) @ heights)


def _ridge_with_an_edge(rng: np.random.Generator, d: int) -> Score:
    """A peak of straight sides that is long in one oblique direction."""
    top, depth = _top_and_depth(rng)
    center = rng.uniform(0.1, 0.9, d)
    axes, _ = np.linalg.qr(rng.normal(size=(d, d)))
    slopes = np.concatenate([[0.15], rng.uniform(0.5, 1.0, d - 1)])
    return lambda points: top - depth * np.linalg.norm((points - center) @ axes * slopes, axis=-1)


FAMILIES: dict[str, Family] = {
    "ridge": _ridge,
    "interaction": _interaction,
    "saturating": _saturating,
    "flat": _flat,
    "two peaks": _two_peaks,
    "corner": _corner,
}
HELD_OUT: dict[str, Family] = {
    "by logarithm": _by_logarithm,
    "cliff": _cliff,
    "hills": _hills,
    "edge": _ridge_with_an_edge,
}
