"""What has been translated of a file, on disk as it comes, so that nothing is translated twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
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

_PLACE_BYTES = 7
"""Of the place of a lock: what a file's offset can hold."""


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


class Locks:
    """A context that keeps other processes from the records in a folder that this one continues.

    Each is a byte of one open file: a process may not open as many files as it has records. The
    system counts locks by process, so that of two contexts for a folder in one process, the end of
    one frees what the other holds.

    Args:
        folder: of the records.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "locks"

    def __enter__(self) -> Locks:
        with write_errors(self._path):
            self._file = self._path.open("wb")
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @contextmanager
    def holding(self, record: Path) -> Iterator[None]:
        """A context in which a record is this process's.

        Raises:
            UserError: it is another one's.
        """
        digest = hashlib.sha256(os.fsencode(record.name)).digest()
        place = int.from_bytes(digest[:_PLACE_BYTES])
        try:
            lockf(self._file, LOCK_EX | LOCK_NB, 1, place)
        except BlockingIOError as error:
            raise UserError(
                str(record),
                expected="an --output that no other process translates this file into",
                found="a lock held by another process",
                remedy="Wait for it, stop it, or choose another --output.",
            ) from error
        try:
            yield
        finally:
            lockf(self._file, LOCK_UN, 1, place)


class Record:
    """The translated segments of one file.

    Attributes:
        segments: in their order.
        is_finished: whether they are all there are.
    """

    segments: list[TranslatedSegment]
    is_finished: bool

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self._path = path
        self.segments, self.is_finished = [], False
        self._read(head)
        self.segments.sort(key=lambda segment: segment.start_s)
        self._by_time = {(one.start_s, one.end_s): one for one in self.segments}

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, file: Path, settings: dict[str, Any], locks: Locks
    ) -> Iterator[Record]:
        """The record of a file, to continue; empty where another file or settings made it.

        Raises:
            UserError: another process writes it, it cannot be written, or the file has vanished.
        """
        path = folder / fitting_name(file.name, ending=".jsonl")
        with locks.holding(path):
            yield cls(path, settings | {"file": stamp_of(file)})

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
        with write_errors(self._path), self._open_file() as file:
            end = self._read_lines(file, head)
            file.truncate(end)
        if end == 0:
            self._write(head)

    def _read_lines(self, file: FileIO, head: dict[str, Any]) -> int:
        """Takes in what the file holds; where the last whole line ends."""
        file.seek(0)
        lines = file.readall().splitlines(keepends=True)
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
        return end

    def _open_file(self) -> FileIO:
        return self._path.open("ab+", buffering=0)

    def _write(self, values: dict[str, Any]) -> None:
        line = _line(values)
        with write_errors(self._path), self._open_file() as file:
            while line:  # a disk that becomes full takes a part of it
                line = line[file.write(line) :]


def stamp_of(file: Path) -> dict[str, Any]:
    """What tells whether the file is still the same.

    Raises:
        UserError: it has vanished.
    """
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
