"""Sound files that libsndfile reads (wav, flac, ogg, opus, aiff, ...) -> blocks of samples."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import FileIO
from typing import BinaryIO

import numpy as np
import soundfile

from horizon_st.data.audio_reader import (
    AudioReader,
    Block,
    UnreadableAudioError,
    check_header,
    truncated,
)
from horizon_st.data.ogg import check_ogg_is_whole, is_chained_ogg

_BLOCK_VALUES = 1 << 20
"""Samples of all channels together that are decoded at once: 4 MB."""

_LONGEST_STREAM = 1 << 40
"""Samples; libsndfile gives a stream whose length it does not know an endless one."""

_PREROLL_SAMPLES = 1 << 16
"""More than a page holds."""

_MOST_CHUNKS = 10_000
_CHUNK_HEADERS = {b"RIFF": "<4sI", b"RIFX": ">4sI", b"FORM": ">4sI"}

_UNKNOWN_SIZES = {0, 0xFFFFFFFF, *range(0x7FFFF000, 0x80000001)}
"""What programs that write WAV into a pipe put for a length that they do not know yet."""


class SndfileReader(AudioReader):
    """Reads with libsndfile, to the sample.

    Args:
        source: an open binary file that can seek; an unbuffered one is read without Python.

    Raises:
        UnreadableAudioError: libsndfile does not know the format, or the header is absurd.
    """

    length_tolerance_s = 0.025

    def __init__(self, source: BinaryIO | FileIO) -> None:
        self._source = source
        self._file = self._open()
        self.sampling_rate: int = self._file.samplerate
        self.num_channels: int = self._file.channels
        self.has_nominal_rate = self._file.subtype == "OPUS"
        try:
            self._check_format()
            check_header(self.sampling_rate, self.num_channels)
        except UnreadableAudioError:
            self.close()
            raise

    def count_samples(self) -> int:
        """Samples of each channel, all of them in the file."""
        num_samples: int = self._file.frames
        position = self._source.tell()
        try:
            if self._file.format in {"WAV", "WAVEX", "AIFF"}:
                _check_chunks_are_whole(self._source)
            elif self._file.format == "OGG":
                check_ogg_is_whole(self._source)
            else:
                self._check_end_is_there()
        finally:
            self._source.seek(position)
        return num_samples

    def check_whole(self, num_samples: int) -> None:
        """Nothing, where so many samples are all that the header says, and the file is whole."""
        num_there = self.count_samples()
        if num_samples < num_there:
            raise truncated(f"{num_there} samples", str(num_samples))

    def blocks(self, start: int, num_samples: int | None = None) -> Iterator[Block]:
        """The samples from `start` on, decoded piece by piece."""
        left = max(self._file.frames - start, 0)
        left = left if num_samples is None else min(left, num_samples)
        size = max(1, _BLOCK_VALUES // self.num_channels)
        try:
            if left:
                self._go_to(start)
            while left:
                # soundfile seeks after each read, and a seek into the end of Opus is not exact.
                wanted = left if left < 2 * size else size
                block = self._file.read(wanted, dtype="float32", always_2d=True)
                if not len(block):
                    return
                left -= len(block)
                yield np.asarray(block).T
        except soundfile.LibsndfileError as error:
            raise UnreadableAudioError(_reason(error)) from error

    def close(self) -> None:
        """Frees the decoder."""
        self._file.close()

    def _open(self) -> soundfile.SoundFile:
        self._source.seek(0)
        # Without a name libsndfile cannot take the format from its ending.
        handle = self._source.fileno() if isinstance(self._source, FileIO) else self._source
        try:
            return soundfile.SoundFile(handle, closefd=False)
        except (soundfile.LibsndfileError, TypeError) as error:
            raise UnreadableAudioError(_reason(error)) from error

    def _go_to(self, start: int) -> None:
        """Seeks, to the sample also where libsndfile errs: in Ogg files, once one has read them.

        In the last page of Ogg Vorbis it errs always, so what is before is decoded as well.
        """
        if self._file.tell() == start == 0:
            return
        preroll = 0
        if self._file.format == "OGG":
            if self._file.tell():
                self.close()
                self._file = self._open()
            preroll = min(start, _PREROLL_SAMPLES * (self._file.subtype == "VORBIS"))
        self._file.seek(start - preroll)
        if preroll:  # reading nothing would spoil the last samples of Opus
            self._file.read(preroll, dtype="float32")

    def _check_end_is_there(self) -> None:
        num_samples = self._file.frames
        try:
            is_there = num_samples == 0 or any(True for _ in self.blocks(num_samples - 1))
        except UnreadableAudioError:
            is_there = False
        if not is_there:
            raise truncated(f"{num_samples} samples", "fewer")

    def _check_format(self) -> None:
        if self._file.subtype.startswith("MPEG"):
            raise UnreadableAudioError("MP3, which libsndfile decodes with messages on the screen")
        is_known = 0 < self._file.frames < _LONGEST_STREAM
        if self._file.format in {"FLAC", "OGG"} and not is_known:
            raise UnreadableAudioError(f"{self._file.format} sound of unknown length")
        if self._file.format == "OGG":
            position = self._source.tell()
            is_chained = is_chained_ogg(self._source)
            self._source.seek(position)
            if is_chained:
                raise UnreadableAudioError("Ogg streams that follow each other")


def _reason(error: Exception) -> str:
    return getattr(error, "error_string", "") or str(error) or "damaged sound data"


def _check_chunks_are_whole(source: BinaryIO | FileIO) -> None:
    """Compares the size of the sound in WAV or AIFF with what follows; libsndfile does not tell."""
    size = source.seek(0, 2)
    source.seek(0)
    family = source.read(4)
    if family not in _CHUNK_HEADERS:
        return
    position = 12
    for _ in range(_MOST_CHUNKS):
        source.seek(position)
        header = source.read(8)
        if len(header) < 8:
            return
        name, num_bytes = struct.unpack(_CHUNK_HEADERS[family], header)
        position += 8
        if name in (b"data", b"SSND"):
            there = max(size - position, 0)
            if num_bytes not in _UNKNOWN_SIZES and num_bytes > there:
                raise truncated(f"{num_bytes} bytes of sound", str(there))
            return
        position += num_bytes + num_bytes % 2
