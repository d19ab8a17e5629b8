"""A lhotse JSONL manifest -> cuts whose audio paths resolve and whose texts are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lhotse import CutSet
from lhotse.cut import MonoCut
from lhotse.serialization import deserialize_item

from horizon_st.data.jsonl import read_json_lines
from horizon_st.errors import UserError

TRANSLATION_KEY = "translated_text"
"""The key of a supervision's ``custom`` with the translation, as in lhotse's own ST recipes."""

_END_TOLERANCE_S = 0.01
"""How far a cut may reach beyond its recording: manifests round times to some decimals."""


class ManifestCuts:
    """The checked cuts of a manifest, read line by line each time it is iterated."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[MonoCut]:
        seen: set[str] = set()
        for place, value in read_json_lines(self.path):
            cut = _to_cut(value, place)
            if cut.id in seen:
                raise UserError(
                    place,
                    expected="an id of its own for every utterance",
                    found=f"{cut.id!r} twice",
                    remedy="Rename or remove one of them.",
                )
            seen.add(cut.id)
            _check_texts(cut, place)
            _check_recording(cut, place)
            _resolve_audio(cut, self.path, place)
            yield cut
        if not seen:
            raise UserError(
                str(self.path),
                expected="at least one utterance",
                found="none",
                remedy="Make the manifest anew, one lhotse cut per line.",
            )


def read_manifest(path: Path) -> CutSet:
    """The cuts of a manifest, lazily, with recording paths relative to its folder resolved.

    Each cut has one supervision: ``text`` is the transcript (None where there is none), and
    ``custom["translated_text"]`` the translation. A name that ends in ``.gz`` is decompressed.

    Raises:
        UserError: the file is missing, or, while reading: there are no utterances, two have the
            same id, a line is not a cut, has no translation, or names audio that is not there.
    """
    if not path.is_file():
        raise UserError(
            str(path),
            expected="a manifest (lhotse cuts, JSONL)",
            found="no such file",
            remedy="Check the path; `horizon-st prepare telephone DIR` writes the embedded corpus.",
        )
    return CutSet(ManifestCuts(path))


def translation_of(cut: MonoCut) -> str:
    """The target sentence of a cut."""
    text: str = cut.supervisions[0].custom[TRANSLATION_KEY]
    return text


def transcript_of(cut: MonoCut) -> str | None:
    """The source sentence of a cut, or None."""
    text: str | None = cut.supervisions[0].text
    return text


def _to_cut(value: Any, place: str) -> MonoCut:
    try:
        cut = deserialize_item(value)
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
        raise UserError(
            place,
            expected="one lhotse cut as JSON",
            found=f"{type(error).__name__}: {error}",
            remedy="Mend or remove the line, or make the manifest anew with lhotse.",
        ) from error
    num_supervisions = len(getattr(cut, "supervisions", ()))
    if not isinstance(cut, MonoCut) or num_supervisions != 1:
        raise UserError(
            place,
            expected="a cut of one channel with one supervision",
            found=f"{type(cut).__name__} with {num_supervisions} supervisions",
            remedy="Write one line per utterance.",
        )
    return cut


def _check_texts(cut: MonoCut, place: str) -> None:
    supervision = cut.supervisions[0]
    translation = (supervision.custom or {}).get(TRANSLATION_KEY)
    if not isinstance(translation, str) or not translation.strip():
        raise UserError(
            f"{place}: utterance {cut.id}",
            expected=f"a translation in custom[{TRANSLATION_KEY!r}]",
            found=repr(translation),
            remedy="Add the text, or remove the utterance.",
        )
    transcript = supervision.text
    if transcript is not None and not (isinstance(transcript, str) and transcript.strip()):
        raise UserError(
            f"{place}: utterance {cut.id}",
            expected="a transcript, or none at all",
            found=repr(transcript),
            remedy="Add the transcript, or leave out `text`: the text pass skips such rows.",
        )


def _check_recording(cut: MonoCut, place: str) -> None:
    """Refuses a cut that is not a piece of its recording."""
    recording = cut.recording
    if recording is None or cut.channel not in recording.channel_ids:
        raise UserError(
            f"{place}: utterance {cut.id}",
            expected=f"a `recording` with channel {cut.channel}",
            found="no recording" if recording is None else f"channels {recording.channel_ids}",
            remedy="Make the cuts from recordings and supervisions, and save them together.",
        )
    if not 0 <= cut.start < cut.end <= recording.duration + _END_TOLERANCE_S:
        raise UserError(
            f"{place}: utterance {cut.id}",
            expected=f"a piece of its recording of {recording.duration:.2f} s",
            found=f"{cut.start:.2f} s to {cut.end:.2f} s",
            remedy="Correct `start` and `duration`, or `recording.duration`.",
        )


def _resolve_audio(cut: MonoCut, path: Path, place: str) -> None:
    for source in cut.recording.sources:
        if source.type != "file":
            continue
        audio = path.parent / source.source
        source.source = str(audio)
        if not audio.is_file():
            raise UserError(
                f"{place}: utterance {cut.id}",
                expected="an audio file",
                found=f"nothing at {audio}",
                remedy="Put the file there, or correct `recording.sources[].source`; "
                "relative paths start at the manifest's folder.",
            )
