"""FLEURS as speech translation: joined over the sentence id."""

import shutil

import pytest

from horizon_st.data.corpora.fleurs import read_fleurs
from horizon_st.data.corpora.utterances import write_corpus
from horizon_st.errors import UserError

LANGUAGES = {"source_language": "en_us", "target_language": "de_de"}


def test_joins_two_languages_over_the_sentence(corpus):
    root, read = corpus("fleurs")
    splits = read()
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 5, "dev": 2}
    *_, fourth, fifth = splits["train"]
    assert fourth.translation == fifth.translation == "Zwei acht drei."
    assert fourth.transcript == "Mi so re."
    assert fourth.id != fifth.id
    assert fourth.audio.parent == root / "data" / "en_us" / "audio" / "train"
    assert (fourth.duration_s, fourth.place) == (0.5, f"{root / 'data/en_us/train.tsv'}:4")
    normalized = read_fleurs(root / "data", **LANGUAGES, text="normalized")
    assert next(normalized["train"]).translation == "vier drei zwei eins"


def test_a_sentence_without_translation_is_counted(corpus, tmp_path):
    root, read = corpus("fleurs")
    table = root / "data" / "de_de" / "train.tsv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join(lines[1:]), encoding="utf-8")
    prepared = write_corpus(tmp_path / "out", read())
    assert prepared.left_out == {"empty translation": 1}
    assert prepared.num_utterances == {"train": 4, "dev": 2}


def test_a_test_split_without_its_audio_stops_no_other(corpus, tmp_path):
    root, read = corpus("fleurs")
    for language in ("en_us", "de_de"):
        folder = root / "data" / language
        shutil.copy(folder / "dev.tsv", folder / "test.tsv")
    prepared = write_corpus(tmp_path / "out", read())
    assert prepared.num_utterances == {"train": 5, "dev": 2}
    assert prepared.lost == ["test"]


def test_a_length_that_is_no_number_is_listed_as_written(corpus, tmp_path):
    root, read = corpus("fleurs")
    table = root / "data" / "en_us" / "dev.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("8000", "8OOO", 1), encoding="utf-8")
    prepared = write_corpus(tmp_path / "out", read())
    assert prepared.left_out == {"time is not a number": 1}
    assert '"found": "8OOO"' in (tmp_path / "out" / "left_out.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["en_us", "de_de"])
def test_a_split_without_its_texts_is_refused(corpus, language):
    root, read = corpus("fleurs")
    (root / "data" / language / "dev.tsv").unlink()
    message = (
        rf"{language}/dev\.tsv: expected the texts of a split that en_us has, found .*train\.t"
    )
    with pytest.raises(UserError, match=message):
        read()


def test_a_split_that_the_target_language_alone_has_is_skipped(corpus):
    root, read = corpus("fleurs")
    (root / "data" / "en_us" / "dev.tsv").unlink()
    (root / "data" / "en_us" / "audio" / "dev").rename(root / "elsewhere")
    assert [*read()] == ["train"]
    (root / "data" / "en_us" / "train.tsv").unlink()
    (root / "data" / "en_us" / "audio" / "train").rename(root / "elsewhere" / "train")
    with pytest.raises(UserError, match=r"expected a split, such as train\.tsv, found audio"):
        read()


def test_packed_audio_and_other_mistakes_are_errors(corpus):
    root, read = corpus("fleurs")
    with pytest.raises(UserError, match=r"data/en: expected .* found de_de, en_us"):
        read_fleurs(root, source_language="en", target_language="de_de")
    audio = root / "data" / "en_us" / "audio"
    (audio / "train").rename(audio / "elsewhere")
    (audio / "train.tar.gz").touch()
    with pytest.raises(UserError, match=r"found train\.tar\.gz beside it\. Unpack .*tar -xzf"):
        read()
    (audio / "elsewhere").rename(audio / "train")
    (root / "data" / "de_de" / "train.tsv").write_text("1500\ta.wav\tHallo\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"train\.tsv:1: expected 7 values"):
        read()
