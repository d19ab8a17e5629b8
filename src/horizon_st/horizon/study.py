"""A study: one recipe, the overrides to vary, the seeds, and the question that the scores answer.

A study is a YAML file. Its arms are listed, or spanned by a grid, or both, and each is trained once
per seed; or a search chooses them within a space, one run at a time.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional

from horizon_st.config import build_config, load_config
from horizon_st.errors import UserError
from horizon_st.horizon.questions import AnalysisConfig
from horizon_st.horizon.space import DEFAULT_BOUNDS, SearchSpace
from horizon_st.horizon.values import (
    as_yaml,
    assignment,
    axis,
    bounds,
    is_number,
    short_name,
    shown,
)
from horizon_st.recipes import find_file

Metric = Literal["BLEU", "chrF2"]
STUDIES = Path(__file__).parent / "studies"
"""The studies that come with the package: one YAML file each."""
_TAKEN_NAMES = ("runs", "pretraining", ".", "..")
_READ_BY = {
    "key": ("order", "peak"),
    "order": ("order",),
    "at": ("peak",),
    "parts": ("saturation",),
}


@dataclass
class ArmConfig:
    """One listed arm."""

    name: str = field(default="???", metadata={"help": "Of the arm, in tables and figures."})
    set: list[str] = field(
        default_factory=list,
        metadata={"help": "Its overrides of the recipe: section.key=value."},
    )


@dataclass
class StudyConfig:
    """What a study's YAML file holds."""

    name: str = field(default="???", metadata={"help": "Of the study, in files and pictures."})
    claim: str = field(default="???", metadata={"help": "The sentence that the study tests."})
    source: str = field(default="", metadata={"help": "Who claims it, and where."})
    recipe: str = field(
        default="???", metadata={"help": "A YAML file, or the name of a shipped recipe."}
    )
    embedded_corpus: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "es, fr, it or de: build the embedded corpus with these translations, train on "
            "it, and score on its test set."
        },
    )
    test: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "Manifest to score on; the recipe's data.dev by default."}
    )
    metric: Metric = field(default="BLEU", metadata={"help": "The score that is compared."})
    seeds: list[int] = field(
        default_factory=lambda: [1, 2, 3], metadata={"help": "Each arm is trained with each."}
    )
    set: list[str] = field(
        default_factory=list, metadata={"help": "Overrides of the recipe for all arms."}
    )
    before_st: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Overrides of every arm's recipe for the stages before ST alone, to hold them "
            "fixed while arms vary what they read, too."
        },
    )
    baseline: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "Name of the arm that others are compared with."}
    )
    arms: list[ArmConfig] = field(default_factory=list, metadata={"help": "Listed arms."})
    grid: list[str] = field(
        default_factory=list,
        metadata={"help": "Lists of values, section.key=[a, b]; all combinations are arms."},
    )
    space: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Bounds, section.key=[low, high]: find_horizon chooses settings within them by "
            "the dev set; listed arms are run first. `test` is for the winner alone."
        },
    )
    num_trials: int = field(default=0, metadata={"help": "Runs of a search, at most."})
    least_gain: float = field(
        default=0.05,
        metadata={
            "help": "A search ends when three more runs of a setting, noise counted, are expected"
            " to gain less than so many points."
        },
    )
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+", self.name) or self.name in _TAKEN_NAMES:
            raise UserError(
                "name",
                expected="letters, digits, _, . and -, since a folder is called so, other than "
                + " and ".join(_TAKEN_NAMES),
                found=self.name,
                remedy="Choose another name.",
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(
                "seeds",
                expected="at least one, each once",
                found=self.seeds,
                remedy="Three seeds are the least that shows what is chance: [1, 2, 3].",
            )
        names = [arm.name for arm in self.all_arms]
        self._check_space()
        _check_names(names, may_be_none=bool(self.space))
        if self.baseline is not None:
            _check_known("baseline", [self.baseline], names)
        self._check_analysis(names)

    @property
    def all_arms(self) -> list[ArmConfig]:
        """The listed arms, then those of the grid, which are named by their values."""
        axes = [axis(line) for line in self.grid]
        found = [*self.arms]
        for values in itertools.product(*(values for _, values in axes)) if axes else ():
            chosen = [(key, value) for (key, _), value in zip(axes, values, strict=True)]
            found.append(
                ArmConfig(
                    name=", ".join(f"{short_name(key)} {shown(value)}" for key, value in chosen),
                    set=[f"{key}={as_yaml(value)}" for key, value in chosen],
                )
            )
        return found

    @property
    def varied_keys(self) -> list[str]:
        """The recipe's keys that some arm sets, in the order of the file."""
        lines = [*self.space, *(line for arm in self.all_arms for line in arm.set)]
        return list(dict.fromkeys(line.partition("=")[0] for line in lines))

    @property
    def search_space(self) -> SearchSpace:
        """The box of a search, by the recipe's keys."""
        return SearchSpace(**dict(map(bounds, self.space)))

    def _check_space(self) -> None:
        is_search = self.analysis.kind == "search"
        if (
            bool(self.space) != is_search
            or is_search != (self.num_trials > 0)
            or (is_search and self.grid)
        ):
            raise UserError(
                "space",
                expected="with analysis.kind search bounds and num_trials, without a grid; with "
                "other kinds neither",
                found=f"kind {self.analysis.kind}, {len(self.space)} bounds, "
                f"{self.num_trials} trials, {len(self.grid)} lines of a grid",
                remedy="A grid is run whole; a search chooses within bounds.",
            )
        if not is_search:
            return
        if self.before_st:
            raise UserError(
                "before_st",
                expected="nothing with kind search: the winning recipe could not say it",
                found=self.before_st,
                remedy="Put it into set.",
            )
        space = self.search_space
        for arm in self.arms:
            space.to_unit(dict(map(assignment, arm.set)))
        if len(self.arms) > self.num_trials or len(space.bounds) < len(self.space):
            raise UserError(
                "space",
                expected="each key once, and no more arms than num_trials",
                found=f"{len(self.space)} bounds of {len(space.bounds)} keys, {len(self.arms)} "
                f"arms, {self.num_trials} trials",
                remedy="Listed arms are the first of the runs.",
            )

    def _check_analysis(self, names: list[str]) -> None:
        analysis = self.analysis
        for name, kinds in _READ_BY.items():
            is_set = getattr(analysis, name) not in (None, [])
            if is_set != (analysis.kind in kinds):
                raise UserError(
                    f"analysis.{name}",
                    expected="a value" if not is_set else "nothing",
                    found=f"{'none' if not is_set else 'a value'} with kind {analysis.kind}",
                    remedy=f"It belongs to {' and '.join(kinds)}.",
                )
        if analysis.beside and analysis.kind not in ("comparison", "equivalence"):
            raise UserError(
                "analysis.beside",
                expected="nothing",
                found=f"{analysis.beside} with kind {analysis.kind}",
                remedy="It belongs to comparison and equivalence.",
            )
        _check_known("analysis.beside", analysis.beside, names)
        if analysis.key is not None:
            _check_known("analysis.key", [analysis.key], self.varied_keys)
        if analysis.kind == "order" and len({*analysis.order}) < max(2, len(analysis.order)):
            raise UserError(
                "analysis.order",
                expected="at least two values, each once",
                found=analysis.order,
                remedy="Write the claimed best first.",
            )
        if analysis.kind == "order" and self.baseline in names[len(self.arms) :]:
            raise UserError(
                "baseline",
                expected="a listed arm with kind order, or none: it is not one of those in order",
                found=f"{self.baseline!r}, which is one of the grid",
                remedy="Leave it out, so that the value it has in order may be best with it.",
            )
        if analysis.kind == "saturation":
            if len({*analysis.parts} - {self.baseline}) != 3 or self.baseline is None:
                raise UserError(
                    "analysis.parts",
                    expected="three arms (one regulariser, the other, both) beside a baseline",
                    found=f"{analysis.parts} with baseline {self.baseline}",
                    remedy="Name them as in `arms`.",
                )
            _check_known("analysis.parts", analysis.parts, names)


def search_of(recipe: str, num_trials: int, overrides: Sequence[str] = ()) -> StudyConfig:
    """A search for the paper's three weights around a recipe, called after it.

    Raises:
        UserError: an override is ill-formed.
    """
    name = re.sub(r"[^\w.-]", "_", Path(recipe).stem)
    content = {
        "name": f"{name}_horizon",
        "claim": f"The weights that suit {name} best.",
        "recipe": recipe,
        "space": [f"objective.{key}={list(ends)}" for key, ends in DEFAULT_BOUNDS.items()],
        "num_trials": num_trials,
        "analysis": {"kind": "search"},
    }
    return build_config(StudyConfig, content, overrides, place=recipe)


def check_values(study: StudyConfig, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Nothing, if the arms have the values that the analysis asks for.

    Args:
        study: what is asked.
        settings: the value of each varied key in each arm.

    Raises:
        UserError: a value is missing, or is no number where one is needed.
    """
    analysis, key = study.analysis, study.analysis.key
    if key is None:
        return
    values = [arm[key] for name, arm in settings.items() if name != study.baseline or key in arm]
    if analysis.kind == "peak" and not all(map(is_number, values)):
        raise UserError(
            "analysis.key",
            expected="a key whose values are numbers",
            found=f"{key} with {', '.join(map(shown, values))}",
            remedy="Use kind: order for others.",
        )
    known = [*dict.fromkeys(map(shown, values))]
    at = [] if analysis.at is None else [shown(analysis.at)]
    _check_known("analysis", [*analysis.ranked, *at], known)


def load_study(path_or_name: str, overrides: Sequence[str] = ()) -> StudyConfig:
    """The study in a file, or the shipped one of that name, with dotted overrides.

    Raises:
        UserError: there is none, or it is ill-formed.
    """
    return load_config(StudyConfig, find_file(path_or_name, STUDIES, "study"), overrides)


def _check_names(names: list[str], *, may_be_none: bool) -> None:
    if not names and not may_be_none:
        raise UserError(
            "arms", expected="at least one arm", found="none", remedy="Add arms, or a grid."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            "arms", expected="each name once", found=twice, remedy="Give each arm its own name."
        )


def _check_known(place: str, given: list[str], known: list[str]) -> None:
    for name in given:
        if name not in known:
            raise UserError(
                place,
                expected="one of " + ", ".join(known),
                found=name,
                remedy="Write it as it stands there.",
            )
