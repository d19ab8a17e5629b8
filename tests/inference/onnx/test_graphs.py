"""Every kind of speech encoder as a graph: the features that PyTorch gives, alone and padded."""

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperModel,
)
from transformers.utils import logging

from horizon_st.errors import UserError
from horizon_st.inference.onnx.exportable import exportable
from horizon_st.inference.onnx.graphs import write_graph
from horizon_st.model.build import build_translator
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.subsampler import SubsamplerConfig

logging.disable_progress_bar()
WAVEFORM = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    # Fewer layers than the usual seven, for smaller graphs.
    "conv_dim": (8,) * 3,
    "conv_kernel": (10, 8, 8),
    "conv_stride": (5, 8, 8),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
LENGTHS = (8_000, 15_999, 400, 12_345)


def hubert():
    return HubertModel(HubertConfig(feat_extract_norm="group", **WAVEFORM))


def wav2vec2():
    shape = WAVEFORM | {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    return Wav2Vec2Model(Wav2Vec2Config(**shape))


def whisper():
    shape = {"d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "vocab_size": 60}
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    start = {"decoder_start_token_id": 1, "max_source_positions": 60}
    return WhisperModel(WhisperConfig(**shape, **layers, **heads, **tokens, **start))


def data2vec():
    return Data2VecAudioModel(Data2VecAudioConfig(**WAVEFORM))


@pytest.fixture
def build(tmp_path):
    """A function: speech model of transformers, or None for a fresh one -> the translator."""

    def build(make):
        torch.manual_seed(0)
        speech = SpeechEncoderConfig(
            layers=1, d_model=16, ffn_dim=24, num_heads=2, convolution_kernel=5
        )
        if make is not None:
            make().save_pretrained(tmp_path / "speech")
            speech = SpeechEncoderConfig(pretrained=str(tmp_path / "speech"))
        text = TextModelConfig(
            encoder_layers=1, decoder_layers=1, d_model=16, ffn_dim=24, num_heads=2
        )
        config = ModelConfig(
            speech_encoder=speech, subsampler=SubsamplerConfig(mid_channels=16), text_model=text
        )
        ids = {"pad_id": 1, "bos_id": 0, "eos_id": 2}
        return build_translator(config, vocab_size=30, **ids).eval()

    return build


@pytest.mark.parametrize("make", [None, hubert, wav2vec2, whisper])
def test_features_do_not_depend_on_the_batch(build, make, tmp_path, tracing):
    encoder = build(make).speech_encoder
    rng = np.random.default_rng(0)
    is_waveform = make in (hubert, wav2vec2)
    rows = [
        torch.from_numpy(rng.normal(size=(n,) if is_waveform else (n // 160, 80)).astype("f4"))
        for n in LENGTHS
    ]
    with torch.no_grad():
        expected = [encoder(row[None], torch.tensor([len(row)]))[0] for row in rows]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([*map(len, rows)])
    with tracing():
        write_graph(
            tmp_path / "speech.onnx",
            exportable(encoder),
            {"speech": padded[:2], "lengths": lengths[:2]},
            {"speech": {0: "batch", 1: "frames"}, "lengths": {0: "batch"}},
            ["features", "num_features"],
        )
    session = InferenceSession(tmp_path / "speech.onnx", providers=["CPUExecutionProvider"])
    for chosen in ([0, 1, 2, 3], [3, 2], [2], [1]):
        longest = int(lengths[chosen].max())
        inputs = {
            "speech": padded[chosen, :longest].numpy(),
            "lengths": lengths[chosen].numpy(),
        }
        features, counts = session.run(None, inputs)
        assert counts.tolist() == [expected[i].shape[1] for i in chosen]
        for number, row, count in zip(chosen, features, counts, strict=True):
            np.testing.assert_allclose(row[:count], expected[number][0].numpy(), atol=1e-4)


def test_data2vec_is_refused(build):
    with pytest.raises(UserError, match=r"speech encoder: expected .*found data2vec-audio"):
        exportable(build(data2vec).speech_encoder)


class Undecided(torch.nn.Module):
    def forward(self, speech):
        return speech if speech.sum() > 0 else -speech


def test_what_cannot_be_traced_is_named(tmp_path):
    message = r"x\.onnx: expected a model that the installed PyTorch can export"
    with pytest.raises(UserError, match=message):
        write_graph(
            tmp_path / "x.onnx", Undecided(), {"speech": torch.ones(3)}, {"speech": {0: "n"}}, ["y"]
        )
    assert [*tmp_path.iterdir()] == []
