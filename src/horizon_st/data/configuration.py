"""The recipe's data section: where the data is and how it becomes batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from horizon_st.data.audio import SAMPLING_RATE
from horizon_st.data.augment import AugmentConfig
from horizon_st.errors import UserError, refuse_unread

VOCABULARY_KEYS = ("vocab_size", "vocab_sample_sentences")
"""What is said about a vocabulary that training makes, and not about one that it is given."""
_LOWEST_HIGH_HZ = 1000


@dataclass
class DataConfig:
    """Where the data is and how it becomes batches."""

    train: str = field(
        default="???",
        metadata={"help": "Manifest of the training triples, or a folder or list of shards."},
    )
    dev: str = field(
        default="???",
        metadata={
            "help": "Manifest, or shards, of the dev set, on which checkpoints are measured."
        },
    )
    text_pairs: str | None = field(
        default=None,
        metadata={
            "help": "External text pairs {source, target}: .arrow of `prepare bitext`, or JSONL."
        },
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or hub id; None trains one of vocab_size pieces."}
    )
    source_language: str | None = field(
        default=None,
        metadata={
            "help": "Language code of the transcripts, as a multilingual tokenizer (M2M-100, NLLB, "
            "mBART) spells it; not for other tokenizers."
        },
    )
    target_language: str | None = field(
        default=None, metadata={"help": "Language code of the translations, likewise."}
    )
    vocab_size: int = field(
        default=1000, metadata={"help": "Pieces of the vocabulary that both languages share."}
    )
    vocab_sample_sentences: int = field(
        default=1_000_000,
        metadata={"help": "The vocabulary is trained on at most so many sentences."},
    )
    high_hz: float = field(
        default=7600.0, metadata={"help": "Upper edge of the mel bins; 3800 for telephone speech."}
    )
    max_batch_s: float = field(
        default=100.0,
        metadata={"help": "Seconds of speech with padding, per micro-batch and process."},
    )
    max_batch_utterances: int | None = field(
        default=None, metadata={"help": "Most utterances of a micro-batch, whatever their length."}
    )
    max_batch_tokens: int = field(
        default=2000,
        metadata={
            "help": "Source or target tokens with padding, whichever are more, per micro-batch of "
            "text pairs."
        },
    )
    num_buckets: int = field(
        default=16, metadata={"help": "Buckets of similar length that batches are drawn from."}
    )
    shar_buffer: int = field(
        default=2000,
        metadata={"help": "Utterances of Shar in memory, with their audio, to shuffle and bucket."},
    )
    num_workers: int = field(
        default=0, metadata={"help": "Processes that load audio; 0 loads in the training process."}
    )
    cache_gb: float = field(
        default=1.0,
        metadata={
            "help": "Memory for features kept between epochs, per process; the dev set may take as "
            "much again."
        },
    )
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        if (self.source_language is None) != (self.target_language is None):
            _refuse(
                "source_language and data.target_language",
                "both or neither",
                f"{self.source_language!r} and {self.target_language!r}",
                "Set both for a multilingual tokenizer, none for others.",
            )
        if self.tokenizer is not None:
            refuse_unread("data", self, VOCABULARY_KEYS, "data.tokenizer brings a vocabulary")
        for name in (
            "max_batch_s",
            "max_batch_tokens",
            "max_batch_utterances",
            "vocab_size",
            "vocab_sample_sentences",
            "shar_buffer",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                _refuse(name, "a positive number", value, "Leave it out for the default.")
        if self.num_buckets < 1:
            _refuse("num_buckets", "at least 1", self.num_buckets, "Use 1 for no bucketing.")
        for name in ("num_workers", "cache_gb"):
            if not getattr(self, name) >= 0:
                _refuse(name, "0 or more", getattr(self, name), "Use 0 for none.")
        if not _LOWEST_HIGH_HZ <= self.high_hz <= SAMPLING_RATE / 2:
            _refuse(
                "high_hz",
                f"between {_LOWEST_HIGH_HZ} and {SAMPLING_RATE // 2}",
                self.high_hz,
                "Use 7600 for wide-band speech, 3800 for telephone speech.",
            )


def _refuse(key: str, expected: str, found: object, remedy: str) -> NoReturn:
    raise UserError(f"data.{key}", expected=expected, found=found, remedy=remedy)
