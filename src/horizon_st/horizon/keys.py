"""What makes two runs the same: their settings and the content of their data."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from horizon_st.config import describe_changes
from horizon_st.data.shar import files_to_fingerprint
from horizon_st.decoding.model_folder import fingerprint
from horizon_st.decoding.trained import weights_fingerprint
from horizon_st.errors import UserError
from horizon_st.training.recipe import Recipe

_KEY_LENGTH = 12


def key_of(recipe: Recipe, *more: Path) -> str:
    """The key of the recipe's settings and the content of its files, wherever they lie."""
    settings = describe_changes(Recipe(), recipe)
    paths = [*more]
    for name in ("data.train", "data.dev", "data.text_pairs"):
        if name in settings:
            paths.append(Path(settings.pop(name)))
    fingerprints = [_content_of(path) for path in paths]
    initial_model = settings.get("initial_model")
    if initial_model is not None and Path(initial_model).is_dir():
        del settings["initial_model"]
        fingerprints.append(weights_fingerprint(Path(initial_model)))
    text = json.dumps([settings, fingerprints], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def _content_of(path: Path) -> str:
    """The fingerprint of a manifest or of shards.

    Raises:
        UserError: there is none.
    """
    files = files_to_fingerprint(path) if path.exists() else []
    if not files:
        raise UserError(
            str(path),
            expected="a manifest, or a folder of shards",
            found="no such file" if not path.exists() else "none in this folder",
            remedy="Check data.train, data.dev, data.text_pairs and test.",
        )
    return _fingerprint_once(*((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files))


@lru_cache
def _fingerprint_once(*files: tuple[str, int, int]) -> str:
    """Read once for all trials of a study, as long as the files stay."""
    return fingerprint(*(Path(name) for name, _, _ in files))
