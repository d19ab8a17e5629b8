"""A corpus of tones on disk, its manifest, and a tokenizer."""

import json

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
