"""A search in a space: what its workers share, what they are to run, and the recipe in the end.

Optuna's storage is what they share; the lock of a run says whether its worker still lives, so that
a trial whose worker was killed is taken over by another one, from its last checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.pruners import NopPruner
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from horizon_st.config import dump_changes, load_config
from horizon_st.data.files import claimed, whole_file
from horizon_st.decoding.evaluate import evaluate
from horizon_st.errors import UserError, reason_of
from horizon_st.horizon.gathering import gather, write_results
from horizon_st.horizon.outcome import outcome
from horizon_st.horizon.results import StudyResults, TrialResult
from horizon_st.horizon.sampler import CannotWinPruner, HorizonSampler
from horizon_st.horizon.study import ArmConfig, StudyConfig
from horizon_st.horizon.trials import Trial, make_trial
from horizon_st.horizon.values import assignment, short_name, shown
from horizon_st.recipes import find_recipe
from horizon_st.training.recipe import Recipe

STORAGE_FILE = "optuna.db"
BEST_FILE = "best.yaml"
_QUESTION, _FOLDER, _REFUSED, WALL_S = "question", "folder", "refused", "wall_s"
"""Attributes of the study, and of a trial."""
_FIXED = "fixed_params"
"""Optuna's attribute of a trial that was asked for by its values."""
_METRIC = "stages.st.metric=bleu"
"""Early stopping and the forecast need dev BLEU."""
_STORAGE_ERRORS = (OSError, ImportError, ValueError, SQLAlchemyError, StorageInternalError)


@dataclass(frozen=True)
class Search:
    """A search that several workers share.

    Attributes:
        study: with a space.
        folder: of all runs.
        data: overrides that say where the corpus lies.
        storage: Optuna's: the URL of a database, or a path that ends in .log for a journal file.
        stops_early: whether runs that can hardly win are stopped.
    """

    study: StudyConfig
    folder: Path
    data: tuple[str, ...]
    storage: str
    stops_early: bool

    def open(self) -> optuna.Study:
        """The study in its storage, made if it is not there; its listed arms are to be run first.

        Raises:
            UserError: the recipe refuses an arm, the storage cannot be used, or it holds another
                search under this name, or this one with other folders.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        space = self.study.search_space
        arms = [dict(map(assignment, arm.set)) for arm in self.study.arms]
        for arm in arms:
            self._trial(arm, self.study.seeds[0])
        question = self._question
        with claimed(self._lock, wait=True):
            try:
                opened = optuna.create_study(
                    study_name=self.study.name,
                    storage=_storage(self.storage),
                    sampler=self._sampler,
                    pruner=CannotWinPruner(space) if self.stops_early else NopPruner(),
                    direction="maximize",
                    load_if_exists=True,
                )
            except _STORAGE_ERRORS as error:
                raise UserError(
                    self.storage,
                    expected="the URL of a database, or a path in a folder that ends in .log",
                    found=reason_of(error),
                    remedy="sqlite:///search.db needs no server; others need their driver.",
                ) from error
            self._check_same(opened, _QUESTION, question, "recipe, data and space")
            self._check_same(opened, _FOLDER, self._folder_token(), "folder")
            for arm in arms:
                opened.enqueue_trial(arm, skip_if_exists=True)
        return opened

    def running(self, opened: optuna.Study) -> list[int]:
        """The numbers of trials that were asked for and have not been told, dead workers' too."""
        with claimed(self._lock, wait=True):  # a trial without its parameters is being asked for
            found = opened.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            for frozen in found:
                if not self._is_whole(frozen):  # by a worker that died meanwhile
                    opened.tell(frozen.number, state=TrialState.FAIL)
                    if _FIXED in frozen.system_attrs:
                        opened.enqueue_trial(frozen.system_attrs[_FIXED])
            return [frozen.number for frozen in found if self._is_whole(frozen)]

    def ask(self, opened: optuna.Study) -> int | None:
        """The number of a trial to run, which counts as running from now on.

        None when all have been asked for, or as long as none is expected to gain enough. A setting
        that the recipe refuses counts as a run without a score.
        """
        with claimed(self._lock, wait=True):  # or two workers would be told the same
            while True:
                everything = opened.get_trials(deepcopy=False)
                if sum(map(self._is_whole, everything)) >= self.study.num_trials:
                    return None
                if any(trial.state == TrialState.WAITING for trial in everything):
                    break
                proposal = self._sampler.next_run(everything)
                if proposal.expected_gain < self.study.least_gain:
                    return None
                try:
                    self._trial(proposal.setting, self.study.seeds[0])
                except UserError as error:
                    opened.add_trial(self._refused(proposal.setting, str(error)))
                    continue
                opened.enqueue_trial(proposal.setting)
                break
            return opened.ask(self._boxes).number

    def trial_of(self, frozen: FrozenTrial, all_trials: list[FrozenTrial]) -> Trial:
        """What is to be run: a setting that was asked for before gets the next seed."""
        earlier = sum(t.params == frozen.params for t in all_trials if t.number < frozen.number)
        seeds = self.study.seeds
        seed = seeds[earlier] if earlier < len(seeds) else max(seeds) + earlier - len(seeds) + 1
        return self._trial({name: float(v) for name, v in frozen.params.items()}, seed)

    def trials(self) -> list[tuple[FrozenTrial, Trial]]:
        """All that have been asked for, in their order."""
        asked = self._asked(self.open())
        return [(frozen, self.trial_of(frozen, asked)) for frozen in asked]

    def write_results(self) -> StudyResults:
        """Those of the trials that have ended or were stopped, in the order of the search."""

        def gathered() -> StudyResults:
            asked = self.trials()
            ended = [result for each in asked if (result := result_of(*each)) is not None]
            return replace(gather(self.study, [trial for _, trial in asked]), trials=ended)

        return write_results(self.study.name, self.folder, gathered)

    def finish(self, results: StudyResults) -> dict[str, float]:
        """Writes the recipe of the best setting, and scores it on the test set, if there is one.

        Returns:
            The scores on the test set of the run with this setting, the first seed's; or nothing.
        """
        best = outcome(results).best
        # Its worker may have died, or still be about to tell the score that is there.
        trial = next(
            trial
            for frozen, trial in self.trials()
            if frozen.params == best
            and (found := result_of(frozen, trial)) is not None
            and found.scores
        )
        overrides = (*self.data, _METRIC, *self.study.set, *_lines(best), f"seed={trial.seed}")
        recipe = load_config(Recipe, find_recipe(self.study.recipe), overrides)
        folder = self.folder / self.study.name
        with claimed(folder / "finish.lock", wait=True):
            with whole_file(folder / BEST_FILE) as file:
                file.write(f"# The best setting that the search {self.study.name} found.\n")
                file.write(dump_changes(recipe))
            if self.study.test is None:
                return {}
            model, test = trial.folder / "run" / "model", Path(self.study.test)
            scored = evaluate(model, test, folder / "best_test", config=recipe.decoding)
        return {metric: scored.value_of(metric) for metric in ("BLEU", "chrF2")}

    def _asked(self, opened: optuna.Study) -> list[FrozenTrial]:
        everything = opened.get_trials(deepcopy=False)
        return [t for t in everything if self._is_whole(t) and _REFUSED not in t.user_attrs]

    def _is_whole(self, frozen: FrozenTrial) -> bool:
        return frozen.params.keys() == self.study.search_space.bounds.keys()

    def _refused(self, setting: dict[str, float], reason: str) -> FrozenTrial:
        return optuna.create_trial(
            state=TrialState.FAIL,
            params=setting,
            distributions=self._boxes,
            user_attrs={_REFUSED: reason},
        )

    def _check_same(self, opened: optuna.Study, name: str, value: str, what: str) -> None:
        found = opened.user_attrs.get(name)
        if found is None:
            opened.set_user_attr(name, value)
        elif found != value:
            raise UserError(
                f"{self.storage}: {self.study.name}",
                expected=f"a search of the same {what}",
                found="another one",
                remedy="Give this one its own name, or another --out without --storage.",
            )

    def _folder_token(self) -> str:
        """What tells this folder from others: locks in another one would not be seen."""
        path = self.folder / self.study.name / "token"
        if not path.is_file():
            with whole_file(path) as file:
                file.write(secrets.token_hex(8))
        return path.read_text(encoding="utf-8")

    @property
    def _boxes(self) -> dict[str, BaseDistribution]:
        bounds = self.study.search_space.bounds.items()
        return {name: FloatDistribution(low, high) for name, (low, high) in bounds}

    @property
    def _sampler(self) -> HorizonSampler:
        return HorizonSampler(self.study.search_space, self.study.seeds[0])

    @property
    def _lock(self) -> Path:
        return self.folder / f"{self.study.name}.asking.lock"

    @property
    def _question(self) -> str:
        """The same for the same recipe, data and space."""
        space = self.study.search_space
        centre = {name: (low + high) / 2 for name, (low, high) in space.bounds.items()}
        asked = [self._trial(centre, self.study.seeds[0]).key, space.bounds, self.study.metric]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def _trial(self, setting: dict[str, float], seed: int) -> Trial:
        arm = ArmConfig(self._name_of(setting), _lines(setting))
        return make_trial(self.study, arm, seed, self.folder, (*self.data, _METRIC))

    def _name_of(self, setting: dict[str, float]) -> str:
        for arm in self.study.arms:
            if dict(map(assignment, arm.set)) == setting:
                return arm.name
        return ", ".join(f"{short_name(key)} {shown(value)}" for key, value in setting.items())


def result_of(frozen: FrozenTrial, trial: Trial) -> TrialResult | None:
    """What a trial gave; None while it runs."""
    if frozen.state == TrialState.PRUNED:
        scores = sorted(frozen.intermediate_values.items())
        history = [{"step": float(step), "bleu": score} for step, score in scores]
        return TrialResult(
            trial.arm,
            trial.seed,
            dev_history=history,
            wall_s=frozen.user_attrs.get(WALL_S, 0.0),
            stopped_at=max(frozen.intermediate_values),
        )
    return trial.result if trial.is_done else None


def _lines(setting: dict[str, float]) -> list[str]:
    return [f"{key}={value!r}" for key, value in setting.items()]


def _storage(place: str) -> str | BaseStorage:
    if place.endswith(".log"):
        return JournalStorage(JournalFileBackend(place))
    return place
