"""A folder or hub id -> the folder that holds a model, and what its files say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from horizon_st.errors import UserError, reason_of

HUB_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.spm", "*.txt", "*.onnx*", "*.npz")
"""The files of a model or its export and of its tokenizer, whatever else its page there holds."""

REMEDY = "Give the folder of a model that `horizon-st train` wrote, or its id on the hub."
COPY_AGAIN = "Copy the whole folder again."


def find_folder(source: str | Path) -> Path:
    """The folder itself, or what the hub has under that id.

    Raises:
        UserError: there is no such folder, and the hub has nothing or cannot be reached.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    if isinstance(source, Path) or folder.is_absolute() or source.startswith((".", "~")):
        raise UserError(
            str(source), expected="a model folder", found="no such folder", remedy=REMEDY
        )
    try:
        return Path(snapshot_download(source, allow_patterns=[*HUB_PATTERNS]))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise UserError(
            source,
            expected="a model folder, or the id of a model on the hub that can be reached",
            found=f"no such folder, and {reason_of(error)}",
            remedy=f"On a connected machine run `hf download {source} --local-dir DIR`, copy DIR "
            "here and give its path.",
        ) from error


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        UserError: it holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            str(path), expected="a JSON object", found=reason_of(error), remedy=remedy
        ) from error
    if not isinstance(values, dict):
        raise UserError(str(path), expected="a JSON object", found=values, remedy=remedy)
    return values


def model_fingerprint(folder: Path) -> str:
    """The SHA-256 of a model or an export, in hexadecimal: of all files that decide its outputs.

    These are weights or graphs, the tokenizer, the front end and the settings.
    """
    paths = {path for pattern in HUB_PATTERNS for path in folder.glob(pattern)}
    return fingerprint(*sorted(path for path in paths if path.is_file()))


def fingerprint(*paths: Path) -> str:
    """The SHA-256 of the files' bytes one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
