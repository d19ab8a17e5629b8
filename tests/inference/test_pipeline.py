"""Files and arrays of any rate and channel count to text, and refusals that say what to do."""

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
import soundfile
import soxr
import torch

import horizon_st
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.errors import UserError
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.inference.segmenter import SegmenterConfig, SpeechSegment
from horizon_st.inference.utterance import LongRecordingWarning

WHOLE = {"one_utterance": True}
"""For tones, in which nobody speaks."""

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
    by_array = translator.translate(recordings[1], sampling_rate=16_000, **WHOLE)
    by_path, by_name = translator.translate(path, **WHOLE), translator.translate(str(path), **WHOLE)
    assert by_array.text == by_path.text == by_name.text
    assert by_array.score == by_path.score
    assert (by_array.source, by_path.source) == ("array", str(path))
    assert by_path.duration_s == pytest.approx(0.8)
    assert by_path.score < 0


def test_a_list_gives_the_same_as_one_by_one(translator, recordings, tmp_path):
    path = tmp_path / "speech.wav"
    soundfile.write(path, recordings[2], 16_000, subtype="FLOAT")
    together = translator.translate(
        [recordings[0], recordings[1], path], sampling_rate=16_000, **WHOLE
    )
    alone = [
        translator.translate(one, sampling_rate=16_000, **WHOLE) for one in (*recordings[:2], path)
    ]
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
    result = translator.translate(path, **WHOLE)
    expected = translator.translate(
        soxr.resample(stored.mean(axis=1), rate, 16_000), sampling_rate=16_000, **WHOLE
    )
    assert result.score == pytest.approx(expected.score, abs=1e-3)
    assert result.text == expected.text
    assert result.duration_s == pytest.approx(len(stored) / rate, abs=1e-3)
    if num_channels == 2:
        assert translator.translate(stored.T, sampling_rate=rate, **WHOLE).text == result.text


def test_integers_are_at_their_own_full_scale(translator, recordings):
    as_float = translator.translate(recordings[0], sampling_rate=16_000, **WHOLE)
    as_int = translator.translate(
        (recordings[0] * 32_768).astype("int16"), sampling_rate=16_000, **WHOLE
    )
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


@pytest.mark.parametrize(
    "turn", [torch.from_numpy, lambda samples: torch.from_numpy(samples)[None], list]
)
def test_tensors_are_taken_as_arrays_are_and_lists_of_numbers_refused(translator, speech, turn):
    samples = speech(2)
    given = turn(samples)
    if isinstance(given, list):
        for audio in (given, [1.5, 0.5], [given], iter([given])):
            with pytest.raises(UserError, match=r"found \w+\. Pass arrays; of a list of num"):
                translator.translate(audio, sampling_rate=16_000)
        return
    expected = translator.translate(samples, sampling_rate=16_000)
    assert expected.segments
    assert translator.translate(given, sampling_rate=16_000) == expected
    assert translator.translate([given], sampling_rate=16_000) == [expected]
    blocks = translator.translate(iter(given.split(1_600, dim=-1)), sampling_rate=16_000)
    assert blocks.segments == expected.segments
    live = translator.translate_stream(given.split(1_600, dim=-1), sampling_rate=16_000)
    assert [event.is_final for event in live][-1]


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (b"RIFF", r"audio: expected a path, .* found bytes\. Of the bytes of a file, pass io\.Byt"),
        (torch.zeros(16_000, requires_grad=True), r"found Tensor: .* tensor\.detach\(\)"),
        (torch.zeros(16_000, dtype=torch.bfloat16), r"found Tensor: .*detach\(\)\.float\(\)\.cpu"),
        (None, r"found NoneType"),
        ({"array": np.zeros(16_000)}, r"\[N\] or \[channels, N\], found str\. Pass"),
    ],
)
def test_what_is_no_array_of_samples_is_refused_for_what_it_is(translator, audio, message):
    with pytest.raises(UserError, match=message):
        translator.translate(audio, sampling_rate=16_000)


def test_utterances_beyond_the_model_are_refused(translator):
    with pytest.raises(UserError, match=r"array: expected an utterance that is no longer .* 10"):
        translator.translate(
            np.zeros(16_000 * 10, "float32"), sampling_rate=16_000, one_utterance=True
        )


def test_of_utterances_beyond_the_model_no_more_is_read_than_it_can_take(translator):
    given_s = 0

    def endless():
        nonlocal given_s
        while True:
            given_s += 1
            yield np.zeros(16_000, "float32")

    with pytest.raises(UserError, match=r"audio stream: .* found more than \d+\.\d s\. Let it be"):
        translator.translate(endless(), sampling_rate=16_000, one_utterance=True)
    assert given_s < 10  # the model can take 5.1 s


def test_unreadable_files_are_refused(translator, tmp_path):
    with pytest.raises(UserError, match=r"none\.wav: expected an audio file, found no such file"):
        translator.translate(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("not audio", encoding="utf-8")
    with pytest.raises(UserError, match=r"text\.wav: expected whole audio .* or convert it"):
        translator.translate(tmp_path / "text.wav")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected a model folder .* found no config\.json"):
        SpeechTranslator.from_pretrained(tmp_path)


def test_utterances_far_longer_than_training_are_translated_with_a_warning(
    trained_on_half_seconds, translator, recordings, tmp_path
):
    path = tmp_path / "long.wav"
    soundfile.write(path, recordings[2], 16_000, subtype="FLOAT")
    knowing = SpeechTranslator.from_pretrained(trained_on_half_seconds, config=SEARCH)
    with pytest.warns(
        LongRecordingWarning,
        match=r"long\.wav: 1\.1 s long, .* utterances of at most 0\.5 s; .* Let long recordings",
    ) as caught:
        found = knowing.translate(path, one_utterance=True)
    assert [warning.filename for warning in _about_length(caught)] == [__file__]
    assert found == translator.translate(path, **WHOLE)  # which knows no length and says nothing
    with pytest.warns(LongRecordingWarning, match=r"^array: 1\.1 s long") as caught:
        knowing.translate([*recordings, recordings[2]], sampling_rate=16_000, one_utterance=True)
    assert [str(warning.message)[:10] for warning in _about_length(caught)] == ["array: 1.1"] * 2


def _about_length(caught):
    return [warning for warning in caught if issubclass(warning.category, LongRecordingWarning)]


@pytest.fixture(scope="module")
def with_pause(speech):
    """Speech of a minute with a pause of 3 s in the middle."""
    return np.concatenate([speech(30), np.zeros(48_000, np.float32), speech(30, start_s=60)])


def test_a_long_recording_is_cut_and_each_segment_translated_as_if_alone(translator, with_pause):
    speech = [*translator.cut(with_pause, sampling_rate=16_000)]
    found = [*translator.translate_recording(with_pause, sampling_rate=16_000)]
    assert len(found) == len(speech) > 4 * SEARCH.batch_size, "all in one window"
    for segment, cut in zip(found, speech, strict=True):
        alone = translator.translate(cut.samples, sampling_rate=16_000, one_utterance=True)
        assert (segment.start_s, segment.end_s) == (cut.start_s, cut.end_s)
        assert segment.text == alone.text
        assert segment.score == pytest.approx(alone.score, abs=1e-4)
        assert segment.confidence == pytest.approx(np.exp(alone.score), abs=1e-4)
    assert len({segment.score for segment in found}) == len(found), "the model ignores its input"
    assert not any(30.2 < s.start_s < 32.8 or 30.2 < s.end_s < 32.8 for s in found)


def test_any_source_of_a_long_recording_gives_the_same(translator, speech, tmp_path):
    path = tmp_path / "long.flac"
    soundfile.write(path, speech(15), 16_000)
    stored, _ = soundfile.read(path, dtype="float32")
    by_path = translator.translate(path)
    with path.open("rb") as file:
        by_file = translator.translate(file)
    blocks = (stored[i : i + 7_777] for i in range(0, len(stored), 7_777))
    by_blocks = translator.translate(blocks, sampling_rate=16_000)
    by_array = translator.translate(stored, sampling_rate=16_000)
    in_memory = translator.translate(io.BytesIO(path.read_bytes()))
    assert by_path.source == by_file.source == str(path)
    assert by_blocks.source == in_memory.source == "audio stream"
    for other in (by_file, by_blocks, by_array, in_memory):
        assert other.text == by_path.text
        assert other.segments == by_path.segments
        assert other.duration_s == by_path.duration_s == 15
    assert by_path.text == " ".join(segment.text for segment in by_path.segments)
    tokens = [segment.num_tokens for segment in by_path.segments]
    scores = [segment.score for segment in by_path.segments]
    assert by_path.score == pytest.approx(np.average(scores, weights=tokens))


def test_the_first_text_comes_after_one_batch(translator, with_pause, monkeypatch):
    sizes = []
    decode = translator.decode
    monkeypatch.setattr(
        translator, "decode", lambda samples: sizes.append(len(samples)) or decode(samples)
    )
    found = translator.translate_recording(with_pause, sampling_rate=16_000)
    assert next(found).text is not None
    assert sizes == [2]
    assert len([*found]) + 1 == sum(sizes)


def test_the_last_block_of_a_stream_may_have_fewer_samples_than_channels(translator, speech):
    stereo = np.tile(speech(2), (2, 1))[:, :16_001]
    blocks = [stereo[:, i : i + 1_600] for i in range(0, 19_200, 1_600)]
    assert [block.shape for block in blocks[-2:]] == [(2, 1), (2, 0)]
    by_blocks = translator.translate(iter(blocks), sampling_rate=16_000)
    assert by_blocks.segments == translator.translate(stereo, sampling_rate=16_000).segments != ()
    with pytest.raises(UserError, match=r"shape \[1600, 2\]\. Transpose"):
        translator.translate(iter([block.T for block in blocks]), sampling_rate=16_000)


@pytest.mark.parametrize("seconds", [2.0, 30.0])
def test_silence_has_no_translation(translator, seconds):
    silence = np.zeros(round(16_000 * seconds), np.float32)
    assert [*translator.translate_recording(silence, sampling_rate=16_000)] == []
    whole = translator.translate(silence, sampling_rate=16_000)
    assert (whole.text, whole.score, whole.duration_s, whole.segments) == ("", 0.0, seconds, ())


def test_of_a_short_recording_the_pauses_are_left_out_unless_it_is_one_utterance(
    translator, speech
):
    pause = np.zeros(20_000, np.float32)
    samples = np.concatenate([pause, speech(1), pause])
    assert len(samples) / 16_000 < translator.segmenter.longest_s
    found = translator.translate(samples, sampling_rate=16_000)
    assert [*found.segments] == [*translator.translate_recording(samples, sampling_rate=16_000)]
    [segment] = found.segments
    assert 1.2 < segment.start_s < segment.end_s < 2.3
    whole = translator.translate(samples, sampling_rate=16_000, one_utterance=True)
    assert [(one.start_s, one.end_s) for one in whole.segments] == [(0.0, 3.5)]
    assert whole.score != found.score
    assert whole.duration_s == found.duration_s == 3.5


def test_segments_are_no_longer_than_what_the_model_has_learnt_or_can_take(
    translator, trained_on_half_seconds
):
    knowing = SpeechTranslator.from_pretrained(trained_on_half_seconds)
    assert knowing.segmenter.longest_s == 0.5
    longest_s = translator.segmenter.longest_s  # of 128 positions, 25 a second
    assert longest_s == pytest.approx(5.12, abs=0.05)
    for seconds, is_refused in ((longest_s, False), (longest_s + 0.1, True)):
        samples = np.zeros(round(16_000 * seconds), np.float32)
        with pytest.raises(UserError) if is_refused else nullcontext():
            translator.translate(samples, sampling_rate=16_000, one_utterance=True)
    asked = SpeechTranslator(translator.runtime, segmenter=SegmenterConfig(longest_s=2))
    assert asked.segmenter.longest_s == 2


def test_pieces_of_several_recordings_share_batches_and_keep_their_order(
    translator, speech, monkeypatch
):
    sizes = []
    decode = translator.decode
    monkeypatch.setattr(
        translator, "decode", lambda samples: sizes.append(len(samples)) or decode(samples)
    )
    pieces = [
        (name, SpeechSegment(start, start + 1, speech(length_s, start_s=start)))
        for name, start, length_s in (("a", 1, 1.0), ("a", 2, 3.0), ("b", 3, 1.1), ("b", 4, 2.9))
    ]
    found = [*translator.translate_pieces([*pieces[:2], ("a", None), *pieces[2:]])]
    assert [(key, segment and segment.start_s) for key, segment in found] == [
        ("a", 1), ("a", 2), ("a", None), ("b", 3), ("b", 4),
    ]  # fmt: skip
    assert sizes == [2, 2]
    alone = [translator.translate_segments([piece])[0] for _, piece in pieces]
    together = [segment for _, segment in found if segment is not None]
    assert [one.text for one in together] == [one.text for one in alone]


def test_threads_may_share_a_translator(translator, speech):
    recordings = [speech(2, start_s=start) for start in range(0, 24, 3)]

    def run(samples):
        return translator.translate(samples, sampling_rate=16_000)

    expected = [run(samples) for samples in recordings]
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(run, recordings * 2)] == expected * 2


def test_a_precision_that_the_device_lacks_is_refused_at_once(translator, monkeypatch):
    monkeypatch.setattr("horizon_st.inference.pytorch_runtime.check_precision", _refuse)
    with pytest.raises(UserError, match=r"decoding\.precision"):
        SpeechTranslator(translator.runtime)


def _refuse(config, device):
    raise UserError("decoding.precision", expected="fp32", found="bf16", remedy="Set it.")
