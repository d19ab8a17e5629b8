"""Every kind of problem, found at once and named with its file and line."""

import gzip
import json
import math

import numpy as np
import pytest
import soundfile

from horizon_st.data.shar_writing import write_shar
from horizon_st.data.validation import validate
from horizon_st.errors import UserError

SUPERVISION = ("supervisions", 0)


def set_at(*keys, value):
    def edit(line):
        for key in keys[:-1]:
            line = line[key]
        line[keys[-1]] = value

    return edit


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def problems_of(corpus, out, **options):
    """(place within the corpus, kind) of all problems, from the file that lists them."""
    validate([corpus], out=out, **options)
    rows = lines_of(out / "problems.jsonl")
    return [(row["place"].removeprefix(f"{corpus}/"), row["kind"]) for row in rows]


def test_a_flawless_corpus_has_no_problem(corpus):
    report = validate([corpus])
    assert (report.num_errors, report.num_warnings) == (0, 0)
    assert [split.name for split in report.summary.splits] == ["train", "dev"]
    assert report.is_heard


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        (set_at("recording", "sources", 0, "source", value="nix.wav"), "missing audio"),
        (set_at("recording", "sources", 0, "source", value=300 * "x"), "missing audio"),
        (set_at("recording", "sources", 0, "source", value="a\0b"), "missing audio"),
        (set_at("start", value=1.0), "segment outside recording"),
        (set_at("start", value=-0.5), "segment outside recording"),
        (set_at("duration", value=5.0), "segment outside recording"),
        (set_at("duration", value=0.01), "too short"),
        (set_at("duration", value=0.1), "short utterance"),
        (set_at(*SUPERVISION, "custom", value={}), "no translation"),
        (set_at(*SUPERVISION, "custom", value=None), "no translation"),
        (set_at(*SUPERVISION, "custom", "translated_text", value=" \n"), "no translation"),
        (set_at(*SUPERVISION, "text", value="  "), "empty transcript"),
        (lambda line: line.pop("recording"), "no recording"),
        (set_at("channel", value=4), "no recording"),
        (set_at("id", value="train0"), "duplicate id"),
        (set_at("id", value=7), "not a cut"),
        (set_at("id", value=["a"]), "not a cut"),
        (set_at("start", value=math.nan), "not a cut"),
        (set_at("duration", value=math.inf), "not a cut"),
        (set_at("duration", value="1.0"), "not a cut"),
        (set_at("duration", value=10**400), "not a cut"),
        (set_at("recording", "sampling_rate", value=0), "not a cut"),
        (set_at("recording", "num_samples", value=None), "not a cut"),
        (set_at("recording", "num_samples", value=9), "not a cut"),
        (set_at("recording", "duration", value=True), "not a cut"),
        (set_at("recording", "id", value=[]), "not a cut"),
        (set_at("recording", "sources", 0, "type", value=[]), "not a cut"),
        (set_at("recording", "sources", 0, "type", value="memory"), "not a cut"),
        (set_at("recording", "sources", 0, "type", value="shar"), "unreadable audio"),
        (set_at("recording", "sources", 0, "type", value="command"), "audio not in a file"),
        (set_at("recording", "sources", 0, "type", value="url"), "audio not in a file"),
        (set_at(*SUPERVISION, "id", value=None), "not a cut"),
        (set_at(*SUPERVISION, "recording_id", value=""), "not a cut"),
        (set_at(*SUPERVISION, "duration", value=math.nan), "not a cut"),
        (set_at("recording", "sources", 0, "channels", value=None), "not a cut"),
        (set_at(*SUPERVISION, "custom", value=[1]), "not a cut"),
        (set_at("supervisions", value=[]), "not a cut"),
        (set_at("type", value="Cat"), "not a cut"),
        (set_at(*SUPERVISION, "text", value="the \ud800"), "not JSON"),
    ],
)
def test_a_wrong_field_is_found_at_its_line(corpus, damage, edit, kind, tmp_path_factory):
    path = corpus / "train.jsonl"
    lines = lines_of(path)
    edit(lines[1])
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert problems_of(corpus, tmp_path_factory.mktemp("out")) == [("train.jsonl:2", kind)]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"{broken", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'"text"', "not a cut"),
        (b"{}", "not a cut"),
        (b'{"source": "a", "target": "b"}', "not a cut"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "' + b"x" * 3_000_000 + b'"}', "not UTF-8"),
    ],
)
def test_a_line_that_is_no_cut_is_found_and_the_rest_is_read(corpus, line, kind, tmp_path_factory):
    path = corpus / "dev.jsonl"
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + first + b"\r\n\r\n" + line + b"\r\n" + second)
    assert problems_of(corpus, tmp_path_factory.mktemp("out")) == [("dev.jsonl:3", kind)]


def test_all_problems_are_found_at_once_in_all_manifests(corpus, damage, tmp_path_factory):
    damage(corpus / "train.jsonl", 1, set_at(*SUPERVISION, "text", value=""))
    damage(corpus / "train.jsonl", 1, set_at(*SUPERVISION, "custom", value=None))
    damage(corpus / "train.jsonl", 3, set_at("id", value="dev1"))
    damage(corpus / "dev.jsonl", 2, set_at("start", value=9.0))
    (corpus / "train3.wav").write_bytes(b"no sound")
    assert problems_of(corpus, tmp_path_factory.mktemp("out")) == [
        ("train.jsonl:1", "no translation"),
        ("train.jsonl:1", "empty transcript"),
        ("train.jsonl:4", "unreadable audio"),
        ("dev.jsonl:2", "segment outside recording"),
        ("dev.jsonl:2", "id in two splits"),
    ]


def test_without_audio_check_sound_is_looked_for_only(corpus, tmp_path_factory):
    (corpus / "train3.wav").write_bytes(b"no sound")
    (corpus / "train1.wav").unlink()
    found = problems_of(corpus, tmp_path_factory.mktemp("out"), check_audio=False)
    assert found == [("train.jsonl:2", "missing audio")]


def test_a_manifest_without_a_usable_row_is_an_error(corpus, damage, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    (corpus / "test.jsonl").write_text("\n", encoding="utf-8")
    assert problems_of(corpus, out) == [("test.jsonl", "no utterances")]
    (corpus / "test.jsonl").write_text("{\n", encoding="utf-8")
    assert problems_of(corpus, out)[1:] == [("test.jsonl", "no utterances")]


@pytest.mark.parametrize("kind", ["plain", "truncated"])
def test_a_damaged_compressed_manifest_is_read_as_far_as_possible(corpus, kind, tmp_path_factory):
    data = (corpus / "train.jsonl").read_bytes()
    packed = gzip.compress(data * 1000)
    (corpus / "train.jsonl").unlink()
    (corpus / "train.jsonl.gz").write_bytes(data if kind == "plain" else packed[:-2000])
    out = tmp_path_factory.mktemp("out")
    found = problems_of(corpus, out, check_audio=False)
    damaged = [place for place, name in found if name == "damaged file"]
    assert len(damaged) == 1
    assert damaged[0].startswith("train.jsonl.gz:")


def test_examples_are_few_and_the_file_has_all(corpus, many, tmp_path_factory):
    manifest = many("test", [(1.0, "a", "")] * 50)
    out = tmp_path_factory.mktemp("out")
    report = validate([manifest], out=out, check_audio=False)
    assert report.problems.counts["no translation"] == 50
    assert len(report.problems.examples["no translation"]) == 5
    rows = lines_of(out / "problems.jsonl")
    assert rows[49] == {
        "severity": "error",
        "kind": "no translation",
        "place": f"{manifest}:50",
        "found": "''; expected a translation in custom['translated_text']",
        "id": "test49",
    }
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["errors"] == report.num_errors == 51
    assert summary["problems"] == {"no translation": 50, "no utterances": 1}


def test_other_files_of_a_folder_are_skipped(corpus):
    (corpus / "text_pairs.jsonl").touch()
    (corpus / "scores.jsonl").write_text('{"source": "a", "target": "b"}', encoding="utf-8")
    report = validate([corpus], check_audio=False)
    assert report.num_errors == 0
    assert [path.name for path in report.skipped] == ["scores.jsonl", "text_pairs.jsonl"]


def test_a_manifest_given_twice_is_read_once(corpus):
    report = validate([corpus, corpus / "dev.jsonl"], check_audio=False)
    assert [split.name for split in report.summary.splits] == ["train", "dev"]


def test_progress_counts_the_lines(corpus):
    calls = []
    validate([corpus], check_audio=False, progress=lambda *call: calls.append(call))
    assert calls == [("train", n, 4) for n in (1, 2, 3, 4)] + [("dev", n, 2) for n in (1, 2)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nix.jsonl", r"nix\.jsonl: expected a manifest .*, found no such file\. Check the path"),
        ("empty", r"empty: expected .* or a folder of them, found no \*\.jsonl in the folder"),
    ],
)
def test_a_path_without_manifest_is_refused(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        validate([tmp_path / name])


def test_shards_are_refused_and_not_called_unreadable(corpus, tmp_path):
    write_shar(corpus / "train.jsonl", tmp_path / "shards")
    (tmp_path / "list.yaml").touch()
    for path in ("shards", "list.yaml", "shards/cuts.000000.jsonl.gz"):
        with pytest.raises(
            UserError, match=rf"{path}: expected a manifest .* found shards\. Valid"
        ):
            validate([tmp_path / path])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "no translation") for name in ("train", "train-clean", "dev", "valid", "val1")),
        *((name, "no reference") for name in ("test", "tst-COMMON", "eval", "iwslt2021")),
    ],
)
def test_only_what_trains_or_chooses_models_needs_references(many, name, kind, tmp_path_factory):
    manifest = many(name, [(1.0, "a", "b"), (1.0, "c", None)])
    report = validate([manifest], check_audio=False)
    assert report.problems.counts == {kind: 1}
    assert report.num_errors == (kind == "no translation")


def test_the_folder_for_the_page_may_not_be_a_file(corpus, tmp_path):
    with pytest.raises(UserError, match=r"file: expected a folder that can be written, .* another"):
        validate([corpus], out=write_file(tmp_path / "file"))


def write_file(path):
    path.touch()
    return path


def test_an_ogg_file_cut_between_two_pages_asks_for_a_look(corpus, damage, tmp_path_factory):
    samples, rate = soundfile.read(corpus / "train0.wav")
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 20 * rate)
    soundfile.write(corpus / "train0.ogg", samples, rate, subtype="VORBIS")

    def edit(line):
        line["recording"]["sources"][0]["source"] = "train0.ogg"

    damage(corpus / "train.jsonl", 1, edit)
    assert problems_of(corpus, tmp_path_factory.mktemp("out")) == []
    data = (corpus / "train0.ogg").read_bytes()
    (corpus / "train0.ogg").write_bytes(data[: data.rfind(b"OggS")])
    found = problems_of(corpus, tmp_path_factory.mktemp("out"))
    assert found == [("train.jsonl:1", "no end of stream")]


def test_long_recordings_are_read_in_part(corpus, cut_line):
    soundfile.write(corpus / "long.wav", [0.1, -0.1] * 16_000 * 5, 16_000)
    line = cut_line("long", 1.5, start_s=8.0, source="long.wav")
    (corpus / "test.jsonl").write_text(json.dumps(line), encoding="utf-8")
    report = validate([corpus / "test.jsonl"])
    assert report.num_errors == 0
    assert report.summary.splits[0].hours == pytest.approx(1.5 / 3600)
