"""A predicted score -> the horizon as a set of settings, and the cheapest to train on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from horizon_st.errors import UserError
from horizon_st.horizon.space import SearchSpace

Setting = Mapping[str, float]
Predict = Callable[[Sequence[Setting]], NDArray[np.float64]]

_MOST_POINTS = 2000


@dataclass(frozen=True)
class PassCosts:
    """What an update costs by the passes that its weights need: a weight of 0 needs none.

    Names may have sections before them, as in `objective.mt_weight`. The default of the text pass
    is what it took beside a speech pass at the paper's size on CPUs (docs/performance.md). What a
    setting does not name has the recipe's defaults: R-drop compares two whole passes in every
    update. Cheaper second passes (`rdrop_from: shared_encoder`) count as whole ones.

    Attributes:
        speech_pass: of the utterances; the first always takes place, R-drop needs `rdrop_passes`
            in every `rdrop_every_steps` updates.
        text_pass: of their transcripts, for the MT loss or for consistency; R-drop on text
            (`mt_rdrop_weight`) needs a second of them.
    """

    speech_pass: float = 1.0
    text_pass: float = 0.35

    def __call__(self, setting: Setting) -> float:
        """The cost of a setting."""
        values = {name.rpartition(".")[2]: value for name, value in setting.items()}
        num_speech = 1.0
        if values.get("rdrop_weight", 0) > 0:
            more = values.get("rdrop_passes", 2) - 1
            num_speech += more / values.get("rdrop_every_steps", 1)
        num_text = 0
        if values.get("mt_weight", 1) > 0 or values.get("consistency_weight", 0) > 0:
            num_text = 2 if values.get("mt_rdrop_weight", 0) > 0 else 1
        return num_speech * self.speech_pass + num_text * self.text_pass


@dataclass(frozen=True)
class HorizonSet:
    """All settings that are about as good as the best.

    Attributes:
        settings: whose predicted score is within the tolerance of the highest, the best first.
        scores: predicted, likewise.
        costs: likewise.
        cheapest: of the settings; among equals the one that scores highest.
        lost: what the cheapest scores below the best.
        saved: share of the best one's cost that the cheapest saves.
    """

    settings: list[dict[str, float]]
    scores: list[float]
    costs: list[float]
    cheapest: dict[str, float]
    lost: float
    saved: float


def horizon_set(
    predict: Predict,
    candidates: Sequence[Setting],
    tolerance: float,
    *,
    cost: Callable[[Setting], float] | None = None,
) -> HorizonSet:
    """The settings within a tolerance of the best, and the cheapest of them.

    Args:
        predict: the score of settings, as `FittedForm.predict`.
        candidates: settings to choose from, as `lattice(space)`.
        tolerance: in units of the score.
        cost: of training with a setting, positive, in any unit; `PassCosts()` if left out.

    Raises:
        UserError: there are no candidates, or the tolerance is negative.
    """
    if not candidates or not tolerance >= 0:
        raise UserError(
            "horizon_set",
            expected="candidates, and a tolerance of at least 0",
            found=(len(candidates), tolerance),
            remedy="lattice(space) gives candidates; the noise of a run is a usual tolerance.",
        )
    price = cost or PassCosts()
    scores = predict(candidates)
    order = [i for i in np.argsort(-scores, kind="stable") if scores[i] >= scores.max() - tolerance]
    settings = [dict(candidates[i]) for i in order]
    costs = [float(price(setting)) for setting in settings]
    cheapest = int(np.argmin(costs))
    return HorizonSet(
        settings=settings,
        scores=[float(scores[i]) for i in order],
        costs=costs,
        cheapest=settings[cheapest],
        lost=float(scores[order[0]] - scores[order[cheapest]]),
        saved=1 - costs[cheapest] / costs[0],
    )


def lattice(space: SearchSpace, most: int = _MOST_POINTS) -> list[dict[str, float]]:
    """Settings all over the space, its faces included, at most about so many."""
    d = len(space.names)
    per_side = max(int(most ** (1 / d) + 1e-9), 2)
    axes = [np.linspace(0, 1, per_side)] * d
    return [space.from_unit(np.array(point)) for point in itertools.product(*axes)]
