"""Audio of any rate and channel count -> float32 mono samples at 16 kHz."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
from jaxtyping import Float32
from lhotse.cut import MonoCut

from horizon_st.errors import UserError

SAMPLING_RATE = 16_000
"""Samples per second of everything that a model sees."""

Samples = Float32[np.ndarray, " N"]


def load_audio(
    source: Path | str | BinaryIO, *, offset_s: float = 0.0, duration_s: float | None = None
) -> Samples:
    """Mono samples `[N]` at 16 kHz, full scale = 1; only the asked part of the file is read.

    Args:
        source: a file that libsndfile reads (wav, flac, mp3, ogg, opus), or an open binary file.
        offset_s: where to begin.
        duration_s: how much to read; all that is left when None.

    Raises:
        UserError: the file is missing, is not readable as audio, or is empty at that place.
    """
    name = (
        str(source) if isinstance(source, str | Path) else getattr(source, "name", "audio stream")
    )
    if isinstance(source, str | Path) and not Path(source).is_file():
        raise UserError(
            name, expected="an audio file", found="no such file", remedy="Check the path."
        )
    try:
        with soundfile.SoundFile(source) as file:
            file.seek(round(offset_s * file.samplerate))
            num_frames = -1 if duration_s is None else round(duration_s * file.samplerate)
            samples = file.read(num_frames, dtype="float32", always_2d=True)
            rate = file.samplerate
    except soundfile.LibsndfileError as error:
        raise UserError(
            name,
            expected="audio that libsndfile reads (wav, flac, mp3, ogg, opus)",
            found=str(error),
            remedy="Convert it, for example with `ffmpeg -i FILE out.wav`.",
        ) from error
    return to_model_rate(samples.T, rate, name=name)


def load_cut(cut: MonoCut) -> Samples:
    """Mono samples `[N]` at 16 kHz of a cut; long recordings are read in part.

    Raises:
        UserError: the cut's audio cannot be decoded or is shorter than the manifest says.
    """
    try:
        samples = cut.load_audio()
    except Exception as error:  # lhotse's audio backends raise types of their own
        sources = ", ".join(str(source.source) for source in cut.recording.sources)
        raise UserError(
            f"utterance {cut.id} ({sources})",
            expected=f"{cut.duration:.2f} s of readable audio from {cut.start:.2f} s",
            found=str(error).strip().splitlines()[-1],
            remedy="Replace the file or remove the utterance from the manifest.",
        ) from error
    return to_model_rate(samples, cut.sampling_rate, name=f"utterance {cut.id}")


def to_model_rate(samples: np.ndarray[Any, Any], rate: int, *, name: str) -> Samples:
    """Mono samples `[N]` at 16 kHz from `[N]` or `[channels, N]` at any rate.

    Channels are averaged.

    Raises:
        UserError: there are no samples, or some are not finite numbers.
    """
    mono = np.asarray(samples, dtype=np.float32)
    if mono.ndim == 2:
        mono = mono.mean(axis=0)
    if mono.size == 0 or not np.isfinite(mono).all():
        raise UserError(
            name,
            expected="at least one sample, all finite",
            found="no samples" if mono.size == 0 else "NaN or infinite samples",
            remedy="Record or convert the file again.",
        )
    if rate != SAMPLING_RATE:
        mono = soxr.resample(mono, rate, SAMPLING_RATE)
    return np.ascontiguousarray(mono, dtype=np.float32)


def change_speed(samples: Samples, factor: float) -> Samples:
    """Samples played `factor` times as fast: tempo and pitch change together (Ko et al. 2015)."""
    if factor == 1.0:
        return samples
    return np.asarray(soxr.resample(samples, SAMPLING_RATE * factor, SAMPLING_RATE), np.float32)
