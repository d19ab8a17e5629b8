"""Recordings of many callers -> their translations, as segments are ready.

Files are read and cut on threads; segments of all callers share one queue, from which each replica
of the model takes batches. The event loop does neither.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from types import TracebackType

from horizon_st.data.mono import Samples, name_of
from horizon_st.hardware import usable_cores
from horizon_st.inference.formats import UNSURE_BELOW, TranslatedRecording
from horizon_st.inference.pipeline import TranslatedSegment
from horizon_st.serving.batches import Batches, Replica
from horizon_st.serving.limits import BusyError, Limits
from horizon_st.serving.metrics import Metrics
from horizon_st.serving.reading import Reading, Recording
from horizon_st.serving.translating import Translating

_BATCHES_AHEAD = 3
"""Cut before they are needed, for each replica, which decodes one of them meanwhile."""

_RECENT = 0.2
"""The weight of the last request in the mean time that one takes."""

_LONGEST_RETRY_S = 60
"""Clients come back by themselves after no longer time."""


class Place:
    """One of the requests that the service has accepted; a context that gives it back.

    Attributes:
        accepted_at: when, by the event loop's clock.
        deadline: when its time is over.
    """

    def __init__(self, accepted_at: float, deadline: float, give_back: Callable[[], None]) -> None:
        self.accepted_at = accepted_at
        self.deadline = deadline
        self._give_back = give_back

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._give_back()


class TranslationService:
    """Translates for many callers at once, all of them on one event loop.

    Args:
        replicas: one translator, or several of equal models, each of which decodes a batch at a
            time.
        limits: how much it takes on.
        unsure_below: confidence below which a segment is marked.
    """

    def __init__(
        self,
        *replicas: Replica,
        limits: Limits | None = None,
        unsure_below: float = UNSURE_BELOW,
    ) -> None:
        self.limits = limits or Limits()
        self.unsure_below = unsure_below
        self.metrics = Metrics()
        self._is_closing = False
        self._segmenter = replicas[0].segmenter
        self._most_ahead = _BATCHES_AHEAD * len(replicas) * replicas[0].config.batch_size
        self._num_accepted = 0
        self._mean_s = 1.0
        self._readers = ThreadPoolExecutor(max(2, usable_cores()), thread_name_prefix="reader")
        self._batches = Batches(replicas, self.metrics)
        self.metrics.accepted.set_function(lambda: self._num_accepted)

    @property
    def has_place(self) -> bool:
        """Whether it would accept a request."""
        return not self._is_closing and self._num_accepted < self.limits.queue

    def accept(self) -> Place:
        """A place for one request, whose time runs from now.

        Raises:
            BusyError: all are taken, or the service is closing.
        """
        if not self.has_place:
            self.metrics.refused.inc()
            raise BusyError(min(max(1, math.ceil(self._mean_s)), _LONGEST_RETRY_S))
        self._num_accepted += 1
        now = asyncio.get_running_loop().time()
        return Place(now, now + self.limits.most_wait_s, self._take_back)

    async def translate(
        self, recording: Recording, *, name: str | None = None, place: Place | None = None
    ) -> TranslatedRecording:
        """The whole translation.

        Args:
            recording: a path, or an open binary file that can seek.
            name: what its sender calls it; by default that of the file.
            place: what `accept` gave; without one, it is asked for here.

        Raises:
            BusyError: there is no place.
            RefusedRecordingError: the recording is not whole audio, or too long.
            OutOfTimeError: it took too long.
            LostReplicaError: the process that translated it died.
        """
        name = name or name_of(recording)
        async with self.open(recording, name=name, place=place) as opened:
            segments = [segment async for segment in opened]
        return TranslatedRecording(
            name, opened.duration_s, segments, unsure_below=self.unsure_below
        )

    async def stream(
        self, recording: Recording, *, name: str | None = None, place: Place | None = None
    ) -> AsyncIterator[TranslatedSegment]:
        """The segments in their order, each as soon as it is translated.

        Arguments and errors are those of `translate`. The place is free when the iterator has ended
        or is closed.
        """
        async with self.open(recording, name=name, place=place) as opened:
            async for segment in opened:
                yield segment

    @asynccontextmanager
    async def open(
        self,
        recording: Recording,
        *,
        name: str | None = None,
        place: Place | None = None,
        on_block: Callable[[Samples], None] | None = None,
    ) -> AsyncIterator[Translating]:
        """A recording that was found to be whole, its length, and its segments as they are ready.

        Further arguments and errors are those of `translate`. When the context ends, nothing more
        of it is read or decoded.

        Args:
            recording: a path, or an open binary file that can seek.
            name: what its sender calls it.
            place: what `accept` gave.
            on_block: is given all of its sound at 16 kHz, in order, on threads, before the context
                begins.
        """
        with self.accept() if place is None else nullcontext(place) as place:
            reading = Reading(
                recording,
                name or name_of(recording),
                most_s=self.limits.most_s,
                segmenter=self._segmenter,
                on_block=on_block,
            )
            opened = Translating(
                reading,
                self._readers,
                self._batches,
                deadline=place.deadline,
                most_ahead=self._share,
            )
            try:
                await opened.measure()
                self.metrics.audio_seconds.inc(opened.duration_s)
                yield opened
            finally:
                await opened.close()
            took_s = asyncio.get_running_loop().time() - place.accepted_at
            self._mean_s += _RECENT * (took_s - self._mean_s)

    def close(self) -> None:
        """Takes no more; returns when all that was accepted is decoded."""
        self._is_closing = True
        self._batches.close()
        self._readers.shutdown()

    def _share(self) -> int:
        """Segments that one caller may have cut ahead: fewer, the more callers there are."""
        return max(1, self._most_ahead // max(1, self._num_accepted))

    def _take_back(self) -> None:
        self._num_accepted -= 1
