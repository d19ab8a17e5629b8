"""A model that is small enough to be traced in seconds."""

import pytest


@pytest.fixture(scope="session")
def model_folder(write_model):
    return write_model(encoder_layers=1)
