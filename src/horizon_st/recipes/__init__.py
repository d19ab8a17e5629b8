"""The recipes that come with the package: one YAML file, one run."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def shipped_recipe(name: str) -> Path:
    """The path of the recipe of that name, whether or not it exists."""
    return FOLDER / f"{name}.yaml"


def find_recipe(path_or_name: str) -> Path:
    """The file at that path, or else the recipe of that name that comes with the package."""
    path = Path(path_or_name)
    shipped = shipped_recipe(path_or_name)
    return shipped if not path.is_file() and shipped.is_file() else path
