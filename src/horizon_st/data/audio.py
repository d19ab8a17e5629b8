"""Utterances of lhotse, files and arrays -> float32 mono samples at 16 kHz."""

from __future__ import annotations

import re
from io import BytesIO
from subprocess import SubprocessError
from typing import Any, TypeAlias

import numpy as np
import soundfile
import soxr
from lhotse.audio import AudioLoadingError, AudioSource, DurationMismatchError
from lhotse.cut import MonoCut, MultiCut
from lhotse.utils import compute_num_samples

from horizon_st.data.audio_file import (
    LONGEST_S,
    SHORTEST_S,
    audio_info,
    check_length,
    join_blocks,
    load_audio,
    read_mono,
)
from horizon_st.data.audio_reader import UnreadableAudioError, check_header
from horizon_st.data.audio_source import named_errors, open_audio
from horizon_st.data.mono import LOUDEST, SAMPLING_RATE, Samples, mix, resample
from horizon_st.errors import UserError

__all__ = [
    "LONGEST_S", "LOUDEST", "SAMPLING_RATE", "SHORTEST_S", "Cut", "Samples", "audio_info",
    "change_speed", "check_length", "load_audio", "load_cut", "to_model_rate",
]  # fmt: skip

_LHOTSE_TOLERANCE_S = 0.1
"""How much longer or shorter a cut may be than the manifest says if lhotse changed its sound."""

_NOT_FOR_A_SHELL = re.compile(r"[^\w ./@%+=:,-]")
"""What a shell might take for more than a name: lhotse decodes some formats with one."""

Cut: TypeAlias = MonoCut | MultiCut
"""An utterance: a piece of one channel of a recording, or of several."""


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
    return join_blocks(resample(mix([block], name), rate))


def change_speed(samples: Samples, factor: float) -> Samples:
    """Samples played `factor` times as fast: tempo and pitch change together (Ko et al. 2015)."""
    if factor == 1.0:
        return samples
    return np.asarray(soxr.resample(samples, SAMPLING_RATE * factor, SAMPLING_RATE), np.float32)


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
            samples, num_read = read_mono(reader, start, wanted, name=place, channels=channels)
            if num_read < wanted:
                reader.check_whole(start + num_read)
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
