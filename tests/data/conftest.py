"""A corpus of tones on disk, its manifest, and a tokenizer."""

import json

import av
import numpy as np
import pytest
import soundfile

from horizon_st.data.text import train_tokenizer

SENTENCES = [
    "the station is closed today",
    "please bring two tickets",
    "la estación está cerrada hoy",
    "¿trae usted dos billetes?",
]


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer(SENTENCES * 5, vocab_size=40)


@pytest.fixture
def cut_line():
    """A function: (id, duration) -> a manifest's line as a dictionary, 16 kHz."""

    def make(name, duration_s, *, text="the station", rate=16_000, start_s=0.0, source=None):
        recording_s = duration_s + start_s
        supervision = {
            "id": name,
            "recording_id": name,
            "start": 0.0,
            "duration": duration_s,
            "channel": 0,
            "custom": {"translated_text": f"la estación {name}"},
        }
        if text is not None:
            supervision["text"] = text
        return {
            "id": name,
            "start": start_s,
            "duration": duration_s,
            "channel": 0,
            "supervisions": [supervision],
            "recording": {
                "id": name,
                "sources": [{"type": "file", "channels": [0], "source": source or f"{name}.wav"}],
                "sampling_rate": rate,
                "num_samples": round(recording_s * rate),
                "duration": recording_s,
                "channel_ids": [0],
            },
            "type": "MonoCut",
        }

    return make


@pytest.fixture
def write_manifest(tmp_path, cut_line):
    """A function: durations -> the path of a manifest, with a tone of its own per utterance."""

    def write(durations_s, *, text=lambda number: "the station", name="train"):
        path = tmp_path / f"{name}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for number, duration_s in enumerate(durations_s):
                utterance = f"{name}{number}"
                time_s = np.arange(round(duration_s * 16_000)) / 16_000
                tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * number) * time_s)
                soundfile.write(tmp_path / f"{utterance}.wav", tone, 16_000, subtype="PCM_16")
                line = cut_line(utterance, duration_s, text=text(number))
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def encode():
    """A function that writes a tiny media file with PyAV."""

    def write(
        path, samples, rate, codec, *,
        container=None, options=None, video=False, delay_s=0.0, hole=(0.0, 0.0),
    ):  # fmt: skip
        """Writes `[C, N]` samples, one or two channels, and before them a video track if asked.

        The sound's timestamps begin `delay_s` later, and `hole` is a place and a length, in
        seconds, where some are left out.
        """

        def shifted(packets):
            for packet in packets:
                is_behind = packet.pts * packet.time_base >= hole[0]
                ticks = round((delay_s + hole[1] * is_behind) / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                yield packet

        layout = "mono" if len(samples) == 1 else "stereo"
        with av.open(path, "w", format=container) as output:
            if video:
                pictures = output.add_stream("mpeg4", rate=5)
                pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
            stream = output.add_stream(codec, rate=rate, layout=layout, options=options or {})
            stream.bit_rate = 64_000
            kind = stream.codec_context.codec.audio_formats[0].name
            resampler = av.AudioResampler(format=kind, layout=layout, rate=rate)
            if video:
                for number in range(5 * samples.shape[1] // rate):
                    picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
                    picture.pts = number
                    output.mux(pictures.encode(picture))
                output.mux(pictures.encode(None))
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
            frame.sample_rate, frame.pts = rate, 0
            for converted in [*resampler.resample(frame), *resampler.resample(None)]:
                output.mux(shifted(stream.encode(converted)))
            output.mux(shifted(stream.encode(None)))

    return write


@pytest.fixture(scope="session")
def decode():
    """A function: media file -> all samples `[C, N]` of its first audio stream, by PyAV alone."""

    def read(path):
        with av.open(path) as source:
            frames = list(source.decode(source.streams.audio[0]))
            return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)

    return read
