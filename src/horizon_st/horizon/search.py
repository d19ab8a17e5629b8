"""A study -> its results: all trials, shared out to worker processes that resume where they were.

Several searches may work in one folder: each trial and each pre-training has a lock that the system
frees when its process ends.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape

from horizon_st.data.corpora.telephone import build_corpus
from horizon_st.data.files import make_folder
from horizon_st.display import ProgressBars
from horizon_st.hardware import usable_cores
from horizon_st.horizon.results import RESULTS_FILE, StudyResults
from horizon_st.horizon.study import StudyConfig
from horizon_st.horizon.trials import Trial, claimed, plan_trials, run_trial, settings_of
from horizon_st.workers import Messages, run_side_by_side

_PAUSE_S = 5.0
"""Between looks at trials that other processes run."""


def run_study(
    study: StudyConfig, folder: Path, console: Console, *, num_workers: int
) -> StudyResults:
    """Runs what is missing of a study, and gathers the results in `folder/NAME/results.json`.

    Args:
        study: what to run.
        folder: of runs, pre-training, and results; may be shared by studies and by searches that
            run at the same time.
        console: where progress is shown.
        num_workers: trials at a time; on GPUs they take turns in the order of the devices.

    Raises:
        UserError: the study, a recipe or the data is wrong, a worker was killed, or the folder
            cannot be written.
    """
    make_folder(folder)
    with ProgressBars(console) as bars:
        data = _embedded_corpus(study.embedded_corpus, folder, bars)
        set_data = tuple(f"data.{key}={path}" for key, path in data.items() if key != "test")
        if "test" in data and study.test is None:
            study = replace(study, test=str(data["test"]))
        trials = plan_trials(study, folder, set_data)
        missing = [trial for trial in trials if not trial.is_done]
        console.print(
            f"{study.name}: {len(study.all_arms)} arms, {len(study.seeds)} seeds, "
            f"{len(missing)} of {len(trials)} runs to do."
        )
        num_workers = min(num_workers, len(missing))
        workers = [Worker(index, missing, num_workers) for index in range(num_workers)]
        try:
            run_side_by_side(
                workers, bars, lambda line: console.print(escape(line), soft_wrap=True)
            )
        finally:  # what has ended can be reported on, whatever happened to the others
            results = gather(study, trials)
            make_folder(folder / study.name)
            with claimed(folder / f"{study.name}.lock", wait=True):
                results.write(folder / study.name / RESULTS_FILE)
    return results


@dataclass(frozen=True)
class Worker:
    """A process that runs whichever of the trials nobody else runs.

    Attributes:
        index: of this one.
        trials: that were missing at the start.
        num_workers: of this machine.
    """

    index: int
    trials: Sequence[Trial]
    num_workers: int

    @property
    def name(self) -> str:
        """Of the process and its bar."""
        return f"worker {self.index + 1}"

    @property
    def place(self) -> str:
        """The folder of the runs, in messages."""
        return str(self.trials[0].root)

    def __call__(self, messages: Messages) -> None:
        """Runs trials until all of them have ended, here or elsewhere."""
        self._take_share_of_machine()
        left = [*self.trials]
        while left:
            left = [trial for trial in left if not trial.is_done]
            held = [trial for trial in left if not self._run(trial, messages)]
            if held and len(held) == len(left):
                time.sleep(_PAUSE_S)
            left = held

    def _run(self, trial: Trial, messages: Messages) -> bool:
        if trial.is_done:
            return True
        is_ours = run_trial(trial, self.name, messages)
        if is_ours:
            result = trial.result
            shown = ", ".join(f"{name} {value:.2f}" for name, value in result.scores.items())
            messages.say(f"{trial.title}: {result.failure or shown} ({result.wall_s / 60:.1f} min)")
        return is_ours

    def _take_share_of_machine(self) -> None:
        num_gpus = torch.cuda.device_count()
        if num_gpus > 0:
            torch.cuda.set_device(self.index % num_gpus)
        torch.set_num_threads(max(1, usable_cores() // self.num_workers))


def gather(study: StudyConfig, trials: Sequence[Trial]) -> StudyResults:
    """The results of the trials that have ended."""
    done = [trial for trial in trials if trial.is_done]
    contents: list[dict[str, Any]] = [trial.read() for trial in done]
    signatures: dict[str, str] = {}
    versions: dict[str, str] = {}
    hardware: list[dict[str, Any]] = []
    for content in contents:
        signatures |= content.get("signatures", {})
        versions |= content.get("versions", {})
        if "hardware" in content and content["hardware"] not in hardware:
            hardware.append(content["hardware"])
    return StudyResults(
        study=study,
        settings=settings_of(study, trials),
        trials=[trial.result for trial in done],
        signatures=signatures,
        versions=versions,
        hardware=hardware,
    )


def _embedded_corpus(target: str | None, folder: Path, bars: ProgressBars) -> dict[str, Path]:
    """The manifests of the embedded corpus, built where they are missing."""
    if target is None:
        return {}
    corpus_dir = folder / f"corpus_{target}"
    build_corpus(
        corpus_dir,
        target=target,
        progress=lambda done, total: bars.advance_to("corpus", done, total),
    )
    names = ("train", "dev", "test", "text_pairs")
    return {name: corpus_dir / f"{name}.jsonl" for name in names}
