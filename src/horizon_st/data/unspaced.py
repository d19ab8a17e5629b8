"""Writing without spaces between words: how many words there are, and which writing it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

Writing = Literal["chinese", "japanese", "southeast_asian"]

SOUTHEAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Burmese and Khmer, as ranges of a regular expression's class."""


class _Script(NamedTuple):
    """Characters, and about how many of them make a word."""

    characters: re.Pattern[str]
    per_word: float


_HAN = _Script(re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"), 1.5)
_KANA = _Script(re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f]"), 3)
_SOUTHEAST_ASIAN = _Script(re.compile(f"[{SOUTHEAST_ASIAN}]"), 5)
"""Vowel signs and tones count as characters."""
_SCRIPTS = (_HAN, _KANA, _SOUTHEAST_ASIAN)
_LEAST_KANA = 0.05
"""Share of kana among the characters from which on a text is Japanese; it is usually half."""


def count_words(text: str) -> int:
    """The words of a text; an estimate where no spaces part them."""
    if text.isascii():
        return len(text.split())
    num_unspaced = {script: len(script.characters.findall(text)) for script in _SCRIPTS}
    if not any(num_unspaced.values()):
        return len(text.split())
    for script in _SCRIPTS:
        text = script.characters.sub(" ", text)
    words = [word for word in text.split() if any(map(str.isalnum, word))]
    estimated = sum(number / script.per_word for script, number in num_unspaced.items())
    return len(words) + max(1, round(estimated))


def unspaced_writing(texts: Iterable[str]) -> Writing | None:
    """The writing of most characters of the texts; None where it has spaces between words."""
    text = "".join(texts)
    han, kana, others = (len(script.characters.findall(text)) for script in _SCRIPTS)
    if 2 * (han + kana + others) <= sum(map(str.isalpha, text)):
        return None
    if others > han + kana:
        return "southeast_asian"
    return "japanese" if kana > _LEAST_KANA * (han + kana) else "chinese"
