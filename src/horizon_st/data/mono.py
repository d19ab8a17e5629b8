"""Blocks of any rate and channel count -> mono blocks at 16 kHz, however long they go on.

Legend: C channels, N samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import soxr
from jaxtyping import Float32

from horizon_st.data.audio_reader import check_header
from horizon_st.data.audio_source import named_errors, open_audio
from horizon_st.errors import UserError

SAMPLING_RATE = 16_000
"""Samples per second of everything that a model sees."""

LOUDEST = 2.0**31
"""Times full scale: floats that hold 32-bit integers pass, flipped bits in an exponent do not."""

Samples = Float32[np.ndarray, " N"]


class SupportsArray(Protocol):
    """An array, or what turns into one: a tensor of PyTorch's on a processor, JAX's, ..."""

    def __array__(self) -> np.ndarray[Any, Any]: ...


class DamagedSoundWarning(UserWarning):
    """A recording has sound that cannot be decoded, and silence in its place."""


def stream_audio(source: Path | str | BinaryIO) -> Iterator[Samples]:
    """Mono samples at 16 kHz of a recording of any length, in blocks of bounded size.

    They are those of `load_audio`, but a little damage inside is concealed by silence, with a
    DamagedSoundWarning. What is wrong with the end of a file shows when it is reached.

    Args:
        source: a file, or an open binary file that can seek.

    Raises:
        UserError: the file is missing, not readable as audio, truncated, or has more damage than a
            second and a tenth of it.
    """
    name = name_of(source)
    num_read = 0
    with named_errors(name), open_audio(source, conceals=True) as reader:

        def counted() -> Iterator[Samples]:
            nonlocal num_read
            for mono in mix(reader.blocks(0), name):
                num_read += len(mono)
                yield mono

        yield from resample(counted(), reader.sampling_rate)
        reader.check_whole(num_read)
        damage = reader.concealment
    if damage is not None:
        warnings.warn(
            f"{name}: {damage.duration_s:.2f} s of its sound cannot be decoded, the first at "
            f"{damage.start_s:.2f} s. They are silence here.",
            DamagedSoundWarning,
            stacklevel=2,
        )


def to_mono(
    blocks: Iterable[SupportsArray], rate: int, *, name: str = "audio stream"
) -> Iterator[Samples]:
    """Mono samples at 16 kHz of blocks `[N]` or `[channels, N]` of one recording.

    Args:
        blocks: arrays, or what turns into them, such as tensors: floats at full scale 1, or signed
            integers at their own.
        rate: of the blocks in Hz.
        name: of the recording, in messages.

    Raises:
        UserError: the rate is no recorder's, or a block is no array, or has another shape or type,
            or samples that are not finite numbers.
    """
    with named_errors(name):
        check_header(rate, 1)

    def with_channels() -> Iterator[np.ndarray[Any, Any]]:
        num_channels = None
        for block in blocks:
            channels = as_channels(block, name, num_channels)
            num_channels = len(channels)
            yield channels

    yield from resample(mix(with_channels(), name), rate)


def name_of(source: object) -> str:
    """What messages call a path or an open file."""
    is_path = isinstance(source, str | Path)
    return str(source if is_path else getattr(source, "name", "audio stream"))


def mix(
    blocks: Iterable[np.ndarray[Any, Any]], name: str, channels: list[int] | None = None
) -> Iterator[Samples]:
    """The mean of the channels, or of some of them, of each block `[C, N]`.

    Raises:
        UserError: a sample is not a finite number.
    """
    for block in blocks:
        with np.errstate(over="ignore", invalid="ignore"):
            mono = (block if channels is None else block[channels]).mean(axis=0)
        if not (np.abs(mono) <= LOUDEST).all():
            raise UserError(
                name,
                expected="at least one sample, all finite",
                found="NaN, infinite or absurdly large samples",
                remedy="Record or convert the file again.",
            )
        yield mono


def resample(blocks: Iterable[Samples], rate: int) -> Iterator[Samples]:
    """The same sound at 16 kHz, to the bit what resampling all of it at once gives."""
    if rate == SAMPLING_RATE:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, SAMPLING_RATE, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(np.ascontiguousarray(block))
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def as_array(block: SupportsArray, name: str) -> np.ndarray[Any, Any]:
    """The samples as an array of numpy's.

    Args:
        block: an array, or what turns into one, such as a tensor.
        name: of the recording, in messages.

    Raises:
        UserError: it is something else, as the numbers of a list are, or cannot be turned into one,
            as a tensor on a GPU.
    """
    try:
        array = np.asarray(block) if hasattr(block, "__array__") else None
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            name,
            expected="an array of numpy's, or what turns into one",
            found=f"{type(block).__name__}: {error}",
            remedy="Convert it; of a tensor of PyTorch's, pass tensor.detach().float().cpu().",
        ) from error
    if array is None or array.ndim == 0:
        raise UserError(
            name,
            expected="arrays of samples, [N] or [channels, N]",
            found=type(block).__name__,
            remedy="Pass arrays; of a list of numbers, np.asarray(numbers, np.float32).",
        )
    return array


def as_channels(
    block: SupportsArray, name: str, num_channels: int | None = None
) -> Float32[np.ndarray, "C N"]:
    """The array `[N]` or `[channels, N]` as floats at full scale 1, channels first.

    Args:
        block: the samples, as an array or what turns into one, such as a tensor.
        name: of the recording, in messages.
        num_channels: of the block before: one with as many may have fewer samples than that.

    Raises:
        UserError: it is no array, it has another shape, or values that are no samples.
    """
    block = as_array(block, name)
    is_flat = block.ndim == 1
    is_wide = block.ndim == 2 and (
        len(block) == num_channels or len(block) <= max(block.shape[1], 1)
    )
    if not is_flat and not is_wide:
        raise UserError(
            name,
            expected="shape [N] or [channels, N]",
            found=f"shape {list(block.shape)}",
            remedy="Transpose arrays whose channels come last.",
        )
    if np.issubdtype(block.dtype, np.signedinteger):
        block = block / -float(np.iinfo(block.dtype).min)
    if not np.issubdtype(block.dtype, np.floating):
        raise UserError(
            name,
            expected="floats at full scale 1, or signed integers",
            found=f"values of type {block.dtype}",
            remedy="Convert it to float32 between -1 and 1.",
        )
    return np.atleast_2d(block.astype(np.float32))
