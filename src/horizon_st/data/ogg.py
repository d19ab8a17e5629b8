"""Pages of Ogg files: what the first and the last ones say of the whole."""

from __future__ import annotations

from io import FileIO
from typing import BinaryIO

from horizon_st.data.audio_reader import truncated

_LARGEST_OGG_PAGE_BYTES = 65_307
_BEGIN_OF_STREAM = 2
_END_OF_STREAM = 4
"""Bits of a page's header."""

_SERIAL_NUMBER = slice(14, 18)
_MOST_FIRST_PAGES = 100
"""Each begins one of the streams that run side by side."""


def lacks_end_of_stream(source: BinaryIO | FileIO) -> bool:
    """Whether it is an Ogg file whose last page does not say that it is the last (RFC 3533).

    It was cut between two pages, or written by an encoder that leaves the mark out, as Android's
    does: readers of Opus have to put up with that (RFC 7845).
    """
    source.seek(0)
    if source.read(4) != b"OggS":
        return False
    page, tail = _last_ogg_page(source)
    return page >= 0 and len(tail) > page + 5 and not tail[page + 5] & _END_OF_STREAM


def is_chained_ogg(source: BinaryIO | FileIO) -> bool:
    """Whether it is an Ogg file of streams that follow each other, as `cat` joins them.

    The last page belongs to none of the streams that begin the file (RFC 3533).
    """
    first: set[bytes] = set()
    position = 0
    for _ in range(_MOST_FIRST_PAGES):
        source.seek(position)
        page = source.read(27 + 255)
        if page[:4] != b"OggS" or len(page) < 27 or not page[5] & _BEGIN_OF_STREAM:
            break
        first.add(page[_SERIAL_NUMBER])
        position += 27 + page[26] + sum(page[27 : 27 + page[26]])
    start, tail = _last_ogg_page(source)
    last = tail[start:][_SERIAL_NUMBER]
    return bool(first) and start >= 0 and len(last) == 4 and last not in first


def check_ogg_is_whole(source: BinaryIO | FileIO) -> None:
    """Nothing, unless the last page of an Ogg file is cut: no header has its length to compare.

    Raises:
        UnreadableAudioError: it is cut.
    """
    page, tail = _last_ogg_page(source)
    if page < 0:
        return
    num_segments = tail[page + 26] if len(tail) > page + 26 else 0
    lengths = tail[page + 27 : page + 27 + num_segments]
    num_bytes = 27 + num_segments + sum(lengths)
    there = len(tail) - page
    if len(lengths) < num_segments or there < max(num_bytes, 27):
        raise truncated(f"a last page of {num_bytes} bytes", f"{there}")


def _last_ogg_page(source: BinaryIO | FileIO) -> tuple[int, bytes]:
    """Where the last page begins in the last bytes of a file, or -1; and these bytes."""
    size = source.seek(0, 2)
    start = max(0, size - _LARGEST_OGG_PAGE_BYTES)
    source.seek(start)
    tail = source.read(size - start)
    return tail.rfind(b"OggS"), tail
