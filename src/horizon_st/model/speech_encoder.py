"""What stands before the subsampler: the role, its configuration, and filterbanks as they are.

Legend: B utterances, P passes, PB their product, T speech frames, C features, F mel bins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from typing import Optional, Self

from jaxtyping import Float, Int
from torch import Tensor, nn

from horizon_st.errors import UserError, refuse_unread

FRESH_DROPOUT = 0.1
"""Of a fresh Transformer over filterbanks, where the recipe gives none."""
FRESH_KEYS = ("d_model", "ffn_dim", "num_heads", "convolution_kernel", "dropout")
"""Keys that only a fresh Transformer over filterbanks reads."""
_COUNTS = ("num_mel_bins", "d_model", "ffn_dim", "num_heads")


@dataclass(frozen=True)
class SpeechTraining:
    """What of a speech encoder is trained, and what it masks meanwhile.

    The fields are keys of `SpeechEncoderConfig`; the defaults hold where neither the recipe nor an
    initial model says otherwise.
    """

    freeze: bool = False
    freeze_feature_encoder: bool = True
    mask_time_prob: float = 0.0
    mask_time_length_frames: int = 10


FRESH_TRAINING = SpeechTraining()


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
    convolution_kernel: int = field(
        default=0,
        metadata={
            "help": "Odd kernel, in states, of a convolution module before each of its layers, as "
            "in a Conformer: learns from less speech. 15 is usual; 0 leaves it out."
        },
    )
    dropout: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={"help": "Its dropout. null: 0.1; with initial_model, that of the model."},
    )
    freeze: Optional[bool] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "Keep a pretrained encoder, or that of initial_model, as it is, and switch its "
            "dropout and masks off. null: false; with initial_model, as in the model."
        },
    )
    freeze_feature_encoder: Optional[bool] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "Keep the convolutions that read the waveform as they are. null: true; with "
            "initial_model, as in the model."
        },
    )
    mask_time_prob: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "Share of frames masked inside the encoder in training (SpecAugment), where "
            "masks do not overlap; none of a batch shorter than a mask. null: 0; with "
            "initial_model, as in the model."
        },
    )
    mask_time_length_frames: Optional[int] = field(  # noqa: UP045
        default=None,
        metadata={"help": "Length of one such mask, in encoder frames. null: 10, or likewise."},
    )

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in (*_COUNTS, "layers"):
            if getattr(self, name) < (0 if name == "layers" else 1):
                raise UserError(
                    f"model.speech_encoder.{name}",
                    expected="at least 0" if name == "layers" else "at least 1",
                    found=getattr(self, name),
                    remedy=f"The default is {type(self).__dataclass_fields__[name].default}.",
                )
        place = "model.speech_encoder"
        if self.pretrained is not None:
            reason = "the pretrained encoder brings its own front end and layers"
            refuse_unread(place, self, ("num_mel_bins", "layers"), reason)
        self._check_layers(place)
        self._check_masks(place)

    def check_fresh(self) -> None:
        """Nothing, if an encoder can be built of it alone.

        Raises:
            UserError: it has values for layers that there are none of, or would freeze random
                weights.
        """
        if self.layers == 0:
            refuse_unread("model.speech_encoder", self, FRESH_KEYS, "layers is 0")
        if self.freeze and self.pretrained is None:
            raise UserError(
                "model.speech_encoder.freeze",
                expected="false without a pretrained encoder, which could not learn anything",
                found=self.freeze,
                remedy="Set it to false, or set model.speech_encoder.pretrained.",
            )
        self.training(reads_waveforms=self.pretrained is not None)

    def training(
        self, before: SpeechTraining = FRESH_TRAINING, *, reads_waveforms: bool
    ) -> SpeechTraining:
        """How the encoder is trained: as before, but for what is given.

        Args:
            before: how the model was trained that training goes on from.
            reads_waveforms: whether the encoder has convolutions over the waveform and masks; for
                the checks.

        Raises:
            UserError: a key asks for what the encoder cannot do.
        """
        names = [each.name for each in fields(SpeechTraining)]
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        found = replace(before, **given)
        of_waveforms = [name for name in names if name != "freeze"]
        unread: list[str] = []
        reason = ""
        if not reads_waveforms:
            unread = of_waveforms
            reason = (
                "only models of waveforms (HuBERT, wav2vec 2.0, WavLM, data2vec-audio) have "
                "such convolutions, and masks beside those of data.augment"
            )
        elif found.freeze:
            unread, reason = of_waveforms, "freeze keeps the whole encoder as it is"
        elif found.mask_time_prob == 0:
            unread, reason = ["mask_time_length_frames"], "mask_time_prob is 0"
        for name in unread:
            usual = (None, getattr(before, name), getattr(FRESH_TRAINING, name))
            if getattr(self, name) not in usual:
                raise UserError(
                    f"model.speech_encoder.{name}",
                    expected=f"nothing, since it is not read: {reason}",
                    found=getattr(self, name),
                    remedy="Remove it.",
                )
        return found

    def _check_masks(self, place: str) -> None:
        if self.mask_time_prob is not None and not 0 <= self.mask_time_prob < 1:
            raise UserError(
                f"{place}.mask_time_prob",
                expected="a share of at least 0 and below 1",
                found=self.mask_time_prob,
                remedy="0 turns masking off; 0.05 is usual.",
            )
        if self.mask_time_length_frames is not None and self.mask_time_length_frames < 1:
            raise UserError(
                f"{place}.mask_time_length_frames",
                expected="at least 1",
                found=self.mask_time_length_frames,
                remedy=f"{FRESH_TRAINING.mask_time_length_frames} is usual.",
            )

    def _check_layers(self, place: str) -> None:
        if self.d_model % (2 * self.num_heads):
            raise UserError(
                f"{place}.d_model",
                expected=f"a multiple of twice the {self.num_heads} heads",
                found=self.d_model,
                remedy="Change d_model or num_heads.",
            )
        if self.convolution_kernel < 0 or (
            self.convolution_kernel > 0 and self.convolution_kernel % 2 == 0
        ):
            raise UserError(
                f"{place}.convolution_kernel",
                expected="0, or an odd number of states",
                found=self.convolution_kernel,
                remedy="15 is usual; 0 leaves the convolutions out.",
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
    frozen: bool = False
    """Whether it is never trained, and its dropout and masks never applied."""

    @property
    @abstractmethod
    def is_random(self) -> bool:
        """Whether two passes over the same speech differ now (dropout is active)."""

    def freeze(self) -> None:
        """Never trains it from now on, and never applies its dropout and masks."""
        self.frozen = True
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Itself, in training mode if asked to and not frozen."""
        if self.frozen:  # `from_pretrained` lets all weights be trained, then calls this
            self.requires_grad_(False)
        return super().train(mode and not self.frozen)

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
