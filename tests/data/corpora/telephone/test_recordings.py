"""The shipped recordings: complete, loud, cut at silence, quick to decode, with their licence."""

import itertools
import time
from importlib.resources import files

import numpy as np
import pytest

from horizon_st.data.corpora.telephone.prompts import PROMPTS
from horizon_st.data.corpora.telephone.recordings import Recordings

FRAME_SAMPLES = 80


@pytest.fixture(scope="module")
def recordings():
    return Recordings()


def frame_levels_db(samples):
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-12)


def test_everything_decodes_within_two_seconds(recordings):
    start_s = time.process_time()
    assert len(recordings.samples) / recordings.sample_rate > 20 * 60
    assert time.process_time() - start_s < 2.0


def test_recordings_do_not_overlap_and_stay_inside_the_file(recordings):
    end = 0
    for name in recordings.names():
        assert recordings[name].start_samples >= end
        end = recordings[name].start_samples + recordings[name].num_samples
    assert end <= len(recordings.samples)


def test_each_recording_is_loud_inside_and_quiet_at_its_edges(recordings):
    for name in recordings.names():
        levels_db = frame_levels_db(recordings.audio(name))
        assert levels_db.max() > -20, name
        # The cut leaves 30 ms of silence: a word that is cut would still sound in the first 10 ms.
        assert levels_db[0] < levels_db.max() - 40, name
        assert levels_db[-1] < levels_db.max() - 40, name


def test_silence_lies_between_recordings(recordings):
    names = recordings.names()
    for name, following in itertools.pairwise(names):
        end = recordings[name].start_samples + recordings[name].num_samples
        gap = recordings.samples[end + 160 : recordings[following].start_samples - 160]
        assert np.abs(gap).max() < 0.02, name


def test_durations_fit_the_number_of_letters(recordings):
    for name in recordings.names():
        letters = len(recordings[name].spoken or "") - (recordings[name].spoken or "").count(" ")
        if letters > 20:
            seconds = recordings[name].num_samples / recordings.sample_rate
            assert 6 < letters / seconds < 30, name


def test_prompts_have_texts_and_words(recordings):
    texts = [recordings[name].texts for name in recordings.names()]
    assert all(text["en"].strip() for text in texts)
    assert {language for text in texts for language in text} == {"en", "es", "fr", "it"}
    marks = ("[", "]", "(", ")", "...", "…", "�", "  ")
    assert not [t for text in texts for t in text.values() if any(mark in t for mark in marks)]
    for name in PROMPTS:
        assert recordings[name].spoken


def test_words_are_lower_case_without_punctuation(recordings):
    for name in recordings.names():
        spoken = recordings[name].spoken
        assert spoken is None or all(c.isalpha() or c in " '" for c in spoken), name
        assert spoken is None or spoken == spoken.lower(), name


def test_licence_and_credits_travel_with_the_data():
    folder = files("horizon_st.data.corpora.telephone") / "recordings"
    licence = (folder / "LICENSE.txt").read_text(encoding="utf-8")
    assert "https://creativecommons.org/licenses/by-sa/3.0/" in licence
    assert "Creative Commons Notice" in licence
    credits_text = (folder / "CREDITS.md").read_text(encoding="utf-8")
    for credited in ("Allison Smith", "June Wallack", "Clod Patry", "Silvia Petrin", "Digium"):
        assert credited in credits_text
    size = sum(len((folder / name).read_bytes()) for name in ("recordings.opus", "index.json"))
    assert size < 3_200_000
