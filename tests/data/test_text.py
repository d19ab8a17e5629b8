"""The tokenizer against sentencepiece itself, on sentences of five languages."""

import os
import subprocess
import sys
import unicodedata

import pytest
import sentencepiece
from tokenizers import normalizers

from horizon_st.data import text as text_module
from horizon_st.data.text import (
    SPECIAL_TOKENS,
    least_pieces,
    load_tokenizer,
    spelt_characters,
    train_tokenizer,
)
from horizon_st.decoding.scoring import score
from horizon_st.errors import UserError

TEMPLATES = [
    "the train to {0} leaves at {1} from platform {2}",
    "I can't find {0}'s ticket: it wasn't there!",
    "¿A qué hora sale el tren número {1} hacia {0}? ¡Rápido, señor!",
    "La estación número {2} está cerrada; mañana abrirá a las {1}.",
    "L'été, le train n° {1} s'arrête à {0} où l'on déjeune près du cœur de la ville.",
    "C'est ça: {0} — « déjà vu » — coûte {2} €.",
    "Perché l'autobus per {0} non è più lì? Dov'è la città?",
    "Der Zug nach {0} fährt um {1} Uhr über die große Brücke; Gleis {2}, schöne Grüße!",
]
PLACES = ["Córdoba", "Zürich", "Nîmes", "Forlì", "Łódź", "O'Neill", "São Paulo", "Reykjavík"]
SENTENCES = [
    template.format(place, 3 * number + 1, number)
    for number, place in enumerate(PLACES)
    for template in TEMPLATES
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(SENTENCES, vocab_size=150)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """sentencepiece's own model and segmentation, with its own normalisation."""
    prefix = tmp_path_factory.mktemp("sp") / "model"
    bos, pad, eos, unk = SPECIAL_TOKENS
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_prefix=str(prefix), vocab_size=150,
        character_coverage=1.0, num_threads=1, bos_id=0, pad_id=1, eos_id=2, unk_id=3,
        bos_piece=bos, pad_piece=pad, eos_piece=eos, unk_piece=unk, minloglevel=2,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")


def test_the_vocabulary_is_that_of_sentencepiece(tokenizer, reference):
    assert len(tokenizer) == len(reference) == 150
    pieces = {reference.id_to_piece(number): number for number in range(150)}
    assert tokenizer.get_vocab() == pieces
    assert [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3]
    ids = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert (*ids, tokenizer.unk_token_id) == (0, 1, 2, 3)


UNSEEN = [
    "  two   spaces and\ta tab ",
    "half\ufeff a mark\u0007",
    unicodedata.normalize("NFD", "mañana déjà vu über città"),
    "no\u00a0break \u2009 thin",
    "replaced \ufffd byte",
    "Ünïcödé wörds nobody ever said",
    "漢字 are unknown",
    "a",
    "'",
    "¿",
]


@pytest.mark.parametrize("sentences", [SENTENCES, UNSEEN], ids=["seen", "unseen"])
def test_segmentation_is_that_of_sentencepiece(tokenizer, reference, sentences):
    for sentence in sentences:
        expected = [*reference.encode(sentence), reference.eos_id()]
        assert tokenizer(sentence).input_ids == expected, sentence
    assert tokenizer(sentences).input_ids == [tokenizer(s).input_ids for s in sentences]


def test_decoding_gives_the_sentence_back(tokenizer):
    for sentence in SENTENCES:
        ids = tokenizer(sentence).input_ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == sentence
    assert "¿A qué hora" in tokenizer.decode(tokenizer(SENTENCES[2]).input_ids)


WRITTEN = [
    "你好，世界！他说：“今天（星期一）……”——真的？１２３％；好。",
    "「はい」、と言った。ｶﾀｶﾅも、全角のＡも！",
    "می\u200cخواهم این کتاب\u200cها را بخوانم.",
    "ශ්\u200dරී ලංකාව",
    "ខ្ញុំ\u200bទៅ\u200b\u200bផ្សារ",
    "n.º 5 … 2.ª parte … 3½ m² ™ № 7 ﬁn",
    "\u200fשלום!",
]
"""Compatible characters, joiners, directions, and spaces without width that part Khmer words."""


def test_what_is_written_comes_back():
    """Else references that a model writes without an error would not score 100."""
    tokenizer = train_tokenizer(WRITTEN, least_pieces(spelt_characters(WRITTEN)))
    found = [
        tokenizer.decode(ids, skip_special_tokens=True) for ids in tokenizer(WRITTEN).input_ids
    ]
    assert found == WRITTEN
    assert score(found, WRITTEN, tokenize="zh").metrics["BLEU"].value == pytest.approx(100)


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        (unicodedata.normalize("NFD", "señor mañana"), "señor mañana"),
        ("two \u3000 wide\u00a0or\u2028new\r\nlines\t", "two wide or new lines"),
        (
            "zero\u200b\u200bwidth\ufeff an\u0000d\u0007 \u009fcontrol\u0085",
            "zerowidth and control",
        ),
        ("a piece\u2581mark, a lost \ufffdbyte", "a piece mark, a lost byte"),
    ],
)
def test_what_nobody_sees_is_left_out_and_white_space_is_one_space(written, seen):
    tokenizer = train_tokenizer([written, *SENTENCES], vocab_size=150)
    assert tokenizer.decode(tokenizer(written).input_ids, skip_special_tokens=True) == seen
    assert spelt_characters([written]) == set(seen)


def test_a_stored_tokenizer_keeps_its_own_normaliser(tmp_path):
    """Models from before compatible characters stayed."""
    tokenizer = train_tokenizer(SENTENCES, vocab_size=150)
    compatible = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    tokenizer.backend_tokenizer.normalizer = compatible
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded("ﬁn…").input_ids == tokenizer("fin...").input_ids


def test_the_smallest_vocabulary_spells_what_is_written():
    least = least_pieces(spelt_characters(WRITTEN))
    assert len(train_tokenizer(WRITTEN, least)) == least
    with pytest.raises(UserError, match="more pieces than the text has characters"):
        train_tokenizer(WRITTEN, least - 1)


def test_training_is_deterministic_across_calls_and_processes(tokenizer):
    vocabulary = tokenizer.backend_tokenizer.to_str()
    assert train_tokenizer(SENTENCES, vocab_size=150).backend_tokenizer.to_str() == vocabulary
    program = (
        "import sys; from horizon_st.data.text import train_tokenizer; "
        "lines = sys.stdin.buffer.read().decode().splitlines(); "
        "tokenizer = train_tokenizer(lines, vocab_size=150); "
        "sys.stdout.buffer.write(tokenizer.backend_tokenizer.to_str().encode())"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        input="\n".join(SENTENCES).encode(),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert result.stdout.decode() == vocabulary


def test_a_saved_tokenizer_loads_with_the_same_ids(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded(SENTENCES).input_ids == tokenizer(SENTENCES).input_ids
    assert loaded.pad_token_id == 1
    for sentence in SENTENCES:
        ids = tokenizer(sentence).input_ids
        assert loaded.decode(ids, skip_special_tokens=True) == tokenizer.decode(
            ids, skip_special_tokens=True
        )


@pytest.mark.parametrize(
    ("sentences", "vocab_size", "message"),
    [
        (SENTENCES, 100_000, r"found 100000 \(Vocabulary size too high .* a value <= \d+\)\. Chan"),
        (SENTENCES, 10, r"found 10 \(Vocabulary size is smaller than required_chars"),
        ([], 50, r"data\.vocab_size: expected more pieces .* found 50 \(there is no text\)"),
        (["\u200b", " "], 50, r"there is no text"),
    ],
)
def test_a_vocabulary_that_the_text_cannot_give_is_refused(sentences, vocab_size, message):
    with pytest.raises(UserError, match=message):
        train_tokenizer(sentences, vocab_size)


def test_a_missing_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected a folder or hub id with a tokenizer .*hf down"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_that_cannot_pad_is_refused(tokenizer, tmp_path, monkeypatch):
    train_tokenizer(SENTENCES, vocab_size=150).save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    loaded.pad_token = None
    monkeypatch.setattr(text_module.AutoTokenizer, "from_pretrained", lambda _: loaded)
    with pytest.raises(
        UserError, match=r"expected a tokenizer with pad_token .* found no pad_token"
    ):
        load_tokenizer(tmp_path)
