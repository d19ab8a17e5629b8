"""Files of any format, rate and channel count -> float32 mono samples at 16 kHz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from horizon_st.data.audio_reader import (
    LONGEST_RECORDING_S,
    AudioInfo,
    AudioReader,
)
from horizon_st.data.audio_source import named_errors, open_audio
from horizon_st.data.mono import Samples, mix, name_of, resample
from horizon_st.errors import UserError

SHORTEST_S = 0.025
"""The least audio that makes a frame: one analysis window of every front end here."""

LONGEST_S = 2 * 3600
"""The most that is held in memory at once: 460 MB at 16 kHz."""


def audio_info(path: Path, *, conceals: bool = False) -> AudioInfo:
    """Rate, length and channels of a file; at most the end of it is decoded, where that suffices.

    Args:
        path: the file.
        conceals: as for `open_audio`.

    Raises:
        UserError: the file is missing, is not audio, is truncated, has a sampling rate outside
            4 to 384 kHz, or more than 64 channels.
    """
    with named_errors(str(path)), open_audio(path, conceals=conceals) as reader:
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
        samples, num_read = read_mono(reader, start, num_samples, name=name)
        if num_read == 0:
            num_there = reader.count_samples()
            if start > num_there:
                raise _offset_error(num_there, start, rate, name)
        if num_samples is None:
            reader.check_whole(start + num_read)
        check_length(num_read, rate, name)
        return samples


def read_mono(
    reader: AudioReader,
    start: int,
    num_samples: int | None,
    *,
    name: str,
    channels: list[int] | None = None,
) -> tuple[Samples, int]:
    """Mono samples at 16 kHz, and how many they were before resampling.

    Raises:
        UserError: there are more than two hours of them.
    """
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

    return join_blocks(resample(counted(), reader.sampling_rate)), num_read


def join_blocks(blocks: Iterable[Samples]) -> Samples:
    """The blocks one after the other."""
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


def _to_samples(seconds: float, rate: int, name: str) -> int:
    if not abs(seconds) <= LONGEST_RECORDING_S * 365:
        raise UserError(
            name,
            expected="an offset and a duration in seconds",
            found=seconds,
            remedy="Give times within the recording.",
        )
    return round(seconds * rate)


def _offset_error(num_there: int, start: int, rate: int, name: str) -> UserError:
    return UserError(
        name,
        expected=f"an offset within its {num_there / rate:.2f} s",
        found=f"{start / rate:.2f} s",
        remedy="Correct the offset, or replace a truncated file.",
    )
