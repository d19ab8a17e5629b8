"""Timestamps of decoded frames -> the samples at which they begin."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer

_TIMED_CONTAINERS = {"flv", "matroska", "mov", "mpeg", "mpegts"}
"""They say when each frame sounds. In others one follows the other, or times err (WMA)."""

_REGULAR_CODECS = {"aac", "mp3", "mp3float", "opus", "libopus"}
"""Every frame has the same length, which tells where it begins if timestamps are rounded."""

_LEAST_HOLE_S = Fraction(1, 20)
"""What clocks differ by that run beside the samples, and encoders by in where sound begins."""

_LONGEST_HOLE_S = 3600
"""More is a clock that was set, as where two broadcasts were joined."""


@dataclass(frozen=True)
class LostFrame:
    """What stands for a packet that cannot be decoded.

    Attributes:
        pts: its timestamp.
        samples: that it would have given.
    """

    pts: int | None
    samples: int


Frame = av.AudioFrame | LostFrame


class FrameClock:
    """Tells where frames of one audio stream belong. Sample 0 is where a player's clock begins.

    Attributes:
        lead_samples: silence before the first frame, where sound begins later than the picture.
        can_seek: whether timestamps place a frame to the sample, so that a seek leads to a known
            place.

    Args:
        container: that of the stream.
        stream: the audio stream.
        first: its first decoded frame.
        second: the next one; None if there is none.
        restarts: whether the timestamps begin anew within the file.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: av.AudioStream,
        first: av.AudioFrame,
        second: av.AudioFrame | None,
        *,
        restarts: bool,
    ) -> None:
        assert stream.time_base is not None, "checked when it was opened"
        self._tick_s = stream.time_base
        self._rate = first.sample_rate
        self._first_pts = first.pts or 0
        self._first_samples = first.samples
        self._frame_samples = 0 if second is None else second.samples
        is_regular = stream.codec_context.name in _REGULAR_CODECS
        self._grid_samples = self._frame_samples if is_regular else 0
        self._is_exact = (1 / (self._tick_s * self._rate)).denominator == 1
        self._is_timed = not _TIMED_CONTAINERS.isdisjoint(container.format.name.split(","))
        self.can_seek = (
            first.pts is not None
            and not restarts
            and self._frame_samples > 0
            and (self._is_exact or is_regular)
        )
        start_s = Fraction(container.start_time or 0, av.time_base)
        lead_s = self._first_pts * self._tick_s - start_s
        has_lead = self._is_timed and _LEAST_HOLE_S < lead_s <= _LONGEST_HOLE_S
        self.lead_samples = round(lead_s * self._rate) if has_lead else 0

    def pts_at(self, position_s: Fraction) -> int:
        """The timestamp of a position in seconds."""
        since_first_s = position_s - Fraction(self.lead_samples, self._rate)
        return self._first_pts + int(since_first_s / self._tick_s)

    def lost_frame(self, packet: av.Packet[Any]) -> LostFrame:
        """What stands for a packet that cannot be decoded."""
        num_samples = round((packet.duration or 0) * self._tick_s * self._rate)
        if self._grid_samples and not self._is_exact:
            num_frames = max(1, round(num_samples / self._grid_samples))
            num_samples = num_frames * self._grid_samples
        return LostFrame(packet.pts, num_samples or self._frame_samples)

    def position_of(self, frame: Frame) -> int | None:
        """The sample at which a frame begins; None where that is not certain."""
        if frame.pts is None:
            return None
        position = (frame.pts - self._first_pts) * self._tick_s * self._rate
        if self._is_exact:
            return self.lead_samples + int(position)
        if frame.samples != self._frame_samples:
            return None
        num_frames = round((position - self._first_samples) / self._frame_samples)
        return self.lead_samples + self._first_samples + num_frames * self._frame_samples

    def hole_before(self, frame: Frame, begin: int) -> int:
        """Samples of silence between the end of what came before and a frame.

        Args:
            frame: the next one.
            begin: the sample at which it begins if there is no hole.
        """
        if frame.pts is None or not self._is_timed:
            return 0
        # As after a seek, where seeks are exact, so that parts are slices of the whole.
        place = self.position_of(frame) if self.can_seek else None
        if place is None:
            position = (frame.pts - self._first_pts) * self._tick_s * self._rate
            place = self.lead_samples + round(position)
        is_hole = _LEAST_HOLE_S < Fraction(place - begin, self._rate) <= _LONGEST_HOLE_S
        return place - begin if is_hole else 0
