"""Segments and line-aligned texts -> utterances; and where such files lie in a corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any
from unicodedata import normalize

from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.corpora.segments import Segment
from horizon_st.data.files import is_file, read_lines
from horizon_st.errors import UserError

AUDIO_ENDINGS = (
    *(".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".mp4", ".webm", ".aac", ".mka"),
    *(".sph", ".aif", ".aiff", ".WAV"),
)
"""Tried in this order where a list names a recording with another ending, or none."""

_TRAIN_NAMES = ("train", "training")
_DEV_NAMES = ("dev", "valid", "validation", "val", "development", "devel")
SPLIT_NAMES = ("train", *_DEV_NAMES, "test", "tst", "tst-COMMON", "tst-HE")
"""As `known_split` spells them."""
_KNOWN = {name.lower(): name for name in SPLIT_NAMES} | dict.fromkeys(_TRAIN_NAMES, "train")


def known_split(name: str) -> str:
    """A split's usual name, if it is one in another case or ``training``; else the same."""
    return _KNOWN.get(name.lower(), name)


def dev_named(names: Iterable[str]) -> dict[str, str]:
    """Names of splits -> the names to write: ``Training`` is ``train``, one like ``valid`` ``dev``.

    ``train`` and ``dev`` come first, the others in the alphabet's order. Of several that mean the
    same one has the usual name, and the others keep theirs.
    """
    given = sorted(set(names))

    def best(usual: Sequence[str]) -> list[str]:
        alike = (name for known in usual for name in given if name.lower() == known)
        return [*alike][:1]

    written = dict.fromkeys(best(_TRAIN_NAMES), "train") | dict.fromkeys(best(_DEV_NAMES), "dev")
    return written | {name: name for name in given if name not in written}


def find_audio(folders: Sequence[Path], name: str) -> Path:
    """The recording of that name in the first folder that has it, whatever its ending.

    Accents may be composed or not: some systems store names in the one form, and lists use the
    other.
    Where none has, the path where it should be: who writes the manifest counts it as missing.
    """
    for folder in folders:
        spellings = _spellings(name)
        for spelling in spellings:
            if is_file(exact := folder / spelling):
                return exact
        for base in dict.fromkeys(f(s) for s in spellings for f in (str, without_ending)):
            for ending in AUDIO_ENDINGS:
                if is_file(other := folder / f"{base}{ending}"):
                    return other
    return folders[0] / name


def _spellings(name: str) -> list[str]:
    """The name as it is, and with its accents composed and decomposed."""
    return [*dict.fromkeys((name, normalize("NFC", name), normalize("NFD", name)))]


def without_ending(name: str) -> str:
    """A recording's name without the ending of its format; other names may have dots, too."""
    stem, dot, ending = name.rpartition(".")
    return stem if stem and f"{dot}{ending}".lower() in AUDIO_ENDINGS else name


def aligned_utterances(
    segments: Iterator[Segment],
    segment_list: Path,
    audio_folders: Sequence[Path],
    *,
    transcripts: Path | None,
    translations: Path | None,
) -> Iterator[Utterance]:
    """The utterances of a split, read line by line from files of equal length.

    Utterances without an id of their own are named after their recording, and numbered in it.

    Args:
        segments: one for each line of the texts.
        segment_list: the file that they come from, for messages.
        audio_folders: where the recordings may lie.
        transcripts: source texts, where there are any; an empty line is an utterance without.
        translations: target texts, or None in a split without references.

    Raises:
        UserError: the files do not have the same number of lines, or one is damaged.
    """
    files = [file for file in (transcripts, translations) if file is not None]
    streams: list[Iterator[Any]] = [segments, *map(read_lines, files)]
    numbers: Counter[str] = Counter()
    for num_complete, row in enumerate(zip_longest(*streams)):
        if None in row:
            counts = [
                num_complete + (value is not None) + sum(1 for _ in stream)
                for value, stream in zip(row, streams, strict=True)
            ]
            raise _uneven([segment_list, *files], counts)
        segment: Segment = row[0]
        texts = dict(zip(files, (text.strip() for _, text in row[1:]), strict=True))
        name = without_ending(segment.audio.rpartition("/")[2])
        yield Utterance(
            id=segment.id or f"{name}_{numbers[name]}",
            audio=find_audio(audio_folders, segment.audio),
            transcript=texts[transcripts] or None if transcripts else None,
            translation=texts[translations] if translations else None,
            offset_s=segment.offset_s,
            duration_s=segment.duration_s,
            speaker=segment.speaker,
            place=segment.place,
            unreadable_time=segment.unreadable_time,
        )
        numbers[name] += 1


def names_in(folder: Path, *, limit: int = 12) -> str:
    """What a folder holds, for messages."""
    if not folder.is_dir():
        return "no such folder"
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more if names else "nothing"


def _uneven(files: Sequence[Path], counts: Sequence[int]) -> UserError:
    return UserError(
        str(files[0]),
        expected="as many segments as lines in each text",
        found=", ".join(f"{count} in {file}" for file, count in zip(files, counts, strict=True)),
        remedy="Restore the file that lost or gained lines; they belong together line by line.",
    )
