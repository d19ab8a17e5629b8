"""A corpus -> a commented recipe of its size, so that nobody begins with an empty file.

The sizes are starting points: small models and few pieces for a few hours of speech, the published
size for hundreds.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import yaml

from horizon_st.recipes import FOLDER
from horizon_st.training.corpus_size import (
    MOST_PIECES,
    SECONDS_PER_HOUR,
    CorpusSize,
)

_TEMPLATE = FOLDER / "sized.template"
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
_LEAST_PIECES = 200
_PIECES_BESIDE_CHARACTERS = 100
"""Of a vocabulary at least, where the text can fill them: characters that are rare among pairs
without speech have to find room, too."""
_ALL_NARROWBAND = 0.95
"""Share of the hours from which on the filterbanks end where telephone speech does."""
_SOME_NARROWBAND = 0.05
"""And from which on a comment tells of it."""
_CACHE_GB_PER_HOUR = 0.35
"""80 mel bins of 4 bytes, 100 times a second, at the three speeds of the template."""
_CACHE_SHARE = 1 / 3
"""Of the memory, the most that features may take."""
_SMALL_CACHE_GB = 1.0
"""For what is read again and again, the dev set, where the training set has no room."""
_MOST_WORKERS = 4
_COMMENT_COLUMN = 29


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


def size_recipe(
    name: str, folder: Path, size: CorpusSize, *, memory_gb: float, num_cores: int
) -> str:
    """The YAML text of a recipe for a corpus, with the reason beside each value.

    Args:
        name: of the run.
        folder: where ``train.jsonl``, ``dev.jsonl`` and, if any, the text pairs lie.
        size: of the corpus, from `measure_corpus`.
        memory_gb: of the machine that will train.
        num_cores: likewise.
    """
    shape = next(shape for shape in _SHAPES if size.hours < shape.hours)
    uses_text = size.num_transcribed >= _LEAST_TRANSCRIBED * size.num_utterances
    max_batch_s = batch_s(size)
    steps_per_epoch = size.hours * SECONDS_PER_HOUR / (max_batch_s * shape.accumulation)
    steps = _round(max(1500, shape.epochs * steps_per_epoch))
    has_text_stages = uses_text and size.dev_is_transcribed
    text_steps = _round(max(1000, steps / 2)) if has_text_stages else 0
    asr_epochs = shape.epochs * size.transcribed_hours / size.hours
    asr_steps = _round(max(1500, asr_epochs * steps_per_epoch)) if has_text_stages else 0
    external_steps = 0
    if size.num_text_pairs and size.dev_is_transcribed:
        external_steps = _round(min(50_000, max(700, size.num_text_pairs / 30)))
    steps = _round(steps / 2) if has_text_stages else steps
    cache_gb, num_workers = _loading(size.hours, memory_gb, num_cores)
    text = _TEMPLATE.read_text(encoding="utf-8").format(
        **(shape._asdict() | vars(size)),
        name=name,
        quoted_name=_quoted(name),
        train=_quoted(folder / "train.jsonl"),
        dev=_quoted(folder / "dev.jsonl"),
        pairs_line=_pairs_line(folder, size),
        high_hz_line=_high_hz_line(size.narrowband_share),
        vocab_size=_vocab_size(size),
        batch_s=max_batch_s,
        num_workers=num_workers,
        cache_gb=cache_gb,
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
    path = _quoted(folder / size.pairs_file)
    return f"text_pairs: {path}\t# {size.num_text_pairs:,} without speech"


def _high_hz_line(narrowband_share: float) -> str:
    """Bins above what was recorded would hold nothing but what normalising makes of the floor."""
    if narrowband_share >= _ALL_NARROWBAND:
        return "  high_hz: 3800\t# recordings are 8 kHz: nothing is above; pretrained: 7600\n"
    if narrowband_share >= _SOME_NARROWBAND:
        share = f"{narrowband_share:.0%} of the speech is 8 kHz"
        return f"  # high_hz: 3800\t# {share}: its bins above are empty; try both\n"
    return ""


def _quoted(value: object) -> str:
    """The value as a YAML scalar on one line."""
    return yaml.safe_dump(str(value), allow_unicode=True, width=math.inf).splitlines()[0]


def _vocab_size(size: CorpusSize) -> int:
    """Few enough pieces that each is seen often and the text can fill them; all characters fit."""
    words = size.num_words + 20 * size.num_text_pairs
    wanted = min(max(_LEAST_PIECES, _round(words / _WORDS_PER_PIECE)), MOST_PIECES)
    return min(max(wanted, size.least_pieces + _PIECES_BESIDE_CHARACTERS), size.most_pieces)


def _loading(hours: float, memory_gb: float, num_cores: int) -> tuple[float, int]:
    """Memory for features in GB, and the processes that load audio.

    What fits into memory is read once, by the training process; what does not, in every epoch.
    """
    needed_gb = math.ceil(10 * _CACHE_GB_PER_HOUR * hours) / 10
    if needed_gb <= _CACHE_SHARE * memory_gb:
        return max(_SMALL_CACHE_GB, needed_gb), 0
    num_workers = min(_MOST_WORKERS, max(1, num_cores - 1))
    share_gb = _CACHE_SHARE * memory_gb / (num_workers + 1)
    return min(_SMALL_CACHE_GB, math.floor(10 * share_gb) / 10), num_workers


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
