"""What a run starts from: languages in the model, a model of before, broken folders."""

import json

import pytest
import sentencepiece
import torch
from transformers import HubertConfig, HubertModel, M2M100Tokenizer, MBartTokenizer

from horizon_st.data.collate import make_batch
from horizon_st.decoding.generate import DecodingConfig, translate
from horizon_st.decoding.trained import load_trained_model
from horizon_st.errors import UserError
from horizon_st.training.parts import build_parts, read_corpus


def parts_of(recipe):
    torch.manual_seed(0)
    return build_parts(recipe, read_corpus(recipe))


def save_tokenizer(kind, folder):
    text = ["do re mi fa so eins zwei drei vier acht"] * 9
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text),
        model_prefix=str(folder / "spm"),
        vocab_size=30,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    names = [pieces.id_to_piece(i) for i in range(len(pieces))]
    names = list(dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *names]))
    if kind == "mbart":
        MBartTokenizer(vocab=[(name, -1.0) for name in names]).save_pretrained(folder / kind)
    else:
        vocabulary = {name: i for i, name in enumerate(names)}
        (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "spm.model")).save_pretrained(
            folder / kind
        )
    return folder / kind


@pytest.mark.parametrize(
    ("kind", "source", "target"), [("m2m", "it", "de"), ("mbart", "it_IT", "de_DE")]
)
def test_translations_begin_with_their_language_also_after_saving(
    kind, source, target, make_recipe, tmp_path
):
    tokenizer = f"data.tokenizer={save_tokenizer(kind, tmp_path)}"
    with pytest.raises(UserError, match=r"data\.source_language: .*multilingual.*found none"):
        parts_of(make_recipe(tokenizer))
    languages = (f"data.source_language={source}", f"data.target_language={target}")
    made = parts_of(make_recipe(tokenizer, *languages))
    folder = tmp_path / "model"
    for part in (made.translator, made.tokenizer, made.frontend):
        part.save_pretrained(folder)
    language_id = made.tokenizer.lang_code_to_id[target]
    trained = load_trained_model(folder, device="cpu")
    for tokenizer, model in (
        (made.tokenizer, made.translator),
        (trained.tokenizer, trained.model),
    ):
        batch = make_batch(["a"], tokenizer, ["do re"], ["eins"])
        first_read = model.shift_right(batch.target)[0].tolist()[:2]
        model.eval()
        output = model.generate(
            input_ids=batch.transcript, generation_config=model.generation_config, max_new_tokens=3
        )
        assert language_id in first_read
        assert language_id in output[0, :2]
        [found] = translate(
            model, tokenizer, [batch], DecodingConfig(max_tokens=4), modality="text"
        )
        assert "__" not in found.text
    continued = parts_of(make_recipe(f"initial_model={folder}"))
    assert continued.tokenizer.tgt_lang == target
    swapped = (f"data.source_language={target}", f"data.target_language={source}")
    other = parts_of(make_recipe(f"initial_model={folder}", *swapped))
    settings = other.translator.generation_config
    ids = (settings.forced_bos_token_id, settings.decoder_start_token_id)
    assert other.tokenizer.lang_code_to_id[source] in ids


def test_an_initial_model_of_another_shape_is_refused(undisturbed, make_recipe):
    initial = f"initial_model={undisturbed / 'model'}"
    parts_of(make_recipe(initial))
    for override, message in {
        "text_model.d_model=32": r"text_model\.d_model: expected 16, as in initial_model, found 32",
        "text_model.encoder_layers=2": r"encoder_layers: expected 1, ",
        "text_model.ffn_dim=8": r"ffn_dim: expected 16, .*found 8",
        "text_model.num_heads=4": r"num_heads: expected 2, ",
        "text_model.architecture=bart": r"architecture: expected 'm2m_100', .*found bart",
        "speech_encoder.num_mel_bins=40": r"num_mel_bins: expected 20, ",
        "speech_encoder.pretrained=x": r"speech_encoder\.pretrained: expected none, .*found one",
        "subsampler.kernel_sizes=[5]": r"kernel_sizes: expected \[5, 5\], .*found \[5\]",
        "subsampler.mid_channels=8": r"mid_channels: expected 16, ",
    }.items():
        with pytest.raises(UserError, match=r"model\.\S*" + message):
            parts_of(make_recipe(initial, f"model.{override}"))


def test_the_recipe_gives_the_dropout_of_an_initial_model(undisturbed, make_recipe):
    initial = f"initial_model={undisturbed / 'model'}"
    values = ("model.text_model.dropout=0.4", "model.text_model.attention_dropout=0.2")
    before = parts_of(make_recipe(initial)).translator
    changed = parts_of(make_recipe(initial, *values)).translator
    built = parts_of(make_recipe(*values)).translator

    def dropouts(model):
        return {
            (name, key): value
            for name, module in model.named_modules()
            for key, value in vars(module).items()
            if "dropout" in key
        }

    assert dropouts(changed) == dropouts(built) != dropouts(before)
    assert changed.config.get_text_config().dropout == 0.4
    own = changed.state_dict()
    assert all(torch.equal(own[name], value) for name, value in before.state_dict().items())
    ids = torch.tensor([[5, 6, 2]])
    states = [model.eval().encode_text(ids).states for model in (before, changed)]
    assert torch.equal(*states)
    assert not torch.equal(changed.train().encode_text(ids).states, states[0])


def test_a_speech_encoder_without_its_front_end_is_refused(make_recipe, tmp_path):
    HubertModel(
        HubertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            conv_dim=(8,), conv_kernel=(10,), conv_stride=(5,),
            num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        )
    ).save_pretrained(tmp_path)  # fmt: skip
    with pytest.raises(UserError, match=r"speech_encoder\.pretrained: .*preprocessor_config\.json"):
        parts_of(make_recipe(f"model.speech_encoder.pretrained={tmp_path}"))
