"""Tokens become the same text without transformers, whatever the tokenizer."""

import io
import json

import pytest
import sentencepiece
from tokenizers import Tokenizer
from transformers import M2M100Tokenizer, MarianTokenizer, NllbTokenizer

from horizon_st.data.text import set_languages, train_tokenizer
from horizon_st.errors import UserError
from horizon_st.inference.onnx.vocabulary import write_tokenizer

SENTENCES = ["la estación está cerrada hoy", "¿trae usted dos billetes?", "it is closed, today"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def pieces_of(path):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 5),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(i) for i in range(len(processor))]
    return {piece: i for i, piece in enumerate(dict.fromkeys([*SPECIAL, *pieces]))}


def marian(folder):
    vocabulary = pieces_of(folder / "source.spm")
    pieces_of(folder / "target.spm")
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    paths = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    return MarianTokenizer(*paths)


def m2m_100(folder):
    vocabulary = pieces_of(folder / "spm.model")
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "spm.model"))
    set_languages(tokenizer, "es", "en")
    return tokenizer


def nllb(folder):
    return NllbTokenizer(vocab=pieces_of(folder / "spm.model"), merges=[])


def ours(folder):
    return train_tokenizer(SENTENCES * 5, 35)


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize("make", [ours, marian, m2m_100, nllb])
def test_the_same_text(make, tmp_path):
    tokenizer = make(tmp_path)
    write_tokenizer(tokenizer, tmp_path)
    written = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for sentence in SENTENCES:
        tokens = tokenizer(sentence).input_ids
        expected = tokenizer.decode(tokens, skip_special_tokens=True).strip()
        assert expected
        assert written.decode(tokens, skip_special_tokens=True).strip() == expected


def test_a_tokenizer_with_other_text_is_refused(tmp_path):
    tokenizer = ours(tmp_path)
    tokenizer.clean_up_tokenization_spaces = True
    tokenizer.clean_up_tokenization = lambda text: text + "."
    with pytest.raises(UserError, match=r"tokenizer .*: expected '.*cannot be exported"):
        write_tokenizer(tokenizer, tmp_path)
