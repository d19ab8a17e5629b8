"""One recording on its way: read on threads, its segments in the queue, collected in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from horizon_st.inference.pipeline import TranslatedSegment
from horizon_st.serving.batches import Batches
from horizon_st.serving.limits import OutOfTimeError
from horizon_st.serving.reading import Reading

_T = TypeVar("_T")


class Translating:
    """An asynchronous iterator over translated segments, in the order of the recording.

    Args:
        reading: the recording.
        readers: threads to read it on, a step at a time, in turn with all others.
        batches: where segments become translations.
        deadline: by the event loop's clock.
        most_ahead: how many segments it may have cut and not given yet, at present.

    """

    def __init__(
        self,
        reading: Reading,
        readers: ThreadPoolExecutor,
        batches: Batches,
        *,
        deadline: float,
        most_ahead: Callable[[], int],
    ) -> None:
        self._reading = reading
        self._readers = readers
        self._batches = batches
        self._deadline = deadline
        self._most_ahead = most_ahead
        self._ahead: deque[Future[TranslatedSegment]] = deque()
        self._step: Future[Any] | None = None

    @property
    def duration_s(self) -> float:
        """The recording's length, once `measure` has found it."""
        return self._reading.duration_s

    async def measure(self) -> None:
        """Decodes all of the recording once.

        Raises:
            RefusedRecordingError: it is not whole audio, or too long.
            OutOfTimeError: the deadline has passed.
        """
        while not await self._on_thread(self._reading.measure):
            pass

    def __aiter__(self) -> Translating:
        return self

    async def __anext__(self) -> TranslatedSegment:
        while self._wants_more():
            speech = await self._on_thread(self._reading.next_segment)
            if speech is not None:
                self._ahead.append(self._batches.submit(speech))
        if not self._ahead:
            raise StopAsyncIteration
        segment = await self._in_time(asyncio.wrap_future(self._ahead[0]))
        self._ahead.popleft()
        return segment

    async def close(self) -> None:
        """Has nothing more read or decoded; when it returns, no thread reads the recording."""
        for future in self._ahead:
            self._batches.withdraw(future)
        self._reading.stop()
        try:
            if self._step is not None and not self._step.cancel():
                await asyncio.gather(asyncio.wrap_future(self._step), return_exceptions=True)
        finally:
            self._reading.close()

    def _wants_more(self) -> bool:
        """Whether to cut before giving: not while a segment is ready to be given."""
        if self._reading.is_cut or (self._ahead and self._ahead[0].done()):
            return False
        return len(self._ahead) < self._most_ahead()

    async def _on_thread(self, step: Callable[[], _T]) -> _T:
        future = self._step = self._readers.submit(step)
        return await self._in_time(asyncio.wrap_future(future))

    async def _in_time(self, awaitable: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await awaitable
        except TimeoutError as error:
            raise OutOfTimeError from error
