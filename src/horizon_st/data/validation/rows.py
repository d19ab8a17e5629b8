"""The lines of a manifest -> rows, each with what is wrong with it as far as it alone can tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from horizon_st.data.audio import SHORTEST_S, Cut
from horizon_st.data.cut_checks import TRANSLATION_KEY, find_faults, to_cut
from horizon_st.data.files import decode_line, read_raw_lines
from horizon_st.data.jsonl import parse_json
from horizon_st.data.manifest import reference_of
from horizon_st.data.validation.manifests import TEST_RANK, held_out_rank, split_name
from horizon_st.data.validation.problems import KINDS, Problem
from horizon_st.errors import UserError

LONGEST_S = 30.0
"""Whisper's window; attention over more costs memory that grows with the square."""

SHORTEST_SPOKEN_S = 0.2
"""About one stressed syllable: less is a click or a slip of the segmentation."""


@dataclass
class Row:
    """One line of a manifest that is not blank.

    Attributes:
        place: ``FILE:LINE``.
        line: the line itself, as it is in the file.
        cut: what it says; None where it cannot be read as a cut.
        problems: what is wrong with it.
        changes: what a repair has done to it.
        is_sound: whether its sound was decoded, and nothing found.
    """

    place: str
    line: bytes
    cut: Cut | None = None
    problems: list[Problem] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    is_sound: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether training would take it."""
        return all(KINDS[problem.kind].severity != "error" for problem in self.problems)

    @property
    def number(self) -> int:
        """Of the line in its file, from 1."""
        return int(self.place.rpartition(":")[2])

    @property
    def texts(self) -> tuple[str | None, str | None]:
        """Transcript and translation; None where there is none, or it is not a text."""
        assert self.cut is not None
        supervision = self.cut.supervisions[0]
        transcript, translation = supervision.text, (supervision.custom or {}).get(TRANSLATION_KEY)
        return (_text(transcript), _text(translation))

    def add(self, kind: str, found: str) -> None:
        """Notes a problem."""
        name = None if self.cut is None else self.cut.id
        self.problems.append(Problem(kind, self.place, found, name))


def read_rows(manifest: Path) -> Iterator[Row]:
    """The rows of a manifest; a file that cannot be read to its end gives a last row that says so.

    Sound is looked for, but not opened.
    """
    try:
        for place, line in read_raw_lines(manifest):
            if line.strip():
                yield check_line(line, place, manifest)
    except UserError as error:
        row = Row(error.place, b"")
        row.add("damaged file", error.found)
        yield row


def check_line(line: bytes, place: str, manifest: Path) -> Row:
    """The row of a line, checked as training checks it and somewhat more.

    Args:
        line: as it is in the file.
        place: ``FILE:LINE``.
        manifest: the file, in whose folder relative paths start; of a test set, a translation
            need not be there.
    """
    row = Row(place, line)
    kind = "not UTF-8"
    try:
        text = decode_line(line, place)
        kind = "not JSON"
        value = parse_json(text, place)
        kind = "not a cut"
        row.cut = to_cut(value, place)
    except UserError as error:
        row.add(kind, f"{error.found}; expected {error.expected}")
        return row
    needs_reference = held_out_rank(split_name(manifest)) < TEST_RANK
    for fault in find_faults(row.cut, manifest.parent, place):
        is_unscored = fault.kind == "no translation" and not needs_reference
        if is_unscored and reference_of(row.cut) is None:
            row.add("no reference", "none")
        else:
            row.add(fault.kind, f"{fault.error.found}; expected {fault.error.expected}")
    duration_s = row.cut.duration
    if 0 < duration_s < SHORTEST_S:
        row.add("too short", f"{1000 * duration_s:.1f} ms")
    elif 0 < duration_s < SHORTEST_SPOKEN_S:
        row.add("short utterance", f"{duration_s:.2f} s")
    elif duration_s > LONGEST_S:
        row.add("long utterance", f"{duration_s:.1f} s")
    return row


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None
