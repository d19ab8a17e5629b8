"""Which passes a configuration needs, and what the objective reads from each.

Every sequence is seen twice: as what is to be translated, and as text that says the same. The names
call the first speech; nothing here looks at what it is.

Legend: B utterances, T encoder states, T2 states that the CTC head reads, L target tokens, D width,
V vocabulary, K units of a transcript, U units of CTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
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
        """Last states of the encoder."""

    @property
    def encoder_mask(self) -> Bool[Tensor, "B T"]:
        """True at real encoder states."""


@dataclass(frozen=True)
class CtcInput:
    """What CTC compares, where the objective has it.

    Attributes:
        scores: of the head for each speech pass, or once for those that share them, with a mask
            that is True at real states.
        targets: what the states should spell; rows end in eos and are padded with the blank.
        blank: the unit that stands for nothing.
    """

    scores: Sequence[tuple[Float[Tensor, "B T2 U"], Bool[Tensor, "B T2"]]]
    targets: Int[Tensor, "B K"]
    blank: int


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
    has_rdrop = config.rdrop_weight > 0
    return Passes(
        speech=config.rdrop_passes if has_rdrop else 1,
        text=(2 if config.mt_rdrop_weight > 0 else 1) if config.has_text_pass else 0,
        share_speech_encoder=has_rdrop and config.rdrop_from == "shared_encoder",
        ctc=config.ctc_weight > 0,
    )


def plan_external_passes(config: ObjectiveConfig) -> Passes:
    """The passes for a batch of external text pairs: none if its weight is 0, two for R-drop."""
    if config.external_mt_weight == 0:
        return Passes(speech=0, text=0)
    return Passes(speech=0, text=2 if config.mt_rdrop_weight > 0 else 1)
