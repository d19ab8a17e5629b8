"""A folder that one server has for itself; those of killed servers are deleted by the next one."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from horizon_st.data.files import PARTIAL_PREFIX

LOCK_FILE = ".server-lock"
"""In each folder: locked as long as its server lives, however that ends."""

_NAME = re.compile(r"horizon-st-[0-9a-f]{16}")


def new_server_folder(parent: Path) -> Path:
    """A path that no other server has."""
    return parent.resolve() / f"horizon-st-{secrets.token_hex(8)}"


@contextmanager
def server_folder(path: Path) -> Iterator[None]:
    """A context in which a new folder is there, which only this user can read.

    Args:
        path: from `new_server_folder`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.iterdir():
        if _NAME.fullmatch(other.name):
            _delete_if_abandoned(other)
    # It takes its name when it is locked: no other server ever sees it without.
    unlocked = path.with_name(PARTIAL_PREFIX + path.name)
    unlocked.mkdir(mode=0o700)
    with (unlocked / LOCK_FILE).open("w") as lock:
        flock(lock, LOCK_EX)
        unlocked.rename(path)
        try:
            yield
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _delete_if_abandoned(folder: Path) -> None:
    # Its server lives, another one deletes it just now, or it is none of a server.
    with suppress(OSError):
        if folder.lstat().st_uid != os.getuid():
            return
        with (folder / LOCK_FILE).open("r+") as lock:
            # Unlike `lockf`'s, it also keeps out a second server in the same process.
            flock(lock, LOCK_EX | LOCK_NB)
            shutil.rmtree(folder)
