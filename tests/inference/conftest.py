"""A tiny random model in a folder; recorded speech."""

import json
import shutil

import numpy as np
import pytest
import soxr
import torch

from horizon_st.data.corpora.telephone.recordings import Recordings
from horizon_st.data.frontend import FilterbankFrontend
from horizon_st.data.text import train_tokenizer
from horizon_st.model.build import build_translator
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.subsampler import SubsamplerConfig


@pytest.fixture(scope="session")
def write_model(tmp_path_factory):
    """A function: encoder layers -> the folder of a model of random weights that listens."""

    def write(encoder_layers):
        torch.manual_seed(3)
        sentences = ["le chat dort sur le lit", "the cat sleeps on the bed", "il pleut des cordes"]
        tokenizer = train_tokenizer(sentences * 5, vocab_size=27)
        shape = {"d_model": 32, "ffn_dim": 64, "num_heads": 2, "max_positions": 128}
        text_model = TextModelConfig(encoder_layers=encoder_layers, decoder_layers=2, **shape)
        model = build_translator(
            ModelConfig(subsampler=SubsamplerConfig(mid_channels=32), text_model=text_model),
            vocab_size=len(tokenizer),
            pad_id=tokenizer.pad_token_id,
            bos_id=tokenizer.bos_token_id,
            eos_id=tokenizer.eos_token_id,
        )
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "encoder_attn" in name or "subsampler" in name:
                    parameter.mul_(3)  # random weights care little about the speech otherwise
        folder = tmp_path_factory.mktemp("translator") / "model"
        for part in (model, tokenizer, FilterbankFrontend()):
            part.save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def model_folder(write_model):
    return write_model(encoder_layers=2)


@pytest.fixture(scope="session")
def speech():
    """A function: seconds -> so much recorded speech at 16 kHz, over faint noise."""
    recordings = Recordings()
    samples = soxr.resample(recordings.samples[: 400 * recordings.sample_rate], 8_000, 16_000)
    noise = np.random.default_rng(1).normal(0, 1e-3, len(samples))
    samples = (samples + noise).astype(np.float32)
    return lambda seconds, start_s=0: samples[int(start_s * 16_000) :][: int(seconds * 16_000)]


@pytest.fixture
def trained_on_half_seconds(model_folder, tmp_path):
    """The model, in a folder that says how long the training utterances were."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"longest_training_s": 0.5}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder
