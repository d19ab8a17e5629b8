"""A source of sound as its readers show it: what its header says, and blocks of its samples.

Legend: C channels, N samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

MOST_CHANNELS = 64
"""More is a damaged header: the largest microphone arrays of speech corpora have fewer."""

SLOWEST_HZ = 4_000
FASTEST_HZ = 384_000
"""Rates of real recorders, from old telephony to studio converters."""

LONGEST_RECORDING_S = 24 * 3600
"""More is not searched for its end, where finding that means to decode everything."""

Block = Float32[np.ndarray, "C N"]


@dataclass(frozen=True)
class AudioInfo:
    """How much sound a recording has.

    Attributes:
        sampling_rate: samples per second of each channel.
        num_samples: samples of each channel.
        num_channels: channels.
    """

    sampling_rate: int
    num_samples: int
    num_channels: int


@dataclass
class Concealment:
    """Silence in place of sound that cannot be decoded.

    Attributes:
        start_s: where the first of it begins.
        duration_s: of all of it.
    """

    start_s: float
    duration_s: float = 0.0


class UnreadableAudioError(Exception):
    """What is wrong with a source; the caller knows its name and says what to do."""


class AudioReader(ABC):
    """Reads one open source.

    Attributes:
        sampling_rate: samples per second of each channel.
        num_channels: channels.
        has_nominal_rate: whether the codec has no rate of its own (Opus), so that a manifest may
            name another one.
        length_tolerance_s: how far from the truth lengths of other tools are for such files.
        concealment: what was concealed since it was opened; None if nothing was.
    """

    sampling_rate: int
    num_channels: int
    has_nominal_rate: bool
    length_tolerance_s: float
    concealment: Concealment | None = None

    @abstractmethod
    def count_samples(self) -> int:
        """Samples of each channel that can be read.

        Raises:
            UnreadableAudioError: the source is truncated: its header says more.
        """

    @abstractmethod
    def check_whole(self, num_samples: int) -> None:
        """Nothing, unless the source says itself that it has more; decodes no sound to know it.

        Args:
            num_samples: of each channel, as many as could be read to its end.

        Raises:
            UnreadableAudioError: the source is truncated.
        """

    @abstractmethod
    def blocks(self, start: int, num_samples: int | None = None) -> Iterator[Block]:
        """The samples from `start` on, in blocks of bounded size; fewer if the source ends.

        Raises:
            UnreadableAudioError: the source cannot be decoded there.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees the decoder; the source itself stays open."""


def check_header(sampling_rate: int, num_channels: int) -> None:
    """Returns if a recorder could have written these.

    Raises:
        UnreadableAudioError: they are absurd.
    """
    if not SLOWEST_HZ <= sampling_rate <= FASTEST_HZ:
        raise UnreadableAudioError(
            f"a sampling rate of {sampling_rate} Hz, outside {SLOWEST_HZ} to {FASTEST_HZ} Hz"
        )
    if not 1 <= num_channels <= MOST_CHANNELS:
        raise UnreadableAudioError(f"{num_channels} channels, outside 1 to {MOST_CHANNELS}")


def truncated(claimed: str, there: str) -> UnreadableAudioError:
    """The error of a source that has less than it says.

    Args:
        claimed: what its header says, with the unit.
        there: how much of that can be read.
    """
    return UnreadableAudioError(
        f"a truncated file: {claimed} according to its header, {there} there"
    )
