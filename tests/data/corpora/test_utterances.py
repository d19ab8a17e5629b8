"""Utterances -> manifests: what is written, what is left out, all or nothing."""

import gc
import json
import shutil
import tracemalloc
from dataclasses import replace

import pytest
from lhotse import CutSet

from horizon_st.data.audio import SHORTEST_S, audio_info
from horizon_st.data.corpora import cutting
from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.corpora.utterances import OTHER_FILES, select_splits, write_corpus
from horizon_st.data.validation import repair, validate
from horizon_st.data.validation.manifests import find_manifests
from horizon_st.errors import UserError


@pytest.fixture
def good(tmp_path, speech):
    speech(tmp_path / "a.wav", 2.0, rate=8000, channels=2)
    return Utterance(
        "u1", tmp_path / "a.wav", "eins", "do", offset_s=0.5, duration_s=1.0, place="f:1"
    )


def test_writes_cuts_that_lhotse_reads(good, tmp_path):
    shutil.copy(good.audio, other := tmp_path / "b.wav")
    mono = replace(good, id="u2", audio=other, transcript=None, offset_s=0.0, speaker="s")
    mono = replace(mono, duration_s=None)
    seen = []
    prepared = write_corpus(
        tmp_path / "out",
        {"train": iter([good]), "dev": iter([mono])},
        source_language="xx",
        target_language="de",
        progress=lambda split, number: seen.append((split, number)),
    )
    [cut] = CutSet.from_file(tmp_path / "out" / "train.jsonl")
    assert (cut.id, cut.start, cut.duration, cut.channel) == ("u1", 0.5, 1.0, [0, 1])
    assert (cut.recording.sampling_rate, cut.recording.num_samples) == (8000, 16_000)
    [supervision] = cut.supervisions
    assert (supervision.text, supervision.language) == ("do", "xx")
    assert supervision.custom == {"translated_text": "eins", "target_language": "de"}
    [whole] = CutSet.from_file(tmp_path / "out" / "dev.jsonl")
    assert (whole.start, whole.duration, whole.supervisions[0].text) == (0.0, 2.0, None)
    assert prepared.num_utterances == {"train": 1, "dev": 1}
    assert prepared.num_transcribed == {"train": 1, "dev": 0}
    assert prepared.hours == {"train": pytest.approx(1 / 3600), "dev": pytest.approx(2 / 3600)}
    assert seen == [("dev", 1), ("train", 1)]
    assert [*prepared.num_utterances] == ["train", "dev"]
    assert not (tmp_path / "out" / "left_out.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "u1"}, "duplicate id"),
        ({"id": " "}, "empty id"),
        ({"translation": " "}, "empty translation"),
        ({"transcript": ""}, "empty transcript"),
        ({"translation": "x" * 10_001}, "translation too long"),
        ({"transcript": "\udc80"}, "transcript is not Unicode text"),
        ({"offset_s": -0.6, "duration_s": 1.5}, "offset outside the recording"),
        ({"offset_s": 2.0}, "offset outside the recording"),
        ({"offset_s": float("nan")}, "offset outside the recording"),
        ({"offset_s": float("nan"), "unreadable_time": "0,5"}, "time is not a number"),
        ({"duration_s": 2.1}, "end outside the recording"),
        ({"offset_s": 1.98, "duration_s": 0.1}, "end outside the recording"),
        ({"offset_s": 1.8, "duration_s": 0.5}, "end outside the recording"),  # most of it is gone
        ({"duration_s": float("inf")}, "no duration"),
        ({"duration_s": 0.0}, "no duration"),
        ({"audio": "none.wav"}, "missing audio"),
        ({"audio": "x" * 300}, "missing audio"),
        ({"audio": "text.wav"}, "unreadable audio"),
    ],
)
def test_unusable_rows_are_counted_and_listed(good, tmp_path, change, reason):
    (tmp_path / "text.wav").write_text("not audio", encoding="utf-8")
    if "audio" in change:
        change = {"audio": tmp_path / change["audio"]}
    bad = replace(good, **{"id": "u2", "place": "f:2", **change})
    prepared = write_corpus(tmp_path / "out", {"train": iter([good, bad])})
    assert prepared.left_out == {reason: 1}
    assert prepared.num_utterances == {"train": 1}
    [line] = (tmp_path / "out" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert (row["place"], row["split"], row["reason"]) == ("f:2", "train", reason)


@pytest.mark.parametrize(
    ("start_s", "duration_s", "kept"),
    [
        (0.5, 1.505, (0.5, 1.5, 0)),  # rounded
        (0.5, 1.53, (0.5, 1.5, 1)),
        (0.5, 2.0, (0.5, 1.5, 1)),
        (-0.005, 1.0, (0.0, 0.995, 0)),
        (-0.1, 1.0, (0.0, 0.9, 1)),
        (-0.2, 2.4, (0.0, 2.0, 1)),
        (-0.2, None, (0.0, 2.0, 1)),
    ],
)
def test_segments_that_reach_a_little_beyond_their_recording_are_clipped(
    good, tmp_path, start_s, duration_s, kept
):
    row = replace(good, offset_s=start_s, duration_s=duration_s)
    prepared = write_corpus(tmp_path / "out", {"train": iter([row])})
    [cut] = CutSet.from_file(tmp_path / "out" / "train.jsonl")
    assert (cut.start, cut.duration, prepared.num_clipped) == pytest.approx(kept)
    assert cut.supervisions[0].duration == cut.duration
    assert not prepared.left_out


def test_times_within_their_recording_stay_to_the_last_digit(good, tmp_path):
    starts_s = [round(0.01 * n, 2) for n in range(0, 170, 7)]
    rows = [replace(good, id=f"{s}", offset_s=s, duration_s=0.3) for s in starts_s]
    rows.append(replace(good, id="shortest", offset_s=1.23, duration_s=SHORTEST_S))
    prepared = write_corpus(tmp_path / "out", {"train": iter(rows)})
    cuts = [*CutSet.from_file(tmp_path / "out" / "train.jsonl")]
    assert [(cut.start, cut.duration) for cut in cuts] == [(r.offset_s, r.duration_s) for r in rows]
    assert not prepared.left_out


def test_prepare_clips_what_a_repair_would(good, tmp_path):
    """The same limits: a tenth of a long segment, half a second of a short one."""
    beyond_s = [0.0, 0.03, 0.3, 0.49, 0.51, 1.0]
    rows = [replace(good, id=f"u{n}", duration_s=1.5 + s) for n, s in enumerate(beyond_s)]
    prepared = write_corpus(tmp_path / "out", {"train": iter(rows)})
    assert (prepared.num_clipped, prepared.num_utterances["train"]) == (3, 4)
    manifest = tmp_path / "wrong" / "train.jsonl"
    manifest.parent.mkdir()
    [line, *_] = (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    lines = [
        json.dumps(json.loads(line) | {"id": row.id, "duration": row.duration_s}) for row in rows
    ]
    manifest.write_text("\n".join(lines), encoding="utf-8")
    repairs = repair([manifest], tmp_path / "mended")
    assert repairs.changed == {"segment clipped": 3}
    assert repairs.num_kept == {"train": 4}


def test_a_damaged_recording_is_opened_once_for_all_its_segments(good, tmp_path, monkeypatch):
    (tmp_path / "text.wav").write_text("not audio", encoding="utf-8")
    opened = []

    def count(path):
        opened.append(path.name)
        return audio_info(path)

    monkeypatch.setattr(cutting, "audio_info", count)
    segments = [replace(good, id=f"s{n}", audio=tmp_path / "text.wav") for n in range(5)]
    prepared = write_corpus(tmp_path / "out", {"train": iter([good, *segments])})
    assert prepared.left_out == {"unreadable audio": 5}
    assert opened == ["a.wav", "text.wav"]


def test_a_test_split_may_lack_references(good, tmp_path):
    write_corpus(tmp_path / "out", {"test": iter([replace(good, translation=None)])})
    [cut] = CutSet.from_file(tmp_path / "out" / "test.jsonl")
    assert not cut.supervisions[0].custom


def test_nothing_is_replaced_when_the_corpus_is_damaged(good, tmp_path):
    out = tmp_path / "out"
    write_corpus(out, {"train": iter([good])})
    before = (out / "train.jsonl").read_bytes()

    def damaged():
        yield replace(good, id="other")
        raise UserError("f:2", expected="text", found="noise", remedy="Mend it.")

    with pytest.raises(UserError, match="f:2: expected text"):
        write_corpus(out, {"train": damaged()})
    assert [path.name for path in out.iterdir()] == ["train.jsonl"]
    assert (out / "train.jsonl").read_bytes() == before


def test_a_preparation_that_fails_late_leaves_the_earlier_one_as_it_was(good, tmp_path):
    """With the rows that had moved: else what was held out would be trained on, too."""
    out, other = tmp_path / "out", replace(good, id="u2", offset_s=0.0, duration_s=0.5)
    bad = replace(good, id="u3", translation="")
    write_corpus(out, {"train": iter([good, bad]), "dev": iter([other])})
    before = {path: path.read_bytes() for path in out.iterdir()}
    rows = [replace(bad, place="f:2"), replace(other, audio=tmp_path / "none.wav", place="f:3")]
    message = (
        r"f:3: expected a usable utterance in dev, found missing audio: .*none\.wav "
        r"\(in all 1 × empty translation, 1 × missing audio\)"
    )
    with pytest.raises(UserError, match=message):
        write_corpus(out, {"train": iter([other]), "dev": iter(rows)})
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_audio_that_has_come_since_is_found(good, tmp_path):
    late = replace(good, audio=tmp_path / "late.wav")
    with pytest.raises(UserError, match="missing audio"):
        write_corpus(tmp_path / "out", {"train": iter([late])})
    shutil.copy(good.audio, late.audio)
    assert write_corpus(tmp_path / "out", {"train": iter([late])}).num_utterances == {"train": 1}


def test_a_file_that_is_read_is_never_replaced(good, tmp_path):
    out = tmp_path / "out"
    write_corpus(out, {"train": iter([good])})
    write_corpus(out, {"train": iter([good])}, originals=[good.audio])  # an older manifest may be
    (tmp_path / "link").symlink_to(out, target_is_directory=True)
    for name in ("train.jsonl", "left_out.jsonl"):
        (out / name).write_text("mine", encoding="utf-8")
        original = tmp_path / "link" / name
        message = rf"out/{name}: expected a file to write that is not read, too, found one of your"
        with pytest.raises(UserError, match=message):
            write_corpus(out, {"dev": iter([good]), "train": iter([good])}, originals=[original])
        assert (out / name).read_text(encoding="utf-8") == "mine"


def test_some_bytes_are_kept_of_a_row_however_long_its_id(good, tmp_path):
    held = {}

    def rows():
        for number in range(4801):
            if number in (1000, 4800):
                gc.collect()
                held[number] = tracemalloc.get_traced_memory()[0]
            yield replace(good, id=f"{number:0500}")

    tracemalloc.start()
    write_corpus(tmp_path / "out", {"train": rows()})
    tracemalloc.stop()
    assert held[4800] - held[1000] < 90 * 3800


def test_a_file_in_place_of_the_folder_is_an_error(good):
    with pytest.raises(UserError, match=r"a\.wav: expected a folder that can be written"):
        write_corpus(good.audio, {"train": iter([good])})


def test_what_an_earlier_preparation_held_out_is_not_trained_on(good, tmp_path):
    """By its sound: ids may be numbers that each table begins anew."""
    out, other = tmp_path / "out", replace(good, id="other", offset_s=1.0)
    write_corpus(out, {"train": iter([good]), "dev": iter([other])})
    before = {path: path.read_bytes() for path in out.iterdir()}
    all_rows = [good, replace(other, id="renamed")]
    message = (
        r"out/dev\.jsonl: expected no utterance of train, .*found 1 of them, from an earlier "
        r"preparation\. Remove the file, or prepare into another folder"
    )
    with pytest.raises(UserError, match=message):
        write_corpus(out, {"train": iter(all_rows)})
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    with pytest.raises(UserError, match=r"train\.jsonl: expected no utterance of test, .*found 1"):
        write_corpus(out, {"test": iter([replace(good, id="renamed")])})
    write_corpus(out, {"train": iter([replace(good, id=other.id)])})  # the id alone is the same
    write_corpus(out, {"test": iter([other])})  # held out twice
    for path in (out / "dev.jsonl", out / "test.jsonl"):  # as other tools name recordings
        path.write_text(path.read_text(encoding="utf-8").replace(str(tmp_path), ".."), "utf-8")
    with pytest.raises(UserError, match=message):
        write_corpus(out, {"train": iter(all_rows)})
    (out / "dev.jsonl").write_text("no manifest", encoding="utf-8")
    (out / "test.jsonl").unlink()
    assert write_corpus(out, {"train": iter(all_rows)}).num_utterances == {"train": 2}


def test_what_is_held_out_beside_it_is_not_trained_on(good, tmp_path):
    """By most of its sound, whatever its id, texts and ends are."""
    rows = [
        replace(good, id=f"train{number}", offset_s=start_s, duration_s=duration_s)
        for number, (start_s, duration_s) in enumerate(
            [(0.5, 1.0), (0.6, 1.0), (0.9, 0.2), (0.0, 2.0), (0.0, 0.6), (1.4, 0.6)]
        )
    ]
    held_out = replace(good, id="dev0", translation="zwei")
    prepared = write_corpus(tmp_path / "out", {"train": iter(rows), "dev": iter([held_out])})
    ids = [cut.id for cut in CutSet.from_file(tmp_path / "out" / "train.jsonl")]
    assert ids == ["train4", "train5"]  # they overlap a little, as neighbours do
    assert prepared.left_out == {"recording also in dev": 4}
    assert not validate([tmp_path / "out"]).problems.counts["recording in two splits"]
    listed = (tmp_path / "out" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(listed[1])["found"] == f"{good.audio}, 0.60 to 1.60 s"
    with pytest.raises(UserError, match="usable utterance in train, found recording also in test"):
        write_corpus(tmp_path / "all", {"train": iter([good]), "test": iter([held_out])})
    write_corpus(tmp_path / "all", {"dev": iter([good]), "test": iter([held_out])})


def test_what_was_left_out_of_other_splits_stays_listed(good, tmp_path):
    out, gone = tmp_path / "out", replace(good, audio=tmp_path / "none.wav", id="gone")
    dev = replace(good, id="dev", offset_s=1.5, duration_s=0.4)
    write_corpus(out, {"train": iter([good, gone]), "dev": iter([dev, replace(gone, id="2")])})

    def listed():
        lines = (out / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
        return {(row["split"], row["id"]) for row in map(json.loads, lines)}

    assert listed() == {("train", "gone"), ("dev", "2")}
    write_corpus(out, {"dev": iter([dev, replace(gone, id="3")])})
    assert listed() == {("train", "gone"), ("dev", "3")}
    write_corpus(out, {"dev": iter([dev])})
    assert listed() == {("train", "gone")}


def test_a_test_split_without_its_audio_stops_no_other(good, tmp_path):
    out = tmp_path / "out"
    gone = replace(good, audio=tmp_path / "none.wav")
    write_corpus(out, {"test": iter([good])})
    splits = {"test": [gone], "tst-COMMON": [replace(good, offset_s=0.0, duration_s=0.4)]}
    prepared = write_corpus(out, {**splits, "train": [good]})
    assert prepared.num_utterances == {"tst-COMMON": 1, "train": 1}
    assert (prepared.lost, prepared.left_out) == (["test"], {"missing audio": 1})
    names = {path.name for path in out.iterdir()}
    assert names == {"train.jsonl", "tst-COMMON.jsonl", "left_out.jsonl"}
    for split in ("dev", "train"):
        with pytest.raises(UserError, match=f"expected a usable utterance in {split}, found miss"):
            write_corpus(out, {**splits, split: [gone]})
    with pytest.raises(UserError, match="expected a usable utterance in test, found no rows"):
        write_corpus(out, {**splits, "test": []})


def test_splits_that_are_not_chosen_are_not_read(good):
    def unread():
        raise AssertionError
        yield

    splits = {"train": [good], "dev": [good], "test": unread()}
    assert [*select_splits(splits, ["train", "valid"])] == ["train", "dev"]
    assert select_splits(splits, []) == splits
    with pytest.raises(UserError, match="--split: expected one of train, dev, test, found tset"):
        select_splits(splits, ["tset"])


def test_files_that_no_manifest_can_be_are_passed_over_by_validation(good, tmp_path):
    write_corpus(tmp_path / "out", {"train": iter([good])})
    for name in OTHER_FILES:
        (tmp_path / "out" / name).touch()
    found, skipped = find_manifests([tmp_path / "out"])
    assert [path.name for path in found] == ["train.jsonl"]
    assert {path.name for path in skipped} == {*OTHER_FILES}


def test_a_split_without_usable_rows_is_an_error(good, tmp_path):
    with pytest.raises(UserError, match="expected a usable utterance in dev, found no rows"):
        write_corpus(tmp_path / "out", {"dev": iter([])})
    bad = replace(good, translation="")
    with pytest.raises(UserError, match="f:1: expected a usable utterance in dev, found empty tra"):
        write_corpus(tmp_path / "out", {"dev": iter([bad])})
