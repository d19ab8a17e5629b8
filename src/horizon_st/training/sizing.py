"""A corpus -> a commented recipe of its size, so that nobody begins with an empty file.

The sizes are starting points: small models and few pieces for a few hours of speech, the published
size for hundreds.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.text import most_pieces
from horizon_st.data.text_pairs import TextPairs
from horizon_st.errors import UserError
from horizon_st.recipes import FOLDER

PAIRS_FILE = "text_pairs.arrow"
_TEMPLATE = FOLDER / "sized.template"
_SECONDS_PER_HOUR = 3600
_LONG_QUANTILE = 0.99
_SLOWEST = 0.9
"""Of the speeds in the template: it makes utterances so much longer."""
_LONGEST_PER_BATCH = 4
"""A batch holds at least so many of the utterances that only one in a hundred exceeds."""
_LEAST_TRANSCRIBED = 0.1
"""Share of utterances with a transcript from which on the text terms are worth their pass."""
_STATES_PER_CHARACTER = 1.5
"""CTC needs a state for every character and one between equal ones, and learns faster with room."""
_STATES_PER_S = 25
"""Of the speech encoder."""
_CTC_LINES = """  ctc:
    position: speech_encoder
    unit: {unit}	# {characters_per_s:.0f} characters a second
"""
_WORDS_PER_PIECE = 80
"""Running words of text that a piece of the vocabulary should have been seen in."""
_MOST_PIECES = 10_000
_NUM_SENTENCES = 20_000
"""Read to find how many pieces the text can fill, which only small corpora need to know."""
_COMMENT_COLUMN = 29


@dataclass
class CorpusSize:
    """What decides the size of a model.

    Attributes:
        hours: of training speech.
        long_s: the duration that one training utterance in a hundred exceeds.
        longest_s: of the longest training utterance.
        num_utterances: of the training part.
        num_transcribed: those with a transcript.
        transcribed_hours: of their speech.
        dev_is_transcribed: whether some dev utterance has a transcript.
        characters_per_s: of the transcripts.
        num_words: running words of transcripts and translations.
        most_pieces: of a vocabulary that the text can fill, up to 10,000.
        num_text_pairs: without speech.
    """

    hours: float
    long_s: float
    longest_s: float
    num_utterances: int
    num_transcribed: int
    transcribed_hours: float
    dev_is_transcribed: bool
    characters_per_s: float
    num_words: int
    most_pieces: int
    num_text_pairs: int


class _Shape(NamedTuple):
    """A model and its training for corpora of less than so many hours."""

    hours: float
    d_model: int
    num_heads: int
    speech_layers: int
    encoder_layers: int
    decoder_layers: int
    dropout: float
    learning_rate: float
    max_batch_s: int
    accumulation: int
    epochs: int


_SHAPES = (
    _Shape(1, 128, 4, 4, 2, 2, 0.3, 2e-3, 50, 1, 80),
    _Shape(12, 192, 4, 6, 3, 2, 0.3, 2e-3, 100, 1, 60),
    _Shape(60, 256, 4, 8, 4, 3, 0.2, 1e-3, 200, 1, 50),
    _Shape(200, 384, 6, 10, 6, 4, 0.15, 5e-4, 200, 2, 40),
    _Shape(math.inf, 512, 8, 12, 6, 6, 0.1, 3e-4, 200, 5, 30),
)


def measure_corpus(folder: Path) -> CorpusSize:
    """The size of the corpus that `prepare` wrote into a folder.

    Raises:
        UserError: there is no ``train.jsonl`` or no ``dev.jsonl``, or one is damaged.
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
    durations = array("d")
    sentences: list[str] = []
    num_transcribed = num_characters = num_words = 0
    transcribed_s = 0.0
    for cut in read_manifest(folder / "train.jsonl"):
        durations.append(cut.duration)
        texts = [text for text in (transcript_of(cut), translation_of(cut)) if text is not None]
        num_words += sum(len(text.split()) for text in texts)
        if len(sentences) < _NUM_SENTENCES:
            sentences += texts
        if len(texts) == 2:
            num_transcribed += 1
            num_characters += len(texts[0])
            transcribed_s += cut.duration
    num_pairs = 0
    if (folder / PAIRS_FILE).is_file():
        pairs = TextPairs(folder / PAIRS_FILE)
        num_pairs = len(pairs)
        sentences += [text for pair in pairs[:_NUM_SENTENCES] for text in pair]
    return CorpusSize(
        hours=sum(durations) / _SECONDS_PER_HOUR,
        long_s=float(np.quantile(durations, _LONG_QUANTILE)),
        longest_s=max(durations),
        num_utterances=len(durations),
        num_transcribed=num_transcribed,
        transcribed_hours=transcribed_s / _SECONDS_PER_HOUR,
        dev_is_transcribed=any(map(transcript_of, read_manifest(folder / "dev.jsonl"))),
        characters_per_s=num_characters / transcribed_s if transcribed_s else 0.0,
        num_words=num_words,
        most_pieces=most_pieces(islice(sentences, 2 * _NUM_SENTENCES), _MOST_PIECES),
        num_text_pairs=num_pairs,
    )


def size_recipe(name: str, folder: Path, size: CorpusSize) -> str:
    """The YAML text of a recipe for a corpus, with the reason beside each value.

    Args:
        name: of the run.
        folder: where ``train.jsonl``, ``dev.jsonl`` and, if any, ``text_pairs.arrow`` lie.
        size: of the corpus, from `measure_corpus`.
    """
    shape = next(shape for shape in _SHAPES if size.hours < shape.hours)
    uses_text = size.num_transcribed >= _LEAST_TRANSCRIBED * size.num_utterances
    max_batch_s = batch_s(size)
    steps_per_epoch = size.hours * _SECONDS_PER_HOUR / (max_batch_s * shape.accumulation)
    steps = _round(max(1500, shape.epochs * steps_per_epoch))
    has_text_stages = uses_text and size.dev_is_transcribed
    text_steps = _round(max(1000, steps / 2)) if has_text_stages else 0
    asr_epochs = shape.epochs * size.transcribed_hours / size.hours
    asr_steps = _round(max(1500, asr_epochs * steps_per_epoch)) if has_text_stages else 0
    external_steps = 0
    if size.num_text_pairs and size.dev_is_transcribed:
        external_steps = _round(min(50_000, max(700, size.num_text_pairs / 30)))
    steps = _round(steps / 2) if has_text_stages else steps
    text = _TEMPLATE.read_text(encoding="utf-8").format(
        **(shape._asdict() | vars(size)),
        name=name,
        quoted_name=_quoted(name),
        train=_quoted(folder / "train.jsonl"),
        dev=_quoted(folder / "dev.jsonl"),
        pairs_line=_pairs_line(folder, size),
        vocab_size=_vocab_size(size),
        batch_s=max_batch_s,
        ffn_dim=4 * shape.d_model,
        mid_channels=max(256, 2 * shape.d_model),
        ctc_lines=_ctc_lines(size) if uses_text else "",
        mt_weight=0.5 if uses_text else 0,
        text_weight=1 if uses_text else 0,
        external_steps=external_steps,
        external_warmup=external_steps // 10,
        external_interval=max(1, external_steps // 5),
        text_steps=text_steps,
        text_warmup=text_steps // 10,
        text_interval=max(1, text_steps // 5),
        asr_steps=asr_steps,
        asr_warmup=asr_steps // 10,
        asr_interval=max(1, asr_steps // 10),
        st_learning_rate=shape.learning_rate / (2 if has_text_stages else 1),
        steps=steps,
        warmup=steps // 10,
        interval=max(1, steps // 20),
        num_epochs=steps / steps_per_epoch,
    )
    return _align_comments(text)


def batch_s(size: CorpusSize) -> int:
    """Seconds of speech of a micro-batch: `data.max_batch_s` of the recipe."""
    shape = next(shape for shape in _SHAPES if size.hours < shape.hours)
    return max(shape.max_batch_s, math.ceil(_LONGEST_PER_BATCH * size.long_s / _SLOWEST))


def has_too_long(size: CorpusSize) -> bool:
    """Whether the longest utterance alone is more than a micro-batch."""
    return size.longest_s / _SLOWEST > batch_s(size)


def _pairs_line(folder: Path, size: CorpusSize) -> str:
    if not size.num_text_pairs:
        return "# text_pairs: text_pairs.arrow # of `horizon-st prepare bitext`; they help most"
    return f"text_pairs: {_quoted(folder / PAIRS_FILE)}\t# {size.num_text_pairs:,} without speech"


def _quoted(value: object) -> str:
    """The value as a YAML scalar on one line."""
    return yaml.safe_dump(str(value), allow_unicode=True, width=math.inf).splitlines()[0]


def _vocab_size(size: CorpusSize) -> int:
    """Few enough pieces that each is seen often, and that the text can fill them."""
    words = size.num_words + 20 * size.num_text_pairs
    return min(max(200, _round(words / _WORDS_PER_PIECE)), size.most_pieces, _MOST_PIECES)


def _ctc_lines(size: CorpusSize) -> str:
    """Characters, unless the speech is so fast that there is no state for each of them."""
    is_slow = _STATES_PER_CHARACTER * size.characters_per_s < _STATES_PER_S
    unit = "character" if is_slow else "piece"
    return _CTC_LINES.format(unit=unit, characters_per_s=size.characters_per_s)


def _round(number: float) -> int:
    """To two significant digits."""
    magnitude: int = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return round(number / magnitude) * magnitude


def _align_comments(text: str) -> str:
    """The same YAML with the comments behind values, which a tab sets off, in one column."""
    lines = [line.partition("\t") for line in text.splitlines()]
    return "".join(
        f"{value:<{_COMMENT_COLUMN}} {comment}\n" if comment else f"{value}\n"
        for value, _, comment in lines
    )
