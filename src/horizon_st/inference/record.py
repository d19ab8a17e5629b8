"""What has been translated of a file, on disk as it comes, so that nothing is translated twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from fcntl import LOCK_EX, LOCK_NB, lockf
from pathlib import Path
from typing import IO, Any

from horizon_st.errors import UserError
from horizon_st.inference.pipeline import SpeechTranslator, TranslatedSegment
from horizon_st.inference.segmenter import SpeechSegment

_VERSION = 1
"""Of what a record holds and of how recordings are cut: raised with every change of either."""

_END = {"is_finished": True}


def record_folder(folder: Path) -> Path:
    """Where the records of the outputs in a folder lie."""
    return folder / ".horizon-st"


def settings_of(translator: SpeechTranslator, one_utterance: bool) -> dict[str, Any]:
    """All that translations depend on, but the recording: records of others are not used."""
    return {
        "version": _VERSION,
        "model": translator.runtime.fingerprint(),
        "decoding": asdict(translator.config),
        "segmenter": None if one_utterance else asdict(translator.segmenter),
    }


class Record:
    """The translated segments of one file.

    Attributes:
        segments: in their order.
        is_finished: whether they are all there are.
    """

    segments: list[TranslatedSegment]
    is_finished: bool

    def __init__(self, lines: IO[str], head: dict[str, Any]) -> None:
        self._lines = lines
        self.segments, self.is_finished = [], False
        self._read(head)
        self._by_time = {(one.start_s, one.end_s): one for one in self.segments}

    @classmethod
    @contextmanager
    def open(cls, folder: Path, file: Path, settings: dict[str, Any]) -> Iterator[Record]:
        """The record of a file, to continue; empty where another file or settings made it.

        Raises:
            UserError: another process writes it, or it cannot be written.
        """
        path = folder / f"{file.name}.jsonl"
        try:
            lines = path.open("a+", encoding="utf-8", newline="\n")
        except OSError as error:
            raise UserError(
                str(path),
                expected="a file that can be written",
                found=f"{type(error).__name__}: {error.strerror}",
                remedy="Choose another --output.",
            ) from error
        with lines:
            try:
                lockf(lines, LOCK_EX | LOCK_NB)
            except OSError as error:
                raise UserError(
                    str(path),
                    expected="an --output that no other process translates this file into",
                    found="a lock held by another process",
                    remedy="Wait for it, stop it, or choose another --output.",
                ) from error
            state = file.stat()
            stamp = {"name": file.name, "bytes": state.st_size, "ns": state.st_mtime_ns}
            yield cls(lines, settings | {"file": stamp})

    def get(self, segment: SpeechSegment) -> TranslatedSegment | None:
        """Its translation, where there is one already."""
        return self._by_time.get((segment.start_s, segment.end_s))

    def add(self, segment: TranslatedSegment) -> None:
        """Keeps the next translation."""
        self._write(asdict(segment))

    def finish(self) -> None:
        """Says that nothing is missing."""
        if not self.is_finished:
            self.is_finished = True
            self._write(_END)

    def _read(self, head: dict[str, Any]) -> None:
        self._lines.seek(0)
        end = 0
        if self._lines.readline() == _line(head):
            end = self._lines.tell()
            while line := self._lines.readline():
                try:
                    values = json.loads(line)
                    self.is_finished = values == _END
                    if not self.is_finished:
                        self.segments.append(TranslatedSegment(**values))
                except (ValueError, TypeError):
                    break  # a line that a killed process had begun
                end = self._lines.tell()
        self._lines.seek(end)
        self._lines.truncate()
        if end == 0:
            self._write(head)

    def _write(self, values: dict[str, Any]) -> None:
        self._lines.write(_line(values))
        self._lines.flush()


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"
