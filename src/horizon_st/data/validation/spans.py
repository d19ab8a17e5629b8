"""Pieces of recordings -> which of them are of the same sound as others."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable
from functools import reduce
from hashlib import blake2b
from operator import or_
from os.path import normpath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from horizon_st.data.audio import Cut

LEAST_SHARED = 0.5
"""Of the shorter of two pieces: neighbouring segments of a recording overlap a little, too."""

_NUM_CHANNELS = 64

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


class Span(NamedTuple):
    """A piece of a recording.

    Attributes:
        recording: 64 bits of the paths of its sources.
        channels: one bit for each.
        start_s: where it begins.
        end_s: where it ends.
    """

    recording: int
    channels: int
    start_s: float
    end_s: float


NO_SPAN = Span(0, 0, 0.0, 0.0)
"""Of what has no recording: of the same sound as nothing."""


def make_span(
    sources: Iterable[object], channel: int | Collection[int], start_s: float, duration_s: float
) -> Span:
    """The piece that a cut is of, whatever its id is.

    Args:
        sources: the paths of its recording.
        channel: one, or several.
        start_s: where it begins.
        duration_s: its length.
    """
    name = "\n".join(normpath(Path(str(source)).absolute()) for source in sources)
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    channels = [channel] if isinstance(channel, int) else channel
    bits = reduce(or_, (1 << number % _NUM_CHANNELS for number in channels), 0)
    return Span(int.from_bytes(digest, "big"), bits, start_s, start_s + duration_s)


def span_of(cut: Cut) -> Span:
    """The piece that a cut is of; :data:`NO_SPAN` without a recording."""
    if cut.recording is None:
        return NO_SPAN
    sources = (source.source for source in cut.recording.sources)
    return make_span(sources, cut.channel, cut.start, cut.duration)


class Spans:
    """Pieces by number, from 0, in 32 bytes each.

    Two are of the same sound if they have a channel and :data:`LEAST_SHARED` of the shorter one in
    common; copies of a recording under another path are not recognised.
    """

    def __init__(self) -> None:
        self._recordings = array("Q")
        self._channels = array("Q")
        self._starts_s = array("d")
        self._ends_s = array("d")
        self._order: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return len(self._recordings)

    def __getitem__(self, number: int) -> Span:
        return Span(
            self._recordings[number],
            self._channels[number],
            self._starts_s[number],
            self._ends_s[number],
        )

    def add(self, span: Span) -> None:
        """Takes in the next piece."""
        self._recordings.append(span.recording)
        self._channels.append(span.channels)
        self._starts_s.append(span.start_s)
        self._ends_s.append(span.end_s)
        self._order = None

    def find(self, span: Span) -> int | None:
        """The number of the first piece of the same sound, or None."""
        numbers = self._of_recording(span.recording)
        if not numbers.size:
            return None
        starts_s, ends_s = (np.frombuffer(x)[numbers] for x in (self._starts_s, self._ends_s))
        shared_s = np.minimum(ends_s, span.end_s) - np.maximum(starts_s, span.start_s)
        shorter_s = np.minimum(ends_s - starts_s, span.end_s - span.start_s)
        channels = np.frombuffer(self._channels, np.uint64)[numbers] & np.uint64(span.channels)
        is_same = (shared_s > LEAST_SHARED * shorter_s) & (channels != 0)
        return int(numbers[is_same].min()) if is_same.any() else None

    def shared_with(self, others: Spans) -> Mask:
        """Which pieces are of the same sound as one of others."""
        mask = np.zeros(len(self), bool)
        candidates = np.isin(np.asarray(self._recordings), np.asarray(others._recordings))
        for number in np.flatnonzero(candidates).tolist():
            mask[number] = others.find(self[number]) is not None
        return mask

    def mixed_twice(self) -> Mask:
        """Which pieces of several channels are of the same sound as the one before or after.

        Pieces of a recording are compared in the order of their starts.
        """
        recordings = np.asarray(self._recordings, np.uint64)
        starts_s, ends_s = np.asarray(self._starts_s), np.asarray(self._ends_s)
        channels = np.asarray(self._channels, np.uint64)
        order = np.lexsort((starts_s, recordings))
        first, second = order[:-1], order[1:]
        shared_s = np.minimum(ends_s[first], ends_s[second]) - starts_s[second]
        shorter_s = np.minimum((ends_s - starts_s)[first], (ends_s - starts_s)[second])
        is_same = (recordings[first] == recordings[second]) & (channels[first] != 0)
        is_same &= (channels[first] & channels[second]) != 0
        is_same &= shared_s > LEAST_SHARED * shorter_s
        mask = np.zeros(len(self), bool)
        mask[first[is_same]] = mask[second[is_same]] = True
        mask[(channels & (channels - np.uint64(1))) == 0] = False
        return mask

    def _of_recording(self, recording: int) -> np.ndarray[Any, Any]:
        """The numbers of its pieces."""
        keys = np.frombuffer(self._recordings, np.uint64) if len(self) else np.zeros(0, np.uint64)
        if self._order is None:
            self._order = np.argsort(keys, kind="stable")
        sides = (
            np.searchsorted(keys, np.uint64(recording), side=side, sorter=self._order)
            for side in ("left", "right")
        )
        return self._order[slice(*map(int, sides))]
