"""The attention of models on CPUs: what it computes, and which models use it."""

import pytest
import torch
from torch.overrides import TorchFunctionMode
from transformers import HubertConfig, HubertModel, PreTrainedModel

from horizon_st.model import attention
from horizon_st.model.attention import use_cpu_attention
from horizon_st.model.passes import run_passes
from horizon_st.model.piecewise_attention import piecewise_attention
from horizon_st.model.speech_encoder import SpeechEncoderConfig


def logits_of(model, batch, *, precision):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        speech, text = run_passes(model.eval(), **batch, num_speech=1, num_text=1)
    return torch.cat([speech[0].logits, text[0].logits]).float()


@pytest.mark.parametrize("architecture", ["bart", "marian", "m2m_100"])
def test_nothing_changes_in_fp32(make_model, batch, architecture):
    model = make_model(architecture)
    before = logits_of(model, batch, precision="fp32")
    use_cpu_attention(model)
    assert torch.equal(logits_of(model, batch, precision="fp32"), before)


def test_attention_without_gradients_sees_fp32_under_autocast(make_model, batch):
    model = make_model()
    use_cpu_attention(model)
    seen = set()

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.nn.functional.scaled_dot_product_attention:
                seen.add(tuple(x.dtype for x in args[:3]))
            return func(*args, **(kwargs or {}))

    with Watch():
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
    use_cpu_attention(model)
    kinds = {
        module.config._attn_implementation
        for module in model.modules()
        if isinstance(module, PreTrainedModel)
    }
    assert kinds == {"sdpa_cpu"}


@pytest.mark.parametrize("architecture", ["bart", "m2m_100", "t5"])
def test_training_in_bf16_uses_the_piecewise_attention(
    make_model, batch, architecture, monkeypatch
):
    model = make_model(architecture).eval()
    calls = []

    def watched(*args):
        calls.append(args[0].dtype)
        return piecewise_attention(*args)

    def gradient(*, bf16):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            [speech], [text] = run_passes(model, **batch, num_speech=1, num_text=1)
        (speech.logits.float().square().mean() + text.logits.float().square().mean()).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    monkeypatch.setattr(attention, "piecewise_attention", watched)
    exact = gradient(bf16=False)
    model.set_attn_implementation("eager")  # whose scores are in bf16 too
    of_eager = gradient(bf16=True)
    model.set_attn_implementation("sdpa")
    use_cpu_attention(model)
    assert torch.equal(gradient(bf16=False), exact)
    assert not calls
    # Of so small a model the rounding errors differ by chance.
    assert (gradient(bf16=True) - exact).norm() < 1.5 * (of_eager - exact).norm()
    # T5 learns the bias in its masks but for those over encoder states.
    assert set(calls) == {torch.bfloat16}


def test_a_mask_that_is_learnt_keeps_its_gradient(make_model, batch):
    model = make_model("t5").train()
    use_cpu_attention(model)
    with torch.autocast("cpu", torch.bfloat16):
        [speech], _ = run_passes(model, **batch, num_speech=1, num_text=0)
    speech.logits.float().square().mean().backward()
    biases = [p.grad for name, p in model.named_parameters() if "relative_attention_bias" in name]
    assert len(biases) == 2
    assert all(bias.count_nonzero() > 0 for bias in biases)
