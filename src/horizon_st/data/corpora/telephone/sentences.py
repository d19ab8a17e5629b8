"""Announcements -> sentence pairs, and the splits of a corpus, which share no sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from horizon_st.data.corpora.telephone.announcements import Announcement
from horizon_st.data.corpora.telephone.drawing import draw_utterance
from horizon_st.data.corpora.telephone.french import French
from horizon_st.data.corpora.telephone.german import German
from horizon_st.data.corpora.telephone.italian import Italian
from horizon_st.data.corpora.telephone.recordings import Recordings
from horizon_st.data.corpora.telephone.spanish import Spanish
from horizon_st.data.corpora.telephone.translator import Translator
from horizon_st.errors import UserError

TRANSLATORS: dict[str, type[Translator]] = {
    translator.language: translator for translator in (Spanish, French, Italian, German)
}


@dataclass(frozen=True)
class SentencePair:
    """What is played, what is heard and what it means.

    Attributes:
        clauses: recording names, one group per announcement.
        transcript: the English words heard, lower case without punctuation.
        translation: the target sentences, numbers in words.
    """

    clauses: tuple[tuple[str, ...], ...]
    transcript: str
    translation: str


def translator_for(target: str) -> Translator:
    """Returns the translator into a language; UserError for one that there is none for."""
    if target not in TRANSLATORS:
        raise UserError(
            "target",
            expected=f"one of {', '.join(TRANSLATORS)}",
            found=target,
            remedy="Choose a language that the telephone corpus is translated into.",
        )
    return TRANSLATORS[target]()


def sentence_pair(
    announcements: tuple[Announcement, ...], recordings: Recordings, translator: Translator
) -> SentencePair:
    """Returns what these announcements, played in one go, sound like and mean."""
    clauses = tuple(tuple(said.recordings()) for said in announcements)
    return SentencePair(
        clauses=clauses,
        transcript=" ".join(recordings.transcript(names) for names in clauses),
        translation=" ".join(translator.translate(said) for said in announcements),
    )


def draw_splits(
    sizes: dict[str, int], *, target: str, seed: int, recordings: Recordings
) -> dict[str, list[SentencePair]]:
    """Returns that many sentence pairs per split, no sentence of either language in two places.

    Every split draws from a stream of its own and later ones leave out what earlier ones have: a
    split depends on the seed, its own size and the sizes of the splits before it only.
    """
    translator = translator_for(target)
    taken: set[str] = set()
    splits: dict[str, list[SentencePair]] = {}
    for split, size in sizes.items():
        stream = _stream(Random(f"{seed}/{split}"), recordings, translator)
        splits[split] = []
        while len(splits[split]) < size:
            pair = next(stream)
            if pair.transcript not in taken and pair.translation not in taken:
                taken |= {pair.transcript, pair.translation}
                splits[split].append(pair)
    return splits


def _stream(rng: Random, recordings: Recordings, translator: Translator) -> Iterator[SentencePair]:
    while True:
        yield sentence_pair(draw_utterance(rng), recordings, translator)
