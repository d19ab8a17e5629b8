"""Rows -> the same rows with what is wrong with their sound, which other processes may decode."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from math import inf, log10
from pathlib import Path

import numpy as np

from horizon_st.data.audio import Cut, Samples, load_cut
from horizon_st.data.ogg import lacks_end_of_stream
from horizon_st.data.validation.rows import Row
from horizon_st.errors import UserError

SILENT_DB = -60.0
"""RMS below full scale; the noise of a quiet room on a cheap recorder is louder."""

CLIPPED_LEVEL = 0.99
"""Of full scale. Codecs and resampling move clipped tops a little, so equality would miss them."""

CLIPPED_SHARE = 0.001
"""Of the samples. Speech whose highest peak just reaches full scale is there far more rarely."""

LARGEST_OFFSET = 0.05
"""Of full scale, as the mean of an utterance. Speech itself has no mean; converters have 0.01."""

_OGG_SUFFIXES = {".ogg", ".oga", ".opus", ".spx"}
_ROWS_AT_ONCE = 16
_CHUNKS_PER_WORKER = 4

Finding = tuple[str, str]
"""A kind of problem and what was found."""


def with_sound(rows: Iterable[Row], num_workers: int) -> Iterator[Row]:
    """The rows in their order, with the problems of their sound added.

    Rows that training refuses anyway are not decoded, nor those known to be sound. A bounded number
    of rows is held at a time.

    Args:
        rows: from `read_rows`.
        num_workers: processes that decode; 0 for this one.
    """
    if num_workers == 0:
        for row in rows:
            yield _noted(row, _listen_to_all([_unheard(row)])[0])
        return
    with _Workers(num_workers) as workers:
        yield from workers.listen_to(rows)


def listen(cut: Cut) -> list[Finding]:
    """What is wrong with the sound of a cut."""
    try:
        samples = load_cut(cut)
    except UserError as error:
        return [(_kind_of(error), f"{error.found}; expected {error.expected}")]
    return [*_unended(cut), *judge(samples)]


def _unended(cut: Cut) -> Iterator[Finding]:
    for source in cut.recording.sources:
        if source.type == "file" and Path(source.source).suffix.lower() in _OGG_SUFFIXES:
            with Path(source.source).open("rb") as file:
                if lacks_end_of_stream(file):
                    yield "no end of stream", f"{source.source} may lack its end"


def judge(samples: Samples) -> Iterator[Finding]:
    """What is wrong with samples `[N]`, with the measured level."""
    mean = float(samples.mean(dtype=np.float64))
    level = _decibels(float(np.sqrt(np.square(samples - mean).mean(dtype=np.float64))))
    has_offset = abs(mean) > LARGEST_OFFSET
    if has_offset:
        yield "constant offset", f"mean {mean:+.3f} of full scale, level {level:.1f} dBFS"
    if level < SILENT_DB:
        yield "silence", f"level {level:.1f} dBFS"
    clipped = float((np.abs(samples) >= CLIPPED_LEVEL).mean())
    if clipped > CLIPPED_SHARE and level >= SILENT_DB:
        yield "clipping", f"{100 * clipped:.2f} % of the samples at full scale"


class _Workers:
    """Processes that decode, replaced when a decoder crashes."""

    def __init__(self, num_workers: int) -> None:
        self._num_workers = num_workers
        self._pool = self._new_pool()

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def listen_to(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows in their order, with the problems of their sound added."""
        waiting: deque[tuple[list[Row], Future[list[list[Finding]]]]] = deque()
        chunks = _chunks(rows)
        for chunk in chunks:
            waiting.append((chunk, self._submit(chunk)))
            if len(waiting) > self._num_workers * _CHUNKS_PER_WORKER:
                yield from self._finished(*waiting.popleft())
        while waiting:
            yield from self._finished(*waiting.popleft())

    def _finished(self, chunk: list[Row], future: Future[list[list[Finding]]]) -> Iterator[Row]:
        try:
            findings = future.result()
        except BrokenProcessPool:
            findings = [self._alone(row) for row in chunk]
        for row, found in zip(chunk, findings, strict=True):
            yield _noted(row, found)

    def _alone(self, row: Row) -> list[Finding]:
        """What is wrong with a row of a chunk that a crash has cut short."""
        for _ in range(2):  # the first attempt may meet the pool that another chunk has broken
            try:
                return self._submit([row]).result()[0]
            except BrokenProcessPool:
                self._pool = self._new_pool()
        return [("unreadable audio", "the decoder crashed")]

    def _submit(self, chunk: list[Row]) -> Future[list[list[Finding]]]:
        cuts = [_unheard(row) for row in chunk]
        try:
            return self._pool.submit(_listen_to_all, cuts)
        except BrokenProcessPool:
            self._pool = self._new_pool()
            return self._pool.submit(_listen_to_all, cuts)

    def _new_pool(self) -> ProcessPoolExecutor:
        # A fork of a process with threads, such as those of a progress bar, may hang.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        return ProcessPoolExecutor(self._num_workers, mp_context=context)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, _ROWS_AT_ONCE)):
        yield chunk


def _listen_to_all(cuts: list[Cut | None]) -> list[list[Finding]]:
    return [[] if cut is None else listen(cut) for cut in cuts]


def _unheard(row: Row) -> Cut | None:
    """What is to be decoded of a row, if anything."""
    return row.cut if row.is_usable and not row.is_sound else None


def _noted(row: Row, findings: list[Finding]) -> Row:
    row.is_sound = row.is_usable and not findings
    for kind, found in findings:
        row.add(kind, found)
    return row


def _decibels(amplitude: float) -> float:
    return 20 * log10(amplitude) if amplitude > 0 else -inf


def _kind_of(error: UserError) -> str:
    """Of what `load_cut` refuses."""
    if "samples at" in error.found or error.found == "no samples":
        return "too short"
    if error.found.startswith("NaN"):
        return "non-finite samples"
    is_short = " s at " in error.found or error.expected.startswith("an offset within")
    return "truncated audio" if is_short or "truncated" in error.found else "unreadable audio"
