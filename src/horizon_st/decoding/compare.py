"""Two evaluation folders to the answer whether one system is really better than the other.

Two paired tests over the same sentences, both from sacrebleu: approximate randomization (Riezler &
Maxwell 2005), which shuffles outputs between the systems, and bootstrap resampling (Koehn 2004),
which draws test sets with replacement. A small p-value says that the difference is unlikely to be
chance *on this test set*; it says nothing about another training seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from rich.console import Console
from rich.table import Table
from sacrebleu.significance import PairedTest, Result

from horizon_st.decoding.evaluation import Evaluation, Sentence, read_evaluation
from horizon_st.decoding.scoring import SacrebleuMetric, build_metrics, check_sentences
from horizon_st.display import progress_bar
from horizon_st.errors import UserError

_SEED_VARIABLE = "SACREBLEU_SEED"


@dataclass(frozen=True)
class SystemScore:
    """A corpus score with its bootstrap mean and the half width of the 95 % interval around it."""

    score: float
    bootstrap_mean: float
    confidence_95: float


@dataclass(frozen=True)
class MetricComparison:
    """One metric of two systems: scores, the difference (system minus baseline), both p-values."""

    baseline: SystemScore
    system: SystemScore
    delta: float
    higher_is_better: bool
    randomization_p_value: float
    bootstrap_p_value: float
    randomization_signature: str
    bootstrap_signature: str


@dataclass(frozen=True)
class Comparison:
    """The paired tests of a system against a baseline over the same sentences."""

    baseline_name: str
    system_name: str
    num_sentences: int
    num_different: int
    num_shuffles: int
    num_resamples: int
    seed: int
    metrics: dict[str, MetricComparison]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict of every field."""
        return asdict(self)

    def render(self, console: Console) -> None:
        """One table and the signatures, printed to the console."""
        table = Table(
            title=f"{self.system_name} against {self.baseline_name}",
            caption=f"{self.num_different} of {self.num_sentences} outputs differ; ↓ less is "
            f"better; ± 95 % bootstrap interval; AR {self.num_shuffles} shuffles, BS "
            f"{self.num_resamples} resamples, seed {self.seed}",
        )
        table.add_column("metric")
        columns = ("baseline", "system", "difference", "p (AR)", "p (BS)")
        for heading in columns:
            table.add_column(heading, justify="right", no_wrap=True)
        for name, metric in self.metrics.items():
            table.add_row(
                name if metric.higher_is_better else f"{name} ↓",
                _format_score(metric.baseline),
                _format_score(metric.system),
                f"{metric.delta:+.2f}",
                f"{metric.randomization_p_value:.4f}",
                f"{metric.bootstrap_p_value:.4f}",
            )
        console.print(table)
        for name, metric in self.metrics.items():
            for signature in (metric.randomization_signature, metric.bootstrap_signature):
                console.print(f"{name}|{signature}", highlight=False, markup=False, soft_wrap=True)


def compare(
    baseline_dir: Path,
    system_dir: Path,
    *,
    num_shuffles: int = 10_000,
    num_resamples: int = 1_000,
    seed: int = 12345,
) -> Comparison:
    """Both paired tests of two evaluation folders, for BLEU, chrF2 and TER, with a bar meanwhile.

    Args:
        baseline_dir: folder that `evaluate` wrote for the baseline.
        system_dir: folder that `evaluate` wrote for the system.
        num_shuffles: trials of approximate randomization.
        num_resamples: bootstrap test sets.
        seed: of both tests, at least 1; stands in the signatures.

    Raises:
        UserError: a folder is not an evaluation, or the two are not over the same sentences with
            the same references and scoring settings.
    """
    baseline, system = read_evaluation(baseline_dir), read_evaluation(system_dir)
    _check_same_test_set(baseline, system, baseline_dir, system_dir)
    of_system = _by_id(system.sentences)
    scoring = system.summary["scoring"]
    return compare_outputs(
        [sentence.hypothesis for sentence in baseline.sentences],
        [of_system[sentence.id].hypothesis for sentence in baseline.sentences],
        baseline.references,
        names=(str(baseline_dir), str(system_dir)),
        lowercase=scoring["lowercase"],
        tokenize=scoring["tokenize"],
        num_shuffles=num_shuffles,
        num_resamples=num_resamples,
        seed=seed,
    )


def compare_outputs(
    baseline: Sequence[str],
    system: Sequence[str],
    references: Sequence[str],
    *,
    names: tuple[str, str] = ("baseline", "system"),
    lowercase: bool = False,
    tokenize: str = "13a",
    num_shuffles: int = 10_000,
    num_resamples: int = 1_000,
    seed: int = 12345,
) -> Comparison:
    """Both paired tests of two lists of detokenised outputs in the order of the references.

    p-values are two-sided. sacrebleu counts the trials that are strictly more extreme than the
    observed difference, which makes systems that differ in a few sentences, or in none, look
    significant. Here equal scores give 1, and randomization gives at least the smallest p-value
    that the number of differing sentences allows: of the 2^k assignments of k differing outputs,
    the observed one and its mirror image always reach the difference, hence 2 / 2^k.

    Raises:
        UserError: the lines cannot be scored (see `scoring.score`), or seed or trials are below 1.
    """
    check_sentences(baseline, references)
    check_sentences(system, references)
    _check_positive(num_shuffles=num_shuffles, num_resamples=num_resamples, seed=seed)
    systems = [(names[0], baseline), (names[1], system)]
    with _sacrebleu_seed(seed), progress_bar("comparing") as show:
        shuffled, resampled = _test_all(
            systems,
            references,
            [
                (kind, num_samples, build_metrics(lowercase=lowercase, tokenize=tokenize))
                for kind, num_samples in (("ar", num_shuffles), ("bs", num_resamples))
            ],
            show,
        )
    results = {}
    for name, shuffle in shuffled.items():
        folded = lowercase or name == "TER"
        delta = shuffle.system.score - shuffle.baseline.score
        floor = _smallest_p_value(_count_different(baseline, system, folded=folded))
        results[name] = MetricComparison(
            baseline=_system_score(resampled[name].baseline),
            system=_system_score(resampled[name].system),
            delta=float(delta),
            higher_is_better=name != "TER",
            randomization_p_value=1.0 if delta == 0 else max(shuffle.p_value, floor),
            bootstrap_p_value=1.0 if delta == 0 else resampled[name].p_value,
            randomization_signature=shuffle.signature,
            bootstrap_signature=resampled[name].signature,
        )
    return Comparison(
        *names,
        num_sentences=len(references),
        num_different=_count_different(baseline, system, folded=False),
        num_shuffles=num_shuffles,
        num_resamples=num_resamples,
        seed=seed,
        metrics=results,
    )


class _Test(NamedTuple):
    """What sacrebleu says of one metric."""

    signature: str
    baseline: Result
    system: Result

    @property
    def p_value(self) -> float:
        assert self.system.p_value is not None, "both tests estimate it"
        return self.system.p_value


def _test_all(
    systems: list[tuple[str, Sequence[str]]],
    references: Sequence[str],
    kinds: list[tuple[str, int, dict[str, SacrebleuMetric]]],
    show: Callable[[int, int], None],
) -> list[dict[str, _Test]]:
    """Each kind of test (its name, samples and metrics) by the names of its metrics.

    sacrebleu draws anew for every call, the same samples each time: metric by metric, which lets
    progress be seen, gives what all at once do.
    """
    total = sum(len(metrics) for _, _, metrics in kinds)
    num_done = 0
    found: list[dict[str, _Test]] = []
    for kind, num_samples, metrics in kinds:
        found.append({})
        for name, metric in metrics.items():
            show(num_done, total)
            test = PairedTest(systems, {name: metric}, [list(references)], kind, num_samples)
            signatures, scores = test()
            found[-1][name] = _Test(str(signatures[name]), *cast("list[Result]", scores[name]))
            num_done += 1
    show(num_done, total)
    return found


def _check_positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise UserError(
                name, expected="a number of at least 1", found=value, remedy="Leave the default."
            )


def _check_same_test_set(
    baseline: Evaluation, system: Evaluation, baseline_dir: Path, system_dir: Path
) -> None:
    remedy = "Evaluate both models on the same manifest with the same scoring settings."
    if baseline.summary["scoring"] != system.summary["scoring"]:
        raise UserError(
            str(system_dir),
            expected=f"the scoring settings of {baseline_dir}, {baseline.summary['scoring']}",
            found=system.summary["scoring"],
            remedy=remedy,
        )
    of_baseline, of_system = (_by_id(evaluation.sentences) for evaluation in (baseline, system))
    for identity in of_baseline.keys() ^ of_system.keys():
        missing_in = system_dir if identity in of_baseline else baseline_dir
        raise UserError(
            str(missing_in), expected=f"the sentence {identity!r}", found="none", remedy=remedy
        )
    for identity, sentence in of_baseline.items():
        if of_system[identity].reference != sentence.reference:
            raise UserError(
                f"{system_dir}, sentence {identity!r}",
                expected=f"the reference {sentence.reference!r} of {baseline_dir}",
                found=of_system[identity].reference,
                remedy=remedy,
            )


def _by_id(sentences: Sequence[Sentence]) -> dict[str, Sentence]:
    return {sentence.id: sentence for sentence in sentences}


def _count_different(baseline: Sequence[str], system: Sequence[str], *, folded: bool) -> int:
    pairs = zip(baseline, system, strict=True)
    return sum((a.lower() != b.lower()) if folded else (a != b) for a, b in pairs)


def _smallest_p_value(num_different: int) -> float:
    return min(1.0, 2.0 ** (1 - num_different))


def _system_score(result: Result) -> SystemScore:
    assert result.mean is not None, "the bootstrap test estimates it"
    assert result.ci is not None, "the bootstrap test estimates it"
    return SystemScore(float(result.score), float(result.mean), float(result.ci))


def _format_score(score: SystemScore) -> str:
    return f"{score.score:.2f} ± {score.confidence_95:.2f}"


@contextmanager
def _sacrebleu_seed(seed: int) -> Iterator[None]:
    # sacrebleu takes the seed from the environment only.
    before = os.environ.get(_SEED_VARIABLE)
    os.environ[_SEED_VARIABLE] = str(seed)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SEED_VARIABLE]
        else:
            os.environ[_SEED_VARIABLE] = before
