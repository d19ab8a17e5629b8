"""The front ends of exports give what those of training give, without PyTorch."""

import numpy as np
import pytest
from transformers import (
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from horizon_st.data.frontend import FilterbankFrontend, PretrainedFrontend
from horizon_st.errors import UserError
from horizon_st.inference.onnx.describe import describe_frontend
from horizon_st.inference.onnx.frontend import make_frontend

FRONTENDS = {
    "filterbanks": FilterbankFrontend,
    "40 filterbanks to 3.8 kHz": lambda: FilterbankFrontend(40, 3800.0),
    "waveform": lambda: PretrainedFrontend(Wav2Vec2FeatureExtractor(do_normalize=True)),
    "waveform as it is": lambda: PretrainedFrontend(Wav2Vec2FeatureExtractor(do_normalize=False)),
    "whisper": lambda: PretrainedFrontend(WhisperFeatureExtractor()),
    "whisper with 128 bins": lambda: PretrainedFrontend(WhisperFeatureExtractor(feature_size=128)),
}


@pytest.mark.parametrize("name", FRONTENDS)
@pytest.mark.parametrize("num_samples", [400, 401, 559, 560, 8_000, 16_079, 16_080, 160_003])
def test_the_same_input(speech, name, num_samples):
    frontend = FRONTENDS[name]()
    samples = speech(11)[:num_samples]
    found = make_frontend(*describe_frontend(frontend))(samples)
    expected = frontend(samples).numpy()
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert len(found) == frontend.length_of(num_samples)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_silence_is_finite_and_the_same():
    frontend = FilterbankFrontend()
    samples = np.zeros(4_000, np.float32)
    found = make_frontend(*describe_frontend(frontend))(samples)
    np.testing.assert_array_equal(found, frontend(samples).numpy())


def test_an_unknown_extractor_is_refused():
    with pytest.raises(UserError, match=r"front end: expected filterbanks.*found SeamlessM4T"):
        describe_frontend(PretrainedFrontend(SeamlessM4TFeatureExtractor()))
