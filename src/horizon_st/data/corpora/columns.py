"""A TSV file with a header -> its rows by column name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from horizon_st.data.files import read_lines
from horizon_st.errors import UserError

_ESCAPED = re.compile(r"\\(.)")


class ColumnFile:
    """Tab-separated values with a header row; a quotation mark is a character like any other.

    Blank lines are skipped.

    Args:
        path: the file, plain or compressed; its header is read at once.
        escaped: whether a backslash stands before a quotation mark or a backslash of the text, as
            pandas writes unquoted files.

    Attributes:
        path: the file.
        place: ``FILE:LINE`` of the header.
        names: of the columns.

    Raises:
        UserError: the file is missing or empty, or two columns have the same name.
    """

    def __init__(self, path: Path, *, escaped: bool = False) -> None:
        self.path = path
        self._escaped = escaped
        self.place, header = next(read_lines(path), (str(path), ""))
        self.names = [name.strip() for name in header.split("\t")]
        if len(set(self.names)) < len(self.names) or not header.strip():
            raise UserError(
                self.place,
                expected="a header that names each column once, with tabs between",
                found=header[:200] or "nothing",
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
        lines = read_lines(self.path)
        next(lines)
        for place, line in lines:
            if not line.strip():
                continue
            values = self._values(line)
            if len(values) != len(self.names):
                raise UserError(
                    place,
                    expected=f"{len(self.names)} values, as in the header, with tabs between",
                    found=f"{len(values)} in {line[:80]}",
                    remedy="Mend or remove the row.",
                )
            yield place, dict(zip(self.names, values, strict=True))

    def _values(self, line: str) -> list[str]:
        values = line.split("\t")
        if self._escaped and "\\" in line:
            return [_ESCAPED.sub(r"\1", value) for value in values]
        return values
