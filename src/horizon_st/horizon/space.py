"""The settings that a search may choose from: a box of named weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from horizon_st.errors import UserError

DEFAULT_BOUNDS = {
    "mt_weight": (0.0, 1.0),
    "consistency_weight": (0.0, 10.0),
    "rdrop_weight": (0.0, 10.0),
}


class SearchSpace:
    """A box; without arguments that of the paper's three weights.

    Args:
        bounds: name=(low, high) of each dimension.

    Raises:
        UserError: bounds are not two finite numbers, the lower first.
    """

    def __init__(self, **bounds: tuple[float, float]) -> None:
        self.bounds = {
            name: (float(low), float(high))
            for name, (low, high) in (bounds or DEFAULT_BOUNDS).items()
        }
        for name, (low, high) in self.bounds.items():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise UserError(
                    f"SearchSpace({name}=...)",
                    expected="two finite numbers, the lower first",
                    found=(low, high),
                    remedy="A weight that does not vary belongs into the recipe.",
                )

    @property
    def names(self) -> list[str]:
        """Of the dimensions."""
        return [*self.bounds]

    def to_unit(self, setting: Mapping[str, float]) -> NDArray[np.float64]:
        """The setting as a point of the unit cube.

        Raises:
            UserError: a name is missing or unknown, or a value lies outside its bounds.
        """
        if setting.keys() != self.bounds.keys():
            raise UserError(
                "setting",
                expected="values of " + ", ".join(self.bounds),
                found=", ".join(setting) or "none",
                remedy="Give each dimension of the space one value.",
            )
        point = np.array(
            [(setting[name] - low) / (high - low) for name, (low, high) in self.bounds.items()]
        )
        if not ((point >= 0) & (point <= 1)).all():
            raise UserError(
                "setting",
                expected=f"values within {self.bounds}",
                found=dict(setting),
                remedy="Widen the space, or change the value.",
            )
        return point

    def from_unit(self, point: NDArray[np.float64]) -> dict[str, float]:
        """The setting at a point of the unit cube."""
        return {
            name: float(low + value * (high - low))
            for value, (name, (low, high)) in zip(point, self.bounds.items(), strict=True)
        }
