"""Random masks for CPUs, several elements from each random number."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

_BITS = 16
"""Per element: the probability of dropping is exact to 2 ** -17."""
_PER_DRAW = 64 // _BITS
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def draw_dropped(
    shape: torch.Size, p: float, generator: torch.Generator | None = None
) -> Bool[Tensor, " *shape"]:
    """True for each element with probability p.

    PyTorch draws a number for every element one after the other, which takes longer than the
    matrix product before it. Here each 64-bit draw of its generator serves four elements.
    """
    num = shape.numel()
    draws = torch.empty(-(-num // _PER_DRAW), dtype=torch.int64)
    draws.random_(_LOWEST, _HIGHEST, generator=generator)
    shares = draws.view(torch.int16)[:num].view(shape)
    is_dropped: Tensor = shares < round(p * 2**_BITS) - 2 ** (_BITS - 1)
    return is_dropped
