"""Manifests of an earlier preparation, against what is now written beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from horizon_st.data.jsonl import read_json_lines
from horizon_st.data.validation.manifests import held_out_rank
from horizon_st.errors import UserError


class EarlierManifests:
    """The sound in manifests that stay, so that none is trained on and held out at once.

    Args:
        folder: of the manifests.
        names: of files that are written anew.
    """

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self._stay = [path for path in sorted(folder.glob("*.jsonl")) if path.name not in names]
        self._sounds: dict[Path, set[bytes]] = {}

    def concern(self, split: str) -> bool:
        """Whether a manifest that stays is on the other side of training from a split."""
        return any(self._beside(split))

    def refuse_shared(self, split: str, sounds: Collection[bytes]) -> None:
        """Nothing, where what is written of a split is nowhere on the other side of training.

        Args:
            split: that is written.
            sounds: of its utterances, from `sound_of`.

        Raises:
            UserError: a manifest that stays has some of them.
        """
        for path in self._beside(split):
            if path not in self._sounds:
                self._sounds[path] = _sounds_in(path)
            if num_shared := len(self._sounds[path].intersection(sounds)):
                raise UserError(
                    str(path),
                    expected=f"no utterance of {split}, which is written beside it",
                    found=f"{num_shared} of them, from an earlier preparation",
                    remedy="Remove the file, or prepare into another folder.",
                )

    def _beside(self, split: str) -> Iterator[Path]:
        for path in self._stay:
            if (held_out_rank(path.name) == 0) != (held_out_rank(split) == 0):
                yield path


def sound_of(cut: dict[str, Any]) -> bytes:
    """A digest of what a cut is of: recording, start and duration; whatever its id is."""
    sources = [source["source"] for source in cut["recording"]["sources"]]
    text = f"{sources} {cut['start']:.3f} {cut['duration']:.3f}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _sounds_in(path: Path) -> set[bytes]:
    """Of all cuts; empty of a file that is none of ours."""
    try:
        return {sound_of(cut) for _, cut in read_json_lines(path)}
    except (UserError, LookupError, TypeError, ValueError):
        return set()
