"""Tiny models and batches for the tests of the model."""

import pytest
import torch
from transformers.utils import logging

from horizon_st.model.build import build_translator
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.subsampler import SubsamplerConfig

logging.disable_progress_bar()
IDS = {"vocab_size": 50, "pad_id": 1, "bos_id": 0, "eos_id": 2}


@pytest.fixture
def make_model():
    """Builds a fresh tiny translator; the same seed gives the same weights."""

    def make(
        architecture="bart",
        *,
        ctc=False,
        ctc_section=None,
        ctc_characters=None,
        speech_encoder=None,
        pretrained=None,
        **shape,
    ):
        torch.manual_seed(0)
        shape = {"encoder_layers": 2, "decoder_layers": 2, "d_model": 32, "ffn_dim": 64} | shape
        config = ModelConfig(
            subsampler=SubsamplerConfig(mid_channels=64),
            text_model=TextModelConfig(
                architecture=architecture,
                pretrained=pretrained,
                num_heads=4,
                **({"max_positions": 64} | shape),
            ),
        )
        if speech_encoder is not None:
            config.speech_encoder = speech_encoder
        if ctc_section is not None:
            config.ctc = ctc_section
        return build_translator(config, ctc=ctc, ctc_characters=ctc_characters, **IDS)

    return make


@pytest.fixture
def batch():
    """Three utterances of filterbanks of different length; the last has no transcript."""
    torch.manual_seed(1)
    lengths = torch.tensor([61, 42, 20])
    speech = torch.randn(3, 61, 80)
    for row, length in zip(speech, lengths, strict=True):
        row[length:] = 0
    return {
        "speech": speech,
        "speech_lengths": lengths,
        "transcript": torch.tensor([[5, 6, 7, 2], [8, 2, 1, 1], [1, 1, 1, 1]]),
        "target": torch.tensor([[9, 10, 2, 1, 1], [11, 12, 13, 14, 2], [5, 2, 1, 1, 1]]),
    }
