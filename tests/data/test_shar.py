"""Shards: they train as the files do, in shuffled order, and resume exactly."""

import gzip
import io
import itertools
import json
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse import CutSet

from horizon_st.data import shar
from horizon_st.data.audio import load_cut
from horizon_st.data.augment import AugmentConfig
from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.frontend import FilterbankFrontend
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.sampling import DataConfig, Position, speech_stream
from horizon_st.data.shar import SharCuts, files_to_fingerprint, is_shar, open_cuts
from horizon_st.data.shar_writing import write_shar
from horizon_st.errors import UserError

NUMBER = 23


@pytest.fixture
def manifest(write_manifest):
    return write_manifest(
        [0.3 + 0.01 * number for number in range(NUMBER)],
        text=lambda number: None if number == 4 else f"the station {number}",
    )


@pytest.fixture
def shards(manifest, tmp_path):
    write_shar(manifest, tmp_path / "shards", shard_size=5)
    return tmp_path / "shards"


def by_id(cuts):
    return {cut.id: cut for cut in cuts}


def test_flac_shards_give_what_the_files_give_to_the_bit(manifest, shards):
    files, cuts = by_id(read_manifest(manifest)), by_id(open_cuts(shards))
    assert sorted(cuts) == sorted(files)
    for name, cut in cuts.items():
        assert transcript_of(cut) == transcript_of(files[name])
        assert translation_of(cut) == translation_of(files[name])
        assert cut.duration == pytest.approx(files[name].duration, abs=1e-9)
        samples = load_cut(cut)
        assert np.abs(samples).max() > 0.2
        assert np.array_equal(samples, load_cut(files[name]))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # open files
def test_lhotse_reads_them_as_well(manifest, shards):
    files = by_id(read_manifest(manifest))
    for cut in CutSet.from_shar(in_dir=shards):
        assert np.array_equal(cut.load_audio()[0], load_cut(files[cut.id]))


def test_loud_samples_survive(write_manifest, tmp_path):
    manifest = write_manifest([0.5])
    loud = np.array([-(2**15), 2**15 - 1, 0, -1, 1] * 1600, np.int16)
    soundfile.write(tmp_path / "train0.wav", loud, 16_000, subtype="PCM_16")
    write_shar(manifest, tmp_path / "shards")
    [cut] = open_cuts(tmp_path / "shards")
    assert np.array_equal(load_cut(cut) * 2**15, loud)


def test_opus_shards_are_small_and_sound_alike(manifest, shards, tmp_path):
    write_shar(manifest, tmp_path / "opus", audio_format="opus")
    [shard] = SharCuts(tmp_path / "opus").shards
    with tarfile.open(shard.recording) as tar:
        assert tar.getnames()[0].endswith(".opus")
    files = by_id(read_manifest(manifest))
    for cut in open_cuts(tmp_path / "opus"):
        samples, original = load_cut(cut), load_cut(files[cut.id])
        assert samples.shape == original.shape
        assert np.corrcoef(samples, original)[0, 1] > 0.95


def test_recordings_of_any_rate_and_channels_are_stored_as_training_hears_them(cut_line, tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", rng.uniform(-0.3, 0.3, (8000, 1)), 8000)
    line = cut_line("a", 0.5, rate=8000, start_s=0.25)
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(line), encoding="utf-8")
    write_shar(path, tmp_path / "shards")
    [cut], [file] = open_cuts(tmp_path / "shards"), read_manifest(path)
    assert (cut.start, cut.duration, cut.sampling_rate) == (0, 0.5, 16_000)
    assert np.abs(load_cut(cut) - load_cut(file)).max() <= 0.5 / 2**15 + 1e-7


def test_the_written_order_is_shuffled_and_follows_from_the_seed(manifest, shards, tmp_path):
    written = [cut.id for cut in open_cuts(shards)]
    assert sorted(written) == sorted(f"train{n}" for n in range(NUMBER))
    assert written != [f"train{n}" for n in range(NUMBER)]
    orders = [written]
    for seed in (0, 1):
        write_shar(manifest, tmp_path / f"seed{seed}", shard_size=7, seed=seed)
        orders.append([cut.id for cut in open_cuts(tmp_path / f"seed{seed}")])
    assert orders[0] == orders[1] != orders[2]


def test_epochs_shuffle_whole_shards(shards):
    cuts = open_cuts(shards)
    written = [cut.id for cut in cuts]
    groups = [set(written[start : start + 5]) for start in range(0, NUMBER, 5)]
    orders = []
    for epoch in range(4):
        found = [cut.id for cut in cuts.of_epoch(1, epoch)]
        assert found == [cut.id for cut in open_cuts(shards).of_epoch(1, epoch)]
        order = []
        while found:
            [group] = [number for number, members in enumerate(groups) if found[0] in members]
            assert {*found[: len(groups[group])]} == groups[group]
            order.append(group)
            del found[: len(groups[group])]
        orders.append(order)
    assert len({*map(tuple, orders)}) > 1


def test_the_survey_and_the_texts_leave_the_audio_alone(manifest, shards):
    for path in shards.glob("recording.*"):
        path.write_bytes(b"")
    cuts = open_cuts(shards)
    assert cuts.survey.is_whole
    assert sorted(cuts.survey.durations_s) == pytest.approx(
        sorted(cut.duration for cut in read_manifest(manifest)), abs=1e-9
    )
    assert cuts.survey.num_transcribed == NUMBER - 1
    assert {translation_of(cut) for cut in cuts.texts()} == {
        translation_of(cut) for cut in read_manifest(manifest)
    }
    assert len(list(cuts.sample(7))) == 7
    spread = [cut.id for cut in cuts.sample(10)]
    written = [cut.id for cut in cuts.texts()]
    assert {written.index(name) // 5 for name in spread} == {0, 1, 2, 3, 4}


def stream_of(path, tokenizer, **share):
    config = DataConfig(max_batch_s=2.0, shar_buffer=8)
    augment = AugmentConfig(speeds=[0.9, 1.0], num_frequency_masks=1)
    features = FeatureCache(FilterbankFrontend(20), 1e9)
    collate = Collator(features, tokenizer, augment, seed=5)
    return speech_stream(open_cuts(path), collate, config, seed=1, **share)


def rows_of(stream):
    """Features without padding and tokens by (utterance, epoch)."""
    rows = {}
    for epoch in range(3):
        for batch in stream.rest_of_epoch():
            assert len(batch.ids) * int(batch.speech_lengths.max()) * 0.01 <= 2.1
            for row, name in enumerate(batch.ids):
                frames = batch.speech[row, : batch.speech_lengths[row]]
                rows[name, epoch] = frames, batch.target[row].tolist()
    return rows


def test_training_sees_the_same_features_as_from_files(manifest, shards, tokenizer):
    expected, found = (rows_of(stream_of(path, tokenizer)) for path in (manifest, shards))
    assert len(found) == 3 * NUMBER
    assert found.keys() == expected.keys()
    pad_id = tokenizer.pad_token_id
    for key, (frames, target) in found.items():
        assert torch.equal(frames, expected[key][0])
        assert [t for t in target if t != pad_id] == [t for t in expected[key][1] if t != pad_id]


@settings(max_examples=12, deadline=None)
@given(num_before=st.integers(0, 25), share=st.sampled_from([(0, 1), (0, 2), (1, 2)]))
def test_resuming_is_exact_from_any_position(
    tmp_path_factory, tokenizer, resumable_shards, num_before, share
):
    rank, world_size = share

    def new():
        return stream_of(resumable_shards, tokenizer, rank=rank, world_size=world_size)

    stopped = new()
    whole = list(itertools.islice(new().endless(), num_before + 4))
    assert [b.ids for b in itertools.islice(stopped.endless(), num_before)] == [
        batch.ids for batch in whole[:num_before]
    ]
    resumed = new()
    resumed.position = Position(stopped.position.epoch, stopped.position.num_batches)
    for batch, expected in zip(itertools.islice(resumed.endless(), 4), whole[-4:], strict=True):
        assert batch.ids == expected.ids
        assert torch.equal(batch.speech, expected.speech)


@pytest.fixture(scope="module")
def resumable_shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resumable")
    rng = np.random.default_rng(2)
    with (folder / "train.jsonl").open("w") as file:
        for number in range(12):
            num_samples = 4000 + 300 * number
            soundfile.write(folder / f"{number}.wav", rng.uniform(-0.3, 0.3, num_samples), 16_000)
            duration_s = num_samples / 16_000
            name = f"utt{number}"
            cut = {
                "id": name, "start": 0.0, "duration": duration_s, "channel": 0, "type": "MonoCut",
                "supervisions": [
                    {"id": name, "recording_id": name, "start": 0.0, "duration": duration_s,
                     "channel": 0, "text": "the", "custom": {"translated_text": f"la {number}"}}
                ],
                "recording": {
                    "id": name, "sampling_rate": 16_000, "num_samples": num_samples,
                    "duration": duration_s, "channel_ids": [0],
                    "sources": [{"type": "file", "channels": [0], "source": f"{number}.wav"}],
                },
            }  # fmt: skip
            file.write(json.dumps(cut) + "\n")
    write_shar(folder / "train.jsonl", folder / "shards", shard_size=3)
    return folder / "shards"


def test_a_list_of_shards_names_files_and_commands(shards, tmp_path, monkeypatch):
    monkeypatch.setenv("HORIZON_ST_ALLOW_PIPES", "1")
    names = sorted(path.name for path in shards.iterdir())
    cuts, recordings = (
        [name for name in names if name.startswith(half)] for half in ("cuts", "recording")
    )
    content = {
        "cuts": [f"shards/{cuts[0]}", f"pipe:gzip -dc '{shards / cuts[1]}'"],
        "recording": [str(shards / recordings[0]), f"pipe:cat '{shards / recordings[1]}'"],
    }
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert is_shar(path)
    assert [cut.id for cut in open_cuts(path)] == [cut.id for cut in open_cuts(shards)][:10]
    assert [load_cut(cut).sum() for cut in open_cuts(path)]
    assert files_to_fingerprint(path) == [path]
    assert files_to_fingerprint(shards) == [shards / name for name in cuts]


@pytest.mark.parametrize("name", ["pipe:touch run", "./pipe:touch run"])
@pytest.mark.parametrize("half", ["cuts", "recording"])
def test_commands_are_not_run_unless_someone_allows_it(shards, tmp_path, monkeypatch, half, name):
    monkeypatch.chdir(tmp_path)
    content = {key: [f"shards/{key}.000000.{end}"] for key, end in ENDINGS.items()} | {half: [name]}
    Path("list.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    is_command = name.startswith("pipe:")
    message = (
        r"list\.yaml: expected paths and URLs, unless the environment variable "
        r"HORIZON_ST_ALLOW_PIPES is 1, found the command 'pipe:touch run'\. If you trust"
        if is_command
        else "No such file"
    )
    with pytest.raises(UserError, match=message):
        list(open_cuts(Path("list.yaml")))
    assert not Path("run").exists()


ENDINGS = {"cuts": "jsonl.gz", "recording": "tar"}


def test_a_recording_in_a_shard_brings_no_command_along(shards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = shards / "recording.000000.tar"
    with tarfile.open(path) as tar:
        members = [(info.name, tar.extractfile(info).read()) for info in tar]
    recording = json.loads(members[1][1])
    source = {"type": "command", "channels": [0], "source": "touch run"}
    room = recording | {"sources": [source]}
    change = {"name": "ReverbWithImpulseResponse", "kwargs": {"rir": room}}
    members[1] = (members[1][0], json.dumps(recording | {"transforms": [change]}).encode())
    write_tar(path, members)
    with pytest.raises(UserError, match=r"000000\.tar: .* a transform with a recording of its own"):
        next(iter(open_cuts(shards)))


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_a_line_or_a_description_without_end_is_never_held_whole(shards, tmp_path, monkeypatch):
    monkeypatch.setenv("HORIZON_ST_ALLOW_PIPES", "1")
    bomb = b"x" * 30_000_000
    (shards / "cuts.000000.jsonl.gz").write_bytes(gzip.compress(bomb))
    write_tar(shards / "recording.000001.tar", [("a.flac", b""), ("a.json", bomb)])
    tar = shards / "recording.000002.tar"
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 10**7}):
        pass
    piped = tmp_path / "list.yaml"
    command = f"pipe:gzip -dc {shards / 'cuts.000000.jsonl.gz'}"
    content = {"cuts": [command], "recording": [str(tar)]}
    piped.write_text(yaml.safe_dump(content), encoding="utf-8")
    reads = {
        r"000000\.jsonl\.gz:1: expected a line of at most": lambda: open_cuts(shards).texts(),
        r"gzip -dc .*:1: expected a line of at most": lambda: open_cuts(piped).texts(),
        r"found ValueError: a\.json of 30000000 bytes, where at most": lambda: sounds(1),
        r"found ValueError: .* of 100\d+ bytes, where at most": lambda: sounds(2),
    }

    def sounds(number):
        cuts = open_cuts(shards)
        return cuts._recordings(cuts.shards[number])

    for message, read in reads.items():
        tracemalloc.start()
        with pytest.raises(UserError, match=message):
            list(read())
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
        tracemalloc.stop()


def test_sound_that_is_longer_than_any_is_not_read(shards, monkeypatch):
    monkeypatch.setattr(shar, "_LARGEST_SOUND_BYTES", 2000)
    message = r"train\d+\.flac of \d+ bytes, where at most 2000 belong\. Copy it again"
    with pytest.raises(UserError, match=message):
        list(open_cuts(shards))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("cuts: [a.jsonl.gz]\n", "'recording'"),
        ("cuts: [a.jsonl.gz]\nrecording: []\n", "1 and 0"),
        ("cuts: 5\nrecording: [a.tar]\n", "'int' object is not iterable"),
        ("{oops", "while parsing a flow mapping"),
    ],
)
def test_lists_of_another_shape_are_refused(tmp_path, content, found):
    path = tmp_path / "list.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=rf"list\.yaml: expected .*shards.*found .*{found}"):
        open_cuts(path)


def test_a_folder_without_shards_is_refused(tmp_path):
    message = r"expected shards: as many cuts\..*found 0 and 0\. Give a manifest, or a folder that"
    with pytest.raises(UserError, match=message):
        open_cuts(tmp_path)


def damage(path, edit):
    path.write_bytes(edit(path.read_bytes()))


def without_last_line(data):
    return gzip.compress(b"\n".join(gzip.decompress(data).splitlines()[:-1]))


def without_last_member(data):
    file = io.BytesIO(data)
    with tarfile.open(fileobj=file) as tar:
        last = [*tar][-1]
    return data[: last.offset] + bytes(1024)


def test_a_text_that_is_no_json_is_refused(shards):
    damage(shards / "cuts.000001.jsonl.gz", lambda data: gzip.compress(b"{oops\n"))
    with pytest.raises(
        UserError, match=r"000001\.jsonl\.gz:1: expected one JSON object, found {oo"
    ):
        list(open_cuts(shards))


@pytest.mark.parametrize(
    ("name", "edit", "found"),
    [
        ("recording.000001.tar", lambda data: data[:5000], "ReadError: unexpected end of data"),
        ("recording.000001.tar", lambda data: b"not a tar" * 200, "ReadError"),
        ("recording.000001.tar", lambda data: b"", "ReadError|None where train"),
        ("cuts.000001.jsonl.gz", lambda data: data[:100], "EOFError"),
        ("cuts.000001.jsonl.gz", lambda data: b"not gzip", "Not a gzipped file"),
        ("recording.000001.tar", without_last_member, "JSONDecodeError"),
        ("cuts.000001.jsonl.gz", without_last_line, "after the last utterance"),
    ],
)
def test_damaged_shards_are_refused(shards, name, edit, found):
    damage(shards / name, edit)
    message = rf"000001\.(tar|jsonl).*: expected a whole shard of .*, found .*({found})"
    with pytest.raises(UserError, match=message):
        list(open_cuts(shards))


def test_a_recording_of_another_utterance_is_refused(shards):
    (shards / "recording.000001.tar").replace(shards / "recording.000000.tar")
    damage(shards / "recording.000002.tar", lambda data: data)
    (shards / "recording.000001.tar").write_bytes((shards / "recording.000002.tar").read_bytes())
    with pytest.raises(
        UserError, match=r"recording\.000000\.tar: .* found train\d+ where train\d+"
    ):
        list(open_cuts(shards))


def test_a_folder_with_files_is_not_overwritten(manifest, tmp_path):
    with pytest.raises(UserError, match="expected a new or empty folder, found files"):
        write_shar(manifest, tmp_path)


def test_ids_that_cannot_be_names_are_refused(cut_line, write_manifest, tmp_path):
    path = write_manifest([0.5])
    line = cut_line("a//b", 0.5, source="train0.wav")
    path.write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(UserError, match=r"utterance a//b: expected an id that can be the name of"):
        write_shar(path, tmp_path / "shards")
    assert not [*tmp_path.glob("*shards*")]  # nothing half-written, nor in the way of the next try


def test_utterances_that_cannot_be_read_are_left_out_and_listed(manifest, tmp_path):
    whole = (tmp_path / "train3.wav").read_bytes()
    (tmp_path / "train3.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "train8.wav").write_bytes(b"no sound")
    packed = write_shar(manifest, tmp_path / "shards", shard_size=5)
    assert (packed.num_utterances, packed.num_left_out) == (NUMBER - 2, 2)
    files = by_id(read_manifest(manifest))
    cuts = by_id(open_cuts(tmp_path / "shards"))
    assert sorted(cuts) == sorted(set(files) - {"train3", "train8"})
    assert all(np.array_equal(load_cut(cut), load_cut(files[name])) for name, cut in cuts.items())
    lines = (tmp_path / "shards" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    rows = {row["id"]: row for row in map(json.loads, lines)}
    assert sorted(rows) == ["train3", "train8"]
    assert rows["train3"]["reason"] == "unreadable audio"
    assert "train3.wav" in rows["train3"]["place"]
    assert "expected 0.33 s of readable audio" in rows["train3"]["found"]


def test_a_corpus_without_sound_is_refused(write_manifest, tmp_path):
    manifest = write_manifest([0.5])
    (tmp_path / "train0.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match=r"train0\.wav\): expected 0\.50 s of readable audio"):
        write_shar(manifest, tmp_path / "shards")
    assert not [*tmp_path.glob("*shards*")]


def test_a_damaged_manifest_is_refused_before_sound_is_read(manifest, tmp_path, monkeypatch):
    (tmp_path / f"train{NUMBER - 1}.wav").unlink()
    monkeypatch.setattr("horizon_st.data.shar_writing.load_cut", None)
    with pytest.raises(UserError, match=r"utterance train22: expected an audio file"):
        write_shar(manifest, tmp_path / "shards")
