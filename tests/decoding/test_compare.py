"""Paired significance tests against brute force in numpy, and their sanity on known cases."""

import io
import itertools
import json

import numpy as np
import pytest
from rich.console import Console
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from horizon_st.decoding.compare import compare, compare_outputs
from horizon_st.decoding.evaluation import Evaluation, Sentence, write_evaluation
from horizon_st.decoding.scoring import build_metrics
from horizon_st.errors import UserError

WORDS = ["a", "the", "small", "big", "dog", "cat", "house", "tree", "river", "sleeps", "near"]
FEW = {"num_shuffles": 1000, "num_resamples": 300}


def _system(references, error_rate, seed):
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.choice(WORDS) if rng.random() < error_rate else word for word in line.split())
        for line in references
    ]


@pytest.fixture(scope="module")
def references():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, size=rng.integers(6, 14))) for _ in range(60)]


def _brute_force(metric, baseline, system, references, num_trials):
    """p-values from whole corpora scored anew for every trial."""

    def difference(pairs):
        first, second, refs = zip(*pairs, strict=True)
        return abs(
            metric.corpus_score(first, [refs]).score - metric.corpus_score(second, [refs]).score
        )

    rng = np.random.default_rng(99)
    rows = list(zip(baseline, system, references, strict=True))
    observed = difference(rows)
    shuffled, resampled = [], []
    for _ in range(num_trials):
        swaps = rng.random(len(rows)) < 0.5
        shuffled.append(
            difference(
                [(b, a, r) if s else (a, b, r) for s, (a, b, r) in zip(swaps, rows, strict=True)]
            )
        )
        resampled.append(difference([rows[i] for i in rng.integers(len(rows), size=len(rows))]))
    shift = np.mean(resampled)
    return (
        np.mean(np.array(shuffled) >= observed - 1e-9),
        np.mean(np.array(resampled) - shift > observed),
    )


@pytest.mark.parametrize(("name", "metric"), [("BLEU", BLEU()), ("chrF2", CHRF())])
def test_p_values_agree_with_brute_force(references, name, metric):
    references = references[:30]
    baseline, system = _system(references, 0.30, seed=1), _system(references, 0.26, seed=2)
    result = compare_outputs(baseline, system, references, **FEW).metrics[name]
    by_randomization, by_bootstrap = _brute_force(metric, baseline, system, references, 300)
    assert 0.02 < by_randomization < 0.98
    assert result.randomization_p_value == pytest.approx(by_randomization, abs=0.09)
    assert result.bootstrap_p_value == pytest.approx(by_bootstrap, abs=0.09)


def test_the_interval_agrees_with_a_bootstrap_of_our_own(references):
    system = _system(references, 0.3, seed=1)
    result = compare_outputs(system, _system(references, 0.3, seed=2), references, **FEW)
    rng = np.random.default_rng(5)
    values = []
    for _ in range(300):
        rows = rng.integers(len(references), size=len(references))
        values.append(
            BLEU().corpus_score([system[i] for i in rows], [[references[i] for i in rows]]).score
        )
    low, high = np.quantile(values, [0.025, 0.975])
    bleu = result.metrics["BLEU"].baseline
    assert bleu.bootstrap_mean == pytest.approx(np.mean(values), abs=0.7)
    assert bleu.confidence_95 == pytest.approx((high - low) / 2, rel=0.2)


def test_identical_systems_do_not_differ(references):
    system = _system(references, 0.3, seed=1)
    result = compare_outputs(system, system, references, **FEW)
    assert result.num_different == 0
    for metric in result.metrics.values():
        assert metric.delta == 0
        assert metric.randomization_p_value == metric.bootstrap_p_value == 1


def test_a_clearly_better_system_is_significant(references):
    baseline, system = _system(references, 0.5, seed=1), _system(references, 0.1, seed=2)
    for name, metric in compare_outputs(baseline, system, references, **FEW).metrics.items():
        assert metric.randomization_p_value < 0.01
        assert metric.bootstrap_p_value < 0.01
        assert (metric.delta > 0) == metric.higher_is_better == (name != "TER")


@pytest.mark.parametrize("num_different", [1, 2, 3])
def test_a_few_differing_sentences_are_not_significant(references, num_different):
    baseline = _system(references, 0.3, seed=1)
    system = references[:num_different] + baseline[num_different:]
    rows = list(zip(baseline, system, strict=True))
    observed, differences = None, []
    for swaps in itertools.product([False, True], repeat=num_different):
        swapped = [(b, a) for s, (a, b) in zip(swaps, rows, strict=False) if s]
        kept = [row for s, row in zip(swaps, rows, strict=False) if not s]
        order = [i for i, s in enumerate(swaps) if s] + [i for i, s in enumerate(swaps) if not s]
        pairs = swapped + kept + rows[num_different:]
        refs = [references[i] for i in order] + references[num_different:]
        first, second = zip(*pairs, strict=True)
        scores = [CHRF().corpus_score(side, [refs]).score for side in (first, second)]
        differences.append(abs(scores[0] - scores[1]))
        observed = differences[0]
    exact = np.mean(np.array(differences) >= observed - 1e-9)
    result = compare_outputs(baseline, system, references, **FEW)
    assert result.metrics["chrF2"].randomization_p_value == pytest.approx(exact, abs=0.05)


def test_the_seed_is_ours_whatever_the_environment_says(references, monkeypatch):
    baseline, system = _system(references, 0.3, seed=1), _system(references, 0.26, seed=2)
    first = compare_outputs(baseline, system, references, **FEW)
    monkeypatch.setenv("SACREBLEU_SEED", "none")
    second = compare_outputs(baseline, system, references, **FEW)
    assert first == second
    assert compare_outputs(baseline, system, references, seed=7, **FEW) != first
    signature = first.metrics["BLEU"].randomization_signature
    for part in ("ar:1000", "seed:12345", "tok:13a", "version:"):
        assert part in signature
    assert "bs:300" in first.metrics["BLEU"].bootstrap_signature


@pytest.mark.parametrize("argument", ["seed", "num_shuffles", "num_resamples"])
def test_numbers_below_one_are_refused(references, argument):
    with pytest.raises(UserError, match=f"{argument}: expected a number of at least 1, found 0"):
        compare_outputs(references, references, references, **{argument: 0})


def _write(folder, hypotheses, references, *, ids=None, tokenize="13a"):
    ids = ids or [f"utt{number}" for number in range(len(references))]
    sentences = [
        Sentence(identity, hyp, ref, None, 1.0, -0.5, 3, 10.0, 20.0)
        for identity, hyp, ref in zip(ids, hypotheses, references, strict=True)
    ]
    scoring = {"lowercase": False, "tokenize": tokenize}
    summary = {"num_sentences": len(sentences), "scoring": scoring, "metrics": {}}
    write_evaluation(Evaluation(summary, sentences), folder)
    return folder


def test_folders_are_matched_by_id_and_rendered(tmp_path, references):
    baseline, system = _system(references, 0.3, seed=1), _system(references, 0.1, seed=2)
    first = _write(tmp_path / "old", baseline, references)
    second = _write(tmp_path / "new", system, references)
    shuffled = _write(
        tmp_path / "shuffled",
        system[::-1],
        references[::-1],
        ids=[f"utt{number}" for number in reversed(range(len(references)))],
    )
    result = compare(first, second, **FEW)
    assert result.metrics == compare_outputs(baseline, system, references, **FEW).metrics
    assert result.metrics == compare(first, shuffled, **FEW).metrics
    assert json.loads(json.dumps(result.to_json())) == result.to_json()
    page = io.StringIO()
    result.render(Console(file=page, width=80))
    for text in ("BLEU", "chrF2", "TER ↓", "seed 12345", "BLEU|nrefs:1|ar:1000"):
        assert text in page.getvalue()


def test_a_bar_shows_how_many_tests_are_done(references, capsys):
    compare_outputs(references, references, references, num_shuffles=2, num_resamples=2)
    shown = capsys.readouterr()
    assert "comparing" in shown.err
    assert "6/6" in shown.err
    assert shown.out == ""


def test_metric_by_metric_gives_what_all_at_once_do(references, monkeypatch):
    baseline, system = _system(references, 0.3, seed=1), _system(references, 0.26, seed=2)
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    named = [("a", baseline), ("b", system)]
    signatures, together = PairedTest(named, build_metrics(), [references], "ar", 1000)()
    ours = compare_outputs(baseline, system, references, **FEW).metrics
    for name, metric in ours.items():
        assert metric.randomization_p_value == together[name][1].p_value
        assert metric.randomization_signature == str(signatures[name])
    signatures, together = PairedTest(named, build_metrics(), [references], "bs", 300)()
    for name, metric in ours.items():
        assert metric.bootstrap_p_value == together[name][1].p_value
        assert metric.system.bootstrap_mean == together[name][1].mean
        assert metric.bootstrap_signature == str(signatures[name])


def test_folders_over_different_test_sets_are_refused(tmp_path):
    first = _write(tmp_path / "a", ["x", "y"], ["r", "s"])
    for other, message in [
        (_write(tmp_path / "b", ["x"], ["r"]), "b: expected the sentence 'utt1', found none"),
        (_write(tmp_path / "c", ["x", "y"], ["r", "t"]), "sentence 'utt1': .*'s' of .*found t"),
        (_write(tmp_path / "d", ["x", "y"], ["r", "s"], tokenize="zh"), "the scoring settings of"),
    ]:
        with pytest.raises(UserError, match=message):
            compare(first, other)
    with pytest.raises(UserError, match="b: expected the sentence 'utt1', found none"):
        compare(tmp_path / "b", first)
