"""16 kHz samples -> what an exported speech encoder reads, as in training.

Windows and mel filters are those of the front end in training, stored with the export.

Legend: N samples, T speech frames, F mel bins, K frequencies, W samples of a window.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from horizon_st.data.mono import Samples

_PREEMPHASIS = 0.97
_DEVIATION_FLOOR = 1e-5
_POWER_FLOOR = 1e-10
_DECADES = 8.0
"""Below its loudest, where Whisper cuts log-mel off."""

_VARIANCE_FLOOR = 1e-7

Features = np.ndarray[Any, np.dtype[np.float32]]
"""[T, F], or [N] where the encoder reads the waveform."""


class Frontend(ABC):
    """Computes the input of a speech encoder."""

    @abstractmethod
    def __call__(self, samples: Samples) -> Features:
        """The input that one utterance gives."""


@dataclass(frozen=True)
class Filterbanks(Frontend):
    """Kaldi-style log-mel filterbanks, each bin with mean 0 and variance 1 over the utterance.

    Attributes:
        window: by which each frame is multiplied.
        filters: of the mel bins.
        hop: samples from one frame to the next.
    """

    window: Float32[np.ndarray, " W"]
    filters: Float32[np.ndarray, "K F"]
    hop: int

    def __call__(self, samples: Samples) -> Features:
        """Normalised filterbanks [T, F]."""
        width = len(self.window)
        num_frames = (len(samples) + self.hop // 2) // self.hop
        before = (width - self.hop) // 2
        after = max(0, (num_frames - 1) * self.hop + width - len(samples) - before)
        mirrored = samples[::-1]
        padded = np.concatenate([samples[:before][::-1], samples, mirrored[:after]])
        frames = np.lib.stride_tricks.sliding_window_view(padded, width)[:: self.hop][:num_frames]
        frames = frames - frames.mean(axis=1, keepdims=True)
        shifted = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        windowed = (frames - np.float32(_PREEMPHASIS) * shifted) * self.window
        spectrum = np.fft.rfft(windowed, n=2 * (len(self.filters) - 1), axis=1)
        power = np.square(np.abs(spectrum)).astype(np.float32)
        features = np.log(np.maximum(power @ self.filters, np.finfo(np.float32).eps))
        deviation = np.maximum(features.std(axis=0), np.float32(_DEVIATION_FLOOR))
        normalised: Features = (features - features.mean(axis=0)) / deviation
        return normalised


@dataclass(frozen=True)
class WhisperLogMel(Frontend):
    """Whisper's log-mel frames of an utterance, without the silence up to 30 s.

    Attributes:
        window: by which each frame is multiplied.
        filters: of the mel bins.
        hop: samples from one frame to the next.
    """

    window: Float32[np.ndarray, " W"]
    filters: Float32[np.ndarray, "K F"]
    hop: int

    def __call__(self, samples: Samples) -> Features:
        """Log-mel [T, F] within two of its maximum."""
        width = len(self.window)
        padded = np.pad(samples, width // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, width)[:: self.hop]
        spectrum = np.fft.rfft(frames * self.window, axis=1)[: len(samples) // self.hop]
        power = np.square(np.abs(spectrum)).astype(np.float32)
        features = np.log10(np.maximum(power @ self.filters, np.float32(_POWER_FLOOR)))
        found: Features = (np.maximum(features, features.max() - np.float32(_DECADES)) + 4) / 4
        return found


@dataclass(frozen=True)
class Waveform(Frontend):
    """The samples themselves.

    Attributes:
        normalise: whether to mean 0 and variance 1 over the utterance.
    """

    normalise: bool

    def __call__(self, samples: Samples) -> Features:
        """The samples [N]."""
        if not self.normalise:
            return samples
        deviation = np.sqrt(samples.var() + np.float32(_VARIANCE_FLOOR))
        found: Features = (samples - samples.mean()) / deviation
        return found


def make_frontend(settings: Mapping[str, Any], arrays: Mapping[str, Features]) -> Frontend:
    """The front end of an export.

    Args:
        settings: its ``type``, ``filterbanks``, ``whisper`` or ``waveform``, and numbers.
        arrays: its window and filters.
    """
    if settings["type"] == "waveform":
        return Waveform(settings["normalise"])
    kind = {"filterbanks": Filterbanks, "whisper": WhisperLogMel}[settings["type"]]
    return kind(arrays["window"], arrays["filters"], settings["hop"])
