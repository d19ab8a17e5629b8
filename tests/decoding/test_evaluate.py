"""Evaluation of a saved model: the folder it writes, reproducible to the byte, on both paths."""

import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from horizon_st.cli import app
from horizon_st.data.collate import make_batch
from horizon_st.data.shar_writing import write_shar
from horizon_st.decoding.compare import compare
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.evaluate import evaluate
from horizon_st.decoding.evaluation import read_evaluation
from horizon_st.decoding.generate import translate
from horizon_st.decoding.scoring import score
from horizon_st.decoding.trained import load_trained_model, weights_fingerprint
from horizon_st.errors import UserError
from horizon_st.versions import package_versions

SEARCH = DecodingConfig(beam_size=2, max_tokens=12, batch_size=3)


@pytest.fixture
def manifest_with_transcripts(manifest):
    lines = manifest.read_text(encoding="utf-8").splitlines()
    manifest.write_text("\n".join(lines[:6]) + "\n", encoding="utf-8")
    return manifest


def test_the_folder_holds_what_was_decoded(model_folder, manifest, recordings, tmp_path):
    evaluation = evaluate(model_folder, manifest, tmp_path / "out", config=SEARCH)
    assert read_evaluation(tmp_path / "out") == evaluation
    assert [sentence.id for sentence in evaluation.sentences] == [f"utt{n}" for n in range(7)]
    trained = load_trained_model(model_folder)
    for number, samples in enumerate(recordings):
        stored, _ = soundfile.read(manifest.parent / f"utt{number}.wav", dtype="float32")
        batch = make_batch(["x"], trained.tokenizer, [""], [""], [trained.frontend(stored)])
        expected = translate(trained.model, trained.tokenizer, [batch], SEARCH)[0]
        sentence = evaluation.sentences[number]
        assert sentence.hypothesis == expected.text
        assert sentence.log_probability == pytest.approx(expected.score, abs=1e-4)
        assert sentence.num_tokens == expected.num_tokens
        assert sentence.duration_s == pytest.approx(len(samples) / 16_000)
    assert evaluation.sentences[6].source is None


def without_references(manifest, ids=None):
    """The manifest without the translations of these utterances, or of all."""
    lines = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        cut = json.loads(line)
        if ids is None or cut["id"] in ids:
            del cut["supervisions"][0]["custom"]["translated_text"]
        lines.append(json.dumps(cut))
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_test_set_without_references_is_translated(model_folder, manifest, tmp_path):
    scored = evaluate(model_folder, manifest, tmp_path / "scored", config=SEARCH)
    without_references(manifest)
    command = ["evaluate", str(model_folder), str(manifest), "--out", str(tmp_path / "out")]
    search = ["--beam-size", "2", "--batch-size", "3"]
    result = CliRunner().invoke(app, [*command, *search])
    assert result.exit_code == 0, result.output
    assert "no references: nothing was scored" in result.output
    lines = (tmp_path / "out" / "sentences.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["id"] for one in found] == [sentence.id for sentence in scored.sentences]
    assert {one[key] for one in found for key in ("reference", "bleu", "chrf")} == {None}
    text = (tmp_path / "out" / "hypotheses.txt").read_text(encoding="utf-8")
    assert text.splitlines() == [" ".join(one["hypothesis"].split()) for one in found]
    for folders in (("scored", "out"), ("out", "scored")):
        with pytest.raises(UserError, match=r"expected scores, found none: .* no references"):
            compare(*(tmp_path / name for name in folders))


def test_the_translations_do_not_depend_on_references(model_folder, manifest, tmp_path):
    scored = evaluate(model_folder, manifest, tmp_path / "scored", config=SEARCH)
    without_references(manifest)
    blind = evaluate(model_folder, manifest, tmp_path / "out", config=SEARCH)
    with pytest.raises(UserError, match="expected scores, found none"):
        blind.value_of("BLEU")
    for one, other in zip(scored.sentences, blind.sentences, strict=True):
        assert dataclasses.replace(one, reference=None, bleu=None, chrf=None) == other


def test_some_missing_references_are_refused(model_folder, manifest, tmp_path):
    without_references(manifest, ids={"utt4"})
    with pytest.raises(UserError, match="utt4: expected a translation in custom"):
        evaluate(model_folder, manifest, tmp_path / "out", config=SEARCH)


def test_the_summary_names_everything_that_makes_it_comparable(model_folder, manifest, tmp_path):
    summary = evaluate(model_folder, manifest, tmp_path / "out", config=SEARCH).summary
    written = json.loads((tmp_path / "out" / "scores.json").read_text(encoding="utf-8"))
    assert written == summary
    sentences = read_evaluation(tmp_path / "out").sentences
    expected = score([s.hypothesis for s in sentences], [s.reference for s in sentences])
    assert {"num_sentences": 7, **expected.to_json()}.items() <= summary.items()
    weights = (model_folder / "model.safetensors").read_bytes()
    assert summary["model"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert summary["manifest"]["sha256"] == hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert summary["decoding"] == dataclasses.asdict(SEARCH)
    assert summary["audio_s"] == pytest.approx(sum(s.duration_s for s in sentences))
    assert summary["audio_s_per_s"] == pytest.approx(summary["audio_s"] / summary["wall_s"])
    assert summary["versions"] == package_versions()
    assert summary["modality"] == "speech"


def test_bleu_is_tokenised_as_the_run_was(model_folder, manifest, tmp_path):
    """By the record beside the model, unless the command says otherwise."""
    weights = dict.fromkeys(("mt", "consistency", "rdrop", "ctc"), 1)
    objective = {f"{name}_weight": weight for name, weight in weights.items()}
    record = {
        **{"name": "tones", "seed": 1, "num_parameters": 9, "precision": "no", "stages": []},
        "recipe": {"data": {}, "objective": objective, "decoding": {"tokenize": "char"}},
        **{"data_fingerprint": {}, "versions": {}},
        "model_sha256": weights_fingerprint(model_folder),
    }
    (model_folder.parent / "record.json").write_text(json.dumps(record), encoding="utf-8")
    try:
        for options, expected in (((), "char"), (("--tokenize", "13a"), "13a")):
            command = ["evaluate", str(model_folder), str(manifest), "--beam-size", "1"]
            out = tmp_path / expected
            assert CliRunner().invoke(app, [*command, "--out", str(out), *options]).exit_code == 0
            summary = read_evaluation(out).summary
            assert f"tok:{expected}" in summary["metrics"]["BLEU"]["signature"]
            assert summary["scoring"]["tokenize"] == expected
        (model_folder.parent / "record.json").write_text("{", encoding="utf-8")
        with pytest.raises(UserError, match=r"record\.json: expected a JSON object.*Train again"):
            evaluate(model_folder, manifest, tmp_path / "out")
    finally:
        (model_folder.parent / "record.json").unlink()


def test_the_command_passes_its_options_on(model_folder, manifest, tmp_path):
    options = {
        "beam_size": (2, "--beam-size"),
        "length_penalty": (0.5, "--length-penalty"),
        "batch_size": (3, "--batch-size"),
        "precision": ("bf16", "--precision"),
    }
    given = [str(part) for value, flag in options.values() for part in (flag, value)]
    result = CliRunner().invoke(
        app, ["evaluate", str(model_folder), str(manifest), "--out", str(tmp_path / "out"), *given]
    )
    assert result.exit_code == 0, result.output
    summary = read_evaluation(tmp_path / "out").summary
    assert {name: value for name, (value, _) in options.items()}.items() <= summary[
        "decoding"
    ].items()


def test_shards_score_as_the_files_they_were_made_of(model_folder, manifest, tmp_path):
    write_shar(manifest, tmp_path / "shards", shard_size=3)
    by_id = [
        {sentence.id: sentence for sentence in evaluation.sentences}
        for evaluation in (
            evaluate(model_folder, source, tmp_path / f"out{number}", config=SEARCH)
            for number, source in enumerate((manifest, tmp_path / "shards"))
        )
    ]
    assert by_id[0].keys() == by_id[1].keys()
    for name, sentence in by_id[0].items():
        assert by_id[1][name].hypothesis == sentence.hypothesis
        assert by_id[1][name].log_probability == pytest.approx(sentence.log_probability, abs=1e-2)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_batch_size_changes_no_score(model_folder, manifest, tmp_path, batch_size):
    first = evaluate(model_folder, manifest, tmp_path / "a", config=SEARCH)
    other_size = dataclasses.replace(SEARCH, batch_size=batch_size)
    second = evaluate(model_folder, manifest, tmp_path / "b", config=other_size)
    assert first.summary["metrics"] == second.summary["metrics"]
    assert [s.hypothesis for s in first.sentences] == [s.hypothesis for s in second.sentences]
    comparison = compare(tmp_path / "a", tmp_path / "b", num_shuffles=50, num_resamples=50)
    assert comparison.num_different == 0


def test_the_text_path_reads_transcripts_and_no_audio(
    model_folder, manifest_with_transcripts, tmp_path
):
    for sound in tmp_path.glob("*.wav"):
        soundfile.write(sound, np.zeros(100), 16_000)
    result = evaluate(
        model_folder, manifest_with_transcripts, tmp_path / "out", config=SEARCH, modality="text"
    )
    trained = load_trained_model(model_folder)
    for sentence in result.sentences:
        batch = make_batch(["x"], trained.tokenizer, [sentence.source], [""])
        expected = translate(trained.model, trained.tokenizer, [batch], SEARCH, modality="text")
        assert sentence.hypothesis == expected[0].text
    assert result.summary["modality"] == "text"
    assert "audio_s_per_s" not in result.summary
    assert result.value_of("chrF2") == result.summary["metrics"]["chrF2"]["value"]


def test_an_existing_evaluation_survives_a_failing_one(model_folder, manifest, tmp_path):
    first = evaluate(model_folder, manifest, tmp_path / "out", config=SEARCH)
    with pytest.raises(UserError, match="utterance utt6: expected a transcript"):
        evaluate(model_folder, manifest, tmp_path / "out", config=SEARCH, modality="text")
    assert read_evaluation(tmp_path / "out") == first


def test_manifests_that_cannot_be_evaluated_are_refused(model_folder, manifest, tmp_path):
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text + text.splitlines()[2] + "\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"an id of its own for every utterance, found 'utt2' twice"
    ):
        evaluate(model_folder, manifest, tmp_path / "out")
    manifest.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="expected at least one utterance, found none"):
        evaluate(model_folder, manifest, tmp_path / "out")
    with pytest.raises(UserError, match=r"decoding\.tokenize: expected one of 13a, .*found words"):
        DecodingConfig(tokenize="words")


def test_a_file_in_the_place_of_the_folder_is_refused_before_decoding(
    model_folder, manifest, tmp_path
):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    decoded = []
    with pytest.raises(
        UserError, match=r"out: expected a folder that can be written, found FileE.*another folder"
    ):
        evaluate(
            model_folder,
            manifest,
            tmp_path / "out",
            config=SEARCH,
            on_decoded=lambda *numbers: decoded.append(numbers),
        )
    assert decoded == []
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_a_long_evaluation_shows_a_bar(model_folder, manifest, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("horizon_st.decoding.evaluate._BAR_AFTER_S", math.inf)
    evaluate(model_folder, manifest, tmp_path / "out", config=SEARCH)
    assert "/7" not in capsys.readouterr().err
    monkeypatch.setattr("horizon_st.decoding.evaluate._BAR_AFTER_S", 0.0)
    evaluate(model_folder, manifest, tmp_path / "out", config=SEARCH)
    assert "7/7" in capsys.readouterr().err


def test_who_passes_a_callback_draws_for_itself(
    model_folder, manifest, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("horizon_st.decoding.evaluate._BAR_AFTER_S", 0.0)
    told = []
    evaluate(
        model_folder,
        manifest,
        tmp_path / "out",
        config=SEARCH,
        on_decoded=lambda done, total: told.append((done, total)),
    )
    assert told == [(3, 7), (6, 7), (7, 7)]
    assert "/7" not in capsys.readouterr().err
