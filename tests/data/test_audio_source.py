"""Everything that may lie where audio should be: refused by name, quietly, in little memory."""

import io
import os
import struct
import zipfile

import numpy as np
import pytest
import soundfile

from horizon_st.data import audio_file
from horizon_st.data.audio import audio_info, load_audio
from horizon_st.errors import UserError

RATE = 16_000


def wav(*, tag=1, num_channels=1, rate=RATE, bits=16, data=bytes(32_000), claimed=None):
    frame = num_channels * bits // 8
    claimed = len(data) if claimed is None else claimed
    return (
        b"RIFF" + struct.pack("<I", min(36 + claimed, 2**32 - 1)) + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, tag, num_channels, rate, min(rate * frame, 2**32 - 1),
                      frame % 2**16, bits)
        + b"data" + struct.pack("<I", claimed) + data
    )  # fmt: skip


def zip_bomb():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", bytes(10_000_000))
    return buffer.getvalue()


def floats(*values):
    samples = np.zeros(RATE, np.float32)
    samples[100 : 100 + len(values)] = values
    return wav(tag=3, bits=32, data=samples.tobytes())


NO_AUDIO = {
    "empty": (b"", "found an empty file"),
    "one byte": (b"R", "found .*[Uu]nknown|Invalid|not rec"),
    "zip bomb": (zip_bomb(), "found Format not recognised"),
    "text": (b"id\taudio\ttext\n" * 1000, "found Format not recognised"),
    "zeros": (bytes(100_000), "found Format not recognised"),
    "random": (np.random.default_rng(3).bytes(100_000), "found Format not recognised"),
    "only a header": (wav(data=b""), "found "),
    "4 GB in 1 kB": (wav(data=bytes(1000), claimed=4_000_000_000), "4000000000 bytes .* 1000 th"),
    "0 Hz": (wav(rate=0), "found "),
    "100 Hz": (wav(rate=100), "a sampling rate of 100 Hz, outside 4000 to 384000 Hz"),
    "500 kHz": (wav(rate=500_000), "a sampling rate of 500000 Hz, outside 4000 to 384000 Hz"),
    "4 GHz": (wav(rate=4_000_000_000), "found "),
    "0 channels": (wav(num_channels=0), "found "),
    "65 channels": (wav(num_channels=65, data=bytes(130_000)), "65 channels, outside 1 to 64"),
    "1000 channels": (wav(num_channels=1000, data=bytes(2_000_000)), "1000 channels, outside"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a"])
@pytest.mark.parametrize("case", NO_AUDIO)
def test_what_is_no_audio_is_refused(tmp_path, capfd, case, suffix):
    data, found = NO_AUDIO[case]
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(data)
    sources = (path, io.BytesIO(data))
    for source, name in zip(sources, (rf"x\.{suffix}", "audio stream"), strict=True):
        with pytest.raises(UserError, match=rf"{name}: expected .*({found}).* (Get|Record) the|ag"):
            load_audio(source)
    if case != "only a header":
        with pytest.raises(UserError, match=rf"x\.{suffix}: expected whole audio .*({found})"):
            audio_info(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -1e12])
def test_samples_that_are_no_sound_are_refused(tmp_path, value):
    path = tmp_path / "x.wav"
    path.write_bytes(floats(0.5, value, 0.5))
    with pytest.raises(UserError, match=r"x\.wav: expected .* finite, found NaN, infinite or abs"):
        load_audio(path)
    assert len(load_audio(path, offset_s=0.5)) == RATE // 2


def test_channels_whose_mean_is_no_number_are_refused(tmp_path):
    stereo = np.full((RATE, 2), 3e38)
    soundfile.write(tmp_path / "x.wav", stereo, RATE, subtype="FLOAT")
    with pytest.raises(UserError, match=r"x\.wav: .* found NaN, infinite or absurdly large"):
        load_audio(tmp_path / "x.wav")


def test_folders_and_pipes_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    cases = {
        "pipe.wav": "expected whole audio .* found a pipe or a device",
        "folder.wav": "expected whole audio .* found a folder",
        "nothing.wav": r"expected an audio file, found no such file\. Check the path",
        "x" * 300: "expected whole audio .* found File name too long",
    }
    for name, message in cases.items():
        for read in (audio_info, load_audio):
            with pytest.raises(UserError, match=f"{name}: {message}"):
                read(tmp_path / name)


def test_a_stream_that_cannot_seek_is_refused():
    class Stream(io.BytesIO):
        def seekable(self):
            return False

    with pytest.raises(UserError, match=r"cannot seek: read it into io\.BytesIO"):
        load_audio(Stream(wav()))


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_more_than_fits_at_once_is_refused_with_what_to_do(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(audio_file, "LONGEST_S", 2)
    soundfile.write(tmp_path / f"x.{suffix}", np.zeros(5 * RATE), RATE)
    message = rf"x\.{suffix}: expected at most .* at once, found more\. Cut it into segments"
    for arguments in ({}, {"duration_s": 3.0}, {"offset_s": 1.0}):
        with pytest.raises(UserError, match=message):
            load_audio(tmp_path / f"x.{suffix}", **arguments)
    assert len(load_audio(tmp_path / f"x.{suffix}", offset_s=3.5)) == 1.5 * RATE
    assert len(load_audio(tmp_path / f"x.{suffix}", offset_s=1.0, duration_s=2.0)) == 2 * RATE


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e300])
def test_times_that_are_no_times_are_refused(tmp_path, seconds):
    (tmp_path / "x.wav").write_bytes(wav())
    for arguments in ({"offset_s": seconds}, {"duration_s": seconds}):
        with pytest.raises(
            UserError, match=r"x\.wav: expected an offset and a duration in seconds"
        ):
            load_audio(tmp_path / "x.wav", **arguments)


def damaged(data, rng):
    """Some bytes cut off, flipped, overwritten or taken out."""
    data = bytearray(data)
    place = int(rng.integers(len(data)))
    match rng.integers(4):
        case 0:
            del data[place:]
        case 1:
            for position in rng.integers(0, len(data), rng.integers(1, 50)):
                data[position] ^= 1 << int(rng.integers(8))
        case 2:
            for position in rng.integers(0, min(200, len(data)), rng.integers(1, 9)):
                data[position] = rng.integers(256)
        case 3:
            del data[place : place + int(rng.integers(1, 500))]
    return bytes(data)


@pytest.mark.parametrize("suffix", ["wav", "flac", "opus", "ogg", "mp3", "m4a", "webm", "mkv"])
def test_damage_is_an_error_or_sound_but_never_noise_on_the_screen(tmp_path, capfd, encode, suffix):
    time_s = np.arange(2 * RATE) / RATE
    tone = 0.3 * np.sin(2000 * time_s)
    path = tmp_path / f"x.{suffix}"
    if suffix in {"m4a", "webm", "mkv"}:
        codec, rate = ("libopus", 48_000) if suffix == "webm" else ("aac", RATE)
        container = "mp4" if suffix == "m4a" else None
        encode(path, tone[None].astype(np.float32), rate, codec, container=container)
    else:
        form = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
        soundfile.write(path, tone, RATE, **form)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    num_errors = 0
    for _ in range(40):
        path.write_bytes(damaged(whole, rng))
        for read in (audio_info, load_audio):
            try:
                read(path)
            except UserError:
                num_errors += 1
        try:
            load_audio(path, offset_s=1.5, duration_s=0.3)
        except UserError:
            num_errors += 1
    assert num_errors > 10
    assert capfd.readouterr() == ("", "")
