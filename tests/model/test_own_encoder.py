"""Encoders that the modalities do not share: a copy at first, then each goes its own way."""

import pytest
import torch

from horizon_st.model.attention import use_cpu_attention
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.continuation import continue_model
from horizon_st.model.passes import run_passes
from horizon_st.model.translator import SpeechTranslatorModel

each_architecture = pytest.mark.parametrize(
    "architecture", ["bart", "marian", "mbart", "m2m_100", "t5"]
)


def logits_of(model, batch):
    with torch.no_grad():
        [speech], [text] = run_passes(model, **batch, num_speech=1, num_text=1)
    return speech.logits, text.logits


def spoil(encoder):
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)


@each_architecture
def test_speech_begins_with_a_copy_that_is_its_own(architecture, make_model, batch):
    model = make_model(architecture).eval()
    before, num_before = logits_of(model, batch), model.num_parameters()
    model.part_encoders()
    assert model.config.share_encoder is False
    for found, expected in zip(logits_of(model, batch), before, strict=True):
        assert torch.equal(found, expected)
    tokens = model.get_input_embeddings().weight.numel()
    of_text = model.get_encoder().num_parameters()
    assert model.num_parameters() == num_before + of_text - tokens
    spoil(model.own_encoder)
    speech, text = logits_of(model, batch)
    assert not torch.allclose(speech, before[0], atol=1e-3)
    assert torch.equal(text, before[1])
    own = {name: value.clone() for name, value in model.own_encoder.state_dict().items()}
    model.part_encoders()
    assert all(torch.equal(own[x], value) for x, value in model.own_encoder.state_dict().items())


@each_architecture
def test_each_modality_trains_its_encoder_and_both_the_decoder(architecture, make_model, batch):
    model = make_model(architecture)
    model.part_encoders()
    own, shared = model.own_encoder, model.get_encoder()
    for is_speech, trained, kept in ((True, own, shared), (False, shared, own)):
        model.zero_grad()
        passes = run_passes(model, **batch, num_speech=int(is_speech), num_text=int(not is_speech))
        [output] = passes[0] or passes[1]
        output.logits.square().sum().backward()
        layers = [p for name, p in trained.named_parameters() if "embed" not in name]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in layers)
        others = [p for name, p in kept.named_parameters() if "embed_tokens" not in name]
        assert all(p.grad is None for p in others)
        decoder = model.text_model.get_decoder()
        assert all(p.grad is not None for p in decoder.parameters() if p.requires_grad)


@each_architecture
def test_a_saved_model_keeps_both_encoders(architecture, make_model, batch, tmp_path):
    model = make_model(architecture, ctc=True).eval()
    model.part_encoders()
    spoil(model.own_encoder)
    model.save_pretrained(tmp_path)
    again = SpeechTranslatorModel.from_pretrained(tmp_path)
    for found, expected in zip(logits_of(again, batch), logits_of(model, batch), strict=True):
        assert torch.equal(found, expected)
    speech = {name: batch[name] for name in ("speech", "speech_lengths")}
    for inputs in (speech, {"input_ids": batch["transcript"][:2]}):
        options = {"num_beams": 3, "max_new_tokens": 5}
        found = again.generate(**inputs, **options)
        assert torch.equal(found, model.generate(**inputs, **options))
    greedy = model.generate(**speech, num_beams=1, max_new_tokens=1, min_new_tokens=1)
    first = logits_of(model, batch)[0][:, 0]
    first[:, model.config.eos_token_id] = -torch.inf
    assert torch.equal(greedy[:, 1], first.argmax(dim=-1))


def test_training_goes_on_with_both(make_model, batch):
    model = make_model("m2m_100")
    model.part_encoders()
    spoil(model.own_encoder)
    for section in (ModelConfig(), ModelConfig(share_encoder=False)):
        section.text_model = TextModelConfig(dropout=0.4)
        changed = continue_model(model, section)
        assert changed.own_encoder.config.dropout == changed.own_encoder.dropout == 0.4
        weights = changed.state_dict()
        assert all(torch.equal(weights[name], x) for name, x in model.state_dict().items())


def test_it_has_the_fast_attention_of_the_text_model(make_model):
    model = make_model("bart")
    use_cpu_attention(model)
    model.part_encoders()
    names = {part.config._attn_implementation for part in (model.own_encoder, model.get_encoder())}
    assert len(names) == 1 != names & {"sdpa"}
