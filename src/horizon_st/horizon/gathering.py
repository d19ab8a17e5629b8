"""Trials that have ended -> results.json, after each of them and at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from horizon_st.data.files import claimed
from horizon_st.horizon.results import RESULTS_FILE, StudyResults
from horizon_st.horizon.study import StudyConfig
from horizon_st.horizon.trials import Trial, settings_of


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


def write_results(name: str, folder: Path, gathered: Callable[[], StudyResults]) -> StudyResults:
    """The results of a study, written to `folder/NAME/results.json`.

    They are gathered under a lock: or an older state could replace a newer one.
    """
    with claimed(folder / f"{name}.lock", wait=True):
        results = gathered()
        results.write(folder / name / RESULTS_FILE)
    return results
