"""Speech encoders as torch.export takes them: without checks of values, and batched.

Legend: B utterances, N samples, T speech frames, C channels.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from horizon_st.errors import UserError
from horizon_st.model.pretrained_encoder import (
    WaveformEncoder,
    WaveformFrontEnd,
    Waveforms,
    WhisperSpeechEncoder,
)
from horizon_st.model.speech_encoder import SpeechEncoder
from horizon_st.model.subsampler import length_mask


def exportable(encoder: SpeechEncoder) -> SpeechEncoder:
    """The encoder itself, or a copy that computes the same.

    Raises:
        UserError: there is none.
    """
    if isinstance(encoder, WhisperSpeechEncoder):
        return _Unchecked(encoder)
    if not isinstance(encoder, WaveformEncoder):
        return encoder
    if encoder.is_data2vec:
        raise UserError(
            "speech encoder",
            expected="filterbanks, HuBERT, wav2vec 2.0, WavLM or Whisper",
            found="data2vec-audio, whose positions see the padding of a batch",
            remedy="Translate with PyTorch.",
        )
    batched = copy.deepcopy(encoder)
    front_end = batched.model.feature_extractor
    assert isinstance(front_end, WaveformFrontEnd)
    if front_end.per_utterance:
        batched.model.feature_extractor = _MaskedFrontEnd(front_end.convolutions)
    return _Unchecked(batched)


class _Unchecked(SpeechEncoder):
    """A pretrained encoder of a padded batch, whatever is in it."""

    def __init__(self, encoder: WaveformEncoder | WhisperSpeechEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.output_width = encoder.output_width

    @property
    def is_random(self) -> bool:
        return False

    def num_frames(self, lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        return self.encoder.num_frames(lengths)

    def forward(
        self, speech: Tensor, lengths: Int[Tensor, " B"], num_passes: int = 1
    ) -> tuple[Float[Tensor, "B T C"], Int[Tensor, " B"]]:
        return self.encoder.encode_padded(speech, lengths, num_passes), self.num_frames(lengths)


class _MaskedFrontEnd(nn.Module):
    """The convolutions of a waveform model with a group norm over time, of a whole batch.

    Its statistics leave the padding out, so that each row is what the utterance gives alone.
    """

    def __init__(self, convolutions: nn.Module) -> None:
        super().__init__()
        layers = cast("nn.ModuleList", convolutions.conv_layers)
        self.first: Any = layers[0]
        self.rest = nn.Sequential(*layers[1:])
        norm = cast("nn.GroupNorm", self.first.layer_norm)
        assert norm.num_groups == norm.num_channels, "each channel has its own statistics"

    def forward(self, waveforms: Waveforms) -> Float[Tensor, "B C T"]:
        samples, lengths, _ = waveforms
        convolution, norm = self.first.conv, self.first.layer_norm
        hidden = convolution(samples[:, None])
        counts = (lengths - convolution.kernel_size[0]) // convolution.stride[0] + 1
        is_real = length_mask(counts, hidden.shape[2])[:, None]
        counts = counts[:, None, None]
        mean = hidden.masked_fill(~is_real, 0.0).sum(dim=2, keepdim=True) / counts
        centred = (hidden - mean).masked_fill(~is_real, 0.0)
        variance = centred.square().sum(dim=2, keepdim=True) / counts
        normalised = centred * torch.rsqrt(variance + norm.eps)
        hidden = normalised * norm.weight[:, None] + norm.bias[:, None]
        features: Tensor = self.rest(self.first.activation(hidden))
        return features
