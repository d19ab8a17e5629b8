"""Transcripts letter by letter."""

import torch

from horizon_st.data.spelling import BLANK, Speller, characters_of, num_character_units

TRANSCRIPTS = ["ngá  ídzwe", "bá\u0301a", "ngá ﬁ"]


def test_the_characters_are_those_of_the_normalised_transcripts():
    assert characters_of(TRANSCRIPTS) == " abdefginwzáí\u0301"
    assert characters_of([]) == ""


def test_spelling_and_reading_back():
    characters = characters_of(TRANSCRIPTS)
    speller = Speller(characters)
    ids = speller(TRANSCRIPTS)
    assert ids.shape == (3, 10)
    assert [speller.text(row.tolist()) for row in ids] == ["ngá ídzwe", "bá\u0301a", "ngá fi"]
    for row, length in zip(ids, (10, 5, 7), strict=True):
        assert row[length - 1] == 1, "the end"
        assert (row[:length] != BLANK).all()
        assert (row[length:] == BLANK).all()
    assert ids.max() < num_character_units(characters) == len(characters) + 2


def test_unknown_characters_and_missing_transcripts():
    ids = Speller("ab")(["a?b", None, "?"])
    assert ids.tolist() == [[2, 3, 1], [0, 0, 0], [1, 0, 0]]
    assert torch.equal(Speller("ab")([None, None]), torch.zeros(2, 1, dtype=torch.int64))
