"""The question that a study asks of its scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Optional

from horizon_st.config import parse_yaml
from horizon_st.errors import UserError
from horizon_st.horizon.values import shown

Kind = Literal["comparison", "equivalence", "order", "peak", "saturation", "horizon", "search"]


@dataclass
class AnalysisConfig:
    """What is asked of the scores; each kind has its figure and its rule for the verdict."""

    kind: Kind = field(
        default="comparison",
        metadata={
            "help": "comparison: is any arm better than the baseline; equivalence: is every arm as "
            "good as it; order: do the values of "
            "`key` rank as claimed, each at its best; peak: is some value of `key` better than "
            "`at`; saturation: do two regularisers together gain less than the sum of both; "
            "horizon: do the scores lie on one curve of the total regularisation that falls at "
            "its end; search: which setting of `space` is best."
        },
    )
    key: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "The recipe's key that order and peak are about."}
    )
    order: list[str] = field(
        default_factory=list,
        metadata={"help": "Of order: values of `key`, the claimed best first."},
    )
    at: Optional[float] = field(  # noqa: UP045
        default=None, metadata={"help": "Of peak: the value of `key` that others should beat."}
    )
    tolerance: float = field(
        default=1.0,
        metadata={"help": "Points of the metric below which a difference is of no interest."},
    )
    parts: list[str] = field(
        default_factory=list,
        metadata={"help": "Of saturation: names of the arms with one, the other, both of them."},
    )

    beside: list[str] = field(
        default_factory=list,
        metadata={"help": "Of comparison and equivalence: arms that are shown, but do not decide."},
    )

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise UserError(
                "analysis.tolerance",
                expected="a number of points, at least 0",
                found=self.tolerance,
                remedy="It is the difference that is of no interest; 1 is usual for BLEU.",
            )

    @property
    def ranked(self) -> list[str]:
        """The values of `order` as `shown` writes them."""
        return [shown(parse_yaml(value, "analysis.order")) for value in self.order]
