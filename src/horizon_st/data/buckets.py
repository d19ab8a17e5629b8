"""Lengths -> buckets of similar ones, and how many examples a batch of each may hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from horizon_st.errors import UserError


@dataclass(frozen=True)
class BatchLimit:
    """What a batch may hold.

    Attributes:
        key: where the recipe sets it.
        length: seconds or tokens, with padding.
        unit: of the length, for messages.
        num_examples: a bound of its own.
    """

    key: str
    length: float
    unit: str
    num_examples: int | None = None

    def size_within(self, bound: float) -> int:
        """How many examples of at most this length make a batch."""
        size = max(1, int(self.length // bound))
        return size if self.num_examples is None else min(size, self.num_examples)

    def check(self, length: float, example: str) -> None:
        """Refuses an example that alone is longer than a batch.

        Raises:
            UserError: it is.
        """
        if length > self.length:
            raise UserError(
                self.key,
                expected="room for the longest example",
                found=f"{length:g} {self.unit} in {example}",
                remedy=f"Raise {self.key}, or split or remove the example.",
            )


def bucket_bounds(lengths: Sequence[float], num_buckets: int) -> list[float]:
    """The longest length of each bucket; the buckets share the total length about equally."""
    ordered = np.sort(lengths)
    num_buckets = max(1, min(num_buckets, len(np.unique(ordered)) // 2))
    total = np.cumsum(ordered)
    shares = total[-1] * np.arange(1, num_buckets) / num_buckets
    return sorted({*ordered[np.searchsorted(total, shares)].tolist(), ordered[-1].item()})
