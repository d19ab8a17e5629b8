"""The recipes that come with the package: one YAML file, one run."""

from __future__ import annotations

from pathlib import Path

from horizon_st.errors import UserError

FOLDER = Path(__file__).parent


def shipped_recipe(name: str) -> Path:
    """The path of the recipe of that name, whether or not it exists."""
    return FOLDER / f"{name}.yaml"


def find_recipe(path_or_name: str) -> Path:
    """The file at that path, or else the recipe of that name that comes with the package.

    Raises:
        UserError: there is neither.
    """
    return find_file(path_or_name, FOLDER, "recipe")


def find_file(path_or_name: str, folder: Path, kind: str) -> Path:
    """The YAML file at that path, or else the one of that name in a folder of shipped ones.

    Args:
        path_or_name: what the user gave.
        folder: of the shipped files.
        kind: of file, for the message.

    Raises:
        UserError: there is neither.
    """
    path, shipped = Path(path_or_name), folder / f"{path_or_name}.yaml"
    for candidate in (path, shipped):
        if candidate.is_file():
            return candidate
    names = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
    raise UserError(
        path_or_name,
        expected=f"a YAML file, or the name of a shipped {kind} ({names})",
        found="a folder" if path.is_dir() else "no such file",
        remedy="Check the path.",
    )
