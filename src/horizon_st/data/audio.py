"""Audio of any format, rate and channel count -> float32 mono samples at 16 kHz."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import soundfile
import soxr
from lhotse.audio import AudioLoadingError, AudioSource, DurationMismatchError
from lhotse.cut import MonoCut, MultiCut
from lhotse.utils import compute_num_samples

from horizon_st.data.audio_reader import (
    LONGEST_RECORDING_S,
    AudioInfo,
    AudioReader,
    UnreadableAudioError,
    check_header,
)
from horizon_st.data.audio_source import named_errors, open_audio
from horizon_st.data.mono import LOUDEST, SAMPLING_RATE, Samples, mix, name_of, resample
from horizon_st.errors import UserError

__all__ = [
    "LONGEST_S", "LOUDEST", "SAMPLING_RATE", "SHORTEST_S", "Cut", "Samples", "audio_info",
    "change_speed", "check_length", "load_audio", "load_cut", "to_model_rate",
]  # fmt: skip

SHORTEST_S = 0.025
"""The least audio that makes a frame: one analysis window of every front end here."""

LONGEST_S = 2 * 3600
"""The most that is held in memory at once: 460 MB at 16 kHz."""

_LHOTSE_TOLERANCE_S = 0.1
"""How much longer or shorter a cut may be than the manifest says if lhotse changed its sound."""

_NOT_FOR_A_SHELL = re.compile(r"[^\w ./@%+=:,-]")
"""What a shell might take for more than a name: lhotse decodes some formats with one."""

Cut: TypeAlias = MonoCut | MultiCut
"""An utterance: a piece of one channel of a recording, or of several."""


def audio_info(path: Path) -> AudioInfo:
    """Rate, length and channels of a file; at most the end of it is decoded, where that suffices.

    Raises:
        UserError: the file is missing, is not audio, is truncated, has a sampling rate outside
            4 to 384 kHz, or more than 64 channels.
    """
    with named_errors(str(path)), open_audio(path) as reader:
        return AudioInfo(reader.sampling_rate, reader.count_samples(), reader.num_channels)


def load_audio(
    source: Path | str | BinaryIO, *, offset_s: float = 0.0, duration_s: float | None = None
) -> Samples:
    """Mono samples `[N]` at 16 kHz, full scale = 1; only the asked part of the file is read.

    Channels are averaged. A video gives its first audio stream.

    Args:
        source: a file that libsndfile (wav, flac, ogg, opus, ...) or FFmpeg's libraries (mp3, m4a,
            mp4, webm, mkv, ...) read, or an open binary file with one, which can seek.
        offset_s: where to begin.
        duration_s: how much to read; all that is left when None, or when less is left.

    Raises:
        UserError: the file is missing, is not readable as audio, ends before the offset, is
            truncated, has less than one frame of sound there, or more than two hours.
    """
    name = name_of(source)
    with named_errors(name), open_audio(source) as reader:
        rate = reader.sampling_rate
        start = _to_samples(offset_s, rate, name)
        num_samples = None if duration_s is None else _to_samples(duration_s, rate, name)
        if start < 0:
            raise _offset_error(reader.count_samples(), start, rate, name)
        samples, num_read = _read(reader, start, num_samples, name=name)
        if num_samples is None or num_read == 0:
            num_there = reader.count_samples()
            if start > num_there:
                raise _offset_error(num_there, start, rate, name)
            if num_samples is None and num_read < num_there - start:
                raise UnreadableAudioError(
                    f"a truncated file: {num_there} samples according to its header, "
                    f"{start + num_read} there"
                )
        check_length(num_read, rate, name)
        return samples


def load_cut(cut: Cut) -> Samples:
    """Mono samples `[N]` at 16 kHz of a cut; long recordings are read in part.

    The channels of a cut with several are averaged. Sound is read to the sample; transforms are
    left to lhotse, which knows fewer formats. Commands are not run, and addresses not fetched.

    Raises:
        UserError: the cut's audio is not in a file or in memory, cannot be decoded, is shorter or
            longer than the manifest says, or has less than one frame.
    """
    recording = cut.recording
    channels = [cut.channel] if isinstance(cut.channel, int) else list(cut.channel)
    sources = [source for source in recording.sources if {*channels} & {*source.channels}]
    for source in sources:
        if source.type not in {"file", "memory"}:
            raise _audio_error(cut, f"a source of type {source.type!r}")
    if recording.transforms:
        return _load_with_lhotse(cut)
    held = [[item.channels.index(c) for c in channels if c in item.channels] for item in sources]
    parts = [_load_source(cut, *pair) for pair in zip(sources, held, strict=True)]
    if len(parts) == 1:
        return parts[0]
    shortest = min(map(len, parts))
    stacked = np.stack([part[:shortest] for part in parts])
    return np.average(stacked, axis=0, weights=[*map(len, held)]).astype(np.float32)


def to_model_rate(samples: np.ndarray[Any, Any], rate: int, *, name: str) -> Samples:
    """Mono samples `[N]` at 16 kHz from `[N]` or `[channels, N]` at any rate.

    Channels are averaged.

    Raises:
        UserError: there are too few samples for a frame, or some are not finite numbers.
    """
    block = np.atleast_2d(np.asarray(samples, dtype=np.float32))
    with named_errors(name):
        check_header(rate, len(block))
    check_length(block.shape[1], rate, name)
    return _join(resample(mix([block], name), rate))


def change_speed(samples: Samples, factor: float) -> Samples:
    """Samples played `factor` times as fast: tempo and pitch change together (Ko et al. 2015)."""
    if factor == 1.0:
        return samples
    return np.asarray(soxr.resample(samples, SAMPLING_RATE * factor, SAMPLING_RATE), np.float32)


def _to_samples(seconds: float, rate: int, name: str) -> int:
    if not abs(seconds) <= LONGEST_RECORDING_S * 365:
        raise UserError(
            name,
            expected="an offset and a duration in seconds",
            found=seconds,
            remedy="Give times within the recording.",
        )
    return round(seconds * rate)


def _read(
    reader: AudioReader,
    start: int,
    num_samples: int | None,
    *,
    name: str,
    channels: list[int] | None = None,
) -> tuple[Samples, int]:
    """Mono samples at 16 kHz, and how many they were before resampling."""
    most = LONGEST_S * reader.sampling_rate
    wanted = most + 1 if num_samples is None else min(num_samples, most + 1)
    num_read = 0

    def counted() -> Iterator[Samples]:
        nonlocal num_read
        for mono in mix(reader.blocks(start, wanted), name, channels):
            num_read += len(mono)
            if num_read > most:
                raise UserError(
                    name,
                    expected=f"at most {LONGEST_S // 3600} h of sound at once",
                    found="more",
                    remedy="Cut it into segments, or read it in parts by offset and duration.",
                )
            yield mono

    return _join(resample(counted(), reader.sampling_rate)), num_read


def _join(blocks: Iterable[Samples]) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def check_length(num_samples: int, rate: int, name: str) -> None:
    """Nothing, where so many samples make a frame.

    Raises:
        UserError: there are too few.
    """
    if num_samples == 0:
        raise UserError(
            name,
            expected="at least one sample, all finite",
            found="no samples",
            remedy="Record or convert the file again.",
        )
    if num_samples < SHORTEST_S * rate:
        raise UserError(
            name,
            expected=f"at least {1000 * SHORTEST_S:.0f} ms of sound",
            found=f"{num_samples} samples at {rate} Hz",
            remedy="Leave it out, or record it again.",
        )


def _offset_error(num_there: int, start: int, rate: int, name: str) -> UserError:
    return UserError(
        name,
        expected=f"an offset within its {num_there / rate:.2f} s",
        found=f"{start / rate:.2f} s",
        remedy="Correct the offset, or replace a truncated file.",
    )


def _load_source(cut: Cut, source: AudioSource, channels: list[int]) -> Samples:
    """The mean of some channels of one of the cut's sources."""
    place = _place_of(cut)
    try:
        is_file = source.type == "file"
        with open_audio(source.source if is_file else BytesIO(source.source)) as reader:
            rate = reader.sampling_rate
            if rate != cut.sampling_rate and not reader.has_nominal_rate:
                raise UnreadableAudioError(f"{rate} Hz, not the manifest's {cut.sampling_rate} Hz")
            if max(channels) >= reader.num_channels:
                raise UnreadableAudioError(f"{reader.num_channels} channels")
            start = compute_num_samples(cut.start, rate)
            wanted = compute_num_samples(cut.duration, rate)
            samples, num_read = _read(reader, start, wanted, name=place, channels=channels)
            if num_read < wanted:
                reader.count_samples()
            if num_read / rate < cut.duration - reader.length_tolerance_s:
                raise UnreadableAudioError(f"{num_read / rate:.2f} s at {rate} Hz")
    except UnreadableAudioError as error:
        raise _audio_error(cut, str(error)) from error
    check_length(num_read, rate, place)
    return samples


def _load_with_lhotse(cut: Cut) -> Samples:
    for source in cut.recording.sources:
        if source.type == "file" and _NOT_FOR_A_SHELL.search(source.source):
            raise _audio_error(cut, "a file name with unusual characters, under a transform")
    try:
        samples = np.asarray(cut.load_audio())
    except (
        AudioLoadingError,
        DurationMismatchError,
        soundfile.LibsndfileError,
        SubprocessError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        # lhotse appends the whole cut to each message.
        reason = " ".join(str(error).partition("\n[extra info]")[0].split())
        raise _audio_error(cut, reason[:300]) from error
    found_s = samples.shape[-1] / cut.sampling_rate
    if abs(found_s - cut.duration) > _LHOTSE_TOLERANCE_S:
        raise _audio_error(cut, f"{found_s:.2f} s at {cut.sampling_rate} Hz")
    return to_model_rate(samples, cut.sampling_rate, name=_place_of(cut))


def _audio_error(cut: Cut, found: str) -> UserError:
    return UserError(
        _place_of(cut),
        expected=f"{cut.duration:.2f} s of readable audio from {cut.start:.2f} s",
        found=found,
        remedy="Replace the file or remove the utterance from the manifest.",
    )


def _place_of(cut: Cut) -> str:
    sources = ", ".join(
        "in memory" if isinstance(source.source, bytes) else str(source.source)
        for source in cut.recording.sources
    )
    return f"utterance {cut.id} ({sources})"
