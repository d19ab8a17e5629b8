"""A file of lines too large to read whole -> a spread sample of it, or its blocks in any order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from horizon_st.data.files import (
    BYTE_ORDER_MARK,
    LONGEST_LINE_BYTES,
    decode_line,
    is_compressed,
    read_lines,
)

_BLOCK_BYTES = 1 << 19
"""Lines shuffled as one: some hundred utterances, and one seek, which a disk takes 10 ms for."""

_NUM_SAMPLED_PLACES = 64
"""Where samples are taken: more would take longer to seek than to read."""


def has_at_most(path: Path, num_lines: int) -> bool:
    """Whether a file has no more lines; no more than this many are read.

    Raises:
        UserError: the file is missing, or what is read of it is not lines of text.
    """
    return next(islice(read_lines(path), num_lines, None), None) is None


def sample_lines(path: Path, num_lines: int) -> Iterator[tuple[str, str]]:
    """The (place, text) of so many lines at most, spread evenly over the file, in their order.

    All lines where there are no more. Of a compressed file, the first ones.

    Raises:
        UserError: the file is missing, or what is read of it is not lines of text.
    """
    if is_compressed(path) or has_at_most(path, num_lines):
        yield from islice(read_lines(path), num_lines)
        return
    num_places = min(_NUM_SAMPLED_PLACES, num_lines)
    size = path.stat().st_size
    for place in range(num_places):
        start, stop = (size * end // num_places for end in (place, place + 1))
        wanted = num_lines * (place + 1) // num_places - num_lines * place // num_places
        yield from islice(_lines_between(path, start, stop), wanted)


def shuffled_blocks(path: Path, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """The (place, text) of every line, in blocks of random order; of a compressed file, in its own.

    Raises:
        UserError: the file is missing, or what is read of it is not lines of text.
    """
    if is_compressed(path):
        yield from read_lines(path)
        return
    num_blocks = -(-path.stat().st_size // _BLOCK_BYTES)
    for block in rng.permutation(num_blocks).tolist():
        yield from _lines_between(path, block * _BLOCK_BYTES, (block + 1) * _BLOCK_BYTES)


def _lines_between(path: Path, start: int, stop: int) -> Iterator[tuple[str, str]]:
    """The lines that begin at these bytes of a plain file; a place is ``FILE:byte NUMBER``."""
    with path.open("rb") as lines:
        if start > 0:  # the rest of a line that began earlier; a line feed alone if none did
            lines.seek(start - 1)
            while (rest := lines.readline(LONGEST_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        while (position := lines.tell()) < stop:
            line = lines.readline(LONGEST_LINE_BYTES + 1)
            if not line:
                return
            if position == 0:
                line = line.removeprefix(BYTE_ORDER_MARK)
            place = f"{path}:byte {position}"
            yield place, decode_line(line, place)
