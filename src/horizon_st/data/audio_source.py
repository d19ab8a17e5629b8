"""A path or an open file -> the reader that knows its format, with errors that name the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from horizon_st.data.audio_reader import (
    FASTEST_HZ,
    MOST_CHANNELS,
    SLOWEST_HZ,
    AudioReader,
    UnreadableAudioError,
)
from horizon_st.data.media import MediaReader
from horizon_st.data.sndfile import SndfileReader
from horizon_st.errors import UserError


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """A block in which what a reader finds wrong becomes an error that names the source.

    Raises:
        UserError: in place of `UnreadableAudioError`.
    """
    try:
        yield
    except UnreadableAudioError as error:
        raise UserError(
            name,
            expected=f"whole audio (wav, flac, ogg, opus, mp3, m4a, mp4, webm, ...) of {SLOWEST_HZ}"
            f" to {FASTEST_HZ} Hz and at most {MOST_CHANNELS} channels",
            found=str(error),
            remedy="Get the file again, or convert it, for example with "
            "`ffmpeg -i FILE -ac 1 -ar 16000 out.wav`.",
        ) from error


@contextmanager
def open_audio(source: Path | str | BinaryIO, *, conceals: bool = False) -> Iterator[AudioReader]:
    """The reader that knows the format; closed again, as is a file that was opened for it.

    Args:
        source: a file, or an open binary file.
        conceals: what cannot be decoded inside becomes silence, where it is little; only FFmpeg's
            formats can tell.

    Raises:
        UserError: there is no such file.
        UnreadableAudioError: it cannot be opened, or no reader knows its format.
    """
    if isinstance(source, str | Path):
        with _open_file(Path(source)) as file, closing(_reader_of(file, conceals)) as reader:
            yield reader
        return
    if not source.seekable():
        raise UnreadableAudioError("a stream that cannot seek: read it into io.BytesIO")
    with closing(_reader_of(source, conceals)) as reader:
        yield reader


@contextmanager
def _open_file(path: Path) -> Iterator[FileIO]:
    try:
        # Opening a pipe would wait for a writer.
        if path.exists() and not path.is_file():
            raise UnreadableAudioError("a folder" if path.is_dir() else "a pipe or a device")
        with path.open("rb", buffering=0) as file:
            yield file
    except FileNotFoundError as error:
        raise UserError(
            str(path), expected="an audio file", found="no such file", remedy="Check the path."
        ) from error
    except OSError as error:
        raise UnreadableAudioError(error.strerror or str(error)) from error


def _reader_of(file: BinaryIO | FileIO, conceals: bool) -> AudioReader:
    file.seek(0)
    head = file.read(3)
    if not head:
        raise UnreadableAudioError("an empty file")
    found = []
    # libsndfile would decode MP3, but writes messages about damaged frames to the screen.
    is_mp3 = head == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0)
    readers: list[Callable[[], AudioReader]] = [] if is_mp3 else [lambda: SndfileReader(file)]
    for reader in [*readers, lambda: MediaReader(file, conceals=conceals)]:
        try:
            return reader()
        except UnreadableAudioError as error:
            found.append(str(error))
    raise UnreadableAudioError("; ".join(dict.fromkeys(found)))
