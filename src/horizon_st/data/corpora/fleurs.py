"""FLEURS in its own layout, read as speech translation -> utterances.

Conneau et al. 2022 (SLT, arXiv 2205.12446): the same sentences read aloud in 102 languages. Each
has ``data/LANGUAGE/{train,dev,test}.tsv`` without header (sentence id, file, transcription as
written, in lower case without punctuation, as characters, number of samples, gender) and
``data/LANGUAGE/audio/SPLIT.tar.gz``, to be unpacked there. A recording's translation is the text of
the same sentence id in the other language.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from horizon_st.data.audio import SAMPLING_RATE
from horizon_st.data.corpora.aligned import find_audio, names_in, without_ending
from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.corpora.segments import seconds, unreadable_time
from horizon_st.data.files import read_lines, require_folder
from horizon_st.errors import UserError

SPLITS = ("train", "dev", "test")
_NUM_COLUMNS = 7

Text = Literal["raw", "normalized"]


class _Row(NamedTuple):
    place: str
    sentence: str
    file: str
    text: str
    duration_s: float
    unreadable_time: str | None


def read_fleurs(
    root: Path, *, source_language: str, target_language: str, text: Text = "raw"
) -> dict[str, Iterator[Utterance]]:
    """The utterances of the source language's splits; ids are the names of the recordings.

    Sentences that the target language lacks get an empty translation, so that they are counted.

    Args:
        root: the corpus, or its folder ``data``.
        source_language: code of FLEURS, such as ``en_us``.
        target_language: likewise; its audio is not needed.
        text: ``raw`` as written, or ``normalized`` in lower case without punctuation.

    Raises:
        UserError: the layout is another, audio is not unpacked, a table is missing or damaged.
    """
    data = require_folder(root) / "data" if (root / "data").is_dir() else root
    for language in (source_language, target_language):
        if not (data / language).is_dir():
            raise UserError(
                str(data / language),
                expected="the folder of a language",
                found=names_in(data),
                remedy="Give FLEURS's own codes, such as en_us, and download both languages.",
            )
    source, target = data / source_language, data / target_language
    splits = [
        split
        for split in SPLITS
        if (source / f"{split}.tsv").is_file() or (source / "audio" / split).is_dir()
    ]
    if not splits:
        raise UserError(
            str(source),
            expected=f"a split, such as {SPLITS[0]}.tsv",
            found=names_in(source),
            remedy="Download the TSV files of both languages.",
        )
    for table in (folder / f"{split}.tsv" for split in splits for folder in (source, target)):
        if not table.is_file():
            raise UserError(
                str(table),
                expected=f"the texts of a split that {source_language} has",
                found=names_in(table.parent),
                remedy="Download the TSV files of both languages, or move what is of other splits "
                "away.",
            )
    return {split: _read_split(split, source, target, text) for split in splits}


def _read_split(split: str, source: Path, target: Path, text: Text) -> Iterator[Utterance]:
    audio = _audio_folder(source, split)
    translations: dict[str, str] = {}
    for row in _rows(target / f"{split}.tsv", text):
        translations.setdefault(row.sentence, row.text)
    for row in _rows(source / f"{split}.tsv", text):
        yield Utterance(
            id=without_ending(row.file),
            audio=find_audio([audio], row.file),
            transcript=row.text or None,
            translation=translations.get(row.sentence, ""),
            duration_s=row.duration_s,
            unreadable_time=row.unreadable_time,
            place=row.place,
        )


def _rows(path: Path, text: Text) -> Iterator[_Row]:
    for place, line in read_lines(path):
        values = line.split("\t")
        if len(values) != _NUM_COLUMNS:
            raise UserError(
                place,
                expected=f"{_NUM_COLUMNS} values with tabs between, the second a file name",
                found=f"{len(values)} in {line[:80]}",
                remedy="Take the file as it was published, or mend the row.",
            )
        sentence, file, raw, normalized, _, num_samples, _ = values
        chosen = raw if text == "raw" else normalized
        duration_s = seconds(num_samples) / SAMPLING_RATE
        unreadable = unreadable_time(num_samples)
        yield _Row(place, sentence, file, chosen.strip(), duration_s, unreadable)


def _audio_folder(source: Path, split: str) -> Path:
    folder = source / "audio" / split
    archive = folder.with_name(f"{split}.tar.gz")
    if not folder.is_dir() and archive.is_file():
        raise UserError(
            str(folder),
            expected="the recordings of the split",
            found=f"{archive.name} beside it",
            remedy=f"Unpack them with `tar -xzf {archive} -C {folder.parent}`.",
        )
    return folder
