"""A corpus -> a commented recipe of its size, so that nobody begins with an empty file.

The sizes are starting points: small models and few pieces for a few hours of speech, the published
size for hundreds. What was measured behind them stands in ``docs/recipes.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.text_pairs import TextPairs
from horizon_st.errors import UserError

PAIRS_FILE = "text_pairs.arrow"
_SECONDS_PER_HOUR = 3600
_CHARACTERS_PER_PIECE = 2.5
"""Of transcripts, with a few hundred to a few thousand pieces."""
_STATES_PER_PIECE = 2.0
"""CTC needs a state for every piece and one between equal ones, and learns faster with room."""
_FRAMES_PER_S = 100
_NOT_CHARACTERS = 6
"""Pieces of every vocabulary that are no characters: four with a special role, and the blank."""
_COMMENT_COLUMN = 29
_LONGEST_PER_BATCH = 4
"""A batch holds at least so many of the longest utterance at the slowest speed, 0.9."""
_WORDS_PER_PIECE = 80
"""Running words of text that a piece of the vocabulary should have been seen in."""


@dataclass
class CorpusSize:
    """What decides the size of a model.

    Attributes:
        hours: of training speech.
        longest_s: the longest training utterance.
        num_utterances: of the training part.
        num_transcribed: those with a transcript.
        characters_per_s: of the transcripts.
        num_words: running words of transcripts and translations.
        num_types: different words of both.
        num_characters: different characters of both.
        num_text_pairs: without speech.
    """

    hours: float
    longest_s: float
    num_utterances: int
    num_transcribed: int
    characters_per_s: float
    num_words: int
    num_types: int
    num_characters: int
    num_text_pairs: int


class _Shape(NamedTuple):
    """A model and its training for corpora of up to so many hours."""

    hours: float
    d_model: int
    num_heads: int
    encoder_layers: int
    decoder_layers: int
    dropout: float
    learning_rate: float
    max_batch_s: int
    accumulation: int
    epochs: int


_SHAPES = (
    _Shape(1, 128, 4, 2, 2, 0.3, 2e-3, 50, 1, 80),
    _Shape(12, 192, 4, 3, 2, 0.3, 1.5e-3, 100, 1, 60),
    _Shape(60, 256, 4, 6, 3, 0.2, 1e-3, 200, 1, 50),
    _Shape(200, 384, 6, 8, 4, 0.15, 5e-4, 200, 2, 40),
    _Shape(math.inf, 512, 8, 12, 6, 0.1, 3e-4, 200, 5, 30),
)


def measure_corpus(folder: Path) -> CorpusSize:
    """The size of the training part that `prepare` wrote into a folder.

    Raises:
        UserError: there is no ``train.jsonl`` or no ``dev.jsonl``, or one is damaged.
    """
    for name in ("train.jsonl", "dev.jsonl"):
        if not (folder / name).is_file():
            raise UserError(
                str(folder / name),
                expected="the manifests train.jsonl and dev.jsonl",
                found="no such file",
                remedy="Make them with `horizon-st prepare`, or name the folder that holds them.",
            )
    seconds = transcribed_s = longest_s = 0.0
    num_utterances = num_transcribed = num_characters = num_words = 0
    types: set[str] = set()
    for cut in read_manifest(folder / "train.jsonl"):
        transcript = transcript_of(cut)
        num_utterances += 1
        seconds += cut.duration
        longest_s = max(longest_s, cut.duration)
        words = f"{transcript or ''} {translation_of(cut)}".split()
        num_words += len(words)
        types.update(words)
        if transcript is not None:
            num_transcribed += 1
            transcribed_s += cut.duration
            num_characters += len(transcript)
    pairs = folder / PAIRS_FILE
    return CorpusSize(
        hours=seconds / _SECONDS_PER_HOUR,
        longest_s=longest_s,
        num_utterances=num_utterances,
        num_transcribed=num_transcribed,
        characters_per_s=num_characters / transcribed_s if transcribed_s else 0.0,
        num_words=num_words,
        num_types=len(types),
        num_characters=len(set().union(*types)),
        num_text_pairs=len(TextPairs(pairs)) if pairs.is_file() else 0,
    )


def size_recipe(name: str, folder: Path, size: CorpusSize) -> str:
    """The YAML text of a recipe for a corpus, with the reason beside each value.

    Args:
        name: of the run.
        folder: where ``train.jsonl``, ``dev.jsonl`` and, if any, ``text_pairs.arrow`` lie.
        size: of the corpus, from `measure_corpus`.
    """
    shape = next(shape for shape in _SHAPES if size.hours < shape.hours)
    has_transcripts = size.num_transcribed > 0
    max_batch_s = max(shape.max_batch_s, math.ceil(_LONGEST_PER_BATCH * size.longest_s / 0.9))
    steps_per_epoch = size.hours * _SECONDS_PER_HOUR / (max_batch_s * shape.accumulation)
    steps = _round(max(1500, shape.epochs * steps_per_epoch))
    text_steps = _round(max(700, steps / 3)) if has_transcripts else 0
    vocab_size = _vocab_size(size)
    kernels = [5, 5, 5] if _fits(size, num_convolutions=3) else [5, 5]
    states_per_s = _FRAMES_PER_S / 2 ** len(kernels)
    quoted = {
        key: yaml.safe_dump(str(value), allow_unicode=True, width=math.inf).splitlines()[0]
        for key, value in (
            ("name", name),
            ("train", folder / "train.jsonl"),
            ("dev", folder / "dev.jsonl"),
            ("text_pairs", folder / PAIRS_FILE),
        )
    }
    pairs_line = (
        f"text_pairs: {quoted['text_pairs']} # {size.num_text_pairs:,} pairs without speech"
        if size.num_text_pairs
        else "# text_pairs: text_pairs.arrow # of `horizon-st prepare bitext`; they help most"
    )
    external_steps = (
        _round(min(50_000, max(700, size.num_text_pairs / 30))) if size.num_text_pairs else 0
    )
    text = f"""\
# Made by `horizon-st new` for {size.hours:.1f} hours of speech: {size.num_utterances:,} utterances,
# {size.num_transcribed:,} with a transcript. Every value is a starting point;
# `horizon-st keys` explains all of them.
#   horizon-st train {name}.yaml
# Try other values without editing: horizon-st train {name}.yaml objective.rdrop_weight=1 --out DIR
name: {quoted["name"]}
seed: 1
precision: auto # bf16 where the hardware multiplies fast in it
data:
  train: {quoted["train"]}
  dev: {quoted["dev"]}
  {pairs_line}
  vocab_size: {vocab_size} # pieces shared by both languages; {size.num_words:,} words of text
  max_batch_s: {max_batch_s} # less if memory is short; then raise stages.st.accumulation
  augment:
    speeds: [0.9, 1.0, 1.1] # each utterance at another speed in each epoch
    num_frequency_masks: 2 # SpecAugment; 0 for both with a pretrained encoder
    frequency_mask_bins: 15
    num_time_masks: 2
    time_mask_frames: 40
model:
  # speech_encoder: {{pretrained: facebook/hubert-base-ls960}} # worth more than all below
  subsampler:
    kernel_sizes: {kernels} # {states_per_s:g} states a second; [5, 5] with a pretrained encoder
    mid_channels: {max(256, 2 * shape.d_model)}
  text_model:
    architecture: m2m_100
    encoder_layers: {shape.encoder_layers}
    decoder_layers: {shape.decoder_layers}
    d_model: {shape.d_model}
    ffn_dim: {4 * shape.d_model}
    num_heads: {shape.num_heads}
    dropout: {shape.dropout} # the less data, the more
objective: # quality peaks at some total strength of the next three
  mt_weight: {0.5 if has_transcripts else 0} # less regularises more: text is a view of the speech
  consistency_weight: {1 if has_transcripts else 0} # speech and transcript should agree
  rdrop_weight: 3 # two dropout passes over the speech should agree; costs a pass
  ctc_weight: {1 if has_transcripts else 0} # learns the alignment; needs transcripts
decoding:
  beam_size: 5
  batch_size: 50
stages:
  mt_external: # text pairs without speech
    max_steps: {external_steps}
    learning_rate: {shape.learning_rate:g}
    schedule: cosine
    warmup_steps: {external_steps // 10}
    validate_every_steps: {max(1, external_steps // 5)}
    keep_newest: 1
    average: 1
  mt_in_domain: # transcripts and translations of the training speech
    max_steps: {text_steps}
    learning_rate: {shape.learning_rate:g}
    schedule: cosine
    warmup_steps: {text_steps // 10}
    validate_every_steps: {max(1, text_steps // 5)}
    keep_newest: 1
    average: 1
  st: # speech and text together
    max_steps: {steps} # about {steps / steps_per_epoch:.0f} epochs
    learning_rate: {shape.learning_rate:g}
    schedule: cosine
    warmup_steps: {steps // 10}
    accumulation: {shape.accumulation}
    validate_every_steps: {max(1, steps // 20)}
    metric: bleu
    keep_newest: 5
    average: 5 # checkpoints, at the end
"""
    return _align_comments(text)


def _vocab_size(size: CorpusSize) -> int:
    """Few enough pieces that each is seen often, and that the text can fill them."""
    words = size.num_words + 20 * size.num_text_pairs
    wanted = min(words / _WORDS_PER_PIECE, 0.6 * size.num_types, 10_000)
    fewest, most = 1.5 * size.num_characters + 50, 0.7 * (size.num_types + size.num_characters)
    return max(_round(min(max(wanted, fewest), most)), size.num_characters + _NOT_CHARACTERS)


def _fits(size: CorpusSize, *, num_convolutions: int) -> bool:
    """Whether so many convolutions of stride 2 leave enough states for the pieces of the speech."""
    states_per_s = _FRAMES_PER_S / (1 << num_convolutions)
    pieces_per_s = size.characters_per_s / _CHARACTERS_PER_PIECE
    return states_per_s > _STATES_PER_PIECE * pieces_per_s


def _round(number: float) -> int:
    """To two significant digits."""
    magnitude: int = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return round(number / magnitude) * magnitude


def _align_comments(text: str) -> str:
    """The same YAML with the comments behind values in one column, where they fit."""
    lines = []
    for line in text.splitlines():
        value, mark, comment = line.partition(" # ")
        is_behind_value = mark and value.strip() and not value.lstrip().startswith("#")
        lines.append(f"{value:<{_COMMENT_COLUMN}} # {comment}" if is_behind_value else line)
    return "\n".join(lines) + "\n"
