"""One line of a manifest -> a cut, and everything that makes it unusable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lhotse import Recording
from lhotse.cut import MonoCut, MultiCut
from lhotse.serialization import deserialize_item

from horizon_st.data.audio import Cut
from horizon_st.errors import UserError

TRANSLATION_KEY = "translated_text"
"""The key of a supervision's ``custom`` with the translation.

A text, or as lhotse's recipe of IWSLT's Tunisian writes it: one text by its language.
"""

END_TOLERANCE_S = 0.01
"""How far a cut may reach beyond its recording: manifests round times to some decimals."""

_LARGEST_NUMBER = 1e9
"""Of seconds or samples per second; more is damage, and arithmetic with it may overflow."""

_NOT_A_CUT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What lhotse's deserialisation raises at values of another shape."""

_LENGTH_SLACK_S = 0.1
"""How far a recording's samples and seconds may be apart: some tools round one of them."""

_SOURCE_TYPES = {"file", "command", "url", "shar"}
"""What a line of text can name; sound in memory it cannot."""

_NOT_IN_A_FILE = {"command": "the command", "url": "the URL"}
"""Sources that are refused: a manifest from elsewhere must not run or fetch anything."""

FaultKind = Literal[
    "no translation",
    "empty transcript",
    "no recording",
    "segment outside recording",
    "audio not in a file",
    "missing audio",
]


@dataclass(frozen=True)
class Fault:
    """One thing that makes a cut unusable: a kind to count, and the error that tells of it."""

    kind: FaultKind
    error: UserError


def to_cut(value: Any, place: str) -> Cut:
    """The cut of a manifest's line, whose fields have the right types; `value` is used up.

    A translation under the name of its language, if it is the only one, is the translation.

    Raises:
        UserError: it is not a cut of one supervision.
    """
    try:
        cut = deserialize_item(value)
    except _NOT_A_CUT as error:
        raise UserError(
            place,
            expected="one lhotse cut as JSON",
            found=f"{type(error).__name__}: {error}",
            remedy="Mend or remove the line, or make the manifest anew with lhotse.",
        ) from error
    num_supervisions = len(getattr(cut, "supervisions", ()))
    if not isinstance(cut, MonoCut | MultiCut) or num_supervisions != 1:
        raise UserError(
            place,
            expected="a MonoCut or MultiCut with one supervision",
            found=f"{type(cut).__name__} with {num_supervisions} supervisions",
            remedy="Write one line per utterance.",
        )
    for name, field in _misfits(cut):
        raise UserError(
            place,
            expected=f"one lhotse cut as JSON, with a valid `{name}`",
            found=repr(field)[:80],
            remedy="Correct or remove the line.",
        )
    custom = cut.supervisions[0].custom or {}
    by_language = custom.get(TRANSLATION_KEY)
    if isinstance(by_language, dict) and len(by_language) == 1:
        [custom[TRANSLATION_KEY]] = by_language.values()
    return cut


def find_faults(cut: Cut, folder: Path, place: str) -> Iterator[Fault]:
    """All that makes a cut unusable, but for its sound; its audio paths are made absolute.

    Args:
        cut: from :func:`to_cut`.
        folder: of the manifest, where relative paths start.
        place: of the line, for the messages.
    """
    whose = f"{place}: utterance {cut.id}"
    yield from _text_faults(cut, whose)
    yield from _recording_faults(cut, whose)
    if cut.recording is not None:
        yield from _audio_faults(cut, folder, whose)


def _misfits(cut: Cut) -> Iterator[tuple[str, object]]:
    """The fields whose type or size no later code could work with."""
    if not _is_name(cut.id):
        yield "id", cut.id
    channels = cut.channel if isinstance(cut, MultiCut) else [cut.channel]
    if not (channels and _are_ids(channels)):
        yield "channel", cut.channel
    for name in ("start", "duration"):
        if not _is_number(getattr(cut, name)):
            yield name, getattr(cut, name)
    supervision = cut.supervisions[0]
    for name in ("id", "recording_id"):
        if not _is_name(getattr(supervision, name)):
            yield f"supervisions[0].{name}", getattr(supervision, name)
    if not isinstance(supervision.custom, dict | None):
        yield "supervisions[0].custom", supervision.custom
    for name in ("start", "duration"):
        if not _is_number(getattr(supervision, name)):
            yield f"supervisions[0].{name}", getattr(supervision, name)
    if cut.recording is not None:
        for name, field in _recording_misfits(cut.recording):
            yield f"recording.{name}", field


def _recording_misfits(recording: Recording) -> Iterator[tuple[str, object]]:
    if not _is_name(recording.id):
        yield "id", recording.id
    rate, duration_s, num_samples = (
        recording.sampling_rate,
        recording.duration,
        recording.num_samples,
    )
    if not (_is_number(rate) and isinstance(rate, int) and rate > 0):
        yield "sampling_rate", rate
    elif not _is_number(duration_s):
        yield "duration", duration_s
    elif not (
        _is_number(num_samples) and abs(num_samples - duration_s * rate) <= _LENGTH_SLACK_S * rate
    ):
        yield "num_samples", num_samples
    for source in recording.sources:
        if not (
            isinstance(source.source, str)
            and isinstance(source.type, str)
            and source.type in _SOURCE_TYPES
            and _are_ids(source.channels)
        ):
            yield "sources", source
            return
    known = recording.channel_ids
    held = {channel for source in recording.sources for channel in source.channels}
    if not (_are_ids(known) and held.issuperset(known)):
        yield "channel_ids", known


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST_NUMBER


def _are_ids(channels: object) -> bool:
    return isinstance(channels, list) and all(isinstance(item, int) for item in channels)


def _text_faults(cut: Cut, whose: str) -> Iterator[Fault]:
    supervision = cut.supervisions[0]
    translation = (supervision.custom or {}).get(TRANSLATION_KEY)
    if isinstance(translation, dict) and len(translation) > 1:
        error = UserError(
            whose,
            expected=f"a translation into one language in custom[{TRANSLATION_KEY!r}]",
            found=f"translations into {', '.join(map(str, translation))}"[:200],
            remedy="Write a manifest for each language, with that translation alone.",
        )
        yield Fault("no translation", error)
    elif not isinstance(translation, str) or not translation.strip():
        error = UserError(
            whose,
            expected=f"a translation in custom[{TRANSLATION_KEY!r}]",
            found=repr(translation),
            remedy="Add the text, or remove the utterance.",
        )
        yield Fault("no translation", error)
    transcript = supervision.text
    if transcript is not None and not (isinstance(transcript, str) and transcript.strip()):
        error = UserError(
            whose,
            expected="a transcript, or none at all",
            found=repr(transcript),
            remedy="Add the transcript, or leave out `text`: the text pass skips such rows.",
        )
        yield Fault("empty transcript", error)


def _recording_faults(cut: Cut, whose: str) -> Iterator[Fault]:
    """What is wrong with a cut that is not a piece of its recording."""
    recording = cut.recording
    channels = cut.channel if isinstance(cut, MultiCut) else [cut.channel]
    if recording is None or not set(channels) <= set(recording.channel_ids):
        error = UserError(
            whose,
            expected=f"a `recording` with channel {', '.join(map(str, channels))}",
            found="no recording" if recording is None else f"channels {recording.channel_ids}",
            remedy="Make the cuts from recordings and supervisions, and save them together.",
        )
        yield Fault("no recording", error)
        return
    end_s = cut.start + cut.duration
    if not 0 <= cut.start < end_s <= recording.duration + END_TOLERANCE_S:
        error = UserError(
            whose,
            expected=f"a piece of its recording of {recording.duration:.2f} s",
            found=f"{cut.start:.2f} s to {end_s:.2f} s",
            remedy="Correct `start` and `duration`, or `recording.duration`.",
        )
        yield Fault("segment outside recording", error)


def _audio_faults(cut: Cut, folder: Path, whose: str) -> Iterator[Fault]:
    elsewhere = [
        f"{_NOT_IN_A_FILE[source.type]} {source.source!r}"
        for source in cut.recording.sources
        if source.type in _NOT_IN_A_FILE
    ]
    # A reverberation brings a recording along, whose source could be a command as well.
    if any(getattr(change, "rir", None) is not None for change in cut.recording.transforms or ()):
        elsewhere.append("a transform with a recording of its own")
    if elsewhere:
        error = UserError(
            whose,
            expected="audio in a file",
            found=elsewhere[0][:200],
            remedy="Save the sound to a file and name that: commands in a manifest are not run, "
            "and URLs not fetched.",
        )
        yield Fault("audio not in a file", error)
    for source in cut.recording.sources:
        if source.type != "file":
            continue
        audio = folder / source.source
        source.source = str(audio)
        if not _is_file(audio):
            error = UserError(
                whose,
                expected="an audio file",
                found=f"nothing at {audio}",
                remedy="Put the file there, or correct `recording.sources[].source`; "
                "relative paths start at the manifest's folder.",
            )
            yield Fault("missing audio", error)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
