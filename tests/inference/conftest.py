"""A tiny random model that learnt from short utterances."""

import json
import shutil

import pytest


@pytest.fixture
def trained_on_half_seconds(model_folder, tmp_path):
    """The model, in a folder that says how long the training utterances were."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"longest_training_s": 0.5}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder
