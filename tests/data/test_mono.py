"""Recordings as streams of blocks: the samples of `load_audio`; what is no sound is refused."""

import io
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import soxr

from horizon_st.data.audio import load_audio
from horizon_st.data.mono import stream_audio, to_mono
from horizon_st.errors import UserError


@pytest.mark.parametrize("ending", ["wav", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_blocks_are_the_recording(tmp_path, ending, rate):
    path = tmp_path / f"sound.{ending}"
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, 2) as file:
        for _ in range(70):  # libsndfile's Vorbis overflows the stack on much at once
            file.write(rng.normal(0, 0.1, (rate, 2)))
    blocks = [*stream_audio(path)]
    assert len(blocks) > 1
    assert max(map(len, blocks)) < 40 * 16_000
    assert np.array_equal(np.concatenate(blocks), load_audio(path))
    assert np.array_equal(
        np.concatenate([*stream_audio(io.BytesIO(path.read_bytes()))]), load_audio(path)
    )


def test_blocks_of_any_size_and_type_are_one_recording():
    rng = np.random.default_rng(0)
    stereo = rng.normal(0, 0.1, (2, 44_100)).astype(np.float32)
    ends = [0, 1_000, 1_500, 30_000, 44_100]
    found = np.concatenate([*to_mono((stereo[:, i:j] for i, j in pairwise(ends)), 44_100)])
    expected = soxr.resample(stereo.mean(axis=0), 44_100, 16_000)
    assert found == pytest.approx(expected, abs=1e-6)
    as_int = np.concatenate([*to_mono([(stereo[0] * 2**15).astype(np.int16)], 16_000)])
    assert as_int == pytest.approx(stereo[0], abs=1e-4)
    assert [*to_mono([], 16_000)] == []


@pytest.mark.parametrize(
    ("blocks", "rate", "message"),
    [
        ([np.zeros(160)], 100, "expected whole audio .* a sampling rate of 100 Hz"),
        ([np.zeros(160), np.zeros((160, 2))], 16_000, r"found shape \[160, 2\]\. Transpose"),
        ([np.zeros(160, "uint8")], 16_000, "found values of type uint8"),
        ([np.full(160, np.nan)], 16_000, "found NaN"),
    ],
)
def test_what_is_no_sound_is_refused(blocks, rate, message):
    with pytest.raises(UserError, match=message):
        [*to_mono(blocks, rate, name="microphone")]
