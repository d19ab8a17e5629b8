"""A model that is small enough to be traced in seconds, while shapes cannot be checked."""

from contextlib import contextmanager

import jaxtyping
import pytest


@pytest.fixture(scope="session")
def tracing():
    """A context in which shapes are not checked: the lengths of a traced graph are symbols."""

    @contextmanager
    def unchecked():
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            yield
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    return unchecked


@pytest.fixture(scope="session")
def model_folder(write_model):
    return write_model(encoder_layers=1)
