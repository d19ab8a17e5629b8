"""Pretrained speech encoders of transformers behind one role: waveform models and Whisper.

Legend: B utterances, P passes, PB their product, N samples, T speech frames, C features,
F mel bins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Self, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel, Speech2TextConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from horizon_st.errors import UserError
from horizon_st.model.filterbank_encoder import FilterbankTransformer
from horizon_st.model.speech_encoder import FilterbankEncoder, SpeechEncoder, SpeechTraining
from horizon_st.model.subsampler import length_mask

WAVEFORM_TYPES = ("hubert", "wav2vec2", "wavlm", "data2vec-audio")
SPEECH_TYPES = (*WAVEFORM_TYPES, "whisper")
MASK_EMBEDDING = "masked_spec_embed"
"""The weight that stands for masked frames; waveform models have it where they mask."""
WHISPER_DYNAMIC_RANGE = 2.0
"""Whisper cuts log-mel at 8 decades below the maximum and divides by 4: silence is max - 2."""


class Waveforms(NamedTuple):
    """Padded waveforms on their way through a transformers model to its convolutions."""

    samples: Float[Tensor, "B N"]
    lengths: Int[Tensor, " B"]
    num_passes: int


class WaveformFrontEnd(nn.Module):
    """The convolutions of a waveform model, run once for all passes, free of padding effects.

    They contain no dropout, so that every pass shares their output. A group norm over time
    (``feat_extract_norm="group"``, as in HuBERT-base) would mix padding into the statistics;
    such models therefore see one utterance at a time.

    Args:
        convolutions: ``feature_extractor`` of the transformers model.
        per_utterance: whether padding must not reach the convolutions.
        frozen: compute no gradients for them.
    """

    def __init__(self, convolutions: nn.Module, *, per_utterance: bool, frozen: bool) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.per_utterance = per_utterance
        self.frozen = frozen
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Itself; what is frozen stays so when `from_pretrained` has let all weights be trained."""
        if self.frozen:
            self.requires_grad_(False)
        return super().train(mode)

    def forward(self, waveforms: Waveforms) -> Float[Tensor, "PB C T"]:
        """Features of all passes; frames beyond an utterance's length hold nothing of use."""
        samples, lengths, num_passes = waveforms
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            if self.per_utterance:
                rows = [
                    self.convolutions(row[None, :n])[0].T
                    for row, n in zip(samples, lengths.tolist(), strict=True)
                ]
                features = nn.utils.rnn.pad_sequence(rows, batch_first=True).transpose(1, 2)
            else:
                features = self.convolutions(samples)
        return features.repeat(num_passes, 1, 1)


class WaveformEncoder(SpeechEncoder):
    """HuBERT, wav2vec 2.0, WavLM or data2vec-audio.

    Valid frames do not depend on the padding. data2vec-audio stacks position convolutions that
    let padding leak in; out of training it therefore runs utterance by utterance, while in
    training its last frames see the padding of the batch.

    Args:
        model: the transformers model; its ``feature_extractor`` is wrapped in place.
        freeze_feature_encoder: never train its convolutions.
    """

    def __init__(self, model: PreTrainedModel, *, freeze_feature_encoder: bool) -> None:
        super().__init__()
        self.is_data2vec = model.config.model_type == "data2vec-audio"
        model.feature_extractor = WaveformFrontEnd(
            cast("nn.Module", model.feature_extractor),
            per_utterance=not self.is_data2vec and model.config.feat_extract_norm == "group",
            frozen=freeze_feature_encoder,
        )
        self.model = model
        self.output_width = model.config.hidden_size

    @property
    def is_random(self) -> bool:
        """In training, unless frozen."""
        return self.training

    def forward(
        self, speech: Float[Tensor, "B N"], lengths: Int[Tensor, " B"], num_passes: int = 1
    ) -> tuple[Float[Tensor, "PB T C"], Int[Tensor, " PB"]]:
        """Last hidden states, about 50 frames per second at 16 kHz."""
        self._check(speech, lengths)
        if self.is_data2vec and not self.training:
            rows = [
                self.encode_padded(row[None, :n], length, 1)[0]
                for row, n, length in zip(speech, lengths.tolist(), lengths[:, None], strict=True)
            ]
            states = nn.utils.rnn.pad_sequence(rows, batch_first=True).repeat(num_passes, 1, 1)
        else:
            states = self.encode_padded(speech, lengths, num_passes)
        return states, self.num_frames(lengths).repeat(num_passes)

    def encode_padded(
        self, speech: Float[Tensor, "B N"], lengths: Int[Tensor, " B"], num_passes: int
    ) -> Float[Tensor, "PB T C"]:
        """Last hidden states, without looking at what the batch holds."""
        mask = length_mask(lengths, speech.shape[1]).long().repeat(num_passes, 1)
        states: Tensor = self.model(
            Waveforms(speech, lengths, num_passes),
            attention_mask=mask,
            mask_time_indices=self._masks_of_a_short_batch(speech, num_passes),
        ).last_hidden_state
        return states

    def _masks_of_a_short_batch(
        self, speech: Float[Tensor, "B N"], num_passes: int
    ) -> Bool[Tensor, "PB T"] | None:
        """None at all, where transformers would refuse to place one; else it chooses them."""
        if not (self.training and self.model.config.apply_spec_augment):
            return None
        num_frames = int(self.num_frames(torch.tensor(speech.shape[1])))
        if num_frames >= self.model.config.mask_time_length:
            return None
        return speech.new_zeros(len(speech) * num_passes, num_frames, dtype=torch.bool)

    def num_frames(self, lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """About 50 for each second."""
        count = cast("Callable[[Tensor], Tensor]", self.model._get_feat_extract_output_lengths)
        return count(lengths).long()

    def _check(self, speech: Tensor, lengths: Tensor) -> None:
        if speech.dim() != 2:
            raise UserError(
                "speech",
                expected="waveforms of shape [B, N]",
                found=f"shape {list(speech.shape)}",
                remedy="Use the front end that belongs to the pretrained speech encoder.",
            )
        if int(self.num_frames(lengths).min()) < 1:
            raise UserError(
                "speech",
                expected="enough samples for one frame of the speech encoder",
                found=f"{int(lengths.min())} samples",
                remedy="Leave out utterances below 0.1 s.",
            )


class WhisperSpeechEncoder(SpeechEncoder):
    """The encoder of Whisper, which always reads a window of fixed length (30 s).

    Shorter input is filled up with what Whisper's own front end gives for silence, so that
    results do not depend on the batch.

    Args:
        model: the transformers encoder.
    """

    def __init__(self, model: WhisperEncoder) -> None:
        super().__init__()
        self.model = model
        self.output_width = model.config.d_model
        self.window_frames: int = 2 * model.config.max_source_positions

    @property
    def is_random(self) -> bool:
        """In training, unless frozen or, like OpenAI's models, without dropout."""
        config = self.model.config
        dropouts = (config.dropout, config.attention_dropout, config.activation_dropout)
        return self.training and any(dropouts)

    def forward(
        self, speech: Float[Tensor, "B T F"], lengths: Int[Tensor, " B"], num_passes: int = 1
    ) -> tuple[Float[Tensor, "PB T2 C"], Int[Tensor, " PB"]]:
        """Last hidden states at half the frame rate, cut to the longest utterance."""
        num_bins = self.model.config.num_mel_bins
        if speech.dim() != 3 or speech.shape[-1] != num_bins:
            raise UserError(
                "speech",
                expected=f"Whisper's log-mel frames of shape [B, T, {num_bins}]",
                found=f"shape {list(speech.shape)}",
                remedy="Use the front end that belongs to the pretrained speech encoder.",
            )
        longest = int(lengths.max())
        if longest > self.window_frames:
            raise UserError(
                "speech",
                expected=f"at most {self.window_frames} frames, the window of Whisper's encoder",
                found=f"{longest} frames",
                remedy="Leave out or split utterances above that length, 30 s for OpenAI's models.",
            )
        states = self.encode_padded(speech[:, :longest], lengths, num_passes)
        return states, self.num_frames(lengths).repeat(num_passes)

    def encode_padded(
        self, speech: Float[Tensor, "B T F"], lengths: Int[Tensor, " B"], num_passes: int
    ) -> Float[Tensor, "PB T2 C"]:
        """Last hidden states, as many as the padded frames make."""
        longest, num_bins = speech.shape[1:]
        is_real = length_mask(lengths, longest)[..., None]
        silence = speech.masked_fill(~is_real, -torch.inf).amax(dim=(1, 2), keepdim=True)
        filled = torch.where(is_real, speech, silence - WHISPER_DYNAMIC_RANGE)
        rest = (silence - WHISPER_DYNAMIC_RANGE).expand(-1, self.window_frames - longest, num_bins)
        window = torch.cat([filled, rest], dim=1).transpose(1, 2).repeat(num_passes, 1, 1)
        states: Tensor = self.model(window).last_hidden_state[:, : (longest + 1) // 2]
        return states

    def num_frames(self, lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Half as many."""
        return (lengths + 1) // 2


def make_speech_encoder(
    config: PreTrainedConfig | None,
    *,
    num_mel_bins: int,
    frozen: bool,
    freeze_feature_encoder: bool,
    model: PreTrainedModel | None = None,
) -> SpeechEncoder:
    """The speech encoder of a transformers config, or filterbanks as they are without one.

    ``model`` is a transformers model with weights to take over; without it they are random.
    """
    encoder: SpeechEncoder
    if config is None:
        encoder = FilterbankEncoder(num_mel_bins)
    elif isinstance(config, Speech2TextConfig):
        encoder = FilterbankTransformer(config)
    elif config.model_type == "whisper":
        encoder = WhisperSpeechEncoder(
            WhisperEncoder._from_config(config) if model is None else model.get_encoder()
        )
    else:
        encoder = WaveformEncoder(
            model if model is not None else AutoModel.from_config(config),
            freeze_feature_encoder=freeze_feature_encoder,
        )
    if frozen:
        encoder.freeze()
    return encoder


def reads_waveforms(config: PreTrainedConfig | None) -> bool:
    """Whether the speech encoder of a config has convolutions over the waveform, and masks."""
    return config is not None and config.model_type in WAVEFORM_TYPES


def set_masks(config: PreTrainedConfig, training: SpeechTraining) -> None:
    """Gives a waveform model's config the masks of training, and no others."""
    config.apply_spec_augment = training.mask_time_prob > 0
    config.mask_time_prob = training.mask_time_prob
    config.mask_time_length = training.mask_time_length_frames
    config.mask_time_min_masks = 0  # of transformers' 2, short utterances would be more than masked
    config.mask_feature_prob = 0.0
