"""Weights that move while training: towards terms whose gradient also lowers the held-out loss.

An update by Σ wᵢ·gᵢ, gᵢ the gradients of the terms, changes the held-out loss by -η·⟨h, P·Σ wᵢ·gᵢ⟩,
h its gradient and P what the optimiser scales by; so ⟨h, P·gᵢ⟩ is its one-step hypergradient with
respect to wᵢ (Baydin et al. 2018, arXiv 1703.04782). Divided by the lengths of both it is a
cosine, the agreement, as in Du et al. 2018 (arXiv 1812.02224). It shrinks a hundredfold while a
model learns its training set; a move therefore takes its running mean over the root of its running
mean square, as Adam does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from horizon_st.errors import UserError

ADAPTED = {
    "ce_text": "mt_weight",
    "consistency": "consistency_weight",
    "rdrop": "rdrop_weight",
    "mt_rdrop": "mt_rdrop_weight",
}
"""The weight of each term that may move."""
_LARGEST = {"mt_weight": 1.0}
_LEAST = 1e-3


@dataclass
class AdaptiveConfig:
    """Whether and how the weights move in stage st."""

    every_steps: int = field(
        default=0,
        metadata={
            "help": "Updates between moves of the weights above 0 (MT, consistency, R-drop), which "
            "begin as the recipe has them; 0 leaves them there. Each move costs about two updates."
        },
    )
    rate: float = field(
        default=0.05,
        metadata={"help": "What a move adds to the logarithm of a weight at most."},
    )
    memory: float = field(
        default=0.9,
        metadata={"help": "What the running means of the agreement keep in a move."},
    )
    largest: float = field(
        default=20.0,
        metadata={"help": "No weight grows beyond it; that of the MT loss never beyond 1."},
    )
    share_of_dev: float = field(
        default=0.5,
        metadata={
            "help": "Share of the dev set whose loss the weights follow; dev figures are those of "
            "the rest."
        },
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot mean anything."""
        ranges = {
            "every_steps": (self.every_steps >= 0, "a number of updates, or 0"),
            "rate": (0 < self.rate < math.inf, "a positive number"),
            "memory": (0 <= self.memory < 1, "a share below 1"),
            "largest": (_LEAST < self.largest < math.inf, f"a number above {_LEAST:g}"),
            "share_of_dev": (0 < self.share_of_dev < 1, "a share between 0 and 1"),
        }
        for name, (is_right, expected) in ranges.items():
            if not is_right:
                raise UserError(
                    f"objective.adaptive.{name}",
                    expected=expected,
                    found=getattr(self, name),
                    remedy="Remove it to get its default.",
                )

    def bounds_of(self, weight: str) -> tuple[float, float]:
        """The least and the largest that a weight of the objective becomes."""
        return _LEAST, min(_LARGEST.get(weight, self.largest), self.largest)

    def moved(self, weight: str, value: float, agreement: Agreement) -> float:
        """A weight of the objective after a move."""
        lowest, highest = self.bounds_of(weight)
        factor = math.exp(self.rate * agreement.mean / max(math.sqrt(agreement.square), 1e-12))
        return min(max(value * factor, lowest), highest)


@dataclass
class Agreement:
    """Running means of a term's agreement and of its square."""

    mean: float
    square: float

    @classmethod
    def after(cls, before: Agreement | None, found: float, memory: float) -> Agreement:
        """With one more; the first counts fully."""
        if before is None:
            return cls(found, found**2)
        return cls(
            memory * before.mean + (1 - memory) * found,
            memory * before.square + (1 - memory) * found**2,
        )
