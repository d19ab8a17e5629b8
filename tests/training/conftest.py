"""A corpus of a few tones, a model of a few thousand parameters, and recipes to train it."""

import json

import numpy as np
import pytest
import soundfile

from horizon_st.config import build_config
from horizon_st.training.stages import Recipe, run_recipe

WORDS = {"do": "eins", "re": "zwei", "mi": "drei", "fa": "vier", "so": "acht"}
PITCHES_HZ = dict(zip(WORDS, (260, 330, 410, 520, 660), strict=True))
CONTENT = {
    "name": "tones",
    "precision": "fp32",
    "data": {
        "vocab_size": 28,
        "max_batch_s": 3.0,
        "max_batch_utterances": 2,
        "max_batch_tokens": 24,
        "num_buckets": 2,
        "augment": {
            "speeds": [0.9, 1.0],
            "num_frequency_masks": 1,
            "frequency_mask_bins": 4,
            "num_time_masks": 1,
        },
    },
    "model": {
        "speech_encoder": {"num_mel_bins": 20},
        "subsampler": {"mid_channels": 16},
        "text_model": {
            "architecture": "m2m_100",
            "encoder_layers": 1,
            "decoder_layers": 1,
            "d_model": 16,
            "ffn_dim": 16,
            "num_heads": 2,
            "dropout": 0.1,
        },
    },
    "objective": {
        "mt_weight": 0.5,
        "consistency_weight": 1.0,
        "rdrop_weight": 1.0,
        "ctc_weight": 0.3,
        "external_mt_weight": 0.5,
    },
    "decoding": {"beam_size": 2, "batch_size": 4, "max_tokens": 6},
    "stages": {
        "mt_external": {"max_steps": 4},
        "mt_in_domain": {"max_steps": 3},
        "asr": {"max_steps": 0},
        "st": {"max_steps": 7, "metric": "bleu"},
    },
}
for stage in CONTENT["stages"].values():
    stage |= {
        "learning_rate": 1e-2,
        "warmup_steps": 1,
        "validate_every_steps": 2,
        "log_every_steps": 1,
        "accumulation": 2,
        "keep_newest": 2,
        "average": 2,
    }


class Silent:
    """A reporter that shows nothing."""

    def update(self, stage, step, max_steps, figures):
        pass


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder with train.jsonl (one utterance lacks a transcript), dev.jsonl, text_pairs.jsonl."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for split, number in (("train", 9), ("dev", 3)):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for index in range(number):
                words = [*rng.choice([*WORDS], size=int(rng.integers(1, 5)))]
                cut = _write_utterance(folder, f"{split}{index}", words, rng)
                if (split, index) == ("train", 8):
                    del cut["supervisions"][0]["text"]
                file.write(json.dumps(cut) + "\n")
    with (folder / "text_pairs.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(11):
            words = [*rng.choice([*WORDS], size=int(rng.integers(1, 7)))]
            pair = {"source": " ".join(words), "target": _translate(words)}
            file.write(json.dumps(pair) + "\n")
    return folder


@pytest.fixture(scope="session")
def make_recipe(corpus):
    """A function: overrides -> Recipe, three stages over the corpus unless told otherwise."""

    def make(*overrides):
        content = CONTENT | {
            "data": CONTENT["data"]
            | {
                "train": str(corpus / "train.jsonl"),
                "dev": str(corpus / "dev.jsonl"),
                "text_pairs": str(corpus / "text_pairs.jsonl"),
            }
        }
        return build_config(Recipe, content, overrides, place="test")

    return make


@pytest.fixture(scope="session")
def train(make_recipe):
    """A function: (folder, overrides) -> the folder, with a trained run in it."""

    def run(folder, *overrides, reporter=None):
        run_recipe(make_recipe(*overrides), folder, reporter or Silent())
        return folder

    return run


@pytest.fixture(scope="session")
def undisturbed(train, tmp_path_factory):
    """A run folder of all three stages that nobody interrupted."""
    return train(tmp_path_factory.mktemp("undisturbed"))


ST_ONLY = ("stages.mt_external.max_steps=0", "stages.mt_in_domain.max_steps=0")


@pytest.fixture(scope="session")
def st_only():
    """Overrides that leave the last stage alone."""
    return ST_ONLY


def _write_utterance(folder, identity, words, rng):
    rate = 16_000
    tones = [
        np.sin(2 * np.pi * PITCHES_HZ[word] * np.arange(int(rate * rng.uniform(0.1, 0.2))) / rate)
        for word in words
    ]
    samples = 0.3 * np.concatenate(tones)
    samples += rng.normal(0, 0.01, len(samples))
    soundfile.write(folder / f"{identity}.wav", samples, rate, subtype="PCM_16")
    duration = len(samples) / rate
    span = {"start": 0.0, "duration": duration, "channel": 0}
    source = {"type": "file", "channels": [0], "source": f"{identity}.wav"}
    return {
        "id": identity,
        **span,
        "supervisions": [
            {
                "id": identity,
                "recording_id": identity,
                **span,
                "text": " ".join(words),
                "custom": {"translated_text": _translate(words)},
            }
        ],
        "recording": {
            "id": identity,
            "sources": [source],
            "sampling_rate": rate,
            "num_samples": len(samples),
            "duration": duration,
            "channel_ids": [0],
        },
        "type": "MonoCut",
    }


def _translate(words):
    return " ".join(WORDS[word] for word in reversed(words))
