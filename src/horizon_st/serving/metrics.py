"""What the service counts, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from horizon_st.data.mono import SAMPLING_RATE
from horizon_st.inference.segmenter import SpeechSegment

_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The figures of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "horizon_st_requests", "Answered requests.", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "horizon_st_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.accepted = Gauge(
            "horizon_st_accepted_requests", "Accepted and not answered yet.", registry=registry
        )
        self.refused = Counter(
            "horizon_st_busy", "Requests refused for lack of a place.", registry=registry
        )
        self.waiting_segments = Gauge(
            "horizon_st_waiting_segments", "Cut and not yet in a batch.", registry=registry
        )
        self.audio_seconds = Counter(
            "horizon_st_audio_seconds", "Length of the recordings taken on.", registry=registry
        )
        self._speech_seconds = Counter(
            "horizon_st_speech_seconds", "Length of the segments decoded.", registry=registry
        )
        self._batch_segments = Histogram(
            "horizon_st_batch_segments",
            "Segments decoded at once.",
            buckets=_SIZES,
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "horizon_st_batch_seconds", "To decode a batch.", buckets=_SECONDS, registry=registry
        )

    @contextmanager
    def decoding(self, segments: Sequence[SpeechSegment]) -> Iterator[None]:
        """A block in which a batch is decoded."""
        started = time.perf_counter()
        yield
        self._batch_seconds.observe(time.perf_counter() - started)
        self._batch_segments.observe(len(segments))
        self._speech_seconds.inc(sum(len(one.samples) for one in segments) / SAMPLING_RATE)

    def to_text(self) -> bytes:
        """All figures in the text format of Prometheus."""
        return generate_latest(self.registry)
