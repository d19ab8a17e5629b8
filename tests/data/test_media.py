"""What libsndfile does not read, against PyAV's decoding of the whole file."""

import io

import av
import numpy as np
import pytest
import soundfile
import soxr

from horizon_st.data.audio import audio_info, load_audio
from horizon_st.data.media import MediaReader
from horizon_st.data.mono import DamagedSoundWarning, stream_audio
from horizon_st.errors import UserError

RATE = 16_000
DURATION_S = 9

# AAC replaces noise by other noise where the ear does not notice, unless told not to.
AAC = ("aac", 16_000, {"aac_pns": "0"})
FORMATS = {
    "m4a": AAC,
    "mp4": AAC,
    "mov": AAC,
    "mkv": AAC,
    "ts": AAC,
    "aac": AAC,
    "mp3": ("libmp3lame", 16_000, {}),
    "webm": ("libopus", 48_000, {}),
    "wma": ("wmav2", 16_000, {}),
    "avi": ("pcm_s16le", 16_000, {}),
    "caf": ("alac", 44_100, {}),
}
CONTAINERS = {"aac": "adts", "wma": "asf", "ts": "mpegts", "m4a": "mp4"}


def chirp_and_noise(rate, duration_s=DURATION_S):
    time_s = np.arange(round(duration_s * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.03, len(time_s))
    return (0.4 * np.sin(2 * np.pi * (200 + 60 * time_s) * time_s) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory, encode):
    """A file of each format."""
    folder = tmp_path_factory.mktemp("media")
    for suffix, (codec, rate, options) in FORMATS.items():
        samples = chirp_and_noise(rate)[None]
        container = CONTAINERS.get(suffix)
        encode(folder / f"a.{suffix}", samples, rate, codec, container=container, options=options)
    return folder


def as_floats(whole):
    return whole / np.float32(np.iinfo(whole.dtype).max + 1) if whole.dtype.kind == "i" else whole


@pytest.mark.parametrize("suffix", FORMATS)
def test_parts_are_slices_of_the_whole_to_the_sample(files, suffix, decode):
    path, rate = files / f"a.{suffix}", FORMATS[suffix][1]
    whole = as_floats(decode(path))[0].astype(np.float32)
    assert abs(len(whole) - DURATION_S * rate) < 4096

    def check(start, end, **arguments):
        expected = soxr.resample(whole[start:end], rate, RATE) if rate != RATE else whole[start:end]
        part = load_audio(path, offset_s=start / rate, **arguments)
        assert part.dtype == np.float32
        assert part.shape == expected.shape
        np.testing.assert_allclose(part, expected, atol=2e-6)

    check(0, len(whole))
    for start_s in (0, 0.7, 1.9, 2.5, 4.43, 6.01, 8.2):
        start = round(start_s * rate)
        check(start, start + round(0.6 * rate), duration_s=0.6)
    check(len(whole) - rate, len(whole))
    check(len(whole) - rate, len(whole), duration_s=1000.0)


@pytest.mark.parametrize("suffix", sorted(FORMATS.keys() - {"wma", "avi"}))
def test_what_is_before_a_part_is_not_decoded(files, monkeypatch, suffix):
    num_decoded = 0
    convert = MediaReader._to_block

    def counting(reader, frame):
        nonlocal num_decoded
        num_decoded += frame.samples
        return convert(reader, frame)

    monkeypatch.setattr(MediaReader, "_to_block", counting)
    load_audio(files / f"a.{suffix}", offset_s=8.0, duration_s=0.5)
    assert num_decoded < 2.5 * FORMATS[suffix][1]


@pytest.mark.parametrize("suffix", FORMATS)
def test_lengths_are_those_of_the_decoded_sound(files, suffix, decode):
    info = audio_info(files / f"a.{suffix}")
    num_samples = decode(files / f"a.{suffix}").shape[1]
    assert (info.sampling_rate, info.num_samples, info.num_channels) == (
        FORMATS[suffix][1], num_samples, 1,
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["m4a", "webm", "mp3"])
def test_the_sound_begins_where_it_began_before_encoding(files, suffix):
    original = chirp_and_noise(RATE)
    decoded = load_audio(files / f"a.{suffix}")[: len(original)]
    lags = np.arange(-200, 201)
    middle = slice(5000, 15_000)
    match = [np.dot(original[middle], np.roll(decoded, lag)[middle]) for lag in lags]
    assert abs(lags[np.argmax(match)]) <= 1


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_mp3_is_what_libsndfile_decodes(tmp_path, rate):
    soundfile.write(tmp_path / "a.mp3", chirp_and_noise(rate, 3.0), rate)
    whole, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32")
    expected = soxr.resample(whole, rate, RATE) if rate != RATE else whole
    np.testing.assert_allclose(load_audio(tmp_path / "a.mp3"), expected, atol=1e-4)
    assert audio_info(tmp_path / "a.mp3").num_samples == len(whole)


def test_a_video_gives_its_first_audio_stream_and_channels_are_averaged(tmp_path, encode, decode):
    left = chirp_and_noise(RATE, 2.0)
    encode(tmp_path / "v.mp4", np.stack([left, -left / 2]), RATE, "aac", video=True)
    assert audio_info(tmp_path / "v.mp4").num_channels == 2
    expected = decode(tmp_path / "v.mp4").mean(axis=0)
    np.testing.assert_array_equal(load_audio(tmp_path / "v.mp4"), expected)
    encode(tmp_path / "m.mov", np.stack([left, left]), RATE, "pcm_s16le")
    np.testing.assert_allclose(load_audio(tmp_path / "m.mov"), left, atol=4e-5)


@pytest.mark.parametrize("suffix", ["m4a", "webm", "mp3"])
def test_open_files_and_buffers_are_read_alike(files, suffix):
    path = files / f"a.{suffix}"
    expected = load_audio(path, offset_s=3.0, duration_s=1.0)
    buffer = io.BytesIO(path.read_bytes())
    np.testing.assert_array_equal(load_audio(buffer, offset_s=3.0, duration_s=1.0), expected)
    with path.open("rb") as file:
        np.testing.assert_array_equal(load_audio(file, offset_s=3.0, duration_s=1.0), expected)
        assert not file.closed


@pytest.mark.parametrize(
    ("pcm", "scale"), [("pcm_u8", 2**7), ("pcm_s16le", 2**15), ("pcm_s32le", 2**31)]
)
def test_integers_become_floats_of_full_scale_one(tmp_path, pcm, scale, encode):
    samples = chirp_and_noise(RATE, 0.5)
    encode(tmp_path / "a.mkv", samples[None], RATE, pcm)
    np.testing.assert_allclose(
        load_audio(tmp_path / "a.mkv"), samples, atol=max(1.01 / scale, 1e-7)
    )


@pytest.mark.parametrize("suffix", ["m4a", "mkv", "aac", "mp3", "webm"])
def test_a_truncated_file_is_refused(files, tmp_path, suffix):
    data = (files / f"a.{suffix}").read_bytes()
    for kept in (0.05, 0.5, 0.93):
        path = tmp_path / f"cut.{suffix}"
        path.write_bytes(data[: int(kept * len(data))])
        for read in (audio_info, load_audio, lambda path: [*stream_audio(path)]):
            with pytest.raises(UserError, match=rf"cut\.{suffix}: expected whole audio .* Get the"):
                read(path)


def test_a_video_without_sound_is_refused(tmp_path, encode):
    encode(tmp_path / "a.mp4", chirp_and_noise(RATE, 1.0)[None], RATE, "aac", video=True)
    with av.open(tmp_path / "a.mp4") as source, av.open(tmp_path / "b.mp4", "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    with pytest.raises(UserError, match=r"b\.mp4: expected whole audio .* no audio stream"):
        load_audio(tmp_path / "b.mp4")


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:9,\n{other}\n", "ffconcat version 1.0\nfile '{other}'\n"]
)
def test_playlists_do_not_open_other_files(files, tmp_path, text):
    (tmp_path / "list.wav").write_text(text.format(other=files / "a.m4a"), encoding="utf-8")
    with pytest.raises(UserError, match=r"list\.wav: expected whole audio"):
        load_audio(tmp_path / "list.wav")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_streams_that_follow_each_other_in_one_ogg_file_are_read_as_one(tmp_path, subtype):
    links = [tmp_path / "1.ogg", tmp_path / "2.ogg"]
    for number, link in enumerate(links):
        sound = chirp_and_noise(RATE, 6.0) * (1.0 - 0.5 * number)
        soundfile.write(link, sound, RATE, format="OGG", subtype=subtype)
    chain = tmp_path / "chain.ogg"
    chain.write_bytes(b"".join(link.read_bytes() for link in links))
    expected = np.concatenate([load_audio(link) for link in links])
    whole = load_audio(chain)
    assert abs(len(whole) - len(expected)) <= 0.02 * RATE
    # Resampling from Opus' 48 kHz takes some samples' room at each end.
    inner = slice(RATE, 5 * RATE)
    assert np.corrcoef(whole[inner], expected[inner])[0, 1] > 0.99
    later = slice(-5 * RATE, -RATE)
    assert 0.4 < np.std(whole[later]) / np.std(whole[inner]) < 0.6
    info = audio_info(chain)
    assert abs(info.num_samples / info.sampling_rate - 12) < 0.02
    for start_s in (2.5, 5.5, 9.25):
        part = load_audio(chain, offset_s=start_s, duration_s=1.0)
        start = round(start_s * RATE)
        np.testing.assert_allclose(
            part[400:-400], whole[start + 400 : start + RATE - 400], atol=1e-3
        )
    chain.write_bytes(chain.read_bytes()[:-200])
    for read in (audio_info, load_audio, lambda path: [*stream_audio(path)]):
        with pytest.raises(UserError, match=r"chain\.ogg: .* a last page of \d+ bytes .* there"):
            read(chain)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
def test_sound_that_begins_after_the_picture_keeps_its_times(tmp_path, suffix, encode, decode):
    path = tmp_path / f"late.{suffix}"
    codec, rate, options = FORMATS[suffix]
    sound = chirp_and_noise(rate, 6.0)[None]
    container = CONTAINERS.get(suffix)
    encode(
        path, sound, rate, codec, container=container, options=options, video=True, delay_s=1.5
    )  # fmt: skip
    decoded = decode(path)[0]
    whole = load_audio(path)
    num_before = len(whole) - len(decoded)
    # Some containers lose that the encoder's first frame is no sound.
    assert abs(num_before - 1.5 * rate) <= 1024 + 0.001 * rate
    assert not whole[:num_before].any()
    np.testing.assert_array_equal(whole[num_before:], decoded)
    assert audio_info(path).num_samples == len(whole)
    assert_parts_are_slices(path, whole)


@pytest.mark.parametrize(
    ("suffix", "video"),
    [
        ("m4a", False), ("mp4", True), ("mov", False), ("mkv", False), ("mkv", True),
        ("ts", True), ("webm", False),
    ],
)  # fmt: skip
def test_a_hole_in_the_timestamps_is_silence(tmp_path, suffix, video, encode, decode):
    path = tmp_path / f"hole.{suffix}"
    codec, rate, options = FORMATS[suffix]
    encode(
        path, chirp_and_noise(rate, 6.0)[None], rate, codec,
        container=CONTAINERS.get(suffix), options=options, video=video, hole=(3.0, 2.5),
    )  # fmt: skip
    decoded = decode(path)[0]
    decoded = soxr.resample(decoded, rate, RATE) if rate != RATE else decoded
    whole = load_audio(path)
    num_missing = len(whole) - len(decoded)
    assert abs(num_missing - 2.5 * RATE) <= 512
    before, behind = round(2.8 * RATE), round(2.5 * RATE)
    np.testing.assert_allclose(whole[:before], decoded[:before], atol=2e-6)
    np.testing.assert_allclose(whole[-behind:], decoded[-behind:], atol=2e-3)
    assert not whole[round(3.2 * RATE) : round(5.3 * RATE)].any()
    info = audio_info(path)
    assert round(info.num_samples * RATE / rate) == len(whole)
    assert_parts_are_slices(path, whole)


def test_a_clock_that_was_set_is_no_hole(tmp_path, encode, decode):
    path = tmp_path / "set.ts"
    sound = chirp_and_noise(RATE, 6.0)[None]
    encode(path, sound, RATE, "aac", container="mpegts", hole=(3.0, 5000.0))
    np.testing.assert_array_equal(load_audio(path), decode(path)[0])


def test_a_truncated_file_with_a_hole_is_refused(tmp_path, encode):
    encode(tmp_path / "a.mkv", chirp_and_noise(RATE, 6.0)[None], RATE, "aac", hole=(2.0, 3.0))
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: int(0.8 * len(data))])
    with pytest.raises(
        UserError, match=r"a truncated file: 9\.\d\d s .* header, [78]\.\d\d s there"
    ):
        load_audio(tmp_path / "a.mkv")


def assert_parts_are_slices(path, whole):
    for start_s in (0.5, 1.9, 2.9, 4.0, 5.25, 6.0, 7.0):
        start = round(start_s * RATE)
        expected = whole[start : start + RATE // 2]
        part = load_audio(path, offset_s=start_s, duration_s=0.5)
        assert len(part) == len(expected)
        # Resampling begins anew at the edges of a part.
        np.testing.assert_allclose(part[200:-200], expected[200:-200], atol=2e-3)


def damaged(path, *, at, num_bytes):
    data = bytearray(path.read_bytes())
    start = int(at * len(data))
    data[start : start + num_bytes] = np.random.default_rng(5).bytes(num_bytes)
    path.write_bytes(data)


def joined(path):
    return np.concatenate([*stream_audio(path)])


@pytest.mark.parametrize("suffix", ["m4a", "mkv", "mp3"])
def test_a_little_damage_is_silence_where_a_recording_is_streamed(files, tmp_path, suffix):
    path = tmp_path / f"scratched.{suffix}"
    path.write_bytes((files / f"a.{suffix}").read_bytes())
    whole = joined(path)
    damaged(path, at=0.5, num_bytes=300)
    with pytest.warns(
        DamagedSoundWarning,
        match=rf"scratched\.{suffix}: 0\.[0-3]\d s of its sound cannot .* first at 4\.\d\d s",
    ):
        found = joined(path)
    assert abs(len(found) - len(whole)) <= 0.1 * RATE
    np.testing.assert_allclose(found[: 4 * RATE], whole[: 4 * RATE], atol=1e-3)
    behind, nearby = whole[-32_000:-30_000], found[-34_000:-28_000]
    place = int(np.argmax(np.correlate(nearby, behind)))
    np.testing.assert_allclose(nearby[place : place + 2000], behind, atol=1e-3)
    if suffix != "mp3":  # FFmpeg may pass over frames of damaged MP3 without a word
        assert place == 2000
    with pytest.raises(UserError, match=rf"scratched\.{suffix}: expected whole audio .* Invalid d"):
        load_audio(path)


def test_much_damage_is_refused(files, tmp_path):
    path = tmp_path / "broken.m4a"
    path.write_bytes((files / "a.m4a").read_bytes())
    damaged(path, at=0.3, num_bytes=path.stat().st_size // 2)
    with pytest.raises(UserError, match=r"broken\.m4a: expected whole audio .* Get the file"):
        joined(path)


@pytest.mark.parametrize("suffix", ["m4a", "mp3"])
def test_damage_at_the_end_is_a_truncation(files, tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes((files / f"a.{suffix}").read_bytes())
    whole = path.read_bytes()
    start = whole.index(b"moov") - 900 if suffix == "m4a" else len(whole) - 900
    damaged(path, at=start / len(whole), num_bytes=890)
    with pytest.raises(
        UserError, match=rf"cut\.{suffix}: .* found (damage at its end|a truncated)"
    ):
        joined(path)
