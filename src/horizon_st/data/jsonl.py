"""A JSONL file, plain or gzipped -> its values with the place of each."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from horizon_st.errors import UserError


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The (place, value) of each line that is not blank; a place is ``FILE:LINE``.

    Only line feeds separate lines: JSON text may hold other separators, such as U+2028.

    Raises:
        UserError: a line is not UTF-8 or not JSON, or the compression is damaged.
    """
    number = 0
    try:
        with _open_binary(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path}:{number}", _parse(line, f"{path}:{number}")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}:{number + 1}",
            expected="a whole gzip file",
            found=str(error),
            remedy="Compress the file again.",
        ) from error


def _open_binary(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _parse(line: bytes, place: str) -> Any:
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(
            place,
            expected="UTF-8",
            found=f"the byte {line[error.start]:#04x} at column {error.start + 1}",
            remedy="Save the file as UTF-8, for example with `iconv -t UTF-8`.",
        ) from error
    except ValueError as error:
        raise UserError(
            place,
            expected="one JSON object",
            found=f"{line[:80].decode('utf-8', 'replace').strip()} ({error})",
            remedy="Mend or remove the line.",
        ) from error
