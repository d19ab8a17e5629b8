"""A tiny random model that learnt from short utterances; what an installation lacks."""

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture
def trained_on_half_seconds(model_folder, tmp_path):
    """The model, in a folder that says how long the training utterances were."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"longest_training_s": 0.5}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture
def modules_beyond():
    """A function: distributions -> the modules here that belong neither to them nor to what they
    require without extras; of the later ones, only they themselves are there."""

    def find(names, *alone):
        there, waiting = {*alone}, [*names]
        while waiting:
            name = canonicalize_name(waiting.pop())
            if name in there:
                continue
            there.add(name)
            with suppress(PackageNotFoundError):  # needed elsewhere, and not here
                needed = [Requirement(line) for line in requires(name) or ()]
                waiting += [
                    one.name
                    for one in needed
                    if one.marker is None or one.marker.evaluate({"extra": ""})
                ]
        return [
            module
            for module, owners in packages_distributions().items()
            if not {canonicalize_name(owner) for owner in owners} & there
        ]

    return find


@pytest.fixture
def run_without():
    """A function: (modules, arguments) -> what the command does where these are not installed."""

    def run(absent, *arguments):
        program = (
            "import sys\n"
            f"for name in {absent!r}:\n"
            "    sys.modules[name] = None\n"  # whoever imports it gets a ModuleNotFoundError
            "from horizon_st.cli import main\n"
            f"sys.argv = ['horizon-st', *{[*map(str, arguments)]!r}]\n"
            "main()\n"
        )
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    return run
