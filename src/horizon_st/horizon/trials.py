"""A study -> its trials: what each trains, where, and what came out of those that have ended.

Studies in one folder share trials; `trial_run.py` runs one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from horizon_st.config import load_config
from horizon_st.errors import UserError
from horizon_st.horizon.keys import key_of
from horizon_st.horizon.results import TrialResult
from horizon_st.horizon.run_diagnosis import diagnose_run
from horizon_st.horizon.study import ArmConfig, StudyConfig, check_values
from horizon_st.objective.objective import ObjectiveConfig
from horizon_st.recipes import find_recipe
from horizon_st.training.recipe import Recipe, StageConfig
from horizon_st.training.record import RECORD_FILE

TRIAL_FILE = "trial.json"
_MOST_ENTRIES = 60
"""Of a training history that go into the results."""


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, and where it is run.

    Attributes:
        arm: its name.
        seed: of the run.
        recipe: of the whole run, pre-training included.
        test: the manifest to score on.
        key: the same for the same recipe, data and test set, whatever the study and the arm.
        root: folder of all trials.
        pretraining: the stages before ST; None if there are none.
    """

    arm: str
    seed: int
    recipe: Recipe
    test: Path
    key: str
    root: Path
    pretraining: Recipe | None

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.root / "runs" / self.key

    @property
    def title(self) -> str:
        """As progress shows it."""
        return f"{self.arm}, seed {self.seed}"

    @property
    def is_done(self) -> bool:
        """Whether its result is there."""
        return (self.folder / TRIAL_FILE).is_file()

    def read(self) -> dict[str, Any]:
        """What `run_trial` wrote."""
        content: dict[str, Any] = json.loads((self.folder / TRIAL_FILE).read_text("utf-8"))
        return content

    @property
    def result(self) -> TrialResult:
        """Its result, under the name that the arm has in this study."""
        found = replace(TrialResult(**self.read()["result"]), arm=self.arm)
        record = record_of(self.folder / "run")
        if record is None or not record["stages"]:
            return found
        diagnosis = diagnose_run(record) if found.scores else None
        return replace(
            found,
            train_history=_thinned(record["stages"][-1]["train_history"]),
            side_by_curves=None if diagnosis is None else diagnosis.side,
        )


def plan_trials(study: StudyConfig, root: Path, data: tuple[str, ...] = ()) -> list[Trial]:
    """All trials of a study: the first seed of every arm, then the second.

    Args:
        study: what to run.
        root: folder of the runs, shared by studies.
        data: overrides that say where the corpus lies.

    Raises:
        UserError: an override is wrong, a file is missing, or two arms are the same.
    """
    trials = [
        make_trial(study, arm, seed, root, data) for seed in study.seeds for arm in study.all_arms
    ]
    _check_different(trials)
    check_values(study, settings_of(study, trials))
    return trials


def make_trial(
    study: StudyConfig, arm: ArmConfig, seed: int, root: Path, data: tuple[str, ...] = ()
) -> Trial:
    """One arm of a study with one seed; scored on the dev set where `test` is for a winner alone.

    Raises:
        UserError: an override is wrong, or a file is missing.
    """
    recipe = arm_recipe(study, arm, seed, data)
    test = Path((None if study.space else study.test) or recipe.data.dev)
    key, pretraining = key_of(recipe, test), pretraining_of(recipe)
    if study.before_st and pretraining is not None:
        before = replace(arm, set=[*arm.set, *study.before_st])
        held = pretraining_of(arm_recipe(study, before, seed, data))
        if held is not None and held != pretraining:
            key, pretraining = f"{key}-{key_of(held)}", held
    return Trial(arm.name, seed, recipe, test, key, root, pretraining)


def settings_of(study: StudyConfig, trials: Sequence[Trial]) -> dict[str, dict[str, Any]]:
    """The value of each varied key in each arm."""
    return {trial.arm: _values_of(trial.recipe, study.varied_keys) for trial in trials}


def arm_recipe(study: StudyConfig, arm: ArmConfig, seed: int, data: tuple[str, ...] = ()) -> Recipe:
    """The recipe of one run: the study's, with its overrides, those of the arm, and the seed."""
    overrides = (*data, *study.set, *arm.set, f"seed={seed}", "trackers=[]", "name=trial")
    return load_config(Recipe, find_recipe(study.recipe), overrides)


def pretraining_of(recipe: Recipe) -> Recipe | None:
    """The stages before ST alone, without whatever they do not read; None if there are none.

    Of the objective they read label smoothing, R-drop on text, and whether there is CTC.
    """
    if recipe.stages.trained == ["st"]:
        return None
    objective = ObjectiveConfig(
        label_smoothing=recipe.objective.label_smoothing,
        mt_rdrop_weight=recipe.objective.mt_rdrop_weight,
        ctc_weight=float(recipe.objective.ctc_weight > 0),
    )
    return replace(
        recipe,
        objective=objective,
        stages=replace(recipe.stages, st=StageConfig(max_steps=0)),
    )


def record_of(run_dir: Path) -> dict[str, Any] | None:
    """The record of a run; None if the run ended before its first record."""
    path = run_dir / RECORD_FILE
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _thinned(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """Entries evenly through a history, the first and the last among them, to four digits."""
    number = min(len(history), _MOST_ENTRIES)
    kept = {round(at * (len(history) - 1) / max(number - 1, 1)) for at in range(number)}
    return [{key: float(f"{v:.4g}") for key, v in history[at].items()} for at in sorted(kept)]


def _values_of(recipe: Recipe, keys: Sequence[str]) -> dict[str, Any]:
    values = {}
    for key in keys:
        value: Any = recipe
        for name in key.split("."):
            value = getattr(value, name)
        values[key] = value
    return values


def _check_different(trials: list[Trial]) -> None:
    seen: dict[str, Trial] = {}
    for trial in trials:
        other = seen.setdefault(trial.key, trial)
        if other is not trial:
            raise UserError(
                "arms",
                expected="arms that differ",
                found=f"{other.title} and {trial.title}, which are the same recipe",
                remedy="Remove one of them.",
            )
