"""The results of a study as one JSON file: what was asked, what was run, what came out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from horizon_st.config import build_config
from horizon_st.data.files import whole_file
from horizon_st.errors import UserError, reason_of
from horizon_st.horizon.study import StudyConfig

RESULTS_FILE = "results.json"


@dataclass
class TrialResult:
    """One run of one arm.

    Attributes:
        arm: its name in the study.
        seed: of the run.
        scores: on the test set: BLEU and chrF2 of the speech, `text_BLEU` of the transcripts
            where all have one.
        dev: figures of the final weights on the dev set: loss, and bleu if it was asked for.
        dev_history: the figures of every validation of the last stage.
        train_figures: the last figures of the last stage: each term per target token.
        train_history: the same through the stage, at no more than 60 updates.
        side_by_curves: of the horizon, as the run's own curves show it; None where they cannot.
        steps: updates of the last stage.
        wall_s: seconds of the last stage, validations included; of a run that did not end, until
            then.
        pretraining_wall_s: seconds of the stages before it, which several trials may share.
        failure: why there are no scores, or None.
        is_out_of_memory: whether that is why; otherwise a run that failed has diverged.
        stopped_at: the update at which a search gave the run up; None if it ran to its end.
    """

    arm: str
    seed: int
    scores: dict[str, float] = field(default_factory=dict)
    dev: dict[str, float] = field(default_factory=dict)
    dev_history: list[dict[str, float]] = field(default_factory=list)
    train_figures: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    wall_s: float = 0.0
    pretraining_wall_s: float = 0.0
    failure: str | None = None
    stopped_at: int | None = None
    train_history: list[dict[str, float]] = field(default_factory=list)
    is_out_of_memory: bool = False
    side_by_curves: str | None = None


@dataclass
class StudyResults:
    """A study with what its runs gave.

    Attributes:
        study: what was asked.
        settings: the value of each varied key in each arm.
        trials: that have ended.
        signatures: of the metrics.
        versions: of the packages.
        hardware: that trained, each kind once.
        winner_scores: of a search's best setting, on the test set.
        best_recipe: of a search, the YAML of the winning recipe.
    """

    study: StudyConfig
    settings: dict[str, dict[str, Any]]
    trials: list[TrialResult]
    signatures: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    hardware: list[dict[str, Any]] = field(default_factory=list)
    winner_scores: dict[str, float] = field(default_factory=dict)
    best_recipe: str = ""

    @property
    def scores(self) -> dict[tuple[str, int], float]:
        """The study's metric by arm and seed, of the trials that have it."""
        metric = self.study.metric
        return {(t.arm, t.seed): t.scores[metric] for t in self.trials if metric in t.scores}

    def write(self, path: Path) -> None:
        """Writes the file in one step."""
        with whole_file(path) as file:
            json.dump(asdict(self), file, ensure_ascii=False, indent=1, allow_nan=False)
            file.write("\n")


def read_results(path: Path) -> StudyResults:
    """The results in a file.

    Raises:
        UserError: there are none, or the file is damaged.
    """
    remedy = "Run `horizon-st search` again: what has ended is not run twice."
    if not path.is_file():
        raise UserError(
            str(path), expected="the results of a study", found="no such file", remedy=remedy
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        study = build_config(StudyConfig, content.pop("study"), place=str(path))
        trials = [TrialResult(**trial) for trial in content.pop("trials")]
        return StudyResults(study=study, trials=trials, **content)
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            str(path), expected="the results of a study", found=reason_of(error), remedy=remedy
        ) from error


def find_results(path: Path) -> list[Path]:
    """The file itself, or all results below a folder in the order of their paths.

    Raises:
        UserError: there are none.
    """
    found = sorted(path.rglob(RESULTS_FILE)) if path.is_dir() else [path]
    if not found:
        raise UserError(
            str(path),
            expected=f"a folder with some {RESULTS_FILE}",
            found="none",
            remedy="Give the folder that `horizon-st search` wrote.",
        )
    return found
