"""Dropout on CPUs without waiting for random numbers."""

from __future__ import annotations

from torch import Tensor, nn

from horizon_st.model.dropout_masks import draw_dropped
from horizon_st.model.replaced_function import ReplacedFunction


class FastDropout(ReplacedFunction):
    """A context in which dropout of CPU tensors draws its mask several elements at a time.

    Masks come from PyTorch's own generator, so seeds and saved random states hold. Tensors on
    other devices are left to PyTorch.
    """

    def __init__(self) -> None:
        super().__init__(nn.functional.dropout, _dropout)


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Inverted dropout (Srivastava et al. 2014): elements are 0, or divided by 1 - p."""
    if input.device.type != "cpu" or not training or not 0 < p < 1 or inplace:
        return nn.functional.dropout(input, p, training, inplace)
    is_kept = ~draw_dropped(input.shape, p)
    thinned: Tensor = input * is_kept.to(input.dtype).mul_(1 / (1 - p))
    return thinned
