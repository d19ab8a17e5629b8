"""Files and arrays of any rate and channel count to text, and refusals that say what to do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from typer.testing import CliRunner

import horizon_st
from horizon_st.cli import app
from horizon_st.decoding.generate import DecodingConfig
from horizon_st.errors import UserError
from horizon_st.inference.pipeline import (
    LongRecordingWarning,
    SpeechTranslator,
    translate_files,
)

SEARCH = DecodingConfig(beam_size=2, max_tokens=12, batch_size=2)


@pytest.fixture(scope="module")
def translator(model_folder):
    return SpeechTranslator.from_pretrained(model_folder, config=SEARCH)


@pytest.fixture(scope="module")
def recordings():
    """Three tones of 0.5, 0.8 and 1.1 s at 16 kHz."""
    rng = np.random.default_rng(0)
    times_s = [np.arange(int(16_000 * length_s)) / 16_000 for length_s in (0.5, 0.8, 1.1)]
    return [
        (0.3 * np.sin(2 * np.pi * (200 + 300 * t) * t) + rng.normal(0, 0.02, len(t))).astype(
            "float32"
        )
        for t in times_s
    ]


def test_the_public_name():
    assert horizon_st.SpeechTranslator is SpeechTranslator


def test_an_array_and_its_file_give_the_same(translator, recordings, tmp_path):
    path = tmp_path / "speech.wav"
    soundfile.write(path, recordings[1], 16_000, subtype="FLOAT")
    by_array = translator.translate(recordings[1], sampling_rate=16_000)
    by_path, by_name = translator.translate(path), translator.translate(str(path))
    assert by_array.text == by_path.text == by_name.text
    assert by_array.score == by_path.score
    assert (by_array.source, by_path.source) == ("array", str(path))
    assert by_path.duration_s == pytest.approx(0.8)
    assert by_path.score < 0


def test_a_list_gives_the_same_as_one_by_one(translator, recordings, tmp_path):
    path = tmp_path / "speech.wav"
    soundfile.write(path, recordings[2], 16_000, subtype="FLOAT")
    together = translator.translate([recordings[0], recordings[1], path], sampling_rate=16_000)
    alone = [translator.translate(one, sampling_rate=16_000) for one in (*recordings[:2], path)]
    assert [one.text for one in together] == [one.text for one in alone]
    assert [one.score for one in together] == pytest.approx([one.score for one in alone], abs=1e-4)
    assert len({one.score for one in alone}) == 3, "the model ignores its input"
    assert translator.translate([]) == []


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "ogg"])
def test_any_rate_and_channel_count(translator, recordings, tmp_path, rate, num_channels, ending):
    path = tmp_path / f"speech.{ending}"
    samples = soxr.resample(recordings[1], 16_000, rate)
    soundfile.write(path, np.tile(samples[:, None], (1, num_channels)), rate)
    stored, _ = soundfile.read(path, dtype="float32", always_2d=True)
    result = translator.translate(path)
    expected = translator.translate(
        soxr.resample(stored.mean(axis=1), rate, 16_000), sampling_rate=16_000
    )
    assert result.score == pytest.approx(expected.score, abs=1e-3)
    assert result.text == expected.text
    assert result.duration_s == pytest.approx(len(stored) / rate, abs=1e-3)
    if num_channels == 2:
        assert translator.translate(stored.T, sampling_rate=rate).text == result.text


def test_integers_are_at_their_own_full_scale(translator, recordings):
    as_float = translator.translate(recordings[0], sampling_rate=16_000)
    as_int = translator.translate((recordings[0] * 32_768).astype("int16"), sampling_rate=16_000)
    assert as_int.score == pytest.approx(as_float.score, abs=1e-2)


@pytest.mark.parametrize(
    ("array", "sampling_rate", "message"),
    [
        (np.zeros(16_000, "float32"), None, "sampling_rate: expected the rate .* found None"),
        (np.zeros(16_000, "float32"), 0, "sampling_rate: expected the rate .* found 0"),
        (np.zeros((16_000, 2), "float32"), 16_000, r"found shape \[16000, 2\]\. Transpose"),
        (np.zeros((1, 1, 9), "float32"), 16_000, r"expected shape \[N\] or \[channels, N\]"),
        (np.zeros(16_000, "uint8"), 16_000, "found values of type uint8"),
        (np.zeros(0, "float32"), 16_000, "expected at least one sample"),
        (np.full(16_000, np.nan, "float32"), 16_000, "found NaN"),
    ],
)
def test_arrays_that_cannot_be_speech_are_refused(translator, array, sampling_rate, message):
    with pytest.raises(UserError, match=message):
        translator.translate(array, sampling_rate=sampling_rate)


def test_recordings_beyond_the_model_are_refused(translator):
    with pytest.raises(UserError, match="expected at most 128 frames after subsampling"):
        translator.translate(np.zeros(16_000 * 10, "float32"), sampling_rate=16_000)


def test_unreadable_files_are_refused(translator, tmp_path):
    with pytest.raises(UserError, match=r"none\.wav: expected an audio file, found no such file"):
        translator.translate(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("not audio", encoding="utf-8")
    with pytest.raises(UserError, match=r"text\.wav: expected whole audio .* or convert it"):
        translator.translate(tmp_path / "text.wav")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected a model folder .* found no config\.json"):
        SpeechTranslator.from_pretrained(tmp_path)


def test_files_are_translated_in_order(model_folder, translator, recordings, tmp_path):
    paths = []
    for number, samples in enumerate(recordings):
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], samples, 16_000, subtype="FLOAT")
    results = list(translate_files(model_folder, paths, config=SEARCH))
    assert results == [translator.translate(path) for path in paths]


@pytest.fixture
def trained_on_half_seconds(model_folder, tmp_path):
    """The model, in a folder that says how long the training utterances were."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"longest_training_s": 0.5}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_recordings_far_longer_than_training_are_translated_with_a_warning(
    trained_on_half_seconds, translator, recordings, tmp_path
):
    path = tmp_path / "long.wav"
    soundfile.write(path, recordings[2], 16_000, subtype="FLOAT")
    knowing = SpeechTranslator.from_pretrained(trained_on_half_seconds, config=SEARCH)
    with pytest.warns(
        LongRecordingWarning,
        match=r"long\.wav: 1\.1 s long, .* utterances of at most 0\.5 s; .* Cut long recordings",
    ) as caught:
        found = knowing.translate(path)
    assert [warning.filename for warning in _about_length(caught)] == [__file__]
    assert found == translator.translate(path)  # which knows no length and says nothing
    with pytest.warns(LongRecordingWarning, match=r"^array: 1\.1 s long") as caught:
        knowing.translate([*recordings, recordings[2]], sampling_rate=16_000)
    assert [str(warning.message)[:10] for warning in _about_length(caught)] == ["array: 1.1"] * 2


def _about_length(caught):
    return [warning for warning in caught if issubclass(warning.category, LongRecordingWarning)]


def test_the_command_warns_on_one_line_and_still_translates(
    trained_on_half_seconds, recordings, tmp_path
):
    paths = [tmp_path / "short.wav", tmp_path / "long[1].wav"]
    for path, samples in zip(paths, recordings[1:], strict=True):
        soundfile.write(path, samples, 16_000, subtype="FLOAT")
    result = CliRunner().invoke(
        app, ["translate", str(trained_on_half_seconds), *map(str, [*paths, paths[1]])]
    )
    assert result.exit_code == 0, result.output
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [
        str(path) for path in (*paths, paths[1])
    ]
    warned = result.stderr.splitlines()
    assert len(warned) == 2
    for line in warned:
        assert line.startswith(f"Warning: {paths[1]}: 1.1 s long, but the model was trained on")


def test_a_missing_file_is_found_before_the_model_is_loaded(tmp_path):
    with pytest.raises(UserError, match=r"none\.wav: expected an audio file"):
        next(translate_files(tmp_path / "no-model", [Path("none.wav")]))
