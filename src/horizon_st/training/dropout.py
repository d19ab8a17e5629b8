"""Dropout on CPUs without waiting for random numbers and memory.

PyTorch draws a number for every element one after the other, which takes longer than the matrix
product before it; and its attention with dropout keeps the scores, probabilities and masks of all
pairs of positions for the backward pass. Here each 64-bit draw of its generator serves four
elements, and attention with dropout goes piece by piece, keeps none of them, and computes them once
more in the backward pass (Rabe and Staats 2021, arXiv 2112.05682; Dao et al. 2022, arXiv
2205.14135).

Legend: B utterances, H heads, T queries, S keys, D width of a head.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_BITS = 16
"""Per element: the probability of dropping is exact to 2 ** -17."""
_PER_DRAW = 64 // _BITS
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_SCORES_PER_PIECE = 2**19
"""2 MB in fp32, so that what is done to them finds them in the cache."""


class FastDropout(TorchFunctionMode):
    """A context in which dropout of CPU tensors, and attention with dropout, are the faster ones.

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
        """The result of `func`, or of what is faster."""
        faster: dict[Callable[..., Any], Callable[..., Any]] = {
            nn.functional.dropout: _dropout,
            nn.functional.scaled_dot_product_attention: _attention,
        }
        return faster.get(func, func)(*args, **(kwargs or {}))


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Inverted dropout (Srivastava et al. 2014): elements are 0, or divided by 1 - p."""
    if input.device.type != "cpu" or not training or not 0 < p < 1 or inplace:
        return nn.functional.dropout(input, p, training, inplace)
    is_kept = ~_draw_dropped(input.shape, p)
    thinned: Tensor = input * is_kept.to(input.dtype).mul_(1 / (1 - p))
    return thinned


def _draw_dropped(
    shape: torch.Size, p: float, generator: torch.Generator | None = None
) -> Bool[Tensor, " *shape"]:
    """True for each element with probability p."""
    num = shape.numel()
    draws = torch.empty(-(-num // _PER_DRAW), dtype=torch.int64)
    draws.random_(_LOWEST, _HIGHEST, generator=generator)
    shares = draws.view(torch.int16)[:num].view(shape)
    is_dropped: Tensor = shares < round(p * 2**_BITS) - 2 ** (_BITS - 1)
    return is_dropped


def _attention(
    query: Float[Tensor, "... T D"],
    key: Float[Tensor, "... S D"],
    value: Float[Tensor, "... S D"],
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Float[Tensor, "... T D"]:
    """PyTorch's attention, or, where it drops probabilities on a CPU, the one that keeps less."""
    is_ours = query.device.type == "cpu" and 0 < dropout_p < 1 and query.dim() == 4
    has_bias = attn_mask is not None and attn_mask.requires_grad
    if not is_ours or has_bias or enable_gqa:
        return nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if is_causal:
        is_past = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
        attn_mask = is_past if attn_mask is None else attn_mask & is_past
    seed = int(torch.randint(2**62, ()))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    attended: Tensor = _DropoutAttention.apply(
        query, key, value, _additive(attn_mask), dropout_p, scale, seed
    )
    return attended


def _additive(mask: Tensor | None) -> Float[Tensor, "1|B 1|H 1|T S"] | None:
    """What is added to the scores: minus infinity where a boolean mask is False."""
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)
    return mask.float().view((1,) * (4 - mask.dim()) + mask.shape)


class _DropoutAttention(torch.autograd.Function):
    """softmax(q k^T * scale + mask), dropped out, times v; the products in the dtype of q."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "B H T D"],
        key: Float[Tensor, "B H S D"],
        value: Float[Tensor, "B H S D"],
        mask: Tensor | None,
        p: float,
        scale: float,
        seed: int,
    ) -> Float[Tensor, "B H T D"]:
        output = torch.empty(*query.shape[:3], value.shape[3], dtype=value.dtype)
        log_sums = torch.empty(*query.shape[:3], 1)
        generator = torch.Generator().manual_seed(seed)
        for piece in _pieces(query, key):
            scores = _scores(query[piece], key[piece], mask, piece, scale)
            # A row without any key is minus infinity all over, and attends to nothing.
            log_sum = scores.logsumexp(dim=-1, keepdim=True)
            log_sums[piece] = log_sum.masked_fill_(log_sum == -torch.inf, 0.0)
            probabilities = scores.sub_(log_sums[piece]).exp_()
            is_dropped = _draw_dropped(scores.shape, p, generator)
            kept = probabilities.masked_fill_(is_dropped, 0.0).mul_(1 / (1 - p))
            output[piece] = kept.to(value.dtype) @ value[piece]
        ctx.save_for_backward(query, key, value, mask, output, log_sums)
        ctx.p, ctx.scale, ctx.seed = p, scale, seed
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Float[Tensor, "B H T D"]) -> tuple[Tensor | None, ...]:
        query, key, value, mask, output, log_sums = ctx.saved_tensors
        of_query, of_key, of_value = map(torch.empty_like, (query, key, value))
        generator = torch.Generator().manual_seed(ctx.seed)
        for piece in _pieces(query, key):
            scores = _scores(query[piece], key[piece], mask, piece, ctx.scale)
            probabilities = scores.sub_(log_sums[piece]).exp_()
            is_dropped = _draw_dropped(scores.shape, ctx.p, generator)
            kept = probabilities.masked_fill(is_dropped, 0.0).mul_(1 / (1 - ctx.p))
            outgoing = gradient[piece].to(value.dtype)
            of_value[piece] = kept.to(value.dtype).mT @ outgoing
            # The softmax's gradient needs the mean over keys, which is that of the output.
            mean = (outgoing.float() * output[piece].float()).sum(dim=-1, keepdim=True)
            of_kept = (outgoing @ value[piece].mT).float()
            of_scores = kept.mul_(of_kept).sub_(probabilities.mul_(mean)).mul_(ctx.scale)
            of_scores = of_scores.to(query.dtype)
            of_query[piece] = of_scores @ key[piece]
            of_key[piece] = of_scores.mT @ query[piece]
        return of_query, of_key, of_value, None, None, None, None


def _scores(
    query: Tensor, key: Tensor, mask: Tensor | None, piece: tuple[slice, slice], scale: float
) -> Float[Tensor, "b h T S"]:
    scores = (query @ key.mT).float().mul_(scale)
    if mask is not None:
        rows, heads = piece
        mask = mask[rows] if len(mask) > 1 else mask
        scores += mask[:, heads] if mask.shape[1] > 1 else mask
    return scores


def _pieces(query: Tensor, key: Tensor) -> Iterator[tuple[slice, slice]]:
    """Some heads of one utterance, or all heads of some utterances."""
    num_rows, num_heads, num_queries, _ = query.shape
    num_fitting = max(1, _SCORES_PER_PIECE // (num_queries * key.shape[2]))
    heads = min(num_heads, num_fitting)
    rows = max(1, num_fitting // num_heads)
    for row, head in itertools.product(range(0, num_rows, rows), range(0, num_heads, heads)):
        yield slice(row, row + rows), slice(head, head + heads)
