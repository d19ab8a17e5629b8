"""Shards of cuts with their audio (lhotse Shar), read one after the other: from a disk or a stream.

A folder holds ``cuts.000000.jsonl.gz`` and ``recording.000000.tar``, and so on. A list file names
the shards wherever they lie: YAML with a list ``cuts`` and a list ``recording``, of paths relative
to it, URLs, or, for those who trust the list, commands such as ``pipe:curl -s https://…``.
"""

from __future__ import annotations

import gzip
import json
import os
import tarfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np
import yaml
from lhotse import Recording
from lhotse.serialization import open_best
from lhotse.shar.utils import fill_shar_placeholder

from horizon_st.data.audio import LONGEST_S, SAMPLING_RATE, Cut
from horizon_st.data.cut_checks import find_faults, to_cut
from horizon_st.data.cuts import Cuts
from horizon_st.data.files import LONGEST_LINE_BYTES, bounded_lines, decode_line, open_binary
from horizon_st.data.jsonl import parse_json
from horizon_st.data.manifest import read_manifest
from horizon_st.errors import UserError

ALLOW_PIPES = "HORIZON_ST_ALLOW_PIPES"
"""The environment variable that, set to 1, lets a list of shards run commands."""

_PIPE = "pipe:"
_LIST_SUFFIXES = (".yaml", ".yml")
_NUM_SAMPLED_SHARDS = 32
_UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, TypeError, AssertionError, RuntimeError, ImportError,
    tarfile.TarError, zlib.error, gzip.BadGzipFile,
)  # fmt: skip

_LARGEST_SOUND_BYTES = 4 * LONGEST_S * SAMPLING_RATE
"""Of an utterance in a shard, which is read whole: the longest there is, in 32 bits."""

_TAR_EXTENSIONS = {
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
}  # fmt: skip
"""Members that describe the next one, which tarfile reads whole."""


class Shard(NamedTuple):
    """Where the two halves of a shard lie."""

    cuts: str
    recording: str


class SharCuts(Cuts):
    """The checked cuts of shards, each with its audio in memory.

    Args:
        path: folder or list file.

    Raises:
        UserError: there are no shards, not as many of one half as of the other, or commands
            that nobody has allowed.
    """

    carry_audio = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shards = _read_list(path) if path.is_file() else _list_folder(path)
        _check_commands(path, self.shards)

    def __iter__(self) -> Iterator[Cut]:
        return self._with_audio(self.shards)

    def texts(self) -> Iterator[Cut]:
        """All cuts in their order, without audio."""
        return (cut for shard in self.shards for cut in self._texts(shard))

    def has_at_most(self, num_cuts: int) -> bool:
        """Whether there are no more."""
        return next(islice(self.texts(), num_cuts, None), None) is None

    def sample(self, num_cuts: int) -> Iterator[Cut]:
        """So many cuts at most without audio, from shards spread over the list."""
        shards = self.shards
        per_shard = num_cuts
        if not self.has_at_most(num_cuts):
            shards = shards[:: -(-len(shards) // _NUM_SAMPLED_SHARDS)]
            per_shard = -(-num_cuts // len(shards))
        texts = (cut for shard in shards for cut in islice(self._texts(shard), per_shard))
        yield from islice(texts, num_cuts)

    def of_epoch(self, seed: int, epoch: int) -> Iterator[Cut]:
        """All cuts, in the order of shuffled shards."""
        order = np.random.default_rng((seed, epoch)).permutation(len(self.shards)).tolist()
        return self._with_audio([self.shards[index] for index in order])

    def _with_audio(self, shards: Sequence[Shard]) -> Iterator[Cut]:
        for shard in shards:
            with closing(self._recordings(shard)) as recordings:
                for cut in self._texts(shard):
                    name, recording = next(recordings, (None, None))
                    if name != cut.id or recording is None:
                        self._refuse(shard.recording, f"{name} where {cut.id} belongs")
                    cut.recording = recording
                    for fault in find_faults(cut, self.path, shard.recording):
                        raise fault.error
                    yield cut
                if (name := next(recordings, (None, None))[0]) is not None:
                    self._refuse(shard.recording, f"{name} after the last utterance")

    def _texts(self, shard: Shard) -> Iterator[Cut]:
        """The cuts of a shard, whose recordings have no audio yet."""
        for place, line in self._lines(shard):
            cut = to_cut(parse_json(decode_line(line, place), place), place)
            for fault in find_faults(cut, self.path, place):
                raise fault.error
            yield cut

    def _lines(self, shard: Shard) -> Iterator[tuple[str, bytes]]:
        """The place and the bytes of each line of the texts; of a long one, its beginning."""
        number = 0
        try:
            with _open(shard.cuts) as file:
                for number, line in enumerate(bounded_lines(file), start=1):
                    yield f"{shard.cuts}:{number}", line
        except _UNREADABLE as error:
            found = f"{type(error).__name__}: {error}"
            self._refuse(f"{shard.cuts}:{number + 1}", found, error)

    def _recordings(self, shard: Shard) -> Generator[tuple[str, Recording | None], None, None]:
        """The id and the audio of each utterance of a shard."""
        try:
            with (
                _open(shard.recording) as file,
                tarfile.open(fileobj=file, mode="r|*", tarinfo=_BoundedInfo) as tar,
            ):
                members = _members(tar)
                for path, sound in members:
                    _, text = next(members, (path, b"no description"))
                    recording = None if text is None else Recording.from_dict(json.loads(text))
                    if recording is not None:
                        fill_shar_placeholder(recording, sound, path)
                    yield str(path.parent / path.stem), recording
        except _UNREADABLE as error:
            self._refuse(shard.recording, f"{type(error).__name__}: {error}", error)

    def _refuse(self, place: str, found: str, cause: Exception | None = None) -> NoReturn:
        raise UserError(
            place,
            expected="a whole shard of cuts and their recordings",
            found=" ".join(found.split())[:200],
            remedy="Copy it again, or make the shards anew with `horizon-st shard`.",
        ) from cause


class _BoundedInfo(tarfile.TarInfo):
    """A member's header that is refused where tarfile would read too much because of it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _BoundedInfo:
        """The header, as tarfile asks for it."""
        info = super().frombuf(buf, encoding, errors)
        if info.type in _TAR_EXTENSIONS:
            _check_size(info, LONGEST_LINE_BYTES)
        return info


def _members(tar: tarfile.TarFile) -> Iterator[tuple[Path, bytes | None]]:
    """The path and the content of each file; None for a placeholder of what a cut lacks."""
    for info in tar:
        path = Path(info.path)
        is_text = path.suffix in {".json", ".nometa"}
        _check_size(info, LONGEST_LINE_BYTES if is_text else _LARGEST_SOUND_BYTES)
        file = None if path.suffix in {".nodata", ".nometa"} else tar.extractfile(info)
        yield path, None if file is None else file.read()


def _check_size(info: tarfile.TarInfo, most_bytes: int) -> None:
    if info.size > most_bytes:
        raise ValueError(f"{info.name} of {info.size} bytes, where at most {most_bytes} belong")


def is_shar(path: Path) -> bool:
    """Whether a path means shards, and not a manifest."""
    return path.is_dir() or path.suffix in _LIST_SUFFIXES


def open_cuts(path: Path, *, needs_translation: bool = True) -> Cuts:
    """The cuts of a manifest, of a Shar folder, or of a list of shards.

    Args:
        path: of the manifest, the folder or the list.
        needs_translation: whether a cut of a manifest without one is refused; in shards all have.

    Raises:
        UserError: there are none at the path.
    """
    if is_shar(path):
        return SharCuts(path)
    return read_manifest(path, needs_translation=needs_translation)


def files_to_fingerprint(path: Path) -> list[Path]:
    """The files that tell shards apart without reading audio: the texts, or the list of shards."""
    return sorted(path.glob("cuts.*.jsonl*")) if path.is_dir() else [path]


def _list_folder(folder: Path) -> list[Shard]:
    cuts, recordings = (
        sorted(map(str, folder.glob(pattern))) for pattern in ("cuts.*.jsonl*", "recording.*.tar*")
    )
    return _paired(folder, cuts, recordings)


def _read_list(path: Path) -> list[Shard]:
    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        cuts, recordings = ([str(name) for name in found[key]] for key in Shard._fields)
    except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            str(path),
            expected="YAML with two lists of shards, `cuts` and `recording`",
            found=" ".join(str(error).split())[:200],
            remedy="Write one entry per shard in both, in the same order.",
        ) from error
    return _paired(
        path, *([_located(name, path.parent) for name in side] for side in (cuts, recordings))
    )


def _located(name: str, folder: Path) -> str:
    return name if _is_stream(name) else str(folder.absolute() / name)


def _is_stream(name: str) -> bool:
    """Whether it is a command or a URL, and not a path."""
    return name.startswith(_PIPE) or "://" in name


def _open(name: str) -> IO[bytes]:
    stream: IO[bytes] = open_best(name, mode="rb") if _is_stream(name) else open_binary(Path(name))
    return stream


def _check_commands(path: Path, shards: Sequence[Shard]) -> None:
    commands = (name for shard in shards for name in shard if name.startswith(_PIPE))
    if (command := next(commands, None)) is not None and os.environ.get(ALLOW_PIPES) != "1":
        raise UserError(
            str(path),
            expected=f"paths and URLs, unless the environment variable {ALLOW_PIPES} is 1",
            found=f"the command {command[:200]!r}",
            remedy=f"If you trust the list, set {ALLOW_PIPES}=1: then its commands are run.",
        )


def _paired(place: Path, cuts: list[str], recordings: list[str]) -> list[Shard]:
    if not cuts or len(cuts) != len(recordings):
        raise UserError(
            str(place),
            expected="shards: as many cuts.NUMBER.jsonl.gz as recording.NUMBER.tar, at least one",
            found=f"{len(cuts)} and {len(recordings)}",
            remedy="Give a manifest, or a folder that `horizon-st shard` wrote.",
        )
    return [Shard(*halves) for halves in zip(cuts, recordings, strict=True)]
