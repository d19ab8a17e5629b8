"""The model that is exported here."""

import pytest


@pytest.fixture(scope="session")
def model_folder(small_model_folder):
    return small_model_folder
