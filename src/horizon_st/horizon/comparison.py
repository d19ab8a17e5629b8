"""Runs -> which form of the total regularisation describes them, with its weights.

Every form is fitted to all runs, and judged by what it says of settings that it has not seen
(cross-validation) and by Akaike's criterion (Akaike 1974; for few runs Hurvich and Tsai 1989).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from horizon_st.errors import UserError
from horizon_st.horizon.forms import FORMS, Fit, Form, Scale
from horizon_st.horizon.statistics import CONFIDENCE
from horizon_st.horizon.surrogate import curve

Array = NDArray[np.float64]
Setting = Mapping[str, float]

_MOST_FOLDS = 16
_LEAST_FREE = 5
"""Degrees of freedom from which on repeats tell the noise: two equal scores would make it 0."""
_NUM_STARTS = 4
"""Of a fit to a fold, of which there are many."""


@dataclass(frozen=True)
class Interval:
    """A weight with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class FittedForm:
    """A form of the score, fitted to runs.

    Attributes:
        name: linear, interacting, quadratic, process or mean; see `forms.py`.
        num_parameters: that were fitted; None for the process, which averages over them.
        error: root mean square of what it predicts wrongly of runs of settings that it was not
            fitted to; the noise of a run is part of it. None with too few runs for the form.
        aic: lower is better; infinite with too few runs, None for the process.
        noise: standard deviation of a run around it, or the one that was given or that repeats
            show.
        weights: of each regulariser in R, per unit of its setting, R being 1 on the horizon; with
            intervals from a parametric bootstrap. Empty for a form without R, and with too few
            runs for it.
    """

    name: str
    num_parameters: int | None
    error: float | None
    aic: float | None
    noise: float
    weights: dict[str, Interval]
    _fit: Fit
    _scale: Scale
    _resampled: Sequence[Fit] = ()
    _missed: Array | None = None

    def is_clearly_better_than(self, other: FittedForm) -> bool:
        """Whether its error is smaller by more than a standard error of that, over the folds.

        Source: the rule of one standard error of Breiman et al. 1984, section 3.4.3, here of the
        difference in squares, since both forms saw the same folds. False where one has no error.
        """
        if self._missed is None or other._missed is None:
            return False
        gains = other._missed - self._missed
        return bool(gains.sum() > math.sqrt(len(gains)) * gains.std(ddof=1))

    def predict(self, settings: Sequence[Setting]) -> Array:
        """The score of settings."""
        return self._fit.predict(self._scale.of(settings))

    def totals(self, settings: Sequence[Setting]) -> Array:
        """R of settings: 1 on the horizon, less below it. Only for a form with weights."""
        assert self._fit.total is not None
        return self._fit.total(self._scale.of(settings))

    def over_total(self, totals: Array) -> Array:
        """The score at R. Only for a form with weights."""
        assert self._fit.parameters is not None
        top, rise, fall = self._fit.parameters[:3]
        return curve(totals, top, rise, fall)

    def below_horizon(self, setting: Setting, *, past: bool) -> Interval:
        """How far the score of a setting lies below that of the horizon. Only with weights.

        Args:
            setting: of a run.
            past: whether the setting is to lie past the horizon, or before it; where it does not,
                it is 0 below.
        """
        x = self._scale.of([setting])
        value, *resampled = (_below_top(fit, x, past) for fit in (self._fit, *self._resampled))
        return _with_ends(value, np.array(resampled))

    def share(self, name: str) -> Interval:
        """What a weight adds to R where it is turned up as far as in any run. Likewise."""
        reach, weight = self._scale.reach[name], self.weights[name]
        return Interval(weight.value * reach, weight.low * reach, weight.high * reach)


def compare_forms(
    settings: Sequence[Setting],
    scores: Sequence[float],
    *,
    forms: Sequence[Form] = FORMS,
    noise: float | None = None,
    less_is_more: Collection[str] = (),
    num_resamples: int = 200,
    seed: int = 0,
) -> list[FittedForm]:
    """All forms, fitted to the same runs, the smallest error first; without one last.

    Args:
        settings: one for each run, with the same names; equal settings are repeats.
        scores: one each.
        forms: to compare.
        noise: standard deviation of a score over seeds, where it is known. Otherwise repeats tell
            it, and with few of them, what a form leaves over, repeats included.
        less_is_more: names that regularise more the lower they are, as the weight of the text loss.
        num_resamples: of the bootstrap, for the intervals of the weights.
        seed: of folds and bootstrap.

    Raises:
        UserError: a score is not finite, or there are fewer than four different settings.
    """
    y = np.asarray(scores, dtype=float)
    if not np.isfinite(y).all():
        raise UserError(
            "scores",
            expected="finite numbers",
            found=f"{int((~np.isfinite(y)).sum())} that are not",
            remedy="Leave out the runs that diverged.",
        )
    scale = Scale.fitting(settings, less_is_more)
    x = scale.of(settings)
    distinct, setting_of_run = np.unique(x, axis=0, return_inverse=True)
    if len(distinct) < 4:
        raise UserError(
            "settings",
            expected="at least four different ones",
            found=len(distinct),
            remedy="Run more settings.",
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(distinct)) % min(len(distinct), _MOST_FOLDS)
    fold_of_run = order[setting_of_run.ravel()]
    known = _noise_of_repeats(y, setting_of_run.ravel()) if noise is None else _Noise(noise)
    fitted = []
    for form in forms:
        fit = form.fit(x, y)
        off = known or _noise_around(fit, x, y)
        found = _judged(form, fit, x, y, fold_of_run, off.deviation, known, scale)
        if found.error is not None:
            made = fit.predict(x) + off.drawn((num_resamples, len(x)), rng)
            found = _with_intervals(found, form, x, made)
        fitted.append(found)
    return sorted(fitted, key=lambda form: math.inf if form.error is None else form.error)


def least_settings(num_parameters: int) -> int:
    """How many different settings a form with so many parameters needs, to have an error."""
    number = 4
    while _are_too_few(number - math.ceil(number / _MOST_FOLDS), num_parameters):
        number += 1
    return number


@dataclass(frozen=True)
class _Noise:
    """Standard deviation of a run, and the degrees of freedom that it was estimated with."""

    deviation: float
    num_free: float = math.inf

    def drawn(self, shape: tuple[int, int], rng: np.random.Generator) -> Array:
        """Noise of resamples [resamples, N], each with a deviation that the estimate allows.

        Intervals then are as wide as Student's. Source: Rubin 1987, section 5.3.
        """
        noise: Array = self.deviation * rng.normal(size=shape)
        if math.isfinite(self.num_free):
            noise *= np.sqrt(self.num_free / rng.chisquare(self.num_free, size=(shape[0], 1)))
        return noise


def _judged(
    form: Form,
    fit: Fit,
    x: Array,
    y: Array,
    fold_of_run: NDArray[np.intp],
    noise: float,
    known: _Noise | None,
    scale: Scale,
) -> FittedForm:
    """The form with its error, criterion and noise, without its weights."""
    number = None if fit.parameters is None else len(fit.parameters)
    squares = float(((fit.predict(x) - y) ** 2).sum())
    known_noise = None if known is None else known.deviation
    aic = None
    if number is not None:
        are_too_few = _are_too_few(len(np.unique(x, axis=0)), number)
        aic = math.inf if are_too_few else _aic(squares, len(y), number, known_noise, y)
    missed = _cross_validated(form, number, x, y, fold_of_run)
    return FittedForm(
        name=form.name,
        num_parameters=number,
        error=None if missed is None else math.sqrt(float(missed.sum()) / len(y)),
        aic=aic,
        noise=noise,
        weights={},
        _fit=fit,
        _scale=scale,
        _missed=missed,
    )


def _cross_validated(
    form: Form, number: int | None, x: Array, y: Array, fold_of_run: NDArray[np.intp]
) -> Array | None:
    """Of each fold the sum of squares of what the form, fitted to the others, says wrongly of it.

    A setting lies in one fold. Each fit begins anew: one that began at the fit to all runs would
    know those that are left out. None where a fold leaves too few settings for the form.
    """
    folds = [fold_of_run == fold for fold in np.unique(fold_of_run)]
    least = min(len(np.unique(x[~out], axis=0)) for out in folds)
    if number is not None and _are_too_few(least, number):
        return None
    fits = (form.fit(x[~out], y[~out], num_starts=_NUM_STARTS) for out in folds)
    missed = [
        float(((fit.predict(x[out]) - y[out]) ** 2).sum())
        for fit, out in zip(fits, folds, strict=True)
    ]
    return np.array(missed)


def _are_too_few(num_settings: int, num_parameters: int) -> bool:
    """As for Akaike's criterion: beside the parameters there is the noise, and one must be left.

    Of different settings: repeats tell the noise, and nothing of the form.
    """
    return num_parameters + 2 >= num_settings


def _aic(squares: float, num_runs: int, number: int, noise: float | None, y: Array) -> float:
    if noise is not None and noise > 0:
        return squares / noise**2 + 2 * number
    least = 1e-12 * max(float(((y - y.mean()) ** 2).sum()), 1e-12)
    number += 1  # the noise, which is estimated
    few = 2 * number * (number + 1) / (num_runs - number - 1)
    return num_runs * math.log(max(squares, least) / num_runs) + 2 * number + few


def _with_intervals(found: FittedForm, form: Form, x: Array, made: Array) -> FittedForm:
    """With what the fits to scores [resamples, N] that the fit and the noise have made say."""
    if found._fit.weights is None:
        return found
    fits = [form.fit(x, scores, near=found._fit) for scores in made]
    resampled = np.array([fit.weights for fit in fits])
    weights = {
        name: _with_ends(float(found._fit.weights[i] / reach), resampled[:, i] / reach)
        for i, (name, reach) in enumerate(found._scale.reach.items())
    }
    return replace(found, weights=weights, _resampled=fits)


def _below_top(fit: Fit, x: Array, past: bool) -> float:
    """Of one setting x [1, D] on this side of the horizon."""
    assert fit.total is not None
    assert fit.parameters is not None
    is_there = bool((fit.total(x)[0] > 1) == past)
    return float(fit.parameters[0] - fit.predict(x)[0]) if is_there else 0.0


def _with_ends(value: float, resampled: Array) -> Interval:
    """The percentile interval of a bootstrap. Source: Efron and Tibshirani 1993, chapter 13."""
    ends = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, *map(float, ends))


def _noise_around(fit: Fit, x: Array, y: Array) -> _Noise:
    """What the form itself estimates, or what it leaves over."""
    num_free = max(len(y) - (0 if fit.parameters is None else len(fit.parameters)), 1)
    if fit.noise is not None:
        return _Noise(fit.noise, num_free)
    return _Noise(math.sqrt(float(((fit.predict(x) - y) ** 2).sum()) / num_free), num_free)


def _noise_of_repeats(y: Array, setting_of_run: NDArray[np.intp]) -> _Noise | None:
    """Within settings; None where too few were run again, or all repeats agree."""
    counts = np.bincount(setting_of_run)
    num_free = int((counts - 1).sum())
    if num_free < _LEAST_FREE:
        return None
    means = np.bincount(setting_of_run, weights=y) / counts
    noise = math.sqrt(float(((y - means[setting_of_run]) ** 2).sum()) / num_free)
    return _Noise(noise, num_free) if noise > 0 else None
