"""What has been translated of a file, on disk as it comes, so that nothing is translated twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from fcntl import LOCK_EX, LOCK_NB, lockf
from io import FileIO
from pathlib import Path
from typing import Any

from horizon_st.data.files import fitting_name, write_errors
from horizon_st.decoding.model_folder import model_fingerprint
from horizon_st.errors import UserError
from horizon_st.inference.pipeline import SpeechTranslator, TranslatedSegment
from horizon_st.inference.segmenter import SpeechSegment

_VERSION = 2
"""Of what a record holds and of how recordings are cut: raised with every change of either."""

_END = {"is_finished": True}


def record_folder(folder: Path) -> Path:
    """Where the records of the outputs in a folder lie."""
    return folder / ".horizon-st"


def settings_of(translator: SpeechTranslator, one_utterance: bool) -> dict[str, Any]:
    """All that translations depend on, but the recording: records of others are not used.

    The batch size is left out: whoever runs out of memory goes on with a smaller one. So is the
    tokeniser of scores.
    """
    search = asdict(translator.config)
    del search["batch_size"], search["tokenize"]
    return {
        "version": _VERSION,
        "model": model_fingerprint(translator.runtime.folder),
        "decoding": search,
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

    def __init__(self, path: Path, file: FileIO, head: dict[str, Any]) -> None:
        self._path = path
        self._file = file
        self.segments, self.is_finished = [], False
        self._read(head)
        self.segments.sort(key=lambda segment: segment.start_s)
        self._by_time = {(one.start_s, one.end_s): one for one in self.segments}

    @classmethod
    @contextmanager
    def open(cls, folder: Path, file: Path, settings: dict[str, Any]) -> Iterator[Record]:
        """The record of a file, to continue; empty where another file or settings made it.

        Raises:
            UserError: another process writes it, it cannot be written, or the file has vanished.
        """
        path = folder / fitting_name(file.name, ending=".jsonl")
        with write_errors(path):
            record = path.open("ab+", buffering=0)
        with record:
            try:
                lockf(record, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    str(path),
                    expected="an --output that no other process translates this file into",
                    found="a lock held by another process",
                    remedy="Wait for it, stop it, or choose another --output.",
                ) from error
            yield cls(path, record, settings | {"file": _stamp_of(file)})

    def get(self, segment: SpeechSegment) -> TranslatedSegment | None:
        """Its translation, where there is one already."""
        return self._by_time.get((segment.start_s, segment.end_s))

    def add(self, segment: TranslatedSegment) -> None:
        """Keeps one more translation, of any place in the recording.

        Raises:
            UserError: the record cannot be written, as on a full disk.
        """
        self._write(asdict(segment))

    def finish(self) -> None:
        """Says that nothing is missing.

        Raises:
            UserError: as `add`.
        """
        if not self.is_finished:
            self.is_finished = True
            self._write(_END)

    def _read(self, head: dict[str, Any]) -> None:
        self._file.seek(0)
        lines = self._file.readall().splitlines(keepends=True)
        end = 0
        if lines[:1] == [_line(head)]:
            end = len(lines[0])
            for line in lines[1:]:
                if not line.endswith(b"\n"):
                    break  # a full disk, or a kill
                try:
                    values = json.loads(line)
                    self.is_finished = values == _END
                    if not self.is_finished:
                        self.segments.append(TranslatedSegment(**values))
                except (ValueError, TypeError):
                    break  # what a power cut can leave
                end += len(line)
        self._file.truncate(end)
        if end == 0:
            self._write(head)

    def _write(self, values: dict[str, Any]) -> None:
        line = _line(values)
        with write_errors(self._path):
            while line:  # a disk that becomes full takes a part of it
                line = line[self._file.write(line) :]


def _stamp_of(file: Path) -> dict[str, Any]:
    """What tells whether the file is still the same."""
    try:
        state = file.stat()
    except OSError as error:
        raise UserError(
            str(file),
            expected="the file that was there before",
            found=str(error.strerror),
            remedy="Check the path.",
        ) from error
    return {"name": file.name, "bytes": state.st_size, "ns": state.st_mtime_ns}


def _line(values: dict[str, Any]) -> bytes:
    # In ASCII, which also holds file names that are not UTF-8.
    return json.dumps(values).encode("ascii") + b"\n"
