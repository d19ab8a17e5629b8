"""Reading and resampling against tones of known frequency and against soundfile."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from lhotse import MonoCut, MultiCut, Recording
from lhotse.audio import AudioSource
from lhotse.augmentation import Volume

from horizon_st.data.audio import (
    SAMPLING_RATE,
    change_speed,
    load_audio,
    load_cut,
    to_model_rate,
)
from horizon_st.errors import UserError


def tone(frequency_hz, duration_s=1.0, rate=SAMPLING_RATE):
    time_s = np.arange(round(duration_s * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def peak_hz(samples, rate=SAMPLING_RATE):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * rate / len(samples)


def cut_of(path, duration_s, *, start_s=0.0, recording_s=None, rate=SAMPLING_RATE, channel=0):
    recording_s = recording_s or start_s + duration_s
    channels = list(range(soundfile.info(path).channels)) if Path(path).stat().st_size else [0]
    recording = Recording(
        "rec", [AudioSource("file", channels, str(path))], rate, round(recording_s * rate),
        recording_s, channels,
    )  # fmt: skip
    return MonoCut("utt7", start_s, duration_s, channel, [], recording=recording)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_resampling_keeps_pitch_level_and_duration(rate):
    resampled = to_model_rate(tone(1000, rate=rate), rate, name="tone")
    assert resampled.dtype == np.float32
    assert abs(len(resampled) - SAMPLING_RATE) <= 2
    assert peak_hz(resampled) == pytest.approx(1000, abs=1.5)
    assert np.abs(resampled[2000:-2000]).max() == pytest.approx(0.5, abs=0.01)


def test_resampling_down_removes_what_the_new_rate_cannot_carry():
    resampled = to_model_rate(tone(12_000, rate=48_000), 48_000, name="tone")
    assert np.abs(resampled[1000:-1000]).max() < 1e-3


def test_channels_are_averaged():
    left, right = tone(300), tone(700)
    np.testing.assert_allclose(
        to_model_rate(np.stack([left, right]), SAMPLING_RATE, name="x"), (left + right) / 2
    )


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "opus"])
def test_formats(tmp_path, suffix):
    rate = 48_000 if suffix == "opus" else 24_000
    form = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    soundfile.write(tmp_path / f"a.{suffix}", tone(600, 1.5, rate), rate, **form)
    samples = load_audio(tmp_path / f"a.{suffix}")
    assert len(samples) == pytest.approx(1.5 * SAMPLING_RATE, abs=1200)
    assert peak_hz(samples) == pytest.approx(600, abs=2)


def test_a_part_of_a_file_is_the_same_part_of_the_samples(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * SAMPLING_RATE)
    soundfile.write(tmp_path / "a.wav", noise, SAMPLING_RATE)
    whole = soundfile.read(tmp_path / "a.wav", dtype="float32")[0]
    part = load_audio(tmp_path / "a.wav", offset_s=0.25, duration_s=0.5)
    np.testing.assert_array_equal(part, whole[4000:12_000])
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav", offset_s=1.5), whole[24_000:])
    stream = io.BytesIO((tmp_path / "a.wav").read_bytes())
    np.testing.assert_array_equal(load_audio(stream), whole)
    cut = cut_of(tmp_path / "a.wav", 0.5, start_s=0.25, recording_s=2.0)
    np.testing.assert_array_equal(load_cut(cut), part)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"offset_s": 2.5}, r"a\.wav: expected an offset within its 2\.00 s, found 2\.50 s"),
        ({"offset_s": -1.0}, r"expected an offset within its 2\.00 s, found -1\.00 s"),
        ({"offset_s": 2.0}, "expected at least one sample, all finite, found no samples"),
        ({"offset_s": 1.99}, "expected at least 25 ms of sound, found 160 samples at 16000 Hz"),
    ],
)
def test_parts_that_are_not_there_are_refused(tmp_path, arguments, message):
    soundfile.write(tmp_path / "a.wav", tone(400, 2.0), SAMPLING_RATE)
    with pytest.raises(UserError, match=message):
        load_audio(tmp_path / "a.wav", **arguments)


def test_files_that_are_not_audio_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"nix\.wav: expected an audio file, found no such file"):
        load_audio(tmp_path / "nix.wav")
    (tmp_path / "b.wav").write_text("hello")
    message = (
        r"b\.wav: expected whole audio \(wav, .* 4000 to 384000 Hz and at most 64 channels, "
        r"found Format not recognised.; Invalid data .* `ffmpeg -i FILE -ac 1 -ar 16000 out\.wav`"
    )
    with pytest.raises(UserError, match=message):
        load_audio(tmp_path / "b.wav")
    (tmp_path / "c.raw").write_bytes(b"12345678")
    with pytest.raises(UserError, match=r"c\.raw: expected whole audio .* found Format not rec"):
        load_audio(tmp_path / "c.raw")


def test_samples_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="x: expected at least one sample, all finite, found NaN"):
        to_model_rate(np.full(1000, np.nan), SAMPLING_RATE, name="x")


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 2.0])
def test_speed_changes_duration_and_pitch(factor):
    fast = change_speed(tone(800, 2.0), factor)
    assert fast.dtype == np.float32
    assert len(fast) == pytest.approx(2 * SAMPLING_RATE / factor, abs=2)
    assert peak_hz(fast) == pytest.approx(800 * factor, abs=1)


def test_speed_one_changes_nothing():
    samples = tone(800)
    assert change_speed(samples, 1.0) is samples


def test_a_cut_takes_its_own_channel(tmp_path):
    stereo = np.stack([tone(300), tone(900)], axis=1)
    soundfile.write(tmp_path / "s.wav", stereo, SAMPLING_RATE)
    for channel, frequency_hz in enumerate((300, 900)):
        samples = load_cut(cut_of(tmp_path / "s.wav", 1.0, channel=channel))
        assert peak_hz(samples) == pytest.approx(frequency_hz, abs=1.5)


def test_a_cut_of_another_rate_is_resampled_after_cutting(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(500, 3.0, 8000), 8000)
    samples = load_cut(cut_of(tmp_path / "a.wav", 1.0, start_s=1.0, recording_s=3.0, rate=8000))
    assert len(samples) == SAMPLING_RATE
    assert peak_hz(samples) == pytest.approx(500, abs=1.5)


def test_lhotse_transforms_of_a_recording_are_applied(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(500, 1.0, 8000), 8000)
    cut = cut_of(tmp_path / "a.wav", 1.0, rate=8000).resample(16_000)
    samples = load_cut(cut)
    assert len(samples) == SAMPLING_RATE
    assert peak_hz(samples) == pytest.approx(500, abs=1.5)


@pytest.mark.parametrize(("suffix", "kept"), [("wav", 0.3), ("wav", 0.8), ("flac", 0.5)])
def test_a_truncated_recording_names_the_utterance(tmp_path, suffix, kept):
    whole = tmp_path / f"whole.{suffix}"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * SAMPLING_RATE)
    soundfile.write(whole, noise, SAMPLING_RATE)
    truncated = tmp_path / f"cut.{suffix}"
    truncated.write_bytes(whole.read_bytes()[: int(kept * whole.stat().st_size)])
    cut = cut_of(whole, 2.0)
    shutil.move(truncated, whole)
    message = r"utterance utt7 \(.*whole.*\): expected 2\.00 s of readable audio from 0\.00 s"
    with pytest.raises(UserError, match=message) as caught:
        load_cut(cut)
    assert "extra info" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_cut_behind_the_end_of_its_recording_names_the_utterance(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(500, 1.0), SAMPLING_RATE)
    with pytest.raises(UserError, match=r"utterance utt7 .* expected 0\.30 s of .* from 1\.20 s"):
        load_cut(cut_of(tmp_path / "a.wav", 0.3, start_s=1.2))


def test_a_wrong_rate_in_the_manifest_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(500, 1.0, 48_000), 48_000)
    with pytest.raises(UserError, match=r"found 48000 Hz, not the manifest's 16000 Hz"):
        load_cut(cut_of(tmp_path / "a.wav", 1.0))


@pytest.mark.parametrize("kind", ["command", "url", "shar"])
def test_commands_are_not_run_and_addresses_not_fetched(tmp_path, kind):
    source = AudioSource(kind, [0], f"touch {tmp_path / 'run'}")
    recording = Recording("rec", [source], SAMPLING_RATE, SAMPLING_RATE, 1.0, [0])
    message = rf"utterance utt7 \(touch .*\): expected 1\.00 s of readable .* a source of .*{kind}"
    for transforms in (None, [Volume(0.5)]):
        recording.transforms = transforms
        with pytest.raises(UserError, match=message):
            load_cut(MonoCut("utt7", 0, 1.0, 0, [], recording=recording))
    assert not (tmp_path / "run").exists()


def test_a_name_that_a_shell_would_run_is_refused_under_a_transform(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a'; touch run; '.opus"
    soundfile.write(
        path, tone(500, 1.0, SAMPLING_RATE), SAMPLING_RATE, format="OGG", subtype="OPUS"
    )
    cut = cut_of(path, 1.0)
    assert len(load_cut(cut)) == SAMPLING_RATE
    cut.recording.transforms = [Volume(0.5)]
    with pytest.raises(UserError, match=r"found a file name with unusual characters, under a tran"):
        load_cut(cut)
    assert not (tmp_path / "run").exists()


def multi_cut(sources, channels, *, start_s=0.0, duration_s=1.0, recording_s=1.0):
    known = [channel for source in sources for channel in source.channels]
    recording = Recording(
        "rec", sources, SAMPLING_RATE, round(recording_s * SAMPLING_RATE), recording_s, known
    )
    return MultiCut("utt7", start_s, duration_s, channels, [], recording=recording)


@pytest.mark.parametrize("channels", [[0, 1, 2], [0, 2], [1], [2, 0]])
def test_a_cut_of_several_channels_is_their_mean(tmp_path, channels):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (SAMPLING_RATE, 3)).astype(np.float32)
    soundfile.write(tmp_path / "all.wav", sound, SAMPLING_RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "two.wav", sound[:, :2], SAMPLING_RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "one.wav", sound[:, 2], SAMPLING_RATE, subtype="FLOAT")
    expected = sound[4000:12_000, channels].mean(axis=1)
    one_file = [AudioSource("file", [0, 1, 2], str(tmp_path / "all.wav"))]
    in_memory = [AudioSource("memory", [0, 1, 2], (tmp_path / "all.wav").read_bytes())]
    two_files = [
        AudioSource("file", [0, 1], str(tmp_path / "two.wav")),
        AudioSource("file", [2], str(tmp_path / "one.wav")),
    ]
    for sources in (one_file, in_memory, two_files):
        samples = load_cut(multi_cut(sources, channels, start_s=0.25, duration_s=0.5))
        assert samples.dtype == np.float32
        np.testing.assert_allclose(samples, expected, atol=1e-6)


def test_sound_in_memory_is_named_without_its_bytes():
    cut = multi_cut([AudioSource("memory", [0], b"\x00nothing")], [0])
    with pytest.raises(UserError, match=r"utterance utt7 \(in memory\): .* found Format not"):
        load_cut(cut)


def test_a_channel_that_the_file_lacks_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(500), SAMPLING_RATE)
    cut = multi_cut([AudioSource("file", [0, 1], str(tmp_path / "a.wav"))], [0, 1])
    with pytest.raises(UserError, match=r"utterance utt7 .* found 1 channels\. Replace the file"):
        load_cut(cut)


def test_a_cut_of_several_channels_with_transforms_is_their_mean(tmp_path):
    stereo = np.stack([tone(500), tone(900)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, SAMPLING_RATE)
    cut = multi_cut([AudioSource("file", [0, 1], str(tmp_path / "a.wav"))], [0, 1])
    samples = load_cut(cut.resample(8000))
    np.testing.assert_allclose(samples[500:-500], stereo.mean(axis=1)[500:-500], atol=0.01)


@pytest.mark.parametrize("suffix", ["wav", "flac", "opus"])
@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_cuts_are_what_libsndfile_decodes_to_the_bit(tmp_path, suffix, rate):
    form = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * rate)
    soundfile.write(tmp_path / f"a.{suffix}", noise, rate, **form)
    for start_s, duration_s in ((0.0, 3.0), (0.0, 1.2), (1.3, 0.77), (2.5, 0.5)):
        start, frames = round(start_s * rate), round(duration_s * rate)
        expected, _ = soundfile.read(tmp_path / f"a.{suffix}", frames, start, dtype="float32")
        if rate != SAMPLING_RATE:
            expected = soxr.resample(expected, rate, SAMPLING_RATE)
        cut = cut_of(
            tmp_path / f"a.{suffix}", duration_s, start_s=start_s, recording_s=3.0, rate=rate
        )
        np.testing.assert_array_equal(load_cut(cut), expected)


def test_cuts_of_media_files_are_read(tmp_path, encode, decode):
    encode(tmp_path / "a.m4a", tone(500, 4.0)[None], SAMPLING_RATE, "aac")
    [whole] = decode(tmp_path / "a.m4a")
    recording = Recording(
        "rec", [AudioSource("file", [0], str(tmp_path / "a.m4a"))], SAMPLING_RATE, 64_000, 4.0, [0]
    )
    samples = load_cut(MonoCut("utt7", 2.7, 0.5, 0, [], recording=recording))
    np.testing.assert_allclose(samples, whole[43_200:51_200], atol=1e-6)


def test_opus_has_no_rate_that_a_manifest_could_miss(tmp_path):
    soundfile.write(
        tmp_path / "a.opus", tone(500, 2.0), SAMPLING_RATE, format="OGG", subtype="OPUS"
    )
    cut = cut_of(tmp_path / "a.opus", 1.0, start_s=0.5, recording_s=2.0, rate=48_000)
    expected, _ = soundfile.read(tmp_path / "a.opus", 16_000, 8000, dtype="float32")
    np.testing.assert_array_equal(load_cut(cut), expected)


@pytest.mark.parametrize("missing", [40, 2000])
def test_a_few_missing_samples_are_noticed(tmp_path, missing):
    soundfile.write(tmp_path / "a.wav", tone(500, 2.0), SAMPLING_RATE)
    cut = cut_of(tmp_path / "a.wav", 1.0, start_s=1.0, recording_s=2.0)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-missing])
    with pytest.raises(UserError, match=r"utterance utt7 .* found a truncated file: 64000 bytes"):
        load_cut(cut)


@pytest.mark.parametrize("rate", [0, -1, 500_000])
def test_an_absurd_rate_of_an_array_is_refused(rate):
    with pytest.raises(UserError, match=rf"x: expected .* found a sampling rate of {rate} Hz"):
        to_model_rate(tone(500), rate, name="x")
