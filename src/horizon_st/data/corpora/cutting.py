"""One utterance of a corpus -> a lhotse cut, or the reason why it cannot be one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lhotse import Recording, SupervisionSegment
from lhotse.audio import AudioSource
from lhotse.cut import MonoCut, MultiCut

from horizon_st.data.audio import SHORTEST_S, Cut, audio_info
from horizon_st.data.clipping import clip_span
from horizon_st.data.cut_checks import END_TOLERANCE_S, TRANSLATION_KEY
from horizon_st.data.files import is_file
from horizon_st.errors import UserError

_NUM_KNOWN_RECORDINGS = 10_000
"""Headers kept: corpora list the segments of a long recording one after the other."""
_LONGEST_TEXT = 10_000
"""Characters: nobody says more in one utterance, so a longer field is two rows run together."""


@dataclass(frozen=True)
class Utterance:
    """One row of a corpus.

    Attributes:
        id: of its own within the split.
        audio: the recording, of any format, rate and channel count.
        translation: target text; None in test splits without references.
        transcript: source text, where there is one.
        offset_s: where in the recording it begins.
        duration_s: its length; None for all that follows.
        speaker: who speaks, where known.
        channel: of the recording, by number from 0 or by letter from A; None for the mean of all.
        place: ``FILE:LINE`` of the row, for messages.
        unreadable_time: what the row has for a time, if that is not a number.
        lacks_split: whether it should say what split it belongs to, and does not.
    """

    id: str
    audio: Path
    translation: str | None
    transcript: str | None = None
    offset_s: float = 0.0
    duration_s: float | None = None
    speaker: str | None = None
    channel: str | None = None
    place: str = ""
    unreadable_time: str | None = None
    lacks_split: bool = False


class _Unusable(NamedTuple):
    """What is wrong with a recording: a value, since a cache keeps no exceptions."""

    reason: str
    found: str


class UnusableError(Exception):
    """A row that cannot become a cut: a reason to count, and what was found."""

    def __init__(self, reason: str, found: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.found = found


class Piece(NamedTuple):
    """A cut, and whether it is shorter than the row says because the recording is."""

    cut: Cut
    is_clipped: bool


def forget_recordings() -> None:
    """Lets recordings be opened anew: what was missing may have come since."""
    _recording.cache_clear()


def to_piece(utterance: Utterance, languages: Mapping[str, str | None]) -> Piece:
    """The cut of an utterance, clipped to its recording where little is missing.

    Args:
        utterance: the row.
        languages: of ``source`` and ``target``, kept in the cut.

    Raises:
        UnusableError: the row cannot become a cut.
    """
    if utterance.lacks_split:
        raise UnusableError("no split", "nothing in the column for it")
    _check_texts(utterance)
    recording = _recording(utterance.audio.absolute())
    if isinstance(recording, _Unusable):
        raise UnusableError(recording.reason, recording.found)
    start, duration, is_clipped = _times(utterance, recording.duration)
    channels = _channels(utterance, recording)
    is_mono = len(channels) == 1
    supervision = SupervisionSegment(
        id=utterance.id,
        recording_id=recording.id,
        start=0.0,
        duration=duration,
        channel=channels[0] if is_mono else channels,
        text=utterance.transcript,
        language=languages["source"],
        speaker=utterance.speaker,
        custom={
            key: value
            for key, value in (
                (TRANSLATION_KEY, utterance.translation),
                ("target_language", languages["target"]),
            )
            if value is not None
        },
    )
    kind: Any = MonoCut if is_mono else MultiCut
    cut: Cut = kind(
        id=utterance.id,
        start=start,
        duration=duration,
        channel=channels[0] if is_mono else channels,
        recording=recording,
        supervisions=[supervision],
    )
    return Piece(cut, is_clipped)


def _check_texts(utterance: Utterance) -> None:
    for name in ("id", "audio", "translation", "transcript", "speaker"):
        value = getattr(utterance, name)
        if value is None:
            continue
        text = str(value)
        if not text.strip() and name != "speaker":
            raise UnusableError(f"empty {name}", repr(text))
        if len(text) > _LONGEST_TEXT:
            raise UnusableError(f"{name} too long", f"{len(text)} characters: {text[:80]}")
        if not _is_unicode(text):
            raise UnusableError(f"{name} is not Unicode text", repr(text))


def _is_unicode(text: str) -> bool:
    """Whether it can be written; JSON may hold halves of surrogate pairs."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _channels(utterance: Utterance, recording: Recording) -> list[int]:
    """The one that the row names, or all of the recording."""
    held: list[int] = recording.channel_ids or []
    if utterance.channel is None:
        return held
    name = utterance.channel.upper()
    names = {name: index for index in held for name in (str(index), chr(ord("A") + index))}
    if name not in names:
        found = f"{utterance.channel[:80]} of {len(held)}, which count from 0 or A"
        raise UnusableError("no such channel", found)
    return [names[name]]


def _times(utterance: Utterance, recording_s: float) -> tuple[float, float, bool]:
    """Start and duration in seconds within the recording, and whether the row says more."""
    if utterance.unreadable_time is not None:
        raise UnusableError("time is not a number", utterance.unreadable_time)
    start, duration = utterance.offset_s, utterance.duration_s
    if not math.isfinite(start) or start >= recording_s:
        raise UnusableError("offset outside the recording", f"{start} s of {recording_s:.2f} s")
    if duration is None:
        duration = recording_s - start
    if not math.isfinite(duration) or duration < SHORTEST_S:
        raise UnusableError("no duration", f"{duration} s")
    clipped = clip_span(start, duration, recording_s)
    if clipped is None and start < 0:
        raise UnusableError("offset outside the recording", f"{start} s of {recording_s:.2f} s")
    if clipped is None:
        raise UnusableError(
            "end outside the recording", f"{start + duration} s of {recording_s:.2f} s"
        )
    return *clipped, duration - clipped[1] > END_TOLERANCE_S


@lru_cache(maxsize=_NUM_KNOWN_RECORDINGS)
def _recording(path: Path) -> Recording | _Unusable:
    if not is_file(path):
        return _Unusable("missing audio", str(path))
    try:
        info = audio_info(path)
    except UserError as error:
        return _Unusable("unreadable audio", f"{path}: {error.found}")
    channels = list(range(info.num_channels))
    return Recording(
        id=path.stem,
        sources=[AudioSource(type="file", channels=channels, source=str(path))],
        sampling_rate=info.sampling_rate,
        num_samples=info.num_samples,
        duration=info.num_samples / info.sampling_rate,
        channel_ids=channels,
    )
