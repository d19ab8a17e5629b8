"""Manifests and text pairs -> a resumable stream of batches, bucketed by length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import CutSet
from lhotse.cut.text import TextExample, TextPairExample
from lhotse.dataset import DynamicBucketingSampler
from lhotse.dataset.sampling.dynamic_bucketing import FixedBucketBatchSizeConstraint
from transformers import PreTrainedTokenizerBase

from horizon_st.data.collate import Batch, make_batch
from horizon_st.data.configuration import DataConfig
from horizon_st.data.jsonl import read_json_lines
from horizon_st.data.stream import BatchStream, Position
from horizon_st.errors import UserError

__all__ = [
    "BatchStream",
    "DataConfig",
    "Position",
    "read_text_pairs",
    "speech_stream",
    "text_stream",
]

_SEED_STRIDE = 1_000_003
"""lhotse adds the epoch to the seed; a stride keeps neighbouring seeds from sharing orders."""


def speech_stream(
    cuts: CutSet,
    collate: Callable[[Any, int], Batch],
    config: DataConfig,
    *,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> BatchStream:
    """A stream of speech batches, each at most `max_batch_s` seconds with padding.

    Raises:
        UserError: there are no utterances, or one alone is longer than a batch may be.
    """
    slowest = min(1.0, *config.augment.speeds)  # makes utterances longer than the manifest says
    sampler = _bucketing_sampler(
        cuts,
        _Limit("data.max_batch_s", config.max_batch_s * slowest, config.max_batch_utterances),
        config.num_buckets,
        seed,
    )
    return BatchStream(sampler, collate, config.num_workers, rank=rank, world_size=world_size)


def text_stream(
    pairs: Iterable[tuple[str, str]],
    tokenizer: PreTrainedTokenizerBase,
    config: DataConfig,
    *,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> BatchStream:
    """A stream of text batches, each at most `max_batch_tokens` source tokens with padding.

    Raises:
        UserError: there are no pairs, or a source sentence alone is longer than a batch may be.
    """

    def collate(examples: Sequence[TextPairExample], epoch: int) -> Batch:
        sources = [example.source.text for example in examples]
        targets = [example.target.text for example in examples]
        ids = [f"pair{example.custom['number']}" for example in examples]
        return make_batch(ids, tokenizer, sources, targets)

    sampler = _bucketing_sampler(
        CutSet(_TokenizedPairs(list(pairs), tokenizer)),
        _Limit("data.max_batch_tokens", config.max_batch_tokens),
        config.num_buckets,
        seed,
    )
    return BatchStream(sampler, collate, rank=rank, world_size=world_size)


class _TokenizedPairs:
    """Text pairs with source token counts, for the sampler's buckets."""

    def __init__(self, pairs: list[tuple[str, str]], tokenizer: PreTrainedTokenizerBase) -> None:
        encoded = tokenizer([source for source, _ in pairs]).input_ids if pairs else []
        self._examples = [
            TextPairExample(
                TextExample(source, np.array(ids, np.int32)),
                TextExample(target),
                custom={"number": number},
            )
            for number, ((source, target), ids) in enumerate(zip(pairs, encoded, strict=True))
        ]

    def __iter__(self) -> Iterator[TextPairExample]:
        return iter(self._examples)


def read_text_pairs(path: Path) -> list[tuple[str, str]]:
    """The (source, target) sentences of a JSONL file; a name that ends in ``.gz`` is decompressed.

    Raises:
        UserError: the file is missing or has no pairs, or a line lacks one of the two texts.
    """
    if not path.is_file():
        raise UserError(
            str(path),
            expected='text pairs, one JSON object {"source": …, "target": …} per line',
            found="no such file",
            remedy="Check data.text_pairs.",
        )
    pairs = [_to_pair(value, place) for place, value in read_json_lines(path)]
    if not pairs:
        raise UserError(
            str(path),
            expected="at least one text pair",
            found="none",
            remedy="Add pairs, or remove data.text_pairs.",
        )
    return pairs


def _to_pair(value: Any, place: str) -> tuple[str, str]:
    texts = [value.get(key) for key in ("source", "target")] if isinstance(value, dict) else []
    stripped = [text.strip() for text in texts if isinstance(text, str)]
    if len(stripped) != 2 or not all(stripped):
        raise UserError(
            place,
            expected='a JSON object with non-empty "source" and "target"',
            found=repr(value)[:80],
            remedy="Mend or remove the line.",
        )
    return stripped[0], stripped[1]


@dataclass(frozen=True)
class _Limit:
    """What a batch may hold: length with padding (seconds or tokens), and examples."""

    key: str
    length: float
    num_examples: int | None = None


class _Buckets(FixedBucketBatchSizeConstraint):
    """A fixed number of examples per bucket, by seconds of speech or source tokens of text.

    lhotse's other constraints notice only after adding an example that a batch is too large.
    """

    def measure_length(self, example: Any) -> float:
        return _length_of(example)


def _bucketing_sampler(
    examples: CutSet, limit: _Limit, num_buckets: int, seed: int
) -> DynamicBucketingSampler:
    bounds = _bucket_bounds(examples, limit, num_buckets)
    sizes = [max(1, int(limit.length // bound)) for bound in bounds]
    if limit.num_examples is not None:
        sizes = [min(size, limit.num_examples) for size in sizes]
    return DynamicBucketingSampler(
        examples,
        constraint=_Buckets(bounds, sizes),
        duration_bins=bounds,
        shuffle=True,
        drop_last=False,
        world_size=1,
        rank=0,
        seed=seed * _SEED_STRIDE,
    )


def _bucket_bounds(examples: CutSet, limit: _Limit, num_buckets: int) -> list[float]:
    """The longest length of each bucket; the buckets share the total length about equally.

    Raises:
        UserError: there are no examples, or one alone exceeds the limit.
    """
    lengths = []
    for example in examples:
        length = _length_of(example)
        if length > limit.length:
            is_text = isinstance(example, TextPairExample)
            shown = f"{example.source.text[:60]!r}" if is_text else f"utterance {example.id}"
            raise UserError(
                limit.key,
                expected="room for the longest example",
                found=f"{length:g} {'tokens' if is_text else 's'} in {shown}",
                remedy=f"Raise {limit.key}, or split or remove the example.",
            )
        lengths.append(length)
    if not lengths:
        raise UserError(
            "training data",
            expected="at least one example",
            found="none",
            remedy="Check that the manifest or the text pairs are not empty.",
        )
    lengths.sort()
    num_buckets = max(1, min(num_buckets, len(set(lengths)) // 2))
    total = np.cumsum(lengths)
    shares = total[-1] * np.arange(1, num_buckets) / num_buckets
    return sorted({*np.array(lengths)[np.searchsorted(total, shares)].tolist(), lengths[-1]})


def _length_of(example: Any) -> float:
    return float(example.num_tokens if isinstance(example, TextPairExample) else example.duration)
