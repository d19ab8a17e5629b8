"""Kinds of problems, and a log that counts all of them and remembers the first of each kind."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import IO, Literal

Severity = Literal["error", "warning"]
"""Training refuses what has an error; a warning asks for a look."""

NUM_EXAMPLES = 5
_LONGEST_FOUND = 300


@dataclass(frozen=True)
class Kind:
    """A kind of problem: how bad it is, what it means, and what `--fix` does about it."""

    severity: Severity
    meaning: str
    fix: str = "left out"


KINDS: dict[str, Kind] = {
    "damaged file": Kind("error", "it cannot be read to its end", "read so far"),
    "no utterances": Kind("error", "a manifest without a usable line", "not written"),
    "not UTF-8": Kind("error", "a line in another encoding, or longer than any sentence"),
    "not JSON": Kind("error", "a line that is no JSON value"),
    "not a cut": Kind("error", "a line that is no lhotse cut of one supervision"),
    "duplicate id": Kind("error", "an id that an earlier line has", "the first one stays"),
    "no translation": Kind("error", "an utterance without target text"),
    "empty transcript": Kind("error", "source text of blanks only", "set to none"),
    "no recording": Kind("error", "a cut without its recording, or of a channel it lacks"),
    "segment outside recording": Kind(
        "error", "times that are not within the recording", "clipped, if little is missing"
    ),
    "audio not in a file": Kind("error", "a command or a URL, which is not run or fetched"),
    "missing audio": Kind("error", "no file at the path that the manifest names"),
    "unreadable audio": Kind("error", "a file that cannot be decoded"),
    "truncated audio": Kind(
        "error", "less sound than the manifest says", "clipped, if little is missing"
    ),
    "non-finite samples": Kind("error", "NaN, infinite or absurdly large samples"),
    "too short": Kind("error", "less sound than one frame of 25 ms"),
    "no reference": Kind("warning", "a test utterance without target text to score", "stays"),
    "id in two splits": Kind("warning", "the same id in another manifest", "stays"),
    "sentence in two splits": Kind(
        "warning", "both texts also in a split held out from this one", "left out of train"
    ),
    "recording in two splits": Kind(
        "warning", "its sound also in a split held out from this one", "left out of train"
    ),
    "mixed channels": Kind(
        "warning", "the mean of several channels, of which another row has most, too", "stays"
    ),
    "held-out text pair": Kind(
        "warning", "a pair without speech whose two texts stand in a held-out split"
    ),
    "transcript in two splits": Kind(
        "warning", "also in a split before this one, with another translation or none", "stays"
    ),
    "translation in two splits": Kind(
        "warning", "also in a split before this one, with another transcript or none", "stays"
    ),
    "characters per second": Kind("warning", "text far too long or short for its sound", "stays"),
    "wrong script": Kind("warning", "text in another script than the corpus's", "stays"),
    "long utterance": Kind("warning", "more sound than most models take", "stays"),
    "short utterance": Kind("warning", "less sound than a syllable", "stays"),
    "no end of stream": Kind(
        "warning", "an Ogg file without the mark of its end: cut short, or never closed", "stays"
    ),
    "clipping": Kind("warning", "sound that was recorded too loud", "stays"),
    "silence": Kind("warning", "sound without speech", "stays"),
    "constant offset": Kind("warning", "sound that does not swing around zero", "stays"),
}
"""In the order in which they are shown: errors first, from the file down to the sample."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: a key of :data:`KINDS`.
        place: ``FILE:LINE``, or the file.
        found: what stands there, or was measured.
        id: of the utterance, where it is known.
    """

    kind: str
    place: str
    found: str
    id: str | None = None

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind
        object.__setattr__(self, "found", printable(self.found))

    @property
    def severity(self) -> Severity:
        """Whether training refuses it."""
        return KINDS[self.kind].severity


@dataclass
class ProblemLog:
    """Counts problems, keeps the first ones of each kind, and writes all to a file if there is one.

    Attributes:
        file: an open text file, which gets a JSON object per line.
        counts: problems of each kind.
        examples: the first of each kind.
    """

    file: IO[str] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Problem]] = field(default_factory=dict)

    def add(self, problem: Problem) -> None:
        """Takes note of one."""
        self.counts[problem.kind] += 1
        examples = self.examples.setdefault(problem.kind, [])
        if len(examples) < NUM_EXAMPLES:
            examples.append(problem)
        if self.file is not None:
            row = {"severity": problem.severity, **asdict(problem)}
            self.file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def total(self, severity: Severity) -> int:
        """All problems of one severity."""
        return sum(count for kind, count in self.counts.items() if KINDS[kind].severity == severity)


def printable(text: str, longest: int = _LONGEST_FOUND) -> str:
    """A text of one line that any terminal can show; what is too long ends in an ellipsis."""
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(character if character.isprintable() else "�" for character in text)
