"""Repaired copies, and the count of what was done."""

import errno
import gzip
import json

import pytest
import soundfile

from horizon_st.data.audio import load_cut
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.text_pairs import PAIRS_FILE, TextPairs, write_text_pairs
from horizon_st.data.validation import repair, sound, validate
from horizon_st.errors import UserError


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_flawless_corpus_is_copied_and_its_audio_opens(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("other") / "deep" / "out"
    repairs = repair([corpus], out)
    assert repairs.num_kept == repairs.num_read == {"dev": 2, "train": 4}
    assert not repairs.changed
    assert not repairs.dropped.counts
    assert sorted(path.name for path in out.iterdir()) == ["dev.jsonl", "train.jsonl"]
    source = lines_of(out / "train.jsonl")[0]["recording"]["sources"][0]["source"]
    assert source.startswith("../")
    for name in ("train", "dev"):
        before, after = (list(read_manifest(at / f"{name}.jsonl")) for at in (corpus, out))
        assert [cut.id for cut in before] == [cut.id for cut in after]
        assert [load_cut(cut).tolist() for cut in before] == [
            load_cut(cut).tolist() for cut in after
        ]


def test_absolute_paths_and_unknown_fields_stay(corpus, damage, tmp_path):
    audio = str(tmp_path / "dev0.wav")

    def edit(line):
        line["recording"]["sources"][0]["source"] = audio
        line["supervisions"][0]["custom"]["dialect"] = "höflich"

    damage(corpus / "dev.jsonl", 1, edit)
    before = lines_of(corpus / "dev.jsonl")[0]
    repair([corpus / "dev.jsonl"], tmp_path / "out")
    assert lines_of(tmp_path / "out" / "dev.jsonl")[0] == before


def spoil(corpus, damage):
    """Damage of each sort that can be mended or must be left out; returns what is left of train."""
    train = corpus / "train.jsonl"
    line = json.dumps(lines_of(train)[0])

    def times(start, duration):
        def edit(value):
            value.update(start=start, duration=duration)

        return edit

    damage(train, 1, times(-0.1, 1.0))
    damage(train, 2, times(0.5, 1.0))
    damage(train, 2, lambda value: value["supervisions"][0].update(text="  the house\n"))
    damage(train, 3, lambda value: value["supervisions"][0].update(text=" "))
    damage(train, 4, times(1.0, 3.0))
    with train.open("a", encoding="utf-8") as file:
        file.write("{broken\n")
        file.write(line + "\n")
        leak = lines_of(corpus / "dev.jsonl")[0] | {"id": "leak"}
        file.write(json.dumps(leak) + "\n")
    return ["train0", "train1", "train2"]


def test_all_is_mended_or_left_out_and_counted(corpus, damage, tmp_path):
    kept = spoil(corpus, damage)
    repairs = repair([corpus], tmp_path / "out")
    assert repairs.num_read == {"dev": 2, "train": 7}
    assert repairs.num_kept == {"dev": 2, "train": 3}
    assert repairs.changed == {
        "segment clipped": 2,
        "transcript trimmed": 1,
        "empty transcript removed": 1,
    }
    assert repairs.dropped.counts == {
        "segment outside recording": 1,
        "not JSON": 1,
        "duplicate id": 1,
        "sentence in two splits": 1,
    }
    cuts = list(read_manifest(tmp_path / "out" / "train.jsonl"))
    assert [cut.id for cut in cuts] == kept
    assert [(cut.start, cut.duration) for cut in cuts[:2]] == [
        (0.0, pytest.approx(0.9)),
        (0.5, pytest.approx(0.7)),
    ]
    assert [cut.supervisions[0].duration for cut in cuts[:2]] == [cut.duration for cut in cuts[:2]]
    assert [transcript_of(cut) for cut in cuts[1:]] == ["the house", None]
    assert translation_of(cuts[0]) == "vende el pan"
    dropped = [(row["place"], row["kind"]) for row in lines_of(tmp_path / "out" / "dropped.jsonl")]
    train = corpus / "train.jsonl"
    assert dropped == [
        (f"{train}:4", "segment outside recording"),
        (f"{train}:5", "not JSON"),
        (f"{train}:6", "duplicate id"),
        (f"{train}:7", "sentence in two splits"),
    ]


def test_the_copy_is_what_training_takes_and_repairing_it_changes_nothing(corpus, damage, tmp_path):
    spoil(corpus, damage)
    (corpus / "train2.wav").write_bytes(b"no sound")
    assert validate([corpus]).num_errors
    repair([corpus], tmp_path / "out")
    report = validate([tmp_path / "out"])
    assert (report.num_errors, report.num_warnings) == (0, 0)
    again = repair([tmp_path / "out"], tmp_path / "again")
    assert again.num_kept == again.num_read == {"dev": 2, "train": 2}
    assert not again.changed


def test_sound_that_is_held_out_is_left_out_of_train(corpus, damage, tmp_path):
    """Whatever texts it has there."""
    [first, *_] = lines_of(corpus / "dev.jsonl")
    audio = first["recording"]["sources"][0]["source"]

    def move(value):
        value["recording"]["sources"][0]["source"] = audio
        value["duration"] = value["supervisions"][0]["duration"] = 0.9

    damage(corpus / "train.jsonl", 2, move)
    repairs = repair([corpus], tmp_path / "out")
    assert repairs.num_kept == {"dev": 2, "train": 3}
    assert repairs.dropped.counts == {"recording in two splits": 1}


def test_a_recording_that_lacks_little_is_clipped_to_what_is_there(corpus, tmp_path):
    for name, length in (("train0", 0.7), ("train1", 0.5)):
        samples, rate = soundfile.read(corpus / f"{name}.wav")
        soundfile.write(corpus / f"{name}.wav", samples[: round(length * rate)], rate)
    repairs = repair([corpus / "train.jsonl"], tmp_path / "out")
    assert repairs.changed == {"segment clipped": 1}
    assert repairs.dropped.counts == {"truncated audio": 1}
    [first, *_] = read_manifest(tmp_path / "out" / "train.jsonl")
    assert (first.id, first.duration, len(load_cut(first))) == ("train0", 0.7, 11_200)


def test_without_audio_check_damaged_sound_stays(corpus, tmp_path):
    (corpus / "train0.wav").write_bytes(b"no sound")
    assert repair([corpus], tmp_path / "out", check_audio=False).num_kept["train"] == 4


def test_other_processes_write_the_same(corpus, damage, tmp_path):
    spoil(corpus, damage)
    (corpus / "train2.wav").write_bytes(b"no sound")
    for num_workers in (0, 1):
        repair([corpus], tmp_path / f"out{num_workers}", num_workers=num_workers)
    for name in ("train.jsonl", "dev.jsonl", "dropped.jsonl"):
        assert (tmp_path / "out0" / name).read_bytes() == (tmp_path / "out1" / name).read_bytes()


def test_what_was_sound_is_not_decoded_again(corpus, damage, tmp_path, monkeypatch):
    """But what is changed is, and what was not sound: the copies are the same."""
    spoil(corpus, damage)
    (corpus / "train2.wav").write_bytes(b"no sound")
    report = validate([corpus])
    repair([corpus], tmp_path / "anew")
    decoded = []

    def count(cut):
        decoded.append(cut.id)
        return load_cut(cut)

    monkeypatch.setattr(sound, "load_cut", count)
    repairs = repair([corpus], tmp_path / "out", heard=report.splits)
    assert sorted(decoded) == ["train0", "train1", "train2"]
    assert repairs.num_kept == {"dev": 2, "train": 2}
    for name in ("train.jsonl", "dev.jsonl", "dropped.jsonl"):
        assert (tmp_path / "anew" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize("can_link", [True, False])
def test_text_pairs_beside_train_come_along(corpus, tmp_path, monkeypatch, can_link):
    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if not can_link:
        monkeypatch.setattr("os.link", refuse)
    out = tmp_path / "out"
    assert repair([corpus], out).text_pairs is None
    write_text_pairs(out / PAIRS_FILE, [("old", "alt")])
    assert repair([corpus], out).text_pairs is None
    assert [*TextPairs(out / PAIRS_FILE)] == [("old", "alt")]
    (out / PAIRS_FILE).unlink()
    write_text_pairs(corpus / PAIRS_FILE, [("one", "eins")])
    for _ in range(2):
        assert repair([corpus], out).text_pairs == out / PAIRS_FILE
        assert [*TextPairs(out / PAIRS_FILE)] == [("one", "eins")]
    assert (out / PAIRS_FILE).samefile(corpus / PAIRS_FILE) == can_link
    write_text_pairs(corpus / PAIRS_FILE, [("two", "zwei")])
    assert [*TextPairs(out / PAIRS_FILE)] == [("one", "eins")]
    with pytest.raises(
        UserError, match=r"expected no other text pairs than copies of .* Move one of the tw"
    ):
        repair([corpus], out)
    assert [*TextPairs(out / PAIRS_FILE)] == [("one", "eins")]
    assert repair([corpus / "dev.jsonl"], tmp_path / "other").text_pairs is None


def test_text_pairs_in_jsonl_come_along_under_their_name(corpus, tmp_path):
    pairs = corpus / "text_pairs.jsonl"
    pairs.touch()
    assert repair([corpus], tmp_path / "out").text_pairs is None, "of a corpus without any"
    pairs.write_text('{"source": "one", "target": "eins"}\n', encoding="utf-8")
    copy = repair([corpus], tmp_path / "out").text_pairs
    assert copy == tmp_path / "out" / "text_pairs.jsonl"
    assert copy.read_bytes() == pairs.read_bytes()


def test_rows_to_test_on_stay_without_a_reference_when_they_are_changed(corpus, damage, tmp_path):
    path = (corpus / "dev.jsonl").rename(corpus / "tst.jsonl")
    damage(path, 1, lambda line: line["supervisions"][0].update(text=" a ", custom=None))
    repairs = repair([path], tmp_path / "out")
    assert repairs.changed == {"transcript trimmed": 1}
    assert repairs.num_kept == {"tst": 2}


def test_rows_that_share_one_text_with_another_split_stay(corpus, damage, tmp_path):
    for name in ("train", "dev"):
        damage(corpus / f"{name}.jsonl", 1, lambda line: line["supervisions"][0].update(text="a"))
    repairs = repair([corpus], tmp_path / "out")
    assert repairs.num_kept == {"dev": 2, "train": 4}
    assert validate([tmp_path / "out"]).problems.counts == {"transcript in two splits": 1}


def test_rows_without_transcripts_stay_whatever_their_translation(corpus, damage, tmp_path):
    def answer(line):
        line["supervisions"][0].pop("text")
        line["supervisions"][0]["custom"]["translated_text"] = "Oui."

    for name, number in (("train", 1), ("train", 3), ("dev", 1)):
        damage(corpus / f"{name}.jsonl", number, answer)
    repairs = repair([corpus], tmp_path / "out")
    assert repairs.num_kept == {"dev": 2, "train": 4}
    assert not repairs.dropped.counts


def test_the_folder_for_copies_may_not_be_a_file(corpus, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: expected a folder that can be written, .* another"):
        repair([corpus], tmp_path / "file")


def test_a_split_without_a_usable_row_has_no_copy(corpus, tmp_path):
    (corpus / "dev.jsonl").write_text("{}\n", encoding="utf-8")
    repairs = repair([corpus], tmp_path / "out")
    assert repairs.num_kept == {"dev": 0, "train": 4}
    assert repairs.lost == ["dev"]
    assert not (tmp_path / "out" / "dev.jsonl").exists()


def test_compressed_manifests_become_plain_ones(corpus, tmp_path):
    data = (corpus / "dev.jsonl").read_bytes()
    (corpus / "test.jsonl.gz").write_bytes(gzip.compress(data))
    repairs = repair([corpus / "test.jsonl.gz"], tmp_path / "out")
    assert repairs.num_kept == {"test": 2}
    assert len(lines_of(tmp_path / "out" / "test.jsonl")) == 2


def test_originals_are_never_replaced(corpus, tmp_path):
    before = (corpus / "train.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"a name of its own .* which is the original\. Give anoth"):
        repair([corpus], corpus)
    assert (corpus / "train.jsonl").read_bytes() == before


def test_two_manifests_of_one_name_are_refused(corpus, tmp_path):
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "train.jsonl"
    other.write_bytes((corpus / "train.jsonl").read_bytes())
    with pytest.raises(UserError, match=r"the copy of .*train\.jsonl\. .* or rename one"):
        repair([corpus / "train.jsonl", other], tmp_path / "out")


def test_progress_counts_the_lines(corpus, tmp_path):
    calls = []
    repair([corpus], tmp_path / "out", progress=lambda *call: calls.append(call))
    assert calls == [("dev", n, 2) for n in (1, 2)] + [("train", n, 4) for n in (1, 2, 3, 4)]
