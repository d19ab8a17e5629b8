"""Manifests as lhotse writes them, and every way in which they can be wrong."""

import gzip
import json

import pytest
from lhotse import CutSet

from horizon_st.data.cut_checks import TRANSLATION_KEY
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.shar import open_cuts
from horizon_st.data.validation import validate
from horizon_st.data.validation.manifests import find_manifests
from horizon_st.errors import UserError


@pytest.fixture
def good(write_manifest):
    return write_manifest([0.5, 0.7, 0.3], text=lambda number: "hello" if number else None)


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_cuts_have_texts_and_audio_that_opens(good):
    cuts = read_manifest(good)
    assert [cut.id for cut in cuts] == ["train0", "train1", "train2"]
    assert [transcript_of(cut) for cut in cuts] == [None, "hello", "hello"]
    assert [translation_of(cut) for cut in cuts] == [f"la estación train{n}" for n in range(3)]
    assert [cut.load_audio().shape[1] for cut in cuts] == [8000, 11_200, 4800]
    assert [cut.id for cut in cuts] == ["train0", "train1", "train2"]


def test_lines_are_read_no_sooner_than_asked_for(good):
    good.write_text(good.read_text(encoding="utf-8") + "{oops\n", encoding="utf-8")
    cuts = iter(read_manifest(good))
    assert [next(cuts).id for _ in range(3)] == ["train0", "train1", "train2"]
    with pytest.raises(UserError, match=r"train\.jsonl:4: expected one JSON object"):
        next(cuts)


def test_a_manifest_that_lhotse_wrote_is_read(good, tmp_path):
    cuts = list(read_manifest(good))
    for name in ("again.jsonl", "again.jsonl.gz"):
        CutSet.from_cuts(cuts).to_file(tmp_path / name)
        assert list(read_manifest(tmp_path / name)) == cuts


def test_a_translation_under_its_language_is_the_translation(good):
    """As lhotse's recipe of IWSLT's Tunisian writes it."""
    one = set_at(*SUPERVISION, "custom", "translated_text", value={"es": "Hola."})
    assert [translation_of(cut) for cut in read_manifest(change(good, one))][1] == "Hola."
    report = validate([good], check_audio=False)
    assert not report.problems.counts
    assert report.summary.splits[0].sides["translation"].num_texts == 3


def test_blank_lines_and_other_line_ends_are_fine(good):
    text = good.read_text(encoding="utf-8").replace("hello", "hel\u2028lo\x85")
    good.write_bytes(("\n\n" + text.replace("\n", "\r\n") + "\r\n").encode())
    assert [transcript_of(cut) for cut in read_manifest(good)][1] == "hel\u2028lo\x85"


def test_absolute_audio_paths_stay(good, tmp_path):
    lines = lines_of(good)
    lines[0]["recording"]["sources"][0]["source"] = str(tmp_path / "train0.wav")
    (tmp_path / "sub").mkdir()
    moved = tmp_path / "sub" / "one.jsonl"
    moved.write_text(json.dumps(lines[0]), encoding="utf-8")
    assert [cut.load_audio().shape[1] for cut in read_manifest(moved)] == [8000]


def test_a_folder_is_no_missing_file(tmp_path):
    message = r"expected a manifest .*, found a folder\. Name the file in it.* packed from"
    with pytest.raises(UserError, match=message):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "line", "remedy"),
    [
        ("own.jsonl", '{"audio": "a.wav", "target": "b"}', "prepare jsonl .*own.jsonl OUT"),
        ("own.jsonl.gz", '\n{"Audio_FilePath": "a", "text": "b"}', "prepare jsonl .*own.jsonl.gz"),
        ("own.tsv", "audio\ttarget", "prepare tsv .*own.tsv OUT"),
    ],
)
def test_a_table_of_ones_own_is_no_manifest(tmp_path, name, line, remedy):
    """To training and to validate alike."""
    open_text = gzip.open if name.endswith(".gz") else open
    with open_text(tmp_path / name, "wt", encoding="utf-8") as file:
        file.write(line + "\n")
    message = rf"{name}: expected a manifest .* found a table\. .*horizon-st {remedy}"
    for read in (read_manifest, open_cuts, lambda path: find_manifests([path])):
        with pytest.raises(UserError, match=message):
            read(tmp_path / name)


def test_a_missing_manifest_is_refused(tmp_path):
    message = r"nix\.jsonl: expected a manifest .*, found no such file\..* prepare telephone DIR"
    with pytest.raises(UserError, match=message):
        read_manifest(tmp_path / "nix.jsonl")


def change(good, edit, number=1):
    lines = lines_of(good)
    edit(lines[number])
    good.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return good


def set_at(*keys, value):
    def edit(line):
        for key in keys[:-1]:
            line = line[key]
        line[keys[-1]] = value

    return edit


SUPERVISION = ("supervisions", 0)
REVERBERATION = {
    "name": "ReverbWithImpulseResponse",
    "kwargs": {
        "rir": {
            "id": "room", "sampling_rate": 16_000, "num_samples": 160, "duration": 0.01,
            "channel_ids": [0],
            "sources": [{"type": "command", "channels": [0], "source": "touch run"}],
        }
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (
            set_at("recording", "sources", value=[
                {"type": "command", "channels": [0], "source": "touch run"}
            ]),
            "the command 'touch run'",
        ),
        (
            set_at("recording", "sources", value=[
                {"type": "url", "channels": [0], "source": "https://example.org/a.wav"}
            ]),
            r"the URL 'https://example\.org/a\.wav'",
        ),
        (
            set_at("recording", "transforms", value=[REVERBERATION]),
            "a transform with a recording of its own",
        ),
    ],
)  # fmt: skip
def test_sound_that_is_not_in_a_file_is_refused(good, tmp_path, monkeypatch, edit, found):
    monkeypatch.chdir(tmp_path)
    message = rf"utterance train1: expected audio in a file, found {found}\. Save the sound"
    with pytest.raises(UserError, match=message):
        list(read_manifest(change(good, edit)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            set_at(*SUPERVISION, "custom", value={}),
            r"train\.jsonl:2: utterance train1: expected a translation in "
            rf"custom\['{TRANSLATION_KEY}'\], found None\. Add the text",
        ),
        (
            set_at(*SUPERVISION, "custom", TRANSLATION_KEY, value={"es": "Hola", "fr": "Salut"}),
            r"train\.jsonl:2: utterance train1: expected a translation into one language in .*, "
            r"found translations into es, fr\. Write a manifest for each language",
        ),
        (
            set_at(*SUPERVISION, "custom", TRANSLATION_KEY, value={"es": ["Hola"]}),
            r"train\.jsonl:2: utterance train1: expected a translation in .*, found \['Hola'\]",
        ),
        (
            set_at(*SUPERVISION, "custom", TRANSLATION_KEY, value="  "),
            r"train1: expected a translation .* found '  '",
        ),
        (
            set_at(*SUPERVISION, "text", value=""),
            r"utterance train1: expected a transcript, or none at all, found ''\. .* leave out",
        ),
        (set_at(*SUPERVISION, "text", value=5), r"expected a transcript, or none at all, found 5"),
        (
            set_at("supervisions", value=[]),
            r"train\.jsonl:2: expected a MonoCut or MultiCut with one supervision, "
            r"found MonoCut with 0 supervisions\. Write one line per utterance",
        ),
        (
            set_at("id", value="train0"),
            r"train\.jsonl:2: expected an id of its own for every utterance, found 'train0' twice",
        ),
        (
            set_at("recording", "sources", 0, "source", value="nix.wav"),
            r"utterance train1: expected an audio file, found nothing at .*nix\.wav\. Put the file",
        ),
        (
            lambda line: line.pop("recording"),
            r"train1: expected a `recording` with channel 0, found no recording",
        ),
        (set_at("channel", value=3), r"`recording` with channel 3, found channels \[0\]"),
        (
            set_at("start", value=5.0),
            r"train1: expected a piece of its recording of 0\.70 s, found 5\.00 s to 5\.70 s",
        ),
        (set_at("duration", value=0.0), r"expected a piece of its recording"),
        (set_at("start", value=-0.1), r"expected a piece of its recording"),
        (
            set_at("type", value="MixedUp"),
            r"train\.jsonl:2: expected one lhotse cut as JSON, found",
        ),
        (lambda line: line.pop("supervisions"), r"train\.jsonl:2: expected "),
        (lambda line: line.pop("duration"), r"expected one lhotse cut as JSON, found .*duration"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(good, edit, message):
    with pytest.raises(UserError, match=message):
        list(read_manifest(change(good, edit)))


@pytest.mark.parametrize("line", ["{broken", "[1, 2]", "7", '"text"', "null"])
def test_a_line_that_is_no_cut_is_refused(good, line):
    good.write_text(good.read_text(encoding="utf-8") + line, encoding="utf-8")
    with pytest.raises(UserError, match=r"train\.jsonl:4: expected one (JSON object|lhotse cut)"):
        list(read_manifest(good))


def test_an_empty_manifest_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"empty\.jsonl: expected at least one utterance, found no"):
        list(read_manifest(tmp_path / "empty.jsonl"))


def test_another_encoding_is_refused_with_line_and_byte(good):
    good.write_bytes(good.read_bytes().replace("estación train2".encode(), b"estaci\xf3n train2"))
    with pytest.raises(UserError, match=r"train\.jsonl:3: expected UTF-8, found the byte 0xf3 at"):
        list(read_manifest(good))


@pytest.mark.parametrize("kind", ["plain", "truncated", "damaged"])
def test_a_damaged_gzip_file_is_refused(good, tmp_path, kind):
    data = gzip.compress(good.read_bytes())
    damaged = {"plain": good.read_bytes(), "truncated": data[:-40], "damaged": data[:40] * 3}[kind]
    (tmp_path / "train.jsonl.gz").write_bytes(damaged)
    with pytest.raises(UserError, match=r"train\.jsonl\.gz:\d+: expected a whole gzip file"):
        list(read_manifest(tmp_path / "train.jsonl.gz"))


def to_multi(line):
    line["type"] = "MultiCut"
    line["channel"] = line["supervisions"][0]["channel"] = [0, 1]
    line["recording"]["channel_ids"] = [0, 1]
    line["recording"]["sources"][0]["channels"] = [0, 1]


def test_cuts_of_several_channels_are_read(good):
    cuts = list(read_manifest(change(good, to_multi)))
    assert [type(cut).__name__ for cut in cuts] == ["MonoCut", "MultiCut", "MonoCut"]
    assert translation_of(cuts[1]) == "la estación train1"
    CutSet.from_cuts(cuts).to_file(good)
    assert list(read_manifest(good)) == cuts


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            set_at("channel", value=[0, 2]),
            r"`recording` with channel 0, 2, found channels \[0, 1\]",
        ),
        (set_at("channel", value=[]), r"with a valid `channel`, found \[\]"),
        (set_at("channel", value=0), r"with a valid `channel`, found 0"),
        (set_at("channel", value=["left"]), r"with a valid `channel`, found \['left'\]"),
        (
            set_at("recording", "channel_ids", value=[0, 1, 2]),
            r"with a valid `recording\.channel_ids`, found \[0, 1, 2\]",
        ),
        (set_at("recording", "sources", 0, "channels", value=None), r"`recording\.sources`"),
    ],
)
def test_wrong_channels_are_refused(good, edit, message):
    change(good, to_multi)
    with pytest.raises(UserError, match=message):
        list(read_manifest(change(good, edit)))
