"""TSV, CSV and JSONL files -> their rows, by the fields of `FIELDS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from horizon_st.data.corpora.columns import ColumnFile, comma_separated
from horizon_st.data.corpora.fields import FIELD_OF, FIELDS
from horizon_st.data.jsonl import read_json_lines
from horizon_st.errors import UserError

_REQUIRED = ("audio", "target")
_MOST_HEADERS = 50

Row = dict[str, Any]
Rows = Callable[[Path], Iterator[tuple[str, Row]]]
"""A file -> the (place, values by field) of its rows."""


def tsv_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """The (place, values by field) of a file with tabs between the values and no quoting.

    Raises:
        UserError: it is damaged or quoted, or lacks the column for audio or target.
    """
    table = ColumnFile(path)
    fields = _fields(table.names, table.place)
    for place, row in table:
        values = {field: row[name] for field, name in fields.items()}
        if quoted := next(filter(_is_quoted, values.values()), None):
            raise UserError(
                place,
                expected="text as it is, without quoting",
                found=quoted[:80],
                remedy="Export the table without quoting (no text delimiter), or as JSONL.",
            )
        yield place, values


def _is_quoted(value: str) -> bool:
    """Whether a spreadsheet wrote it: around it quotation marks, and those in it doubled."""
    inner = value[1:-1]
    return value[:1] == value[-1:] == '"' and '""' in inner and '"' not in inner.replace('""', "")


def csv_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """The (place, values by field) of comma-separated values, quoted where need be.

    Raises:
        UserError: it is damaged, or lacks the column for audio or target.
    """
    table = ColumnFile(path, comma_separated)
    fields = _fields(table.names, table.place)
    for place, row in table:
        yield place, {field: row[name] for field, name in fields.items()}


def jsonl_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """The (place, values by field) of a JSON object per line.

    Raises:
        UserError: a line is no object, or lacks audio or target.
    """
    known: dict[tuple[str, ...], Mapping[str, str]] = {}
    for place, row in read_json_lines(path):
        if not isinstance(row, dict):
            raise UserError(
                place,
                expected='an object such as {"audio": …, "target": …}',
                found=str(row)[:80],
                remedy="Write one object per line.",
            )
        names = tuple(row)
        fields = known.get(names) or _fields(names, place)
        if len(known) < _MOST_HEADERS:
            known[names] = fields
        yield place, {field: row[name] for field, name in fields.items()}


def _fields(names: Iterable[str], place: str) -> dict[str, str]:
    """Field -> the name that the table has for it."""
    names = list(names)
    fields: dict[str, str] = {}
    for name in names:
        field = FIELD_OF.get(name.strip().lower())
        if field is None:
            continue
        if field in fields:
            raise UserError(
                place,
                expected=f"one column for {field}",
                found=f"{fields[field]} and {name}",
                remedy="Rename or remove one of them.",
            )
        fields[field] = name
    for field in _REQUIRED:
        if field not in fields:
            raise UserError(
                place,
                expected=f"a column {field} (or {', '.join(FIELDS[field])})",
                found=", ".join(names)[:200],
                remedy="Rename the column; in line 1 are the names, with tabs between in a TSV.",
            )
    return fields
