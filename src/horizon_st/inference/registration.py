"""Lets `transformers` know this package's models as soon as it looks for any, and not before.

Registering needs the classes, and these need PyTorch, for which `import horizon_st` must not wait.
So what registers is imported right after the module of `transformers` that would look it up. The
model is not among it: the modules of `transformers` that it needs may be half-imported by then. It
is imported with the first configuration of one, without which none looks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_REGISTERED_BY = {
    "transformers.models.auto.configuration_auto": "horizon_st.model.configuration",
    "transformers.models.auto.feature_extraction_auto": "horizon_st.inference.auto_frontend",
    "transformers.pipelines": "horizon_st.inference.transformers_pipeline",
}


def register_lazily() -> None:
    """Arranges for it once; where `transformers` is ready to look up models, it is done now."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for theirs in _REGISTERED_BY:
        if theirs in sys.modules:
            _register(theirs)


def _register(theirs: str) -> None:
    ours = _REGISTERED_BY[theirs]
    if ours not in sys.modules:  # or else it is being imported, and registers itself at its end
        import_module(ours)


class _Finder(MetaPathFinder):
    """Finds the modules as Python does, and has something done after they are executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _REGISTERED_BY:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            _register(fullname)

        loader.exec_module = execute_and_register
        return spec
