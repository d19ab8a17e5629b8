"""Corpus and sentence scores: equal to sacrebleu's own command, and refusals of unscorable text."""

import json
import subprocess
import sys

import pytest

from horizon_st.decoding.scoring import score, score_sentences
from horizon_st.errors import UserError

HYPOTHESES = ["The cat sat on the mat.", "It is raining cats.", "", "Hello there, world!"]
REFERENCES = ["The cat sat on the mat.", "It is raining cats and dogs.", "Yes.", "Hello world!"]


def _command_line_scores(tmp_path, *options):
    (tmp_path / "hyp").write_text("\n".join(HYPOTHESES) + "\n", encoding="utf-8")
    (tmp_path / "ref").write_text("\n".join(REFERENCES) + "\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        str(tmp_path / "ref"),
        "-i",
        str(tmp_path / "hyp"),
    ]
    command += ["-m", "bleu", "chrf", "ter", "--width", "10", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {entry["name"]: entry for entry in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("lowercase", "options"), [(False, ()), (True, ("--lowercase", "--chrf-lowercase"))]
)
def test_the_same_scores_and_signatures_as_the_sacrebleu_command(tmp_path, lowercase, options):
    expected = _command_line_scores(tmp_path, *options)
    scores = score(HYPOTHESES, REFERENCES, lowercase=lowercase)
    assert scores.metrics.keys() == expected.keys() == {"BLEU", "chrF2", "TER"}
    for name, metric in scores.metrics.items():
        assert metric.value == pytest.approx(expected[name]["score"], abs=1e-8)
        assert metric.signature == expected[name]["signature"]
    assert scores.num_sentences == 4


def test_signatures_name_the_settings():
    signatures = {name: m.signature for name, m in score(HYPOTHESES, REFERENCES).metrics.items()}
    for part in ("nrefs:1", "case:mixed", "eff:no", "tok:13a", "smooth:exp", "version:2."):
        assert part in signatures["BLEU"]
    assert "nc:6|nw:0" in signatures["chrF2"]
    assert "tok:tercom" in signatures["TER"]


def test_a_perfect_translation():
    metrics = score(REFERENCES, REFERENCES).metrics
    assert metrics["BLEU"].value == pytest.approx(100)
    assert metrics["BLEU"].brevity_penalty == 1
    assert metrics["BLEU"].precisions == pytest.approx((100,) * 4)
    assert metrics["chrF2"].value == pytest.approx(100)
    assert metrics["TER"].value == 0
    assert not metrics["TER"].higher_is_better


def test_chinese_is_scored_by_characters():
    metrics = score(["我们今天去学校"], ["我们今天去公园"], tokenize="zh").metrics
    assert metrics["BLEU"].precisions[0] == pytest.approx(100 * 5 / 7)
    assert metrics["TER"].value == pytest.approx(100 * 2 / 7)
    assert "tok:zh" in metrics["BLEU"].signature
    assert "asian:yes" in metrics["TER"].signature


def test_the_json_form_survives_a_round_trip():
    record = score(HYPOTHESES, REFERENCES).to_json()
    assert json.loads(json.dumps(record)) == record
    assert "precisions" in record["metrics"]["BLEU"]
    assert "precisions" not in record["metrics"]["TER"]


def test_short_sentences_have_a_sentence_bleu():
    scores = score_sentences(["Yes.", "No"], ["Yes.", "Yes."])
    assert scores.bleu == pytest.approx((100, 0))
    assert scores.chrf[0] == pytest.approx(100)
    assert "eff:yes" in scores.signatures["BLEU"]


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], ["a", "b"], r"as many hypotheses as references \(2\), found 1 hypotheses"),
        ([], [], "at least one sentence, found none"),
        (["a", "b"], ["a", " "], "reference 2: expected a translation"),
        (["a", "▁the ▁cat"], ["a", "b"], "hypothesis 2: expected detokenised text, found subword"),
        (["hel@@ lo"], ["a"], "hypothesis 1: expected detokenised text"),
        (["a"], ["hel@@ lo"], "reference 1: expected detokenised text"),
    ],
)
@pytest.mark.parametrize("function", [score, score_sentences])
def test_text_that_cannot_be_scored_is_refused(function, hypotheses, references, message):
    with pytest.raises(UserError, match=message):
        function(hypotheses, references)


def test_an_unknown_tokeniser_is_refused():
    with pytest.raises(UserError, match=r"tokenize: expected one of 13a, .*, found 14a"):
        score(["a"], ["a"], tokenize="14a")


def test_a_tokeniser_whose_dictionaries_are_missing_names_the_remedy(monkeypatch):
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)
    with pytest.raises(UserError, match=r"pip install 'sacrebleu\[ja\]'"):
        score(["a"], ["a"], tokenize="ja-mecab")
