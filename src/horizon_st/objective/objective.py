"""The training objective: which terms count, with which weights, over which passes.

    L = st_weight * CE_s + mt_weight * CE_x + consistency_weight * CR + rdrop_weight * RD
        + mt_rdrop_weight * RD_x + ctc_weight * CTC

Legend: B utterances, S transcript tokens, L target tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from horizon_st.objective import terms
from horizon_st.objective.configuration import ObjectiveConfig
from horizon_st.objective.passes import CtcInput, PassOutput
from horizon_st.objective.terms import Term
from horizon_st.objective.token_terms import token_sums

__all__ = [
    "LossReport",
    "ObjectiveConfig",
    "compute_objective",
    "external_objective",
    "validation_loss",
]


@dataclass
class LossReport:
    """Terms of one micro-batch as (sum, count), and the weights they enter the total with."""

    terms: dict[str, Term]
    weights: dict[str, float | Tensor]

    def total(self, num_target_tokens: int | Tensor) -> Tensor:
        """Weighted total per target token; pass the target tokens of the whole step."""
        sums = [self.weights[name] * term_sum for name, (term_sum, _) in self.terms.items()]
        return torch.stack(sums).sum() / num_target_tokens

    def sums(self) -> dict[str, Tensor]:
        """Unweighted sum of each term, detached, for logs."""
        return {name: term_sum.detach() for name, (term_sum, _) in self.terms.items()}


def compute_objective(
    config: ObjectiveConfig,
    speech: Sequence[PassOutput],
    text: Sequence[PassOutput],
    target: Int[Tensor, "B L"],
    transcript: Int[Tensor, "B S"],
    *,
    pad_id: int,
    ctc: CtcInput | None = None,
) -> LossReport:
    """Report of all terms of non-zero weight for the passes that ``plan_passes`` asked for.

    Cross-entropies are means over their passes; the consistency term is the mean over all pairs
    of a speech and a text pass. Rows whose transcript is all padding count in no text term. The
    tap, the divergence and the stop-gradient shape the consistency term alone; R-drop is always
    the symmetric KL at the softmax. CTC is the mean over its scores.
    Source: Jung and Lee 2025 (arXiv 2509.09701), section 3.
    """
    assert speech, "a batch of text pairs goes to external_objective"
    is_target = target != pad_id
    has_transcript = (transcript != pad_id).any(dim=1, keepdim=True)
    text_target = target.masked_fill(~has_transcript, pad_id)
    is_text_target = text_target != pad_id
    weight = _token_weight(config, speech, text, has_transcript)
    sums = token_sums(config, speech, text, target, text_target, pad_id=pad_id, weight=weight)
    counts = {"ce_speech": is_target.sum(), "rdrop": is_target.sum()}
    found = {name: (x, counts.get(name, is_text_target.sum())) for name, x in sums.items()}
    if config.consistency_weight > 0 and config.tap in ("encoder", "decoder"):
        pairs = itertools.product(speech, text)
        found["consistency"] = _mean_over_passes(
            [
                _state_consistency(
                    config, s, t, is_text_target if weight is None else is_text_target * weight
                )
                for s, t in pairs
            ]
        )
    if config.ctc_weight > 0:
        assert ctc is not None, "CTC needs scores"
        found["ctc"] = _mean_over_passes(
            [
                terms.connectionist_temporal(logits, mask, ctc.targets, blank=ctc.blank)
                for logits, mask in ctc.scores
            ]
        )
    weights = {name: _weight_of(config, name) for name in found}
    if config.schedule == "loss_ratio":
        weights |= {
            name: weights[name] * _size_ratio(found["ce_speech"], found[name])
            for name in ("consistency", "rdrop", "mt_rdrop")
            if name in found
        }
    return LossReport(found, weights)


def external_objective(
    config: ObjectiveConfig,
    text: Sequence[PassOutput],
    target: Int[Tensor, "B L"],
    *,
    pad_id: int,
) -> LossReport:
    """Report of a batch of text pairs: external_mt_weight * (CE + mt_rdrop_weight * RD_x).

    The cross-entropy is the mean over the passes.
    """
    sums = token_sums(config, [], text, target, target, pad_id=pad_id)
    count = (target != pad_id).sum()
    weight = config.external_mt_weight
    weights: dict[str, float | Tensor] = {
        "ce_pairs": weight,
        "pairs_rdrop": weight * config.mt_rdrop_weight,
    }
    return LossReport({name: (x, count) for name, x in sums.items()}, weights)


def validation_loss(speech: PassOutput, target: Int[Tensor, "B L"], *, pad_id: int) -> Term:
    """Plain cross-entropy of one deterministic speech pass, the same whatever the weights are."""
    return terms.cross_entropy(speech.logits, target, ignore_index=pad_id)


def _token_weight(
    config: ObjectiveConfig,
    speech: Sequence[PassOutput],
    text: Sequence[PassOutput],
    has_transcript: Bool[Tensor, "B 1"],
) -> Float[Tensor, "B L"] | None:
    """What each token counts; None if all count 1. Without a text pass there is no gap to see.

    The gap between the modalities is that of the decoder states of their first passes. Source: Fang
    and Feng 2023 (arXiv 2305.08706), section 4.3, whose published code has base 0.7 and gap 0.05.
    """
    if not config.weighs_tokens:
        return None
    states = speech[0].decoder_states.detach().float()
    gap = torch.zeros(states.shape[:2], device=states.device)
    if config.token_gap_weight > 0 and text:
        similarity = torch.cosine_similarity(states, text[0].decoder_states.detach().float(), -1)
        gap = (1 - similarity).masked_fill(~has_transcript, 0.0)
    return config.token_base_weight + config.token_gap_weight * gap


def _state_consistency(
    config: ObjectiveConfig,
    speech: PassOutput,
    text: PassOutput,
    is_target: Bool[Tensor, "B L"] | Float[Tensor, "B L"],
) -> Term:
    def kept(x: Tensor, side: str) -> Tensor:
        return x.detach() if config.stop_gradient == side else x

    if config.tap == "decoder":
        return terms.mean_squared_error(
            kept(speech.decoder_states, "speech"), kept(text.decoder_states, "text"), is_target
        )
    return terms.pooled_mean_squared_error(
        kept(speech.encoder_states, "speech"),
        speech.encoder_mask,
        kept(text.encoder_states, "text"),
        text.encoder_mask,
        is_target,
    )


def _mean_over_passes(found: Sequence[Term]) -> Term:
    assert found, "a term needs the passes that plan_passes asks for"
    return torch.stack([term_sum for term_sum, _ in found]).mean(), found[0][1]


def _size_ratio(reference: Term, term: Term) -> Tensor:
    """What brings a term to the size of another, both per token; a constant for gradients.

    A term of 0 has no size to be brought to, and stays.
    """
    (wanted, num_wanted), (size, num) = reference, term
    per_token = size.detach() / num.clamp(min=1)
    wanted_per_token = wanted.detach() / num_wanted.clamp(min=1)
    return torch.where(per_token > 0, wanted_per_token / per_token, 0.0)


def _weight_of(config: ObjectiveConfig, term: str) -> float | Tensor:
    return {
        "ce_speech": config.st_weight,
        "ce_text": config.mt_weight,
        "consistency": config.consistency_weight,
        "rdrop": config.rdrop_weight,
        "mt_rdrop": config.mt_rdrop_weight,
        "ctc": config.ctc_weight,
    }[term]
