"""The folder of an export: what it holds besides its graphs, written and read.

export.json                 settings
arrays.npz                  window and mel filters of the front end
tokenizer.json              what turns tokens into text
speech_encoder.onnx  text_encoder.onnx  cross_attention.onnx  decoder.onnx
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from horizon_st.decoding.model_folder import COPY_AGAIN, read_object
from horizon_st.errors import UserError, reason_of
from horizon_st.inference.onnx.search import TokenRules
from horizon_st.inference.runtime import EXPORT_FILE

GRAPHS = ("speech_encoder", "text_encoder", "cross_attention", "decoder")
TOKENIZER_FILE = "tokenizer.json"
_ARRAYS_FILE = "arrays.npz"
_VERSION = 1
"""Of what a folder holds: raised with every change."""


@dataclass(frozen=True)
class ExportSettings:
    """What the graphs do not say.

    Attributes:
        source: SHA-256 of the weights that were exported.
        quantized: what matrix products are computed in, if not 32-bit floats.
        versions: of the packages that made it.
        frontend: type and numbers of the front end.
        rules: which tokens a translation may have.
        pad: the token that fills up rows.
        max_positions: most tokens, if there is a limit.
        most_samples: of an utterance at 16 kHz, if there is a limit.
        longest_training_s: of the utterances that the model learnt to translate, if known.
    """

    source: str
    quantized: str | None
    versions: Mapping[str, str]
    frontend: Mapping[str, Any]
    rules: TokenRules
    pad: int
    max_positions: int | None
    most_samples: int | None
    longest_training_s: float | None
    version: int = _VERSION


def graph_path(folder: Path, name: str) -> Path:
    """Where a graph lies."""
    return folder / f"{name}.onnx"


def write_settings(
    folder: Path, settings: ExportSettings, arrays: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    """Writes the settings and the arrays of the front end."""
    np.savez(folder / _ARRAYS_FILE, allow_pickle=False, **arrays)
    content = json.dumps(asdict(settings), indent=1, ensure_ascii=False) + "\n"
    (folder / EXPORT_FILE).write_text(content, encoding="utf-8")


def read_settings(folder: Path) -> tuple[ExportSettings, dict[str, np.ndarray[Any, Any]]]:
    """The settings and the arrays of the front end.

    Raises:
        UserError: a file is missing or damaged, or of another version.
    """
    names = [
        EXPORT_FILE,
        _ARRAYS_FILE,
        TOKENIZER_FILE,
        *(graph_path(folder, g).name for g in GRAPHS),
    ]
    for name in names:
        if not (folder / name).is_file():
            raise UserError(
                str(folder),
                expected=f"an exported model ({', '.join(names)})",
                found=f"no {name}",
                remedy=COPY_AGAIN,
            )
    path = folder / EXPORT_FILE
    values = read_object(path, COPY_AGAIN)
    if values.get("version") != _VERSION:
        raise UserError(
            str(path),
            expected=f"version {_VERSION} of an export",
            found=values.get("version"),
            remedy="Export the model again with the installed version of horizon-st.",
        )
    try:
        rules = TokenRules(**values.pop("rules"))
        settings = ExportSettings(rules=rules, **values)
        with (folder / _ARRAYS_FILE).open("rb") as file, np.load(file) as arrays:
            return settings, dict(arrays)
    except (TypeError, KeyError, ValueError, EOFError, OSError, BadZipFile) as error:
        raise unusable(folder, error) from error


def unusable(folder: Path, error: Exception) -> UserError:
    """What to raise where the settings or the arrays in a folder make no sense."""
    return UserError(
        str(folder),
        expected=f"the settings of an export in {EXPORT_FILE} and {_ARRAYS_FILE}",
        found=reason_of(error),
        remedy=COPY_AGAIN,
    )
