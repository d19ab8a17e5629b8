"""What the parts of the model hand to each other and to the objective.

Legend: B utterances, T encoder states, L target tokens, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass
class Encoded:
    """States of the shared encoder."""

    states: Float[Tensor, "B T D"]
    mask: Bool[Tensor, "B T"]


@dataclass
class Decoded:
    """What the decoder makes of encoder states and target prefixes."""

    logits: Float[Tensor, "B L V"]
    states: Float[Tensor, "B L D"]


@dataclass
class PassOutput:
    """One pass of one modality through the whole model."""

    logits: Float[Tensor, "B L V"]
    decoder_states: Float[Tensor, "B L D"]
    encoder_states: Float[Tensor, "B T D"]
    encoder_mask: Bool[Tensor, "B T"]
    ctc_logits: Float[Tensor, "B T V"] | None
