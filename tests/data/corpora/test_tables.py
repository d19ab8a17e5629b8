"""Tables of one's own: names of columns, splits, damage."""

import csv
import json
import math
import unicodedata

import numpy as np
import pytest
import soundfile

from horizon_st.data.audio import load_cut
from horizon_st.data.corpora.tables import FIELDS, read_table
from horizon_st.data.corpora.utterances import write_corpus
from horizon_st.data.manifest import read_manifest
from horizon_st.data.validation import validate
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
    assert rows_of(read_table("jsonl", root / "train.jsonl"))["train"] == splits["train"]


def test_every_synonym_is_understood(table):
    for field, others in FIELDS.items():
        for name in (field, *others):
            names = {"audio": "audio", "target": "target"} | {field: name.upper()}
            path = table("a.tsv", "\t".join(names.values()), "\t".join("1" for _ in names))
            [row] = [row for rows in read_table("tsv", path).values() for row in rows]
            values = {
                "audio": row.audio.name,
                "target": row.translation,
                "source": row.transcript,
                "offset": row.offset_s,
                "duration": row.duration_s,
                "end": row.duration_s,
                "speaker": row.speaker,
                "channel": row.channel,
                "id": row.id,
                "split": next(iter(read_table("tsv", path))),
            }
            assert str(values[field]).removesuffix(".0") == "1"


def test_segments_are_numbered_and_ends_become_durations(table):
    lines = [
        {"wav": "x/a.wav", "start": 0, "end": 1.5, "target": "t", "id": 7},
        {"wav": "x/a.wav", "start": "1.5", "end": 2, "target": "t", "speaker": 3},
        {"wav": "./a.b", "start": None, "end": "", "target": "t", "source": None},
    ]
    [first, second, third] = read_table("jsonl", table("a.jsonl", *lines))["train"]
    assert (first.id, first.offset_s, first.duration_s) == ("7", 0.0, 1.5)
    assert (second.id, second.offset_s, second.duration_s) == ("x/a_1", 1.5, 0.5)
    assert second.speaker == "3"
    assert (third.id, third.offset_s, third.duration_s) == ("a.b_0", 0.0, None)


@pytest.mark.parametrize("is_one_file", [True, False])
def test_segments_of_one_recording_have_ids_of_their_own_across_splits(
    table, speech, tmp_path, is_one_file
):
    speech(tmp_path / "a.wav", 3.0)
    splits = ["train", "dev", "train", "test", "dev", "train"]
    rows = [
        {"audio": "a.wav", "offset": n / 2, "duration": 0.5, "target": f"t{n}", "split": split}
        for n, split in enumerate(splits)
    ]
    if is_one_file:
        path = table("a.jsonl", *rows)
    else:
        path = tmp_path
        for split in {*splits}:
            table(f"{split}.jsonl", *(row for row in rows if row["split"] == split))
    write_corpus(tmp_path / "out", read_table("jsonl", path))
    assert not validate([tmp_path / "out"], check_audio=False).problems.counts
    ids = [
        json.loads(line)["id"]
        for split in {*splits}
        for line in (tmp_path / "out" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert sorted(ids) == [f"a_{n}" for n in range(6)]


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_values_of_a_csv_may_be_quoted(table, tmp_path, delimiter):
    path = tmp_path / "metadata.csv"
    rows = [
        ["file_name", "transcription", "translation", "start"],
        ["a.wav", 'He said "yes", twice; so', "Il a dit « oui »", "1.5"],
        ["b.wav", "", "two\nlines", ""],
        ["", "", "", ""],
        ["c.wav", "plain", '"Oui, merci."', "0"],
    ]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    read = rows_of(read_table("csv", path))["train"]
    assert [row.audio.name for row in read] == ["a.wav", "b.wav", "c.wav"]
    assert [row.transcript for row in read] == [rows[1][1], None, "plain"]
    assert [row.translation for row in read] == [row[2] for row in (rows[1], rows[2], rows[4])]
    assert [row.offset_s for row in read] == [1.5, 0.0, 0.0]
    assert [row.place.rpartition(":")[2] for row in read] == ["2", "4", "6"]
    with pytest.raises(UserError, match="prepare csv"):
        validate([path])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['a,"b"c'], r"a\.csv:2: expected comma-separated values, .*',' expected after"),
        (["a,b", 'c,"d', "e,f"], r"a\.csv:4: expected comma-separated .*unexpected end of data"),
        (['a,"' + "x" * 200_000 + '"'], r"a\.csv:2: expected comma-separated .*field larger"),
        (["a,b,c"], r"a\.csv:2: expected 2 values, .*found 3 in a \| b \| c"),
    ],
)
def test_damaged_csv_is_an_error(table, lines, message):
    with pytest.raises(UserError, match=message):
        read_table("csv", table("a.csv", "audio,target", *lines))


def test_audio_may_lie_in_another_folder(table, tmp_path, speech):
    """Common Voice's clips; named with another ending, and an absolute path stays."""
    speech(tmp_path / "clips" / "one.wav")
    speech(tmp_path / "two.wav")
    rows = ["one.mp3\ta", f"{tmp_path / 'two.wav'}\tb", "none.mp3\tc"]
    path = table("cv.tsv", "path\ttranslation", *rows)
    found = [row.audio for row in read_table("tsv", path, audio=tmp_path / "clips")["train"]]
    assert found == [
        tmp_path / "clips" / "one.wav",
        tmp_path / "two.wav",
        tmp_path / "clips/none.mp3",
    ]
    with pytest.raises(UserError, match="clip: expected a folder"):
        read_table("tsv", path, audio=tmp_path / "clip")


@pytest.mark.parametrize(("on_disk", "listed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_of_file_names_may_be_composed_or_not(table, tmp_path, speech, on_disk, listed):
    file, name = (unicodedata.normalize(form, "é/señal.wav") for form in (on_disk, listed))
    speech(tmp_path / file)
    prepared = write_corpus(
        tmp_path / "out", read_table("jsonl", table("a.jsonl", {"audio": name, "target": "b"}))
    )
    assert prepared.num_utterances == {"train": 1}


def test_each_channel_may_have_a_speaker(table, tmp_path):
    """Named from 0 or from A; without, they are averaged, and validation asks."""
    times = np.arange(16_000) / 16_000
    tones = np.stack([np.sin(2 * np.pi * hertz * times) for hertz in (300, 700)], axis=1) / 2
    soundfile.write(tmp_path / "call.wav", tones, 16_000)
    rows = [("0", "a"), ("1", "b"), ("A", "c"), ("b", "d"), ("2", "e"), ("left", "f"), ("", "g")]
    lines = ["audio\ttarget\tchannel", *(f"call.wav\t{target}\t{name}" for name, target in rows)]
    prepared = write_corpus(tmp_path / "out", read_table("tsv", table("a.tsv", *lines)))
    assert prepared.left_out == {"no such channel": 2}
    cuts = [*read_manifest(tmp_path / "out" / "train.jsonl")]
    assert [cut.channel for cut in cuts] == [0, 1, 0, 1, [0, 1]]
    assert [cut.supervisions[0].channel for cut in cuts] == [cut.channel for cut in cuts]
    for cut, expected in zip(cuts, [*tones.T, *tones.T, tones.mean(axis=1)], strict=True):
        np.testing.assert_allclose(load_cut(cut), expected, atol=1e-4)
    numbers = {"audio": "call.wav", "target": "a", "channel": 1}
    [cut] = read_table("jsonl", table("b.jsonl", numbers))["train"]
    assert cut.channel == "1"


def test_averaged_channels_with_two_rows_are_asked_about(table, tmp_path, speech):
    speech(tmp_path / "call.wav", 2.0, channels=2)
    speech(tmp_path / "mono.wav", 2.0)
    rows = [("call", 0, 1, 0), ("call", 1, 1, 0), ("call", 1.2, 0.8, 1), ("call", 1.5, 0.5, "")]
    rows += [("call", 0, 2, ""), ("mono", 0, 2, ""), ("mono", 0, 2, "")]
    lines = [
        {"audio": f"{name}.wav", "target": "t", "id": str(n), "channel": channel}
        | {"offset": start_s, "duration": duration_s}
        for n, (name, start_s, duration_s, channel) in enumerate(rows)
    ]
    write_corpus(tmp_path / "out", read_table("jsonl", table("a.jsonl", *lines)))
    report = validate([tmp_path / "out"])
    found = [problem.id for problem in report.problems.examples["mixed channels"]]
    assert found == ["3", "4"]
    assert report.num_errors == 0


def test_a_quotation_mark_is_a_character(table):
    path = table("a.tsv", "audio\ttarget", 'a.wav\t"Oui", dit-il.', 'b.wav\t"Non"')
    assert [row.translation for row in read_table("tsv", path)["train"]] == [
        '"Oui", dit-il.',
        '"Non"',
    ]


def test_numbers_that_cannot_be_read_are_left_to_the_writer(table, speech, tmp_path):
    speech(tmp_path / "a.wav", 1.0)
    lines = [
        {"audio": "a.wav", "target": "t", "offset": offset, "duration": duration}
        for offset, duration in [
            *((0, 0.5), ("x", 1), (True, 1), (0, "1,5"), (float("nan"), 1), (0, -1)),
            *((0, 10**400), (0.5, 10), ("1e999", 1), ([1], 1)),
        ]
    ]
    rows = [*read_table("jsonl", table("a.jsonl", *lines))["train"]]
    assert math.isnan(rows[1].offset_s)
    unreadable = [row.unreadable_time for row in rows]
    assert unreadable == [None, "x", "True", "1,5", "nan", *[None] * 4, "[1]"]
    prepared = write_corpus(tmp_path / "out", {"train": iter(rows)})
    assert prepared.num_utterances == {"train": 1}
    assert prepared.left_out == {
        "time is not a number": 5,
        "offset outside the recording": 1,
        "no duration": 2,
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
    prepared = write_corpus(tmp_path / "out", read_table("jsonl", table("a.jsonl", *lines)))
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
        (["audio,target", "a,b"], "expected a column audio .*tabs between"),
        (["audio\ttarget\twav", "a\tb\tc"], "one column for audio, found audio and wav"),
        (["audio\ttarget", "a"], r"a\.tsv:2: expected 2 values, .*found 1"),
        (["audio\ttarget\tsplit", "a\tb\t../x"], r":2: expected one of a few splits.*\.\./x"),
        ([""], "expected a header"),
        ([], "expected a header"),
    ],
)
def test_damaged_tsv_is_an_error(table, lines, message):
    with pytest.raises(UserError, match=message):
        rows_of(read_table("tsv", table("a.tsv", *lines)))


def test_a_column_that_is_no_split_is_an_error(table):
    path = table("a.tsv", "audio\ttarget\tset", *(f"a\tb\t{number}" for number in range(60)))
    with pytest.raises(UserError, match=r":52: expected one of a few splits, such as 0, 1, 2"):
        read_table("tsv", path)


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
        rows_of(read_table("jsonl", table("a.jsonl", *lines)))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("train", "train"), ("dev", "dev"), ("Valid", "dev"), ("validation", "dev")),
        *(("val", "dev"), ("test", "test"), ("tst", "tst"), ("tst-COMMON", "tst-COMMON")),
        *(("TRAIN", "train"), ("Training", "train"), ("Development", "dev"), ("DEV", "dev")),
        *(("Test", "test"), ("TST-common", "tst-COMMON")),
        *(("table", "train"), ("devices", "train"), ("my.dev", "train")),
    ],
)
def test_a_single_file_may_be_named_after_its_split(table, tmp_path, name, split):
    """By itself and in a folder, and likewise in a column."""
    assert [*read_table("tsv", table(f"{name}.tsv", "audio\ttarget", "a\tb"))] == [split]
    assert [*read_table("jsonl", table(f"{name}.jsonl", {"audio": "a", "target": "b"}))] == [split]
    assert [*read_table("tsv", tmp_path)] == [*read_table("jsonl", tmp_path)] == [split]
    if split != "train":
        column = table("a.tsv", "audio\ttarget\tsplit", f"a\tb\t{name}")
        assert [*read_table("tsv", column)] == [split]


def test_splits_are_known_in_any_case(table):
    names = ("Train", "training", "train", "Valid", "TEST", "Mine")
    path = table("a.tsv", "audio\ttarget\tsplit", *(f"a\tb\t{name}" for name in names))
    splits = {split: len(rows) for split, rows in rows_of(read_table("tsv", path)).items()}
    assert splits == {"train": 3, "dev": 1, "Mine": 1, "test": 1}


@pytest.mark.parametrize("form", ["tsv", "jsonl"])
def test_a_row_that_lacks_its_split_is_left_out(table, speech, tmp_path, form):
    """Whatever the file is named, it does not end in train by accident, nor stops the others."""
    speech(tmp_path / "a.wav", 1.0)
    rows = [("0", "dev"), ("1", ""), ("2", " "), ("3", "dev")]
    if form == "tsv":
        lines = [
            "audio\ttarget\tid\tsplit",
            *(f"a.wav\tt\t{name}\t{split}" for name, split in rows),
        ]
        path = table("a.tsv", *lines)
    else:
        lines = [{"audio": "a.wav", "target": "t", "id": id, "split": split} for id, split in rows]
        path = table("a.jsonl", *lines)
    prepared = write_corpus(tmp_path / "out", read_table(form, path))
    assert prepared.num_utterances == {"dev": 2}
    assert prepared.left_out == {"no split": 2}


def test_a_table_without_rows_is_named(table, tmp_path):
    with pytest.raises(UserError, match=r"a\.tsv: expected a row for each utterance, found none"):
        read_table("tsv", table("a.tsv", "audio\ttarget"))
    with pytest.raises(UserError, match=r"b\.jsonl: expected a row for each utterance"):
        read_table("jsonl", table("b.jsonl", ""))
    table("train.tsv", "audio\ttarget\tsplit", "a\tb\tdev", "a\tb\ttrain")
    (tmp_path / "a.tsv").unlink()
    table("dev.tsv", "audio\ttarget")
    assert [*read_table("tsv", tmp_path)] == ["train", "dev"]  # the other table has rows of dev


def test_a_column_of_splits_counts_more_than_the_name_of_the_file(table):
    assert [*read_table("tsv", table("dev.tsv", "audio\ttarget\tsplit", "a\tb\ttest"))] == ["test"]


@pytest.mark.parametrize("name", ["left_out", "problems", "dropped", "text_pairs", "Dropped"])
def test_splits_that_are_other_files_are_errors(table, name):
    path = table("a.tsv", "audio\ttarget\tsplit", "a\tb\ttrain", f"a\tb\t{name}")
    message = (
        rf"a\.tsv:3: expected the name of a split.* found {name}, and {name}\.jsonl is another"
    )
    with pytest.raises(UserError, match=message):
        read_table("tsv", path)
    path.unlink()
    for other in ("train", name):
        table(f"{other}.tsv", "audio\ttarget", "a\tb")
    with pytest.raises(UserError, match=rf"{name}\.tsv:2: expected the name of a split"):
        read_table("tsv", path.parent)


def test_a_split_too_long_for_a_file_is_an_error(table):
    path = table("a.tsv", "audio\ttarget\tsplit", f"a\tb\t{'é' * 120}")
    with pytest.raises(UserError, match=r"a\.tsv:2: expected one of a few splits"):
        read_table("tsv", path)


def test_an_unreadable_time_is_listed_as_it_is_written(table, speech, tmp_path):
    speech(tmp_path / "a.wav", 1.0)
    rows = ("a.wav\tt\t0\t", "a.wav\tt\t25,5\t", "a.wav\tt\t0\t3,5 s")
    path = table("a.tsv", "audio\ttarget\tstart\tend", *rows)
    write_corpus(tmp_path / "out", read_table("tsv", path))
    listed = (tmp_path / "out" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [(row["reason"], row["found"]) for row in map(json.loads, listed)] == [
        ("time is not a number", "25,5"),
        ("time is not a number", "3,5 s"),
    ]


def test_blank_lines_are_skipped(table):
    path = table("a.tsv", "audio\ttarget\tsource", "a\tb\tc", "", "\t\t", "d\te\tf", "")
    assert [(row.id, row.place) for row in read_table("tsv", path)["train"]] == [
        ("a", f"{path}:2"),
        ("d", f"{path}:5"),
    ]


def test_quoting_of_a_spreadsheet_is_an_error(table):
    path = table("a.tsv", "audio\ttarget", "a\tb", 'c\t"Il a dit ""oui"""')
    message = r'a\.tsv:3: .*without quoting, found "Il a dit ""oui"""\. Export .* as CSV or JSONL'
    with pytest.raises(UserError, match=message):
        rows_of(read_table("tsv", path))
    plain = ['"Oui" et "non"', '""', '"', '"Oui", ""', '" "" " "" "']
    path = table("b.tsv", "audio\ttarget", *(f"a\t{text}" for text in plain))
    assert [row.translation for row in read_table("tsv", path)["train"]] == plain


def test_quotation_marks_around_all_texts_with_a_comma_are_quoting(table):
    """So Excel writes tab-delimited text; anything else shows that they belong to the texts."""
    rows = ['a\t"Oui, merci."', "b\tNon.", 'c\t"Un, deux."', 'd\t"Un, deux, trois."']
    message = r"a\.tsv:2: .*without quoting, found 3 values with a comma, all within quotation"
    with pytest.raises(UserError, match=message):
        read_table("tsv", table("a.tsv", "audio\ttarget", *rows))
    for other in ("e\tOui, deux.", 'e\t"Oui."', 'e\t"Oui", dit-il, "non"'):
        path = table("a.tsv", "audio\ttarget", *rows, other)
        assert rows_of(read_table("tsv", path))["train"][0].translation == '"Oui, merci."'
    assert read_table("tsv", table("a.tsv", "audio\ttarget", *rows[:3]))


def test_a_share_of_the_recordings_is_held_out(table):
    names = [f"clips/{number % 200}.wav" for number in range(600)]
    lines = [{"audio": name, "target": "t", "start": 1} for name in names]
    splits = rows_of(read_table("jsonl", table("a.jsonl", *lines), dev_share=0.1))
    assert [*splits] == ["train", "dev"]
    train, dev = ({row.audio for row in rows} for rows in splits.values())
    assert not train & dev
    assert len(train | dev) == 200
    assert 10 <= len(dev) <= 30
    assert len(splits["dev"]) == 3 * len(dev)
    assert len({row.id for rows in splits.values() for row in rows}) == 600


def test_a_share_of_the_speakers_is_held_out(table):
    lines = [{"audio": f"{n}.wav", "target": "t", "speaker": f"s{n % 60}"} for n in range(600)]
    lines += [{"audio": f"{n}.wav", "target": "t"} for n in range(600, 700)]
    path = table("a.jsonl", *lines)
    splits = rows_of(read_table("jsonl", path, dev_share=0.2, dev_by="speaker"))
    train, dev = ({row.speaker for row in rows} - {None} for rows in splits.values())
    assert not train & dev
    assert len(train | dev) == 60
    assert 5 <= len(dev) <= 20
    unnamed = [sum(row.speaker is None for row in rows) for rows in splits.values()]
    assert min(unnamed) > 0
    assert sum(unnamed) == 100
    splits = rows_of(read_table("jsonl", path, dev_share=0.2))
    train, dev = ({row.speaker for row in rows} for rows in splits.values())
    assert train & dev


@pytest.mark.parametrize(
    ("speakers", "message"),
    [
        (["", ""], "expected a column speaker, to hold speakers out, found no speaker in any row"),
        (["x", "x"], "expected two speakers at least, to hold out one, found one"),
    ],
)
def test_speakers_that_cannot_be_held_out_are_errors(table, speakers, message):
    path = table(
        "a.tsv", "audio\ttarget\tspeaker", *(f"{n}\tb\t{s}" for n, s in enumerate(speakers))
    )
    with pytest.raises(UserError, match=message):
        read_table("tsv", path, dev_share=0.5, dev_by="speaker")


def test_speakers_without_a_share_are_an_error(table):
    path = table("a.tsv", "audio\ttarget\tspeaker", "a\tb\tx", "b\tc\ty")
    with pytest.raises(UserError, match="--dev-by: expected --dev-share beside it"):
        read_table("tsv", path, dev_by="speaker")


def test_the_same_recordings_are_held_out_wherever_the_corpus_lies(table, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    held_out = []
    for name, prefix in (
        ("a.tsv", ""),
        ("elsewhere/b.tsv", "./x/../"),
        ("elsewhere/train.tsv", ""),
    ):
        lines = [f"{prefix}{number}.wav\tt\t{number}" for number in range(50)]
        dev = read_table("tsv", table(name, "audio\ttarget\tid", *lines), dev_share=0.2)["dev"]
        held_out.append([row.id for row in dev])
    assert held_out[0] == held_out[1] == held_out[2]


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_of_two_recordings_one_is_held_out(table, share):
    path = table("a.tsv", "audio\ttarget", "a\tb", "a\tb", "c\td")
    splits = rows_of(read_table("tsv", path, dev_share=share))
    assert sorted(len({row.audio for row in rows}) for rows in splits.values()) == [1, 1]


def test_other_splits_stay_when_a_share_is_held_out(table):
    rows = ["a\tb\ttrain", "c\td\ttrain", "e\tf\ttest"]
    splits = rows_of(
        read_table("tsv", table("a.tsv", "audio\ttarget\tsplit", *rows), dev_share=0.5)
    )
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 1, "dev": 1, "test": 1}


@pytest.mark.parametrize(
    ("lines", "share", "message"),
    [
        (["a\tb\tvalid", "c\td\ttrain"], 0.1, r"a\.tsv: expected a train split and no dev .*dev"),
        (["a\tb\ttest"], 0.1, "expected a train split and no dev split, .*found test"),
        (["a\tb\ttrain", "a\tb\ttrain"], 0.1, "expected two recordings at least, .* found one"),
        (["a\tb\ttrain", "c\tb\ttrain"], 1.0, r"--dev-share: expected a share .*found 1\.0"),
        (["a\tb\ttrain", "c\tb\ttrain"], 0.0, r"--dev-share: expected a share .*found 0\.0"),
        (["a\tb\ttrain", "c\tb\ttrain"], float("nan"), "--dev-share: expected .*found nan"),
    ],
)
def test_a_share_that_cannot_be_held_out_is_an_error(table, lines, share, message):
    path = table("a.tsv", "audio\ttarget\tsplit", *lines)
    with pytest.raises(UserError, match=message):
        read_table("tsv", path, dev_share=share)


def test_a_folder_without_tables_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"files such as train\.tsv, found nothing"):
        read_table("tsv", tmp_path)
    with pytest.raises(UserError, match="expected a text file, found no such file"):
        read_table("tsv", tmp_path / "none.tsv")
