"""A study -> its results: all trials, shared out to worker processes that resume where they were.

Several searches may work in one folder: each trial and each pre-training has a lock that the system
frees when its process ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from horizon_st.data.corpora.telephone import build_corpus
from horizon_st.data.files import make_folder
from horizon_st.display import ProgressBars
from horizon_st.horizon.cluster import RayCluster, run_workers
from horizon_st.horizon.gathering import gather, write_results
from horizon_st.horizon.results import StudyResults
from horizon_st.horizon.searcher import Searcher
from horizon_st.horizon.study import StudyConfig
from horizon_st.horizon.trial_run import run_trial
from horizon_st.horizon.trials import Trial, plan_trials
from horizon_st.horizon.tuning import BEST_FILE, STORAGE_FILE, Search
from horizon_st.workers import Messages, Task

_Run = Callable[[Sequence[Task], str], None]
"""Runs workers to their end, after saying what there is to do."""
_PAUSE_S = 5.0
"""Between looks at trials that other processes run."""


def run_study(
    study: StudyConfig,
    folder: Path,
    console: Console,
    *,
    num_workers: int,
    storage: str | None = None,
    stops_early: bool = True,
    cluster: RayCluster | None = None,
) -> StudyResults:
    """Runs what is missing of a study, and gathers the results in `folder/NAME/results.json`.

    Args:
        study: what to run.
        folder: of runs, pre-training, and results; may be shared by studies and by searches that
            run at the same time.
        console: where progress is shown.
        num_workers: trials at a time; on GPUs they take turns in the order of the devices.
        storage: of a search in a space: the URL of a database, or a path that ends in .log for a
            journal; a file in `folder/NAME` by default.
        stops_early: whether such a search stops runs that can hardly win.
        cluster: where the workers run; on this machine by default.

    Raises:
        UserError: the study, a recipe or the data is wrong, all workers were killed, the cluster
            cannot be reached, or the folder cannot be written.
    """
    make_folder(folder / study.name)
    with ProgressBars(console) as bars:
        data = _embedded_corpus(study.embedded_corpus, folder, bars)
        set_data = tuple(f"data.{key}={path}" for key, path in data.items() if key != "test")
        if "test" in data and study.test is None:
            study = replace(study, test=str(data["test"]))

        def say(line: str) -> None:
            console.print(escape(line), soft_wrap=True)

        def run(workers: Sequence[Task], plan: str) -> None:
            say(f"{study.name}: {plan}")
            run_workers(workers, bars, say, cluster)

        if study.space:
            place = storage or f"sqlite:///{folder / study.name / STORAGE_FILE}"
            search = Search(study, folder, set_data, place, stops_early)
            return _run_search(search, num_workers, run)
        return _run_arms(study, folder, set_data, num_workers, run)


def _run_arms(
    study: StudyConfig, folder: Path, data: tuple[str, ...], num_workers: int, run: _Run
) -> StudyResults:
    trials = plan_trials(study, folder, data)
    missing = [trial for trial in trials if not trial.is_done]
    workers = [
        Worker(index, study, trials, missing) for index in range(min(num_workers, len(missing)))
    ]
    plan = f"{len(study.all_arms)} arms, {len(study.seeds)} seeds, "
    try:
        run(workers, plan + f"{len(missing)} of {len(trials)} runs to do.")
    finally:  # what has ended can be reported on, whatever happened to the others
        results = write_results(study.name, folder, lambda: gather(study, trials))
    return results


def _run_search(search: Search, num_workers: int, run: _Run) -> StudyResults:
    study = search.study
    num_left = study.num_trials - sum(frozen.state.is_finished() for frozen, _ in search.trials())
    workers = [Searcher(index, search) for index in range(min(num_workers, max(num_left, 0)))]
    try:
        run(workers, f"{max(num_left, 0)} of {study.num_trials} runs to do.")
    finally:
        results = search.write_results()
    scores = search.finish(results)
    best = (search.folder / study.name / BEST_FILE).read_text(encoding="utf-8")
    results = replace(results, winner_scores=scores, best_recipe=best)
    return write_results(study.name, search.folder, lambda: results)


@dataclass(frozen=True)
class Worker:
    """A process that runs whichever of the trials nobody else runs.

    Attributes:
        index: of this one.
        study: that they belong to.
        trials: all of them.
        missing: those that had not ended at the start.
    """

    index: int
    study: StudyConfig
    trials: Sequence[Trial]
    missing: Sequence[Trial]

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
        left = [*self.missing]
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
            write_results(self.study.name, trial.root, lambda: gather(self.study, self.trials))
        return is_ours


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
