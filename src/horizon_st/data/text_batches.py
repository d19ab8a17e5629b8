"""Text pairs -> shuffled batches of similar length, window by window.

The length of a pair is that of its longer side: padding of that side is little, and no batch has
more tokens of the other. An epoch shuffles blocks of neighbouring rows, and all rows within a
window of some blocks. A set that one window holds is shuffled as a whole; of a larger one, no more
than a window is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from horizon_st.data.buckets import BatchLimit, bucket_bounds
from horizon_st.data.text_pairs import Pair, TextPairs

BLOCK_ROWS = 256
WINDOW_ROWS = 128 * BLOCK_ROWS
"""A window's rows come from so many places; its tokens are counted in about a second."""

_ROWS_AT_ONCE = 1024


class TextPair(NamedTuple):
    """A row of the text pairs."""

    number: int
    source: str
    target: str


class TextBatches:
    """The batches of each epoch, the same for the same seed and epoch.

    Args:
        pairs: the text pairs.
        tokenizer: counts the tokens.
        limit: of a batch, in source or target tokens with padding, whichever are more.
        num_buckets: of similar length, within each window.
        seed: of the order.

    Raises:
        UserError: a pair alone exceeds the limit; when it is met, if it was not noticed before.
    """

    def __init__(
        self,
        pairs: TextPairs,
        tokenizer: PreTrainedTokenizerBase,
        limit: BatchLimit,
        num_buckets: int,
        seed: int,
    ) -> None:
        self._pairs = pairs
        self._tokenizer = tokenizer
        self._limit = limit
        self._num_buckets = num_buckets
        self._seed = seed
        self.part_sizes: list[int] = []
        self._known_lengths: NDArray[np.int64] | None = None
        if len(pairs) <= WINDOW_ROWS:
            self._known_lengths = self._lengths_of(pairs[:])
        else:
            self._check_longest()

    def batches(self, epoch: int, skip: int = 0) -> Iterator[list[TextPair]]:
        """The batches of an epoch but the first `skip`; windows of known size are passed over.

        Raises:
            UserError: a pair alone exceeds the limit, or the text pairs are damaged.
        """
        rng = np.random.default_rng((self._seed, epoch))
        num_blocks = -(-len(self._pairs) // BLOCK_ROWS)
        num_windows = -(-len(self._pairs) // WINDOW_ROWS)
        for number, blocks in enumerate(np.array_split(rng.permutation(num_blocks), num_windows)):
            if number < len(self.part_sizes) and skip >= self.part_sizes[number]:
                skip -= self.part_sizes[number]
                continue
            window = self._window(blocks, np.random.default_rng((self._seed, epoch, number)))
            if number == len(self.part_sizes):
                self.part_sizes.append(len(window))
            yield from window[skip:]
            skip = max(0, skip - len(window))

    def _window(self, blocks: NDArray[np.int64], rng: np.random.Generator) -> list[list[TextPair]]:
        rows: list[int] = []
        pairs: list[Pair] = []
        for block in blocks.tolist():
            start = block * BLOCK_ROWS
            found = self._pairs[start : start + BLOCK_ROWS]
            rows += range(start, start + len(found))
            pairs += found
        if self._known_lengths is None:
            lengths = self._lengths_of(pairs)
        else:
            lengths = self._known_lengths[rows]
        return [
            [TextPair(rows[index], *pairs[index]) for index in batch]
            for batch in self._batches_of(lengths, rng)
        ]

    def _batches_of(self, lengths: NDArray[np.int64], rng: np.random.Generator) -> list[list[int]]:
        """Indices of the batches, in random order: random examples of one bucket each."""
        bounds = bucket_bounds(lengths.tolist(), self._num_buckets)
        shuffled = rng.permutation(len(lengths))
        buckets = np.searchsorted(bounds, lengths[shuffled])
        batches = []
        for number, bound in enumerate(bounds):
            examples = shuffled[buckets == number].tolist()
            size = self._limit.size_within(bound)
            batches += [examples[at : at + size] for at in range(0, len(examples), size)]
        return [batches[index] for index in rng.permutation(len(batches))]

    def _lengths_of(self, pairs: list[Pair]) -> NDArray[np.int64]:
        """The number of tokens of the longer side of each, which the limit allows."""
        counted: list[int] = []
        for start in range(0, len(pairs), _ROWS_AT_ONCE):  # encodings are large: some at a time
            sources, targets = zip(*pairs[start : start + _ROWS_AT_ONCE], strict=True)
            of_sources = map(len, self._tokenizer([*sources]).input_ids)
            of_targets = map(len, self._tokenizer(text_target=[*targets]).input_ids)
            counted += map(max, of_sources, of_targets)
        lengths = np.array(counted)
        longest = int(lengths.argmax())
        shown = max(pairs[longest], key=len)
        self._limit.check(float(lengths[longest]), f"{shown[:60]!r}")
        return lengths

    def _check_longest(self) -> None:
        """Looks at pairs of so many bytes that they may exceed the limit, in one window's time.

        Training should not stop at such a pair after hours.
        """
        for row in islice(self._pairs.longer_than(int(self._limit.length)), WINDOW_ROWS):
            self._lengths_of(self._pairs[row : row + 1])
