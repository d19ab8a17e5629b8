"""A recording that a stranger sent -> how long it is, and its segments, step by step on threads.

A step reads a bounded amount of sound, whatever is in it, so that the steps of all callers take
turns on the threads: hours of silence hold up nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from functools import cached_property
from pathlib import Path
from threading import Event, Lock
from typing import BinaryIO

from horizon_st.data.mono import SAMPLING_RATE, Samples, stream_audio
from horizon_st.errors import UserError
from horizon_st.inference.segmenter import Segmenter, SegmenterConfig, SpeechSegment

Recording = Path | str | BinaryIO
"""A file, or an open binary file that can seek."""

STEP_S = 30
"""So much sound a step reads, or little more."""

_STEP_SAMPLES = STEP_S * SAMPLING_RATE


class RefusedRecordingError(UserError):
    """A recording is not whole audio, or too long: a mistake of its sender, not of the server."""


class _StoppedError(Exception):
    """Nobody wants the rest."""


class Reading:
    """Reads one recording; its methods are for threads, one at a time.

    Args:
        recording: what to read.
        name: what its sender calls it, for messages.
        most_s: the longest it may be.
        segmenter: how to cut it.
        on_block: is given all of its sound at 16 kHz while it is measured, in order.

    Attributes:
        duration_s: as far as it is measured.
    """

    def __init__(
        self,
        recording: Recording,
        name: str,
        *,
        most_s: float,
        segmenter: SegmenterConfig,
        on_block: Callable[[Samples], None] | None = None,
    ) -> None:
        self.duration_s = 0.0
        self._recording = recording
        self._name = name
        self._most_s = most_s
        self._config = segmenter
        self._on_block = on_block
        self._stopped = Event()
        self._stepping = Lock()
        self._to_measure = self._blocks()
        self._to_cut = self._blocks()
        self._is_over = False
        self._found: deque[SpeechSegment] = deque()

    @property
    def is_cut(self) -> bool:
        """Whether `next_segment` has given all that there are."""
        return self._is_over and not self._found

    def measure(self) -> bool:
        """Decodes some more of it; whether that was the rest. What is damaged shows now.

        Raises:
            RefusedRecordingError: it is not whole audio, or too long.
        """
        num_samples = 0
        with self._stepping:
            for block in self._to_measure:
                num_samples += len(block)
                self.duration_s += len(block) / SAMPLING_RATE
                if self._on_block is not None:
                    self._on_block(block)
                if num_samples >= _STEP_SAMPLES:
                    return False
        return True

    def next_segment(self) -> SpeechSegment | None:
        """The next speech, or None where none ends in what is read of it now; see `is_cut`.

        Raises:
            RefusedRecordingError: it is not whole audio, or too long.
        """
        num_samples = 0
        with self._stepping:
            while not self._found and not self._is_over and num_samples < _STEP_SAMPLES:
                block = next(self._to_cut, None)
                if block is None:
                    self._is_over = True
                    self._found += self._segmenter.finish()
                else:
                    num_samples += len(block)
                    self._found += self._segmenter.feed(block)
            return self._found.popleft() if self._found else None

    def stop(self) -> None:
        """Has a step that goes on in another thread end with the block that it decodes."""
        self._stopped.set()

    def close(self) -> None:
        """Closes the file, after a step that goes on in another thread."""
        self.stop()
        with self._stepping:
            self._to_measure.close()
            self._to_cut.close()

    @cached_property
    def _segmenter(self) -> Segmenter:
        return Segmenter(self._config)

    def _blocks(self) -> Generator[Samples, None, None]:
        """Its sound, no more than a step at once."""
        num_samples = 0
        try:
            for block in stream_audio(self._recording):
                num_samples += len(block)
                if num_samples > self._most_s * SAMPLING_RATE:
                    raise UserError(
                        self._name,
                        expected=f"at most {self._most_s / 60:g} minutes of sound",
                        found="more",
                        remedy="Cut it, and send the parts one after the other.",
                    )
                for start in range(0, len(block), _STEP_SAMPLES):
                    if self._stopped.is_set():
                        raise _StoppedError
                    yield block[start : start + _STEP_SAMPLES]
        except UserError as error:
            raise RefusedRecordingError(
                self._name, expected=error.expected, found=error.found, remedy=error.remedy
            ) from error
