"""What a run starts from: languages in the model, a model of before, broken folders."""

import json

import pytest
import sentencepiece
import torch
from transformers import HubertConfig, HubertModel, M2M100Tokenizer, MBartTokenizer

from horizon_st.data.collate import make_batch
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.generate import translate
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
    tokenizer = (f"data.tokenizer={save_tokenizer(kind, tmp_path)}", "data.vocab_size=1000")
    with pytest.raises(UserError, match=r"data\.source_language: .*multilingual.*found none"):
        parts_of(make_recipe(*tokenizer))
    languages = (f"data.source_language={source}", f"data.target_language={target}")
    made = parts_of(make_recipe(*tokenizer, *languages))
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
    initial = (f"initial_model={folder}", "data.vocab_size=1000")
    continued = parts_of(make_recipe(*initial))
    assert continued.tokenizer.tgt_lang == target
    swapped = (f"data.source_language={target}", f"data.target_language={source}")
    other = parts_of(make_recipe(*initial, *swapped))
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
        "speech_encoder={pretrained: x, num_mel_bins: 80}": r"\.pretrained: .*none, .*found one",
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


def test_what_a_recipe_does_not_give_is_the_dropout_of_an_initial_model(
    undisturbed, make_recipe, train, st_only, tmp_path
):
    settings = (*st_only, "stages.st.max_steps=1", "stages.st.average=1")
    folder = train(tmp_path, *settings, "model.text_model.dropout=0.3")
    initial = (f"initial_model={folder / 'model'}", "model.text_model.attention_dropout=0.2")
    recipe = make_recipe(*initial, "model.text_model.dropout=null")
    text = parts_of(recipe).translator.config.get_text_config()
    assert (text.dropout, text.attention_dropout) == (0.3, 0.2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.vocab_size=30",
            r"data\.vocab_size: expected nothing, .* own of 28, found 30\. ",
        ),
        ("data.high_hz=3800", r"data\.high_hz: expected nothing, .* own of 7600\.0, found 3800\.0"),
    ],
)
def test_what_an_initial_model_brings_along_is_not_given_another_value(
    undisturbed, make_recipe, override, message
):
    initial = f"initial_model={undisturbed / 'model'}"
    parts_of(make_recipe(initial, "data.vocab_size=28"))
    with pytest.raises(UserError, match=message):
        parts_of(make_recipe(initial, override))


def test_a_speech_encoder_without_its_front_end_is_refused(make_recipe, tmp_path):
    HubertModel(
        HubertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            conv_dim=(8,), conv_kernel=(10,), conv_stride=(5,),
            num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        )
    ).save_pretrained(tmp_path)  # fmt: skip
    with pytest.raises(UserError, match=r"speech_encoder\.pretrained: .*preprocessor_config\.json"):
        parts_of(make_recipe(f"model.speech_encoder={{pretrained: {tmp_path}, num_mel_bins: 80}}"))


def test_a_vocabulary_that_fits_its_sample_sees_all_text_in_the_order_of_the_files(
    make_recipe, corpus
):
    cuts = [json.loads(line) for line in (corpus / "train.jsonl").read_text().splitlines()]
    pairs = [json.loads(line) for line in (corpus / "text_pairs.jsonl").read_text().splitlines()]
    texts = [cut["supervisions"][0] for cut in cuts]
    expected = [
        text
        for supervision in texts
        if "text" in supervision
        for text in (supervision["text"], supervision["custom"]["translated_text"])
    ]
    expected += [text for pair in pairs for text in (pair["source"], pair["target"])]
    expected.append(texts[8]["custom"]["translated_text"])
    found = read_corpus(make_recipe())
    assert [*found.sentences(10_000)] == expected
    assert [*found.sentences(2 * (9 + 11))] == expected


@pytest.mark.parametrize(("at_most", "num_cuts", "num_pairs"), [(20, 5, 5), (38, 9, 10), (6, 1, 2)])
def test_a_larger_corpus_gives_its_vocabulary_a_share_of_both(
    make_recipe, at_most, num_cuts, num_pairs
):
    found = read_corpus(make_recipe())
    sentences = [*found.sentences(at_most)]
    assert len(sentences) <= at_most
    of_pairs = [text for pair in found.external_pairs.sample(num_pairs) for text in pair]
    of_cuts = [
        text
        for cut in found.train.sample(num_cuts)
        for text in (cut.supervisions[0].text, cut.supervisions[0].custom["translated_text"])
        if text is not None
    ]
    assert sorted(sentences) == sorted([*of_cuts, *of_pairs])


def test_in_domain_pairs_are_those_with_a_transcript(make_recipe):
    found = read_corpus(make_recipe())
    assert [*found.in_domain_pairs] == [
        (cut.supervisions[0].text, cut.supervisions[0].custom["translated_text"])
        for cut in found.train
        if cut.supervisions[0].text is not None
    ]
    assert len(found.in_domain_pairs) == 8
