"""The Conformer's convolution module against that of w2v-BERT 2.0, which looks to the left only."""

from dataclasses import replace

import pytest
import torch
from transformers import Wav2Vec2BertConfig
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertConvolutionModule

from horizon_st.errors import UserError
from horizon_st.model.attention import use_cpu_attention
from horizon_st.model.configuration import ModelConfig
from horizon_st.model.continuation import continue_model
from horizon_st.model.convolution_module import ConvolutionModule
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.translator import SpeechTranslatorModel

WIDTH, KERNEL = 8, 5


@pytest.fixture
def modules():
    torch.manual_seed(0)
    own = ConvolutionModule(WIDTH, KERNEL, dropout=0.0)
    reference = Wav2Vec2BertConvolutionModule(
        Wav2Vec2BertConfig(
            hidden_size=WIDTH, conv_depthwise_kernel_size=KERNEL, conformer_conv_dropout=0.0
        )
    )
    names = {
        "layer_norm": own.norm,
        "pointwise_conv1": own.pointwise_in,
        "depthwise_conv": own.depthwise,
        "depthwise_layer_norm": own.depthwise_norm,
        "pointwise_conv2": own.pointwise_out,
    }
    for name, module in names.items():
        other = getattr(reference, name)
        torch.nn.init.normal_(module.weight)
        other.weight.data = module.weight.data.view_as(other.weight)
        if other.bias is None:
            module.bias.data.zero_()
        else:
            torch.nn.init.normal_(module.bias)
            other.bias.data = module.bias.data
    return own, reference


def test_it_is_the_published_module_with_the_kernel_centred(modules):
    own, reference = modules
    states = torch.randn(3, 11, WIDTH)
    lengths = torch.tensor([11, 7, 2])
    is_real = torch.arange(11) < lengths[:, None]
    ahead = KERNEL // 2  # what the reference sees late by so many states
    late = torch.nn.functional.pad(states, (0, 0, 0, ahead))
    expected = reference(late, torch.nn.functional.pad(is_real, (0, ahead)))[:, ahead:]
    assert torch.allclose(own(states, is_real)[is_real], expected[is_real], atol=1e-5)
    assert torch.allclose(own(states[:1], None), expected[:1], atol=1e-5)


def test_padding_changes_nothing(modules):
    own, _ = modules
    states = torch.randn(2, 9, WIDTH)
    is_real = torch.arange(9) < torch.tensor([[9], [4]])
    together = own(states, is_real)
    alone = own(states[1:, :4], None)
    assert torch.allclose(together[1, :4], alone[0], atol=1e-5)


SECTION = SpeechEncoderConfig(layers=2, d_model=16, ffn_dim=32, num_heads=2, convolution_kernel=3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_encoder_with_it_gives_an_utterance_the_same_states_in_every_batch(
    make_model, batch, precision
):
    model = make_model(speech_encoder=SECTION).eval()
    if precision == "bf16":
        use_cpu_attention(model)
    encoder = model.speech_encoder
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        together, lengths = encoder(batch["speech"], batch["speech_lengths"])
        for row, length, states, n in zip(
            batch["speech"], batch["speech_lengths"], together, lengths, strict=True
        ):
            alone, _ = encoder(row[None, :length], length[None])
            atol = 1e-5 if precision == "fp32" else 0.05
            assert torch.allclose(states[:n].float(), alone[0].float(), atol=atol)


def test_an_encoder_has_one_before_every_layer_and_keeps_it(make_model, batch, tmp_path):
    model = make_model(speech_encoder=SECTION).eval()
    layers = model.speech_encoder.model.layers
    assert [layer.convolution.depthwise.kernel_size for layer in layers] == [(3,), (3,)]
    states, _ = model.speech_encoder(batch["speech"], batch["speech_lengths"])
    model.save_pretrained(tmp_path)
    loaded = SpeechTranslatorModel.from_pretrained(tmp_path).eval()
    again, _ = loaded.speech_encoder(batch["speech"], batch["speech_lengths"])
    assert torch.equal(states, again)
    for layer in layers:
        torch.nn.init.zeros_(layer.convolution.pointwise_out.weight)
        torch.nn.init.zeros_(layer.convolution.pointwise_out.bias)
    without, _ = model.speech_encoder(batch["speech"], batch["speech_lengths"])
    assert not torch.allclose(states, without, atol=1e-2)


def test_training_on_needs_the_same_kernel(make_model):
    section = ModelConfig(speech_encoder=replace(SECTION, dropout=0.4))
    changed = continue_model(make_model(speech_encoder=SECTION), section)
    assert changed.speech_encoder.model.layers[1].convolution.dropout.p == 0.4
    section.speech_encoder = replace(SECTION, convolution_kernel=5)
    with pytest.raises(
        UserError, match=r"^model\.speech_encoder\.convolution_kernel: expected 3, as in initial"
    ):
        continue_model(changed, section)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"convolution_kernel": 4}, r"convolution_kernel: expected 0, or an odd number.*found 4"),
        ({"convolution_kernel": -1}, r"convolution_kernel: expected 0, or an odd number.*found -1"),
        (
            {"convolution_kernel": 3, "layers": 0},
            r"convolution_kernel: expected nothing, since it is not read: layers is 0, found 3",
        ),
    ],
)
def test_kernels_that_cannot_be_are_refused(keys, message):
    with pytest.raises(UserError, match=message):
        SpeechEncoderConfig(**{"layers": 1, **keys}).check_fresh()
