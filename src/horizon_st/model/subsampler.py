"""Strided convolutions that shorten speech features to about the rate of text tokens.

Legend: B utterances, T speech frames, C input channels, D output width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from horizon_st.errors import UserError

STRIDE = 2


@dataclass
class SubsamplerConfig:
    """Shape of the convolutions between speech encoder and text model."""

    kernel_sizes: list[int] = field(
        default_factory=lambda: [5, 5],
        metadata={"help": "Kernel of each layer, odd, in frames; each layer halves the frames."},
    )
    mid_channels: int = field(
        default=1024, metadata={"help": "Channels that a convolution puts out before its GLU."}
    )

    def __post_init__(self) -> None:
        """Refuse kernels without a middle and channels that a GLU cannot halve."""
        if not self.kernel_sizes or any(k < 1 or k % 2 == 0 for k in self.kernel_sizes):
            raise UserError(
                "model.subsampler.kernel_sizes",
                expected="one or more odd numbers of frames",
                found=self.kernel_sizes,
                remedy="[5, 5] is usual.",
            )
        if self.mid_channels < 2 or self.mid_channels % 2:
            raise UserError(
                "model.subsampler.mid_channels",
                expected="an even number of at least 2, because the GLU halves it",
                found=self.mid_channels,
                remedy="1024 is usual; 256 suits a small model.",
            )


class Conv1dSubsampler(nn.Module):
    """Features at a quarter of the frame rate, with two kernels: (conv, stride 2, GLU) each.

    Same arithmetic and state dict (``conv_layers.{i}.weight``, ``.bias``) as the subsampler of
    fairseq's S2T Transformer (Wang et al. 2020, arXiv 2010.05171). Like it, the module lets by
    default what stands beyond an utterance's length run into its last frames. With
    ``mask_padding`` every layer sees zeros there, which is what an utterance that is alone in its
    batch sees: the output does not depend on the batch then.

    Args:
        in_channels: C, width of the features.
        mid_channels: channels before the GLU of every layer but the last.
        out_channels: D, width after the last GLU.
        kernel_sizes: odd kernel of each layer, in frames.
        mask_padding: set frames beyond the lengths to 0 before each layer and in the output.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (5, 5),
        *,
        mask_padding: bool = False,
    ) -> None:
        super().__init__()
        last = len(kernel_sizes) - 1
        self.mask_padding = mask_padding
        self.conv_layers = nn.ModuleList(
            nn.Conv1d(
                in_channels if i == 0 else mid_channels // 2,
                mid_channels if i < last else 2 * out_channels,
                kernel,
                stride=STRIDE,
                padding=kernel // 2,
            )
            for i, kernel in enumerate(kernel_sizes)
        )

    def forward(
        self, features: Float[Tensor, "B T C"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B T2 D"], Int[Tensor, " B"]]:
        """Shortened features and their lengths: each layer turns n frames into ceil(n / 2)."""
        hidden = features.transpose(1, 2)
        for conv in self.conv_layers:
            hidden = nn.functional.glu(conv(self._masked(hidden, lengths)), dim=1)
            lengths = _shortened(lengths)
        return self._masked(hidden, lengths).transpose(1, 2), lengths

    def num_frames(self, lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """The lengths that `forward` gives."""
        for _ in self.conv_layers:
            lengths = _shortened(lengths)
        return lengths

    def _masked(self, hidden: Float[Tensor, "B C T"], lengths: Int[Tensor, " B"]) -> Tensor:
        if not self.mask_padding:
            return hidden
        return hidden.masked_fill(~length_mask(lengths, hidden.shape[-1])[:, None], 0.0)


def _shortened(lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    return (lengths - 1) // STRIDE + 1


def length_mask(lengths: Int[Tensor, " B"], num_frames: int) -> Bool[Tensor, "B T"]:
    """True at the first ``lengths`` positions of each row of ``num_frames``."""
    return torch.arange(num_frames, device=lengths.device)[None] < lengths[:, None]
