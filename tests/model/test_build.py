"""From a recipe's model section to a model: sizes, starting weights, refusals."""

import math

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    BertConfig,
    BertLMHeadModel,
    HubertConfig,
)

from horizon_st.errors import UserError
from horizon_st.model.build import fresh_text_config, initialise, translator_config
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.passes import run_passes
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.translator import SpeechTranslatorModel

COMMON = {"vocab_size": 60, "d_model": 16, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
SHAPE = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}


def test_the_papers_model_has_its_size():
    config = ModelConfig()
    text = fresh_text_config(config.text_model, vocab_size=10_000, pad_id=1, bos_id=0, eos_id=2)
    with torch.device("meta"):
        model = SpeechTranslatorModel(translator_config(config, text, HubertConfig()))
    num_parameters = sum(p.numel() for p in model.parameters())
    assert 150e6 < num_parameters < 160e6


@pytest.mark.parametrize("model_type", ["marian", "bart", "mbart", "m2m_100", "t5"])
def test_a_pretrained_text_model_is_taken_over(model_type, make_model, tmp_path, batch):
    shape = (
        {"d_ff": 32, "num_layers": 1, "num_heads": 2, "d_kv": 8} if model_type == "t5" else SHAPE
    )
    config = AutoConfig.for_model(model_type, **COMMON, **shape, decoder_start_token_id=1)
    reference = AutoModelForSeq2SeqLM.from_config(config).eval()
    reference.generation_config.forced_eos_token_id = None
    reference.generation_config.num_beams = 3
    reference.save_pretrained(tmp_path / model_type)
    model = make_model(pretrained=str(tmp_path / model_type)).eval()
    source, target = batch["transcript"][:2], batch["target"][:2]
    found = run_passes(
        model,
        speech=None,
        speech_lengths=None,
        transcript=source,
        target=target,
        num_speech=0,
        num_text=1,
    )[1][0]
    prefix = torch.cat([torch.ones(2, 1).long(), target[:, :-1]], dim=1)
    expected = reference(
        input_ids=source, attention_mask=source != 1, decoder_input_ids=prefix
    ).logits
    assert torch.allclose(found.logits, expected, atol=1e-5)
    assert model.generation_config.num_beams == 3
    options = {"max_new_tokens": 4}
    assert torch.equal(
        model.generate(input_ids=source, **options),
        reference.generate(input_ids=source, attention_mask=source != 1, **options),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (0.3, 0.2, 0.0)),
        ({"dropout": 0.1}, (0.1, 0.2, 0.0)),
        ({"attention_dropout": 0.0, "activation_dropout": 0.4}, (0.3, 0.0, 0.4)),
    ],
)
def test_a_pretrained_text_model_gets_the_dropout_that_is_given(
    given, expected, make_model, tmp_path
):
    dropout = {"dropout": 0.3, "attention_dropout": 0.2, "activation_dropout": 0.0}
    config = AutoConfig.for_model("bart", **COMMON, **SHAPE, **dropout)
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(tmp_path)
    layer = make_model(pretrained=str(tmp_path), **given).get_encoder().layers[0]
    assert (layer.dropout, layer.self_attn.dropout, layer.activation_dropout) == expected


def test_a_pretrained_t5_has_one_dropout(make_model, tmp_path):
    shape = {"d_ff": 32, "num_layers": 1, "num_heads": 2, "d_kv": 8}
    config = AutoConfig.for_model(
        "t5", **COMMON, **shape, dropout_rate=0.3, decoder_start_token_id=1
    )
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(tmp_path)

    def dropout_of(**given):
        model = make_model(pretrained=str(tmp_path), **given)
        return model.get_encoder().block[0].layer[0].dropout.p

    assert (dropout_of(), dropout_of(dropout=0.2)) == (0.3, 0.2)
    with pytest.raises(
        UserError, match=r"attention_dropout and act.*of type T5.*found 0\.1 and 0\."
    ):
        dropout_of(attention_dropout=0.1)


def test_what_does_not_fit_is_refused(make_model, tmp_path):
    config = AutoConfig.for_model("m2m_100", **COMMON | {"vocab_size": 40}, **SHAPE)
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(tmp_path / "small")
    with pytest.raises(UserError, match=r"vocabulary of .*small \(40 symbols.*found 50 symbols"):
        make_model(pretrained=str(tmp_path / "small"))
    config = AutoConfig.for_model("m2m_100", **COMMON | {"pad_token_id": 0}, **SHAPE)
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(tmp_path / "ids")
    with pytest.raises(UserError, match=r"'pad': 0.*Use the tokenizer that belongs to"):
        make_model(pretrained=str(tmp_path / "ids"))
    BertLMHeadModel(
        BertConfig(
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
            is_decoder=True,
        )
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match=r"text_model\.pretrained: .*type marian.*found .* bert"):
        make_model(pretrained=str(tmp_path / "bert"))


def test_fresh_weights_have_the_usual_spread():
    config = TextModelConfig(architecture="bart", d_model=64, ffn_dim=256, num_heads=4)
    hf_config = fresh_text_config(config, vocab_size=500, pad_id=1, bos_id=0, eos_id=2)
    model = AutoModelForSeq2SeqLM.from_config(hf_config)
    initialise(model)
    embedding = model.get_input_embeddings().weight
    assert embedding.std().item() == pytest.approx(1 / math.sqrt(64), rel=0.05)
    assert (embedding[1] == 0).all()
    layer = model.get_encoder().layers[0].fc1.weight
    assert layer.std().item() == pytest.approx(math.sqrt(2 / (64 + 256)), rel=0.05)


def test_a_recipe_section_parses_strictly():
    section = OmegaConf.merge(
        OmegaConf.structured(ModelConfig),
        {"text_model": {"architecture": "m2m_100", "d_model": 256}, "subsampler": {}},
    )
    config = OmegaConf.to_object(section)
    assert isinstance(config, ModelConfig)
    assert config.text_model.d_model == 256
    assert config.speech_encoder.pretrained is None
    for part in (ModelConfig, TextModelConfig):
        assert all(f.metadata["help"] for f in part.__dataclass_fields__.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "m2m100"}, r"architecture: expected one of .*Did you mean m2m_100\?"),
        ({"d_model": 100}, r"d_model: expected a multiple of twice the 8 heads, found 100"),
        ({"num_heads": 0}, r"text_model\.num_heads: expected at least 1, found 0"),
        ({"d_model": 0}, r"text_model\.d_model: expected at least 1, found 0"),
        ({"encoder_layers": 0}, r"text_model\.encoder_layers: expected at least 1, found 0"),
        ({"max_positions": 0}, r"text_model\.max_positions: expected at least 1, found 0"),
        ({"activation": "relo"}, r"activation: expected one of .*found relo\. Did you mean relu\?"),
        ({"dropout": 1.0}, r"text_model\.dropout: expected a probability.*found 1\.0"),
        (
            {"architecture": "t5", "attention_dropout": 0.1},
            r"expected 0 with architecture: t5.*found 0\.1 and 0\. Remove both",
        ),
    ],
)
def test_shapes_that_cannot_be_built_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        TextModelConfig(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_mel_bins": 0}, r"speech_encoder\.num_mel_bins: expected at least 1, found 0"),
        ({"mask_time_length_frames": 0}, r"mask_time_length_frames: expected at least 1, found 0"),
    ],
)
def test_speech_encoders_that_cannot_be_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        SpeechEncoderConfig(**values)


def test_a_t5_may_have_gated_activations():
    assert TextModelConfig(architecture="t5", activation="gated-gelu").activation == "gated-gelu"
    with pytest.raises(UserError, match=r"activation: .*found gated-gelu"):
        TextModelConfig(activation="gated-gelu")


def test_pretrained_files_that_are_damaged_are_refused(make_model, tmp_path):
    config = AutoConfig.for_model("bart", **COMMON, **SHAPE)
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = load_file(weights)

    def refusal(message):
        with pytest.raises(UserError, match=r"text_model\.pretrained: " + message) as caught:
            make_model(pretrained=str(tmp_path))
        return caught.value.__cause__

    weights.write_bytes(weights.read_bytes()[:-100])
    assert refusal(r"expected weights that fit .*\(SafetensorError: ") is not None
    lacking = {name: value for name, value in whole.items() if "decoder.layers.0.fc1" not in name}
    save_file(lacking, weights, {"format": "pt"})
    refusal(r"expected all weights .*without 2 of them, the first is .*layers\.0\.fc1\.bias")
    save_file({name: value[:3] for name, value in whole.items()}, weights, {"format": "pt"})
    refusal(r"expected weights that fit .*RuntimeError")
    for broken in ("{", "[]", "{}"):
        (tmp_path / "config.json").write_text(broken, encoding="utf-8")
        assert refusal(r"expected a folder with a saved model.*found \S+ \(.{10}") is not None
