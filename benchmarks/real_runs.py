"""The scores of a study's real runs -> a surface that searches can be counted on.

A search asks for settings that nobody has run. What they score is made up: a thin-plate spline
through the mean score of each setting over its seeds, by SciPy and so of no searcher's own kind,
plus what some run of the study, drawn at random, differs from the mean of its setting. Numbers on
such a surface are about that spline; only its height, its slopes and its noise are the study's.

A study serves if its runs vary some of the three weights, in 2D + 1 distinct settings of D weights
at least, which do not all lie on a line or in a plane, and some of them with several seeds.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from surfaces import Surface

from horizon_st.errors import UserError
from horizon_st.horizon import SearchSpace
from horizon_st.horizon.results import StudyResults, find_results, read_results
from horizon_st.horizon.space import DEFAULT_BOUNDS
from horizon_st.horizon.values import short_name

Array = NDArray[np.float64]


def find_tables(paths: Sequence[Path]) -> list[Path]:
    """The files themselves, and all below the folders that serve; what does not is said.

    Raises:
        UserError: a file that was named does not serve.
    """
    return [found for path in paths for found in find_results(path) if _serves(found, path)]


def real_surface(path: Path) -> Surface:
    """The surface through the runs in a results.json, over the box that they span.

    Raises:
        UserError: the runs are too few, or they vary no weight.
    """
    results = read_results(path)
    keys, scores_of = _scores_by_setting(results)
    needed = 2 * len(keys) + 1
    points = np.array([*scores_of]).reshape(len(scores_of), len(keys))
    if not keys or len(points) < needed or _rank(points) < len(keys):
        raise UserError(
            str(path),
            expected=f"{needed} distinct settings or more of the weights that vary, not in a plane"
            if keys
            else "runs that differ in " + ", ".join(DEFAULT_BOUNDS),
            found=f"{len(points)} of " + (", ".join(map(short_name, keys)) or "none"),
            remedy="Run a study with a grid over the weights, or a search, with more runs.",
        )
    residuals = _residuals([*scores_of.values()])
    if not len(residuals):
        raise UserError(
            str(path),
            expected="a setting with several seeds, which shows the noise of a run",
            found="one run of each",
            remedy="Give the study more seeds.",
        )
    low, high = points.min(axis=0), points.max(axis=0)
    means = np.array([np.mean(scores) for scores in scores_of.values()])
    spline = RBFInterpolator((points - low) / (high - low), means, kernel="thin_plate_spline")

    def score(at: Array) -> Array:
        found: Array = spline(at.reshape(-1, len(keys))).reshape(at.shape[:-1])
        return found

    names = map(short_name, keys)
    space = SearchSpace(**dict(zip(names, zip(low, high, strict=True), strict=True)))
    return Surface(f"spline through {results.study.name}", space, score, residuals)


def _serves(path: Path, named: Path) -> bool:
    try:
        real_surface(path)
    except UserError as error:
        if path == named:
            raise
        print(f"left out: {error}", file=sys.stderr)
        return False
    return True


def _scores_by_setting(
    results: StudyResults,
) -> tuple[list[str], dict[tuple[float, ...], list[float]]]:
    """The weights that vary, and the scores of all seeds at each of their settings.

    Of the runs that differ in other things, too, only those where these are most often the same.
    """
    scores: dict[str, list[float]] = defaultdict(list)
    for (arm, _), score in results.scores.items():
        if math.isfinite(score):
            scores[arm].append(score)
    settings = {arm: results.settings[arm] for arm in scores}
    others = {
        arm: str({k: v for k, v in setting.items() if short_name(k) not in DEFAULT_BOUNDS})
        for arm, setting in settings.items()
    }
    usual = Counter(others.values()).most_common(1)
    alike = {arm: s for arm, s in settings.items() if others[arm] == usual[0][0]}
    weights = {key for s in alike.values() for key in s if short_name(key) in DEFAULT_BOUNDS}
    vary = sorted(key for key in weights if len({s[key] for s in alike.values()}) > 1)
    found: dict[tuple[float, ...], list[float]] = defaultdict(list)
    for arm, setting in alike.items():
        found[tuple(float(setting[key]) for key in vary)] += scores[arm]
    return vary, found


def _rank(points: Array) -> int:
    """Of the differences between the settings."""
    return int(np.linalg.matrix_rank(points - points[0])) if len(points) else 0


def _residuals(scores: Sequence[Sequence[float]]) -> Array:
    """What runs differ from the mean of their setting, as wide as one run is around the truth."""
    return np.array([*_widened(scores)])


def _widened(scores: Sequence[Sequence[float]]) -> Iterator[float]:
    for of_one in scores:
        n = len(of_one)
        if n > 1:
            widen = math.sqrt(n / (n - 1))
            yield from (widen * (score - float(np.mean(of_one))) for score in of_one)
