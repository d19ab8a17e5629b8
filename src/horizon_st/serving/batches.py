"""Segments of all callers -> batches, each decoded by whichever replica is free."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Protocol

from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.inference.pipeline import TranslatedSegment
from horizon_st.inference.segmenter import SegmenterConfig, SpeechSegment
from horizon_st.serving.metrics import Metrics


class Replica(Protocol):
    """A translator, in this process or in another one."""

    @property
    def config(self) -> DecodingConfig:
        """The search."""

    @property
    def segmenter(self) -> SegmenterConfig:
        """How recordings are cut."""

    def translate_segments(self, segments: Sequence[SpeechSegment]) -> list[TranslatedSegment]:
        """The translations, in the same order."""


_Job = tuple[SpeechSegment, "Future[TranslatedSegment]"]


class Batches:
    """One queue, and a thread for each replica that takes batches from it, first come first served.

    A batch is whatever waits when a replica is free: alone, a caller does not wait for others.

    Args:
        replicas: equal models.
        metrics: is told of batches.
    """

    def __init__(self, replicas: Sequence[Replica], metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: deque[_Job] = deque()
        self._changed = Condition()
        self._is_closed = False
        self._threads = [
            Thread(target=self._work, args=(replica,), name=f"replica-{number}", daemon=True)
            for number, replica in enumerate(replicas)
        ]
        metrics.waiting_segments.set_function(lambda: len(self._waiting))
        for thread in self._threads:
            thread.start()

    def submit(self, segment: SpeechSegment) -> Future[TranslatedSegment]:
        """The translation to come; `withdraw` it when nobody wants it any more."""
        future: Future[TranslatedSegment] = Future()
        with self._changed:
            self._waiting.append((segment, future))
            self._changed.notify()
        return future

    def withdraw(self, future: Future[TranslatedSegment]) -> None:
        """Takes a segment out of the queue, unless it is being decoded or done."""
        with self._changed:
            if future.cancel():
                self._waiting = deque(job for job in self._waiting if job[1] is not future)

    def close(self) -> None:
        """Returns when all that was waiting is done and the threads have ended."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, replica: Replica) -> None:
        while batch := self._take(replica.config.batch_size):
            segments = [segment for segment, _ in batch]
            try:
                with self._metrics.decoding(segments):
                    found = replica.translate_segments(segments)
            except Exception as error:  # theirs to raise: this thread serves the others
                for _, future in batch:
                    future.set_exception(error)
            else:
                for (_, future), segment in zip(batch, found, strict=True):
                    future.set_result(segment)

    def _take(self, most: int) -> list[_Job]:
        """The next batch, waited for; empty at the end of the service."""
        with self._changed:
            while True:
                batch: list[_Job] = []
                while self._waiting and len(batch) < most:
                    job = self._waiting.popleft()
                    if job[1].set_running_or_notify_cancel():
                        batch.append(job)
                if batch or self._is_closed:
                    return batch
                self._changed.wait()
