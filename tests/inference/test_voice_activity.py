"""Probabilities of speech: those of the package's own model, at any block size, without traces."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from horizon_st.errors import UserError
from horizon_st.inference import voice_activity
from horizon_st.inference.voice_activity import FRAME_SAMPLES, VoiceActivity


@pytest.fixture(scope="module")
def packages_own():
    """A function: samples -> probabilities, one frame at a time by silero-vad's model."""
    num_threads = torch.get_num_threads()
    from silero_vad import load_silero_vad

    torch.set_num_threads(num_threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = load_silero_vad()

    def compute(samples):
        model.reset_states()
        padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
        frames = torch.from_numpy(padded).view(-1, FRAME_SAMPLES)
        with torch.inference_mode():
            return np.array([float(model(frame, 16_000)) for frame in frames])

    return compute


@pytest.mark.parametrize("block_samples", [100, 5_000, 10**6])
def test_they_are_those_of_the_packages_own_model(packages_own, speech, block_samples):
    samples = np.concatenate([speech(8), np.zeros(16_000, np.float32), speech(4.01, start_s=20)])
    activity = VoiceActivity()
    found = [
        activity(samples[i : i + block_samples]) for i in range(0, len(samples), block_samples)
    ]
    found = np.concatenate([*found, activity.finish()])
    expected = packages_own(samples)
    assert found == pytest.approx(expected, abs=1e-4)
    assert found.min() < 0.05
    assert found.max() > 0.95


def test_recordings_do_not_disturb_each_other(speech):
    one, other, alone = VoiceActivity(), VoiceActivity(), VoiceActivity()
    for i in range(4):
        together = one(speech(1, start_s=i))
        other(speech(1, start_s=50 + i))
        assert np.array_equal(together, alone(speech(1, start_s=i)))


@pytest.mark.parametrize("installed", [False, True])
def test_a_package_without_the_network_is_refused(monkeypatch, tmp_path, installed):
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)]) if installed else None
    monkeypatch.setattr(voice_activity, "find_spec", lambda name: spec)
    voice_activity._load_network.cache_clear()
    with pytest.raises(UserError, match=r"voice activity: .*`pip install --no-deps .*silero-vad`"):
        VoiceActivity()


def test_nothing_gives_nothing():
    activity = VoiceActivity()
    assert len(activity(np.zeros(0, np.float32))) == 0
    assert len(activity.finish()) == 0
