"""What a recording may be given as: a path, an open file, an array, or blocks as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from horizon_st.data import mono
from horizon_st.data.mono import (
    SAMPLING_RATE,
    Samples,
    SupportsArray,
    as_array,
    stream_audio,
    to_mono,
)
from horizon_st.errors import UserError

Audio = str | Path | BinaryIO | SupportsArray | Iterator[SupportsArray]
"""A file, an open binary file, samples `[N]` or `[channels, N]` at full scale 1, in an array or in
what turns into one, such as a tensor, or an iterator of these, such as a generator."""


def blocks_of(audio: Audio, sampling_rate: int | None = None) -> Iterator[Samples]:
    """The recording as mono blocks at 16 kHz.

    Args:
        audio: the recording.
        sampling_rate: of arrays in Hz; files carry their own.

    Raises:
        UserError: it is nothing of the kind, the file is missing or unreadable, arrays come without
            their rate, one has a shape or values that are no samples, or the only one is empty.
    """
    if isinstance(audio, str | Path) or hasattr(audio, "read"):
        yield from stream_audio(cast("str | Path | BinaryIO", audio))
        return
    if isinstance(audio, bytes | bytearray | memoryview):
        raise UserError(
            "audio",
            expected="a path, an open file or an array",
            found=type(audio).__name__,
            remedy="Of the bytes of a file, pass io.BytesIO(...); of samples, np.frombuffer.",
        )
    is_stream = isinstance(audio, Iterable) and not hasattr(audio, "__array__")
    array = None if is_stream else as_array(cast("SupportsArray", audio), "audio array")
    if sampling_rate is None or sampling_rate < 1:
        raise UserError(
            "sampling_rate",
            expected="the rate of the array in Hz",
            found=sampling_rate,
            remedy=f"Pass sampling_rate, for example {SAMPLING_RATE}.",
        )
    if array is None:
        yield from to_mono(cast("Iterator[SupportsArray]", audio), sampling_rate)
        return
    if array.size == 0:
        raise UserError(
            "audio array",
            expected="at least one sample",
            found=f"shape {list(array.shape)}",
            remedy="Leave it out, or look at how it was cut.",
        )
    yield from to_mono([array], sampling_rate, name="audio array")


def name_of(audio: Audio) -> str:
    """What stands for a recording where a file's path would."""
    return "array" if hasattr(audio, "__array__") else mono.name_of(audio)
