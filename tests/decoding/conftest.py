"""Tiny random models, saved with everything that belongs to them, and recordings to feed them."""

import json

import numpy as np
import pytest
import soundfile
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from horizon_st.data.frontend import FilterbankFrontend, PretrainedFrontend
from horizon_st.data.text import train_tokenizer
from horizon_st.model.build import build_translator
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.subsampler import SubsamplerConfig

SENTENCES = ["le chat dort sur le lit", "the cat sleeps on the bed", "il pleut des cordes"]


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer(SENTENCES * 5, vocab_size=27)


@pytest.fixture(scope="session")
def make_model(tokenizer, tmp_path_factory):
    """A function: (speech encoder, text architecture) -> a model that listens to its input."""

    def make(encoder="fbank", architecture="bart", max_positions=128):
        torch.manual_seed(3)
        speech = SpeechEncoderConfig(num_mel_bins=80)
        if encoder == "hubert-group":
            folder = tmp_path_factory.mktemp("hubert")
            hubert = HubertConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=48,
                conv_dim=(16,) * 7,
                num_conv_pos_embeddings=16,
                num_conv_pos_embedding_groups=4,
                feat_extract_norm="group",
            )
            HubertModel(hubert).save_pretrained(folder)
            speech = SpeechEncoderConfig(pretrained=str(folder))
        model = build_translator(
            ModelConfig(
                speech_encoder=speech,
                subsampler=SubsamplerConfig(mid_channels=32),
                text_model=TextModelConfig(
                    architecture=architecture,
                    encoder_layers=2,
                    decoder_layers=2,
                    d_model=32,
                    ffn_dim=64,
                    num_heads=2,
                    max_positions=max_positions,
                ),
            ),
            vocab_size=len(tokenizer),
            pad_id=tokenizer.pad_token_id,
            bos_id=tokenizer.bos_token_id,
            eos_id=tokenizer.eos_token_id,
        )
        # Random weights care little about the speech; larger ones make the outputs differ.
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if any(part in name for part in ("encoder_attn", "EncDecAttention", "subsampler")):
                    parameter.mul_(3)
        return model

    return make


@pytest.fixture(scope="session")
def frontends():
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)
    return {"fbank": FilterbankFrontend(), "hubert-group": PretrainedFrontend(extractor)}


@pytest.fixture(scope="session")
def recordings():
    """Seven recordings of 0.4 to 1.7 s: gliding tones in noise, 16 kHz."""
    rng = np.random.default_rng(0)
    recordings = []
    for _ in range(7):
        time_s = np.arange(int(16_000 * rng.uniform(0.4, 1.7))) / 16_000
        sweep = rng.uniform(200, 800) * time_s + rng.uniform(-300, 600) * time_s**2
        tone = np.sin(2 * np.pi * sweep) * np.sin(2 * np.pi * rng.uniform(2, 6) * time_s)
        noise = rng.normal(0, 0.02, len(time_s))
        recordings.append((0.3 * tone + noise).astype(np.float32))
    return recordings


@pytest.fixture
def model_folder(make_model, tokenizer, frontends, tmp_path):
    """A saved fbank model."""
    folder = tmp_path / "model"
    make_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    frontends["fbank"].save_pretrained(folder)
    return folder


@pytest.fixture
def manifest(recordings, tmp_path):
    """A manifest of the recordings; all but the last have a transcript."""
    path = tmp_path / "dev.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, samples in enumerate(recordings):
            soundfile.write(tmp_path / f"utt{number}.wav", samples, 16_000, subtype="PCM_16")
            file.write(json.dumps(_cut(number, samples)) + "\n")
    return path


def _cut(number, samples):
    duration = len(samples) / 16_000
    supervision = {
        "id": f"utt{number}",
        "recording_id": f"utt{number}",
        "start": 0.0,
        "duration": duration,
        "channel": 0,
        "custom": {"translated_text": SENTENCES[number % 3]},
    }
    if number < 6:
        supervision["text"] = SENTENCES[(number + 1) % 3]
    return {
        "id": f"utt{number}",
        "start": 0.0,
        "duration": duration,
        "channel": 0,
        "supervisions": [supervision],
        "recording": {
            "id": f"utt{number}",
            "sources": [{"type": "file", "channels": [0], "source": f"utt{number}.wav"}],
            "sampling_rate": 16_000,
            "num_samples": len(samples),
            "duration": duration,
            "channel_ids": [0],
        },
        "type": "MonoCut",
    }
