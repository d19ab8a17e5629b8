"""The fresh Transformer over filterbanks, and CTC on it, against transformers' Speech2Text."""

import pytest
import torch
from transformers.models.speech_to_text.modeling_speech_to_text import Speech2TextEncoder

from horizon_st.errors import UserError
from horizon_st.model.configuration import CtcConfig, ModelConfig
from horizon_st.model.continuation import continue_model
from horizon_st.model.passes import run_passes
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.translator import SpeechTranslatorModel

SECTION = SpeechEncoderConfig(layers=2, d_model=16, ffn_dim=32, num_heads=2)
ON_SPEECH = {"ctc": True, "ctc_section": CtcConfig("speech_encoder", "character")}
CHARACTERS = " abcé"


@pytest.fixture
def model(make_model):
    return make_model(speech_encoder=SECTION, ctc_characters=CHARACTERS, **ON_SPEECH)


def test_one_utterance_is_encoded_as_speech2text_does(model, batch):
    encoder = model.speech_encoder.eval()
    reference = Speech2TextEncoder(encoder.model.config).eval()
    reference.load_state_dict(
        {
            name.replace("conv.convolutions.", "conv."): value
            for name, value in encoder.model.state_dict().items()
        }
    )
    for row, length in zip(batch["speech"], batch["speech_lengths"], strict=True):
        states, lengths = encoder(row[None, :length], length[None])
        expected = reference(row[None, :length]).last_hidden_state
        assert lengths.tolist() == [expected.shape[1]] == encoder.num_frames(length[None]).tolist()
        assert torch.allclose(states, expected, atol=1e-5)


def test_padding_changes_nothing(model, batch):
    encoder = model.speech_encoder.eval()
    together, lengths = encoder(batch["speech"], batch["speech_lengths"])
    assert lengths.tolist() == [16, 11, 5]
    for row, length, states, n in zip(
        batch["speech"], batch["speech_lengths"], together, lengths, strict=True
    ):
        alone, _ = encoder(row[None, :length], length[None])
        assert torch.allclose(states[:n], alone[0], atol=1e-5)


def test_passes_share_the_convolutions_and_differ_by_dropout(model, batch):
    encoder = model.speech_encoder
    rows = []
    encoder.model.conv.convolutions.register_forward_hook(
        lambda module, inputs, output: rows.append(len(output[0]))
    )
    for training in (True, False):
        encoder.train(training)
        assert encoder.is_random == training
        states, _ = encoder(batch["speech"], batch["speech_lengths"], 2)
        first, second = states.chunk(2)
        assert torch.allclose(first, second, atol=1e-5) != training
    assert rows == [3, 3]


def test_without_dropout_it_is_not_random(make_model):
    section = SpeechEncoderConfig(layers=1, d_model=16, num_heads=2, dropout=0.0)
    assert not make_model(speech_encoder=section).train().speech_encoder.is_random


def test_ctc_reads_the_states_of_the_speech_encoder(model, batch):
    model.eval()
    lengths = batch["speech_lengths"]
    [speech], [text] = run_passes(model, **batch, num_speech=1, num_text=1, ctc=True)
    states, counts = model.speech_encoder(batch["speech"], lengths)
    assert torch.allclose(speech.ctc_logits, model.ctc_head(states), atol=1e-5)
    assert speech.ctc_mask.sum(dim=1).tolist() == counts.tolist() == [16, 11, 5]
    assert speech.encoder_mask.sum(dim=1).tolist() == [4, 3, 2]
    assert text.ctc_logits is None
    assert text.ctc_mask is None
    alone = model.ctc_output(batch["speech"], lengths)
    assert torch.allclose(alone.logits, speech.ctc_logits, atol=1e-5)
    assert torch.equal(alone.mask, speech.ctc_mask)
    assert alone.logits.shape[-1] == 2 + len(CHARACTERS)
    assert model.num_ctc_states(lengths).tolist() == [16, 11, 5]
    assert model.num_states(lengths).tolist() == [4, 3, 2]
    assert model.ctc_blank == 0


def test_passes_may_part_at_the_shared_encoder(model, batch):
    model.train()
    rows = []
    model.speech_encoder.register_forward_hook(
        lambda module, inputs, output: rows.append(len(output[0]))
    )
    model.get_encoder().register_forward_hook(
        lambda module, inputs, output: rows.append(len(output[0]))
    )
    first, second = run_passes(model, **batch, num_speech=2, num_text=0, share_speech_encoder=True)[
        0
    ]
    assert rows == [3, 6]
    assert not torch.allclose(first.encoder_states, second.encoder_states, atol=1e-3)
    rows.clear()
    first, second = run_passes(model, **batch, num_speech=2, num_text=0, ctc=True)[0]
    assert rows == [6, 6]
    assert not torch.allclose(first.ctc_logits, second.ctc_logits, atol=1e-3)


@pytest.mark.parametrize(
    ("training", "options", "rows"),
    [
        (True, {"ctc": True}, [6]),
        (True, {"ctc": True, "share_speech_encoder": True}, [3]),
        (False, {"ctc": True}, [3]),
        (True, {}, []),
    ],
)
def test_the_ctc_head_runs_once_for_states_that_passes_share(model, batch, training, options, rows):
    model.train(training)
    seen = []
    model.ctc_head.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    passes, _ = run_passes(model, **batch, num_speech=2, num_text=1, **options)
    assert seen == rows
    scored = [output.ctc_logits is not None for output in passes]
    assert scored == {6: [True, True], 3: [True, False]}.get(sum(rows), [False, False])
    masks = [output.ctc_mask.sum(dim=1).tolist() for output in passes[: sum(scored)]]
    assert masks == [[16, 11, 5]] * sum(scored)


def test_ctc_on_pieces_has_the_padding_as_its_blank(make_model, batch):
    model = make_model(
        speech_encoder=SECTION, ctc=True, ctc_section=CtcConfig("speech_encoder", "piece")
    )
    alone = model.ctc_output(batch["speech"], batch["speech_lengths"])
    assert alone.logits.shape == (3, 16, 50)
    assert model.ctc_blank == 1


def test_it_is_saved_and_loaded(model, batch, tmp_path):
    model.eval().save_pretrained(tmp_path)
    loaded = SpeechTranslatorModel.from_pretrained(tmp_path).eval()
    assert loaded.config.ctc_characters == CHARACTERS
    assert loaded.config.ctc_position == "speech_encoder"
    before, after = (
        run_passes(each, **batch, num_speech=1, num_text=0, ctc=True)[0][0]
        for each in (model, loaded)
    )
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.ctc_logits, after.ctc_logits)


def test_fresh_weights_are_not_those_of_transformers(model):
    """transformers draws with deviation 0.02; Xavier-uniform of a 16 x 32 layer has 0.2."""
    weight = model.speech_encoder.model.layers[0].fc1.weight
    assert weight.std().item() == pytest.approx((2 / 48) ** 0.5, rel=0.1)


def test_a_continued_model_takes_the_dropout_of_the_section(model):
    section = ModelConfig(speech_encoder=SpeechEncoderConfig(layers=2, dropout=0.4))
    section.speech_encoder.d_model, section.speech_encoder.ffn_dim = 16, 32
    section.speech_encoder.num_heads = 2
    section.subsampler.mid_channels = 64
    text = section.text_model
    text.encoder_layers = text.decoder_layers = 2
    text.d_model, text.ffn_dim, text.num_heads = 32, 64, 4
    section.ctc = CtcConfig("speech_encoder", "character")
    changed = continue_model(model, section)
    assert changed.speech_encoder.model.config.dropout == 0.4
    assert changed.speech_encoder.model.layers[0].dropout == 0.4
    for name, value in model.state_dict().items():
        assert torch.equal(changed.state_dict()[name], value)
    section.speech_encoder.layers = 3
    with pytest.raises(
        UserError, match=r"^model\.speech_encoder\.layers: expected 2, as in initial_model, found 3"
    ):
        continue_model(model, section)
    section.speech_encoder.layers, section.ctc.unit = 2, "piece"
    with pytest.raises(UserError, match=r"^model\.ctc\.unit: expected 'character', as in initial"):
        continue_model(model, section)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"layers": -1}, r"speech_encoder\.layers: expected at least 0, found -1"),
        ({"d_model": 128}, r"d_model: expected nothing, since it is not read: layers is 0, fo"),
        ({"dropout": 0.3}, r"dropout: expected nothing, since it is not read: layers is 0, fo"),
        ({"layers": 1, "d_model": 20}, r"d_model: expected a multiple of twice the 4 heads, .*20"),
        ({"layers": 1, "dropout": 1.0}, r"speech_encoder\.dropout: expected a probability .* 1"),
        ({"layers": 1, "ffn_dim": 0}, r"speech_encoder\.ffn_dim: expected at least 1, found 0"),
        (
            {"layers": 1, "pretrained": "a"},
            r"layers: expected nothing, since it is not read: the pretrained encoder brings .*1",
        ),
        ({"layers": 1, "freeze": True}, r"speech_encoder\.freeze: expected false without a pretr"),
    ],
)
def test_impossible_sections_are_refused(keys, message):
    with pytest.raises(UserError, match=message):
        SpeechEncoderConfig(**keys).check_fresh()


def test_filterbanks_of_another_width_are_refused(model, batch):
    with pytest.raises(UserError, match=r"speech: expected filterbanks of shape \[B, T, 80\]"):
        model.speech_encoder(batch["speech"][..., :40], batch["speech_lengths"])


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({}, r"model\.ctc\.position: expected shared_encoder for filterbanks without"),
        (
            {"pretrained": "a", "freeze": True},
            r"model\.ctc\.position: expected shared_encoder with a frozen speech encoder",
        ),
    ],
)
def test_ctc_needs_a_speech_encoder_that_learns(encoder, message):
    section = ModelConfig(SpeechEncoderConfig(**encoder), ctc=CtcConfig("speech_encoder"))
    with pytest.raises(UserError, match=message):
        section.check_fresh()
