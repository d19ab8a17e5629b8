"""Tables of one's own: names of columns, splits, damage."""

import json
import math

import pytest

from horizon_st.data.corpora.tables import FIELDS, read_jsonl, read_tsv
from horizon_st.data.corpora.utterances import write_corpus
from horizon_st.errors import UserError


@pytest.fixture
def table(tmp_path):
    """A function: (name, lines) -> the path of a file."""

    def write(name, *lines):
        path = tmp_path / name
        rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        return path

    return write


def rows_of(splits):
    return {split: [*rows] for split, rows in splits.items()}


def test_reads_synonyms_byte_order_mark_and_carriage_returns(corpus):
    root, read = corpus("tsv")
    splits = read()
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 4, "dev": 2}
    first, second = splits["train"][:2]
    assert (first.id, first.transcript, first.translation) == ("u0", None, "vier drei zwei eins")
    assert (second.offset_s, second.duration_s, second.speaker) == (0.5, 0.5, "s1")
    assert second.audio == root / "audio" / "long.wav"
    assert second.place == f"{root / 'table.tsv'}:3"


def test_reads_a_folder_of_files_named_after_splits(corpus):
    root, read = corpus("jsonl")
    splits = read()
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 4, "dev": 2}
    assert [row.id for row in splits["train"]] == [f"clips/{number}" for number in range(4)]
    assert rows_of(read_jsonl(root / "train.jsonl"))["train"] == splits["train"]


def test_every_synonym_is_understood(table):
    for field, others in FIELDS.items():
        for name in (field, *others):
            names = {"audio": "audio", "target": "target"} | {field: name.upper()}
            path = table("a.tsv", "\t".join(names.values()), "\t".join("1" for _ in names))
            [row] = [row for rows in read_tsv(path).values() for row in rows]
            values = {
                "audio": row.audio.name,
                "target": row.translation,
                "source": row.transcript,
                "offset": row.offset_s,
                "duration": row.duration_s,
                "end": row.duration_s,
                "speaker": row.speaker,
                "id": row.id,
                "split": next(iter(read_tsv(path))),
            }
            assert str(values[field]).removesuffix(".0") == "1"


def test_segments_are_numbered_and_ends_become_durations(table):
    lines = [
        {"wav": "x/a.wav", "start": 0, "end": 1.5, "target": "t", "id": 7},
        {"wav": "x/a.wav", "start": "1.5", "end": 2, "target": "t", "speaker": 3},
        {"wav": "./a.b", "start": None, "end": "", "target": "t", "source": None},
    ]
    [first, second, third] = read_jsonl(table("a.jsonl", *lines))["train"]
    assert (first.id, first.offset_s, first.duration_s) == ("7", 0.0, 1.5)
    assert (second.id, second.offset_s, second.duration_s) == ("x/a_1", 1.5, 0.5)
    assert second.speaker == "3"
    assert (third.id, third.offset_s, third.duration_s) == ("a.b_0", 0.0, None)


def test_a_quotation_mark_is_a_character(table):
    path = table("a.tsv", "audio\ttarget", 'a.wav\t"Oui", dit-il.', 'b.wav\t"Non"')
    assert [row.translation for row in read_tsv(path)["train"]] == ['"Oui", dit-il.', '"Non"']


def test_numbers_that_cannot_be_read_are_left_to_the_writer(table, speech, tmp_path):
    speech(tmp_path / "a.wav", 1.0)
    lines = [
        {"audio": "a.wav", "target": "t", "offset": offset, "duration": duration}
        for offset, duration in [
            *((0, 0.5), ("x", 1), (True, 1), (0, "1,5"), (float("nan"), 1), (0, -1)),
            *((0, 10**400), (0.5, 10), ("1e999", 1), ([1], 1)),
        ]
    ]
    rows = [*read_jsonl(table("a.jsonl", *lines))["train"]]
    assert math.isnan(rows[1].offset_s)
    prepared = write_corpus(tmp_path / "out", {"train": iter(rows)})
    assert prepared.num_utterances == {"train": 1}
    assert prepared.left_out == {
        "offset outside the recording": 5,
        "no duration": 3,
        "end outside the recording": 1,
    }


def test_odd_texts_are_left_to_the_writer(table, speech, tmp_path):
    speech(tmp_path / "a.wav", 1.0)
    lines = [
        {"audio": audio, "target": target, "id": str(number)}
        for number, (audio, target) in enumerate(
            [
                *(("a.wav", "t"), ("a.wav", None), ("a.wav", " "), ("a.wav", "x" * 20_000)),
                *(("", "t"), ("\0", "t"), ("a" * 5000, "t")),
            ]
        )
    ]
    prepared = write_corpus(tmp_path / "out", read_jsonl(table("a.jsonl", *lines)))
    assert prepared.num_utterances == {"train": 1}
    assert prepared.left_out == {
        "empty translation": 2,
        "translation too long": 1,
        "missing audio": 3,
    }
    listed = (tmp_path / "out" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in listed] == [str(number) for number in range(1, 7)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file\tname", "a\tb"], r"a\.tsv:1: expected a column target \(or .*found file, name"),
        (["target", "a"], "expected a column audio"),
        (["audio,target", "a,b"], "expected a column audio .*tabs between columns"),
        (["audio\ttarget\twav", "a\tb\tc"], "one column for audio, found audio and wav"),
        (["audio\ttarget", "a"], r"a\.tsv:2: expected 2 values, .*found 1"),
        (["audio\ttarget\tsplit", "a\tb\t../x"], r":2: expected one of a few splits.*\.\./x"),
        (["audio\ttarget\tsplit", "a\tb\t"], ":2: expected one of a few splits"),
        ([""], "expected a header"),
        ([], "expected a header"),
    ],
)
def test_damaged_tsv_is_an_error(table, lines, message):
    with pytest.raises(UserError, match=message):
        rows_of(read_tsv(table("a.tsv", *lines)))


def test_a_column_that_is_no_split_is_an_error(table):
    path = table("a.tsv", "audio\ttarget\tset", *(f"a\tb\t{number}" for number in range(60)))
    with pytest.raises(UserError, match=r":52: expected one of a few splits, such as 0, 1, 2"):
        read_tsv(path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["[1]"], r"a\.jsonl:1: expected an object"),
        (["{"], ":1: expected one JSON object"),
        ([{"audio": "a"}], ":1: expected a column target"),
        (
            [{"audio": "a", "target": "b"}, {"audio": "a", "target": 1}],
            ":2: expected text as target",
        ),
        ([{"audio": "a", "target": "\ud800"}], ":1: expected one JSON object"),
        ([{"audio": ["a"], "target": "b"}], ":1: expected text as audio"),
        ([{"audio": "a", "target": "b", "id": 1.5}], ":1: expected text as id"),
    ],
)
def test_damaged_jsonl_is_an_error(table, lines, message):
    with pytest.raises(UserError, match=message):
        rows_of(read_jsonl(table("a.jsonl", *lines)))


def test_a_folder_without_tables_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"files such as train\.tsv, found nothing"):
        read_tsv(tmp_path)
    with pytest.raises(UserError, match="expected a text file, found no such file"):
        read_tsv(tmp_path / "none.tsv")
