"""Lists of segments of long recordings -> what to cut where.

Four formats are in use: a YAML list of mappings (MuST-C, mTEDx, IWSLT), Kaldi's ``segments``
(mTEDx), the same with a path and a speaker in front (IWSLT low-resource tracks), and lines of a
recording, start and end (Europarl-ST, IWSLT low-resource tracks).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from horizon_st.data.files import read_lines
from horizon_st.errors import UserError

_LONGEST_ITEM = 10_000
"""Characters: a mapping of four values has about 80."""
_ITEM_START = re.compile(r"( *)-(?: |$)")


@dataclass(frozen=True)
class Segment:
    """A piece of a recording.

    Attributes:
        place: ``FILE:LINE`` of the row.
        audio: the recording as the list names it, with or without folder and ending.
        offset_s: where it begins; not a number where the list's value cannot be read.
        duration_s: its length; likewise.
        speaker: who speaks, where the list says so.
        id: of the utterance, where the list gives one.
        unreadable_time: what the list has for a time, if that is not a number.
    """

    place: str
    audio: str
    offset_s: float
    duration_s: float
    speaker: str | None = None
    id: str | None = None
    unreadable_time: str | None = None


def seconds(text: str) -> float:
    """The number in a text, or not-a-number where there is none."""
    try:
        return float("nan") if "_" in text else float(text)
    except ValueError:
        return float("nan")


def unreadable_time(*texts: str) -> str | None:
    """The first text that is not a number, or None."""
    return next((text for text in texts if math.isnan(seconds(text))), None)


def read_yaml_segments(path: Path) -> Iterator[Segment]:
    """The segments of a YAML list of ``{duration, offset, speaker_id, wav}``, one after the other.

    The list is parsed item by item: the published ones have 230,000. ``speaker_id`` may be
    missing; other keys are ignored.

    Raises:
        UserError: the file is not such a list.
    """
    for place, text in _yaml_items(path):
        try:
            parsed = yaml.load(text, Loader=yaml.CBaseLoader)
        except (yaml.YAMLError, RecursionError) as error:
            _refuse_yaml(place, f"{text[:80].strip()} ({_first_line(error)})")
        item = parsed[0] if isinstance(parsed, list) and len(parsed) == 1 else None
        if not isinstance(item, dict):
            _refuse_yaml(place, text[:80].strip())
        values = {key: value for key, value in item.items() if isinstance(value, str)}
        if missing := [key for key in ("wav", "offset", "duration") if key not in values]:
            _refuse_yaml(place, f"no {', no '.join(missing)} in {text[:80].strip()}")
        if odd := [key for key in item if not str(key).isidentifier()]:  # as of `offset: 1,5`
            _refuse_yaml(place, f"the key {str(odd[0])[:20]} in {text[:80].strip()}")
        yield Segment(
            place,
            audio=values["wav"],
            offset_s=seconds(values["offset"]),
            duration_s=seconds(values["duration"]),
            speaker=values.get("speaker_id") or None,
            unreadable_time=unreadable_time(values["offset"], values["duration"]),
        )


def read_kaldi_segments(path: Path) -> Iterator[Segment]:
    """The segments of lines ``UTTERANCE RECORDING START END``.

    Where the first word is a path such as ``wav/NAME.wav``, as in the IWSLT low-resource tracks,
    it is the recording, and the second word is the speaker.

    Raises:
        UserError: a line does not have four words.
    """
    for place, line in read_lines(path):
        words = line.split()
        if len(words) != 4:
            _refuse_line(place, line, "UTTERANCE RECORDING START END")
        first, second, start, end = words
        if "/" in first:
            yield _span(place, first, start, end, speaker=second)
        else:
            yield _span(place, second, start, end, id=first)


def read_span_segments(path: Path) -> Iterator[Segment]:
    """The segments of lines ``RECORDING START END``, with tabs or spaces between.

    Raises:
        UserError: a line does not have three parts.
    """
    for place, line in read_lines(path):
        words = line.rsplit(maxsplit=2)
        if len(words) != 3:
            _refuse_line(place, line, "RECORDING START END")
        audio, start, end = words
        yield _span(place, audio.strip(), start, end)


def _span(
    place: str,
    audio: str,
    start: str,
    end: str,
    *,
    speaker: str | None = None,
    id: str | None = None,
) -> Segment:
    return Segment(
        place,
        audio,
        offset_s=seconds(start),
        duration_s=seconds(end) - seconds(start),
        speaker=speaker,
        id=id,
        unreadable_time=unreadable_time(start, end),
    )


def _yaml_items(path: Path) -> Iterator[tuple[str, str]]:
    """The (place, text) of each item of a top-level list, in flow or block style."""
    indent: str | None = None
    item: list[str] = []
    item_place, length = "", 0
    for place, line in read_lines(path):
        start = _ITEM_START.match(line)
        if start and indent in (None, start[1]):
            if item:
                yield item_place, "\n".join(item)
            indent, item, item_place, length = start[1], [], place, 0
        elif not line.strip() or line.startswith(("#", "---", "...", "%")):
            continue
        elif not item:
            _refuse_yaml(place, line[:80])
        item.append(line)
        length += len(line)
        if length > _LONGEST_ITEM:
            _refuse_yaml(item_place, f"more than {_LONGEST_ITEM} characters: {item[0][:60]}")
    if item:
        yield item_place, "\n".join(item)


def _refuse_yaml(place: str, found: str) -> NoReturn:
    raise UserError(
        place,
        expected="a list item such as `- {duration: 3.5, offset: 16.08, wav: talk.wav}`",
        found=found,
        remedy="Mend the line, or remove it together with its lines in the texts.",
    )


def _refuse_line(place: str, line: str, expected: str) -> NoReturn:
    raise UserError(
        place,
        expected=expected,
        found=line[:80],
        remedy="Mend the line, or remove it together with its lines in the texts.",
    )


def _first_line(error: Any) -> str:
    return str(getattr(error, "problem", None) or error).partition("\n")[0]
