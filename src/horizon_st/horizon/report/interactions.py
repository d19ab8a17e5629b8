"""How much of the differences in quality each weight makes alone, and each pair together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from horizon_st.horizon.drawing import COLORS, INK, SOFT, plain, styled
from horizon_st.horizon.report.collapse import needs
from horizon_st.horizon.report.parts import Part, table
from horizon_st.horizon.report.runs import Runs
from horizon_st.horizon.statistics import CONFIDENCE
from horizon_st.horizon.values import shown

Array = NDArray[np.float64]
_TITLE = "What each weight does alone, and in pairs"
_MOST_POINTS = 600
_ROW = 0.32
_CHANCE, _HIGHER = "chance", "higher interactions"
_OF_SURFACE = (
    "How much of the differences in predicted {metric} over the whole space each weight makes by "
    "itself (blue), and each pair beyond that (orange): a pair has a long bar where the best value "
    "of one weight depends on the other."
)
_OF_RUNS = (
    "How much of the differences between the runs each weight makes by itself (blue), and "
    "each pair beyond that (orange): a pair has a long bar where the best value of one weight "
    "depends on the other. What is left (grey) is {rest}."
)


@dataclass(frozen=True)
class Effect:
    """What a weight, or a pair, makes of the differences.

    Attributes:
        keys: one or two; none for what these leave.
        name: as picture and table have it.
        share: of the sum of squares.
        low: of its 95 % interval; NaN without one.
        high: likewise.
        p_value: of its being none; NaN without a test.
    """

    keys: tuple[str, ...]
    name: str
    share: float
    low: float = math.nan
    high: float = math.nan
    p_value: float = math.nan


def interactions(runs: Runs) -> Part:
    """From the runs where they are a grid, else from the surface through them."""
    name = "interactions"
    effects = None if runs.is_search else effects_of_grid(runs)
    if effects is not None:
        sentence = _OF_RUNS.format(rest=" and ".join(e.name for e in effects if not e.keys))
        headings = ["effect", "share", "p"]
        rows = [[e.name, f"{e.share:.1%}", _p(e.p_value)] for e in effects]
        return _part(name, sentence, effects, table(headings, rows, "Analysis of variance"))
    needed = needs(runs, 2 * len(runs.weights) + 1)
    if not needed and len(runs.found.space.names) < 2:
        needed = "Needs runs that differ in at least two weights."
    if needed:
        return Part(name, _TITLE, needed=needed)
    effects = effects_of_surface(runs)
    rows = [[e.name, f"{e.share:.1%}", f"{e.low:.1%} to {e.high:.1%}"] for e in effects]
    headings = ["effect", "share", "95 %"]
    sentence = _OF_SURFACE.format(metric=runs.metric)
    return _part(name, sentence, effects, table(headings, rows, "Analysis of variance"))


def effects_of_grid(runs: Runs) -> list[Effect] | None:
    """Analysis of variance of the runs of a grid, seeds as blocks; None without a grid, or chance.

    Sums of squares are of type II: each effect beside all others that do not contain it. They are
    tested against what differs between seeds of one arm, so that what three weights or more do
    together counts as an effect of its own; without several seeds it is one with chance.
    """
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    grid = runs.grid()
    if grid is None:
        return None
    keys, trials = grid
    factors = [f"f{place}" for place in range(len(keys))]
    rows: list[dict[str, Any]] = [
        {"score": trial.scores[runs.metric], "seed": trial.seed, "arm": trial.arm}
        | {f: shown(runs.value_of(trial, key)) for f, key in zip(factors, keys, strict=True)}
        for trial in trials
    ]
    data = pd.DataFrame(rows)
    seeds = " + C(seed)" if len({row["seed"] for row in rows}) > 1 else ""
    fitted = ols(f"score ~ ({' + '.join(factors)}) ** 2{seeds}", data).fit()
    if fitted.df_resid < 1:
        return None
    found = anova_lm(fitted, typ=2).drop(index="C(seed)", errors="ignore")
    by_arm = ols(f"score ~ C(arm){seeds}", data).fit()
    error = by_arm if by_arm.df_resid >= 1 else fitted

    def p_value(square: float, num_free: float) -> float:
        return float(stats.f.sf(square / num_free / error.mse_resid, num_free, error.df_resid))

    total = float(found["sum_sq"].sum())
    names = dict(zip(factors, keys, strict=True))
    effects = [
        Effect(at, _named(runs, at), float(square / total), p_value=p_value(square, num_free))
        for index, square, num_free in found[["sum_sq", "df"]].drop(index="Residual").itertuples()
        for at in [tuple(names[factor] for factor in index.split(":"))]
    ]
    if error is fitted:
        return [*effects, Effect((), f"{_CHANCE} and {_HIGHER}", fitted.ssr / total)]
    higher, num_free = fitted.ssr - by_arm.ssr, fitted.df_resid - by_arm.df_resid
    if num_free:
        effects.append(Effect((), _HIGHER, higher / total, p_value=p_value(higher, num_free)))
    return [*effects, Effect((), _CHANCE, by_arm.ssr / total)]


def effects_of_surface(runs: Runs) -> list[Effect]:
    """The functional analysis of variance of the surface, on a lattice over the space.

    Intervals are over the parameters of the surface that the scores allow.
    Source: Hoeffding 1948; for the settings of training runs Hutter et al. 2014.
    """
    surface, keys = runs.found.surrogate, runs.found.space.names
    d = len(keys)
    per_side = max(int(_MOST_POINTS ** (1 / d) + 1e-9), 2)
    points = np.array([*itertools.product(np.linspace(0, 1, per_side), repeat=d)])
    each, _ = surface.predict_each(points)
    shape = (per_side,) * d
    shares = shares_of(each.mean(axis=0).reshape(shape))
    drawn = [shares_of(scores.reshape(shape)) for scores in each]
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    return [
        Effect(
            at,
            _named(runs, at),
            share,
            *(float(end) for end in np.quantile([found[places] for found in drawn], ends)),
        )
        for places, share in shares.items()
        for at in [tuple(keys[i] for i in places)]
    ]


def _named(runs: Runs, keys: Sequence[str]) -> str:
    return " × ".join(runs.labels[key] for key in keys)


def shares_of(scores: Array) -> dict[tuple[int, ...], float]:
    """Of the sum of squares of a full grid, by the axes of an effect: one, or two.

    Args:
        scores: one axis for each weight.
    """
    d = scores.ndim
    centered = scores - scores.mean()
    total = max(float((centered**2).mean()), 1e-12)

    def mean_over_others(kept: Sequence[int]) -> Array:
        others = tuple(axis for axis in range(d) if axis not in kept)
        found: Array = centered.mean(axis=others, keepdims=True)
        return found

    alone: dict[tuple[int, ...], Array] = {(i,): mean_over_others([i]) for i in range(d)}
    pairs: dict[tuple[int, ...], Array] = {
        (i, j): mean_over_others([i, j]) - alone[(i,)] - alone[(j,)]
        for i, j in itertools.combinations(range(d), 2)
    }
    parts: dict[tuple[int, ...], Array] = {**alone, **pairs}
    return {at: float((part**2).mean()) / total for at, part in parts.items()}


@styled
def draw_effects(effects: Sequence[Effect], width: float) -> Figure:
    """A bar for each effect, with its interval."""
    figure = Figure(figsize=(width, 0.7 + _ROW * len(effects)), layout="constrained")
    axes = plain(figure.subplots())
    for row, effect in enumerate(effects):
        color = (SOFT, COLORS[0], COLORS[1])[len(effect.keys)]
        axes.barh(row, 100 * effect.share, color=color, height=0.6, alpha=0.8)
        if not math.isnan(effect.low):
            axes.hlines(row, 100 * effect.low, 100 * effect.high, color=INK, linewidth=1.2)
    axes.set_yticks(range(len(effects)), [effect.name for effect in effects])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("share of the differences, %")
    return figure


def _part(name: str, sentence: str, effects: Sequence[Effect], html: str) -> Part:
    return Part(name, _TITLE, sentence, lambda width: draw_effects(effects, width), html)


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
