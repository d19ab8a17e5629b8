"""The shipped recordings: what is said in each, and its samples."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

SPEAKER = "allison-smith"
LICENCE = "CC BY-SA 3.0, https://creativecommons.org/licenses/by-sa/3.0/"
CREDITS = (
    "Asterisk core sounds 1.6.1. English recorded by Allison Smith (theivrvoice.com). "
    "French translated by Clod Patry, Kristopher Lalletti and June Wallack; Italian translated by "
    "Silvia Petrin for Carlo Flora (CC BY 3.0). Financial contributions by Digium, Unlimitel and "
    "BGM Informatique. Recordings trimmed, re-encoded, joined and varied by Horizon-ST."
)

_FOLDER = files(__package__) / "recordings"


@dataclass(frozen=True)
class Recording:
    """One prompt.

    Attributes:
        name: as Asterisk calls it, ``digits/7`` or ``vm-youhave``.
        start_samples: where it starts in the common audio file.
        num_samples: its length, silence at both ends already cut.
        spoken: the words as heard, lower case without punctuation; None where the official text
            has figures that leave open how they are read.
        texts: official text per language; ``en`` always, ``es``, ``fr`` and ``it`` mostly.
    """

    name: str
    start_samples: int
    num_samples: int
    spoken: str | None
    texts: dict[str, str]


class Recordings:
    """All shipped recordings; their audio is decoded once per process, on first use (45 MB)."""

    def __init__(self) -> None:
        self._index_bytes = (_FOLDER / "index.json").read_bytes()
        index: dict[str, Any] = json.loads(self._index_bytes)
        self.sample_rate: int = index["sample_rate"]
        self._num_samples: int = index["num_samples"]
        self._by_name = {
            entry["name"]: Recording(
                name=entry["name"],
                start_samples=entry["start_samples"],
                num_samples=entry["num_samples"],
                spoken=entry["spoken"],
                texts=entry["texts"],
            )
            for entry in index["recordings"]
        }

    def __getitem__(self, name: str) -> Recording:
        """Returns the recording of that name; KeyError if there is none."""
        return self._by_name[name]

    def names(self) -> tuple[str, ...]:
        """Returns all names in the order of the audio file."""
        return tuple(self._by_name)

    @property
    def samples(self) -> Float[np.ndarray, " N"]:
        """The whole audio file, float32 in [-1, 1] at ``sample_rate``; read-only."""
        samples, sample_rate = _decode()
        assert (sample_rate, len(samples)) == (self.sample_rate, self._num_samples)
        return samples

    def audio(self, name: str) -> Float[np.ndarray, " N"]:
        """Returns the samples of one recording, float32; read-only."""
        recording = self[name]
        end = recording.start_samples + recording.num_samples
        return self.samples[recording.start_samples : end]

    def transcript(self, names: tuple[str, ...]) -> str:
        """Returns the words heard when these recordings follow one another."""
        words = [self[name].spoken for name in names]
        assert None not in words, names
        return " ".join(word for word in words if word)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of index and audio file, in hexadecimal."""
        digest = hashlib.sha256(self._index_bytes)
        digest.update((_FOLDER / "recordings.opus").read_bytes())
        return digest.hexdigest()


@cache
def _decode() -> tuple[Float[np.ndarray, " N"], int]:
    with (_FOLDER / "recordings.opus").open("rb") as file:
        samples, sample_rate = soundfile.read(file, dtype="float32")
    samples.flags.writeable = False
    return samples, sample_rate
