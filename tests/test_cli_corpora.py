"""Someone arrives with a table of recordings: in, checked, mended, sized, trained, and packed."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from horizon_st.cli import app, main
from horizon_st.data.manifest import read_manifest, translation_of

WORDS = [
    ("do re", "eins zwei"),
    ("mi fa", "drei vier"),
    ("so do", "acht eins"),
    ("re so", "zwei acht"),
]
FAST = (
    *("data.max_batch_s=4", "model.text_model.d_model=16", "model.text_model.ffn_dim=16"),
    *("model.text_model.encoder_layers=1", "model.text_model.decoder_layers=1"),
    *("model.subsampler.mid_channels=16", "decoding.beam_size=1", "decoding.max_tokens=4"),
    *("data.augment.num_time_masks=0", "trackers=[]"),
    *("stages.mt_in_domain.max_steps=0", "stages.st.max_steps=3", "stages.st.warmup_steps=1"),
    *("stages.st.validate_every_steps=1", "stages.st.average=1"),
    *("model.speech_encoder.layers=1", "model.speech_encoder.d_model=16"),
    *("stages.asr.max_steps=2", "stages.asr.warmup_steps=1", "stages.asr.validate_every_steps=1"),
)


@pytest.fixture
def table(tmp_path):
    """A TSV with six recordings, of which one is not there and one is cut short."""
    rng = np.random.default_rng(0)
    lines = ["audio\tsource\ttarget\tsplit\tduration"]
    for number in range(10):
        source, target = WORDS[number % 4]
        name = f"{number}.wav"
        if number != 3:
            soundfile.write(tmp_path / name, rng.normal(0, 0.1, 16_000), 16_000)
        split = "train" if number < 7 else "dev"
        duration = {4: 5.0, 5: 1.02}.get(number, 1.0)
        count = number % 7  # the dev set has no character that the training set lacks
        lines.append(f"{name}\t{source} {count}\t{target} {count}\t{split}\t{duration}")
    path = tmp_path / "table.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function: arguments -> (status, output) of a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        result = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return invoke


def test_from_a_table_to_a_model(run, table, tmp_path):
    status, shown = run("prepare", "tsv", table, "corpus")
    assert status == 0
    assert re.search(r"train\W+5\W+5\W+0\.00\W", shown)
    assert re.search(r"dev\W+3\W+3\W+0\.00\W", shown)
    assert "1 clipped to their recording" in shown
    assert "1 left out: missing audio" in shown
    assert "1 left out: end outside the recording" in shown
    assert "horizon-st validate corpus" in shown
    left_out = (tmp_path / "corpus" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(row)["place"] for row in left_out] == [f"{table}:5", f"{table}:6"]

    status, shown = run("validate", "corpus", "--out", "report", "--workers", "0")
    assert status == 0
    assert "0 errors" in shown
    assert (tmp_path / "report" / "validation.html").is_file()

    status, shown = run("new", "mine", "--manifest", "corpus")
    assert status == 0
    assert "horizon-st train mine.yaml" in shown
    status, shown = run("train", "mine.yaml", *FAST)
    assert status == 0, shown
    assert (tmp_path / "runs" / "mine" / "model" / "model.safetensors").is_file()
    # Far from learnt in 3 updates.
    assert re.search(r"Undecided\. Dev loss ended at \d.* is not learnt yet: train longer\.", shown)

    status, shown = run("shard", "corpus/train.jsonl", "shards", "--size", "2")
    assert status == 0
    assert len([*(tmp_path / "shards").glob("recording.*.tar")]) == 3
    status, shown = run("train", "mine.yaml", *FAST, "data.train=shards", "--out", "from_shards")
    assert status == 0, shown


def test_what_cannot_be_packed_is_counted(run, table, tmp_path):
    run("prepare", "tsv", table, "corpus")
    cuts = [*read_manifest(tmp_path / "corpus" / "train.jsonl")]
    Path(cuts[0].recording.sources[0].source).write_bytes(b"no sound")
    status, shown = run("shard", "corpus/train.jsonl", "shards")
    assert status == 0
    assert (
        f"1 of {len(cuts)} utterances left out: their audio cannot be read. Each is listed in "
        "shards/left_out.jsonl"
    ) in shown


def test_damage_is_shown_and_mended(run, table, tmp_path):
    run("prepare", "tsv", table, "corpus")
    lines = (tmp_path / "corpus" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "corpus" / "train.jsonl").write_text("\n".join([*lines, lines[0], "{"]) + "\n")
    status, shown = run("validate", "corpus", "--workers", "0")
    assert status == 1
    assert "duplicate id" in shown
    assert "corpus/train.jsonl:7" in shown
    (tmp_path / "a.tsv").write_text("source\ttarget\ndo\teins\n", encoding="utf-8")
    run("prepare", "bitext", "a.tsv", "corpus")
    status, shown = run("validate", "corpus", "--workers", "0", "--fix", "mended")
    assert status == 0
    assert "The copy is in mended, with the text pairs.\n" in shown
    assert "horizon-st new NAME --manifest mended\n" in shown
    run("new", "mine", "--manifest", "mended")
    assert "text_pairs: mended/text_pairs.arrow" in (tmp_path / "mine.yaml").read_text()
    assert len([*read_manifest(tmp_path / "mended" / "train.jsonl")]) == 5
    assert run("validate", "mended", "--workers", "0")[0] == 0


def test_a_split_that_is_lost_ends_with_status_1(run, table, tmp_path):
    run("prepare", "tsv", table, "corpus")
    for number in range(10):
        (tmp_path / f"{number}.wav").unlink(missing_ok=number == 3)
        if number < 7:
            (tmp_path / f"{number}.wav").write_bytes(b"no sound")
        else:
            soundfile.write(tmp_path / f"{number}.wav", np.zeros(16_000), 16_000)
    status, shown = run("validate", "corpus", "--workers", "0", "--fix", "mended")
    assert status == 1
    assert "No row of train can be used: the copy has no train.jsonl." in shown
    assert "The copy is in mended.\n" in shown
    assert "horizon-st new" not in shown


def test_a_negative_number_of_workers_is_refused(run, table):
    status, shown = run("validate", "corpus", "--workers", "-1")
    assert status == 2
    assert "Invalid value for '--workers'" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", "shards"], r"shards: expected a manifest .* found shards\. Validate the man"),
        (["shard", "shards", "again"], r"shards: expected a manifest .* found a folder\. Name the"),
        (["validate", "corpus", "--fix", "table.tsv"], r"table\.tsv: expected a folder that can"),
        (["validate", "corpus", "--out", "table.tsv"], r"table\.tsv: expected a folder that can"),
        (["shard", "corpus/dev.jsonl", "table.tsv/x"], r"x: expected a folder that can be written"),
    ],
)
def test_what_is_no_manifest_or_no_folder_is_called_so(
    run, table, monkeypatch, capsys, arguments, message
):
    run("prepare", "tsv", table, "corpus")
    run("shard", "corpus/dev.jsonl", "shards")
    monkeypatch.setattr(sys, "argv", ["horizon-st", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_training_refuses_what_validate_would_show(run, table, tmp_path, monkeypatch, capsys):
    run("prepare", "tsv", table, "corpus")
    run("new", "mine", "--manifest", "corpus")
    with (tmp_path / "corpus" / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write("{\n")
    monkeypatch.setattr(sys, "argv", ["horizon-st", "train", "mine.yaml", *FAST])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert re.search(r"train\.jsonl:6.*`horizon-st validate \S*corpus/train\.jsonl`", message)


def test_a_recipe_is_not_overwritten(run, table, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    monkeypatch.setattr(sys, "argv", ["horizon-st", "new", "mine", "--manifest", "corpus"])
    with pytest.raises(SystemExit):
        main()
    assert "mine.yaml: expected a recipe that is not there yet" in capsys.readouterr().err
    assert (tmp_path / "mine.yaml").read_text() == "name: mine\n"


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """A function: arguments -> the message of a command that ends with status 2."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        monkeypatch.setattr(sys, "argv", ["horizon-st", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        return capsys.readouterr().err

    return invoke


def test_an_unsplit_table_is_split_on_demand(run, table, tmp_path):
    rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(row.replace("split", "part") for row in rows) + "\n")
    status, shown = run("prepare", "tsv", table, "corpus")
    assert status == 0
    assert "There is no dev split yet" in shown
    assert "--dev-share 0.1, or prepare a table named dev into corpus, too." in shown
    assert not (tmp_path / "corpus" / "dev.jsonl").exists()

    status, shown = run("prepare", "tsv", table, "corpus", "--dev-share", "0.3")
    assert status == 0
    assert "There is no dev split" not in shown
    ids = [
        {cut.id for cut in read_manifest(tmp_path / "corpus" / f"{split}.jsonl")}
        for split in ("train", "dev")
    ]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == {str(number) for number in range(10)} - {"3", "4"}
    assert run("new", "mine", "--manifest", "corpus")[0] == 0


def test_speakers_may_be_held_out(run, table, tmp_path):
    header, *lines = table.read_text(encoding="utf-8").replace("\tdev\t", "\ttrain\t").splitlines()
    rows = [f"{header}\tclient_id", *(f"{line}\ts{n % 3}" for n, line in enumerate(lines))]
    table.write_text("\n".join(rows), encoding="utf-8")
    status, _ = run("prepare", "tsv", table, "c", "--dev-share", "0.3", "--dev-by", "speaker")
    assert status == 0
    speakers = [
        {cut.supervisions[0].speaker for cut in read_manifest(tmp_path / "c" / f"{split}.jsonl")}
        for split in ("train", "dev")
    ]
    assert not speakers[0] & speakers[1]


def test_one_split_may_be_prepared_alone(run, table, tmp_path):
    status, shown = run("prepare", "tsv", table, "corpus", "--split", "valid")
    assert status == 0
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == ["dev.jsonl"]
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*lines, "none.wav\tdo\teins\ttest\t1"]), encoding="utf-8")
    status, shown = run("prepare", "tsv", table, "corpus")
    assert status == 0
    assert "No row of test can be used: it has no manifest." in shown


@pytest.mark.parametrize(("kind", "delimiter"), [("tsv", "\t"), ("csv", ","), ("jsonl", None)])
def test_tables_may_name_audio_in_another_folder(run, table, tmp_path, kind, delimiter):
    (tmp_path / "tables").mkdir()
    lines = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    if delimiter:
        rows = [delimiter.join(line) for line in lines]
    else:
        rows = [json.dumps(dict(zip(lines[0], line, strict=True))) for line in lines[1:]]
    (tmp_path / "tables" / f"all.{kind}").write_text("\n".join(rows), encoding="utf-8")
    status, shown = run("prepare", kind, "tables", "corpus", "--audio", ".")
    assert status == 0, shown
    assert re.search(r"train\W+5\W", shown)


def test_a_split_that_training_lacks_is_called_so(run, table, tmp_path):
    """Of tables and of published corpora alike."""
    lines = table.read_text(encoding="utf-8").replace("\ttrain\t", "\tpart1\t")
    table.write_text(lines, encoding="utf-8")
    status, shown = run("prepare", "tsv", table, "corpus")
    assert status == 0
    assert "There is no train split in corpus, but dev, part1; to train, there must be" in shown
    assert "a table named train into corpus" in shown
    assert "There is no dev split" not in shown
    folder = tmp_path / "st" / "eval"
    (folder / "txt").mkdir(parents=True)
    (folder / "txt" / "eval.yaml").write_text("- {duration: 1.0, offset: 0.0, wav: 0.wav}\n")
    for name, text in (("en", "do"), ("de", "eins")):
        (folder / "txt" / f"eval.{name}").write_text(f"{text}\n")
    soundfile.write(folder / "0.wav", np.full(16_000, 0.1), 16_000)
    status, shown = run("prepare", "mustc", "st", "other", "--source", "en", "--target", "de")
    assert status == 0
    assert "There is no train split in other, but eval" in shown
    assert "There is no dev split yet" in shown
    assert "--dev-share" not in shown


def test_a_dev_table_joins_a_train_table(run, table, tmp_path):
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    for name, some in (("train", rows[:7]), ("dev", rows[7:])):
        lines = [line.rsplit("\t", 2)[0] for line in (header, *some)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        status, shown = run("prepare", "tsv", f"{name}.tsv", "corpus")
        assert status == 0
        assert ("There is no dev split yet" in shown) == (name == "train")
    for name, num_rows in (("train", 6), ("dev", 3)):
        assert len([*read_manifest(tmp_path / "corpus" / f"{name}.jsonl")]) == num_rows


def test_tables_of_ones_own_are_never_replaced(refused, run, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    for name in ("train", "dev"):
        soundfile.write(tmp_path / f"{name}.wav", np.full(16_000, 0.1), 16_000)
        row = json.dumps({"audio": f"../{name}.wav", "target": name})
        (own / f"{name}.jsonl").write_text(row + "\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in own.iterdir()}
    for path in ("own", "own/dev.jsonl"):
        assert "expected a file to write that is not read" in refused("prepare", "jsonl", path, own)
    assert {path: path.read_bytes() for path in own.iterdir()} == before
    assert run("prepare", "jsonl", "own", "corpus")[0] == 0
    assert run("prepare", "jsonl", "own", "corpus")[0] == 0


def test_a_file_in_place_of_the_folder_to_write_is_refused(refused, table, tmp_path):
    (tmp_path / "a.tsv").write_text("source\ttarget\na\tb\n", encoding="utf-8")
    for name, path in (("tsv", table), ("bitext", "a.tsv")):
        message = refused("prepare", name, path, "a.tsv")
        assert "a.tsv: expected a folder that can be written" in message


def test_copies_over_the_originals_are_refused_before_the_check(refused, run, table, monkeypatch):
    run("prepare", "tsv", table, "corpus")
    monkeypatch.delattr("horizon_st.data.validation.validate")
    message = refused("validate", "corpus", "--fix", "corpus")
    assert "train.jsonl: expected a name of its own for the repaired copy" in message


def test_a_full_disk_is_told(refused, run, table, file_size_limit, tmp_path):
    run("prepare", "tsv", table, "corpus")
    for arguments, name in (
        (["prepare", "tsv", table, "other"], r"other/left_out\.jsonl"),
        (["validate", "corpus", "--workers", "0", "--out", "other"], r"other/\w+\.\w+"),
        (["validate", "corpus", "--workers", "0", "--fix", "other"], r"other/dev\.jsonl"),
        (["new", "mine", "--manifest", "corpus"], r"mine\.yaml"),
    ):
        with file_size_limit(100):
            message = refused(*arguments)
        assert re.search(rf"{name}: expected a file that can be written, found OSError", message)
    assert {path.name for path in (tmp_path / "other").iterdir()} == {"problems.jsonl"}


def test_bitext_is_counted(run, tmp_path):
    for name, lines in (("a.en", ["one", "", "three"]), ("a.fr", ["un", "deux", "trois"])):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    status, shown = run("prepare", "bitext", "a.en", "pairs", "--targets", "a.fr")
    assert status == 0
    assert "2 text pairs are in pairs/text_pairs.arrow" in shown
    assert re.search(r"1 left out: .*, first at a\.en:2", shown)


@pytest.mark.parametrize("name", ["mboshi", "mustc", "mtedx", "europarl-st", "covost2", "fleurs"])
def test_a_folder_without_the_corpus_is_refused(tmp_path, monkeypatch, capsys, name):
    languages = [] if name == "mboshi" else ["--source", "xx", "--target", "yy"]
    arguments = ["prepare", name, str(tmp_path), str(tmp_path / "out"), *languages]
    monkeypatch.setattr(sys, "argv", ["horizon-st", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert re.search(r"Error: .+: expected .+, found .+\. ", capsys.readouterr().err)


def test_mboshi_with_cleaned_texts(run, tmp_path):
    for split in ("train", "dev"):
        folder = tmp_path / "mboshi" / split
        folder.mkdir(parents=True)
        soundfile.write(folder / "abiayi_1.wav", np.full(16_000, 0.1), 16_000)
        for ending, text in (("mb", "Wa"), ("fr", "L'eau"), ("mb.cleaned", "wa")):
            (folder / f"abiayi_1.{ending}").write_text(text, encoding="utf-8")
        (folder / "abiayi_1.fr.cleaned").write_text("l&apos; eau", encoding="utf-8")
    assert run("prepare", "mboshi", "mboshi", "out", "--text", "cleaned")[0] == 0
    [cut] = read_manifest(tmp_path / "out" / "train.jsonl")
    assert translation_of(cut) == "l' eau"
    assert cut.supervisions[0].speaker == "abiayi"
