"""Files to outputs: formats, what is printed, continuing after a kill, broken files."""

import csv
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from contextlib import closing, contextmanager

import numpy as np
import pytest
import soundfile
import srt
import webvtt
from rich.console import Console
from typer.testing import CliRunner

from horizon_st.cli import app, translation
from horizon_st.data.files import whole_file
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.errors import UserError
from horizon_st.inference.files import examine, translate_into
from horizon_st.inference.formats import TranslatedRecording, to_text
from horizon_st.inference.pipeline import SpeechTranslator, TranslatedSegment
from horizon_st.inference.segmenter import SegmenterConfig

SEARCH = DecodingConfig(beam_size=1, max_tokens=12, batch_size=2)
QUICK = ("--beam-size", "1", "--batch-size", "8")


@pytest.fixture(scope="module")
def translator(model_folder):
    return SpeechTranslator.from_pretrained(model_folder, config=SEARCH)


@pytest.fixture(scope="module")
def recordings(speech, tmp_path_factory):
    """Files of 12 s, 6 s, and of silence."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, samples in (
        ("talk.flac", speech(12)),
        ("note[1].wav", speech(6, start_s=40)),
        ("silence.wav", np.zeros(48_000, np.float32)),
    ):
        soundfile.write(folder / name, samples, 16_000)
    return [folder / name for name in ("talk.flac", "note[1].wav", "silence.wav")]


@pytest.fixture
def run(model_folder):
    """A function: arguments of `translate` after the model -> what came of them."""

    def invoke(*arguments):
        return CliRunner().invoke(app, ["translate", str(model_folder), *map(str, arguments)])

    return invoke


@pytest.fixture
def decoded(monkeypatch):
    """The numbers of segments that were decoded at once."""
    sizes = []
    decode = SpeechTranslator.decode

    def count(self, samples, prefixes=None):
        sizes.append(len(samples))
        return decode(self, samples)

    monkeypatch.setattr(SpeechTranslator, "decode", count)
    return sizes


def outputs(folder):
    return {
        path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()
    }


def everything(translator, paths, folder, form="json"):
    return [*translate_into(folder, form, translator, examine(paths))]


def test_every_format_holds_the_same(translator, recordings, tmp_path):
    for form in ("txt", "srt", "vtt", "json", "tsv"):
        assert [path.name for path, _ in everything(translator, recordings, tmp_path, form)] == [
            f"talk.{form}", f"note[1].{form}", f"silence.{form}",
        ]  # fmt: skip
    found = outputs(tmp_path)
    talk = json.loads(found["talk.json"])
    assert talk["source"] == str(recordings[0])
    assert talk["duration_s"] == 12
    expected = [*translator.translate_recording(recordings[0])]
    assert [segment["text"] for segment in talk["segments"]] == [one.text for one in expected]
    assert [s["start_s"] for s in talk["segments"]] == [round(one.start_s, 3) for one in expected]
    assert [s["confidence"] for s in talk["segments"]] == [
        pytest.approx(one.confidence, abs=1e-4) for one in expected
    ]
    assert all(s["unsure"] == (s["confidence"] < 0.6) for s in talk["segments"])
    lines = [
        ("[?] " if segment["unsure"] else "") + segment["text"] for segment in talk["segments"]
    ]
    assert found["talk.txt"].splitlines() == lines
    rows = [*csv.DictReader(found["talk.tsv"].splitlines(), delimiter="\t")]
    assert [row["text"] for row in rows] == [one.text for one in expected]
    assert [float(row["end_s"]) for row in rows] == [s["end_s"] for s in talk["segments"]]
    cues = [*srt.parse(found["talk.srt"])]
    words = " ".join(cue.content for cue in cues).replace("[?]", "").split()
    assert words == " ".join(one.text for one in expected).split()
    assert cues[0].start.total_seconds() == pytest.approx(expected[0].start_s, abs=1e-3)
    captions = webvtt.from_string(found["talk.vtt"])
    assert [one.text for one in captions] == [cue.content for cue in cues]


def test_silence_gives_empty_but_valid_files(translator, recordings, tmp_path):
    for form in ("txt", "srt", "vtt", "json", "tsv"):
        everything(translator, recordings[2:], tmp_path, form)
    found = outputs(tmp_path)
    assert found["silence.txt"] == found["silence.srt"] == ""
    assert len(webvtt.from_string(found["silence.vtt"])) == 0
    assert json.loads(found["silence.json"])["segments"] == []
    assert found["silence.tsv"] == "start_s\tend_s\tconfidence\tunsure\ttext\n"


def test_what_the_model_is_unsure_of_is_marked_in_every_format():
    segments = [
        TranslatedSegment(0, 2, "Sí.", -0.1, 3),
        TranslatedSegment(3, 5, "No\tsé.", -2.0, 3),
    ]
    recording = TranslatedRecording("a.wav", 6.0, segments)
    assert to_text(recording, "txt") == "Sí.\n[?] No sé.\n"
    assert [cue.content for cue in srt.parse(to_text(recording, "srt"))] == ["Sí.", "[?] No sé."]
    assert [one.text for one in webvtt.from_string(to_text(recording, "vtt"))] == [
        "Sí.", "[?] No sé.",
    ]  # fmt: skip
    assert [s["unsure"] for s in json.loads(to_text(recording, "json"))["segments"]] == [
        False, True,
    ]  # fmt: skip
    rows = to_text(recording, "tsv").splitlines()
    assert rows[1:] == ["0.000\t2.000\t0.9048\tno\tSí.", "3.000\t5.000\t0.1353\tyes\tNo sé."]
    assert "[?]" not in to_text(TranslatedRecording("a.wav", 6.0, segments, 0.1), "txt")


def test_what_was_translated_before_a_kill_is_not_translated_again(
    translator, recordings, tmp_path, decoded, monkeypatch
):
    everything(translator, recordings[:2], tmp_path / "whole")
    num_segments = sum(decoded)
    decoded.clear()

    decode = SpeechTranslator.decode

    def killed(self, samples, prefixes=None):
        if sum(decoded) >= num_segments // 2:
            raise KeyboardInterrupt
        return decode(self, samples)

    with monkeypatch.context() as patch:
        patch.setattr(SpeechTranslator, "decode", killed)
        # Also what was decoded before its turn is kept.
        patch.setattr("horizon_st.inference.pipeline._FIRST_WINDOWS_BATCHES", ())
        with pytest.raises(KeyboardInterrupt):
            everything(translator, recordings[:2], tmp_path / "out")
    assert not [name for name in outputs(tmp_path / "out") if name.startswith("note")]
    for record in (tmp_path / "out" / ".horizon-st").glob("*.jsonl"):
        with record.open("ab") as file:
            file.write(b'{"start_s": 1.0, "te\xc3')  # what a kill can leave
    before = sum(decoded)
    decoded.clear()
    everything(translator, recordings[:2], tmp_path / "out")
    assert 0 < sum(decoded) == num_segments - before
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_finished_files_are_rendered_anew_and_not_translated(
    translator, recordings, tmp_path, decoded
):
    everything(translator, recordings, tmp_path, "json")
    decoded.clear()
    everything(translator, recordings, tmp_path, "srt")
    assert decoded == []
    assert len(outputs(tmp_path)) == 6


@pytest.fixture
def two_days(recordings, tmp_path):
    """Recordings of one name in two folders."""
    paths = [tmp_path / day / "REC001.flac" for day in ("one", "two")]
    for path, recording in zip(paths, recordings, strict=False):
        path.parent.mkdir()
        samples, rate = soundfile.read(recording)
        soundfile.write(path, samples, rate)
    return paths


def test_what_is_there_from_elsewhere_is_not_replaced(translator, run, two_days, tmp_path):
    one, two = two_days
    out = tmp_path / "out"
    everything(translator, [one], out, "txt")
    expected = outputs(out)
    other_ending = two.with_suffix(".wav")
    other_ending.write_bytes(two.read_bytes())
    for path in (two, other_ending):
        message = rf"REC001\.txt: .* the translation of {path}, found that of {one}\. Choose"
        with pytest.raises(UserError, match=message):
            everything(translator, [path], out, "txt")
    (out / "REC001.srt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"REC001\.srt: .*, found another file\. .* --overwrite"):
        everything(translator, [one], out, "srt")
    assert outputs(out) == expected | {"REC001.srt": "mine"}
    replaced = run(two, *QUICK, "-o", out, "--overwrite")
    assert replaced.exit_code == 0, replaced.output
    assert outputs(out)["REC001.txt"] != expected["REC001.txt"]
    with pytest.raises(UserError, match=rf"found that of {two}"):
        everything(translator, [one], out, "txt")


def test_a_recording_that_was_moved_is_still_the_same(translator, two_days, tmp_path):
    everything(translator, two_days[:1], tmp_path / "out")
    moved = two_days[0].rename(tmp_path / "REC001.flac")
    [(_, found)] = everything(translator, [moved], tmp_path / "out")
    assert isinstance(found, TranslatedRecording)


def test_what_was_changed_by_hand_stays_until_it_is_to_be_replaced(
    run, recordings, tmp_path, decoded
):
    arguments = [*recordings[:2], "--output", tmp_path, *QUICK]
    first = run(*arguments)
    before = outputs(tmp_path)
    (tmp_path / "talk.txt").write_text("Mended.\n", encoding="utf-8")
    decoded.clear()
    for more in ((), ("--longest", "3")):
        again = run(*arguments, *more)
        assert again.exit_code == 0
        assert (decoded == []) == (more == ())
        assert again.stdout == first.stdout
        assert again.stderr == (
            f"{tmp_path / 'talk.txt'}: was changed since it was written, and stays as it is; "
            "--overwrite replaces it.\n"
        )
        assert outputs(tmp_path)["talk.txt"] == "Mended.\n"
    assert run(*arguments, "--overwrite").stderr == ""
    assert outputs(tmp_path) == before
    assert run(*arguments, "--longest", "3").stderr == "", "as it was written, so replaced"


def test_what_comes_from_elsewhere_meanwhile_is_not_replaced(translator, recordings, tmp_path):
    turns = translate_into(tmp_path, "txt", translator, examine(recordings[:2]))
    with closing(turns):
        next(turns)
        (tmp_path / "note[1].txt").write_text("mine", encoding="utf-8")
        _, error = next(turns)
    with pytest.raises(UserError, match=r"note\[1\]\.txt: .* found another file"):
        raise error
    assert outputs(tmp_path)["note[1].txt"] == "mine"


@pytest.mark.parametrize("is_written", [False, True])
def test_an_output_at_which_a_kill_came_is_known(
    translator, recordings, tmp_path, monkeypatch, is_written
):
    @contextmanager
    def killed(path):
        with whole_file(path) as file:
            yield file
            if not is_written:
                raise KeyboardInterrupt
        raise KeyboardInterrupt

    everything(translator, recordings[1:2], tmp_path, "txt")
    other = SpeechTranslator(translator.runtime, DecodingConfig(beam_size=1, max_tokens=3))
    with monkeypatch.context() as patch:
        patch.setattr("horizon_st.inference.outputs.whole_file", killed)
        with pytest.raises(KeyboardInterrupt):
            everything(other, recordings[1:2], tmp_path, "txt")
    for one in (other, translator):
        [(_, found)] = everything(one, recordings[1:2], tmp_path, "txt")
        assert isinstance(found, TranslatedRecording)


def test_a_line_that_a_kill_has_cut_hides_no_other(translator, recordings, tmp_path):
    everything(translator, recordings[:1], tmp_path)
    with (tmp_path / ".horizon-st" / "outputs").open("ab") as file:
        file.write(b'{"output": "no')
    for _ in range(2):
        found = everything(translator, recordings[:2], tmp_path)
        assert [type(one) for _, one in found] == [TranslatedRecording] * 2


def test_the_last_line_of_a_record_counts_when_it_is_whole(
    translator, recordings, tmp_path, decoded
):
    everything(translator, recordings[1:2], tmp_path)
    expected, num_segments = outputs(tmp_path), sum(decoded)
    [record] = (tmp_path / ".horizon-st").glob("*.jsonl")
    whole = record.read_bytes()
    *lines, last, _ = whole.splitlines(keepends=True)
    record.write_bytes(b"".join(lines) + last.rstrip(b"\n"))
    decoded.clear()
    everything(translator, recordings[1:2], tmp_path)
    assert 0 < sum(decoded) < num_segments
    assert outputs(tmp_path) == expected
    again = record.read_bytes().splitlines()
    assert len(again) == len(whole.splitlines())
    assert json.loads(again[-1]) == {"is_finished": True}


def test_a_smaller_batch_goes_on_where_a_larger_one_was_stopped(
    translator, recordings, tmp_path, decoded
):
    everything(translator, recordings[1:2], tmp_path)
    decoded.clear()
    smaller = DecodingConfig(beam_size=1, max_tokens=12, batch_size=1)
    everything(SpeechTranslator(translator.runtime, smaller), recordings[1:2], tmp_path)
    assert decoded == []


def test_what_vanishes_meanwhile_does_not_stop_the_others(translator, recordings, tmp_path):
    path = tmp_path / "gone.wav"
    path.write_bytes(recordings[1].read_bytes())
    files = examine([path, recordings[1]])
    path.unlink()
    (_, error), (_, found) = translate_into(tmp_path / "out", "txt", translator, files)
    assert isinstance(found, TranslatedRecording)
    with pytest.raises(UserError, match=r"gone\.wav: expected the file that was there before"):
        raise error


@pytest.fixture
def damaged_talk(recordings, monkeypatch):
    """The first recording fails after its first segment, as files do that are damaged inside."""
    cut = SpeechTranslator.cut

    def cut_half(self, path):
        segments = cut(self, path)
        yield next(segments)
        if path == recordings[0]:
            raise UserError(str(path), expected="whole audio", found="half", remedy="Mend it.")
        yield from segments

    monkeypatch.setattr(SpeechTranslator, "cut", cut_half)


@pytest.fixture
def other_process():
    """A function: a record -> a process that tries to hold it, and whether it does."""
    program = (
        "import sys; from pathlib import Path\n"
        "from horizon_st.inference.record import Locks\n"
        "record = Path(sys.argv[1])\n"
        "with Locks(record.parent) as locks, locks.holding(record):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    running = []

    def hold(record):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        running.append(subprocess.Popen([sys.executable, "-c", program, str(record)], **pipes))
        return running[-1], running[-1].stdout.readline() == b"held\n"

    yield hold
    for process in running:
        process.communicate()


@pytest.mark.usefixtures("damaged_talk")
def test_the_record_of_a_file_that_fails_half_way_is_free(
    translator, recordings, tmp_path, other_process
):
    files = examine(recordings[:2])
    with closing(translate_into(tmp_path, "txt", translator, files)) as outputs_in_turn:
        _, error = next(outputs_in_turn)
        assert isinstance(error, UserError)
        _, is_free = other_process(tmp_path / ".horizon-st" / "talk.flac.jsonl")
        assert is_free


def test_what_another_process_translates_there_is_left_to_it(
    translator, recordings, tmp_path, other_process
):
    records = tmp_path / ".horizon-st"
    records.mkdir()
    process, is_held = other_process(records / "note[1].wav.jsonl")
    assert is_held
    with closing(translate_into(tmp_path, "txt", translator, examine(recordings[:2]))) as turns:
        _, found = next(turns)
        assert isinstance(found, TranslatedRecording)
        _, error = next(turns)
        with pytest.raises(UserError, match=r"note\[1\]\.wav\.jsonl: .* a lock held by another"):
            raise error
    process.kill()
    process.wait()
    found = everything(translator, recordings[:2], tmp_path, "txt")
    assert [type(one) for _, one in found] == [TranslatedRecording] * 2


def test_what_is_translated_there_is_not_for_another_process(
    translator, recordings, tmp_path, other_process, monkeypatch
):
    found = []
    decode = SpeechTranslator.decode

    def look(self, samples, prefixes=None):
        found.append(other_process(tmp_path / ".horizon-st" / "talk.flac.jsonl"))
        return decode(self, samples)

    monkeypatch.setattr(SpeechTranslator, "decode", look)
    everything(translator, recordings[:1], tmp_path)
    assert [is_held for _, is_held in found] == [False] * len(found) != []
    _, is_held = other_process(tmp_path / ".horizon-st" / "talk.flac.jsonl")
    assert is_held


def test_files_may_be_far_more_than_a_process_may_open(model_folder, speech, tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(40)]
    for path in paths:
        soundfile.write(path, speech(0.3), 16_000)
    config = DecodingConfig(beam_size=1, max_tokens=4, batch_size=80)
    translator = SpeechTranslator.from_pretrained(model_folder, config=config)
    files = examine(paths)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 20, limits[1]))
    try:
        found = [*translate_into(tmp_path / "out", "txt", translator, files, one_utterance=True)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert all(isinstance(recording, TranslatedRecording) for _, recording in found)
    assert len(found) == 40


@pytest.mark.parametrize("name", ["caf\udce9.wav", "長" * 83 + ".wav", "x" * 251 + ".wav"])
def test_names_of_any_bytes_and_length(translator, run, recordings, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(recordings[1].read_bytes())
    [(target, _)] = everything(translator, [path], tmp_path / "out")
    shown = str(path).replace("\udce9", "\ufffd")
    assert json.loads(target.read_text(encoding="utf-8"))["source"] == shown
    [(srt_path, _)] = everything(translator, [path], tmp_path / "out", "srt")
    assert srt_path.name == f"{path.stem}.srt"
    result = run(path, path, *QUICK)
    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith(f"{shown}\t")
    written = run(path, *QUICK, "--format", "srt", "--output", tmp_path / "out")
    assert written.stdout == str(srt_path).replace("\udce9", "\ufffd") + "\n"


def test_a_full_disk_is_told(translator, recordings, tmp_path, file_size_limit):
    everything(translator, recordings[1:2], tmp_path)
    files = examine(recordings[:2])
    before = {tmp_path: outputs(tmp_path)}
    [record] = (tmp_path / ".horizon-st").glob("*.jsonl")
    most_bytes = record.read_bytes().index(b"\n") + 50  # its first line, but no second one
    for folder, limit, message in (
        (tmp_path / "out", most_bytes, r"talk\.flac\.jsonl: expected a file that can be written"),
        (tmp_path, 100, r"note\[1\]\.json: expected a file .* Make room, or choose another folder"),
    ):
        with file_size_limit(limit), pytest.raises(UserError, match=message):
            [*translate_into(folder, "json", translator, files[folder == tmp_path :])]
        assert outputs(folder) == before.get(folder, {})


@pytest.mark.parametrize("is_continued", [False, True])
def test_progress_is_told_batch_by_batch(translator, recordings, tmp_path, is_continued, decoded):
    (tmp_path / "broken.wav").write_text("no sound", encoding="utf-8")
    files = examine([recordings[0], tmp_path / "broken.wav", *recordings[1:]])
    if is_continued:
        everything(translator, recordings[:1], tmp_path / "out")
    decoded.clear()
    told = []

    def show(done_s, total_s):
        told.append((done_s, total_s, len(decoded)))

    [*translate_into(tmp_path / "out", "txt", translator, files, on_progress=show)]
    done_s = [done_s for done_s, *_ in told]
    assert done_s == sorted(done_s)
    assert done_s[-1] == pytest.approx(21)
    assert {total_s for _, total_s, _ in told} == {21}
    after_batches = {number for *_, number in told}
    assert after_batches >= {*range(1, len(decoded) + 1)}


MODEL_FILES = (
    *("config.json", "generation_config.json", "preprocessor_config.json"),
    *("model.safetensors", "tokenizer.json"),
)


@pytest.mark.parametrize("change", ["search", "segmenter", "file", *MODEL_FILES])
def test_a_record_of_something_else_is_not_used(
    translator, model_folder, recordings, tmp_path, decoded, change
):
    everything(translator, recordings[1:2], tmp_path)
    assert (first := [*decoded])
    decoded.clear()
    runtime, config, segmenter = translator.runtime, translator.config, SegmenterConfig()
    if change == "search":
        config = DecodingConfig(beam_size=1, max_tokens=13, batch_size=2)
    elif change == "segmenter":
        segmenter = SegmenterConfig(threshold=0.45)
    elif change == "file":
        os.utime(recordings[1], ns=(1, 1))
    else:
        folder = shutil.copytree(model_folder, tmp_path / "model")
        changed = bytearray((folder / change).read_bytes())
        changed[-1] ^= change.endswith("safetensors")  # the last value, a little
        (folder / change).write_bytes(changed + b"\n" * change.endswith("json"))
        runtime = SpeechTranslator.from_pretrained(folder).runtime
    everything(SpeechTranslator(runtime, config, segmenter=segmenter), recordings[1:2], tmp_path)
    assert decoded == first


def test_quotation_marks_do_not_join_the_rows_of_a_table():
    texts = ['"Hola', 'dijo ella."', 'el "jefe"', "él"]
    segments = [TranslatedSegment(i, i + 1, text, -0.1, 3) for i, text in enumerate(texts)]
    table = to_text(TranslatedRecording("a.wav", 6.0, segments), "tsv")
    rows = [*csv.DictReader(table.splitlines(), delimiter="\t")]
    assert [row["text"] for row in rows] == texts
    assert table.splitlines()[4] == "3.000\t4.000\t0.9048\tno\tél"


def test_one_file_is_printed_line_by_line(run, model_folder, recordings):
    result = run(recordings[0], *QUICK)
    assert result.exit_code == 0, result.output
    search = DecodingConfig(beam_size=1)
    alone = SpeechTranslator.from_pretrained(model_folder, config=search)
    expected = [*alone.translate_recording(recordings[0])]
    assert len(expected) > 1
    assert [line.removeprefix("[?] ") for line in result.stdout.splitlines()] == [
        segment.text for segment in expected
    ]
    whole = run(recordings[0], "--format", "srt", *QUICK)
    assert len([*srt.parse(whole.stdout)]) >= len(expected)


def test_of_several_files_each_is_a_line_and_broken_ones_are_named(run, recordings, tmp_path):
    (tmp_path / "broken.wav").write_text("no sound", encoding="utf-8")
    missing = tmp_path / "missing.wav"
    result = run(recordings[0], tmp_path / "broken.wav", missing, *recordings[1:], *QUICK)
    assert result.exit_code == 2
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [path for path, _ in lines] == [str(path) for path in recordings]
    assert [bool(text) for _, text in lines] == [True, True, False]
    assert "broken.wav: expected whole audio" in result.stderr
    assert "missing.wav: expected an audio file, found no such file" in result.stderr


@pytest.mark.usefixtures("damaged_talk")
def test_what_is_known_of_a_file_that_fails_half_way_is_not_said_by_the_next(run, recordings):
    alone = run(recordings[1], "--format", "txt", *QUICK)
    result = run(*recordings[:2], *QUICK)
    assert result.exit_code == 2
    assert "talk.flac: expected whole audio, found half" in result.stderr
    text = " ".join(alone.stdout.splitlines())
    assert text
    assert result.stdout == f"{recordings[1]}\t{text}\n"


def test_the_output_folder_gets_a_file_for_each(run, recordings, tmp_path):
    result = run(*recordings, "--output", tmp_path / "out", "--format", "vtt", *QUICK)
    assert result.exit_code == 0, result.output
    written = [tmp_path / "out" / name for name in ("talk.vtt", "note[1].vtt", "silence.vtt")]
    assert result.stdout.splitlines() == [str(path) for path in written]
    assert all(path.read_text(encoding="utf-8").startswith("WEBVTT") for path in written)


def test_one_utterance_is_not_cut(run, model_folder, speech, tmp_path):
    path = tmp_path / "short.wav"
    samples = np.concatenate([speech(2), np.zeros(16_000, np.float32), speech(1, start_s=30)])
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    alone = SpeechTranslator.from_pretrained(model_folder, config=DecodingConfig(beam_size=1))
    result = run(path, "--one-utterance", "--unsure-below", "0", *QUICK)
    assert result.stdout == alone.translate(path, one_utterance=True).text + "\n"


def test_what_is_no_utterance_is_named_and_does_not_stop_the_others(
    run, recordings, speech, tmp_path
):
    soundfile.write(tmp_path / "click.wav", speech(0.02), 16_000)
    soundfile.write(tmp_path / "short.wav", speech(1), 16_000)
    paths = (tmp_path / "click.wav", recordings[0], tmp_path / "short.wav")
    result = run(*paths, "--one-utterance", *QUICK)
    assert result.exit_code == 2
    assert result.stdout.startswith(f"{tmp_path / 'short.wav'}\t")
    assert "click.wav: expected" in result.stderr
    assert (
        "talk.flac: expected an utterance that is no longer than the model can take, found 12"
        in (result.stderr)
    )


def test_utterances_far_longer_than_training_are_warned_of_on_one_line(
    trained_on_half_seconds, speech, tmp_path
):
    path = tmp_path / "long[1].wav"
    soundfile.write(path, speech(1.1), 16_000)
    arguments = ["translate", str(trained_on_half_seconds), str(path), *QUICK]
    result = CliRunner().invoke(app, [*arguments, "--one-utterance"])
    [warned] = result.stderr.splitlines()
    assert warned.startswith(f"Warning: {path}: 1.1 s long, but the model was trained on")
    assert CliRunner().invoke(app, arguments).stderr == ""


@pytest.mark.parametrize("at", [0.5, 0.9])
def test_damage_inside_a_recording_is_warned_of_on_one_line(run, speech, tmp_path, at):
    path = tmp_path / "scratched[1].mp3"
    soundfile.write(path, np.tile(speech(2), 6), 16_000)
    data = bytearray(path.read_bytes())
    start = int(at * len(data))
    data[start : start + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(data)
    result = run(path, *QUICK)
    assert result.exit_code == 0
    assert result.stdout.strip()
    [warned] = result.stderr.splitlines()
    assert warned.startswith(f"Warning: {path}: 0.")
    assert "s of its sound cannot be decoded, the first at " in warned


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.wav", "b.wav", "--format", "srt"], "--format srt: expected --output DIR, or one file"),
        (["none.wav"], r"none\.wav: expected an audio file"),
        (["a.wav", "--longest", "0.1"], r"segmenter\.longest_s: expected 0\.5"),
        (["a.wav", "--beam-size", "0"], r"decoding\.beam_size: expected at least 1"),
    ],
)
def test_mistakes_are_refused_before_the_model_is_loaded(tmp_path, arguments, message):
    result = CliRunner().invoke(app, ["translate", str(tmp_path / "no-model"), *arguments])
    with pytest.raises(UserError, match=message):
        raise result.exception


def test_outputs_replace_neither_each_other_nor_an_input(translator, speech, tmp_path):
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, speech(1), 16_000)
    with pytest.raises(UserError, match=r"a\.flac: expected files of different names, found .*wav"):
        everything(translator, [tmp_path / "a.wav", tmp_path / "a.flac"], tmp_path / "out")
    (tmp_path / "a.wav").rename(tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"a\.txt: expected a file to write that is not read"):
        everything(translator, [tmp_path / "a.txt"], tmp_path, "txt")


def test_subtitles_that_are_too_fast_are_counted(run, recordings, monkeypatch):
    monkeypatch.setattr("horizon_st.inference.subtitles.MOST_COLUMNS_PER_S", 0.1)
    result = run(recordings[0], "--format", "srt", *QUICK)
    number = len([*srt.parse(result.stdout)])
    assert f"{number} of {number} subtitles have to be read faster than 17" in result.stderr


MODES = {
    "text": (1, ()),
    "text of several files": (2, ()),
    "subtitles": (1, ("--format", "srt")),
    "a folder": (2, ("--output", "out")),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_terminal_shows_how_far_it_is(run, recordings, tmp_path, monkeypatch, mode):
    number, options = MODES[mode]
    monkeypatch.chdir(tmp_path)
    elsewhere = run(*recordings[:number], *options, *QUICK)
    page = io.StringIO()
    terminal = Console(file=page, force_terminal=True, width=200)
    monkeypatch.setattr(translation, "stderr", terminal)
    result = run(*recordings[:number], *options, *QUICK)
    assert result.exit_code == 0, result.output
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", page.getvalue())
    first, *_, last = re.findall(r"translating \(s\)\D*(\d+/\d+).*?(\d:\d\d:\d\d|-:--:--)", shown)
    total = 12 if number == 1 else 18
    assert first[0] == f"0/{total}"
    assert last[0] == f"{total}/{total}"
    # What is printed meanwhile goes past the bar, not into it; subtitles come after it.
    is_later = "--format" in options
    assert result.stdout == (elsewhere.stdout if is_later else "")
    for line in [] if is_later else elsewhere.stdout.splitlines():
        assert " ".join(line.split()) in " ".join(shown.split())


def test_elsewhere_no_bar_is_shown(run, recordings, tmp_path):
    for options in ((), ("--format", "srt"), ("--output", tmp_path / "out")):
        assert "translating" not in run(recordings[0], *options, *QUICK).output
