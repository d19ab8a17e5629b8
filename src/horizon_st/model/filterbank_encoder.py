"""A fresh Transformer over filterbanks, for corpora that no pretrained encoder fits.

Legend: B utterances, P passes, PB their product, T speech frames, F mel bins, C features.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig, Speech2TextConfig
from transformers.models.speech_to_text.modeling_speech_to_text import Speech2TextEncoder

from horizon_st.model.convolution_module import ConvolutionalLayer, ConvolutionModule
from horizon_st.model.speech_encoder import (
    FRESH_DROPOUT,
    SpeechEncoder,
    SpeechEncoderConfig,
    check_filterbanks,
)
from horizon_st.model.subsampler import Conv1dSubsampler, length_mask

CONVOLUTION_KERNEL = "horizon_st_convolution_kernel"
"""The name, in a config of transformers, of what its Speech2Text does not have; 0 if missing."""


class Filterbanks(NamedTuple):
    """Padded filterbanks on their way through a transformers model to its convolutions."""

    frames: Float[Tensor, "B T F"]
    lengths: Int[Tensor, " B"]
    num_passes: int


class SharedConvolutions(nn.Module):
    """The convolutions of the encoder, run once for all passes, free of padding effects.

    They contain no dropout, so that every pass shares their output.

    Args:
        convolutions: give a quarter of the frame rate.
    """

    def __init__(self, convolutions: Conv1dSubsampler) -> None:
        super().__init__()
        self.convolutions = convolutions

    def forward(self, speech: Filterbanks) -> Float[Tensor, "PB T2 C"]:
        """Features of all passes."""
        features: Tensor = self.convolutions(speech.frames, speech.lengths)[0]
        return features.repeat(speech.num_passes, 1, 1)


class FilterbankTransformer(SpeechEncoder):
    """Two convolutions of stride 2 and Transformer layers (S2T Transformer, Wang et al. 2020).

    With a convolution kernel, a convolution module stands before each layer.

    Args:
        config: of the encoder of transformers' Speech2Text, with that kernel; the weights are
            random.
    """

    def __init__(self, config: Speech2TextConfig) -> None:
        super().__init__()
        self.model = Speech2TextEncoder._from_config(config)
        self.model.conv = SharedConvolutions(
            Conv1dSubsampler(
                config.input_feat_per_channel,
                config.conv_channels,
                config.d_model,
                config.conv_kernel_sizes,
                mask_padding=True,
            )
        )
        if kernel := getattr(config, CONVOLUTION_KERNEL, 0):
            width, dropout = config.d_model, config.dropout
            self.model.layers = nn.ModuleList(
                ConvolutionalLayer(layer, ConvolutionModule(width, kernel, dropout))
                for layer in self.model.layers
            )
        self.output_width = config.d_model

    @property
    def is_random(self) -> bool:
        """In training, unless built without dropout."""
        return self.training and self.model.config.dropout > 0

    def num_frames(self, lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """A quarter, rounded up twice."""
        frames: Tensor = self.model.conv.convolutions.num_frames(lengths)
        return frames

    def forward(
        self, speech: Float[Tensor, "B T F"], lengths: Int[Tensor, " B"], num_passes: int = 1
    ) -> tuple[Float[Tensor, "PB T2 C"], Int[Tensor, " PB"]]:
        """Last hidden states, 25 frames per second."""
        check_filterbanks(speech, self.model.config.input_feat_per_channel)
        mask = length_mask(lengths, speech.shape[1]).long().repeat(num_passes, 1)
        states = self.model(Filterbanks(speech, lengths, num_passes), attention_mask=mask)
        return states.last_hidden_state, self.num_frames(lengths).repeat(num_passes)


def fresh_speech_config(config: SpeechEncoderConfig) -> PreTrainedConfig:
    """The transformers config of a fresh Transformer of the asked shape."""
    speech_config = Speech2TextConfig(
        input_feat_per_channel=config.num_mel_bins,
        num_conv_layers=2,
        conv_kernel_sizes=(5, 5),
        conv_channels=2 * config.d_model,
        d_model=config.d_model,
        encoder_layers=config.layers,
        encoder_ffn_dim=config.ffn_dim,
        encoder_attention_heads=config.num_heads,
        encoder_layerdrop=0.0,
        dropout=FRESH_DROPOUT if config.dropout is None else config.dropout,
        attention_dropout=0.0,
        activation_dropout=0.0,
        decoder_layers=0,
    )
    setattr(speech_config, CONVOLUTION_KERNEL, config.convolution_kernel)
    return speech_config
