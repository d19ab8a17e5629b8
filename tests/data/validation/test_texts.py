"""Scripts, words and fingerprints of texts, against other implementations."""

import sys
import unicodedata
from collections import Counter

import pytest
import regex

from horizon_st.data.validation.texts import Vocabulary, fingerprint, script_of, scripts, words

LIVING = [
    "Latin", "Greek", "Cyrillic", "Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil", "Thai",
    "Georgian", "Armenian", "Ethiopic", "Khmer", "Lao", "Tibetan", "Hangul", "Myanmar", "Sinhala",
]  # fmt: skip


LETTERS = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)).startswith("L")
]


@pytest.mark.parametrize("name", LIVING)
def test_letters_have_the_script_that_unicode_says(name):
    ours = {letter for letter in LETTERS if script_of(letter) == name}
    theirs = set(regex.findall(rf"\p{{Script={name}}}", "".join(LETTERS)))
    # Names do not tell of modifiers, nor of a few signs for phonetics, mathematics, old texts.
    assert not {letter for letter in ours - theirs if unicodedata.category(letter) != "Lm"}
    missed = {letter for letter in theirs - ours if unicodedata.category(letter) != "Lm"}
    assert len(missed) < 0.02 * len(theirs)
    assert {script_of(letter) for letter in theirs} <= {name, None}


def test_a_text_is_counted_by_script_without_marks_and_digits():
    assert scripts("ωpεpε mώωkωω, 12 ʼ!") == Counter({"Greek": 7, "Latin": 4})
    assert scripts("漢字かなカナ") == Counter({"Han": 6})
    assert scripts("123 … ― ª µ") == Counter()


def test_words_are_lower_case_runs_between_blanks_and_punctuation():
    assert words("L'homme, dit-il: «Où?»\u2028été\u00a0!") == [
        "l", "homme", "dit", "il", "où", "été",
    ]  # fmt: skip
    assert words("e\u0301te\u0301 नमस्ते") == ["e\u0301te\u0301", "नमस्ते"]


def test_fingerprints_see_through_case_blanks_and_composition_only():
    assert fingerprint("Été  là ", "b") == fingerprint("e\u0301té là", "B")
    assert fingerprint("a", "b") != fingerprint("b", "a")
    assert fingerprint("a", None) == fingerprint("a", " ")
    assert fingerprint("ab", "") != fingerprint("a", "b")
    assert fingerprint("là", "b") != fingerprint("la", "b")


def test_a_small_vocabulary_is_exact():
    texts = ["the sea the sky", "the SEA, a boat"]
    vocabulary = Vocabulary()
    for text in texts:
        vocabulary.add(text)
    assert vocabulary.counts == Counter(the=3, sea=2, sky=1, a=1, boat=1)
    assert (vocabulary.num_tokens, vocabulary.num_types, vocabulary.num_hapaxes) == (8, 5, 3)
    assert vocabulary.is_exact


def test_a_large_vocabulary_is_estimated_in_bounded_memory():
    vocabulary, other = Vocabulary(most_words=1000), Vocabulary(most_words=1000)
    for number in range(20_000):
        vocabulary.add(f"w{number} " * (1 + number % 2))
        other.add(f"w{number + 10_000}")
    assert len(vocabulary.counts) <= 1000
    assert not vocabulary.is_exact
    assert vocabulary.num_tokens == 30_000
    assert vocabulary.num_types == pytest.approx(20_000, rel=0.15)
    assert vocabulary.num_hapaxes == pytest.approx(10_000, rel=0.2)
    assert other.share_unknown(vocabulary) == pytest.approx(0.5, abs=0.08)


def test_unknown_words_are_a_share_of_the_tokens():
    train, dev = Vocabulary(), Vocabulary()
    train.add("the sea the sky")
    dev.add("the the sea boat")
    assert dev.share_unknown(train) == 1 / 4
    assert Vocabulary().share_unknown(train) == 0
