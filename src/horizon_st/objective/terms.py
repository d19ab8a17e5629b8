"""Losses as pure functions: each returns (sum over target tokens, number of target tokens).

The caller divides: by the target tokens of the whole step, over all micro-batches and ranks, so
that no term depends on how a step is cut into pieces. Half-precision input is computed in float32.

Legend: B utterances, T encoder states, S transcript tokens, L target tokens, D width, V vocabulary,
N any leading dimensions.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Term = tuple[Tensor, Tensor]
"""Sum (differentiable scalar) and count (int64 scalar)."""
Weight = Bool[Tensor, "*N"] | Float[Tensor, "*N"]
"""How much each token counts: a mask, or a number each."""


def cross_entropy(
    logits: Float[Tensor, "B L V"],
    target: Int[Tensor, "B L"],
    *,
    label_smoothing: float = 0.0,
    ignore_index: int,
) -> Term:
    """Label-smoothed cross-entropy, summed over the targets that are not ``ignore_index``.

    The target symbol gets probability 1 - eps and each of the V - 1 others eps / (V - 1), as in
    fairseq's ``label_smoothed_nll_loss``. (PyTorch gives the target 1 - eps + eps / V; the two
    agree when PyTorch is called with eps * V / (V - 1).)
    """
    return smoothed_nll(
        log_probabilities(logits),
        target,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
    )


def symmetric_kl(
    logits_p: Float[Tensor, "B L V"],
    logits_q: Float[Tensor, "B L V"],
    is_target: Bool[Tensor, "B L"],
) -> Term:
    """(KL(p||q) + KL(q||p)) / 2, summed over target tokens; gradients flow into both sides.

    This is half the Jeffreys divergence, the distance of R-drop (Liang et al. 2021, eq. 2) and of
    the consistency terms of CRESS and SimCR. It is not the Jensen-Shannon divergence.
    """
    return symmetric_kl_of(log_probabilities(logits_p), log_probabilities(logits_q), is_target)


def kl_divergence(
    logits_p: Float[Tensor, "B L V"],
    logits_q: Float[Tensor, "B L V"],
    is_target: Bool[Tensor, "B L"],
) -> Term:
    """KL(p||q) = sum_v p (log p - log q), summed over target tokens; gradients into both sides."""
    return kl_divergence_of(log_probabilities(logits_p), log_probabilities(logits_q), is_target)


def jensen_shannon(
    logits_p: Float[Tensor, "B L V"],
    logits_q: Float[Tensor, "B L V"],
    is_target: Bool[Tensor, "B L"],
) -> Term:
    """(KL(p||m) + KL(q||m)) / 2 with m = (p + q) / 2, summed over target tokens.

    A token has at most log 2. Gradients flow into both sides. Source: Lin 1991, eq. 4.1 with
    equal weights, in nats.
    """
    return jensen_shannon_of(log_probabilities(logits_p), log_probabilities(logits_q), is_target)


def renyi(
    logits_p: Float[Tensor, "B L V"],
    logits_q: Float[Tensor, "B L V"],
    is_target: Bool[Tensor, "B L"],
    *,
    order: float,
) -> Term:
    """The mean of D(p||q) and D(q||p), summed over target tokens, of Rényi's divergence.

    D(p||q) = log Σ p^order·q^(1−order) / (order − 1); order 0.5 is twice the Bhattacharyya
    distance, order towards 1 the KL divergence. Gradients flow into both sides. Source: van Erven
    and Harremoës 2014 (arXiv 1206.2459), eq. 1.
    """
    log_p, log_q = log_probabilities(logits_p), log_probabilities(logits_q)
    return renyi_of(log_p, log_q, is_target, order=order)


def mean_squared_error(
    states_p: Float[Tensor, "*N D"],
    states_q: Float[Tensor, "*N D"],
    is_target: Weight,
) -> Term:
    """Squared difference, the mean over the width D, summed over target tokens.

    The mean over the width keeps a weight comparable between models of different width (and, on
    logits, between vocabularies), as the mean squared error of PyTorch does. In place of the mask
    there may be a weight of each token, here and below.
    """
    states_p, states_q = _at_least_float32(states_p), _at_least_float32(states_q)
    return _sum_over_targets((states_p - states_q).square().mean(dim=-1), is_target)


def pooled_mean_squared_error(
    states_p: Float[Tensor, "B T D"],
    mask_p: Bool[Tensor, "B T"],
    states_q: Float[Tensor, "B S D"],
    mask_q: Bool[Tensor, "B S"],
    is_target: Bool[Tensor, "B L"] | Float[Tensor, "B L"],
) -> Term:
    """Mean squared error of the time averages of two state sequences, once per target token.

    The sequences may differ in length; frames outside the masks do not count. An utterance has
    one value, and each of its target tokens carries it: so the term is a sum over target tokens
    like every other, and long utterances weigh as much as they do in the cross-entropy.
    """
    pooled_p = _mean_over_time(_at_least_float32(states_p), mask_p)
    pooled_q = _mean_over_time(_at_least_float32(states_q), mask_q)
    per_utterance = (pooled_p - pooled_q).square().mean(dim=-1)
    return _sum_over_targets(per_utterance[:, None].expand(is_target.shape), is_target)


def connectionist_temporal(
    logits: Float[Tensor, "B T V"],
    frame_mask: Bool[Tensor, "B T"],
    transcript: Int[Tensor, "B S"],
    *,
    blank: int,
) -> Term:
    """CTC negative log-likelihoods of the transcripts, summed over utterances, and their number.

    ``transcript`` rows end in eos, which CTC does not emit, and are padded with ``blank`` (the
    padding id serves as the blank). Rows that are not `is_alignable` contribute 0 and are not
    counted. Source: Graves et al. 2006, eq. 8.
    """
    num_tokens = (transcript != blank).sum(dim=1) - 1
    num_states = frame_mask.sum(dim=1)
    nll = torch.nn.functional.ctc_loss(
        log_probabilities(logits).transpose(0, 1),
        transcript,
        num_states,
        num_tokens.clamp(min=0),
        blank=blank,
        reduction="none",
        zero_infinity=True,
    )
    counts = is_alignable(transcript, num_states, blank=blank)
    return torch.where(counts, nll, 0.0).sum(), counts.sum()


def is_alignable(
    transcript: Int[Tensor, "B S"], num_states: Int[Tensor, " B"], *, blank: int
) -> Bool[Tensor, " B"]:
    """Whether there is a transcript, and CTC has the encoder states that it needs for it."""
    needed = ctc_states_needed(transcript, blank=blank)
    return (needed > 0) & (needed <= num_states)


def ctc_states_needed(transcript: Int[Tensor, "B S"], *, blank: int) -> Int[Tensor, " B"]:
    """The fewest encoder states that CTC needs for each transcript, 0 where there is none.

    One for each token, and a blank between equal neighbours; rows are those of
    `connectionist_temporal`.
    """
    is_unit = torch.zeros_like(transcript, dtype=torch.bool)
    is_unit[:, :-1] = transcript[:, 1:] != blank  # all but eos
    is_repeat = (transcript[:, 1:] == transcript[:, :-1]) & is_unit[:, 1:]
    return is_unit.sum(dim=1) + is_repeat.sum(dim=1)


def log_probabilities(logits: Float[Tensor, "*N V"]) -> Float[Tensor, "*N V"]:
    """Log-softmax over the vocabulary, in float32 or better: computed once per pass and shared."""
    return torch.log_softmax(_at_least_float32(logits), dim=-1)


def smoothed_nll(
    log_p: Float[Tensor, "*N V"],
    target: Int[Tensor, "*N"],
    *,
    label_smoothing: float,
    ignore_index: int,
    weight: Weight | None = None,
) -> Term:
    """:func:`cross_entropy` of log-probabilities; tokens may have weights."""
    is_target = target != ignore_index
    index = target.masked_fill(~is_target, 0)[..., None]
    per_token = -log_p.gather(-1, index).squeeze(-1)
    if label_smoothing > 0:
        other = label_smoothing / (log_p.shape[-1] - 1)
        per_token = (1.0 - label_smoothing - other) * per_token - other * log_p.sum(dim=-1)
    return _sum_over_targets(per_token, is_target if weight is None else is_target * weight)


def symmetric_kl_of(
    log_p: Float[Tensor, "*N V"],
    log_q: Float[Tensor, "*N V"],
    weight: Weight,
) -> Term:
    """:func:`symmetric_kl` of log-probabilities, with a weight of each token."""
    per_token = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1) / 2
    return _sum_over_targets(per_token, weight)


def kl_divergence_of(
    log_p: Float[Tensor, "*N V"],
    log_q: Float[Tensor, "*N V"],
    weight: Weight,
) -> Term:
    """:func:`kl_divergence` of log-probabilities, with a weight of each token."""
    return _sum_over_targets((log_p.exp() * (log_p - log_q)).sum(dim=-1), weight)


def jensen_shannon_of(
    log_p: Float[Tensor, "*N V"],
    log_q: Float[Tensor, "*N V"],
    weight: Weight,
) -> Term:
    """:func:`jensen_shannon` of log-probabilities, with a weight of each token."""
    log_m = torch.logaddexp(log_p, log_q) - torch.log(torch.tensor(2.0, dtype=log_p.dtype))
    per_token = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
    return _sum_over_targets(per_token.sum(dim=-1) / 2, weight)


def renyi_of(
    log_p: Float[Tensor, "*N V"],
    log_q: Float[Tensor, "*N V"],
    weight: Weight,
    *,
    order: float,
) -> Term:
    """:func:`renyi` of log-probabilities, with a weight of each token."""
    both = [
        torch.logsumexp(order * log_a + (1 - order) * log_b, dim=-1)
        for log_a, log_b in ((log_p, log_q), (log_q, log_p))
    ]
    return _sum_over_targets((both[0] + both[1]) / (2 * (order - 1)), weight)


def _sum_over_targets(per_token: Float[Tensor, "*N"], weight: Weight) -> Term:
    """The weighted sum over the tokens that count, and their number."""
    is_mask = weight.dtype == torch.bool
    counts = weight if is_mask else weight != 0
    weighted = per_token if is_mask else per_token * weight
    return weighted.masked_fill(~counts, 0.0).sum(), counts.sum()


def _mean_over_time(
    states: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B D"]:
    total = states.masked_fill(~mask[..., None], 0.0).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
