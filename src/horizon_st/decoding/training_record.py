"""The record of the run that trained a model, where it lies beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from horizon_st.decoding.model_folder import read_object
from horizon_st.decoding.trained import weights_fingerprint
from horizon_st.errors import UserError

WEIGHTS = {
    "mt_weight": "α_t",
    "consistency_weight": "α_cr",
    "rdrop_weight": "α_rd",
    "ctc_weight": "α_ctc",
}
"""Of the objective, and their symbols."""

_RECORD_FILE = "record.json"
_REMEDY = "Train again with the same command, which writes it anew; or move the file away."
_NUMBER = (int, float)
_TYPES: dict[str, Any] = {
    **{"name": str, "seed": int, "num_parameters": int, "precision": str},
    **{"recipe": dict, "recipe.data": dict, "recipe.objective": dict},
    **{f"recipe.objective.{name}": _NUMBER for name in WEIGHTS},
    **{"data_fingerprint": dict, "versions": dict, "stages": list},
}
_STAGE_TYPES: dict[str, Any] = {"name": str, "steps": int, "final": (dict, type(None))}


def record_beside(folder: Path) -> dict[str, Any] | None:
    """What ``record.json`` in the folder above a model says, where it names just these weights.

    Raises:
        UserError: it is damaged, or of this model and incomplete.
    """
    path = folder.resolve().parent / _RECORD_FILE
    if not path.is_file():
        return None
    record = read_object(path, _REMEDY)
    if record.get("model_sha256") != weights_fingerprint(folder):
        return None
    for key, kind in _TYPES.items():
        value: Any = record
        for part in key.split("."):
            value = value.get(part)
        _check(f"{path}: {key}", value, kind)
    for number, stage in enumerate(record["stages"]):
        _check(f"{path}: stages.{number}", stage, dict)
        for key, kind in _STAGE_TYPES.items():
            _check(f"{path}: stages.{number}.{key}", stage.get(key), kind)
        for key, value in (stage["final"] or {}).items():
            _check(f"{path}: stages.{number}.final.{key}", value, _NUMBER)
    for key, digest in record["data_fingerprint"].items():
        _check(f"{path}: data_fingerprint.{key}", digest, str)
    return record


def _check(place: str, value: Any, kind: Any) -> None:
    if not isinstance(value, kind):
        raise UserError(
            place,
            expected="what `horizon-st train` writes there",
            found="nothing" if value is None else value,
            remedy=_REMEDY,
        )
