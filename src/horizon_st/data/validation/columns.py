"""What is remembered of each row of a split: some 100 bytes of numbers, and no text."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from horizon_st.data.validation.manifests import split_name
from horizon_st.data.validation.rows import Row
from horizon_st.data.validation.spans import Spans, span_of
from horizon_st.data.validation.texts import Vocabulary, fingerprint, scripts

SIDES = ("transcript", "translation")

Integers = np.ndarray[Any, np.dtype[np.int64]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]


class SideColumns:
    """The texts of one side of a split.

    Attributes:
        num_chars: of each row; 0 where there is no text.
        fingerprints: of each row's text.
        script: the most frequent script of each row, as an index of `script_names`.
        num_letters: of that script.
        script_share: per cent of the row's letters that it has.
        num_rows_by_script: rows in which a script is the most frequent one.
        letters: of all rows, by script.
        characters: of all rows, by character.
        vocabulary: of all rows.
    """

    def __init__(self) -> None:
        self.num_chars = array("I")
        self.fingerprints = array("Q")
        self.script = array("B")
        self.num_letters = array("I")
        self.script_share = array("B")
        self.script_names: list[str] = ["none"]
        self.letters: Counter[str] = Counter()
        self.characters: Counter[str] = Counter()
        self.vocabulary = Vocabulary()

    def add(self, text: str | None) -> None:
        """Takes in the text of the next row."""
        text = (text or "").strip()
        self.num_chars.append(len(text))
        self.fingerprints.append(fingerprint(text))
        found = scripts(text)
        [(name, count)] = found.most_common(1) or [("none", 0)]
        self.script.append(self._script_index(name))
        self.num_letters.append(count)
        self.script_share.append(100 * count // max(found.total(), 1))
        self.letters += found
        self.characters.update(text)
        self.vocabulary.add(text)

    def _script_index(self, name: str) -> int:
        if name not in self.script_names:
            if len(self.script_names) > 254:
                return 0
            self.script_names.append(name)
        return self.script_names.index(name)


class SplitColumns:
    """The rows of one manifest that can be read as cuts.

    Attributes:
        name: of the split: the manifest's, without its endings.
        manifest: the file.
        num_lines: all that are not blank.
        numbers: the line of each row.
        ids: a fingerprint of each id.
        pairs: of both texts.
        spans: the piece of a recording that each is of.
        durations_s: of each row.
        has_error: whether the row has one.
        is_sound: whether its sound was decoded, and nothing found.
        sides: by :data:`SIDES`.
        speakers: fingerprints of their names.
        rates: rows by sampling rate in Hz, as the manifest says.
    """

    def __init__(self, manifest: Path) -> None:
        self.name = split_name(manifest)
        self.manifest = manifest
        self.num_lines = 0
        self.numbers = array("Q")
        self.ids = array("Q")
        self.pairs = array("Q")
        self.spans = Spans()
        self.durations_s = array("d")
        self.has_error = array("B")
        self.is_sound = array("B")
        self.sides = {side: SideColumns() for side in SIDES}
        self.speakers: set[int] = set()
        self.rates: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, row: Row) -> None:
        """Takes in the next row, if it is a cut."""
        self.num_lines += 1
        if row.cut is None:
            return
        transcript, translation = row.texts
        self.numbers.append(row.number)
        self.ids.append(id_fingerprint(row.cut.id))
        self.pairs.append(fingerprint(transcript, translation))
        self.spans.add(span_of(row.cut))
        self.durations_s.append(max(row.cut.duration, 0.0))
        self.has_error.append(not row.is_usable)
        self.is_sound.append(row.is_sound)
        self.sides["transcript"].add(transcript)
        self.sides["translation"].add(translation)
        speaker = row.cut.supervisions[0].speaker
        if isinstance(speaker, str) and speaker:
            self.speakers.add(id_fingerprint(speaker))
        if row.cut.recording is not None:
            self.rates[row.cut.recording.sampling_rate] += 1

    def was_sound(self, row: Row) -> bool:
        """Whether a row that is read anew was sound when it was taken in."""
        index = bisect_left(self.numbers, row.number)
        return (
            index < len(self) and self.numbers[index] == row.number and bool(self.is_sound[index])
        )

    def chars_per_second(self, side: str) -> Numbers:
        """Of each row; NaN where there is no text or no duration."""
        num_chars = np.asarray(self.sides[side].num_chars, np.float64)
        durations_s = np.asarray(self.durations_s)
        rates = np.full(len(durations_s), np.nan)
        np.divide(num_chars, durations_s, out=rates, where=(num_chars > 0) & (durations_s > 0))
        return rates


def id_fingerprint(name: str) -> int:
    """64 bits of a name, in which case and blanks count."""
    return int.from_bytes(
        blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )
