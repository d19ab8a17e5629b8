"""A prepared corpus -> what decides the size of a model for it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from unicodedata import is_normalized

import numpy as np

from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.text import least_pieces, most_pieces, spelt_characters
from horizon_st.data.text_pairs import PAIRS_FILE, TextPairs, find_text_pairs, read_text_pairs
from horizon_st.data.unspaced import count_words, unspaced_writing
from horizon_st.data.validation import check_before_training
from horizon_st.data.validation.manifests import count_lines
from horizon_st.decoding.configuration import Tokenize
from horizon_st.errors import UserError

MOST_PIECES = 10_000
SECONDS_PER_HOUR = 3600
_LONG_QUANTILE = 0.99
_NARROWBAND_RATE = 8000
_NUM_SENTENCES = 20_000
"""Read to find how many pieces the text can fill, which only small corpora need to know."""
_NUM_PAIRS_SPELT = 500_000
"""Pairs without speech whose characters are looked at; the vocabulary is trained on as many."""
_TOKENIZE: dict[str | None, Tokenize] = {
    None: "13a",
    "chinese": "zh",
    "japanese": "char",  # ja-mecab needs dictionaries
    "southeast_asian": "char",
}
"""Writing of the translations -> BLEU's tokeniser."""


@dataclass
class CorpusSize:
    """What decides the size of a model.

    Attributes:
        hours: of training speech.
        long_s: the duration that one training utterance in a hundred exceeds.
        longest_s: of the longest training utterance.
        narrowband_share: of the hours, from recordings at 8 kHz or less, as telephones have.
        num_utterances: of the training part.
        num_transcribed: those with a transcript.
        transcribed_hours: of their speech.
        dev_is_transcribed: whether some dev utterance has a transcript.
        characters_per_s: of the transcripts.
        num_words: running words of transcripts and translations; an estimate where no spaces part
            them.
        least_pieces: of a vocabulary that spells the text.
        most_pieces: of a vocabulary that the text can fill, up to 10,000.
        tokenize: BLEU's tokeniser for the translations.
        num_text_pairs: without speech.
        pairs_file: the name of their file.
    """

    hours: float
    long_s: float
    longest_s: float
    narrowband_share: float
    num_utterances: int
    num_transcribed: int
    transcribed_hours: float
    dev_is_transcribed: bool
    characters_per_s: float
    num_words: int
    least_pieces: int
    most_pieces: int
    tokenize: Tokenize
    num_text_pairs: int
    pairs_file: str = PAIRS_FILE


class _Texts:
    """What is counted of texts as they pass."""

    def __init__(self) -> None:
        self.num_words = 0
        self._characters: set[str] = set()
        self._first: list[str] = []
        self._first_translations: list[str] = []

    def add(self, transcript: str | None, translation: str) -> None:
        """Counts the texts of an utterance."""
        texts = [text for text in (transcript, translation) if text is not None]
        self.num_words += sum(map(count_words, texts))
        self._spell(texts)
        if len(self._first_translations) < _NUM_SENTENCES:
            self._first += texts
            self._first_translations.append(translation)

    def add_pairs(self, pairs: TextPairs) -> None:
        """Heeds the pieces and characters of pairs without speech, but not their words."""
        self._first += [text for pair in pairs.sample(_NUM_SENTENCES) for text in pair]
        for pair in pairs.sample(_NUM_PAIRS_SPELT):
            self._spell(pair)

    def _spell(self, texts: Iterable[str]) -> None:
        for text in texts:
            # Of what is composed of known characters normalising, which is slow, makes no others.
            is_known = self._characters.issuperset(text) and is_normalized("NFC", text)
            if not is_known:
                self._characters |= spelt_characters([text])

    def num_pieces(self) -> tuple[int, int]:
        """The sizes of the smallest and of the largest vocabulary that is useful."""
        least = least_pieces(self._characters)
        return least, max(least, most_pieces(self._first, max(least, MOST_PIECES)))

    def tokenize(self) -> Tokenize:
        """BLEU's tokeniser for the translations."""
        return _TOKENIZE[unspaced_writing(self._first_translations)]


def measure_corpus(
    folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> CorpusSize:
    """The size of the corpus that `prepare` wrote into a folder.

    Args:
        folder: with ``train.jsonl``, ``dev.jsonl`` and, if any, ``text_pairs.arrow`` or
            ``text_pairs.jsonl``.
        progress: called with the training utterances read so far, and all of them.

    Raises:
        UserError: there is no ``train.jsonl`` or no ``dev.jsonl``, or training would refuse one.
    """
    for name in ("train.jsonl", "dev.jsonl"):
        if not (folder / name).is_file():
            raise UserError(
                str(folder / name),
                expected="the manifests train.jsonl and dev.jsonl",
                found="no such file",
                remedy="Make them with `horizon-st prepare` (for a table without a dev split, with "
                "--dev-share), or name the folder that holds them.",
            )
    num_lines = count_lines(folder / "train.jsonl")
    if progress is not None:
        progress(0, num_lines)  # the checks take as long as a part of the reading
    for name in ("train.jsonl", "dev.jsonl"):
        check_before_training(folder / name)
    durations = array("d")
    texts = _Texts()
    num_transcribed = num_characters = 0
    transcribed_s = narrowband_s = 0.0
    for cut in read_manifest(folder / "train.jsonl"):
        durations.append(cut.duration)
        if cut.recording.sampling_rate <= _NARROWBAND_RATE:
            narrowband_s += cut.duration
        transcript = transcript_of(cut)
        texts.add(transcript, translation_of(cut))
        if transcript is not None:
            num_transcribed += 1
            num_characters += len(transcript)
            transcribed_s += cut.duration
        if progress is not None:
            progress(len(durations), num_lines)
    num_pairs = 0
    pairs_path = find_text_pairs(folder)
    if pairs_path is not None:
        pairs = read_text_pairs(pairs_path)
        num_pairs = len(pairs)
        texts.add_pairs(pairs)
    least, most = texts.num_pieces()
    return CorpusSize(
        hours=sum(durations) / SECONDS_PER_HOUR,
        long_s=float(np.quantile(durations, _LONG_QUANTILE)),
        longest_s=max(durations),
        narrowband_share=narrowband_s / sum(durations),
        num_utterances=len(durations),
        num_transcribed=num_transcribed,
        transcribed_hours=transcribed_s / SECONDS_PER_HOUR,
        dev_is_transcribed=any(map(transcript_of, read_manifest(folder / "dev.jsonl"))),
        characters_per_s=num_characters / transcribed_s if transcribed_s else 0.0,
        num_words=texts.num_words,
        least_pieces=least,
        most_pieces=most,
        tokenize=texts.tokenize(),
        num_text_pairs=num_pairs,
        pairs_file=PAIRS_FILE if pairs_path is None else pairs_path.name,
    )
