"""Someone arrives with a table of recordings: in, checked, mended, sized, trained, and packed."""

import json
import re
import sys

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
    *("stages.mt_in_domain.max_steps=0", "stages.st.max_steps=2", "stages.st.warmup_steps=1"),
    *("stages.st.validate_every_steps=1", "stages.st.average=1"),
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
        duration = 5.0 if number == 4 else 1.0
        lines.append(f"{name}\t{source} {number}\t{target} {number}\t{split}\t{duration}")
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

    status, shown = run("shard", "corpus/train.jsonl", "shards", "--size", "2")
    assert status == 0
    assert len([*(tmp_path / "shards").glob("recording.*.tar")]) == 3
    status, shown = run("train", "mine.yaml", *FAST, "data.train=shards", "--out", "from_shards")
    assert status == 0, shown


def test_damage_is_shown_and_mended(run, table, tmp_path):
    run("prepare", "tsv", table, "corpus")
    lines = (tmp_path / "corpus" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "corpus" / "train.jsonl").write_text("\n".join([*lines, lines[0], "{"]) + "\n")
    status, shown = run("validate", "corpus", "--workers", "0")
    assert status == 1
    assert "duplicate id" in shown
    assert "corpus/train.jsonl:7" in shown
    status, shown = run("validate", "corpus", "--workers", "0", "--fix", "mended")
    assert status == 0
    assert len([*read_manifest(tmp_path / "mended" / "train.jsonl")]) == 5
    assert run("validate", "mended", "--workers", "0")[0] == 0


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
