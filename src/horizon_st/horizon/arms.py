"""The runs of an arm -> its row in the table of a study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from horizon_st.horizon.results import StudyResults
from horizon_st.horizon.statistics import CONFIDENCE, Estimate


@dataclass(frozen=True)
class ArmRow:
    """One arm in the table of a study.

    Attributes:
        name: of the arm.
        num_runs: with a score.
        num_diverged: whose loss became no number.
        num_out_of_memory: that did not fit the accelerator.
        num_stopped: that a search gave up.
        mean: of the metric over its runs; NaN without any.
        interval: 95 % around the mean, from this arm's runs alone; NaN with fewer than two.
        lowest: of its runs.
        highest: of its runs.
        difference: from the baseline; None for the baseline and without one.
        text_score: mean of the metric for the transcripts as input, if all runs have it.
        minutes: mean time of the last stage.
    """

    name: str
    num_runs: int
    num_diverged: int
    num_out_of_memory: int
    num_stopped: int
    mean: float
    interval: tuple[float, float]
    lowest: float
    highest: float
    difference: Estimate | None
    text_score: float | None
    minutes: float


def row_of(results: StudyResults, arm: str, difference: Estimate | None) -> ArmRow:
    """Its row: everything but the difference is from its own runs."""
    metric = results.study.metric
    trials = [trial for trial in results.trials if trial.arm == arm]
    scored = [trial for trial in trials if metric in trial.scores]
    scores = [trial.scores[metric] for trial in scored]
    texts = [trial.scores.get(f"text_{metric}") for trial in scored]
    failed = [t for t in trials if metric not in t.scores and t.stopped_at is None]
    num_out_of_memory = sum(trial.is_out_of_memory for trial in failed)
    return ArmRow(
        name=arm,
        num_runs=len(scores),
        num_diverged=len(failed) - num_out_of_memory,
        num_out_of_memory=num_out_of_memory,
        num_stopped=sum(trial.stopped_at is not None for trial in trials),
        mean=float(np.mean(scores)) if scores else math.nan,
        interval=_interval(scores),
        lowest=min(scores, default=math.nan),
        highest=max(scores, default=math.nan),
        difference=difference,
        text_score=None
        if None in texts or not texts
        else float(np.mean([text for text in texts if text is not None])),
        minutes=float(np.mean([trial.wall_s for trial in scored])) / 60 if scored else math.nan,
    )


def _interval(scores: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean."""
    if len(scores) < 2:
        return (math.nan, math.nan)
    half = float(stats.sem(scores) * stats.t.ppf((1 + CONFIDENCE) / 2, len(scores) - 1))
    return float(np.mean(scores)) - half, float(np.mean(scores)) + half
