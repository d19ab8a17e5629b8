"""Attention in fp32 inside bf16 models: what it computes, and which models use it."""

import pytest
import torch
from transformers import HubertConfig, HubertModel, PreTrainedModel

from horizon_st.model.attention import use_float32_attention
from horizon_st.model.passes import run_passes
from horizon_st.model.speech_encoder import SpeechEncoderConfig


def logits_of(model, batch, *, precision):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        speech, text = run_passes(model.eval(), **batch, num_speech=1, num_text=1)
    return torch.cat([speech[0].logits, text[0].logits]).float()


@pytest.mark.parametrize("architecture", ["bart", "marian", "m2m_100"])
def test_nothing_changes_in_fp32(make_model, batch, architecture):
    model = make_model(architecture)
    before = logits_of(model, batch, precision="fp32")
    use_float32_attention(model)
    assert torch.equal(logits_of(model, batch, precision="fp32"), before)


def test_attention_sees_fp32_under_autocast(make_model, batch, monkeypatch):
    model = make_model()
    use_float32_attention(model)
    seen = set()
    attention = torch.nn.functional.scaled_dot_product_attention

    def watched(query, key, value, **options):
        seen.add((query.dtype, key.dtype, value.dtype))
        return attention(query, key, value, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    exact = logits_of(model, batch, precision="fp32")
    close = logits_of(model, batch, precision="bf16")
    assert seen == {(torch.float32,) * 3}
    assert (close - exact).abs().max() < 0.02 * exact.abs().max()
    assert not torch.equal(close, exact)


def test_a_pretrained_speech_encoder_uses_it_too(make_model, tmp_path):
    HubertModel(
        HubertConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            conv_dim=[8] * 7,
            num_conv_pos_embeddings=4,
            num_conv_pos_embedding_groups=2,
        )
    ).save_pretrained(tmp_path)
    model = make_model(speech_encoder=SpeechEncoderConfig(pretrained=str(tmp_path)))
    use_float32_attention(model)
    kinds = {
        module.config._attn_implementation
        for module in model.modules()
        if isinstance(module, PreTrainedModel)
    }
    assert kinds == {"sdpa_float32"}
