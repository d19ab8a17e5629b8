"""MuST-C's layout and what is shipped in that shape."""

import json
import shutil

import pytest

from horizon_st.data.corpora.mustc import read_mustc
from horizon_st.data.corpora.utterances import write_corpus
from horizon_st.errors import UserError


def test_reads_the_published_layout(corpus):
    root, read = corpus("mustc")
    splits = read()
    assert [*splits] == ["train", "dev", "tst-COMMON"]
    train = splits["train"]
    assert [row.id for row in train] == ["ted_1_0", "ted_1_1", "ted_1_2", "ted_2_0"]
    second = train[1]
    assert (second.transcript, second.translation) == ("re mi", "drei zwei")
    assert (second.offset_s, second.duration_s, second.speaker) == (0.5, 0.5, "spk.1")
    assert second.audio == root / "en-de" / "data" / "train" / "wav" / "ted_1.wav"
    assert second.place == f"{root / 'en-de/data/train/txt/train.yaml'}:2"
    for place in (root / "en-de", root / "en-de" / "data"):
        other = read_mustc(place, source_language="en", target_language="de")
        assert {split: [*rows] for split, rows in other.items()} == splits


def test_reads_a_low_resource_track(corpus):
    root, read = corpus("iwslt")
    splits = read()
    assert [*splits] == ["train", "dev", "test"]
    first = splits["train"][0]
    assert first.id == "clean_JOURNAL_-2016-08-00_id_0"
    assert first.audio == root / "train" / "wav" / "clean_JOURNAL_-2016-08-00_id.flac"
    assert (first.transcript, first.speaker) == (None, "lamine_é")
    # Training has true-cased texts alone, so they are taken for development, too.
    assert [row.translation for row in splits["dev"]] == ["vier acht", "drei acht eins"]
    assert [row.translation for row in splits["test"]] == [None, None]


@pytest.mark.parametrize("kept", ["txt/segments", "stamped.tsv"])
def test_other_lists_of_segments_serve_as_well(corpus, kept):
    root, read = corpus("iwslt")
    expected = read()
    for split in ("train", "valid", "test"):
        names = [row.audio.name for row in expected["dev" if split == "valid" else split]]
        (root / split / "txt" / f"{split}.yaml").unlink()
        if kept == "stamped.tsv":
            (root / split / "txt" / "segments").unlink()
            lines = [f"wav/{name.removesuffix('.flac')}.wav\t0\t0.5\n" for name in names]
            (root / split / kept).write_text("".join(lines), encoding="utf-8")
    for split, rows in read().items():
        assert [(r.id, r.audio, r.translation, r.duration_s) for r in rows] == [
            (r.id, r.audio, r.translation, r.duration_s) for r in expected[split]
        ]


def test_texts_may_lie_beside_the_audio_folder(corpus):
    root, read = corpus("iwslt")
    text = root / "test" / "test.fra"
    text.write_text("eins\nzwei\n", encoding="utf-8")
    assert [row.translation for row in read()["test"]] == ["eins", "zwei"]


def test_an_empty_transcript_is_none_and_an_empty_translation_stays(corpus):
    root, read = corpus("mustc")
    folder = root / "en-de" / "data" / "train" / "txt"
    for language in ("en", "de"):
        lines = (folder / f"train.{language}").read_text(encoding="utf-8").splitlines()
        lines[2] = "  "
        (folder / f"train.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    third = read()["train"][2]
    assert (third.transcript, third.translation) == (None, "")


@pytest.mark.parametrize(
    ("language", "change", "counts"),
    [
        ("de", lambda lines: lines[:-1], "4 in .*yaml, 4 in .*en, 3 in .*train.de"),
        ("en", lambda lines: [*lines, "x", "y"], "4 in .*yaml, 6 in .*en, 4 in .*train.de"),
    ],
)
def test_different_line_counts_are_an_error_with_the_counts(corpus, language, change, counts):
    root, read = corpus("mustc")
    file = root / "en-de" / "data" / "train" / "txt" / f"train.{language}"
    lines = change(file.read_text(encoding="utf-8").splitlines())
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"as many segments as lines in each text, found {counts}"):
        read()


def test_a_bad_number_and_missing_audio_are_left_to_the_writer(corpus, tmp_path):
    root, read = corpus("mustc")
    folder = root / "en-de" / "data" / "train"
    (folder / "wav" / "ted_2.wav").unlink()
    listed = folder / "txt" / "train.yaml"
    listed.write_text(
        listed.read_text(encoding="utf-8").replace("offset: 1.000000", "offset: 1.O"),
        encoding="utf-8",
    )
    rows = read()["train"]
    assert rows[3].audio == folder / "wav" / "ted_2.wav"
    prepared = write_corpus(tmp_path / "out", {"train": iter(rows)})
    assert prepared.num_utterances == {"train": 2}
    assert prepared.left_out == {"time is not a number": 1, "missing audio": 1}
    listed = (tmp_path / "out" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(listed[0])["found"].startswith("1.O")


def test_a_wrong_language_names_the_files_that_are_there(corpus):
    root, _ = corpus("mustc")
    with pytest.raises(UserError, match=r"translations as train\.fr, found train\.de, train\.en"):
        read_mustc(root / "en-de", source_language="en", target_language="fr")


def test_a_wrong_source_language_names_the_files_that_are_there(corpus):
    root, _ = corpus("mustc")
    message = r"transcripts as train\.xx, .*found train\.en\. Give the source language"
    with pytest.raises(UserError, match=message):
        read_mustc(root / "en-de", source_language="xx", target_language="de")


def test_other_files_and_a_transcript_in_one_split_are_no_error(corpus):
    root, read = corpus("iwslt")
    for name in ("train.fra", "train.tsv", "train.yaml.bak", "train.zip", "valid.taq.tok"):
        (root / "train" / "txt" / name).write_text("x\n" * 4, encoding="utf-8")
    assert [row.transcript for row in read()["train"]] == [None] * 4
    for name in ("valid/txt/valid.taq", "train/txt/train.eng"):
        (root / name).write_text("x\n" * 2, encoding="utf-8")
    splits = read()
    assert [row.transcript for row in splits["dev"]] == ["x", "x"]
    assert [row.transcript for row in splits["train"]] == [None] * 4


@pytest.mark.parametrize(
    ("left", "found"),
    [
        (["wav", "txt"], r"tst-COMMON\.de, tst-COMMON\.en, tst-common\.yaml"),
        (["wav"], "wav"),
        (["tst-COMMON.de"], r"tst-COMMON\.de"),
    ],
)
def test_a_split_without_its_list_is_refused(corpus, left, found):
    root, read = corpus("mustc")
    split = root / "en-de" / "data" / "tst-COMMON"
    listed = split / "txt" / "tst-COMMON.yaml"
    listed.rename(listed.with_name("tst-common.yaml"))
    shutil.copy(split / "txt" / "tst-COMMON.de", split)
    for path in [*split.iterdir()]:
        if path.name not in left:
            path.rename(root / path.name)
    message = (
        rf"tst-COMMON: expected a list of segments, .*txt/tst-COMMON\.yaml or .*found {found}\."
    )
    with pytest.raises(UserError, match=message):
        read()


def test_folders_of_other_things_are_passed_over(corpus):
    root, read = corpus("mustc")
    expected = [*read()]
    (root / "en-de" / "data" / "docs").mkdir()
    for name in ("readme.txt", "docs.py"):
        (root / "en-de" / "data" / "docs" / name).touch()
    assert [*read()] == expected


def test_another_folder_is_an_error(tmp_path):
    (tmp_path / "readme").touch()
    with pytest.raises(UserError, match=r"txt/\{split\}\.yaml.*en-de/data, found readme"):
        read_mustc(tmp_path, source_language="en", target_language="de")
    with pytest.raises(UserError, match="expected a folder of the corpus, found nothing there"):
        read_mustc(tmp_path / "none", source_language="en", target_language="de")
