"""A worker of a search: asks for settings, runs them and tells the scores, until all are run."""

from __future__ import annotations

import time
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from horizon_st.data.files import claimed
from horizon_st.horizon.trial_run import StoppedEarlyError, run_trial
from horizon_st.horizon.tuning import WALL_S, Search
from horizon_st.workers import Messages

_PAUSE_S = 2.0
"""Between looks at trials that other workers run."""


@dataclass(frozen=True)
class Searcher:
    """A process that runs trials of a search until all have ended, whoever runs them.

    Attributes:
        index: of this one.
        search: that it works for.
    """

    index: int
    search: Search

    @property
    def name(self) -> str:
        """Of the process and its bar."""
        return f"worker {self.index + 1}"

    @property
    def place(self) -> str:
        """The folder of the runs, in messages."""
        return str(self.search.folder)

    def __call__(self, messages: Messages) -> None:
        """Asks, runs and tells; while others run what may change the plan, waits."""
        opened = self.search.open()
        while True:
            running = self.search.running(opened)
            if any(self._run(opened, number, messages) for number in running):
                continue
            asked = self.search.ask(opened)
            if asked is not None:
                self._run(opened, asked, messages)
            elif running or self.search.running(opened):  # it may have been asked for meanwhile
                time.sleep(_PAUSE_S)
            else:
                return

    def _run(self, opened: optuna.Study, number: int, messages: Messages) -> bool:
        """Whether it was this worker that ran the trial to its end, and told it."""
        lock = self.search.folder / self.search.study.name / f"{number}.lock"
        with claimed(lock, wait=False) as is_ours:
            everything = opened.get_trials(deepcopy=False)
            if not is_ours or everything[number].state != TrialState.RUNNING:
                return False
            has_run = self._run_claimed(opened, everything, number, messages)
        if has_run:
            self.search.write_results()
        return has_run

    def _run_claimed(
        self, opened: optuna.Study, everything: list[FrozenTrial], number: int, messages: Messages
    ) -> bool:
        trial = self.search.trial_of(everything[number], everything)
        title = f"{number + 1} of {self.search.study.num_trials}, {trial.title}"

        live = optuna.Trial(opened, everything[number]._trial_id)

        def watch(step: int, score: float) -> bool:
            if step not in everything[number].intermediate_values:  # before its worker died
                live.report(score, step)
            return live.should_prune()

        try:
            if not run_trial(trial, self.name, messages, watch):
                return False
        except StoppedEarlyError as stopped:
            live.set_user_attr(WALL_S, stopped.wall_s)
            opened.tell(number, state=TrialState.PRUNED)
            messages.say(f"{title}: stopped at update {stopped.step}, it could hardly win")
            return True
        result = trial.result
        score = result.scores.get(self.search.study.metric)
        if score is None:
            opened.tell(number, state=TrialState.FAIL)
            messages.say(f"{title}: {result.failure}")
        else:
            opened.tell(number, score)
            minutes = result.wall_s / 60
            messages.say(f"{title}: {self.search.study.metric} {score:.2f} ({minutes:.1f} min)")
        return True
