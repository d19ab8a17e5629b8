"""Targets are encoded as targets: by the target's pieces, or with the target's language."""

import io
import json

import pytest
import sentencepiece
from transformers import M2M100Tokenizer, MarianTokenizer, MBartTokenizer, NllbTokenizer

from horizon_st.data.collate import make_batch
from horizon_st.data.configuration import DataConfig
from horizon_st.data.text import load_tokenizer, set_languages, vocabulary_size
from horizon_st.errors import UserError

ENGLISH = ["the station is closed today", "please bring two tickets"]
SPANISH = ["la estación está cerrada hoy", "¿trae usted dos billetes?"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def train_pieces(sentences, path):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences * 5),
        model_writer=model,
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return pieces, [pieces.id_to_piece(i) for i in range(len(pieces))]


def ids_of(pieces):
    return {piece: i for i, piece in enumerate(dict.fromkeys([*SPECIAL, *pieces]))}


def m2m_100(folder):
    _, pieces = train_pieces(ENGLISH + SPANISH, folder / "spm.model")
    (folder / "vocab.json").write_text(json.dumps(ids_of(pieces)), encoding="utf-8")
    return M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "spm.model"))


def nllb(folder):
    _, pieces = train_pieces(ENGLISH + SPANISH, folder / "spm.model")
    return NllbTokenizer(vocab=ids_of(pieces), merges=[])


def mbart(folder):
    _, pieces = train_pieces(ENGLISH + SPANISH, folder / "spm.model")
    return MBartTokenizer(vocab=[(piece, -1.0) for piece in ids_of(pieces)])


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_marian_encodes_targets_with_its_second_model(tmp_path):
    _, english = train_pieces(ENGLISH, tmp_path / "source.spm")
    spanish_model, spanish = train_pieces(SPANISH, tmp_path / "target.spm")
    vocabulary = ids_of(english + spanish)
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer = MarianTokenizer(
        str(tmp_path / "source.spm"), str(tmp_path / "target.spm"), str(tmp_path / "vocab.json")
    )
    batch = make_batch(["a"], tokenizer, [ENGLISH[0]], [SPANISH[0]])
    expected = [vocabulary[piece] for piece in spanish_model.encode(SPANISH[0], out_type=str)]
    assert batch.target[0].tolist() == [*expected, tokenizer.eos_token_id]
    assert batch.target[0].tolist() != tokenizer(SPANISH[0]).input_ids
    assert batch.transcript[0].tolist() == tokenizer(ENGLISH[0]).input_ids
    assert tokenizer.decode(batch.target[0], skip_special_tokens=True) == SPANISH[0]


@pytest.mark.parametrize(
    ("make", "source", "target"),
    [(m2m_100, "en", "es"), (nllb, "eng_Latn", "spa_Latn"), (mbart, "en_XX", "es_XX")],
)
def test_both_sides_carry_their_language_also_after_loading(make, source, target, tmp_path):
    tokenizer = make(tmp_path)
    spanish = set_languages(tokenizer, source, target)
    tokenizer.save_pretrained(tmp_path / "saved")
    loaded = load_tokenizer(tmp_path / "saved")
    assert (loaded.src_lang, loaded.tgt_lang) == (source, target)
    english = set_languages(make(tmp_path), target, source)
    for each in (tokenizer, loaded):
        batch = make_batch(["a", "b"], each, [ENGLISH[0], "the"], SPANISH)
        assert english in batch.transcript[0]
        assert spanish not in batch.transcript
        assert english not in batch.target
        rows = [row[row != each.pad_token_id].tolist() for row in batch.target]
        assert [row[-1] for row in rows] == [each.eos_token_id] * 2
        if make is not mbart:
            assert [row[0] for row in rows] == [spanish] * 2
        texts = [each.decode(row, skip_special_tokens=True) for row in rows]
        assert all("_" not in text and text.startswith(("la", "¿")) for text in texts)
    assert vocabulary_size(loaded) == vocabulary_size(tokenizer)


def test_languages_that_are_missing_unknown_or_of_no_use_are_refused(tmp_path, tokenizer):
    with pytest.raises(UserError, match=r"data\.source_language: expected one of the 1\d\d .*none"):
        set_languages(m2m_100(tmp_path), None, None)
    with pytest.raises(UserError, match=r"target_language: .* found spa\. Set it .*spa_Latn"):
        set_languages(nllb(tmp_path), "eng_Latn", "spa")
    with pytest.raises(UserError, match=r"source_language: .* found <unk>"):
        set_languages(nllb(tmp_path), "<unk>", "spa_Latn")
    with pytest.raises(UserError, match=r"expected nothing with a tokenizer .*'en' and 'es'"):
        set_languages(tokenizer, "en", "es")
    assert set_languages(tokenizer, None, None) is None
    with pytest.raises(UserError, match=r"data\.source_language and .*both or neither.*'en' and N"):
        DataConfig(source_language="en")
