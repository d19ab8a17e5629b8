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
    commas = _Commas()
    for place, row in table:
        values = {field: row[name] for field, name in fields.items()}
        if quoted := next((v for v in values.values() if '""' in v[1:-1] and _may_quote(v)), None):
            raise _quoting(place, quoted[:80])
        commas.add(place, values.values())
        yield place, values
    if commas.are_quoted:
        found = (
            f"{commas.num_quoted} values with a comma, all within quotation marks, and no others"
        )
        raise _quoting(commas.first, found)


class _Commas:
    """Tells whether quotation marks are there for commas, as Excel writes its tab-delimited text.

    Attributes:
        num_quoted: values with a comma and quotation marks around.
        first: ``FILE:LINE`` of the first one.
        are_quoted: whether such are all values with a comma, and a few at least, and none without.
    """

    _FEWEST = 3

    def __init__(self) -> None:
        self.num_quoted = 0
        self.first = ""
        self._has_exceptions = False

    @property
    def are_quoted(self) -> bool:
        """Of all values so far."""
        return self.num_quoted >= self._FEWEST and not self._has_exceptions

    def add(self, place: str, values: Iterable[str]) -> None:
        """Takes in the values of the next row."""
        for value in values:
            if ("," in value) != _may_quote(value):
                self._has_exceptions = True
            elif "," in value:
                self.num_quoted += 1
                self.first = self.first or place


def _may_quote(value: str) -> bool:
    """Whether it is in quotation marks as a spreadsheet has them, with those in it doubled."""
    is_wrapped = len(value) > 1 and value[0] == value[-1] == '"'
    return is_wrapped and '"' not in value[1:-1].replace('""', "")


def _quoting(place: str, found: str) -> UserError:
    return UserError(
        place,
        expected="text as it is, without quoting",
        found=found,
        remedy="Export the table without quoting (no text delimiter), or as CSV or JSONL.",
    )


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
