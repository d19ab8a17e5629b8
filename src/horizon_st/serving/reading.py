"""A recording that a stranger sent -> how long it is, and its segments, step by step on threads."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from threading import Event, Lock
from typing import BinaryIO

from horizon_st.data.mono import SAMPLING_RATE, Samples, stream_audio
from horizon_st.errors import UserError
from horizon_st.inference.segmenter import SegmenterConfig, SpeechSegment, speech_segments

Recording = Path | str | BinaryIO
"""A file, or an open binary file that can seek."""


class _StoppedError(Exception):
    """Nobody wants the rest."""


class Reading:
    """Reads one recording; its methods are for threads, one at a time.

    Args:
        recording: what to read.
        name: what its sender calls it, for messages.
        most_s: the longest it may be.
        segmenter: how to cut it.
    """

    def __init__(
        self, recording: Recording, name: str, *, most_s: float, segmenter: SegmenterConfig
    ) -> None:
        self._recording = recording
        self._name = name
        self._most_s = most_s
        self._stopped = Event()
        self._stepping = Lock()
        self._segments = self._cut(segmenter)

    def measure(self) -> float:
        """Its length in seconds, after all of it has been decoded: what is damaged shows now.

        Raises:
            UserError: it is not whole audio, or too long.
        """
        with self._stepping:
            return sum(map(len, self._blocks())) / SAMPLING_RATE

    def next_segment(self) -> SpeechSegment | None:
        """The next speech, or None at the end."""
        with self._stepping:
            return next(self._segments, None)

    def close(self) -> None:
        """Closes the file; a step that goes on in another thread ends with the block it reads."""
        self._stopped.set()
        with self._stepping:
            self._segments.close()

    def _cut(self, segmenter: SegmenterConfig) -> Generator[SpeechSegment, None, None]:
        yield from speech_segments(self._blocks(), segmenter)

    def _blocks(self) -> Iterator[Samples]:
        num_samples = 0
        try:
            for block in stream_audio(self._recording):
                num_samples += len(block)
                if self._stopped.is_set():
                    raise _StoppedError
                if num_samples > self._most_s * SAMPLING_RATE:
                    raise UserError(
                        self._name,
                        expected=f"at most {self._most_s / 60:g} minutes of sound",
                        found="more",
                        remedy="Cut it, and send the parts one after the other.",
                    )
                yield block
        except UserError as error:
            raise UserError(
                self._name, expected=error.expected, found=error.found, remedy=error.remedy
            ) from error
