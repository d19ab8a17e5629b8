"""Multilingual TEDx: Kaldi's segments, FLAC under names that end in .wav, `valid`."""

from horizon_st.data.corpora.mtedx import read_mtedx


def test_reads_the_published_layout(corpus):
    root, read = corpus("mtedx")
    splits = read()
    assert [*splits] == ["train", "dev"]
    last = splits["train"][-1]
    assert (last.id, last.offset_s, last.duration_s) == ("0u7tTpt-b_0001", 0.5, 0.5)
    assert (last.transcript, last.translation) == ("mi so re", "zwei acht drei")
    assert last.audio == root / "es-en" / "data" / "train" / "wav" / "0u7tTpt-b.flac"
    inner = read_mtedx(root / "es-en", source_language="es", target_language="en")
    assert [*inner["dev"]] == splits["dev"]


def test_yaml_serves_where_segments_are_missing(corpus):
    root, read = corpus("mtedx")
    expected = read()["train"]
    for split in ("train", "valid"):
        (root / "es-en" / "data" / split / "txt" / "segments").unlink()
    rows = read()["train"]
    assert [(row.audio, row.offset_s, row.translation) for row in rows] == [
        (row.audio, row.offset_s, row.translation) for row in expected
    ]
    assert rows[-1].id == "0u7tTpt-b_1"
    assert rows[-1].speaker == "0u7tTpt-b"
