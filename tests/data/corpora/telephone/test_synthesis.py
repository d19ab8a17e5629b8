"""Audio of announcements: joined in order, varied within its limits, never clipped."""

import numpy as np
import pytest

from horizon_st.data.corpora.telephone import synthesis
from horizon_st.data.corpora.telephone.recordings import Recordings

CLAUSES = (("vm-youhave", "digits/20", "digits/3", "vm-messages"), ("vm-goodbye",))


@pytest.fixture(scope="module")
def recordings():
    return Recordings()


def test_joined_audio_holds_every_recording_in_order(recordings):
    samples = synthesis.join(recordings, CLAUSES, np.random.default_rng(0))
    position = 0
    for name in (name for clause in CLAUSES for name in clause):
        piece = recordings.audio(name)
        products = np.correlate(samples[position : position + 8000 + len(piece)], piece, "valid")
        found = position + int(np.argmax(products))
        np.testing.assert_array_equal(samples[found : found + len(piece)], piece)
        position = found + len(piece)
    assert len(samples) - position < 0.5 * recordings.sample_rate


@pytest.mark.parametrize("seed", range(12))
def test_variation_keeps_its_promises(recordings, seed):
    joined = synthesis.join(recordings, CLAUSES, np.random.default_rng(seed))
    samples, variation = synthesis.vary(joined, recordings, np.random.default_rng(seed))
    assert samples.dtype == np.float32
    assert np.abs(samples).max() <= synthesis.PEAK_LIMIT + 1e-6
    assert 0.9 <= variation.speed <= 1.1
    assert -6 <= variation.level_db <= 6
    assert 10 <= variation.snr_db <= 30
    assert len(samples) == pytest.approx(len(joined) / variation.speed, abs=2)
    level_db = 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))
    # A tenth of the energy at most is noise; limiting the peaks may lower the level by some dB.
    expected_db = synthesis.SPEECH_LEVEL_DB + variation.level_db
    assert expected_db - 6 < level_db < expected_db + 1


@pytest.mark.parametrize("kind", ["white", "pink", "babble"])
def test_noise_has_the_asked_signal_to_noise_ratio(recordings, kind, monkeypatch):
    monkeypatch.setattr(synthesis, "SPEED_RANGE", (1.0, 1.0))
    monkeypatch.setattr(synthesis, "LEVEL_RANGE_DB", (0.0, 0.0))
    monkeypatch.setattr(synthesis, "SNR_RANGE_DB", (12.0, 12.0))
    joined = synthesis.join(recordings, CLAUSES, np.random.default_rng(0))
    seeds = iter(range(100))
    variation = None
    while variation is None or variation.noise != kind:
        rng = np.random.default_rng(next(seeds))
        samples, variation = synthesis.vary(joined, recordings, rng)
    speech = joined * (np.dot(joined, samples) / np.dot(joined, joined))
    ratio_db = 10 * np.log10(np.sum(speech**2) / np.sum((samples - speech) ** 2))
    assert ratio_db == pytest.approx(12.0, abs=0.7)


def test_the_times_of_speech_are_those_before_noise_was_added(recordings):
    silence = np.zeros(recordings.sample_rate, np.float32)
    speech = recordings.audio("digits/8")
    joined = np.concatenate([silence, speech, silence])
    for seed in range(12):
        _, variation = synthesis.vary(joined, recordings, np.random.default_rng(seed))
        found = np.array([variation.speech_start_s, variation.speech_end_s]) * variation.speed
        # The recording's own edges are quiet for up to a tenth of a second.
        assert 1 <= found[0] + 0.02 < 1.1
        assert found[1] - 0.02 <= 1 + len(speech) / recordings.sample_rate < found[1] + 0.15


def test_pink_noise_falls_three_decibels_per_octave(recordings):
    noise = synthesis._noise("pink", 1 << 16, recordings, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(noise)) ** 2
    low, high = power[1000:2000].mean(), power[8000:16000].mean()
    assert 10 * np.log10(low / high) == pytest.approx(9.0, abs=0.7)
