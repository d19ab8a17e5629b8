"""Which side of the horizon a setting lies on: from the scores of several runs.

One run's curves say less; see `run_diagnosis.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from horizon_st.horizon.contour import lattice
from horizon_st.horizon.finder import HorizonResult
from horizon_st.horizon.values import short_name, shown

Side = Literal[
    "under-regularised",
    "on the horizon",
    "over-regularised",
    "worse mix",
    "saturated",
    "undecided",
]

_SHARES = np.linspace(0, 1, 21)[1:]
"""Of the way from a setting to a corner of the space."""
_SURE = 1.0
"""Standard deviations of a difference that it must exceed, beside the tolerance."""
_NUM_OTHERS = 130
"""Settings all over the space (five values of three weights each) that none of may surely be better
where one is to lie on the horizon."""
_STRONG = 0.2
"""R-drop is strong from this share of its largest weight on."""


@dataclass(frozen=True)
class Diagnosis:
    """Where a setting lies, and why.

    Attributes:
        side: of the horizon.
        evidence: sentences.
        next_setting: weights to try next, by their keys; empty if there is nothing to try.
    """

    side: Side
    evidence: tuple[str, ...]
    next_setting: dict[str, float]

    def describe(self) -> str:
        """All of it as a paragraph."""
        said = f"{self.side[0].upper()}{self.side[1:]}. " + " ".join(self.evidence)
        if not self.next_setting:
            return said
        tried = ", ".join(f"{key} {shown(value)}" for key, value in self.next_setting.items())
        return f"{said} Next to try: {tried}."


def diagnose_setting(
    setting: Mapping[str, float], found: HorizonResult, tolerance: float
) -> Diagnosis:
    """The side of a setting, under the surface that was fitted to some runs.

    All regularisers are turned up together, towards the corner of the space where each is at its
    most, and down, towards the one where each is at its least: a factor would leave at 0 what is 0.
    The MT weight regularises most where it is lowest.

    Args:
        setting: within the space of the search.
        found: what the runs say.
        tolerance: difference of scores that is of no interest.
    """
    space = found.space
    here = space.to_unit(setting)
    is_mt = np.array([short_name(name) == "mt_weight" for name in space.names])
    less, more = (here + _SHARES[:, None] * (corner - here) for corner in (is_mt, ~is_mt))
    points = np.concatenate([here[None], less, more])
    gain, deviation = found.surrogate.gain_over(here, points)
    best_less = 1 + int(np.argmax(gain[1 : 1 + len(less)]))
    best_more = 1 + len(less) + int(np.argmax(gain[1 + len(less) :]))

    def is_better(index: int) -> bool:
        return bool(gain[index] >= tolerance and gain[index] > _SURE * deviation[index])

    sides: list[tuple[Side, int, str]] = [
        ("under-regularised", best_more, "turned up"),
        ("over-regularised", best_less, "turned down"),
    ]
    for side, index, how in sorted(sides, key=lambda s: -gain[s[1]]):
        if is_better(index):
            evidence = (
                f"With all regularisers {how} together, the surface of {len(found.trials)} runs "
                f"predicts {gain[index]:+.2f} (standard deviation {deviation[index]:.2f})."
            )
            return Diagnosis(side, (evidence,), _rounded(space.from_unit(points[index])))
    return _level(setting, found, tolerance)


def _level(setting: Mapping[str, float], found: HorizonResult, tolerance: float) -> Diagnosis:
    """Of a setting that turning all regularisers up or down does not improve."""
    space = found.space
    names = {short_name(name): name for name in space.names}
    here = space.to_unit(setting)
    consistency, rdrop = (names.get(f"{term}_weight") for term in ("consistency", "rdrop"))
    if (
        consistency is not None
        and rdrop is not None
        and setting[consistency] > space.bounds[consistency][0] == 0
        and here[space.names.index(rdrop)] >= _STRONG
    ):
        without = dict(setting) | {consistency: 0.0}
        gain, deviation = found.surrogate.gain_over(here, space.to_unit(without)[None])
        if abs(gain[0]) + _SURE * deviation[0] < tolerance:
            evidence = (
                f"Beside R-drop of {shown(setting[rdrop])}, consistency of "
                f"{shown(setting[consistency])} changes less than {tolerance:g}: {-gain[0]:+.2f} "
                f"(standard deviation {deviation[0]:.2f})."
            )
            return Diagnosis("saturated", (evidence,), _rounded(without))
    others = [found.best, *lattice(space, _NUM_OTHERS)]
    gain, deviation = found.surrogate.gain_over(here, np.array([*map(space.to_unit, others)]))
    if gain[0] >= tolerance and gain[0] > _SURE * deviation[0]:
        evidence = (
            "Turning all regularisers up or down together gains nothing, another mix of them does: "
            f"{gain[0]:+.2f} (standard deviation {deviation[0]:.2f})."
        )
        return Diagnosis("worse mix", (evidence,), _rounded(found.best))
    upper = gain + _SURE * deviation
    likeliest = int(np.argmax(upper))
    if upper[likeliest] > tolerance:
        evidence = (
            f"{len(found.trials)} runs do not rule out that another setting is better by "
            f"{tolerance:g}: {gain[likeliest]:+.2f} (standard deviation "
            f"{deviation[likeliest]:.2f}) is predicted of the one to try."
        )
        return Diagnosis("undecided", (evidence,), _rounded(others[likeliest]))
    evidence = (
        f"No setting of the space is predicted to be better by {tolerance:g}, not even with a "
        f"standard deviation added: {upper[likeliest]:+.2f} at most."
    )
    return Diagnosis("on the horizon", (evidence,), {})


def _rounded(setting: Mapping[str, float]) -> dict[str, float]:
    """To two digits: nobody can tell settings apart that differ by less."""
    return {name: float(f"{value:.2g}") for name, value in setting.items()}
