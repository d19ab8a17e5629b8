"""Which passes a configuration needs, and what the objective reads from each.

Legend: B utterances, T encoder states, T2 states that the CTC head reads, L target tokens, D width,
V vocabulary, U units of CTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from horizon_st.objective.configuration import ObjectiveConfig


@runtime_checkable
class PassOutput(Protocol):
    """One pass of one modality through the model, as far as the objective looks at it."""

    @property
    def logits(self) -> Float[Tensor, "B L V"]:
        """Scores before the softmax."""

    @property
    def decoder_states(self) -> Float[Tensor, "B L D"]:
        """Last decoder states, which the output layer turns into logits."""

    @property
    def encoder_states(self) -> Float[Tensor, "B T D"]:
        """Last states of the shared encoder."""

    @property
    def encoder_mask(self) -> Bool[Tensor, "B T"]:
        """True at real encoder states."""

    @property
    def ctc_logits(self) -> Float[Tensor, "B T2 U"] | None:
        """Scores of the CTC head; of speech passes that share them, in the first alone."""

    @property
    def ctc_mask(self) -> Bool[Tensor, "B T2"] | None:
        """True at the real states among those that the CTC head read."""


@dataclass(frozen=True)
class Passes:
    """Numbers of dropout passes over the speech and over the transcript of a batch.

    Attributes:
        speech: through the shared encoder and the decoder.
        text: likewise.
        share_speech_encoder: whether the speech passes have one pass through the speech encoder in
            common.
        ctc: whether the CTC head scores the speech passes.
    """

    speech: int
    text: int
    share_speech_encoder: bool = False
    ctc: bool = False


def plan_passes(config: ObjectiveConfig) -> Passes:
    """The fewest passes that give every term of non-zero weight, for a batch of triples."""
    return Passes(
        speech=config.rdrop_passes if config.rdrop_weight > 0 else 1,
        text=(2 if config.mt_rdrop_weight > 0 else 1) if config.has_text_pass else 0,
        share_speech_encoder=config.rdrop_from == "shared_encoder",
        ctc=config.ctc_weight > 0,
    )


def plan_external_passes(config: ObjectiveConfig) -> Passes:
    """The passes for a batch of external text pairs: none if its weight is 0, two for R-drop."""
    if config.external_mt_weight == 0:
        return Passes(speech=0, text=0)
    return Passes(speech=0, text=2 if config.mt_rdrop_weight > 0 else 1)
