"""Translated segments -> text, subtitles, JSON or a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from horizon_st.inference.line_breaks import join_texts
from horizon_st.inference.pipeline import TranslatedSegment
from horizon_st.inference.subtitles import Cue, Spoken, make_cues, to_srt, to_vtt

Format = Literal["txt", "srt", "vtt", "json", "tsv"]

UNSURE_BELOW = 0.6
"""Confidence below which a segment is marked."""

UNSURE_MARK = "[?]"
_TSV_COLUMNS = ("start_s", "end_s", "confidence", "unsure", "text")


@dataclass(frozen=True)
class TranslatedRecording:
    """What was said in a recording.

    Attributes:
        source: its path or name.
        duration_s: its length.
        segments: in their order.
        unsure_below: confidence below which a segment is marked as unsure.
    """

    source: str
    duration_s: float
    segments: Sequence[TranslatedSegment]
    unsure_below: float = UNSURE_BELOW

    def is_unsure(self, segment: TranslatedSegment) -> bool:
        """Whether the model was so unsure that a reader should know."""
        return is_unsure(segment, self.unsure_below)

    @property
    def cues(self) -> list[Cue]:
        """The subtitles, marked where the model was unsure."""
        marks = {False: "", True: UNSURE_MARK}
        spoken = [
            Spoken(segment.start_s, segment.end_s, segment.text, marks[self.is_unsure(segment)])
            for segment in self.segments
        ]
        return make_cues(spoken, self.duration_s)


def is_unsure(segment: TranslatedSegment, unsure_below: float = UNSURE_BELOW) -> bool:
    """Whether the model was so unsure that a reader should know."""
    return segment.confidence < unsure_below


def marked_line(segment: TranslatedSegment, unsure_below: float = UNSURE_BELOW) -> str:
    """The text on one line, with a mark in front where the model was unsure."""
    line = " ".join(segment.text.split())
    return f"{UNSURE_MARK} {line}".rstrip() if is_unsure(segment, unsure_below) else line


def to_text(recording: TranslatedRecording, form: Format) -> str:
    """The recording in the format, as it stands in a file; a silent one is valid, too."""
    return _WRITERS[form](recording)


def _txt(recording: TranslatedRecording) -> str:
    lines = (marked_line(segment, recording.unsure_below) for segment in recording.segments)
    return "".join(f"{line}\n" for line in lines)


def _tsv(recording: TranslatedRecording) -> str:
    table = io.StringIO()
    # Quotation marks are doubled, or readers of tables would take lines with one for one row.
    writer = csv.writer(table, "excel-tab", lineterminator="\n")
    writer.writerow(_TSV_COLUMNS)
    for segment in recording.segments:
        is_unsure = "yes" if recording.is_unsure(segment) else "no"
        times = (f"{segment.start_s:.3f}", f"{segment.end_s:.3f}")
        text = " ".join(segment.text.split())
        writer.writerow((*times, f"{segment.confidence:.4f}", is_unsure, text))
    return table.getvalue()


def _json(recording: TranslatedRecording) -> str:
    segments: list[dict[str, Any]] = [
        {
            "start_s": round(segment.start_s, 3),
            "end_s": round(segment.end_s, 3),
            "text": segment.text,
            "confidence": round(segment.confidence, 4),
            "unsure": recording.is_unsure(segment),
        }
        for segment in recording.segments
    ]
    content = {
        # Not every file's name is UTF-8.
        "source": recording.source.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
        "duration_s": round(recording.duration_s, 3),
        "text": join_texts(segment.text for segment in recording.segments),
        "unsure_below": recording.unsure_below,
        "segments": segments,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


_WRITERS: dict[Format, Callable[[TranslatedRecording], str]] = {
    "txt": _txt,
    "srt": lambda recording: to_srt(recording.cues),
    "vtt": lambda recording: to_vtt(recording.cues),
    "json": _json,
    "tsv": _tsv,
}
