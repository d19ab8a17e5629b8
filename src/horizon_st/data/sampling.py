"""Manifests and text pairs -> a resumable stream of batches, bucketed by length."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import CutSet
from lhotse.cut.text import TextExample, TextPairExample
from lhotse.dataset import DynamicBucketingSampler
from lhotse.dataset.sampling.base import CutSampler, TokenConstraint
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PreTrainedTokenizerBase

from horizon_st.data.augment import AugmentConfig
from horizon_st.data.collate import Batch, make_batch
from horizon_st.errors import UserError


@dataclass
class DataConfig:
    """Where the data is and how it becomes batches."""

    train: str = field(default="???", metadata={"help": "manifest of the training triples"})
    dev: str = field(default="???", metadata={"help": "manifest for early stopping"})
    text_pairs: str | None = field(
        default=None, metadata={"help": "JSONL of external text pairs {source, target}"}
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "folder or hub id; None trains one of vocab_size pieces"}
    )
    vocab_size: int = field(default=1000, metadata={"help": "shared unigram vocabulary"})
    high_hz: float = field(
        default=7600.0, metadata={"help": "upper edge of the mel bins; 3800 for telephone speech"}
    )
    max_batch_s: float = field(
        default=100.0, metadata={"help": "padded seconds of speech per micro-batch and process"}
    )
    max_batch_utterances: int | None = field(default=None, metadata={"help": "upper bound"})
    max_batch_tokens: int = field(
        default=2000, metadata={"help": "padded source tokens per micro-batch of text pairs"}
    )
    num_buckets: int = field(default=8, metadata={"help": "length buckets"})
    num_workers: int = field(default=0, metadata={"help": "processes that load audio"})
    cache_gb: float = field(
        default=1.0, metadata={"help": "memory for features kept between epochs, per process"}
    )
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass
class Position:
    """Where a stream stands: the epoch and the batches of it that this process has consumed."""

    epoch: int = 0
    num_batches: int = 0


class _Collated(Dataset[Batch]):
    """Collates what the sampler picks; the epoch travels to worker processes with the dataset."""

    def __init__(self, collate: Callable[[Any, int], Batch], epoch: int) -> None:
        self._collate = collate
        self._epoch = epoch

    def __getitem__(self, picked: Any) -> Batch:
        return self._collate(picked, self._epoch)


class _Remaining(Sampler[Any]):
    """What a sampler still yields after its first `num_skipped` batches."""

    def __init__(self, sampler: CutSampler, num_skipped: int) -> None:
        self._sampler = sampler
        self._num_skipped = num_skipped

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self._sampler), self._num_skipped, None)


class BatchStream:
    """Epochs of batches that continue exactly where `position` says.

    Resuming replays the sampler over manifests only, so that it does not depend on how far worker
    processes had read ahead.

    Args:
        sampler: a lhotse sampler; it shares the batches out over processes.
        collate: turns what the sampler picks, and the epoch, into a Batch.
        num_workers: loading processes; 0 loads in this one.
    """

    def __init__(
        self, sampler: CutSampler, collate: Callable[[Any, int], Batch], num_workers: int = 0
    ) -> None:
        self._sampler = sampler
        self._collate = collate
        self._num_workers = num_workers
        self.position = Position()

    def rest_of_epoch(self) -> Iterator[Batch]:
        """The batches left in the epoch; afterwards the position is the start of the next."""
        self._sampler.set_epoch(self.position.epoch)
        loader = DataLoader(
            _Collated(self._collate, self.position.epoch),
            sampler=_Remaining(self._sampler, self.position.num_batches),
            batch_size=None,
            num_workers=self._num_workers,
        )
        for batch in loader:
            self.position.num_batches += 1
            yield batch
        self.position = Position(self.position.epoch + 1, 0)

    def endless(self) -> Iterator[Batch]:
        """Batches of this and all following epochs."""
        while True:
            yield from self.rest_of_epoch()


def speech_stream(
    cuts: CutSet,
    collate: Callable[[Any, int], Batch],
    config: DataConfig,
    *,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> BatchStream:
    """A stream of speech batches, each at most `max_batch_s` seconds with padding."""
    sampler = _bucketing_sampler(
        cuts,
        config.num_buckets,
        seed,
        rank,
        world_size,
        max_duration=config.max_batch_s,
        max_cuts=config.max_batch_utterances,
    )
    return BatchStream(sampler, collate, config.num_workers)


def text_stream(
    pairs: Iterable[tuple[str, str]],
    tokenizer: PreTrainedTokenizerBase,
    config: DataConfig,
    *,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> BatchStream:
    """A stream of text batches, each at most `max_batch_tokens` source tokens with padding."""

    def collate(examples: Iterable[TextPairExample], epoch: int) -> Batch:
        sources = [example.source.text for example in examples]
        targets = [example.target.text for example in examples]
        ids = [f"text-{epoch}-{index}" for index in range(len(sources))]
        return make_batch(ids, tokenizer, sources, targets)

    sampler = _bucketing_sampler(
        CutSet(_TokenizedPairs(list(pairs), tokenizer)),
        config.num_buckets,
        seed,
        rank,
        world_size,
        constraint=TokenConstraint(max_tokens=config.max_batch_tokens),
    )
    return BatchStream(sampler, collate)


class _TokenizedPairs:
    """Text pairs with source token counts, for the sampler's buckets."""

    def __init__(self, pairs: list[tuple[str, str]], tokenizer: PreTrainedTokenizerBase) -> None:
        lengths = [len(ids) for ids in tokenizer([source for source, _ in pairs]).input_ids]
        self._examples = [
            TextPairExample(TextExample(source, np.empty(length)), TextExample(target))
            for (source, target), length in zip(pairs, lengths, strict=True)
        ]

    def __iter__(self) -> Iterator[TextPairExample]:
        return iter(self._examples)


def read_text_pairs(path: Path) -> list[tuple[str, str]]:
    """The (source, target) sentences of a JSONL file.

    Raises:
        UserError: the file is missing, or a line lacks one of the two texts.
    """
    if not path.is_file():
        raise UserError(
            str(path),
            expected='text pairs, one JSON object {"source": …, "target": …} per line',
            found="no such file",
            remedy="Check data.text_pairs.",
        )
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            pair = json.loads(line)
            source, target = str(pair["source"]).strip(), str(pair["target"]).strip()
        except (ValueError, KeyError, TypeError):
            source = target = ""
        if not source or not target:
            raise UserError(
                f"{path}:{number}",
                expected='a JSON object with non-empty "source" and "target"',
                found=line[:80],
                remedy="Mend or remove the line.",
            )
        pairs.append((source, target))
    return pairs


def _bucketing_sampler(
    examples: CutSet, num_buckets: int, seed: int, rank: int, world_size: int, **limits: Any
) -> DynamicBucketingSampler:
    num_lengths = len({_length(example) for example in islice(examples, 1000)})
    if num_lengths == 0:
        raise UserError(
            "training data",
            expected="at least one example",
            found="none",
            remedy="Check that the manifest or the text pairs are not empty.",
        )
    with warnings.catch_warnings():
        # lhotse warns of long-tailed durations and of buckets that a small corpus cannot fill.
        warnings.simplefilter("ignore", UserWarning)
        return DynamicBucketingSampler(
            examples,
            shuffle=True,
            drop_last=False,
            num_buckets=max(2, min(num_buckets, num_lengths // 2)) if num_lengths > 1 else 1,
            seed=seed,
            rank=rank,
            world_size=world_size,
            **limits,
        )


def _length(example: Any) -> float:
    return float(example.num_tokens if isinstance(example, TextPairExample) else example.duration)
