"""Pretrained speech encoders, saved and loaded as users have them, on padded batches."""

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperModel,
)

from horizon_st.errors import UserError
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.translator import SpeechTranslatorModel

WAVEFORM = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 3, 3),
    "conv_stride": (5, 4, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 15,
    "num_conv_pos_embedding_groups": 2,
}
GROUP = WAVEFORM | {"feat_extract_norm": "group"}
LAYER = WAVEFORM | {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
WHISPER = {
    "vocab_size": 20,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "num_mel_bins": 8,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "d_model": 16,
    "max_source_positions": 60,
}
FAMILIES = {
    "hubert-group": lambda: HubertModel(HubertConfig(**GROUP)),
    "hubert-layer": lambda: HubertModel(HubertConfig(**LAYER)),
    "wav2vec2-group": lambda: Wav2Vec2Model(Wav2Vec2Config(**GROUP)),
    "wav2vec2-layer": lambda: Wav2Vec2Model(Wav2Vec2Config(**LAYER)),
    "wavlm-layer": lambda: WavLMModel(WavLMConfig(**LAYER)),
    "data2vec": lambda: Data2VecAudioModel(
        Data2VecAudioConfig(**WAVEFORM | {"num_conv_pos_embeddings": 3})
    ),
    "whisper": lambda: WhisperModel(WhisperConfig(**WHISPER, dropout=0.1)),
}
each_family = pytest.mark.parametrize("family", FAMILIES)
# transformers' WavLM passes PyTorch two masks of different type
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")


@pytest.fixture
def saved(tmp_path):
    def save(family):
        torch.manual_seed(3)
        model = FAMILIES[family]().eval()
        model.save_pretrained(tmp_path / family)
        return model, str(tmp_path / family)

    return save


def speech_for(family):
    torch.manual_seed(2)
    if family == "whisper":
        speech, lengths = torch.randn(3, 91, 8), torch.tensor([91, 60, 31])
    else:
        speech, lengths = torch.randn(3, 4000), torch.tensor([4000, 2721, 1503])
    for row, length in zip(speech, lengths, strict=True):
        row[length:] = 0
    return speech, lengths


@each_family
def test_valid_frames_do_not_depend_on_padding_and_match_transformers(
    family, saved, make_model, tmp_path
):
    reference, folder = saved(family)
    model = make_model(speech_encoder=SpeechEncoderConfig(pretrained=folder)).eval()
    speech, lengths = speech_for(family)
    with torch.no_grad():
        states, num_frames = model.speech_encoder(speech, lengths, 2)
        assert states.shape[0] == 6
        assert torch.equal(states[:3], states[3:])
        for b, n in enumerate(lengths):
            row = speech[b : b + 1, :n]
            alone, count = model.speech_encoder(row, n[None])
            assert count.item() == num_frames[b].item() == alone.shape[1]
            assert (states[b, : num_frames[b]] - alone[0]).abs().max() < 1e-5
            if family == "whisper":
                window = row.transpose(1, 2)
                silence = (window.max() - 2).expand(1, 8, 120 - n)
                expected = reference.encoder(torch.cat([window, silence], 2)).last_hidden_state
            else:
                expected = reference(row, attention_mask=torch.ones_like(row).long())[0]
            assert (alone[0] - expected[0, : alone.shape[1]]).abs().max() < 1e-5
        model.save_pretrained(tmp_path / "translator")
        again = SpeechTranslatorModel.from_pretrained(tmp_path / "translator")
        difference = again.encode_speech(speech, lengths).states
        difference -= model.encode_speech(speech, lengths).states
        assert (difference == 0).all()


@each_family
def test_passes_differ_in_training_unless_frozen(family, saved, make_model):
    _, folder = saved(family)
    speech, lengths = speech_for(family)
    for freeze in (False, True):
        config = SpeechEncoderConfig(pretrained=folder, freeze=freeze)
        encoder = make_model(speech_encoder=config).train().speech_encoder
        states, _ = encoder(speech, lengths, 2)
        assert encoder.is_random != freeze
        assert torch.equal(states[:3], states[3:]) == freeze
        assert states.requires_grad != freeze
        assert any(p.requires_grad for p in encoder.parameters()) != freeze


def test_whisper_without_dropout_runs_once_for_all_passes(saved, make_model, tmp_path):
    WhisperModel(WhisperConfig(**WHISPER)).save_pretrained(tmp_path / "plain")
    config = SpeechEncoderConfig(pretrained=str(tmp_path / "plain"))
    assert not make_model(speech_encoder=config).train().speech_encoder.is_random


@pytest.mark.parametrize("freeze", [True, False])
def test_convolutions_can_stay_fixed(freeze, saved, make_model):
    _, folder = saved("hubert-layer")
    config = SpeechEncoderConfig(pretrained=folder, freeze_feature_encoder=freeze)
    encoder = make_model(speech_encoder=config).train().speech_encoder
    encoder(*speech_for("hubert-layer"))[0].sum().backward()
    grads = {name: p.grad is not None for name, p in encoder.named_parameters()}
    assert {g for name, g in grads.items() if "feature_extractor" in name} == {not freeze}
    assert {g for name, g in grads.items() if "feature_extractor" not in name} == {True}


def test_masking_inside_the_encoder_is_optional(saved, make_model):
    _, folder = saved("hubert-layer")
    masked = SpeechEncoderConfig(pretrained=folder, mask_time_prob=0.2)
    config = make_model(speech_encoder=masked).speech_encoder.model.config
    assert (config.apply_spec_augment, config.mask_time_prob, config.layerdrop) == (True, 0.2, 0)
    config = make_model(speech_encoder=SpeechEncoderConfig(folder)).speech_encoder.model.config
    assert not config.apply_spec_augment


@pytest.mark.parametrize("family", ["hubert-group", "hubert-layer", "data2vec"])
def test_a_batch_shorter_than_a_mask_is_not_masked(family, saved, make_model):
    _, folder = saved(family)
    masked, plain = (
        make_model(speech_encoder=SpeechEncoderConfig(folder, mask_time_prob=share)).speech_encoder
        for share in (0.9, None)
    )
    speech, lengths = torch.randn(2, 700), torch.tensor([700, 600])
    assert 1 < masked.num_frames(lengths).max() < masked.model.config.mask_time_length
    states = []
    for encoder in (masked, plain):
        torch.manual_seed(5)
        states.append(encoder.train()(speech, lengths, 2)[0])
    assert torch.equal(*states)


@pytest.mark.parametrize("num_frames", [25, 100, 400])
def test_the_share_of_masked_frames_is_the_one_asked_for(saved, make_model, num_frames):
    _, folder = saved("hubert-layer")
    masks = SpeechEncoderConfig(folder, mask_time_prob=0.05, mask_time_length_frames=5)
    model = make_model(speech_encoder=masks).train().speech_encoder.model
    np.random.seed(2)  # transformers draws the masks from it
    with torch.no_grad():
        model.masked_spec_embed.fill_(1)
        shares = [
            model._mask_hidden_states(torch.zeros(1, num_frames, 16)).mean().item()
            for _ in range(2000)
        ]
    assert sum(shares) / len(shares) == pytest.approx(0.05, rel=0.1)


def test_wrong_input_is_refused(saved, make_model):
    fbank = make_model().speech_encoder
    with pytest.raises(UserError, match=r"shape \[B, T, 80\], found shape \[1, 9, 40\]"):
        fbank(torch.zeros(1, 9, 40), torch.tensor([9]))
    _, folder = saved("hubert-group")
    hubert = make_model(speech_encoder=SpeechEncoderConfig(folder)).speech_encoder
    with pytest.raises(UserError, match=r"waveforms of shape \[B, N\], found shape \[1, 9, 80\]"):
        hubert(torch.zeros(1, 9, 80), torch.tensor([9]))
    with pytest.raises(UserError, match=r"enough samples for one frame.*found 20 samples"):
        hubert(torch.zeros(1, 20), torch.tensor([20]))
    _, folder = saved("whisper")
    whisper = make_model(speech_encoder=SpeechEncoderConfig(folder)).speech_encoder
    with pytest.raises(UserError, match=r"log-mel frames of shape \[B, T, 8\]"):
        whisper(torch.zeros(1, 9, 80), torch.tensor([9]))
    with pytest.raises(UserError, match=r"at most 120 frames.*found 121 frames.*split"):
        whisper(torch.zeros(1, 121, 8), torch.tensor([121]))


def test_weights_that_cannot_be_had_are_explained(saved, make_model, monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    missing = SpeechEncoderConfig(pretrained="nobody/no-such-model")
    with pytest.raises(UserError, match=r"hf download nobody/no-such-model --local-dir DIR"):
        make_model(speech_encoder=missing)
    BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match=r"a model of type hubert, .*whisper, found .* bert"):
        make_model(speech_encoder=SpeechEncoderConfig(pretrained=str(tmp_path / "bert")))
    _, folder = saved("hubert-group")
    (tmp_path / "hubert-group" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"expected a folder with a saved model"):
        make_model(speech_encoder=SpeechEncoderConfig(pretrained=folder))
    _, folder = saved("whisper")
    for key, value in (("mask_time_prob", 0.1), ("freeze_feature_encoder", False)):
        with pytest.raises(
            UserError, match=rf"{key}: expected nothing, .*: only models of waveforms .*d {value}"
        ):
            make_model(speech_encoder=SpeechEncoderConfig(pretrained=folder, **{key: value}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_mel_bins": 0}, r"num_mel_bins: expected at least 1, found 0"),
        ({"mask_time_prob": 1.5}, r"mask_time_prob: .*found 1\.5"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        SpeechEncoderConfig(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"freeze": True}, r"speech_encoder\.freeze: expected false without a pretrained encoder"),
        ({"mask_time_prob": 0.1}, r"mask_time_prob: expected nothing, .*only models of waveforms"),
        ({"mask_time_length_frames": 5}, r"mask_time_length_frames: expected nothing, .*only mod"),
        (
            {"pretrained": "a", "mask_time_length_frames": 5},
            r"mask_time_length_frames: expected nothing, .*: mask_time_prob is 0, found 5\. Remove",
        ),
        (
            {"pretrained": "a", "freeze": True, "mask_time_prob": 0.1},
            r"mask_time_prob: expected nothing, .*: freeze keeps the whole encoder .*0\.1",
        ),
        (
            {"pretrained": "a", "freeze": True, "freeze_feature_encoder": False},
            r"freeze_feature_encoder: expected nothing, .*: freeze keeps the whole.* found False",
        ),
    ],
)
def test_settings_that_nothing_reads_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        SpeechEncoderConfig(**values).check_fresh()


def test_settings_that_say_what_holds_anyway_are_not_refused():
    usual = {"freeze": False, "freeze_feature_encoder": True, "mask_time_prob": 0.0}
    usual["mask_time_length_frames"] = 10
    for others in ({}, {"layers": 1}, {"pretrained": "a"}):
        SpeechEncoderConfig(**others, **usual).check_fresh()
    SpeechEncoderConfig(pretrained="a", **usual | {"freeze": True}).check_fresh()
