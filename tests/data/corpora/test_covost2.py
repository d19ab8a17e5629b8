"""CoVoST 2 over Common Voice: the joined and the split form."""

import csv

import pytest

from horizon_st.data.corpora.covost2 import read_covost2
from horizon_st.errors import UserError

LANGUAGES = {"source_language": "fr", "target_language": "en"}


def test_joins_translations_with_common_voice(corpus):
    root, read = corpus("covost2")
    splits = read()
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 4, "dev": 1, "test": 1}
    third = splits["train"][2]
    assert (third.id, third.speaker) == ("common_voice_fr_17302", "c0")
    assert (third.transcript, third.translation) == ("fa so do", "eins acht vier")
    assert third.audio == root / "clips" / "common_voice_fr_17302.mp3"
    assert (third.offset_s, third.duration_s) == (0.0, None)
    assert third.place == f"{root / 'covost_v2.fr_en.tsv'}:4"


def test_files_may_lie_above_the_language_folder_or_elsewhere(corpus, tmp_path):
    root, read = corpus("covost2")
    expected = read()
    above = tmp_path / "cv-corpus-4"
    above.mkdir()
    root = root.rename(above / "fr")
    for place in (above, tmp_path / "covost"):
        place.mkdir(exist_ok=True)
        [table] = tmp_path.rglob("covost_v2.fr_en.tsv")
        table.rename(place / table.name)
        given = None if place == above else place
        splits = read_covost2(above, **LANGUAGES, translations=given)
        rows = {split: [(r.id, r.translation) for r in rows] for split, rows in splits.items()}
        assert rows == {split: [(r.id, r.translation) for r in e] for split, e in expected.items()}


def test_a_clip_that_is_not_validated_has_no_transcript(corpus):
    root, read = corpus("covost2")
    table = root / "validated.tsv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join(line for line in lines if "17301" not in line), encoding="utf-8")
    assert [row.transcript is None for row in read()["train"]] == [False, True, False, False]


def test_reads_what_the_published_script_writes(common_voice):
    root, clips = common_voice
    texts = ['She said "no".', r"a \ b", 'the "end', "plain"]
    for split, rows in (("train", clips[:4]), ("dev", clips[4:])):
        path = root / f"covost_v2.fr_en.{split}.tsv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(
                file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n"
            )
            writer.writerow(["path", "sentence", "translation", "client_id"])
            for clip, text in zip(rows, texts, strict=False):
                writer.writerow([clip, f"« {text} »", text, "c1"])
    splits = read_covost2(root, **LANGUAGES)
    assert [*splits] == ["train", "dev"]
    rows = [*splits["train"]]
    assert [row.translation for row in rows] == texts
    assert [row.transcript for row in rows] == [f"« {text} »" for text in texts]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "covost_v2.fr_en.tsv",
            ("split\n", "part\n"),
            "tsv:1: expected the columns path.*no split",
        ),
        (
            "validated.tsv",
            ("sentence", "text"),
            "validated.tsv:1: expected the columns.*no sentence",
        ),
        ("covost_v2.fr_en.tsv", ("\tdev\n", "\tdve\n"), "tsv:6: expected as split one of.*dve"),
        ("covost_v2.fr_en.tsv", ("\tdev\n", "\n"), "tsv:6: expected 3 values.*found 2"),
        ("covost_v2.fr_en.tsv", ("path\t", "split\t"), "names each column once"),
    ],
)
def test_damaged_tables_are_errors_with_their_line(corpus, file, change, message):
    root, read = corpus("covost2")
    path = root / file
    path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read()


def test_missing_translations_are_an_error(common_voice):
    root, _ = common_voice
    with pytest.raises(UserError, match=r"expected covost_v2\.fr_en\.tsv, or .*found clips, valid"):
        read_covost2(root, **LANGUAGES)
