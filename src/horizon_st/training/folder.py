"""The run folder: one writer, one recipe, and nothing half-written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_NB, lockf
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from horizon_st.config import dump_config, parse_yaml, read_yaml
from horizon_st.data.files import PARTIAL_PREFIX, make_folder, whole_file
from horizon_st.errors import UserError, reason_of
from horizon_st.training.recipe import Recipe
from horizon_st.training.record import RECORD_FILE

RECIPE_FILE = "recipe.yaml"
_CHANGE_NO_RESULT = ("data.num_workers", "data.cache_gb", "trackers")
"""Keys that a run may continue with other values of, as where memory was too small for them."""


@contextmanager
def run_folder(folder: Path, recipe: Recipe, accelerator: Accelerator) -> Iterator[None]:
    """A context in which only this run writes to the folder, which holds its ``recipe.yaml``.

    What a killed process left half-written is removed. Until something is trained, another recipe
    may take the place of the old one: whoever corrects a mistake gives the same folder again.

    Raises:
        UserError: on every process alike: another run trains in the folder, it holds a run of
            another recipe, or it cannot be written.
    """
    with ExitStack() as stack:
        failure: UserError | None = None
        if accelerator.is_main_process:
            try:
                stack.enter_context(_locked(folder))
                _remove_partial(folder)
                _keep_recipe(recipe, folder)
            except UserError as error:
                failure = error
        _raise_everywhere(failure)
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which the system frees when the process ends, however it ends.

    A lock of the process, which loading processes do not inherit: they may outlive it by seconds.
    """
    make_folder(folder)
    path = folder / ".lock"
    try:
        lock = path.open("w")
    except OSError as error:
        raise UserError(
            str(path),
            expected="a file that can be written",
            found=reason_of(error),
            remedy="Choose another --out.",
        ) from error
    with lock:
        try:
            lockf(lock, LOCK_EX | LOCK_NB)
        except OSError as error:
            raise UserError(
                str(folder),
                expected="a run folder that no other process trains in",
                found="a lock held by another process",
                remedy="Wait for it, stop it, or choose another --out.",
            ) from error
        yield


def _remove_partial(folder: Path) -> None:
    for path in sorted(folder.rglob(f"{PARTIAL_PREFIX}*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _keep_recipe(recipe: Recipe, folder: Path) -> None:
    """Writes the resolved recipe, or checks that what was trained here has the same one."""
    path = folder / RECIPE_FILE
    text = dump_config(recipe)
    has_trained = any(folder.glob("stages/*/*/*")) or (folder / "model").exists()
    if not has_trained:
        (folder / RECORD_FILE).unlink(missing_ok=True)  # its data may have been the mistake
    if not has_trained or not path.is_file():
        with whole_file(path) as file:
            file.write(text)
        return
    defaults = parse_yaml(dump_config(Recipe()), "the defaults")
    difference = _first_difference(_read_recipe(path), parse_yaml(text, str(path)), defaults)
    if difference is not None:
        raise UserError(
            str(folder),
            expected="an empty folder, or the run of the same recipe to continue",
            found=difference,
            remedy="Choose another --out, or remove the folder to begin anew.",
        )


def _read_recipe(path: Path) -> dict[str, Any]:
    remedy = (
        "Remove this file if the recipe is still the one that the run began with: it is written "
        "again; or choose another --out."
    )
    try:
        content = read_yaml(path)
    except UserError as error:
        raise UserError(
            error.place, expected=error.expected, found=error.found, remedy=remedy
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            str(path),
            expected="the recipe of the run in this folder",
            found="an empty file" if content is None else content,
            remedy=remedy,
        )
    return content


def _first_difference(then: object, now: object, default: object, path: str = "") -> str | None:
    """What differs; a key that the project did not have then stood at its default."""
    if then == now or path in _CHANGE_NO_RESULT:
        return None
    if isinstance(then, dict) and isinstance(now, dict):
        defaults = default if isinstance(default, dict) else {}
        for key in [*then, *now]:
            inner = f"{path}.{key}" if path else str(key)
            usual = defaults.get(key)
            found = _first_difference(then.get(key, usual), now.get(key), usual, inner)
            if found is not None:
                return found
        return None
    return f"a run with {path} {then!r} instead of {now!r}"


def _raise_everywhere(failure: UserError | None) -> None:
    """Raises the main process's error on all of them, so that none waits for the others."""
    found = [None if failure is None else vars(failure)]
    [shared] = broadcast_object_list(found)
    if failure is not None:
        raise failure
    if shared is not None:
        raise UserError(shared.pop("place"), **shared)
