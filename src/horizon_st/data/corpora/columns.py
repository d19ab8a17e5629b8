"""A file of values with a header -> its rows by column name."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from horizon_st.data.files import read_lines
from horizon_st.errors import UserError

_ESCAPED = re.compile(r"\\(.)")

RowReader = Callable[[Path], Iterator[tuple[str, list[str]]]]
"""A file -> the (place, values) of its rows, the header included."""


def tab_separated(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Values with tabs between; a quotation mark is a character like any other.

    Raises:
        UserError: the file is missing or damaged.
    """
    for place, line in read_lines(path):
        yield place, line.split("\t")


def escaped_tab_separated(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The same, with a backslash before a quotation mark or a backslash, as pandas may write it.

    Raises:
        UserError: the file is missing or damaged.
    """
    for place, values in tab_separated(path):
        yield place, [_ESCAPED.sub(r"\1", value) for value in values]


def comma_separated(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Values with commas between, or semicolons if the header has more of these; some quoted.

    A quoted value may have either in it, and line breaks; a place is that of the row's last line.

    Raises:
        UserError: the file is missing or damaged, or the quoting of a row.
    """
    place = f"{path}:1"

    def lines() -> Iterator[str]:
        nonlocal place
        for line_place, line in read_lines(path):
            place = line_place
            yield f"{line}\n"

    _, header = next(read_lines(path), ("", ""))
    delimiter = ";" if header.count(";") > header.count(",") else ","
    rows = csv.reader(lines(), delimiter=delimiter, strict=True)
    try:
        for values in rows:
            yield place, values
    except csv.Error as error:
        raise UserError(
            place,
            expected="comma-separated values, quoted as spreadsheets do it",
            found=str(error),
            remedy="Mend the row: quotation marks within a quoted value are doubled.",
        ) from error


class ColumnFile:
    """Rows of values under a header that names the columns; blank rows are skipped.

    Args:
        path: the file, plain or compressed; its header is read at once.
        read: how the values of a row are told apart.

    Attributes:
        path: the file.
        place: ``FILE:LINE`` of the header.
        names: of the columns.

    Raises:
        UserError: the file is missing or empty, or two columns have the same name.
    """

    def __init__(self, path: Path, read: RowReader = tab_separated) -> None:
        self.path = path
        self._read = read
        self.place, header = next(read(path), (str(path), [""]))
        self.names = [name.strip() for name in header]
        if len(set(self.names)) < len(self.names) or not any(self.names):
            raise UserError(
                self.place,
                expected="a header that names each column once",
                found=", ".join(header)[:200] or "nothing",
                remedy="Put the names of the columns into the first line.",
            )

    def require(self, *names: str) -> None:
        """Nothing, where the columns are there.

        Raises:
            UserError: one is not.
        """
        if missing := [name for name in names if name not in self.names]:
            raise UserError(
                self.place,
                expected=f"the columns {', '.join(names)}",
                found=f"{', '.join(self.names)[:200]}: no {', '.join(missing)}",
                remedy="Take the file as it was published, or rename its columns.",
            )

    def __iter__(self) -> Iterator[tuple[str, dict[str, str]]]:
        """The (place, values by column) of each row.

        Raises:
            UserError: a row has more or fewer values than the header has names.
        """
        rows = self._read(self.path)
        next(rows)
        for place, values in rows:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(self.names):
                raise UserError(
                    place,
                    expected=f"{len(self.names)} values, as the header has names",
                    found=f"{len(values)} in {' | '.join(values)[:80]}",
                    remedy="Mend or remove the row.",
                )
            yield place, dict(zip(self.names, values, strict=True))
