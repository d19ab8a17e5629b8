"""A recording of any length -> the stretches of speech to translate, cut at pauses.

Only the open segment is held, so that memory does not grow with the recording.

Legend: N samples. Frames are those of voice activity, 32 ms each, counted from the start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from horizon_st.data.mono import SAMPLING_RATE, Samples
from horizon_st.errors import UserError
from horizon_st.inference.speech_span import certain_span
from horizon_st.inference.voice_activity import (
    FRAME_S,
    FRAME_SAMPLES,
    Probabilities,
    VoiceActivity,
)

SHORTEST_CUT_S = 0.5
"""The least that the longest segment may be: a word."""

LONGEST_CUT_S = 600.0
"""The most that it may be."""

_LONGEST_JOINED_S = 2.0
"""A longer pause ends a segment however short: more of it would be noise to translate."""

_HYSTERESIS = 0.15
"""How far below the threshold speech ends: Silero VAD's own value."""

_EARLIEST_PAUSE, _EARLIEST_CUT = 1 / 3, 1 / 2
"""Of the longest segment: where one that is too long may be cut, at a pause and without one."""

_LIVE_PAUSE_S = 0.3
"""Ends a segment of live speech that has half of its longest length: what comes is unknown yet."""

_LIVE_LOOKBACK_S = 2.0
"""How far behind what was heard live speech may be cut: before that, text may be final already."""

_SMOOTHED_FRAMES = 5
"""Over which loudness is averaged to find the quietest place: 160 ms, about a syllable."""


@dataclass(frozen=True)
class SegmenterConfig:
    """How recordings are cut."""

    longest_s: float = field(
        default=20.0,
        metadata={"help": "Most speech translated at once, in seconds; no more than in training."},
    )
    longest_pause_s: float = field(
        default=0.8, metadata={"help": "Speech goes on in the same segment after a shorter pause."}
    )
    target_s: float = field(
        default=0.0,
        metadata={"help": "Until it has so much, a segment goes on over pauses of up to 2 s."},
    )
    threshold: float = field(
        default=0.5, metadata={"help": "Probability from which on a sound counts as speech."}
    )
    certain: float = field(
        default=0.9,
        metadata={"help": "Probability of the sounds that a segment's times begin and end with."},
    )
    shortest_speech_s: float = field(
        default=0.1, metadata={"help": "Shorter sounds are no speech: clicks and knocks."}
    )
    shortest_pause_s: float = field(
        default=0.1, metadata={"help": "Shorter silence, as in a closed consonant, is speech."}
    )
    padding_s: float = field(
        default=0.2, metadata={"help": "Of what surrounds a segment, translated with it."}
    )

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        limits = {
            "longest_s": (SHORTEST_CUT_S, LONGEST_CUT_S),
            "longest_pause_s": (0.0, 60.0),
            "target_s": (0.0, LONGEST_CUT_S),
            "threshold": (0.01, 0.99),
            "certain": (0.0, 0.99),
            "shortest_speech_s": (0.0, 10.0),
            "shortest_pause_s": (0.0, 10.0),
            "padding_s": (0.0, 5.0),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(
                    f"segmenter.{name}",
                    expected=f"{low:g} to {high:g}",
                    found=getattr(self, name),
                    remedy=f"The default is {type(self).__dataclass_fields__[name].default}.",
                )


@dataclass(frozen=True)
class SpeechSegment:
    """A stretch of speech.

    Attributes:
        start_s: where the speech begins in the recording.
        end_s: where it ends.
        samples: the speech with some of what surrounds it, at 16 kHz.
    """

    start_s: float
    end_s: float
    samples: Samples


def speech_segments(
    blocks: Iterable[Samples], config: SegmenterConfig | None = None
) -> Iterator[SpeechSegment]:
    """The segments of a recording in their order, none for a silent one.

    Args:
        blocks: the recording at 16 kHz, in blocks of any size.
        config: how to cut.
    """
    segmenter = Segmenter(config)
    for block in blocks:
        yield from segmenter.feed(block)
    yield from segmenter.finish()


class Segmenter:
    """Cuts one recording that comes block by block.

    A segment's times are those of its first and last certain speech; its samples are more.

    A segment ends at a pause of `longest_pause_s`; with less than `target_s`, at one of 2 s. Where
    it would become longer than `longest_s`, it is cut at the longest pause of its last two thirds,
    and where there is none, at the quietest place of its second half.

    Live speech is never cut far behind what was heard: from half of `longest_s` on a segment ends
    at the next pause of 0.3 s, and without one at the quietest place of its last two seconds.

    Args:
        config: how to cut.
        activity: samples -> the probability of speech in each further frame.
        is_live: whether open segments are shown before they end.
    """

    def __init__(
        self,
        config: SegmenterConfig | None = None,
        activity: VoiceActivity | None = None,
        *,
        is_live: bool = False,
    ) -> None:
        self._config = config = config or SegmenterConfig()
        self._activity = activity or VoiceActivity()
        self._longest = math.floor((config.longest_s - 2 * config.padding_s) / FRAME_S)
        self._longest = max(self._longest, math.floor(0.5 * config.longest_s / FRAME_S))
        self._longest_pause = max(1, round(config.longest_pause_s / FRAME_S))
        self._target = round(config.target_s / FRAME_S)
        self._longest_joined = max(self._longest_pause, round(_LONGEST_JOINED_S / FRAME_S))
        self._shortest_pause = max(1, round(config.shortest_pause_s / FRAME_S))
        self._shortest_speech = max(1, round(config.shortest_speech_s / FRAME_S))
        self._is_live = is_live
        self._padding = round(config.padding_s * SAMPLING_RATE)
        self._held = np.zeros(0, np.float32)
        self._held_from = 0  # the sample that is held first
        self._probabilities = np.zeros(0, np.float32)  # of the open segment
        self._probabilities_from = 0  # the frame of the first
        self._frame = 0  # that comes next
        self._regions: list[tuple[int, int]] = []  # of speech, in the open segment
        self._region_start: int | None = None
        self._quiet_since: int | None = None
        self._not_before = 0  # the first sample that belongs to no earlier segment

    def feed(self, samples: Samples) -> list[SpeechSegment]:
        """The segments that end in the next block."""
        self._held = np.concatenate([self._held, samples])
        ended = self._advance(self._activity(samples))
        self._forget()
        return ended

    def finish(self) -> list[SpeechSegment]:
        """What is still open at the end of the recording."""
        ended = self._advance(self._activity.finish())
        if self._region_start is not None:
            self._end_region(self._frame)
        if self._regions:
            ended.append(self._cut(len(self._regions), self._end_of_held))
        return ended

    @property
    def open_speech(self) -> SpeechSegment | None:
        """The speech of which the end is not known yet, as far as it goes; no click alone."""
        start = self._open_start
        if start is None:
            return None
        if not self._regions:
            quiet_since = self._frame if self._quiet_since is None else self._quiet_since
            if quiet_since - start < self._shortest_speech:
                return None
        end = self._frame if self._region_start is not None else self._regions[-1][1]
        segment = self._segment(start, end, self._end_of_held)
        return replace(segment, start_s=self._certain_span(start, end)[0] * FRAME_S)

    @property
    def _open_start(self) -> int | None:
        return self._regions[0][0] if self._regions else self._region_start

    @property
    def _end_of_held(self) -> int:
        return self._held_from + len(self._held)

    @property
    def _ending_pause(self) -> int:
        """The frames of silence that end the open segment."""
        length = self._regions[-1][1] - self._regions[0][0]
        if self._is_live:
            is_long = length >= _EARLIEST_CUT * self._longest
            live_pause = round(_LIVE_PAUSE_S / FRAME_S)
            return min(self._longest_pause, live_pause) if is_long else self._longest_pause
        return self._longest_pause if length >= self._target else self._longest_joined

    def _advance(self, probabilities: Probabilities) -> list[SpeechSegment]:
        ended = []
        self._probabilities = np.concatenate([self._probabilities, probabilities])
        for probability in probabilities.tolist():
            self._track_region(probability)
            start = self._open_start
            if self._region_start is None:
                if self._regions and self._frame - self._regions[-1][1] >= self._ending_pause:
                    ended.append(self._cut(len(self._regions), self._frame * FRAME_SAMPLES))
            elif start is not None and self._frame - start > self._longest:
                ended.append(self._cut_early(start))
        return ended

    def _track_region(self, probability: float) -> None:
        """Begins or ends a region of speech at the next frame."""
        threshold = self._config.threshold
        if probability >= threshold:
            self._quiet_since = None
            if self._region_start is None:
                self._region_start = self._frame
        elif self._region_start is not None and probability < threshold - _HYSTERESIS:
            if self._quiet_since is None:
                self._quiet_since = self._frame
            if self._frame + 1 - self._quiet_since >= self._shortest_pause:
                self._end_region(self._quiet_since)
        self._frame += 1

    def _end_region(self, end: int) -> None:
        assert self._region_start is not None
        if end - self._region_start >= self._shortest_speech:
            self._regions.append((self._region_start, end))
        self._region_start = self._quiet_since = None

    def _cut_early(self, start: int) -> SpeechSegment:
        """The first part of a segment that grew too long; the rest stays open."""
        assert self._region_start is not None
        earliest_pause = start + round(_EARLIEST_PAUSE * self._longest)
        earliest_cut = start + round(_EARLIEST_CUT * self._longest)
        if self._is_live:
            lookback = self._frame - round(_LIVE_LOOKBACK_S / FRAME_S)
            earliest_pause = earliest_cut = max(earliest_cut, lookback)
        nexts = [*(first for first, _ in self._regions), self._region_start][1:]
        pauses = [
            (after - end, number)
            for number, ((_, end), after) in enumerate(zip(self._regions, nexts, strict=True), 1)
            if end >= earliest_pause
        ]
        if pauses:
            number = max(pauses)[1]
            until = (self._regions[number - 1][1] + nexts[number - 1]) // 2
            return self._cut(number, until * FRAME_SAMPLES)
        cut = self._quietest(earliest_cut, self._frame - 1)
        pieces = [*self._regions, (self._region_start, self._frame)]
        self._regions = [(first, min(end, cut)) for first, end in pieces if first < cut]
        self._region_start = max(self._region_start, cut)
        return self._cut(len(self._regions), cut * FRAME_SAMPLES)

    def _quietest(self, first: int, last: int) -> int:
        """The frame between two at whose beginning the sound is least loud."""
        from_sample = first * FRAME_SAMPLES - self._held_from
        frames = self._held[from_sample : last * FRAME_SAMPLES - self._held_from]
        loudness = np.square(frames.reshape(-1, FRAME_SAMPLES), dtype=np.float64).mean(axis=1)
        width = min(_SMOOTHED_FRAMES, len(loudness))
        smoothed = np.convolve(loudness, np.full(width, 1 / width), mode="valid")
        return first + int(smoothed.argmin()) + width // 2

    def _cut(self, num_regions: int, until: int) -> SpeechSegment:
        """The segment of the first regions, with no sample from `until` on."""
        start, end = self._regions[0][0], self._regions[num_regions - 1][1]
        first, after = self._certain_span(start, end)
        segment = replace(
            self._segment(start, end, until), start_s=first * FRAME_S, end_s=self._end_s(after)
        )
        self._regions = self._regions[num_regions:]
        self._not_before = min(until, end * FRAME_SAMPLES + self._padding)
        return segment

    def _segment(self, start: int, end: int, until: int) -> SpeechSegment:
        first = max(start * FRAME_SAMPLES - self._padding, self._not_before, self._held_from)
        last = min(end * FRAME_SAMPLES + self._padding, until)
        samples = self._held[first - self._held_from : last - self._held_from].copy()
        return SpeechSegment(start * FRAME_S, self._end_s(end), samples)

    def _end_s(self, frame: int) -> float:
        """Where a frame begins, and no later than the recording ends."""
        return min(frame * FRAME_SAMPLES, self._end_of_held) / SAMPLING_RATE

    def _certain_span(self, start: int, end: int) -> tuple[int, int]:
        """Between two frames, the first that is certainly speech, and the one after the last."""
        probabilities = self._probabilities[start - self._probabilities_from :][: end - start]
        samples = self._held[start * FRAME_SAMPLES - self._held_from :]
        samples = samples[: (end - start) * FRAME_SAMPLES]
        first, after = certain_span(probabilities, samples, self._config.certain)
        return start + first, start + after

    def _forget(self) -> None:
        """Drops the samples and probabilities that no segment can need any more."""
        start = self._frame if self._open_start is None else self._open_start
        self._probabilities = self._probabilities[start - self._probabilities_from :].copy()
        self._probabilities_from = start
        keep = start * FRAME_SAMPLES - self._padding
        dropped = max(0, keep - self._held_from)
        self._held = self._held[dropped:].copy()
        self._held_from += dropped
