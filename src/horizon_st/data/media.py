"""Media files (mp3, m4a, mp4, webm, mkv, ...) -> blocks of samples of their first audio stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from io import FileIO
from itertools import chain
from typing import Any, BinaryIO

import av
import numpy as np
from av.container import InputContainer

from horizon_st.data.audio_reader import (
    LONGEST_RECORDING_S,
    AudioReader,
    Block,
    Concealment,
    UnreadableAudioError,
    check_header,
    truncated,
)
from horizon_st.data.frame_clock import Frame, FrameClock, LostFrame
from horizon_st.data.ogg import check_ogg_is_whole, is_chained_ogg

_FORMATS = (
    "aac,aiff,amr,ape,asf,au,avi,caf,flac,flv,matroska,mov,mp3,mpeg,mpegts,nistsphere,ogg,w64,"
    "wav,wv"
)
"""Containers that hold their own sound. Playlists, which name other files and hosts, stay out."""

_PREROLL_S = 1
"""Decoded and thrown away before the asked part, until the decoder has forgotten how it began."""

_TAIL_S = 3
"""Decoded to find where a recording ends."""

_FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}

_LENGTHS_BY_BITRATE = {"aac", "amr", "mp3", "mpeg", "mpegts"}
"""Containers without a length: FFmpeg estimates it. MP3 may have one, in its first frame."""

_BLOCK_SAMPLES = 1 << 16
_MOST_LOST_PACKETS = 10
"""After a seek, decoders may refuse packets that refer to what was before."""

_MOST_CONCEALED_S = 1
_MOST_CONCEALED_SHARE = 0.1
"""Of what is decoded. A file with more damage is no recording with a scratch."""

_ERRORS = (av.FFmpegError, OSError, ValueError, EOFError, MemoryError)


class _NoSuchPartError(Exception):
    """A seek did not lead to a place that is known to the sample."""


class _QuietSource:
    """A file for PyAV, which would print the errors of seeks to where damaged headers point."""

    def __init__(self, file: BinaryIO | FileIO) -> None:
        self.read = file.read
        self.tell = file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int) -> int:
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


class MediaReader(AudioReader):
    """Reads the first audio stream with FFmpeg's libraries.

    Where timestamps and codec allow it, a part is found by a seek, to the sample; else all before
    it is decoded. Sample 0 is where a player's clock begins: where sound begins later than the
    picture, or timestamps leave a hole, there is silence.

    Args:
        source: an open binary file that can seek.
        conceals: damage inside becomes silence, where it is little and sound follows.

    Raises:
        UnreadableAudioError: it is no media file, has no sound, or its header is absurd.
    """

    length_tolerance_s = 0.1

    def __init__(self, source: BinaryIO | FileIO, *, conceals: bool = False) -> None:
        self._source = source
        self._conceals = conceals
        self._has_mp3_length = _mp3_states_length(source)
        self._is_chained = is_chained_ogg(source)  # each stream has a clock of its own
        self._open()
        try:
            self._examine()
        except UnreadableAudioError:
            self.close()
            raise

    def count_samples(self) -> int:
        """Samples of each channel, found by decoding the end, or all where no seek is exact."""
        claimed = self._claimed_samples()
        first = max(0, (claimed or 0) - _TAIL_S * self.sampling_rate)
        num_samples = 0
        for begin, block in self._frames_from(first):
            num_samples = begin + block.shape[1]
            if num_samples > LONGEST_RECORDING_S * self.sampling_rate:
                raise UnreadableAudioError(f"more than {LONGEST_RECORDING_S // 3600} h of sound")
        self.check_whole(num_samples)
        return num_samples

    def check_whole(self, num_samples: int) -> None:
        """Nothing, where so many samples are what the header says, or it says nothing."""
        claimed = self._claimed_samples()
        tolerance = self.length_tolerance_s * self.sampling_rate
        if claimed is not None and self._states_length() and num_samples < claimed - tolerance:
            raise truncated(
                f"{claimed / self.sampling_rate:.2f} s", f"{num_samples / self.sampling_rate:.2f} s"
            )
        if self._container.format.name == "ogg":
            position = self._source.tell()
            try:
                check_ogg_is_whole(self._source)
            finally:
                self._source.seek(position)

    def blocks(self, start: int, num_samples: int | None = None) -> Iterator[Block]:
        """The samples from `start` on, some frames at a time."""
        end = None if num_samples is None else start + num_samples
        pieces: list[Block] = []
        num_held = 0
        for begin, block in self._frames_from(start):
            if end is not None and begin >= end:
                break
            stop = None if end is None else end - begin
            piece = block[:, max(0, start - begin) : stop]
            pieces.append(piece)
            num_held += piece.shape[1]
            if num_held >= _BLOCK_SAMPLES:
                yield np.concatenate(pieces, axis=1)
                pieces, num_held = [], 0
        if num_held:
            yield np.concatenate(pieces, axis=1)

    def close(self) -> None:
        """Frees the decoder."""
        self._container.close()

    def _open(self) -> None:
        self._source.seek(0)
        try:
            self._container: InputContainer = av.open(
                _QuietSource(self._source),
                mode="r",
                metadata_errors="ignore",
                options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"},
            )
        except _ERRORS as error:
            raise UnreadableAudioError(_reason(error)) from error
        if not self._container.streams.audio:
            self.close()
            raise UnreadableAudioError("no audio stream")
        self._stream = self._container.streams.audio[0]
        if not self._stream.time_base:
            self.close()
            raise UnreadableAudioError("an audio stream without a clock")
        self._tick_s = self._stream.time_base

    def _examine(self) -> None:
        """Learns rate, channels and the grid of frames from the first two."""
        frames = self._decoded(lambda packet: self._conceals)
        first = next(frames, None)
        if first is None:
            raise UnreadableAudioError("no sound in its audio stream")
        self.sampling_rate = first.sample_rate
        self.num_channels = first.layout.nb_channels
        check_header(self.sampling_rate, self.num_channels)
        codec = self._stream.codec_context.name
        self.has_nominal_rate = codec in {"opus", "libopus"}
        self._clock = FrameClock(
            self._container, self._stream, first, next(frames, None), restarts=self._is_chained
        )

    def _claimed_samples(self) -> int | None:
        """Samples up to the end that the header states."""
        is_matroska = "matroska" in self._container.format.name
        # Matroska has no lengths of streams: FFmpeg may give them that of the longest.
        if self._stream.duration is not None and not is_matroska:
            seconds = self._stream.duration * self._tick_s
            return self._clock.lead_samples + int(seconds * self.sampling_rate)
        if self._container.duration is None:
            return None
        seconds = Fraction(self._container.duration, av.time_base)
        if is_matroska:  # counted from zero, not from where it starts
            seconds -= Fraction(max(self._container.start_time or 0, 0), av.time_base)
        return int(seconds * self.sampling_rate)

    def _states_length(self) -> bool:
        """Whether the length comes from the header, and is that of the sound."""
        container = self._container.format.name
        if container == "mp3":
            return self._has_mp3_length
        if container in _LENGTHS_BY_BITRATE:
            return False
        has_own = self._stream.duration is not None and "matroska" not in container
        return has_own or len(self._container.streams) == 1

    def _frames_from(self, start: int) -> Iterator[tuple[int, Block]]:
        """Consecutive (position, samples), from `start` or before it."""
        if self._clock.can_seek and start > 2 * _PREROLL_S * self.sampling_rate:
            try:
                yield from self._frames_after_seek(start)
            except _NoSuchPartError:
                pass
            else:
                return
        self.close()
        self._open()
        yield from self._placed(self._frames(), 0)

    def _placed(self, frames: Iterable[Frame], begin: int) -> Iterator[tuple[int, Block]]:
        """Consecutive (position, samples), with silence where timestamps leave a hole.

        Args:
            frames: decoded one after the other.
            begin: where the first one may begin.
        """
        for frame in frames:
            end = begin + self._clock.hole_before(frame, begin)
            for start in range(begin, end, _BLOCK_SAMPLES):
                size = min(_BLOCK_SAMPLES, end - start)
                yield start, np.zeros((self.num_channels, size), np.float32)
            if isinstance(frame, LostFrame):
                yield end, self._conceal(frame, end)
            else:
                yield end, self._to_block(frame)
            begin = end + frame.samples

    def _frames_after_seek(self, start: int) -> Iterator[tuple[int, Block]]:
        target_s = Fraction(start, self.sampling_rate) - _PREROLL_S
        try:
            self._container.seek(self._clock.pts_at(target_s), stream=self._stream)
        except _ERRORS as error:
            raise _NoSuchPartError from error
        frames = self._frames(num_may_fail=_MOST_LOST_PACKETS)
        # Decoders may leave out the beginning of the first frame, but not of the second.
        next(frames, None)
        frame = next(frames, None)
        if frame is None:
            raise _NoSuchPartError
        begin = self._clock.position_of(frame)
        if begin is None or begin > start:
            raise _NoSuchPartError
        yield from self._placed(chain([frame], frames), begin)

    def _frames(self, num_may_fail: int = 0) -> Iterator[Frame]:
        """Frames from where the container stands; the first packets may fail.

        If damage is concealed, what else fails comes before the next frame that is whole: where
        none follows, the source is cut.
        """
        lost: list[LostFrame] = []
        num_to_conceal = float(_MOST_CONCEALED_S * self.sampling_rate)

        def may_fail(packet: av.Packet[Any]) -> bool:
            nonlocal num_may_fail, num_to_conceal
            num_may_fail -= 1
            if num_may_fail >= 0:
                return True
            if self._conceals:
                lost.append(self._clock.lost_frame(packet))
                num_to_conceal -= lost[-1].samples
            return self._conceals and num_to_conceal >= 0

        for frame in self._decoded(may_fail):
            num_may_fail = 0
            num_to_conceal += _MOST_CONCEALED_SHARE * frame.samples
            yield from lost
            lost.clear()
            yield frame
        if lost:
            raise UnreadableAudioError("damage at its end")

    def _decoded(self, may_fail: Callable[[av.Packet[Any]], bool]) -> Iterator[av.AudioFrame]:
        """Frames from where the container stands, without packets that may fail."""
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except _ERRORS:
                    if not may_fail(packet):
                        raise
                    continue
                yield from (frame for frame in frames if frame.samples)
        except _ERRORS as error:
            raise UnreadableAudioError(_reason(error)) from error

    def _conceal(self, frame: LostFrame, begin: int) -> Block:
        if self.concealment is None:
            self.concealment = Concealment(begin / self.sampling_rate)
        self.concealment.duration_s += frame.samples / self.sampling_rate
        return np.zeros((self.num_channels, frame.samples), np.float32)

    def _to_block(self, frame: av.AudioFrame) -> Block:
        if (frame.sample_rate, frame.layout.nb_channels) != (self.sampling_rate, self.num_channels):
            raise UnreadableAudioError("a change of the sampling rate or of the channels inside")
        values: np.ndarray[Any, Any] = frame.to_ndarray()
        if not frame.format.is_planar:
            values = values.reshape(-1, self.num_channels).T
        kind = frame.format.name.removesuffix("p")
        samples = values.astype(np.float32)
        if kind in _FULL_SCALE:
            samples = samples / np.float32(_FULL_SCALE[kind])
        return samples - np.float32(1) if kind == "u8" else samples


def _reason(error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(reason).split())[:200]


def _mp3_states_length(source: BinaryIO | FileIO) -> bool:
    """Whether the first frame, behind the ID3 tag, tells the number of frames."""
    source.seek(0)
    head = source.read(10)
    if head[:3] == b"ID3" and len(head) == 10:
        a, b, c, d = (byte & 0x7F for byte in head[6:])
        source.seek(10 + (a << 21 | b << 14 | c << 7 | d))
    else:
        source.seek(0)
    first_frame = source.read(512)
    return b"Xing" in first_frame or b"Info" in first_frame
