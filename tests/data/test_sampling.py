"""Streams of batches: bounds, completeness, shares of processes, exact resuming."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse import MonoCut, SupervisionSegment

from horizon_st.data.augment import AugmentConfig, draw_speed, utterance_rng
from horizon_st.data.collate import Batch, Collator, FeatureCache
from horizon_st.data.cuts import Cuts
from horizon_st.data.frontend import FilterbankFrontend
from horizon_st.data.manifest import read_manifest
from horizon_st.data.sampling import DataConfig, Position, speech_stream, text_stream
from horizon_st.data.text_pairs import store_text_pairs
from horizon_st.errors import UserError

DURATIONS_S = [1.0 + (37 * number % 90) / 10 for number in range(83)]
CONFIG = DataConfig(max_batch_s=40.0, num_buckets=5)


class LazyCuts(Cuts):
    """Cuts without audio, one after the other as from a file; `known` of them are surveyed."""

    def __init__(self, durations_s, known=None):
        self._durations_s = durations_s
        self._known = len(durations_s) if known is None else known

    def __iter__(self):
        for number, duration_s in enumerate(self._durations_s):
            name = f"utt{number}"
            supervision = SupervisionSegment(name, name, 0, duration_s)
            yield MonoCut(name, 0, duration_s, 0, [supervision])

    def texts(self):
        return iter(self)

    def has_at_most(self, num_cuts):
        return self._known == len(self._durations_s)

    def sample(self, num_cuts):
        return itertools.islice(self, self._known)

    def of_epoch(self, seed, epoch):
        return iter(self)


def names(cuts, epoch):
    """A batch that says what was picked."""
    ids = [f"{cut.id}@{epoch}" for cut in cuts]
    lengths = torch.tensor([cut.duration for cut in cuts], dtype=torch.float64)
    empty = torch.zeros(len(ids), 1, dtype=torch.int64)
    return Batch(ids, None, lengths, empty, empty, 0)


def stream_of(durations_s=DURATIONS_S, config=CONFIG, **share):
    return speech_stream(LazyCuts(durations_s), names, config, **({"seed": 1} | share))


def epoch_of(stream):
    return [batch.ids for batch in stream.rest_of_epoch()]


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


@pytest.mark.parametrize("max_batch_s", [10.0, 25.0, 200.0])
def test_no_batch_exceeds_its_padded_seconds_and_every_utterance_comes_once(max_batch_s):
    stream = stream_of(config=DataConfig(max_batch_s=max_batch_s))
    for epoch in range(3):
        batches = list(stream.rest_of_epoch())
        for batch in batches:
            assert len(batch.ids) * float(batch.speech_lengths.max()) <= max_batch_s
        ids = flat(batch.ids for batch in batches)
        assert sorted(ids) == sorted(f"utt{number}@{epoch}" for number in range(83))
        assert stream.position == Position(epoch + 1, 0)


def test_batches_are_of_similar_length_and_not_needlessly_small():
    batches = list(stream_of().rest_of_epoch())
    padded_s = sum(len(batch.ids) * float(batch.speech_lengths.max()) for batch in batches)
    assert sum(DURATIONS_S) / padded_s > 0.8
    assert len(batches) <= padded_s / 40 + 2 * 5


def test_batches_are_of_utterances_alike_in_length_at_the_speed_that_is_heard():
    augment = AugmentConfig(speeds=[0.8, 1.0, 1.25])
    stream = stream_of(config=DataConfig(max_batch_s=40.0, augment=augment))
    for epoch in (0, 1):
        padded_s = heard_s = 0.0
        for batch in stream.rest_of_epoch():
            speeds = [
                draw_speed(augment, utterance_rng(1, epoch, name.split("@")[0]))
                for name in batch.ids
            ]
            lengths = batch.speech_lengths / torch.tensor(speeds)
            assert len(lengths) * float(lengths.max()) <= 40.0
            padded_s += len(lengths) * float(lengths.max())
            heard_s += float(lengths.sum())
        assert heard_s / padded_s > 0.9


def test_an_utterance_that_fits_only_as_recorded_is_refused():
    config = DataConfig(max_batch_s=10.0, augment=AugmentConfig(speeds=[0.8, 1.0]))
    with pytest.raises(
        UserError, match=r"data\.max_batch_s: expected room .* 9 s in utterance utt1"
    ):
        stream_of([2.0, 9.0], config)


def test_utterances_are_counted_too():
    stream = stream_of(config=DataConfig(max_batch_s=1000.0, max_batch_utterances=4))
    assert max(map(len, epoch_of(stream))) == 4


@pytest.mark.parametrize("durations_s", [[2.0], [2.0] * 9, [2.0, 3.0], [1.0, 2.0, 3.0]])
@pytest.mark.parametrize("num_buckets", [1, 8])
def test_tiny_corpora(durations_s, num_buckets):
    config = DataConfig(max_batch_s=6.0, num_buckets=num_buckets)
    ids = flat(epoch_of(stream_of(durations_s, config)))
    assert sorted(ids) == sorted(f"utt{number}@0" for number in range(len(durations_s)))


def test_the_order_differs_between_epochs_and_seeds_and_repeats_with_them():
    stream = stream_of()
    epochs = [[[name.split("@")[0] for name in ids] for ids in epoch_of(stream)] for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    again = stream_of()
    again.position = Position(2, 0)
    assert [[name.split("@")[0] for name in ids] for ids in epoch_of(again)] == epochs[2]
    # A neighbouring seed must not be this one shifted by an epoch.
    other = epoch_of(stream_of(seed=2))
    assert [[name.split("@")[0] for name in ids] for ids in other] not in epochs


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_processes_share_the_batches_of_one_in_their_order(world_size):
    single = epoch_of(stream_of())
    shares = [epoch_of(stream_of(rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    steps = [flat(step) for step in zip(*shares, strict=True)]
    expected = [
        flat(single[start : start + world_size]) for start in range(0, len(single), world_size)
    ]
    assert steps[:-1] == expected[:-1]
    # Only a last step with fewer utterances than processes gives one of them twice.
    assert set(steps[-1]) == set(expected[-1])
    assert len(steps[-1]) == max(len(expected[-1]), world_size)
    whole_steps = len(single) // world_size
    for step in range(whole_steps):
        for rank in range(world_size):
            assert shares[rank][step] == single[step * world_size + rank]


def test_the_last_step_of_an_epoch_keeps_every_process_busy_within_the_limit():
    durations_s = [9.0] * 4 + [1.0] * 39
    for world_size in (2, 3, 4, 5):
        shares = [
            list(stream_of(durations_s, rank=rank, world_size=world_size).rest_of_epoch())
            for rank in range(world_size)
        ]
        assert len({len(share) for share in shares}) == 1
        for batch in itertools.chain.from_iterable(shares):
            assert 0 < len(batch.ids) * float(batch.speech_lengths.max()) <= 40.0
        steps = [flat(batch.ids for batch in step) for step in zip(*shares, strict=True)]
        assert set(flat(steps)) == {f"utt{number}@0" for number in range(43)}
        whole = flat(steps[:-1])
        assert len(set(whole)) == len(whole)
        assert len(steps[-1]) == max(len(set(steps[-1])), world_size)


def test_fewer_utterances_than_processes_repeat_one():
    shares = [epoch_of(stream_of([2.0, 3.0], rank=rank, world_size=3)) for rank in range(3)]
    assert [len(share) for share in shares] == [1, 1, 1]
    assert set(flat(flat(shares))) == {"utt0@0", "utt1@0"}


def collected(stream, num_batches):
    return [batch.ids for batch in itertools.islice(stream.endless(), num_batches)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.sampled_from([(0, 1), (0, 2), (1, 2)]))
def test_resuming_is_exact_from_any_position(num_before, share):
    rank, world_size = share
    whole = collected(stream_of(rank=rank, world_size=world_size), num_before + 8)
    stopped = stream_of(rank=rank, world_size=world_size)
    assert collected(stopped, num_before) == whole[:num_before]
    resumed = stream_of(rank=rank, world_size=world_size)
    resumed.position = Position(stopped.position.epoch, stopped.position.num_batches)
    assert collected(resumed, 8) == whole[num_before:]
    # The stopped stream itself also continues.
    assert collected(stopped, 8) == whole[num_before:]


def real_stream(manifest, tokenizer, num_workers):
    config = DataConfig(max_batch_s=2.0, num_workers=num_workers)
    augment = AugmentConfig(speeds=[0.9, 1.0], num_frequency_masks=1)
    collate = Collator(FeatureCache(FilterbankFrontend(20), 1e9), tokenizer, augment, seed=5)
    return speech_stream(read_manifest(manifest), collate, config, seed=1)


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.ids == b.ids
        assert torch.equal(a.speech, b.speech)
        assert torch.equal(a.target, b.target)


def test_worker_processes_change_nothing_and_resume_exactly(write_manifest, tokenizer):
    manifest = write_manifest([0.3 + 0.05 * number for number in range(14)])
    stream = real_stream(manifest, tokenizer, num_workers=0)
    expected = list(itertools.islice(stream.endless(), 14))
    assert stream.position.epoch >= 1
    stream = real_stream(manifest, tokenizer, num_workers=2)
    assert_same(list(itertools.islice(stream.endless(), 4)), expected[:4])
    # Left within an epoch, with batches read ahead.
    assert_same(list(itertools.islice(stream.endless(), 6)), expected[4:10])
    resumed = real_stream(manifest, tokenizer, num_workers=2)
    resumed.position = stream.position
    assert_same(list(itertools.islice(resumed.endless(), 4)), expected[10:])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_errors_of_the_user_come_back_from_workers(write_manifest, tokenizer, num_workers):
    manifest = write_manifest([0.5])
    (manifest.parent / "train0.wav").write_text("not audio")
    stream = real_stream(manifest, tokenizer, num_workers)
    with pytest.raises(UserError, match=r"utterance train0 .*expected 0\.50 s of readable audio"):
        list(stream.rest_of_epoch())


def test_reading_leaves_the_random_state_of_training_alone():
    before = torch.get_rng_state()
    epoch_of(stream_of())
    assert torch.equal(torch.get_rng_state(), before)


def test_an_utterance_longer_than_a_batch_is_refused():
    message = (
        r"data\.max_batch_s: expected room for the longest example, "
        r"found 50\.5 s in utterance utt1\. Raise data\.max_batch_s"
    )
    with pytest.raises(UserError, match=message):
        stream_of([3.0, 50.5])


def test_a_longer_utterance_than_surveyed_gets_a_bucket_of_its_own_or_is_refused_when_met():
    durations_s = [*DURATIONS_S, 30.0, 39.0]
    stream = speech_stream(LazyCuts(durations_s, known=83), names, CONFIG, seed=1)
    batches = list(stream.rest_of_epoch())
    assert sorted(flat(b.ids for b in batches)) == sorted(f"utt{n}@0" for n in range(85))
    for batch in batches:
        assert len(batch.ids) * float(batch.speech_lengths.max()) <= 40.0
    stream = speech_stream(LazyCuts([*DURATIONS_S, 50.5], known=83), names, CONFIG, seed=1)
    with pytest.raises(UserError, match=r"data\.max_batch_s: .* found 50\.5 s in utterance utt83"):
        list(stream.rest_of_epoch())


def test_no_examples_are_refused():
    with pytest.raises(UserError, match="training data: expected at least one example, found none"):
        stream_of([])


PAIRS = [(f"the station {'is ' * (n % 7)}{n}", f"la estación {n}") for n in range(40)]


def test_text_batches_are_bounded_complete_and_resumable(tokenizer):
    config = DataConfig(max_batch_tokens=120)
    pairs = store_text_pairs(PAIRS)
    stream = text_stream(pairs, tokenizer, config, seed=1)
    batches = list(stream.rest_of_epoch())
    rows = []
    for batch in batches:
        assert batch.speech is None
        assert max(batch.transcript.numel(), batch.target.numel()) <= 120
        rows += zip(batch.transcript.tolist(), batch.target.tolist(), strict=True)
    decoded = [
        tuple(tokenizer.decode(row, skip_special_tokens=True) for row in pair) for pair in rows
    ]
    expected = [
        tuple(tokenizer.decode(tokenizer(t).input_ids, skip_special_tokens=True) for t in pair)
        for pair in PAIRS
    ]
    assert sorted(decoded) == sorted(expected)
    ids = flat(batch.ids for batch in batches)
    assert len(set(ids)) == len(ids)
    resumed = text_stream(pairs, tokenizer, config, seed=1)
    resumed.position = Position(0, 3)
    again = list(resumed.rest_of_epoch())
    assert [batch.transcript.tolist() for batch in again] == [
        batch.transcript.tolist() for batch in batches[3:]
    ]
    shares = [text_stream(pairs, tokenizer, config, seed=1, rank=r, world_size=2) for r in (0, 1)]
    first = [next(share.rest_of_epoch()).transcript.tolist() for share in shares]
    assert first == [batch.transcript.tolist() for batch in batches[:2]]


def test_a_source_sentence_longer_than_a_batch_is_refused(tokenizer):
    pairs = store_text_pairs([("a", "b"), ("is " * 60, "x")])
    message = r"data\.max_batch_tokens: expected room for .*found \d+ tokens in 'is is is is"
    with pytest.raises(UserError, match=message):
        text_stream(pairs, tokenizer, DataConfig(max_batch_tokens=50), seed=1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_batch_s": 0.0}, r"data\.max_batch_s: expected a positive number, found 0\.0"),
        ({"max_batch_s": float("nan")}, r"data\.max_batch_s: expected a positive number"),
        ({"max_batch_tokens": -1}, r"data\.max_batch_tokens: expected a positive number"),
        ({"max_batch_utterances": 0}, r"data\.max_batch_utterances: expected a positive number"),
        ({"vocab_size": 0}, r"data\.vocab_size: expected a positive number"),
        (
            {"vocab_sample_sentences": 0},
            r"data\.vocab_sample_sentences: expected a positive number",
        ),
        ({"shar_buffer": 0}, r"data\.shar_buffer: expected a positive number"),
        ({"num_buckets": 0}, r"data\.num_buckets: expected at least 1, found 0\. Use 1"),
        ({"num_workers": -1}, r"data\.num_workers: expected 0 or more"),
        ({"cache_gb": -0.5}, r"data\.cache_gb: expected 0 or more"),
        ({"high_hz": 8001.0}, r"data\.high_hz: expected between 1000 and 8000, found 8001\.0"),
    ],
)
def test_settings_without_meaning_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        DataConfig(**setting)
