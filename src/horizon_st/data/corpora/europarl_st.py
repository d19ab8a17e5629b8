"""Europarl-ST in its own layout -> utterances.

Iranzo-Sánchez et al. 2020 (ICASSP, arXiv 1911.03167): debates as ``SOURCE/audios/NAME.m4a``; for
each target language and split in ``SOURCE/TARGET/SPLIT``: ``segments.lst`` (recording, start, end),
``segments.SOURCE`` and ``segments.TARGET`` line by line with it, and ``speeches.lst`` with the
recordings, whose speakers stand in ``speakers.lst``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from horizon_st.data.corpora.aligned import aligned_utterances, dev_named, names_in
from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.corpora.segments import Segment, read_span_segments
from horizon_st.data.files import read_lines, require_folder
from horizon_st.errors import UserError

_SEGMENTS = "segments.lst"
_OF_SPLITS = ("segments.*", "speeches.*")
"""What the folder of a split has, in whatever language."""


def read_europarl_st(
    root: Path, *, source_language: str, target_language: str
) -> dict[str, Iterator[Utterance]]:
    """The utterances of all splits; ids are ``RECORDING_NUMBER``, in the order of the list.

    Args:
        root: the folder that holds the source languages, ``v1.1`` as unpacked, or what holds that.
        source_language: of the debates, such as ``en``.
        target_language: of the translations, such as ``de``.

    Raises:
        UserError: the layout is another, a file is damaged, or line counts differ.
    """
    pair = Path(source_language) / target_language
    versions = [root, *sorted(path for path in require_folder(root).iterdir() if path.is_dir())]
    for version in versions:
        if (version / pair).is_dir():
            return _read_pair(version / source_language, source_language, target_language)
    raise UserError(
        str(root),
        expected=f"the folder {pair}",
        found=names_in(root / source_language if (root / source_language).is_dir() else root),
        remedy="Give the folder of the source languages, and both languages by their codes.",
    )


def _read_pair(folder: Path, source: str, target: str) -> dict[str, Iterator[Utterance]]:
    splits = {path.parent.name: path.parent for path in (folder / target).glob(f"*/{_SEGMENTS}")}
    begun = {path.parent for name in _OF_SPLITS for path in (folder / target).glob(f"*/{name}")}
    if splits and (unlisted := sorted(begun - {*splits.values()})):
        raise UserError(
            str(unlisted[0] / _SEGMENTS),
            expected="the segments of the split, as of other splits here",
            found=names_in(unlisted[0]),
            remedy="Restore the list, or move the folder away.",
        )
    if not splits:
        raise UserError(
            str(folder / target),
            expected=f"folders of splits with {_SEGMENTS}",
            found=names_in(folder / target),
            remedy="Unpack the whole corpus.",
        )
    return {
        new: aligned_utterances(
            _segments(splits[old]),
            splits[old] / _SEGMENTS,
            [folder / "audios"],
            transcripts=splits[old] / f"segments.{source}",
            translations=splits[old] / f"segments.{target}",
        )
        for old, new in dev_named(splits).items()
    }


def _segments(split: Path) -> Iterator[Segment]:
    speakers = _speakers(split / "speeches.lst", split / "speakers.lst")
    for segment in read_span_segments(split / _SEGMENTS):
        yield replace(segment, speaker=speakers.get(segment.audio))


def _speakers(speeches: Path, speakers: Path) -> dict[str, str]:
    """Recording -> speaker; empty where the corpus does not say."""
    if not (speeches.is_file() and speakers.is_file()):
        return {}
    recordings, names = ([text.strip() for _, text in read_lines(f)] for f in (speeches, speakers))
    if len(recordings) != len(names):
        raise UserError(
            str(speakers),
            expected=f"one speaker for each of the {len(recordings)} lines of {speeches.name}",
            found=f"{len(names)} lines",
            remedy="Restore both files, or remove both: speakers are optional.",
        )
    return dict(zip(recordings, names, strict=True))
