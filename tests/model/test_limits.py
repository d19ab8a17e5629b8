"""What is too long for a model is refused by the name of the utterance, and nothing else is."""

import pytest
import torch
from transformers import HubertConfig, HubertModel, WhisperConfig, WhisperModel

from horizon_st.data.collate import Batch
from horizon_st.errors import UserError
from horizon_st.model.limits import check_batch, check_speech
from horizon_st.model.speech_encoder import SpeechEncoderConfig

NO_TEXT = torch.tensor([[5, 2], [5, 2]])


def batch_of(*, speech=None, speech_lengths=None, transcript=NO_TEXT, target=NO_TEXT):
    ids = ["first", "second"][: len(target)]
    return Batch(ids, speech, speech_lengths, transcript, target, int((target != 1).sum()))


@pytest.fixture
def make_pretrained(make_model, tmp_path):
    """A function: kind of speech encoder -> a model with one of these, and room for 40 states."""

    def make(kind):
        if kind == "hubert":
            config = HubertConfig(
                hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                conv_dim=(8, 8), conv_kernel=(10, 3), conv_stride=(5, 4), num_feat_extract_layers=2,
                num_conv_pos_embeddings=3, num_conv_pos_embedding_groups=1,
            )  # fmt: skip
            HubertModel(config).save_pretrained(tmp_path / kind)
        elif kind == "whisper":
            config = WhisperConfig(
                vocab_size=20, pad_token_id=1, bos_token_id=2, eos_token_id=2,
                decoder_start_token_id=2, num_mel_bins=8, encoder_layers=1, decoder_layers=1,
                encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
                decoder_ffn_dim=16, d_model=16, max_source_positions=30,
            )  # fmt: skip
            WhisperModel(config).save_pretrained(tmp_path / kind)
        pretrained = None if kind == "filterbanks" else str(tmp_path / kind)
        encoder = SpeechEncoderConfig(pretrained=pretrained)
        return make_model("bart", max_positions=40, speech_encoder=encoder).eval()

    return make


@pytest.mark.parametrize(
    ("kind", "shape", "lengths"),
    [
        ("filterbanks", (80,), [61, 37, 4, 1]),
        ("hubert", (), [611, 402, 99, 30]),
        ("whisper", (8,), [60, 37, 4, 1]),
    ],
)
def test_states_are_counted_as_the_model_makes_them(make_pretrained, kind, shape, lengths):
    model = make_pretrained(kind)
    speech, lengths = torch.randn(len(lengths), lengths[0], *shape), torch.tensor(lengths)
    with torch.no_grad():
        mask = model.encode_speech(speech, lengths).mask
    assert model.num_states(lengths).tolist() == mask.sum(dim=1).tolist()


def test_speech_that_is_too_long_is_named_longest_first(make_model):
    model = make_model("bart", max_positions=8)
    check_speech(model, ["a", "b"], torch.tensor([32, 5]))
    with pytest.raises(
        UserError,
        match=r"^utterance b: expected at most 8 states after subsampling, the positions of the "
        r"text model, found 9\. Raise model\.text_model\.max_positions of a fresh text model to 9, "
        r"or split or remove such utterances \(`horizon-st validate` .*another --out",
    ):
        check_speech(model, ["a", "b"], torch.tensor([32, 33]))
    lengths = torch.tensor([40, 44, 48, 52, 56, 60])
    with pytest.raises(
        UserError,
        match="^utterance f: .* found 15; too long are also utterance e, utterance d, utterance c "
        r"and 2 more\.",
    ):
        check_speech(model, [*"abcdef"], lengths)


def test_the_window_of_a_speech_encoder_is_a_limit(make_pretrained):
    model = make_pretrained("whisper")
    check_speech(model, ["a"], torch.tensor([60]))
    with pytest.raises(
        UserError, match=r"^utterance a: expected at most 60 frames, the window .*found 61\. Please"
    ):
        check_speech(model, ["a"], torch.tensor([61]))


@pytest.mark.parametrize("architecture", ["m2m_100", "t5"])
def test_models_without_a_limit_take_everything(make_model, architecture):
    model = make_model(architecture, max_positions=8)
    check_speech(model, ["a"], torch.tensor([4000]))
    long = torch.full((2, 99), 5)
    check_batch(model, batch_of(transcript=long, target=long), num_speech=0, num_text=1)


def test_a_batch_is_checked_for_the_passes_it_is_for(make_model):
    model = make_model("bart", max_positions=8)
    long = torch.tensor([[5, 2] + [1] * 7, [5] * 8 + [2]])
    speech, lengths = torch.zeros(2, 40, 80), torch.tensor([40, 9])
    check_batch(model, batch_of(speech=speech, speech_lengths=lengths), num_speech=0, num_text=1)
    with pytest.raises(UserError, match=r"^utterance first: .*found 10\."):
        check_batch(
            model, batch_of(speech=speech, speech_lengths=lengths), num_speech=1, num_text=0
        )
    check_batch(model, batch_of(transcript=long), num_speech=1, num_text=0)
    with pytest.raises(
        UserError, match=r"^transcript of second: expected at most 8 tokens.*nd 9\."
    ):
        check_batch(model, batch_of(transcript=long), num_speech=1, num_text=1)
    with pytest.raises(UserError, match=r"^translation of second: .*positions of the text.*nd 9\."):
        check_batch(model, batch_of(target=long), num_speech=1, num_text=0)
