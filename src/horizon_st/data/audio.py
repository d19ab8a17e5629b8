"""Audio of any rate and channel count -> float32 mono samples at 16 kHz."""

from __future__ import annotations

from pathlib import Path
from subprocess import SubprocessError
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
from jaxtyping import Float32
from lhotse.audio import AudioLoadingError, DurationMismatchError
from lhotse.cut import MonoCut

from horizon_st.errors import UserError

SAMPLING_RATE = 16_000
"""Samples per second of everything that a model sees."""

SHORTEST_S = 0.025
"""The least audio that makes a frame: one analysis window of every front end here."""

LENGTH_TOLERANCE_S = 0.1
"""How much longer or shorter a cut's audio may be than the manifest says; lossy codecs vary."""

Samples = Float32[np.ndarray, " N"]


def load_audio(
    source: Path | str | BinaryIO, *, offset_s: float = 0.0, duration_s: float | None = None
) -> Samples:
    """Mono samples `[N]` at 16 kHz, full scale = 1; only the asked part of the file is read.

    Args:
        source: a file that libsndfile reads (wav, flac, mp3, ogg, opus), or an open binary file.
        offset_s: where to begin.
        duration_s: how much to read; all that is left when None, or when less is left.

    Raises:
        UserError: the file is missing, is not readable as audio, ends before the offset, or has
            less than one frame of sound there.
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
            rate = file.samplerate
            start = round(offset_s * rate)
            _check_offset(start, file.frames, rate, name)
            file.seek(start)
            num_samples = -1 if duration_s is None else round(duration_s * rate)
            samples = file.read(num_samples, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless .raw
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
        UserError: the cut's audio cannot be decoded, is shorter or longer than the manifest says,
            or has less than one frame.
    """
    try:
        samples = _read_cut(cut)
    except (
        AudioLoadingError,
        DurationMismatchError,
        soundfile.LibsndfileError,
        SubprocessError,
        OSError,
        ValueError,
    ) as error:
        # lhotse appends the whole cut to each message.
        reason = " ".join(str(error).partition("\n[extra info]")[0].split())
        raise _audio_error(cut, reason[:300]) from error
    found_s = len(samples) / cut.sampling_rate
    if abs(found_s - cut.duration) > LENGTH_TOLERANCE_S:
        raise _audio_error(cut, f"{found_s:.2f} s at {cut.sampling_rate} Hz")
    return to_model_rate(samples, cut.sampling_rate, name=_place_of(cut))


def to_model_rate(samples: np.ndarray[Any, Any], rate: int, *, name: str) -> Samples:
    """Mono samples `[N]` at 16 kHz from `[N]` or `[channels, N]` at any rate.

    Channels are averaged.

    Raises:
        UserError: there are too few samples for a frame, or some are not finite numbers.
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
    if mono.size < SHORTEST_S * rate:
        raise UserError(
            name,
            expected=f"at least {1000 * SHORTEST_S:.0f} ms of sound",
            found=f"{mono.size} samples at {rate} Hz",
            remedy="Leave it out, or record it again.",
        )
    if rate != SAMPLING_RATE:
        mono = soxr.resample(mono, rate, SAMPLING_RATE)
    return np.ascontiguousarray(mono, dtype=np.float32)


def change_speed(samples: Samples, factor: float) -> Samples:
    """Samples played `factor` times as fast: tempo and pitch change together (Ko et al. 2015)."""
    if factor == 1.0:
        return samples
    return np.asarray(soxr.resample(samples, SAMPLING_RATE * factor, SAMPLING_RATE), np.float32)


def _check_offset(start: int, num_samples: int, rate: int, name: str) -> None:
    if not 0 <= start <= num_samples:
        raise UserError(
            name,
            expected=f"an offset within its {num_samples / rate:.2f} s",
            found=f"{start / rate:.2f} s",
            remedy="Correct the offset, or replace a truncated file.",
        )


def _read_cut(cut: MonoCut) -> np.ndarray[Any, Any]:
    """Samples of the cut at its own rate.

    lhotse would fill up to half a missing second with mirrored sound, so plain files are read
    without its correction; its transforms and other kinds of source need all of lhotse.
    """
    sources = [source for source in cut.recording.sources if cut.channel in source.channels]
    if cut.recording.transforms or len(sources) != 1 or sources[0].type != "file":
        return np.asarray(cut.load_audio()[0])
    [source] = sources
    channels = np.atleast_2d(
        source.load_audio(
            offset=cut.start,
            duration=cut.duration,
            force_opus_sampling_rate=cut.sampling_rate,
        )
    )
    return np.asarray(channels[source.channels.index(cut.channel)])


def _audio_error(cut: MonoCut, found: str) -> UserError:
    return UserError(
        _place_of(cut),
        expected=f"{cut.duration:.2f} s of readable audio from {cut.start:.2f} s",
        found=found,
        remedy="Replace the file or remove the utterance from the manifest.",
    )


def _place_of(cut: MonoCut) -> str:
    sources = ", ".join(str(source.source) for source in cut.recording.sources)
    return f"utterance {cut.id} ({sources})"
