"""What was written into a folder and from which recordings, so that nothing else is replaced."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from horizon_st.data.files import whole_file, write_errors
from horizon_st.errors import UserError
from horizon_st.inference.record import stamp_of


@dataclass(frozen=True)
class KeptOutput:
    """An output that somebody has changed since it was written, and that stays as it is."""


@dataclass(frozen=True)
class _Entry:
    """Says that an output was written.

    Attributes:
        output: its name.
        source: the recording's absolute path.
        stamp: tells whether a recording at another path is the same, moved; None if it was gone.
        sha256: of what was written.
    """

    output: str
    source: str
    stamp: dict[str, Any] | None
    sha256: str

    def is_of(self, recording: Path) -> bool:
        if self.source == str(recording.resolve()):
            return True
        return self.stamp is not None and self.stamp == _stamp_if_there(recording)


class Outputs:
    """The outputs in a folder.

    A list of them stands beside the records. It only grows, a line at a time, so that several
    processes may write different outputs, and the line comes before the output, so that a kill
    between the two leaves one that is known.

    Args:
        folder: of the records.
        overwrite: whether to replace whatever has the name of an output.

    Raises:
        UserError: the list cannot be read or written.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        self._path = folder / "outputs"
        self._overwrite = overwrite
        self._entries: dict[str, list[_Entry]] = {}
        with write_errors(self._path):
            self._path.touch()
            lines = self._path.read_bytes().splitlines()
        for line in lines:
            try:
                entry = _Entry(**json.loads(line))
            except (ValueError, TypeError):
                continue  # blank, or what a kill or a full disk has left
            self._entries.setdefault(entry.output, []).append(entry)

    def is_changed(self, target: Path, recording: Path) -> bool:
        """Whether the recording's output is there, and holds something else than was written.

        Raises:
            UserError: what is there comes from another recording, or from elsewhere.
        """
        if self._overwrite or not target.exists():
            return False
        with write_errors(target):
            digest = hashlib.sha256(target.read_bytes()).hexdigest()
        entries = self._entries.get(target.name, [])
        as_written = [entry for entry in entries if entry.sha256 == digest]
        candidates = as_written or entries[-1:]
        if any(entry.is_of(recording) for entry in candidates):
            return not as_written
        raise UserError(
            str(target),
            expected=f"no file, or the translation of {recording}",
            found=f"that of {candidates[-1].source}" if candidates else "another file",
            remedy="Choose another --output, rename one, or replace it with --overwrite.",
        )

    def write(self, target: Path, text: str, recording: Path) -> None:
        """Writes an output whole or not at all.

        Raises:
            UserError: it cannot be written.
        """
        digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        stamp = _stamp_if_there(recording)
        entry = _Entry(target.name, str(recording.resolve()), stamp, digest)
        entries = self._entries.setdefault(target.name, [])
        if entries[-1:] != [entry]:
            # In ASCII, which also holds file names that are not UTF-8; on a line of its own also
            # where the one before was never ended.
            line = f"\n{json.dumps(asdict(entry))}\n".encode("ascii")
            with write_errors(self._path), self._path.open("ab") as file:
                file.write(line)
            entries.append(entry)
        with whole_file(target) as output:
            output.write(text)


def _stamp_if_there(recording: Path) -> dict[str, Any] | None:
    try:
        return stamp_of(recording)
    except UserError:
        return None
