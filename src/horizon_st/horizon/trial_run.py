"""One trial -> its result: pre-training that others may share, the last stage, scores.

A run that diverges or exceeds the memory is a result, too.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from horizon_st.data.files import claimed, make_folder, whole_file
from horizon_st.data.manifest import transcript_of
from horizon_st.data.shar import open_cuts
from horizon_st.decoding.evaluate import evaluate
from horizon_st.decoding.generate import Modality
from horizon_st.errors import UserError, reason_of
from horizon_st.horizon.keys import key_of
from horizon_st.horizon.results import TrialResult
from horizon_st.horizon.trials import TRIAL_FILE, Trial, record_of
from horizon_st.training.folder import RECIPE_FILE
from horizon_st.training.loop import DivergedError, Reporter
from horizon_st.training.recipe import Recipe, StageConfig
from horizon_st.training.record import RECORD_FILE
from horizon_st.training.stages import run_recipe
from horizon_st.workers import Messages

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


class _Clock:
    """How long the last stage of a run has been trained, over interruptions as it was recorded."""

    def __init__(self, run_dir: Path) -> None:
        record = record_of(run_dir)
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


def _write(trial: Trial, content: dict[str, Any]) -> None:
    with whole_file(trial.folder / TRIAL_FILE) as file:
        json.dump(content, file, ensure_ascii=False, indent=1, allow_nan=False)
        file.write("\n")
