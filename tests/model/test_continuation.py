"""What a recipe may change about an initial model; shapes are tested with the recipe's parts."""

import pytest
import torch
from transformers import HubertConfig, HubertModel, WhisperConfig, WhisperModel

from horizon_st.errors import UserError
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.continuation import continue_model
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.translator import SpeechTranslatorModel

LAYERS = {"layers": 1, "d_model": 16, "ffn_dim": 32, "num_heads": 2}
EMBEDDING = "speech_encoder.model.masked_spec_embed"


@pytest.fixture
def make_initial(make_model, tmp_path):
    """A function: (kind of speech encoder, settings) -> a translator, as it is read from disk."""

    def make(kind, **settings):
        torch.manual_seed(0)
        if kind == "hubert":
            HubertModel(
                HubertConfig(
                    hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                    intermediate_size=32, conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(5, 8),
                    num_feat_extract_layers=2, num_conv_pos_embeddings=4,
                    num_conv_pos_embedding_groups=2,
                )
            ).save_pretrained(tmp_path / kind)  # fmt: skip
        if kind == "whisper":
            WhisperModel(
                WhisperConfig(
                    vocab_size=20, num_mel_bins=8, encoder_layers=1, decoder_layers=1,
                    encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
                    decoder_ffn_dim=16, d_model=16, max_source_positions=60, pad_token_id=1,
                    bos_token_id=2, eos_token_id=2, decoder_start_token_id=2, dropout=0.1,
                )
            ).save_pretrained(tmp_path / kind)  # fmt: skip
        shape = {"layers": LAYERS, "plain": {}}.get(kind, {"pretrained": str(tmp_path / kind)})
        model = make_model(speech_encoder=SpeechEncoderConfig(**shape, **settings))
        model.save_pretrained(tmp_path / "initial")
        return SpeechTranslatorModel.from_pretrained(tmp_path / "initial")

    return make


def continued(model, **settings):
    return continue_model(model, ModelConfig(speech_encoder=SpeechEncoderConfig(**settings)))


def trained(model):
    """Names of what is; Whisper's table of positions is that only where it was read from disk."""
    named = [(n, p) for n, p in model.named_parameters() if "embed_positions" not in n]
    return {name for name, parameter in named if parameter.requires_grad}


def speech_of(kind):
    torch.manual_seed(1)
    shape = {"hubert": (2, 900), "whisper": (2, 40, 8)}.get(kind, (2, 40, 80))
    return torch.randn(shape), torch.tensor([shape[1]] * 2)


def passes_are_equal(model, kind):
    states, _ = model.train().speech_encoder(*speech_of(kind), 2)
    return torch.equal(*states.chunk(2))


def assert_same_weights(changed, model):
    before, after = model.state_dict(), changed.state_dict()
    assert before.keys() - {EMBEDDING} == after.keys() - {EMBEDDING}
    assert all(torch.equal(after[name], before[name]) for name in before.keys() - {EMBEDDING})


def test_an_initial_t5_takes_its_one_dropout(make_model):
    section = ModelConfig(text_model=TextModelConfig(dropout=0.3))
    changed = continue_model(make_model("t5"), section)
    assert changed.config.get_text_config().dropout_rate == 0.3


@pytest.mark.parametrize(
    ("key", "found"),
    [("attention_dropout", r"0\.2 and 0"), ("activation_dropout", r"0 and 0\.2")],
)
def test_an_initial_t5_has_no_other_dropout(make_model, key, found):
    section = ModelConfig(text_model=TextModelConfig(**{key: 0.2}))
    with pytest.raises(
        UserError,
        match=r"attention_dropout and activation_dropout: expected 0 with a model of type T5, "
        rf"whose one dropout acts everywhere, found {found}\. Remove both and",
    ):
        continue_model(make_model("t5"), section)


@pytest.mark.parametrize("kind", ["hubert", "whisper", "layers"])
def test_the_speech_encoder_of_an_initial_model_can_be_frozen_and_unfrozen(
    make_initial, kind, tmp_path
):
    model = make_initial(kind)
    assert not passes_are_equal(model, kind)
    changed = continued(model, freeze=True)
    assert_same_weights(changed, model)
    assert {name for name in trained(model) if name[:7] != "speech_"} == trained(changed)
    assert passes_are_equal(changed, kind)
    changed.save_pretrained(tmp_path / "again")
    again = SpeechTranslatorModel.from_pretrained(tmp_path / "again")
    for same in (again, continued(again)):
        assert trained(same) == trained(changed)
        assert passes_are_equal(same, kind)
    unfrozen = continued(again, freeze=False)
    assert_same_weights(unfrozen, model)
    assert trained(unfrozen) == trained(model)
    assert not any("feature_extractor" in name for name in trained(model))
    assert not passes_are_equal(unfrozen, kind)


def test_other_settings_of_its_training_act_as_on_a_fresh_build(make_initial):
    settings = {"freeze_feature_encoder": False, "mask_time_prob": 0.4}
    settings["mask_time_length_frames"] = 3
    model = make_initial("hubert")
    changed = continued(model, **settings)
    built = make_initial("hubert", **settings)
    assert_same_weights(changed, model)
    assert trained(changed) == trained(built) != trained(model)
    assert EMBEDDING in trained(changed)
    for key in ("apply_spec_augment", "mask_time_prob", "mask_time_length", "mask_feature_prob"):
        values = [getattr(x.speech_encoder.model.config, key) for x in (changed, built)]
        assert values[0] == values[1], key
    with torch.no_grad():
        changed.speech_encoder.model.masked_spec_embed.fill_(1e6)
    assert changed.train().speech_encoder(*speech_of("hubert"))[0].isfinite().all()
    kept = continued(changed, mask_time_prob=0.4, freeze_feature_encoder=False)
    assert kept is changed
    assert (kept.state_dict()[EMBEDDING] == 1e6).all()
    shorter = continued(changed, mask_time_length_frames=2)
    assert shorter.speech_encoder.model.config.mask_time_length == 2
    assert (shorter.state_dict()[EMBEDDING] == 1e6).all()
    unmasked = continued(changed, mask_time_prob=0)
    assert EMBEDDING not in unmasked.state_dict()
    assert not unmasked.speech_encoder.model.config.apply_spec_augment


@pytest.mark.parametrize(
    ("kind", "of_model", "settings", "message"),
    [
        ("plain", {}, {"freeze": True}, r"\.freeze: expected false, since .*filterbanks as they a"),
        (
            "layers",
            {},
            {"freeze_feature_encoder": False},
            r"\.freeze_feature_encoder: expected nothing, .*: only models of waveforms .*d False",
        ),
        (
            "whisper",
            {},
            {"mask_time_prob": 0.1},
            r"\.mask_time_prob: expected nothing, .*: only models of waveforms .*found 0\.1",
        ),
        (
            "hubert",
            {},
            {"mask_time_length_frames": 5},
            r"\.mask_time_length_frames: expected nothing, .*: mask_time_prob is 0, found 5",
        ),
        (
            "hubert",
            {"freeze": True},
            {"mask_time_prob": 0.1},
            r"\.mask_time_prob: expected nothing, .*: freeze keeps the whole .*found 0\.1",
        ),
    ],
)
def test_what_the_speech_encoder_of_an_initial_model_cannot_do_is_refused(
    make_initial, kind, of_model, settings, message
):
    model = make_initial(kind, **of_model)
    with pytest.raises(UserError, match=r"^model\.speech_encoder" + message):
        continued(model, **settings)


def test_the_section_that_an_initial_model_was_trained_with_can_be_given_again(make_initial):
    masks = {"mask_time_prob": 0.4, "mask_time_length_frames": 3}
    model = make_initial("hubert", **masks)
    assert continued(model, **masks) is model
    assert continued(model, **masks, freeze=True).speech_encoder.frozen
