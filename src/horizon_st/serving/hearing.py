"""A recording -> what a browser plays and draws of it, whatever format it came in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType

import numpy as np
import soundfile

from horizon_st.data.mono import SAMPLING_RATE, Samples

LOUDEST_BAR = 100
_GRAIN_SAMPLES = SAMPLING_RATE // 50
_FEWEST_BARS = 200
"""Enough for the width of a page; a long recording is as much wider than it."""

_BARS_PER_S = 3
_SUBTYPE, _BYTES_PER_SAMPLE = "PCM_16", 2


class Hearing:
    """The sound that the model hears, as it is read; a context, after which only whole files stay.

    Called with one block after the other.

    Args:
        path: of a WAV file to make, in which every browser finds any place to the sample; None
            where there is one already.
        on_bytes: is told how much each block adds to the file, and may refuse.
    """

    def __init__(self, path: Path | None, on_bytes: Callable[[int], None] = lambda _: None) -> None:
        self._path = path
        self._on_bytes = on_bytes
        self._loudness = [np.zeros(0, np.float32)]
        self._rest = np.zeros(0, np.float32)
        self._sound: soundfile.SoundFile | None = None

    def __enter__(self) -> Hearing:
        if self._path is not None:
            file = NamedTemporaryFile(dir=self._path.parent, delete=False)
            file.close()
            self._begun = Path(file.name)
            self._sound = soundfile.SoundFile(
                self._begun, "w", SAMPLING_RATE, 1, _SUBTYPE, format="WAV"
            )
        return self

    def __call__(self, block: Samples) -> None:
        """Hears what comes next."""
        if self._sound is not None:
            self._on_bytes(_BYTES_PER_SAMPLE * len(block))
            self._sound.write(block)
        whole, self._rest = _split(np.concatenate([self._rest, block]))
        self._loudness.append(np.abs(whole).max(axis=1))

    def finish(self) -> list[int]:
        """The loudness of equal parts of it, 0 to LOUDEST_BAR; the file is in its place now."""
        if self._sound is not None and self._path is not None:
            self._sound.close()
            self._begun.replace(self._path)
        if len(self._rest):
            self._loudness.append(np.abs(self._rest).max(keepdims=True))
        return _to_bars(np.concatenate(self._loudness))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._sound is not None:
            self._sound.close()
            self._begun.unlink(missing_ok=True)


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
