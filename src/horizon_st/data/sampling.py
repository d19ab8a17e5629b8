"""Utterances and text pairs -> a resumable stream of batches, bucketed by length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lhotse import CutSet
from lhotse.dataset import DynamicBucketingSampler
from lhotse.dataset.sampling.dynamic_bucketing import FixedBucketBatchSizeConstraint
from transformers import PreTrainedTokenizerBase

from horizon_st.data.audio import Cut
from horizon_st.data.augment import draw_speed, utterance_rng
from horizon_st.data.buckets import BatchLimit, bucket_bounds
from horizon_st.data.collate import Batch, make_batch
from horizon_st.data.configuration import DataConfig
from horizon_st.data.cuts import SURVEY_UTTERANCES, Cuts
from horizon_st.data.stream import BatchStream, Position
from horizon_st.data.text_batches import TextBatches, TextPair
from horizon_st.data.text_pairs import TextPairs
from horizon_st.errors import UserError

__all__ = ["BatchStream", "DataConfig", "Position", "speech_stream", "text_stream"]

_SEED_STRIDE = 1_000_003
"""lhotse adds the epoch to the seed; a stride keeps neighbouring seeds from sharing orders."""


def speech_stream(
    cuts: Cuts,
    collate: Callable[[Any, int], Batch],
    config: DataConfig,
    *,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> BatchStream:
    """A stream of speech batches, each at most `max_batch_s` seconds with padding.

    Raises:
        UserError: there are no utterances, or one alone is longer than a batch may be; of a corpus
            that is not surveyed as a whole, the stream says so when it meets one.
    """
    batches = SpeechBatches(cuts, config, seed)
    return BatchStream(batches, collate, config.num_workers, rank=rank, world_size=world_size)


def text_stream(
    pairs: TextPairs,
    tokenizer: PreTrainedTokenizerBase,
    config: DataConfig,
    *,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> BatchStream:
    """A stream of text batches, each at most `max_batch_tokens` of either side with padding.

    Raises:
        UserError: a sentence alone is longer than a batch may be; of many pairs, the stream
            may say so when it meets one.
    """

    def collate(examples: Sequence[TextPair], epoch: int) -> Batch:
        numbers, sources, targets = zip(*examples, strict=True)
        return make_batch([f"pair{number}" for number in numbers], tokenizer, sources, targets)

    limit = BatchLimit("data.max_batch_tokens", config.max_batch_tokens, "tokens")
    batches = TextBatches(pairs, tokenizer, limit, config.num_buckets, seed)
    return BatchStream(batches, collate, rank=rank, world_size=world_size)


class SpeechBatches:
    """The batches of each epoch, picked by lhotse from the cuts it holds.

    Args:
        cuts: the training utterances.
        config: limits and buckets.
        seed: of the order.

    Raises:
        UserError: there are no utterances, or a surveyed one is longer than a batch may be.
    """

    def __init__(self, cuts: Cuts, config: DataConfig, seed: int) -> None:
        limit = BatchLimit("data.max_batch_s", config.max_batch_s, "s", config.max_batch_utterances)
        bounds = _speech_bounds(cuts, limit, config)
        self.part_sizes: list[int] = []
        self._order = _EpochOrder(cuts, config, seed)
        self._sampler = DynamicBucketingSampler(
            CutSet(self._order),
            constraint=_HeardLengths(
                bounds, [*map(limit.size_within, bounds)], heard_s=self._order.heard_s
            ),
            duration_bins=bounds,
            shuffle=True,
            drop_last=False,
            buffer_size=config.shar_buffer if cuts.carry_audio else SURVEY_UTTERANCES,
            world_size=1,
            rank=0,
            seed=seed * _SEED_STRIDE,
        )

    def batches(self, epoch: int, skip: int = 0) -> Iterator[CutSet]:
        """The batches of an epoch but the first `skip`.

        Raises:
            UserError: an utterance is longer than a batch may be, or the corpus is damaged.
        """
        self._order.epoch = epoch
        self._sampler.set_epoch(epoch)
        return islice(iter(self._sampler), skip, None)


@dataclass(eq=False)
class _HeardLengths(FixedBucketBatchSizeConstraint):
    """Batches of utterances that are alike in length once augmentation has changed their speed."""

    heard_s: Callable[[Cut], float] = lambda cut: cut.duration

    def measure_length(self, example: Cut) -> float:
        return self.heard_s(example)


class _EpochOrder:
    """The cuts in the order of the epoch that is set, none longer than a batch may be."""

    def __init__(self, cuts: Cuts, config: DataConfig, seed: int) -> None:
        self.epoch = 0
        self._cuts = cuts
        self._augment = config.augment
        self._limit = _longest_utterance(config)
        self._seed = seed

    def __iter__(self) -> Iterator[Cut]:
        for cut in self._cuts.of_epoch(self._seed, self.epoch):
            self._limit.check(cut.duration, f"utterance {cut.id}")
            yield cut

    def heard_s(self, cut: Cut) -> float:
        """Its duration at the speed that the `Collator` draws for it in this epoch."""
        rng = utterance_rng(self._seed, self.epoch, cut.id)
        duration_s: float = cut.duration
        return duration_s / draw_speed(self._augment, rng)


def _longest_utterance(config: DataConfig) -> BatchLimit:
    """What an utterance may last, as recorded, to fit a batch at the slowest speed."""
    slowest = min(1.0, *config.augment.speeds)
    return BatchLimit("data.max_batch_s", config.max_batch_s * slowest, "s")


def _speech_bounds(cuts: Cuts, limit: BatchLimit, config: DataConfig) -> list[float]:
    """The bounds of the buckets; what exceeds all of a survey in part, gets a bucket of its own.

    Raises:
        UserError: there are no utterances, or one alone exceeds the limit.
    """
    survey = cuts.survey
    if not survey.durations_s:
        raise UserError(
            "training data",
            expected="at least one example",
            found="none",
            remedy="Check that the manifest is not empty.",
        )
    _longest_utterance(config).check(max(survey.durations_s), f"utterance {survey.longest_id}")
    heard_s = [s / speed for s in survey.durations_s for speed in config.augment.speeds]
    bounds = bucket_bounds(heard_s, config.num_buckets)
    return bounds if survey.is_whole else sorted({*bounds, limit.length})
