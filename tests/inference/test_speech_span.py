"""Where speech begins and ends inside a stretch that voice activity took for speech."""

import numpy as np
import pytest
import soxr

from horizon_st.data.corpora.telephone.recordings import Recordings
from horizon_st.data.mono import SAMPLING_RATE
from horizon_st.inference.segmenter import Segmenter, SegmenterConfig, speech_segments
from horizon_st.inference.speech_span import certain_span
from horizon_st.inference.voice_activity import FRAME_S, FRAME_SAMPLES


def sound(*levels_db):
    """Samples of (level, number of frames), ..."""
    return np.concatenate(
        [np.full(n * FRAME_SAMPLES, 10 ** (level / 20), np.float32) for level, n in levels_db]
    )


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        # It rises slowly, and is certain for two frames longer than there is speech.
        ([0.5, 0.6] + [0.95] * 10 + [0.8, 0.6, 0.4], (2, 10)),
        # What is certain up to the end has been cut there.
        ([0.5] + [0.95] * 5, (1, 6)),
        # A word between two pauses keeps a frame.
        ([0.5, 0.95, 0.6, 0.4], (1, 2)),
        # Nothing is certain.
        ([0.6, 0.7, 0.6], (0, 3)),
    ],
)
def test_it_is_what_is_certain(probabilities, expected):
    samples = sound((-20, len(probabilities)))
    assert certain_span(np.array(probabilities, np.float32), samples, 0.9) == expected
    assert certain_span(np.array(probabilities, np.float32), samples, 0) == (0, len(probabilities))


@pytest.mark.parametrize(
    ("quiet_db", "num_quiet", "first"),
    [(-36, 10, 10), (-34, 10, 0), (-36, 20, 20), (-36, 21, 0)],
)
def test_quiet_voices_before_it_are_others_unless_they_last(quiet_db, num_quiet, first):
    probabilities = np.full(num_quiet + 80, 0.99, np.float32)
    samples = sound((quiet_db, num_quiet), (-20, 80))
    assert certain_span(probabilities, samples, 0.9) == (first, len(probabilities))
    # The last frame of a recording may not be whole.
    assert certain_span(probabilities, samples[:-100], 0.9) == (first, len(probabilities))


def test_recorded_prompts_are_found_where_they_were_put():
    recordings = Recordings()
    rng = np.random.default_rng(0)
    placed, pieces, now_s = [], [], 0.0
    by_length = sorted((recordings.audio(name) for name in recordings.names()), key=len)
    for samples in [one for one in by_length if len(one) > 2 * recordings.sample_rate][:6]:
        prompt = soxr.resample(samples, recordings.sample_rate, SAMPLING_RATE)
        loud = np.flatnonzero(np.abs(prompt) > 0.1 * np.abs(prompt).max())
        pause_s = rng.uniform(1, 2)
        pieces += [np.zeros(int(pause_s * SAMPLING_RATE)), prompt]
        now_s += int(pause_s * SAMPLING_RATE) / SAMPLING_RATE
        placed.append((now_s + loud[0] / SAMPLING_RATE, now_s + loud[-1] / SAMPLING_RATE))
        now_s += len(prompt) / SAMPLING_RATE
    recording = np.concatenate([*pieces, np.zeros(SAMPLING_RATE)])
    recording += rng.normal(0, 1e-3, len(recording))

    def off(certain):
        config = SegmenterConfig(longest_pause_s=0.9, certain=certain)
        found = [*speech_segments([recording.astype(np.float32)], config)]
        return np.array([(one.start_s, one.end_s) for one in found]) - placed

    assert np.abs(off(0.9)).max() < 0.3
    assert np.abs(np.median(off(0.9), axis=0)).max() < 0.1
    assert np.median(off(0), axis=0)[1] > 0.1


def test_the_end_of_live_speech_moves_on_while_it_is_uncertain():
    probabilities = [0.0] * 10 + [0.95] * 10 + [0.6] * 30
    ends = []
    segmenter = Segmenter(SegmenterConfig(), Uncertain(probabilities), is_live=True)
    for _ in probabilities:
        segmenter.feed(np.full(FRAME_SAMPLES, 0.1, np.float32))
        if segmenter.open_speech is not None:
            ends.append(segmenter.open_speech.end_s)
    assert ends == sorted({*ends})
    assert ends[-1] == pytest.approx(50 * FRAME_S)


class Uncertain:
    """Voice activity of one probability after the other."""

    def __init__(self, probabilities):
        self._left = [*probabilities]

    def __call__(self, samples):
        return np.array([self._left.pop(0)], np.float32)
