"""Filterbanks against NumPy written from Kaldi's description; pretrained inputs against theirs."""

import json

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from horizon_st.data.audio import SAMPLING_RATE
from horizon_st.data.frontend import FilterbankFrontend, PretrainedFrontend, load_frontend

WINDOW_SAMPLES, SHIFT_SAMPLES, FFT_SAMPLES = 400, 160, 512


@pytest.fixture(scope="module")
def speech():
    """A gliding tone with harmonics in noise, 1.3 s."""
    time_s = np.arange(int(1.3 * SAMPLING_RATE)) / SAMPLING_RATE
    phase = 2 * np.pi * (150 * time_s + 60 * time_s**2)
    voice = sum(np.sin(k * phase) / k for k in range(1, 9))
    noise = np.random.default_rng(0).normal(0, 0.02, len(time_s))
    return (0.1 * voice * np.sin(9 * time_s) ** 2 + noise).astype(np.float32)


def mel(frequency_hz):
    return 1127.0 * np.log1p(np.asarray(frequency_hz) / 700.0)


def kaldi_filterbanks(samples, num_bins, high_hz):
    """Log-mel energies `[T, F]`: povey window, pre-emphasis 0.97, no dither, snip_edges=False."""
    num_frames = (len(samples) + SHIFT_SAMPLES // 2) // SHIFT_SAMPLES
    first = SHIFT_SAMPLES // 2 - WINDOW_SAMPLES // 2
    index = first + SHIFT_SAMPLES * np.arange(num_frames)[:, None] + np.arange(WINDOW_SAMPLES)
    index = np.where(index < 0, -index - 1, index)
    index = np.where(index >= len(samples), 2 * len(samples) - 1 - index, index)
    frames = samples.astype(np.float64)[index]
    frames -= frames.mean(axis=1, keepdims=True)
    frames -= 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames *= np.hanning(WINDOW_SAMPLES) ** 0.85
    power = np.abs(np.fft.rfft(frames, FFT_SAMPLES)) ** 2
    edges = np.linspace(mel(20.0), mel(high_hz), num_bins + 2)
    at = mel(np.arange(FFT_SAMPLES // 2) * SAMPLING_RATE / FFT_SAMPLES)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((at - low) / (centre - low), (high - at) / (high - centre)).clip(0)
    return np.log(np.maximum(power[:, :-1] @ triangles, np.finfo(np.float32).eps))


def normalised(features):
    return (features - features.mean(axis=0)) / features.std(axis=0)


@pytest.mark.parametrize(("num_bins", "high_hz"), [(80, 7600.0), (40, 3800.0), (23, 8000.0)])
def test_filterbanks_are_those_of_kaldi_normalised_over_the_utterance(speech, num_bins, high_hz):
    features = FilterbankFrontend(num_bins, high_hz)(speech)
    expected = normalised(kaldi_filterbanks(speech, num_bins, high_hz))
    assert features.dtype == torch.float32
    assert features.shape == expected.shape == (130, num_bins)
    np.testing.assert_allclose(features.numpy(), expected, atol=2e-3)
    np.testing.assert_allclose(features.mean(dim=0).numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(features.std(dim=0, correction=0).numpy(), 1, atol=1e-4)


def test_a_louder_recording_gives_the_same_features(speech):
    frontend = FilterbankFrontend()
    torch.testing.assert_close(frontend(4 * speech), frontend(speech), atol=1e-3, rtol=0)


@pytest.mark.parametrize("num_samples", [400, 4000, 16_000, 16_079, 16_080])
def test_there_are_100_frames_per_second(num_samples):
    frontend = FilterbankFrontend()
    features = frontend(np.zeros(num_samples, dtype=np.float32))
    assert len(features) == frontend.length_of(num_samples)
    assert abs(len(features) - num_samples / SHIFT_SAMPLES) <= 0.5
    assert torch.isfinite(features).all()


def test_a_frontend_is_stored_beside_the_model(speech, tmp_path):
    frontend = FilterbankFrontend(40, 3800.0)
    before = frontend(speech)
    frontend.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text(encoding="utf-8"))
    assert (settings["feature_size"], settings["high_hz"]) == (40, 3800.0)
    loaded = load_frontend(tmp_path)
    assert isinstance(loaded, FilterbankFrontend)
    assert torch.equal(loaded(speech), before)


def test_a_waveform_model_gets_its_own_normalisation(speech, tmp_path):
    frontend = PretrainedFrontend(Wav2Vec2FeatureExtractor(do_normalize=True))
    expected = (speech - speech.mean()) / np.sqrt(speech.var() + 1e-7)
    np.testing.assert_allclose(frontend(speech).numpy(), expected, atol=1e-5)
    assert frontend.length_of(len(speech)) == len(speech)
    frontend.save_pretrained(tmp_path)
    loaded = load_frontend(tmp_path)
    assert isinstance(loaded, PretrainedFrontend)
    assert torch.equal(loaded(speech), frontend(speech))


def test_whisper_gets_time_major_frames_of_the_utterance_alone(speech):
    extractor = WhisperFeatureExtractor(feature_size=80)
    frontend = PretrainedFrontend(extractor)
    for num_samples in (15_999, 16_000):
        assert frontend.length_of(num_samples) == len(frontend(np.resize(speech, num_samples)))
    features = frontend(speech)
    assert features.shape == (len(speech) // 160, 80)
    padded = np.concatenate([speech, np.zeros(480_000 - len(speech), dtype=np.float32)])
    whole = extractor(padded, sampling_rate=SAMPLING_RATE, return_tensors="np").input_features[0].T
    # The last frames see the end of the recording instead of silence.
    np.testing.assert_allclose(features[:-2].numpy(), whole[: len(features) - 2], atol=1e-4)


def test_a_missing_frontend_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="preprocessor_config"):
        load_frontend(tmp_path)
