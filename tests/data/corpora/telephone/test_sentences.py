"""Random announcements: sayable, translatable, many, and never shared between splits."""

from dataclasses import replace
from random import Random

import pytest

from horizon_st.data.corpora.telephone import sentences
from horizon_st.data.corpora.telephone.announcements import ExactTime
from horizon_st.data.corpora.telephone.drawing import draw_utterance
from horizon_st.data.corpora.telephone.prompts import PROMPTS
from horizon_st.data.corpora.telephone.recordings import Recordings
from horizon_st.data.corpora.telephone.sentences import (
    TRANSLATORS,
    draw_splits,
    sentence_pair,
    translator_for,
)
from horizon_st.data.corpora.telephone.values import TimeOfDay
from horizon_st.errors import UserError

SIZES = {"test": 60, "dev": 20, "train": 40, "text_pairs": 600}


@pytest.fixture(scope="module")
def recordings():
    return Recordings()


@pytest.mark.parametrize("target", sorted(TRANSLATORS))
def test_every_recording_exists_and_every_sentence_is_well_formed(target, recordings):
    rng = Random(target)
    translator = translator_for(target)
    names = set(recordings.names())
    for _ in range(3000):
        pair = sentence_pair(draw_utterance(rng), recordings, translator)
        assert {name for clause in pair.clauses for name in clause} <= names
        said = [recordings[name].spoken for clause in pair.clauses for name in clause]
        assert pair.transcript == " ".join(said)
        assert pair.translation[0].isupper()
        assert pair.translation.endswith(".")
        assert not any(character.isdigit() for character in pair.translation)
        for mistake in ("  ", " .", "..", ",.", " ,", ",,"):
            assert mistake not in pair.translation


def test_there_are_more_than_twenty_thousand_sentences(recordings):
    rng = Random(0)
    translator = translator_for("es")
    different = {
        sentence_pair(draw_utterance(rng), recordings, translator).translation
        for _ in range(30_000)
    }
    assert len(different) > 20_000


def test_fixed_prompts_are_translated_into_every_language():
    assert all(set(row) == set(TRANSLATORS) for row in PROMPTS.values())


def test_splits_share_no_sentence_of_either_language(recordings):
    splits = draw_splits(SIZES, target="fr", seed=3, recordings=recordings)
    assert {split: len(pairs) for split, pairs in splits.items()} == SIZES
    pairs = [pair for split in splits.values() for pair in split]
    assert len({pair.transcript for pair in pairs}) == len(pairs)
    assert len({pair.translation for pair in pairs}) == len(pairs)


def test_sentences_that_share_only_their_translation_are_kept_apart(recordings, monkeypatch):
    def coarse_pair(*arguments):
        pair = sentence_pair(*arguments)
        return replace(pair, translation=pair.translation[:9])

    monkeypatch.setattr(sentences, "sentence_pair", coarse_pair)
    splits = draw_splits({"test": 10, "train": 10}, target="es", seed=0, recordings=recordings)
    pairs = splits["test"] + splits["train"]
    assert len({pair.translation for pair in pairs}) == 20


def test_most_test_sentences_have_a_clause_unseen_in_training(recordings):
    splits = draw_splits(SIZES | {"text_pairs": 4000}, target="es", seed=0, recordings=recordings)
    seen = {
        clause
        for split in ("train", "text_pairs")
        for pair in splits[split]
        for clause in pair.clauses
    }
    unseen = [any(clause not in seen for clause in pair.clauses) for pair in splits["test"]]
    assert sum(unseen) > 0.7 * len(unseen)


def test_test_set_is_the_same_for_every_size_of_the_training_set(recordings):
    small = draw_splits(SIZES, target="it", seed=1, recordings=recordings)
    large = draw_splits(SIZES | {"train": 200}, target="it", seed=1, recordings=recordings)
    assert large["test"] == small["test"]
    assert large["train"][:40] == small["train"]


def test_seeds_differ_and_repeat(recordings):
    first, again, other = (
        draw_splits(SIZES, target="de", seed=seed, recordings=recordings) for seed in (0, 0, 1)
    )
    assert first == again
    assert not {pair.transcript for pair in first["test"]} & {
        pair.transcript for pair in other["test"][:3]
    }


def test_sentences_are_the_same_on_every_python(recordings):
    # Guards the seeded stream: change it together with GRAMMAR_VERSION.
    splits = draw_splits({"test": 3}, target="es", seed=0, recordings=recordings)
    assert [pair.transcript for pair in splits["test"]] == [
        "the person at extension zero six two is unavailable please try again monday october "
        "fifteenth at twelve thirty p m to leave a message please enter a mailbox number",
        "at the sound of the tone the time will be exactly two thirty p m please check the number "
        "and dial again",
        "you have thirty nine old messages from telephone number five five two four four five "
        "three",
    ]


def test_unknown_language_is_refused():
    with pytest.raises(UserError, match="target: expected one of es, fr, it, de, found pt"):
        translator_for("pt")


@pytest.mark.parametrize("language", ["es", "fr", "it", "de"])
def test_seconds_are_not_heard_as_minutes_up_to_the_last_word(language):
    translator = translator_for(language)
    for number in range(2, 60):
        seconds = translator.translate(ExactTime(TimeOfDay(14, 0), seconds=number))
        minutes = translator.translate(ExactTime(TimeOfDay(14, number)))
        assert seconds.rsplit(" ", 1)[0] != minutes.rstrip(".")
