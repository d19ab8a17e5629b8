"""Runs over the corpus of tones."""

import pytest

from horizon_st.training.stages import run_recipe


class Silent:
    """A reporter that shows nothing."""

    def update(self, stage, step, max_steps, figures):
        pass


@pytest.fixture(scope="session")
def train(make_recipe):
    """A function: (folder, overrides) -> the folder, with a trained run in it."""

    def run(folder, *overrides, reporter=None):
        run_recipe(make_recipe(*overrides), folder, reporter or Silent())
        return folder

    return run


@pytest.fixture(scope="session")
def undisturbed(train, tmp_path_factory):
    """A run folder of all three stages that nobody interrupted."""
    return train(tmp_path_factory.mktemp("undisturbed"))


ST_ONLY = ("stages.mt_external.max_steps=0", "stages.mt_in_domain.max_steps=0")


@pytest.fixture(scope="session")
def st_only():
    """Overrides that leave the last stage alone."""
    return ST_ONLY
