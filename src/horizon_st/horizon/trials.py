"""A study -> its trials, and one trial -> its result; whatever ended before is not run again.

Trials of one folder that need the same pre-training share it, and studies in one folder share
trials.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from horizon_st.config import load_config
from horizon_st.data.files import claimed, make_folder, whole_file
from horizon_st.data.manifest import transcript_of
from horizon_st.data.shar import open_cuts
from horizon_st.decoding.evaluate import evaluate
from horizon_st.decoding.generate import Modality
from horizon_st.errors import UserError, reason_of
from horizon_st.horizon.keys import key_of
from horizon_st.horizon.results import TrialResult
from horizon_st.horizon.run_diagnosis import diagnose_run
from horizon_st.horizon.study import ArmConfig, StudyConfig, check_values
from horizon_st.objective.objective import ObjectiveConfig
from horizon_st.recipes import find_recipe
from horizon_st.training.folder import RECIPE_FILE
from horizon_st.training.loop import DivergedError, Reporter
from horizon_st.training.recipe import Recipe, StageConfig
from horizon_st.training.record import RECORD_FILE
from horizon_st.training.stages import run_recipe
from horizon_st.workers import Messages

TRIAL_FILE = "trial.json"
_MOST_ENTRIES = 60
"""Of a training history that go into the results."""
Watch = Callable[[int, float], bool]
"""Called with the update and dev BLEU after each validation of ST: whether to give the run up."""


class StoppedEarlyError(Exception):
    """A run was given up.

    Args:
        step: updates that it had.
        wall_s: seconds that they took.
    """

    def __init__(self, step: int, wall_s: float) -> None:
        super().__init__(f"stopped at update {step}")
        self.step = step
        self.wall_s = wall_s


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
        record = _record_of(self.folder / "run")
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


def run_trial(trial: Trial, bar: str, messages: Messages, watch: Watch | None = None) -> bool:
    """Trains, scores and writes the result; False if another process is at it.

    A run that diverges, or runs out of the accelerator's memory, ends with a result, too: its
    `failure` says so.

    Raises:
        StoppedEarlyError: `watch` gave it up; nothing is left of the run.
        UserError: the data or the recipe is unusable.
    """
    make_folder(trial.folder)
    with claimed(trial.folder.with_suffix(".lock"), wait=False) as is_ours:
        if not is_ours:
            return False
        if not trial.is_done:
            clock = _Clock(trial.folder / "run")
            failed = TrialResult(trial.arm, trial.seed)
            try:
                _train_and_score(trial, bar, messages, watch, clock)
                return True
            except StoppedEarlyError:
                shutil.rmtree(trial.folder)
                raise
            except DivergedError as error:
                failed.failure = str(error)
            except torch.OutOfMemoryError as error:
                failed.failure = _out_of_memory(trial, error)
                failed.is_out_of_memory = True
            torch.cuda.empty_cache()  # the error held what the run had
            failed.wall_s = clock.wall_s
            _write(trial, {"result": asdict(failed)})
        return True


def _train_and_score(
    trial: Trial, bar: str, messages: Messages, watch: Watch | None, clock: _Clock
) -> None:
    recipe, pretraining_wall_s = _pretrained(trial, bar, messages)
    run_dir = trial.folder / "run"
    reporter = _Reporter(bar, trial.title, messages, clock, recipe.stages.st, watch)
    model = _run_wherever_data_lies(recipe, run_dir, reporter)
    record = json.loads((run_dir / RECORD_FILE).read_text(encoding="utf-8"))
    scores, signatures = {}, {}
    cuts = open_cuts(trial.test)
    modalities: list[Modality] = ["speech"]
    if all(transcript_of(cut) is not None for cut in cuts):
        modalities.append("text")
    for modality in modalities:
        scored = evaluate(
            model,
            trial.test,
            trial.folder / f"test_{modality}",
            config=recipe.decoding,
            modality=modality,
            on_decoded=lambda done, total: messages.advance_to(bar, done, total, trial.title),
        )
        prefix = "" if modality == "speech" else "text_"
        for metric in ("BLEU", "chrF2"):
            scores[prefix + metric] = scored.value_of(metric)
            signatures[metric] = scored.summary["metrics"][metric]["signature"]
    stage = record["stages"][-1]
    result = TrialResult(
        trial.arm,
        trial.seed,
        scores=scores,
        dev=stage["final"],
        dev_history=stage["dev_history"],
        train_figures=stage["train_history"][-1] if stage["train_history"] else {},
        steps=stage["steps"],
        wall_s=stage["wall_s"],
        pretraining_wall_s=pretraining_wall_s,
    )
    surroundings = {name: record[name] for name in ("versions", "hardware")}
    _write(trial, {"result": asdict(result), "signatures": signatures, **surroundings})
    shutil.rmtree(run_dir / "stages")  # checkpoints; the model stays


def _pretrained(trial: Trial, bar: str, messages: Messages) -> tuple[Recipe, float]:
    """The recipe of the last stage alone, from the pre-training it needs, and what that took."""
    recipe = trial.pretraining
    if recipe is None:
        return trial.recipe, 0.0
    folder = trial.root / "pretraining" / key_of(recipe)
    make_folder(folder)
    model = folder / "model"
    with claimed(folder.with_suffix(".lock"), wait=True):
        if not model.is_dir():
            title = f"pre-training, seed {trial.seed}"
            _run_wherever_data_lies(recipe, folder, _Reporter(bar, title, messages))
    record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    off = {name: StageConfig(max_steps=0) for name in recipe.stages.trained}
    last = replace(
        trial.recipe,
        initial_model=str(model),
        data=replace(trial.recipe.data, tokenizer=None),  # the model brings it along
        stages=replace(trial.recipe.stages, **off),
    )
    return last, record["wall_s"]


def _run_wherever_data_lies(recipe: Recipe, folder: Path, reporter: Reporter) -> Path:
    """The model of a run that may have begun with the same data under other paths.

    The key of the folder, and the fingerprints in its record, hold the content; the recipe in it
    would refuse other paths.
    """
    (folder / RECIPE_FILE).unlink(missing_ok=True)
    return run_recipe(recipe, folder, reporter)


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


class _Clock:
    """How long the last stage of a run has been trained, over interruptions as it was recorded."""

    def __init__(self, run_dir: Path) -> None:
        record = _record_of(run_dir)
        self._before_s: float = record["stages"][-1]["wall_s"] if record and record["stages"] else 0
        self._started: float | None = None

    def start(self) -> None:
        """At its first update here; nothing at later ones."""
        if self._started is None:
            self._started = time.monotonic()

    @property
    def wall_s(self) -> float:
        """Until now."""
        return self._before_s + (time.monotonic() - self._started if self._started else 0.0)


class _Reporter:
    """Tells the parent process where training stands."""

    def __init__(
        self,
        bar: str,
        title: str,
        messages: Messages,
        clock: _Clock | None = None,
        watched: StageConfig | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._bar = bar
        self._title = title
        self._messages = messages
        self._clock = clock
        self._watched = watched
        self._watch = watch

    def update(self, stage: str, step: int, max_steps: int, figures: dict[str, float]) -> None:
        bleu = f"  dev BLEU {figures['dev_bleu']:.1f}" if "dev_bleu" in figures else ""
        self._messages.advance_to(self._bar, step, max_steps, f"{self._title}: {stage}{bleu}")
        if self._clock is None:
            return
        self._clock.start()
        if self._watch is None or self._watched is None or stage != "st":
            return
        validated = step - 1  # a validation comes after the report of its update
        is_due = validated > 0 and validated % self._watched.validate_every_steps == 0
        if is_due and self._watch(validated, figures["dev_bleu"]):
            raise StoppedEarlyError(validated, self._clock.wall_s)


def _out_of_memory(trial: Trial, error: torch.OutOfMemoryError) -> str:
    return str(
        UserError(
            trial.title,
            expected="a run that fits the memory of the accelerator",
            found=reason_of(error),
            remedy=f"Use fewer workers, or a smaller data.max_batch_s; remove {trial.folder} to "
            "run it again.",
        )
    )


def _record_of(run_dir: Path) -> dict[str, Any] | None:
    """None if the run ended before its first record."""
    path = run_dir / RECORD_FILE
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _write(trial: Trial, content: dict[str, Any]) -> None:
    with whole_file(trial.folder / TRIAL_FILE) as file:
        json.dump(content, file, ensure_ascii=False, indent=1, allow_nan=False)
        file.write("\n")


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
