"""What stands before the subsampler: the role, its configuration, and filterbanks as they are.

Legend: B utterances, P passes, PB their product, T speech frames, C features, F mel bins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Optional

from jaxtyping import Float, Int
from torch import Tensor, nn

from horizon_st.errors import UserError, refuse_unread

FRESH_DROPOUT = 0.1
"""Of a fresh Transformer over filterbanks, where the recipe gives none."""
FRESH_KEYS = ("d_model", "ffn_dim", "num_heads", "dropout")
"""Keys that only a fresh Transformer over filterbanks reads."""
_COUNTS = ("num_mel_bins", "mask_time_length_frames", "d_model", "ffn_dim", "num_heads")


@dataclass
class SpeechEncoderConfig:
    """Which speech encoder to start from, and what of it stays fixed."""

    pretrained: Optional[str] = field(  # noqa: UP045 - OmegaConf documents Optional
        default=None,
        metadata={
            "help": "Folder or hub id of a HuBERT, wav2vec 2.0, WavLM, data2vec-audio or Whisper "
            "model; empty reads log-mel filterbanks."
        },
    )
    num_mel_bins: int = field(
        default=80, metadata={"help": "Mel bins of the filterbanks, without a pretrained model."}
    )
    layers: int = field(
        default=0,
        metadata={
            "help": "Layers of a fresh Transformer over the filterbanks, behind two convolutions "
            "that leave 25 states a second; 0 leaves it out."
        },
    )
    d_model: int = field(default=256, metadata={"help": "Width of its states."})
    ffn_dim: int = field(default=1024, metadata={"help": "Width inside its feed-forward layers."})
    num_heads: int = field(default=4, metadata={"help": "Its attention heads."})
    dropout: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={"help": "Its dropout. null: 0.1; with initial_model, that of the model."},
    )
    freeze: bool = field(
        default=False, metadata={"help": "Keep the whole pretrained encoder as it is."}
    )
    freeze_feature_encoder: bool = field(
        default=True, metadata={"help": "Keep the convolutions that read the waveform as they are."}
    )
    mask_time_prob: float = field(
        default=0.0,
        metadata={"help": "Share of frames masked inside the encoder in training (SpecAugment)."},
    )
    mask_time_length_frames: int = field(
        default=10, metadata={"help": "Length of one such mask, in encoder frames."}
    )

    def __post_init__(self) -> None:
        """Refuse values out of range and masks without an encoder to apply them."""
        for name in (*_COUNTS, "layers"):
            if getattr(self, name) < (0 if name == "layers" else 1):
                raise UserError(
                    f"model.speech_encoder.{name}",
                    expected="at least 0" if name == "layers" else "at least 1",
                    found=getattr(self, name),
                    remedy=f"The default is {type(self).__dataclass_fields__[name].default}.",
                )
        place = "model.speech_encoder"
        if self.pretrained is None:
            reason = "filterbanks have no pretrained convolutions"
            refuse_unread(place, self, ("freeze_feature_encoder",), reason)
        else:
            reason = "the pretrained encoder brings its own front end and layers"
            refuse_unread(place, self, ("num_mel_bins", "layers"), reason)
        self._check_layers(place)
        if self.freeze and self.pretrained is None:
            raise UserError(
                "model.speech_encoder.freeze",
                expected="false without a pretrained encoder, which could not learn anything",
                found=self.freeze,
                remedy="Set it to false, or set model.speech_encoder.pretrained.",
            )
        if not 0 <= self.mask_time_prob < 1:
            raise UserError(
                "model.speech_encoder.mask_time_prob",
                expected="a share of at least 0 and below 1",
                found=self.mask_time_prob,
                remedy="0 turns masking off; 0.05 is usual.",
            )
        if self.mask_time_prob > 0 and (self.pretrained is None or self.freeze):
            raise UserError(
                "model.speech_encoder.mask_time_prob",
                expected="0 without a pretrained encoder that is trained",
                found=self.mask_time_prob,
                remedy="Set it to 0, and mask the filterbanks in the data section instead.",
            )

    def check_fresh(self) -> None:
        """Nothing, if an encoder can be built of it alone.

        Raises:
            UserError: it has values for layers that there are none of.
        """
        if self.layers == 0:
            refuse_unread("model.speech_encoder", self, FRESH_KEYS, "layers is 0")

    def _check_layers(self, place: str) -> None:
        if self.d_model % (2 * self.num_heads):
            raise UserError(
                f"{place}.d_model",
                expected=f"a multiple of twice the {self.num_heads} heads",
                found=self.d_model,
                remedy="Change d_model or num_heads.",
            )
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise UserError(
                f"{place}.dropout",
                expected="a probability of at least 0 and below 1",
                found=self.dropout,
                remedy="0.1 is usual.",
            )


class SpeechEncoder(nn.Module, ABC):
    """Speech as the batch holds it -> features for the subsampler."""

    output_width: int
    window_frames: int | None = None
    """The most frames that it can read, if there is a limit."""

    @property
    @abstractmethod
    def is_random(self) -> bool:
        """Whether two passes over the same speech differ now (dropout is active)."""

    @abstractmethod
    def num_frames(self, lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """The lengths of the features of speech of these lengths."""

    @abstractmethod
    def forward(
        self, speech: Tensor, lengths: Int[Tensor, " B"], num_passes: int = 1
    ) -> tuple[Float[Tensor, "PB T C"], Int[Tensor, " PB"]]:
        """Features and their lengths; pass p of utterance b is row p * B + b."""


class FilterbankEncoder(SpeechEncoder):
    """The filterbanks themselves.

    Args:
        num_mel_bins: F, the width of the filterbanks.
    """

    def __init__(self, num_mel_bins: int) -> None:
        super().__init__()
        self.output_width = num_mel_bins

    @property
    def is_random(self) -> bool:
        """Never: there is no dropout before the subsampler."""
        return False

    def num_frames(self, lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """The same."""
        return lengths

    def forward(
        self, speech: Float[Tensor, "B T F"], lengths: Int[Tensor, " B"], num_passes: int = 1
    ) -> tuple[Float[Tensor, "PB T F"], Int[Tensor, " PB"]]:
        """The input, repeated for each pass."""
        check_filterbanks(speech, self.output_width)
        return speech.repeat(num_passes, 1, 1), lengths.repeat(num_passes)


def check_filterbanks(speech: Tensor, num_mel_bins: int) -> None:
    """Nothing, when this is a batch of filterbanks of that width.

    Raises:
        UserError: it is not.
    """
    if speech.dim() != 3 or speech.shape[-1] != num_mel_bins:
        raise UserError(
            "speech",
            expected=f"filterbanks of shape [B, T, {num_mel_bins}]",
            found=f"shape {list(speech.shape)}",
            remedy="Use the front end that was saved with the model, or set "
            "model.speech_encoder.num_mel_bins to the width of the filterbanks.",
        )
