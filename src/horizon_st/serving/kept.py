"""What was sent to the page and can still be listened to: a folder, and how much may lie there."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from threading import Lock

from horizon_st.data.files import is_file
from horizon_st.serving.hearing import Hearing
from horizon_st.serving.limits import FullError
from horizon_st.serving.server_folder import LOCK_FILE, new_server_folder, server_folder

KEPT_S = 3600
"""How long what was uploaded stays."""

_SWEPT_EVERY_S = 60


class KeptUploads:
    """A folder of one server, with the uploads to its page and the sound of each.

    It counts what was written within the last hour, whatever became of it, so that no more than
    that lies there.

    Args:
        parent: of the folder.
        most_bytes: that may be written within an hour.
    """

    def __init__(self, parent: Path, most_bytes: int) -> None:
        self.path = new_server_folder(parent)
        self._sounds = self.path / "sounds"
        self._most_bytes = most_bytes
        self._written: Counter[int] = Counter()  # bytes by minute
        self._counting = Lock()

    def count(self, num_bytes: int) -> None:
        """Takes note of what is to be written.

        Raises:
            FullError: it would be too much.
        """
        with self._counting:
            now = _minute()
            for minute in [one for one in self._written if one < now - _MINUTES_KEPT]:
                del self._written[minute]
            if self._written.total() + num_bytes > self._most_bytes:
                raise FullError(60 * (min(self._written, default=now) + _MINUTES_KEPT + 1 - now))
            self._written[now] += num_bytes

    def find(self, path: str) -> Path | None:
        """The upload that a stranger claims to have sent, if it is there."""
        if not is_file(Path(path)):
            return None
        found = Path(path).resolve()
        is_ours = found.is_relative_to(self.path) and not found.is_relative_to(self._sounds)
        return found if is_ours else None

    def sound_of(self, upload: Path) -> Path:
        """Where its sound lies, or will: there is one of each upload."""
        return self._sounds / f"{hashlib.sha256(str(upload).encode()).hexdigest()}.wav"

    @contextmanager
    def hearing(self, upload: Path) -> Iterator[Hearing]:
        """What its sound is to be given to; calling it may raise FullError."""
        sound = self.sound_of(upload)
        is_there = sound.exists() and sound.stat().st_mtime >= upload.stat().st_mtime
        self._sounds.mkdir(exist_ok=True)
        with Hearing(None if is_there else sound, self.count) as hearing:
            yield hearing

    def sweep(self) -> None:
        """Deletes what has lain there for an hour."""
        for path in {*self.path.rglob("*")} - {self.path / LOCK_FILE}:
            with suppress(OSError):  # a folder that is not empty, or what somebody else deleted
                if time.time() - path.stat().st_mtime > KEPT_S:
                    path.rmdir() if path.is_dir() else path.unlink()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """A context in which the folder is there, and swept."""
        with server_folder(self.path):
            sweeping = asyncio.ensure_future(self._keep_sweeping())
            try:
                yield
            finally:
                sweeping.cancel()
                await asyncio.gather(sweeping, return_exceptions=True)

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(_SWEPT_EVERY_S)
            await asyncio.to_thread(self.sweep)


_MINUTES_KEPT = math.ceil((KEPT_S + _SWEPT_EVERY_S) / 60) + 1
"""After so many, what was written has been swept."""


def _minute() -> int:
    return int(time.time() // 60)
