"""Transcripts letter by letter."""

import torch

from horizon_st.data.characters import (
    BLANK,
    UNKNOWN,
    CharacterTokenizer,
    characters_of,
    num_character_units,
)

TRANSCRIPTS = ["ngá  ídzwe", "bá\u0301a", "ngá ﬁ"]


def test_the_characters_are_those_of_the_normalised_transcripts():
    assert characters_of(TRANSCRIPTS) == " abdefginwzáí\u0301"
    assert characters_of([]) == ""


def test_each_character_has_its_id():
    characters = characters_of(TRANSCRIPTS)
    ids = CharacterTokenizer(characters)(TRANSCRIPTS)
    assert ids.shape == (3, 10)
    texts = ["".join(characters[i - 2] for i in row if i > 1) for row in ids.tolist()]
    assert texts == ["ngá ídzwe", "bá\u0301a", "ngá fi"]
    for row, length in zip(ids, (10, 5, 7), strict=True):
        assert row[length - 1] == 1, "the end"
        assert (row[:length] != BLANK).all()
        assert (row[length:] == BLANK).all()
    assert ids.max() < num_character_units(characters) == len(characters) + 2


def test_unknown_characters_and_missing_transcripts():
    ids = CharacterTokenizer("ab")(["a?b", None, "?"])
    assert ids.tolist() == [[2, 3, 1], [0, 0, 0], [1, 0, 0]]
    assert CharacterTokenizer("ab").encode("a?b ") == [2, UNKNOWN, 3]
    assert torch.equal(CharacterTokenizer("ab")([None, None]), torch.zeros(2, 1, dtype=torch.int64))
