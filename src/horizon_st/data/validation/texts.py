"""Texts -> what is counted of them: letters by script, words, characters, and a fingerprint."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache
from hashlib import blake2b
from zlib import crc32

_ONE_WRITING = {
    "CJK": "Han",
    "HIRAGANA": "Han",
    "KATAKANA": "Han",
    "BOPOMOFO": "Han",
    "IDEOGRAPHIC": "Han",
    "HANGUL": "Hangul",
}
"""Scripts that one text mixes: of Japanese sentences, some are all kanji and some all kana."""

_COMMON = {
    "ANGSTROM",
    "DOUBLE-STRUCK",
    "FEMININE",
    "KELVIN",
    "MASCULINE",
    "MATHEMATICAL",
    "MICRO",
    "MODIFIER",
    "OHM",
    "ROMAN",
    "SCRIPT",
    "SUBSCRIPT",
    "SUPERSCRIPT",
    "TURNED",
}
"""First words in the names of letters that are of no script, or do not name it."""

_MOST_WORDS = 200_000


@lru_cache(maxsize=100_000)
def script_of(letter: str) -> str | None:
    """The script of a letter by its Unicode name, as in "Latin"; None for all other characters.

    Han, kana and bopomofo are one writing, "Han".
    """
    if not unicodedata.category(letter).startswith("L"):
        return None
    name = unicodedata.name(letter, "UNKNOWN")
    first = name.removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ").split(" ", 1)[0]
    return None if first in _COMMON else _ONE_WRITING.get(first, first.capitalize())


def scripts(text: str) -> Counter[str]:
    """Letters by script."""
    return Counter(name for name in map(script_of, text) if name is not None)


def fingerprint(*texts: str | None) -> int:
    """64 bits that are the same for texts that differ only in case and blanks."""
    digest = blake2b(digest_size=8)
    for text in texts:
        normal = unicodedata.normalize("NFC", text or "").casefold()
        digest.update(" ".join(normal.split()).encode() + b"\0")
    return int.from_bytes(digest.digest(), "big")


def words(text: str) -> list[str]:
    """The words of a text in lower case; blanks, punctuation and symbols separate them."""
    return text.lower().translate(_SEPARATORS).split()


class _Separators(dict[int, int | str]):
    """A table for `str.translate` that fills itself."""

    def __missing__(self, code: int) -> int | str:
        is_separator = unicodedata.category(chr(code))[0] in "PSZC"
        self[code] = " " if is_separator else code
        return self[code]


_SEPARATORS = _Separators()


class Vocabulary:
    """Counts words in bounded memory.

    Beyond 200,000 types it keeps those whose hash falls into a half, a quarter, ... of the range,
    and multiplies (adaptive sampling, Flajolet 1990): below that, all figures are exact.

    Attributes:
        counts: of the words that are kept.
        num_tokens: words in all.
    """

    def __init__(self, most_words: int = _MOST_WORDS) -> None:
        self.counts: Counter[str] = Counter()
        self.num_tokens = 0
        self._most_words = most_words
        self._halvings = 0

    def add(self, text: str) -> None:
        """Counts the words of a text."""
        for word in words(text):
            self.num_tokens += 1
            if self._halvings and word not in self.counts and not self._is_kept(word):
                continue
            self.counts[word] += 1
        while len(self.counts) > self._most_words:
            self._halvings += 1
            kept = {word: count for word, count in self.counts.items() if self._is_kept(word)}
            self.counts = Counter(kept)

    @property
    def is_exact(self) -> bool:
        """Whether all words are kept."""
        return self._halvings == 0

    @property
    def num_types(self) -> int:
        """Distinct words, or an estimate of them."""
        return len(self.counts) << self._halvings

    @property
    def num_hapaxes(self) -> int:
        """Words that come once, or an estimate of them."""
        return sum(count == 1 for count in self.counts.values()) << self._halvings

    def share_unknown(self, known: Vocabulary) -> float:
        """The share of the tokens here whose word is not in the other vocabulary."""
        comparable = [(word, count) for word, count in self.counts.items() if known._is_kept(word)]
        total = sum(count for _, count in comparable)
        unknown = sum(count for word, count in comparable if word not in known.counts)
        return unknown / total if total else 0.0

    def _is_kept(self, word: str) -> bool:
        return crc32(word.encode()) % (1 << self._halvings) == 0
