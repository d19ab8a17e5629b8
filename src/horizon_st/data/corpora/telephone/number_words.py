"""Numbers in words for the four target languages: num2words plus agreement, slips mended."""

from __future__ import annotations

from functools import cache
from typing import Literal, Protocol

from num2words import num2words

Form = Literal["bare", "masculine", "feminine"]


class NumberWords(Protocol):
    """A language's numbers in words."""

    def __call__(self, value: int, form: Form = "bare") -> str:
        """Returns a number from 0 to 999 999, alone or as it stands before a noun."""


@cache
def _words(value: int, language: str) -> str:
    assert 0 <= value < 1_000_000, value
    return str(num2words(value, lang=language))


def spanish(value: int, form: Form = "bare") -> str:
    """Returns "veintiuno"; before a noun "veintiún" or "veintiuna" (Ortografía RAE, numerals)."""
    words = (
        _words(value, "es").replace("veintiuno mil", "veintiún mil").replace("uno mil", "un mil")
    )
    if form == "masculine":
        if words.endswith("veintiuno"):
            return words.removesuffix("uno") + "ún"
        return words.removesuffix("o") if words.endswith("uno") else words
    if form == "feminine":
        # The hundreds before "mil" would agree too; no feminine count here reaches a thousand.
        assert value < 1000, value
        words = words.replace("cientos", "cientas").replace("quinientos", "quinientas")
        return words.removesuffix("o") + "a" if words.endswith("uno") else words
    return words


def french(value: int, form: Form = "bare") -> str:
    """Returns "quatre-vingt" where it numbers ("numéro"), "quatre-vingts" where it counts a noun.

    The feminine differs in its final "une". Bare forms keep "vingt" and "cent" without s, as
    numerals that stand for an ordinal do ("page quatre-vingt", "page deux cent").
    """
    words = _words(value, "fr")
    if form == "bare":
        return words.removesuffix("s") if words.endswith(("vingts", "cents")) else words
    if form == "feminine" and value % 10 == 1 and value % 100 not in (11, 71, 91):
        return words + "e"
    return words


def italian(value: int, form: Form = "bare") -> str:
    """Returns "ventuno"; only one itself agrees: "un messaggio", "una persona"."""
    if value == 1 and form != "bare":
        return "un" if form == "masculine" else "una"
    words = _words(value, "it")
    # Every final -tré but that of three itself has the accent; num2words forgets it past 100.
    return words[:-1] + "é" if value > 3 and words.endswith("tre") else words


def german(value: int, form: Form = "bare") -> str:
    """Returns "eins" bare, "ein" before a masculine or neuter noun, "eine" before a feminine."""
    if form == "bare":
        return _words(value, "de")
    assert value == 1 or value % 100 != 1, f"{value} before a noun has no settled form"
    if value == 1:
        return "ein" if form == "masculine" else "eine"
    return _words(value, "de")
