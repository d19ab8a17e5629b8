"""A JSONL file, plain or compressed -> its values with the place of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from horizon_st.data.files import read_lines
from horizon_st.errors import UserError


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The (place, value) of each line that is not blank; a place is ``FILE:LINE``.

    Raises:
        UserError: a line is not UTF-8 or not JSON, or the compression is damaged.
    """
    for place, line in read_lines(path):
        if line.strip():
            yield place, parse_json(line, place)


def parse_json(line: str, place: str) -> Any:
    """The value of a line.

    Raises:
        UserError: it is not JSON, or holds half a surrogate pair, which no text can.
    """
    try:
        value = json.loads(line)
        if "\\ud" in line or "\\uD" in line:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(
            place,
            expected="one JSON object",
            found=f"{line[:80].strip()} ({error})",
            remedy="Mend or remove the line.",
        ) from error
    return value
