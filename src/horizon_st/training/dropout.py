"""Dropout on CPUs without waiting for random numbers.

PyTorch draws a number for every element one after the other, which takes longer than the matrix
product before it. Here each 64-bit draw of its generator serves four elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_BITS = 16
"""Per element: the probability of dropping is exact to 2 ** -17."""
_PER_DRAW = 64 // _BITS
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class FastDropout(TorchFunctionMode):
    """A context in which dropout of CPU tensors draws its mask several elements at a time.

    Masks come from PyTorch's own generator, so seeds and saved random states hold. Tensors on
    other devices are left to PyTorch.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The result of `func`, or of the faster dropout."""
        chosen = _dropout if func is nn.functional.dropout else func
        return chosen(*args, **(kwargs or {}))


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Inverted dropout (Srivastava et al. 2014): elements are 0, or divided by 1 - p."""
    if input.device.type != "cpu" or not training or not 0 < p < 1 or inplace:
        return nn.functional.dropout(input, p, training, inplace)
    num = input.numel()
    draws = torch.empty(-(-num // _PER_DRAW), dtype=torch.int64).random_(_LOWEST, _HIGHEST)
    shares = draws.view(torch.int16)[:num].view(input.shape)
    kept = shares >= round(p * 2**_BITS) - 2 ** (_BITS - 1)
    thinned: Tensor = input * kept.to(input.dtype).mul_(1 / (1 - p))
    return thinned
