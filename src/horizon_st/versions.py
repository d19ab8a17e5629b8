"""The versions of the packages that a result depends on."""

from __future__ import annotations

import platform
from importlib.metadata import version

_PACKAGES = (
    "horizon-st", "torch", "transformers", "accelerate", "lhotse", "tokenizers", "sacrebleu",
    "numpy",
)  # fmt: skip


def package_versions() -> dict[str, str]:
    """The version of Python and of each of the packages, by its name."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
