"""Batches of text pairs: complete, bounded, well shuffled, the same again, in bounded memory."""

import itertools
import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from horizon_st.data import text_batches
from horizon_st.data.buckets import BatchLimit
from horizon_st.data.stream import BatchStream, Position
from horizon_st.data.text_batches import TextBatches
from horizon_st.data.text_pairs import store_text_pairs
from horizon_st.errors import UserError

LIMIT = BatchLimit("data.max_batch_tokens", 200, "tokens")
PAIRS = [(f"{'is ' * (1 + n * 7919 % 23)}{n}", f"es {n}") for n in range(3000)]


@pytest.fixture
def small_windows(monkeypatch):
    """Windows of 20 blocks of 16 rows: what ten million pairs meet, in small."""
    monkeypatch.setattr(text_batches, "BLOCK_ROWS", 16)
    monkeypatch.setattr(text_batches, "WINDOW_ROWS", 320)


@pytest.fixture(scope="module")
def pairs():
    return store_text_pairs(PAIRS)


def batches_of(pairs, tokenizer, *, seed=1, num_buckets=6, limit=LIMIT):
    return TextBatches(pairs, tokenizer, limit, num_buckets, seed)


def numbers(batches):
    return [[pair.number for pair in batch] for batch in batches]


def lengths_of(batch, tokenizer, side="source"):
    return [len(ids) for ids in tokenizer([getattr(pair, side) for pair in batch]).input_ids]


@pytest.mark.parametrize("windows", ["one", "many"])
def test_every_pair_comes_once_within_the_limit(pairs, tokenizer, windows, request):
    if windows == "many":
        request.getfixturevalue("small_windows")
    batches = list(batches_of(pairs, tokenizer).batches(0))
    padded = real = 0
    for batch in batches:
        lengths = lengths_of(batch, tokenizer)
        assert len(batch) * max(lengths) <= 200
        padded += len(batch) * max(lengths)
        real += sum(lengths)
        for pair in batch:
            assert (pair.source, pair.target) == PAIRS[pair.number]
    assert sorted(itertools.chain(*numbers(batches))) == list(range(3000))
    assert real / padded > 0.8
    num_windows = 1 if windows == "one" else 10
    assert len(batches) <= padded / 200 * 1.3 + 6 * num_windows


def test_the_longer_side_counts(tokenizer):
    """Of pairs whose sides differ in length by chance, neither way round."""
    rng = np.random.default_rng(0)
    texts = ["is " * length for length in rng.integers(1, 30, size=4000).tolist()]
    drawn = store_text_pairs(list(zip(texts[:2000], texts[2000:], strict=True)))
    limit = BatchLimit("data.max_batch_tokens", 1000, "tokens")
    padded = real = 0
    weights = {True: [], False: []}
    for batch in batches_of(drawn, tokenizer, limit=limit).batches(0):
        sources, targets = (lengths_of(batch, tokenizer, side) for side in ("source", "target"))
        longer = list(map(max, sources, targets))
        assert len(batch) * max(longer) <= 1000
        padded += len(batch) * max(longer)
        real += sum(longer)
        for source, target in zip(sources, targets, strict=True):
            weights[target > source] += [1 / sum(targets)] * target
    assert real / padded > 0.85
    # A loss per target token of its batch weighs those of long targets no less than others.
    assert np.mean(weights[True]) == pytest.approx(np.mean(weights[False]), rel=0.1)


@pytest.mark.parametrize("num_pairs", [1, 2, 15, 16, 17, 320, 321, 337])
def test_sets_of_any_size(tokenizer, small_windows, num_pairs):
    found = batches_of(store_text_pairs(PAIRS[:num_pairs]), tokenizer).batches(3)
    assert sorted(itertools.chain(*numbers(found))) == list(range(num_pairs))


def test_the_order_follows_from_seed_and_epoch(pairs, tokenizer, small_windows):
    def order(seed, epoch):
        return numbers(batches_of(pairs, tokenizer, seed=seed).batches(epoch))

    assert order(1, 2) == order(1, 2)
    different = [order(seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    for one, other in itertools.combinations(different, 2):
        assert one != other


def test_a_small_set_is_shuffled_as_a_whole(tokenizer):
    """Without lengths to tell pairs apart, where a pair comes says nothing of where it lies."""
    same_length = store_text_pairs([("is", str(n)) for n in range(2000)])
    source = batches_of(same_length, tokenizer)
    for epoch in range(3):
        order = [*itertools.chain(*numbers(source.batches(epoch)))]
        assert abs(stats.spearmanr(order, np.arange(2000)).statistic) < 0.08
        # Neighbours in the file are no nearer to each other than any two pairs.
        places = np.argsort(order)
        mean_distance = np.abs(np.diff(places)).mean()
        assert mean_distance == pytest.approx(2000 / 3, rel=0.08)


def test_each_window_takes_from_all_over_the_file(pairs, tokenizer, small_windows):
    order = [*itertools.chain(*numbers(batches_of(pairs, tokenizer).batches(0)))]
    first = np.array(order[:296])
    assert stats.kstest(first / 3000, "uniform").statistic < 0.25
    assert len(np.unique(first // 16)) == 19  # whole blocks, and no more of them than fit


def test_only_a_window_is_read_before_the_first_batch(pairs, tokenizer, small_windows, monkeypatch):
    read = []
    whole = type(pairs).__getitem__
    monkeypatch.setattr(
        type(pairs), "__getitem__", lambda self, rows: read.append(rows) or whole(self, rows)
    )
    stream = batches_of(pairs, tokenizer).batches(0)
    next(stream)
    assert sum(rows.stop - rows.start for rows in read) <= 320
    next(stream)
    assert sum(rows.stop - rows.start for rows in read) <= 320


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    num_before=st.integers(0, 260),
    share=st.sampled_from([(0, 1), (0, 2), (1, 2), (2, 3)]),
    is_known=st.booleans(),
)
def test_resuming_is_exact_from_any_position(
    pairs, tokenizer, small_windows, num_before, share, is_known
):
    rank, world_size = share

    def new():
        source = batches_of(pairs, tokenizer)
        return source, BatchStream(source, in_order, rank=rank, world_size=world_size)

    whole = [*itertools.islice(new()[1].endless(), num_before + 5)]
    stopped = new()[1]
    assert [*itertools.islice(stopped.endless(), num_before)] == whole[:num_before]
    source, resumed = new()
    made = []
    source._window = lambda *args, make=source._window: made.append(1) or make(*args)
    resumed.position = Position(**json.loads(json.dumps(asdict(stopped.position))))
    if not is_known:
        resumed.position.part_sizes = []
    assert [*itertools.islice(resumed.endless(), 5)] == whole[num_before:]
    if is_known:  # the window of the position, and perhaps the one before and the next
        assert len(made) <= 3
    assert [*itertools.islice(stopped.endless(), 5)] == whole[num_before:]


def in_order(batch, epoch):
    """In place of a batch, what is in it."""
    return epoch, [pair.number for pair in batch]


@pytest.mark.parametrize("windows", ["one", "many"])
@pytest.mark.parametrize("pair", [("is " * 300, "x"), ("x", "is " * 300)])
def test_a_text_longer_than_a_batch_is_refused_at_the_start(tokenizer, windows, pair, request):
    if windows == "many":
        request.getfixturevalue("small_windows")
    pairs = store_text_pairs([*PAIRS[:700], pair, *PAIRS])
    with pytest.raises(UserError, match=r"data\.max_batch_tokens: .* found \d+ tokens in 'is is"):
        batches_of(pairs, tokenizer)


def test_one_that_its_bytes_do_not_betray_is_refused_when_met(tokenizer, small_windows):
    pairs = store_text_pairs([*PAIRS[:700], ("o8" * 100, "x")])  # each a token, and the end
    source = batches_of(pairs, tokenizer)
    with pytest.raises(UserError, match=r"data\.max_batch_tokens: expected room for the longest"):
        list(source.batches(0))
