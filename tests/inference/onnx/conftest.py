"""Shapes cannot be checked while a graph is traced: its lengths are symbols."""

from contextlib import contextmanager

import jaxtyping
import pytest


@pytest.fixture(scope="session")
def tracing():
    """A context in which shapes are not checked."""

    @contextmanager
    def unchecked():
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            yield
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    return unchecked
