"""Batches against their parts: padding, lengths, missing transcripts, the feature cache."""

import numpy as np
import pytest
import soundfile
import torch
from transformers import Wav2Vec2FeatureExtractor

from horizon_st.data import collate
from horizon_st.data.audio import load_cut
from horizon_st.data.augment import AugmentConfig
from horizon_st.data.collate import Collator, FeatureCache, make_batch
from horizon_st.data.frontend import FilterbankFrontend, PretrainedFrontend
from horizon_st.data.manifest import read_manifest
from horizon_st.errors import UserError

DURATIONS_S = [0.5, 0.9, 0.3]


@pytest.fixture
def cuts(write_manifest):
    return list(read_manifest(write_manifest(DURATIONS_S)))


class Counting:
    """A front end that gives the samples and counts its calls."""

    def __init__(self):
        self.num_calls = 0

    def __call__(self, samples):
        self.num_calls += 1
        return torch.from_numpy(samples)


def test_rows_are_the_utterances_padded_with_zeros(cuts, tokenizer):
    frontend = FilterbankFrontend(40)
    batch = Collator(FeatureCache(frontend, 1e9), tokenizer)(cuts)
    assert batch.ids == ["train0", "train1", "train2"]
    assert batch.speech.shape == (3, 90, 40)
    assert batch.speech_lengths.tolist() == [50, 90, 30]
    assert batch.speech_lengths.dtype == torch.int64
    for row, length, cut in zip(batch.speech, batch.speech_lengths, cuts, strict=True):
        samples, _ = soundfile.read(cut.recording.sources[0].source, dtype="float32")
        assert torch.equal(row[:length], frontend(samples))
        assert not row[length:].any()


def test_texts_end_in_eos_and_are_padded(cuts, tokenizer):
    batch = Collator(FeatureCache(FilterbankFrontend(40), 0), tokenizer)(cuts)
    num_target_tokens = 0
    for row, cut in zip(batch.target, cuts, strict=True):
        ids = tokenizer(cut.supervisions[0].custom["translated_text"]).input_ids
        assert ids[-1] == tokenizer.eos_token_id
        assert row.tolist() == ids + [tokenizer.pad_token_id] * (len(row) - len(ids))
        num_target_tokens += len(ids)
    assert batch.num_target_tokens == num_target_tokens
    assert batch.target.dtype == batch.transcript.dtype == torch.int64


def test_a_row_without_transcript_is_padding(tokenizer):
    batch = make_batch(["a", "b", "c"], tokenizer, ["the train", None, "it"], ["x", "y", "z"])
    pad = tokenizer.pad_token_id
    assert batch.transcript[1].eq(pad).all()
    assert batch.transcript[0].tolist() == tokenizer("the train").input_ids
    short = tokenizer("it").input_ids
    assert batch.transcript[2, : len(short)].tolist() == short
    assert batch.speech is None
    assert batch.speech_lengths is None


def test_a_batch_without_any_transcript_has_one_column_of_padding(tokenizer):
    batch = make_batch(["a", "b"], tokenizer, [None, None], ["x", "y"])
    assert batch.transcript.tolist() == [[tokenizer.pad_token_id]] * 2
    assert batch.transcript.dtype == torch.int64


def test_a_batch_moves_as_a_whole(cuts, tokenizer):
    batch = Collator(FeatureCache(FilterbankFrontend(40), 0), tokenizer)(cuts)
    moved = batch.to(torch.device("meta"))
    assert {moved.speech.device.type, moved.target.device.type} == {"meta"}
    assert (moved.ids, moved.num_target_tokens) == (batch.ids, batch.num_target_tokens)


def test_the_cache_gives_identical_tensors_and_computes_once(cuts):
    frontend = Counting()
    cache = FeatureCache(frontend, 1e9)
    first = [cache(cut) for cut in cuts]
    second = [cache(cut) for cut in cuts]
    assert frontend.num_calls == 3
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    fast = cache(cuts[0], 1.1)
    assert frontend.num_calls == 4
    assert len(fast) == pytest.approx(len(first[0]) / 1.1, abs=1)


def test_the_cache_keeps_no_more_bytes_than_allowed(cuts):
    frontend = Counting()
    cache = FeatureCache(frontend, max_bytes=4 * 16_000 * 0.85)
    for _ in range(3):
        lengths = [len(cache(cut)) for cut in cuts]
    # 0.5 s and 0.3 s fit; 0.9 s is computed each time.
    assert frontend.num_calls == 5
    assert lengths == [8000, 14_400, 4800]
    assert cache._num_bytes == 4 * (8000 + 4800)


@pytest.mark.parametrize("num_kept", [1, 2, 3])
def test_a_recording_is_read_once_for_all_speeds_that_fit(cuts, monkeypatch, num_kept):
    read = []
    monkeypatch.setattr(collate, "load_cut", lambda cut: read.append(cut.id) or load_cut(cut))
    speeds = [0.9, 1.0, 1.1]
    apart = {speed: FeatureCache(Counting(), 1e9)(cuts[0], speed) for speed in speeds}
    read.clear()
    room = sum(apart[speed].nbytes for speed in [1.1, 0.9, 1.0][:num_kept])
    cache = FeatureCache(Counting(), max_bytes=room + 8)
    first = cache(cuts[0], 1.1, wanted_later=speeds)
    assert torch.equal(first, apart[1.1])
    assert cache._num_bytes == pytest.approx(room, abs=8)
    for speed in speeds:
        assert torch.equal(cache(cuts[0], speed), apart[speed])
    assert len(read) == 1 + 3 - num_kept


def test_a_recording_is_read_once_over_all_epochs(cuts, tokenizer, monkeypatch):
    read = []
    monkeypatch.setattr(collate, "load_cut", lambda cut: read.append(cut.id) or load_cut(cut))
    config = AugmentConfig(speeds=[0.9, 1.0, 1.1])
    make = Collator(FeatureCache(FilterbankFrontend(40), 1e9), tokenizer, config)
    lengths = {tuple(make(cuts, epoch).speech_lengths.tolist()) for epoch in range(12)}
    assert len(lengths) > 3, "the speed does not vary"
    assert sorted(read) == sorted(cut.id for cut in cuts)


def test_the_cache_tells_manifests_with_the_same_ids_apart(write_manifest, tmp_path):
    [train] = read_manifest(write_manifest([0.5]))
    other = tmp_path / "other"
    other.mkdir()
    soundfile.write(other / "train0.wav", np.full(8000, 0.25), 16_000)
    path = other / "dev.jsonl"
    path.write_text((tmp_path / "train.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    [dev] = read_manifest(path)
    cache = FeatureCache(Counting(), 1e9)
    assert (cache(train) != 0.25).any()
    assert torch.all(cache(dev) == 0.25)


def test_augmentation_depends_on_seed_epoch_and_utterance_not_on_the_batch(cuts, tokenizer):
    config = AugmentConfig(speeds=[0.9, 1.0, 1.1], num_frequency_masks=2, num_time_masks=1)
    cache = FeatureCache(FilterbankFrontend(40), 1e9)

    def rows(chosen, epoch=0, seed=1):
        batch = Collator(cache, tokenizer, config, seed)(chosen, epoch)
        return {
            name: row[:length]
            for name, row, length in zip(batch.ids, batch.speech, batch.speech_lengths, strict=True)
        }

    whole = rows(cuts)
    for cut in cuts:
        assert torch.equal(rows([cut])[cut.id], whole[cut.id])
    for other in (rows(cuts, epoch=1), rows(cuts, seed=2)):
        assert any(not torch.equal(other[name], whole[name]) for name in whole)
    for name, row in rows(cuts).items():
        assert torch.equal(row, whole[name])


def test_evaluation_does_not_augment(cuts, tokenizer):
    cache = FeatureCache(FilterbankFrontend(40), 1e9)
    plain = Collator(cache, tokenizer)(cuts, 3).speech
    assert torch.equal(plain, Collator(cache, tokenizer)(cuts, 4).speech)
    config = AugmentConfig(num_frequency_masks=2)
    assert not torch.equal(plain, Collator(cache, tokenizer, config)(cuts, 3).speech)
    assert torch.equal(plain, Collator(cache, tokenizer)(cuts, 3).speech)


def test_spectrum_masks_on_a_waveform_are_refused(cuts, tokenizer):
    extractor = Wav2Vec2FeatureExtractor()
    cache = FeatureCache(PretrainedFrontend(extractor), 1e9)
    collate = Collator(cache, tokenizer, AugmentConfig(num_time_masks=2))
    with pytest.raises(UserError, match=r"data\.augment: expected no SpecAugment masks .*masks 2"):
        collate(cuts)
    assert Collator(cache, tokenizer, AugmentConfig(speeds=[1.1]))(cuts).speech.shape[0] == 3
