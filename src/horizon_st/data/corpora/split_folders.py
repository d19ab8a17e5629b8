"""A corpus of split folders with ``wav`` and ``txt`` inside -> utterances.

MuST-C gave the layout, mTEDx and the IWSLT tracks took it over, each with differences:
``data/SPLIT`` or ``SPLIT``; a YAML list, Kaldi's ``segments`` or ``stamped.tsv``; texts beside or
below; transcripts or none; ``.tc`` for true-cased texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from horizon_st.data.corpora.aligned import aligned_utterances, dev_named, names_in
from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.corpora.segments import Segment
from horizon_st.data.files import require_folder
from horizon_st.errors import UserError

SegmentLists = Mapping[str, Callable[[Path], Iterator[Segment]]]
"""Paths of segment lists within a split folder, best first, and how to read each."""

_TEXT_ENDINGS = ("", ".tc")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)?")
_FORMATS = {
    *("tsv", "csv", "txt", "xml", "yml", "lst", "log", "md", "stm", "ctm", "srt", "vtt", "sgm"),
    *("zip", "tar", "tgz", "gz", "xz", "zst", "bak", "old", "tmp", "raw", "wav", "ogg", "sph"),
}
"""Endings that look like the code of a language."""


@dataclass(frozen=True)
class _Split:
    """The folder of a split."""

    folder: Path

    def segment_list(self, lists: SegmentLists) -> tuple[Path, Iterator[Segment]] | None:
        """The first list that is there, and its segments."""
        for pattern, read in lists.items():
            path = self.folder / pattern.format(split=self.folder.name)
            if path.is_file():
                return path, read(path)
        return None

    def text(self, language: str, endings: Sequence[str]) -> Path | None:
        """The text file of a language, where there is one."""
        for ending in endings:
            for folder in (self.folder / "txt", self.folder):
                path = folder / f"{self.folder.name}.{language}{ending}"
                if path.is_file():
                    return path
        return None

    def is_begun(self, languages: Sequence[str]) -> bool:
        """Whether there is what belongs to a split: recordings, or text of one of the languages."""
        has_folders = any((self.folder / name).is_dir() for name in ("wav", "txt"))
        return has_folders or any(self.text(language, _TEXT_ENDINGS) for language in languages)

    def languages(self) -> set[str]:
        """The endings of the files that have the name of a text."""
        name = f"{self.folder.name}."
        folders = [folder for folder in (self.folder / "txt", self.folder) if folder.is_dir()]
        files = [path.name for folder in folders for path in folder.iterdir()]
        endings = {
            file.removeprefix(name).removesuffix(".tc") for file in files if file.startswith(name)
        }
        return {text for text in endings if _LANGUAGE.fullmatch(text)} - _FORMATS


def read_split_folders(
    root: Path, lists: SegmentLists, *, source_language: str, target_language: str
) -> dict[str, Iterator[Utterance]]:
    """The utterances of each split folder that has a list of segments.

    Args:
        root: the folders themselves, or what holds them as ``data``, ``SOURCE-TARGET`` or
            ``SOURCE-TARGET/data``.
        lists: which lists of segments to look for.
        source_language: the ending of the transcripts; a corpus may have translations alone.
        target_language: the ending of the translations; only ``train`` must have them.

    Raises:
        UserError: there is no such folder, one beside it has recordings or texts but no list, there
            is no translation for training, or no transcript while there are texts in a third
            language.
    """
    splits = _find_splits(require_folder(root), lists, (source_language, target_language))
    train = splits.get("train")
    endings = _TEXT_ENDINGS
    if train and not train.text(target_language, endings[:1]):
        endings = endings[::-1]  # true-cased for training, so true-cased for testing
    translated = [split for split in splits.values() if split.text(target_language, endings)]
    if not translated or (train and train not in translated):
        folder = (train or next(iter(splits.values()))).folder
        raise UserError(
            str(folder / "txt"),
            expected=f"the translations as {folder.name}.{target_language}",
            found=names_in(folder / "txt"),
            remedy="Give the target language as the endings of the files spell it.",
        )
    _check_transcripts(splits.values(), source_language, target_language)
    utterances = {}
    for name, split in splits.items():
        found = split.segment_list(lists)
        assert found is not None
        segment_list, segments = found
        utterances[name] = aligned_utterances(
            segments,
            segment_list,
            [split.folder / "wav", split.folder],
            transcripts=split.text(source_language, endings),
            translations=split.text(target_language, endings),
        )
    return utterances


def _check_transcripts(splits: Collection[_Split], source: str, target: str) -> None:
    for split in splits:
        if split.text(source, _TEXT_ENDINGS):
            return
    for split in splits:
        if others := sorted(split.languages() - {target}):
            name = split.folder.name
            raise UserError(
                str(split.folder / "txt"),
                expected=f"the transcripts as {name}.{source}, or translations alone",
                found=", ".join(f"{name}.{language}" for language in others),
                remedy="Give the source language as the endings of the files spell it; if there "
                "are no transcripts, move the files of other languages away.",
            )


def _find_splits(root: Path, lists: SegmentLists, languages: tuple[str, str]) -> dict[str, _Split]:
    pair = "-".join(languages)
    places = (root, root / "data", root / pair, root / pair / "data")
    for place in places:
        if not place.is_dir():
            continue
        folders = [_Split(path) for path in sorted(place.iterdir()) if path.is_dir()]
        splits = {split.folder.name: split for split in folders if split.segment_list(lists)}
        if splits:
            for split in folders:
                if split.folder.name not in splits and split.is_begun(languages):
                    raise _unlisted(split, lists)
            return {new: splits[old] for old, new in dev_named(splits).items()}
    raise UserError(
        str(root),
        expected=f"folders of splits with {' or '.join(lists)}, here, in data or in {pair}/data",
        found=names_in(root),
        remedy="Give the folder that the corpus was unpacked into, and both languages.",
    )


def _unlisted(split: _Split, lists: SegmentLists) -> UserError:
    names = [pattern.format(split=split.folder.name) for pattern in lists]
    has_texts = (split.folder / "txt").is_dir()
    return UserError(
        str(split.folder),
        expected=f"a list of segments, as other splits here have one: {' or '.join(names)}",
        found=names_in(split.folder / "txt" if has_texts else split.folder),
        remedy="Restore the list, or move the folder away.",
    )
