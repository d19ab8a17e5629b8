"""What the parts of the model hand to each other and to the objective.

Legend: B utterances of all passes, R those of the passes that do not share what CTC reads, T
encoder states, T2 states that the CTC head reads, C their width, L target tokens, D width of the
text model, V vocabulary, U units of CTC.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass
class CtcOutput:
    """Scores of the CTC head."""

    logits: Float[Tensor, "B T2 U"]
    mask: Bool[Tensor, "B T2"]


@dataclass
class Encoded:
    """States of the shared encoder, and those of speech that the CTC head reads.

    The latter stand once for all passes that share them.
    """

    states: Float[Tensor, "B T D"]
    mask: Bool[Tensor, "B T"]
    ctc_states: Float[Tensor, "R T2 C"] | None = None
    ctc_mask: Bool[Tensor, "R T2"] | None = None


@dataclass
class Decoded:
    """What the decoder makes of encoder states and target prefixes."""

    logits: Float[Tensor, "B L V"]
    states: Float[Tensor, "B L D"]


@dataclass
class PassOutput:
    """One pass of one modality through the whole model.

    Of passes that share what the CTC head reads, only the first has its scores.
    """

    logits: Float[Tensor, "B L V"]
    decoder_states: Float[Tensor, "B L D"]
    encoder_states: Float[Tensor, "B T D"]
    encoder_mask: Bool[Tensor, "B T"]
    ctc_logits: Float[Tensor, "B T2 U"] | None
    ctc_mask: Bool[Tensor, "B T2"] | None
