"""A recording -> what a browser plays and draws of it, whatever format it came in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import soundfile

from horizon_st.data.mono import SAMPLING_RATE, Samples, stream_audio

LOUDEST_BAR = 100
_GRAIN_SAMPLES = SAMPLING_RATE // 50
_FEWEST_BARS = 200
"""Enough for the width of a page; a long recording is as much wider than it."""

_BARS_PER_S = 3


@dataclass(frozen=True)
class Hearing:
    """The sound that the model hears.

    Attributes:
        path: a WAV file, in which every browser finds any place to the sample.
        bars: the loudness of equal parts of it, 0 to LOUDEST_BAR.
    """

    path: Path
    bars: list[int]


def hear(recording: Path, folder: Path) -> Hearing:
    """The recording at 16 kHz in a new file of the folder, read block by block, and its bars.

    Raises:
        UserError: the recording is not whole audio.
    """
    loudness = [np.zeros(0, np.float32)]
    rest = np.zeros(0, np.float32)
    with NamedTemporaryFile(dir=folder, suffix=".wav", delete=False) as file:
        path = Path(file.name)
        try:
            with soundfile.SoundFile(file, "w", SAMPLING_RATE, 1, "PCM_16", format="WAV") as sound:
                for block in stream_audio(recording):
                    sound.write(block)
                    whole, rest = _split(np.concatenate([rest, block]))
                    loudness.append(np.abs(whole).max(axis=1))
        except BaseException:
            path.unlink()
            raise
    if len(rest):
        loudness.append(np.abs(rest).max(keepdims=True))
    return Hearing(path, _to_bars(np.concatenate(loudness)))


def _split(samples: Samples) -> tuple[Samples, Samples]:
    """Whole grains `[grains, N]`, and what is left."""
    end = len(samples) - len(samples) % _GRAIN_SAMPLES
    return samples[:end].reshape(-1, _GRAIN_SAMPLES), samples[end:]


def _to_bars(loudness: Samples) -> list[int]:
    """The loudest grain of each part, the loudest of all at full height."""
    duration_s = len(loudness) * _GRAIN_SAMPLES / SAMPLING_RATE
    num_bars = min(len(loudness), max(_FEWEST_BARS, round(duration_s * _BARS_PER_S)))
    if num_bars == 0:
        return []
    starts = np.arange(num_bars) * len(loudness) // num_bars
    bars = np.maximum.reduceat(loudness, starts)
    heights = LOUDEST_BAR * bars / max(bars.max(), np.finfo(np.float32).tiny)
    return [int(height) for height in heights.round()]
