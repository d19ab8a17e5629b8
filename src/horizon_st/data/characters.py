"""Transcripts letter by letter, for CTC on characters.

Legend: B utterances, U characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

BLANK, _END = 0, 1
"""Ids of what stands for nothing and pads, and of the end; characters follow."""
UNKNOWN = -1
_FIRST = 2


def num_character_units(characters: str) -> int:
    """How many ids there are."""
    return _FIRST + len(characters)


def characters_of(transcripts: Iterable[str]) -> str:
    """All characters that occur, in the order of their code points."""
    return "".join(sorted({char for text in transcripts for char in _normalized(text)}))


class CharacterTokenizer:
    """Transcripts to ids of their characters; characters that it does not know are left out.

    Args:
        characters: without repetition; the id of a character is 2 more than its place.
    """

    def __init__(self, characters: str) -> None:
        self._ids = {char: _FIRST + i for i, char in enumerate(characters)}

    def __call__(self, transcripts: Sequence[str | None]) -> Int[Tensor, "B U"]:
        """Ids that end in 1 and are padded with 0; of a missing transcript all are 0."""
        rows = [torch.tensor([BLANK] if t is None else self._target(t)) for t in transcripts]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=BLANK)

    def encode(self, transcript: str) -> list[int]:
        """Ids without the end, -1 for a character that is not known."""
        return [self._ids.get(char, UNKNOWN) for char in _normalized(transcript)]

    def _target(self, transcript: str) -> list[int]:
        return [*(i for i in self.encode(transcript) if i != UNKNOWN), _END]


def _normalized(text: str) -> str:
    """Compatible characters as one (NFKC), and single spaces: nobody hears the difference.

    Texts that are read, as translations are, keep it.
    """
    return " ".join(unicodedata.normalize("NFKC", text).split())
