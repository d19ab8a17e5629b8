"""The terms that read logits, computed for a slice of target tokens at a time.

Legend: N packed target tokens, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from horizon_st.objective import terms
from horizon_st.objective.configuration import ObjectiveConfig
from horizon_st.objective.passes import PassOutput

Sums = dict[str, Tensor]

PAIR_TERMS = ("ce_pairs", "pairs_rdrop")
"""The terms of text pairs without speech."""

SLICE_ELEMENTS = {"cpu": 2**19, "other": 2**26}
"""Logits per slice: on a CPU its temporaries then stay in the cache (measured 4 to 6 times
faster than whole batches), on other devices few launches matter more."""


def token_sums(
    config: ObjectiveConfig,
    speech: Sequence[PassOutput],
    text: Sequence[PassOutput],
    target: Int[Tensor, "B L"],
    text_target: Int[Tensor, "B L"],
    *,
    pad_id: int,
    weight: Float[Tensor, "B L"] | None = None,
) -> Sums:
    """Sums over target tokens of all terms that read logits, by name.

    Padding is taken out first. Each pass has one log-softmax, which its terms share. Without
    speech passes the terms are ``ce_pairs`` and ``pairs_rdrop``. ``text_target`` is ``target`` with
    padding in the rows that no text term counts. ``weight`` is what each token counts in the
    cross-entropies and in consistency.
    """
    index = (target != pad_id).flatten().nonzero().squeeze(-1)
    packed = [p.logits.flatten(0, 1).index_select(0, index) for p in (*speech, *text)]
    weight = torch.ones_like(target, dtype=torch.float32) if weight is None else weight
    per_token = [t.flatten().index_select(0, index) for t in (target, text_target, weight)]
    found: dict[str, list[Tensor]] = {}
    for logits, (slice_target, slice_text_target, slice_weight) in _slices(packed, per_token):
        sums = _slice_sums(
            config,
            logits[: len(speech)],
            logits[len(speech) :],
            slice_target,
            slice_text_target,
            slice_weight if config.weighs_tokens else None,
            pad_id=pad_id,
        )
        for name, value in sums.items():
            found.setdefault(name, []).append(value)
    return {name: torch.stack(values).sum() for name, values in found.items()}


def _slices(
    packed: Sequence[Float[Tensor, "N V"]],
    per_token: Sequence[Int[Tensor, " N"] | Float[Tensor, " N"]],
) -> Iterator[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
    """Slices of some tokens: logits of all passes, and what there is of each token."""
    device = packed[0].device.type
    budget = SLICE_ELEMENTS["cpu" if device == "cpu" else "other"]
    size = max(1, budget // packed[0].shape[-1])
    logits = zip(*(x.split(size) for x in packed), strict=True)
    return zip(logits, zip(*(t.split(size) for t in per_token), strict=True), strict=True)


def _slice_sums(
    config: ObjectiveConfig,
    speech: Sequence[Float[Tensor, "N V"]],
    text: Sequence[Float[Tensor, "N V"]],
    target: Int[Tensor, " N"],
    text_target: Int[Tensor, " N"],
    weight: Float[Tensor, " N"] | None,
    *,
    pad_id: int,
) -> Sums:
    is_target, is_text_target = target != pad_id, text_target != pad_id
    log_speech = [terms.log_probabilities(x) for x in speech]
    log_text = [terms.log_probabilities(x) for x in text]

    def nll(log_p: Sequence[Tensor], target: Tensor) -> Tensor:
        found = [
            terms.smoothed_nll(
                x,
                target,
                label_smoothing=config.label_smoothing,
                ignore_index=pad_id,
                weight=weight,
            )
            for x in log_p
        ]
        return torch.stack([total for total, _ in found]).mean()

    sums: Sums = {}
    if not speech:
        sums["ce_pairs"] = nll(log_text, text_target)
        if config.mt_rdrop_weight > 0:
            sums["pairs_rdrop"] = terms.symmetric_kl_of(log_text[0], log_text[1], is_text_target)[0]
        return sums
    if config.st_weight > 0:
        sums["ce_speech"] = nll(log_speech, target)
    if config.mt_weight > 0:
        sums["ce_text"] = nll(log_text, text_target)
    if config.consistency_weight > 0 and config.tap in ("logits", "softmax"):
        pairs = (
            itertools.product(speech, text)
            if config.tap == "logits"
            else itertools.product(log_speech, log_text)
        )
        counts = is_text_target if weight is None else is_text_target * weight
        found = [_consistency(config, s, t, counts) for s, t in pairs]
        sums["consistency"] = torch.stack(found).mean()
    if config.rdrop_weight > 0:
        sums["rdrop"] = torch.stack(
            [
                terms.symmetric_kl_of(first, second, is_target)[0]
                for first, second in itertools.combinations(log_speech, 2)
            ]
        ).mean()
    if config.mt_rdrop_weight > 0 and config.has_text_pass:
        sums["mt_rdrop"] = terms.symmetric_kl_of(log_text[0], log_text[1], is_text_target)[0]
    return sums


def _consistency(
    config: ObjectiveConfig, speech: Tensor, text: Tensor, weight: terms.Weight
) -> Tensor:
    """The distance of one pair of passes; both are logits or both are log-probabilities."""
    speech = speech.detach() if config.stop_gradient == "speech" else speech
    text = text.detach() if config.stop_gradient == "text" else text
    if config.tap == "logits":
        return terms.mean_squared_error(speech, text, weight)[0]
    if config.divergence == "symmetric_kl":
        return terms.symmetric_kl_of(speech, text, weight)[0]
    if config.divergence == "jensen_shannon":
        return terms.jensen_shannon_of(speech, text, weight)[0]
    if config.divergence == "kl_speech_text":
        return terms.kl_divergence_of(speech, text, weight)[0]
    if config.divergence == "kl_text_speech":
        return terms.kl_divergence_of(text, speech, weight)[0]
    return terms.renyi_of(speech, text, weight, order=config.renyi_order)[0]
