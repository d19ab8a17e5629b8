"""The Mboshi corpus: raw and cleaned texts, any audio ending."""

import json

import pytest

from horizon_st.data.corpora.mboshi import read_mboshi
from horizon_st.data.corpora.utterances import write_corpus
from horizon_st.errors import UserError


def test_reads_texts_as_written(corpus):
    root, read = corpus("mboshi")
    splits = read()
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 4, "dev": 2}
    first = splits["train"][0]
    assert (first.id, first.speaker) == ("abiayi_2015-09-08_Dico18_0", "abiayi")
    assert first.transcript == "do re mi fa"
    assert first.translation == "Vier drei zwei eins d'abord !"
    assert {row.audio.suffix for row in splits["train"]} == {".wav", ".opus"}
    assert first.place.endswith(".fr:1")
    inner = read_mboshi(root / "full_corpus_newsplit")
    assert [*inner["dev"]] == splits["dev"]


def test_cleaned_texts_have_no_entities(corpus):
    root, _ = corpus("mboshi")
    first = next(read_mboshi(root, text="cleaned")["train"])
    assert first.translation == "vier drei zwei eins d ' abord !"


def test_other_files_are_passed_over_and_transcripts_may_be_missing(corpus):
    root, read = corpus("mboshi")
    expected = read()
    folder = root / "full_corpus_newsplit" / "train"
    name = "abiayi_2015-09-08_Dico18_0"
    for other in (".DS_Store", f"._{name}.wav", "README.txt", f"{name}.txt", f"{name}.zip"):
        (folder / other).write_bytes(b"\xff")
    (folder / f"{name}.mb").unlink()
    train = read()["train"]
    assert [row.audio for row in train] == [row.audio for row in expected["train"]]
    assert [row.transcript for row in train] == [
        None,
        *(row.transcript for row in expected["train"][1:]),
    ]


def test_an_utterance_without_translation_is_counted(corpus, tmp_path):
    root, read = corpus("mboshi")
    text = root / "full_corpus_newsplit" / "dev" / "abiayi_2015-09-08_Dico18_5.fr"
    text.unlink()
    prepared = write_corpus(tmp_path / "out", read())
    assert prepared.left_out == {"empty translation": 1}
    assert prepared.num_utterances == {"train": 4, "dev": 1}
    listed = (tmp_path / "out" / "left_out.jsonl").read_text(encoding="utf-8")
    assert json.loads(listed)["place"] == f"{text}:1"


def test_a_wrong_folder_is_an_error(tmp_path):
    with pytest.raises(UserError, match="train: expected a folder of the corpus"):
        read_mboshi(tmp_path)
    empty = tmp_path / "empty"
    for split in ("train", "dev"):
        (empty / split).mkdir(parents=True)
    with pytest.raises(UserError, match="expected recordings"):
        next(read_mboshi(empty)["train"])
