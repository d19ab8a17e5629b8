"""A lhotse JSONL manifest -> cuts whose audio paths resolve and whose texts are there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lhotse import CutSet
from lhotse.cut import MonoCut
from lhotse.serialization import deserialize_item

from horizon_st.errors import UserError

TRANSLATION_KEY = "translated_text"
"""The key of a supervision's ``custom`` with the translation, as in lhotse's own ST recipes."""


class ManifestCuts:
    """The checked cuts of a manifest, read line by line each time it is iterated."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[MonoCut]:
        with _open_text(self.path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _read_cut(line, self.path, number)


def read_manifest(path: Path) -> CutSet:
    """The cuts of a manifest, lazily, with recording paths relative to its folder resolved.

    Each cut has one supervision: ``text`` is the transcript (None where there is none), and
    ``custom["translated_text"]`` the translation.

    Raises:
        UserError: the file is missing, or, while reading, a line is not a cut, has no supervision
            or no translation, or names audio that is not there.
    """
    if not path.is_file():
        raise UserError(
            str(path),
            expected="a manifest (lhotse cuts, JSONL)",
            found="no such file",
            remedy="Check the path, or make it with `horizon-st prepare`.",
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


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _read_cut(line: str, path: Path, number: int) -> MonoCut:
    place = f"{path}:{number}"
    try:
        cut = deserialize_item(json.loads(line))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            place,
            expected="one lhotse cut as JSON",
            found=f"{type(error).__name__}: {error}",
            remedy="Mend or remove the line, or make the manifest anew with `horizon-st prepare`.",
        ) from error
    if not isinstance(cut, MonoCut) or len(cut.supervisions) != 1:
        raise UserError(
            place,
            expected="a cut of one channel with one supervision",
            found=f"{type(cut).__name__} with {len(getattr(cut, 'supervisions', ()))} supervisions",
            remedy="Write one line per utterance.",
        )
    _check_texts(cut, place)
    _resolve_audio(cut, path, place)
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
    if supervision.text is not None and not supervision.text.strip():
        raise UserError(
            f"{place}: utterance {cut.id}",
            expected="a transcript, or none at all",
            found=f"the empty text {supervision.text!r}",
            remedy="Add the transcript, or leave out `text`: the text pass skips such rows.",
        )


def _resolve_audio(cut: MonoCut, path: Path, place: str) -> None:
    for source in cut.recording.sources if cut.recording else ():
        if source.type != "file":
            continue
        audio = Path(source.source)
        if not audio.is_absolute():
            audio = path.parent / audio
            source.source = str(audio)
        if not audio.is_file():
            raise UserError(
                f"{place}: utterance {cut.id}",
                expected="an audio file",
                found=f"nothing at {audio}",
                remedy="Put the file there, or correct `recording.sources[].source`; "
                "relative paths start at the manifest's folder.",
            )
