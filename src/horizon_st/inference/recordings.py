"""What a recording may be given as: a path, an open file, an array, or blocks as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from horizon_st.data import mono
from horizon_st.data.mono import SAMPLING_RATE, Samples, stream_audio, to_mono
from horizon_st.errors import UserError

Array = np.ndarray[Any, Any]
Audio = str | Path | BinaryIO | Array | Iterator[Array]
"""A file, an open binary file, samples `[N]` or `[channels, N]` at full scale 1, or an iterator of
arrays of samples, such as a generator."""


def blocks_of(audio: Audio, sampling_rate: int | None = None) -> Iterator[Samples]:
    """The recording as mono blocks at 16 kHz.

    Args:
        audio: the recording.
        sampling_rate: of arrays in Hz; files carry their own.

    Raises:
        UserError: the file is missing or unreadable, arrays come without their rate, one has a
            shape or values that are no samples, or the only one is empty.
    """
    if isinstance(audio, str | Path) or hasattr(audio, "read"):
        yield from stream_audio(cast("str | Path | BinaryIO", audio))
        return
    if sampling_rate is None or sampling_rate < 1:
        raise UserError(
            "sampling_rate",
            expected="the rate of the array in Hz",
            found=sampling_rate,
            remedy=f"Pass sampling_rate, for example {SAMPLING_RATE}.",
        )
    if isinstance(audio, np.ndarray):
        if audio.size == 0:
            raise UserError(
                "audio array",
                expected="at least one sample",
                found=f"shape {list(audio.shape)}",
                remedy="Leave it out, or look at how it was cut.",
            )
        yield from to_mono([audio], sampling_rate, name="audio array")
    else:
        yield from to_mono(audio, sampling_rate)


def name_of(audio: Audio) -> str:
    """What stands for a recording where a file's path would."""
    return "array" if isinstance(audio, np.ndarray) else mono.name_of(audio)
