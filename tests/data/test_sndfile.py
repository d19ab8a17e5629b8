"""What libsndfile reads is the same to the bit, however it is cut into parts and blocks."""

import io
import struct

import numpy as np
import pytest
import soundfile
import soxr

from horizon_st.data import sndfile
from horizon_st.data.audio import audio_info, load_audio
from horizon_st.data.audio_source import open_audio
from horizon_st.data.mono import stream_audio
from horizon_st.errors import UserError

RATE = 16_000
FORMS = {
    "wav": {},
    "float.wav": {"subtype": "FLOAT"},
    "flac": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "ogg": {"subtype": "VORBIS"},
    "aiff": {},
}


def noise(rate, duration_s=4.0, num_channels=None):
    shape = round(duration_s * rate) if num_channels is None else (round(duration_s * rate), 2)
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape)


def write(folder, suffix, rate=RATE, **arguments):
    path = folder / f"a.{suffix}"
    soundfile.write(path, noise(rate, **arguments), rate, **FORMS[suffix])
    return path


@pytest.mark.parametrize("block_values", [1 << 12, 21_333, 1 << 20])
@pytest.mark.parametrize("suffix", FORMS)
def test_parts_are_slices_of_the_whole_to_the_bit(tmp_path, monkeypatch, suffix, block_values):
    monkeypatch.setattr(sndfile, "_BLOCK_VALUES", block_values)
    path = write(tmp_path, suffix)
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(load_audio(path), whole)
    for start in (1, 12_345, 40_000, len(whole) - 30_000, len(whole) - 401):
        expected = whole[start : start + 9_600]
        part = load_audio(path, offset_s=start / RATE, duration_s=0.6)
        np.testing.assert_array_equal(part, expected)
        direct, _ = soundfile.read(path, 9_600, start, dtype="float32")
        if suffix != "ogg":  # libsndfile errs in the last page of Vorbis
            np.testing.assert_array_equal(part, direct)


@pytest.mark.parametrize("suffix", ["opus", "ogg"])
def test_one_reader_gives_many_parts(tmp_path, suffix):
    path = write(tmp_path, suffix)
    whole, _ = soundfile.read(path, dtype="float32")
    rng = np.random.default_rng(1)
    with open_audio(path) as reader:
        for start in [0, *rng.integers(0, len(whole), 20), len(whole) - 5, len(whole) - 1, 0]:
            [part] = np.concatenate([*reader.blocks(int(start), 700)], axis=1)
            np.testing.assert_array_equal(part, whole[start : start + 700])
            assert reader.count_samples() == len(whole)


@pytest.mark.parametrize(
    "rate", [4000, 8000, 11_025, 12_000, 22_050, 24_000, 44_100, 48_000, 96_000]
)
def test_resampling_in_blocks_is_resampling_at_once(tmp_path, monkeypatch, rate):
    monkeypatch.setattr(sndfile, "_BLOCK_VALUES", 5000)
    path = write(tmp_path, "flac", rate, duration_s=1.3)
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(load_audio(path), soxr.resample(whole, rate, RATE))
    assert audio_info(path).sampling_rate == rate


@pytest.mark.parametrize("rate", [8000, 12_000, 16_000, 24_000, 48_000])
def test_opus_keeps_the_rate_and_length_that_were_encoded(tmp_path, rate):
    info = audio_info(write(tmp_path, "opus", rate))
    assert (info.sampling_rate, info.num_samples, info.num_channels) == (rate, 4 * rate, 1)


def test_channels_of_files_are_averaged(tmp_path):
    path = write(tmp_path, "wav", num_channels=2)
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(load_audio(path), whole.T.mean(axis=0))
    assert audio_info(path).num_channels == 2


def test_a_flac_stream_of_unknown_length_is_read(tmp_path):
    path = write(tmp_path, "flac")
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    whole = noise(RATE)
    np.testing.assert_allclose(load_audio(path), whole, atol=4e-5)
    np.testing.assert_allclose(load_audio(path, offset_s=3.5), whole[56_000:], atol=4e-5)
    assert audio_info(path).num_samples == len(whole)


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_file_from_a_pipe_is_read_to_its_end(tmp_path, claimed):
    path = write(tmp_path, "wav")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = struct.pack("<I", claimed)
    path.write_bytes(data)
    assert audio_info(path).num_samples == 4 * RATE
    assert len(load_audio(path)) == 4 * RATE


@pytest.mark.parametrize("suffix", FORMS)
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.98])
def test_a_truncated_file_is_refused(tmp_path, suffix, kept):
    path = write(tmp_path, suffix)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    for read in (audio_info, load_audio, lambda path: [*stream_audio(path)]):
        with pytest.raises(UserError, match=r"a\.(float\.)?\w+: expected whole audio .* found "):
            read(path)


def test_a_truncated_file_says_how_much_is_there(tmp_path):
    path = write(tmp_path, "wav")
    path.write_bytes(path.read_bytes()[:1044])
    message = r"a truncated file: 128000 bytes of sound according to its header, 1000 there\. Get"
    with pytest.raises(UserError, match=message):
        load_audio(path)
    with pytest.raises(UserError, match=message):
        load_audio(io.BytesIO(path.read_bytes()))
