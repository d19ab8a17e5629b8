"""Text pairs on disk, mapped into memory: ten million take no more of it than ten thousand."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, cast

import pyarrow as pa
import pyarrow.compute as pc

from horizon_st.data.files import partial_of
from horizon_st.data.jsonl import read_json_lines
from horizon_st.errors import UserError

PAIRS_FILE = "text_pairs.arrow"
"""Beside manifests, where `horizon-st new` looks for it."""

_JSONL_FILE = "text_pairs.jsonl"
"""Likewise; the embedded corpus has its pairs in it."""

_COLUMNS = ("source", "target")
_ROWS_WRITTEN = 4096
"""Rows per record batch: at most 1 MB a line, they stay below the 2 GB that `string` can hold."""
_ROWS_READ = 256
_NUM_SAMPLED_PLACES = 1000
_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)

Pair = tuple[str, str]


class TextPairs:
    """The (source, target) sentences of an Arrow IPC file, read from disk as they are asked for.

    Args:
        path: with the columns ``source`` and ``target`` of strings; more are ignored.

    Raises:
        UserError: the file is missing, damaged, of another shape, or has no pairs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise UserError(
                str(path),
                expected="text pairs in an Arrow file",
                found="no such file",
                remedy="Check data.text_pairs; `horizon-st prepare bitext` writes one.",
            )
        self._newest: tuple[int, pa.RecordBatch] | None = None
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self._check_columns()
            self._starts = [0]  # of each record batch, and the end
            for number in range(self._reader.num_record_batches):
                self._starts.append(self._starts[-1] + self._batch(number).num_rows)
        except _UNREADABLE as error:
            self._refuse(str(error), error)
        if not len(self):
            raise UserError(
                str(path),
                expected="at least one text pair",
                found="none",
                remedy="Add pairs, or remove data.text_pairs.",
            )

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, rows: slice) -> list[Pair]:
        """The pairs of a range of rows.

        Raises:
            UserError: the file is damaged there, or a text is missing or empty.
        """
        start, stop, step = rows.indices(len(self))
        assert step == 1, "rows are read as they lie"
        pairs: list[Pair] = []
        while start < stop:
            number = bisect_right(self._starts, start) - 1
            end = min(stop, self._starts[number + 1])
            pairs += self._rows(number, start - self._starts[number], end - start)
            start = end
        return pairs

    def __iter__(self) -> Iterator[Pair]:
        for start in range(0, len(self), _ROWS_READ):
            yield from self[start : start + _ROWS_READ]

    def sample(self, num_pairs: int) -> Iterator[Pair]:
        """So many pairs at most, spread evenly, in their order; all if there are no more."""
        num_pairs = min(num_pairs, len(self))
        num_places = min(num_pairs, _NUM_SAMPLED_PLACES)
        for place in range(num_places):
            start = len(self) * place // num_places
            wanted = num_pairs * (place + 1) // num_places - num_pairs * place // num_places
            for first in range(start, start + wanted, _ROWS_READ):
                yield from self[first : min(first + _ROWS_READ, start + wanted)]

    def longer_than(self, num_bytes: int) -> Iterator[int]:
        """The rows with a text of more bytes of UTF-8, found without reading the texts."""
        for number, start in enumerate(self._starts[:-1]):
            lengths = (pc.binary_length(self._batch(number).column(name)) for name in _COLUMNS)
            found = pc.indices_nonzero(pc.greater(pc.max_element_wise(*lengths), num_bytes))
            yield from (start + index for index in found.to_pylist())

    def _check_columns(self) -> None:
        schema = self._reader.schema
        for name in _COLUMNS:
            kind = schema.field(name).type if schema.names.count(name) == 1 else None
            if kind not in (pa.string(), pa.large_string()):
                self._refuse(f"columns {', '.join(f'{f.name}: {f.type}' for f in schema)}")

    def _batch(self, number: int) -> pa.RecordBatch:
        if self._newest is None or self._newest[0] != number:
            batch = self._reader.get_batch(number).select([*_COLUMNS])
            batch.validate()  # that the buffers are as long as the rows need
            self._newest = number, batch
        return self._newest[1]

    def _rows(self, number: int, start: int, num_rows: int) -> list[Pair]:
        try:
            rows = self._batch(number).slice(start, num_rows)
            rows.validate(full=True)  # a wrong offset would read foreign memory
            texts = [rows.column(name).to_pylist() for name in _COLUMNS]
        except _UNREADABLE as error:
            self._refuse(str(error), error)
        for index, pair in enumerate(zip(*texts, strict=True)):
            if not all(text and text.strip() for text in pair):
                raise UserError(
                    f"{self.path}, row {self._starts[number] + start + index + 1}",
                    expected="a source and a target that are not empty",
                    found=repr(pair)[:80],
                    remedy="Make the file anew with `horizon-st prepare bitext`.",
                )
        return cast("list[Pair]", [*zip(*texts, strict=True)])

    def _refuse(self, found: str, cause: Exception | None = None) -> NoReturn:
        raise UserError(
            str(self.path),
            expected="a whole Arrow IPC file with string columns source and target",
            found=" ".join(found.split())[:200],
            remedy="Make it anew with `horizon-st prepare bitext`.",
        ) from cause


def write_text_pairs(path: Path, pairs: Iterable[Pair]) -> int:
    """How many pairs were written to an Arrow IPC file, which appears whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
    rows = iter(pairs)
    num_pairs = 0
    with (
        _whole(path) as partial,
        pa.OSFile(str(partial), "wb") as file,
        pa.ipc.new_file(file, schema) as writer,
    ):
        while some := [*islice(rows, _ROWS_WRITTEN)]:
            columns = [pa.array(column, pa.string()) for column in zip(*some, strict=True)]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            num_pairs += len(some)
    return num_pairs


def store_text_pairs(pairs: Iterable[Pair]) -> TextPairs:
    """Pairs in a temporary file that has no name any more: it goes when this process ends.

    Raises:
        UserError: there are no pairs, or no room for them.
    """
    with tempfile.TemporaryDirectory(prefix="horizon-st-") as folder:
        path = Path(folder) / "text_pairs.arrow"
        write_text_pairs(path, pairs)
        return TextPairs(path)


def find_text_pairs(folder: Path) -> Path | None:
    """The file of the text pairs that lie beside manifests; None where there are no pairs."""
    for path in (folder / PAIRS_FILE, folder / _JSONL_FILE):
        if path.is_file() and path.stat().st_size:
            return path
    return None


def read_text_pairs(path: Path) -> TextPairs:
    """The text pairs of an ``.arrow`` file, or of JSONL, plain or compressed, which is converted.

    The conversion takes some seconds per million pairs each time, and its file lies where
    temporary files do (``TMPDIR``); `horizon-st prepare bitext` does it once.

    Raises:
        UserError: the file is missing or has no pairs, or a line lacks one of the two texts.
    """
    if path.suffix == ".arrow":
        return TextPairs(path)
    if not path.is_file():
        raise UserError(
            str(path),
            expected='text pairs, one JSON object {"source": …, "target": …} per line, or .arrow',
            found="no such file",
            remedy="Check data.text_pairs.",
        )
    return store_text_pairs(
        _some(path, (_to_pair(value, place) for place, value in read_json_lines(path)))
    )


def _some(path: Path, pairs: Iterable[Pair]) -> Iterator[Pair]:
    is_empty = True
    for pair in pairs:
        is_empty = False
        yield pair
    if is_empty:
        raise UserError(
            str(path),
            expected="at least one text pair",
            found="none",
            remedy="Add pairs, or remove data.text_pairs.",
        )


def _to_pair(value: Any, place: str) -> Pair:
    texts = [value.get(key) for key in _COLUMNS] if isinstance(value, dict) else []
    stripped = [text.strip() for text in texts if isinstance(text, str)]
    if len(stripped) != 2 or not all(stripped):
        raise UserError(
            place,
            expected='a JSON object with non-empty "source" and "target"',
            found=repr(value)[:80],
            remedy="Mend or remove the line.",
        )
    return stripped[0], stripped[1]


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A path to write to, whose file takes its name when the block succeeds."""
    partial = partial_of(path)
    try:
        partial.unlink(missing_ok=True)  # a second name of another file, if that was being linked
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise UserError(
            str(path),
            expected="a file that can be written",
            found=f"{type(error).__name__}: {error}",
            remedy="Make room on the disk, or write elsewhere; TMPDIR says where temporary files "
            "lie.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
