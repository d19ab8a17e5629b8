"""Where recordings are cut: at pauses, never too long, all speech in it, whatever the blocks."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from horizon_st.errors import UserError
from horizon_st.inference.segmenter import Segmenter, SegmenterConfig, speech_segments
from horizon_st.inference.voice_activity import FRAME_S, FRAME_SAMPLES


class Scripted:
    """Voice activity that follows a script: one probability for each frame."""

    def __init__(self, probabilities):
        self._left = [*probabilities]
        self._samples = 0

    def __call__(self, samples):
        self._samples += len(samples)
        number, self._samples = divmod(self._samples, FRAME_SAMPLES)
        given, self._left = self._left[:number], self._left[number:]
        return np.array(given, np.float32)

    def finish(self):
        return self(np.zeros(FRAME_SAMPLES - self._samples if self._samples else 0, np.float32))


def script(*stretches):
    """Probabilities and samples of (is speech, seconds), ..."""
    probabilities = [
        float(is_speech) for is_speech, s in stretches for _ in range(round(s / FRAME_S))
    ]
    samples = np.repeat(np.array(probabilities, np.float32), FRAME_SAMPLES)
    return probabilities, samples


def cut(config, stretches, block_samples=4_000, samples=None, *, is_live=False):
    probabilities, scripted = script(*stretches)
    samples = scripted if samples is None else samples
    segmenter = Segmenter(config, Scripted(probabilities), is_live=is_live)
    found = []
    for start in range(0, len(samples), block_samples):
        found += segmenter.feed(samples[start : start + block_samples])
    return found + segmenter.finish()


def spans(segments):
    return [(segment.start_s, segment.end_s) for segment in segments]


def test_short_pauses_stay_inside_and_long_ones_separate():
    config = SegmenterConfig(longest_pause_s=1.0, padding_s=0.2)
    found = cut(config, [(0, 2), (1, 3), (0, 0.8), (1, 2), (0, 1.5), (1, 1), (0, 3)])
    assert spans(found) == pytest.approx(np.array([(2, 7.8), (9.3, 10.3)]), abs=0.05)
    assert [len(segment.samples) / 16_000 for segment in found] == pytest.approx(
        [5.8 + 0.4, 1 + 0.4], abs=0.05
    )


def test_short_segments_are_joined_up_to_the_target_but_not_over_long_pauses():
    stretches = [(1, 2), (0, 1), (1, 2), (0, 1), (1, 2), (0, 1.5), (1, 1), (0, 2.5), (1, 1)]
    alone = [(0, 2), (3, 5), (6, 8), (9.5, 10.5), (13, 14)]
    joined = [(0, 5), (6, 10.5), (13, 14)]
    for target_s, expected in ((0, alone), (4.5, joined)):
        config = SegmenterConfig(target_s=target_s, padding_s=0)
        assert spans(cut(config, stretches)) == pytest.approx(np.array(expected), abs=0.1)
        assert spans(cut(config, stretches, is_live=True)) == pytest.approx(
            np.array(alone), abs=0.1
        )


def test_where_it_grows_too_long_it_is_cut_at_the_longest_late_pause():
    config = SegmenterConfig(longest_s=10, longest_pause_s=1.0, padding_s=0)
    stretches = [(1, 2), (0, 0.9), (1, 2), (0, 0.6), (1, 2), (0, 0.3), (1, 4), (0, 2)]
    found = cut(config, stretches)
    assert spans(found) == pytest.approx(np.array([(0, 4.9), (5.5, 11.8)]), abs=0.1)


def test_without_a_pause_it_is_cut_at_the_quietest_place():
    config = SegmenterConfig(longest_s=10, padding_s=0)
    stretches = [(1, 15)]
    _, samples = script(*stretches)
    quiet = slice(int(6.4 * 16_000), int(6.6 * 16_000))
    samples[quiet] *= 0.3
    first, second = cut(config, stretches, samples=samples)
    assert 6.4 <= first.end_s <= 6.6
    assert (first.start_s, second.start_s) == (0, first.end_s)
    assert second.end_s == pytest.approx(15, abs=0.05)
    assert np.array_equal(np.concatenate([first.samples, second.samples]), samples)


def test_live_speech_is_cut_no_more_than_two_seconds_behind():
    config = SegmenterConfig(longest_s=10, longest_pause_s=1.0, padding_s=0)
    # The pause in the middle would be the one to cut at, if it had not been shown long ago.
    found = cut(config, [(1, 4), (0, 0.5), (1, 9)], is_live=True)
    assert 8 <= found[0].end_s <= 10
    early = cut(config, [(1, 5.5), (0, 0.5), (1, 3)], is_live=True)
    assert spans(early) == pytest.approx(np.array([(0, 5.5), (6, 9)]), abs=0.05)


def test_clicks_are_no_speech_and_closed_consonants_no_pause():
    config = SegmenterConfig(longest_pause_s=0.2, padding_s=0)
    assert not cut(config, [(0, 1), (1, 0.064), (0, 1)])
    assert len(cut(config, [(0, 1), (1, 0.5), (0, 0.064), (1, 0.5), (0, 1)])) == 1
    assert len(cut(config, [(0, 1), (1, 0.5), (0, 0.4), (1, 0.5), (0, 1)])) == 2


def test_a_click_is_not_shown_while_it_is_open():
    def shown(stretches):
        probabilities, samples = script(*stretches)
        segmenter = Segmenter(SegmenterConfig(), Scripted(probabilities), is_live=True)
        found = []
        for start in range(0, len(samples), FRAME_SAMPLES):
            segmenter.feed(samples[start : start + FRAME_SAMPLES])
            found.append(segmenter.open_speech)
        return [segment for segment in found if segment is not None]

    assert shown([(0, 1), (1, 0.064), (0, 1)]) == []
    assert shown([(0, 1), (1, 0.096), (0, 1)])[0].end_s == pytest.approx(1.1, abs=0.05)


def test_silence_has_no_segments():
    assert [*speech_segments([np.zeros(16_000, np.float32)] * 30)] == []
    assert [*speech_segments([])] == []


@settings(deadline=None, max_examples=150)
@given(
    stretches=st.lists(st.tuples(st.booleans(), st.floats(0.05, 6)), min_size=1, max_size=12),
    longest_s=st.floats(0.8, 8),
    longest_pause_s=st.floats(0, 2),
    target_s=st.floats(0, 8),
    padding_s=st.floats(0, 0.5),
    block_samples=st.integers(300, 30_000),
    is_live=st.booleans(),
)
def test_whatever_comes(
    stretches, longest_s, longest_pause_s, target_s, padding_s, block_samples, is_live
):
    config = SegmenterConfig(
        longest_s=longest_s,
        longest_pause_s=longest_pause_s,
        target_s=target_s,
        padding_s=padding_s,
        shortest_speech_s=0,
        shortest_pause_s=0.032,
        certain=0,
    )
    probabilities, samples = script(*stretches)
    samples = np.arange(len(samples), dtype=np.float32)  # tell where they are from
    found = cut(config, stretches, block_samples, samples, is_live=is_live)
    at_once = cut(config, stretches, 10**7, samples, is_live=is_live)
    assert spans(found) == spans(at_once)
    assert all(
        np.array_equal(one.samples, other.samples)
        for one, other in zip(found, at_once, strict=True)
    )
    is_inside = np.zeros(len(probabilities), bool)
    last_sample = -1.0
    for segment in found:
        assert segment.start_s < segment.end_s
        assert len(segment.samples) <= max(longest_s, 2 * padding_s + longest_s / 2) * 16_000 + 1
        # No sample belongs to two segments.
        assert segment.samples[0] > last_sample
        last_sample = segment.samples[-1]
        assert segment.samples[0] <= 16_000 * segment.start_s
        assert last_sample >= 16_000 * segment.end_s - 1
        frames = slice(round(segment.start_s / FRAME_S), round(segment.end_s / FRAME_S))
        assert not is_inside[frames].any()
        is_inside[frames] = True
    assert (is_inside | (np.array(probabilities) == 0)).all(), "speech is lost"


def test_regions_are_those_of_the_package(speech):
    from silero_vad import get_speech_timestamps_from_probs

    from horizon_st.inference.voice_activity import VoiceActivity

    samples = np.concatenate([speech(150), np.zeros(16_000, np.float32)])
    expected = get_speech_timestamps_from_probs(
        VoiceActivity()(samples).tolist(),
        min_speech_duration_ms=250,
        min_silence_duration_ms=200,
        speech_pad_ms=0,
    )
    config = SegmenterConfig(
        longest_s=100,
        longest_pause_s=0.03,
        shortest_pause_s=8 * FRAME_S,  # the first with more than 200 ms before its last frame
        shortest_speech_s=0.25,
        certain=0,  # all of a region
        padding_s=0,
    )
    found = speech_segments(np.array_split(samples, 13), config)
    assert len(expected) > 10
    assert [
        (round(segment.start_s * 16_000), round(segment.end_s * 16_000)) for segment in found
    ] == [(region["start"], region["end"]) for region in expected]


def test_memory_does_not_grow_with_the_recording(speech):
    piece = speech(30)

    def peak(num_pieces):
        blocks = (block for _ in range(num_pieces) for block in np.array_split(piece, 10))
        tracemalloc.start()
        number = sum(1 for _ in speech_segments(blocks))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return number, most

    (few, small), (many, large) = peak(2), peak(12)
    assert many > 4 * few
    assert large < 1.1 * small


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"longest_s": 0}, r"segmenter\.longest_s: expected 0\.5 to 600, found 0"),
        ({"target_s": -1}, r"segmenter\.target_s: expected 0 to 600, found -1"),
        ({"certain": 1}, r"segmenter\.certain: expected 0 to 0\.99, found 1"),
        ({"threshold": 1.5}, r"segmenter\.threshold: expected 0\.01 to 0\.99"),
        ({"padding_s": -1}, r"segmenter\.padding_s: expected 0 to 5"),
        ({"longest_pause_s": float("nan")}, r"longest_pause_s: .* found nan"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        SegmenterConfig(**setting)
