"""The convolution module of the Conformer, put before the layers of a Transformer.

Legend: B utterances, T encoder states, D width.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn


class ConvolutionModule(nn.Module):
    """Neighbouring states mixed channel by channel, to be added to them (residual).

    Layer norm, pointwise convolution, GLU, depthwise convolution, norm, Swish, pointwise
    convolution, dropout (Gulati et al. 2020, arXiv 2005.08100, section 2.2). The inner norm is a
    layer norm as in w2v-BERT 2.0: batch normalisation would let an utterance depend on its batch.

    Args:
        width: D.
        kernel: odd, in states.
        dropout: probability.
    """

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.pointwise_in = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.depthwise_norm = nn.LayerNorm(width)
        self.pointwise_out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: Float[Tensor, "B T D"], is_real: Bool[Tensor, "B T"] | None
    ) -> Float[Tensor, "B T D"]:
        """What is added to the states; ``is_real`` is False at padding."""
        hidden = nn.functional.glu(self.pointwise_in(self.norm(states)), dim=-1)
        if is_real is not None:
            hidden = hidden.masked_fill(~is_real[..., None], 0.0)
        hidden = self.depthwise(hidden.mT).mT
        hidden = nn.functional.silu(self.depthwise_norm(hidden))
        mixed: Tensor = self.dropout(self.pointwise_out(hidden))
        return mixed


class ConvolutionalLayer(nn.Module):
    """A convolution module and a Transformer layer behind it.

    Args:
        layer: of an encoder of transformers; called with states and attention mask.
        convolution: of the same width.
    """

    def __init__(self, layer: nn.Module, convolution: ConvolutionModule) -> None:
        super().__init__()
        self.convolution = convolution
        self.layer = layer

    def forward(
        self, states: Float[Tensor, "B T D"], attention_mask: Tensor | None, **options: Any
    ) -> Float[Tensor, "B T D"]:
        """The states behind both; the mask [B, 1, T, T] of the attention is the same for all T."""
        is_real = None
        if attention_mask is not None:
            is_real = attention_mask[:, 0, 0]
            if is_real.is_floating_point():
                is_real = is_real == 0
        output: Tensor = self.layer(
            states + self.convolution(states, is_real), attention_mask, **options
        )
        return output
