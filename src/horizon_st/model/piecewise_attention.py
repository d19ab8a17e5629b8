"""Attention on CPUs, a piece at a time, that keeps nothing of the size of its scores.

PyTorch's attention with dropout keeps the scores, probabilities and masks of all pairs of positions
for the backward pass. Here a piece is computed while it is in the cache, and once more in the
backward pass, with the same random masks (Rabe and Staats 2021, arXiv 2112.05682; Dao et al. 2022,
arXiv 2205.14135).

Legend: B utterances, H heads, T queries, S keys, D width of a head.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from horizon_st.model.dropout_masks import draw_dropped

_SCORES_PER_PIECE = 2**18
"""1 MB in fp32, so that what is done to them finds them in the cache."""


def piecewise_attention(
    query: Float[Tensor, "B H T D"],
    key: Float[Tensor, "B H S D"],
    value: Float[Tensor, "B H S D"],
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "B H T D"]:
    """What PyTorch's `scaled_dot_product_attention` gives, with other random numbers.

    Products are in the dtype of the query, the softmax is in fp32. A query that may attend to no
    key gets zeros.

    Args:
        query: of all heads.
        key: likewise.
        value: likewise.
        mask: broadcast to [B, H, T, S]; boolean, True where a query may attend to a key, or
            additive. It gets no gradient.
        dropout: of attention probabilities, below 1.
        is_causal: whether query t attends to keys up to t alone.
        scale: of the scores; 1 / sqrt(D) if None.
    """
    if is_causal:
        assert mask is None, "PyTorch takes one or the other"
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
    seed = int(torch.randint(2**62, ())) if dropout > 0 else 0
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    attended: Tensor = _PiecewiseAttention.apply(
        query, key, value, _additive(mask), dropout, scale, seed
    )
    return attended


def _additive(mask: Tensor | None) -> Float[Tensor, "1|B 1|H 1|T 1|S"] | None:
    """What is added to the scores: minus infinity where a boolean mask is False."""
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)
    return mask.float().view((1,) * (4 - mask.dim()) + mask.shape)


class _PiecewiseAttention(torch.autograd.Function):
    """softmax(q k^T * scale + mask), dropped out, times v."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Float[Tensor, "B H T D"],
        key: Float[Tensor, "B H S D"],
        value: Float[Tensor, "B H S D"],
        mask: Tensor | None,
        dropout: float,
        scale: float,
        seed: int,
    ) -> Float[Tensor, "B H T D"]:
        """The attended values."""
        # Heads beside each other for every position, as the layer behind reads them.
        num_rows, num_heads, num_queries, _ = query.shape
        output = value.new_empty(num_rows, num_queries, num_heads, value.shape[3]).transpose(1, 2)
        log_sums = torch.empty(*query.shape[:3], 1)
        generator = torch.Generator().manual_seed(seed)
        for piece in _pieces(query, key):
            scores = _scores(query[piece], key[piece], mask, piece, scale)
            log_sum = scores.logsumexp(dim=-1, keepdim=True)
            log_sums[piece] = log_sum.masked_fill_(log_sum == -torch.inf, 0.0)
            probabilities = scores.sub_(log_sums[piece]).exp_()
            if dropout > 0:
                is_dropped = draw_dropped(scores.shape, dropout, generator)
                probabilities.masked_fill_(is_dropped, 0.0).mul_(1 / (1 - dropout))
            output[piece] = probabilities.to(value.dtype) @ value[piece]
        ctx.save_for_backward(query, key, value, mask, output, log_sums)
        ctx.dropout, ctx.scale, ctx.seed = dropout, scale, seed
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Float[Tensor, "B H T D"]) -> tuple[Tensor | None, ...]:
        """The gradients of query, key and value."""
        query, key, value, mask, output, log_sums = ctx.saved_tensors
        of_query, of_key, of_value = map(torch.empty_like, (query, key, value))
        generator = torch.Generator().manual_seed(ctx.seed)
        for piece in _pieces(query, key):
            outgoing = gradient[piece].to(value.dtype)
            scores = _scores(query[piece], key[piece], mask, piece, ctx.scale)
            probabilities = scores.sub_(log_sums[piece]).exp_()
            kept = probabilities
            if ctx.dropout > 0:
                is_dropped = draw_dropped(scores.shape, ctx.dropout, generator)
                kept = probabilities.masked_fill(is_dropped, 0.0).mul_(1 / (1 - ctx.dropout))
            of_value[piece] = kept.to(value.dtype).mT @ outgoing
            of_scores = (outgoing @ value[piece].mT).float().mul_(kept)
            # The mean over keys that the softmax's gradient subtracts is that of the output.
            mean = (outgoing.float() * output[piece].float()).sum(dim=-1, keepdim=True)
            of_scores = of_scores.sub_(probabilities.mul_(mean)).mul_(ctx.scale).to(query.dtype)
            of_query[piece] = of_scores @ key[piece]
            of_key[piece] = of_scores.mT @ query[piece]
        return of_query, of_key, of_value, None, None, None, None


def _scores(
    query: Tensor, key: Tensor, mask: Tensor | None, piece: tuple[slice, slice], scale: float
) -> Float[Tensor, "B H T S"]:
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
