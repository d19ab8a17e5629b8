"""Europarl-ST: segments of debates, names with dots, speakers by speech."""

import pytest

from horizon_st.data.corpora.europarl_st import read_europarl_st
from horizon_st.errors import UserError

LANGUAGES = {"source_language": "en", "target_language": "de"}


def test_splits_are_known_in_any_case(corpus):
    root, read = corpus("europarl_st")
    expected = read()
    for folder in [*root.rglob("train"), *root.rglob("dev")]:
        folder.rename(folder.with_name({"train": "Training", "dev": "DEVELOPMENT"}[folder.name]))
    splits = read()
    assert [*splits] == [*expected]
    assert [row.id for row in splits["train"]] == [row.id for row in expected["train"]]


def test_reads_the_published_layout(corpus):
    root, read = corpus("europarl_st")
    splits = read()
    assert [*splits] == ["train", "dev"]
    assert [row.id for row in splits["train"]] == [
        f"en.20081117.17.1-12{speech}_{number}" for speech in "ab" for number in range(2)
    ]
    last = splits["train"][-1]
    assert (last.transcript, last.translation) == ("mi so re", "zwei acht drei")
    assert (last.offset_s, last.duration_s, last.speaker) == (0.5, 0.5, "MEP_b")
    assert last.audio == root / "v1.1" / "en" / "audios" / "en.20081117.17.1-12b.m4a"
    assert last.place == f"{root / 'v1.1/en/de/train/segments.lst'}:4"
    inner = read_europarl_st(root / "v1.1", **LANGUAGES)
    assert [*inner["dev"]] == splits["dev"]


def test_speakers_are_optional_but_one_for_each_speech(corpus):
    root, read = corpus("europarl_st")
    speakers = root / "v1.1" / "en" / "de" / "train" / "speakers.lst"
    speakers.write_text("MEP_a\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"one speaker for each of the 2 lines .*found 1 lines"):
        read()
    speakers.unlink()
    assert {row.speaker for row in read()["train"]} == {None}


def test_missing_text_or_pair_are_errors(corpus):
    root, read = corpus("europarl_st")
    with pytest.raises(UserError, match=r"expected the folder en/pl, found .*v1\.1"):
        read_europarl_st(root, source_language="en", target_language="pl")
    (root / "v1.1" / "en" / "de" / "dev" / "segments.de").unlink()
    with pytest.raises(UserError, match=r"segments\.de: expected a text file"):
        read()
    (root / "v1.1" / "en" / "de" / "dev" / "segments.lst").unlink()
    message = r"dev/segments\.lst: expected the segments of the split, .* found segments\.en, speak"
    with pytest.raises(UserError, match=message):
        read()
    (root / "v1.1" / "en" / "de" / "train" / "segments.lst").unlink()
    with pytest.raises(UserError, match=r"expected folders of splits with segments\.lst"):
        read()
