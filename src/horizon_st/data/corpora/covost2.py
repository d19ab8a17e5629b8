r"""CoVoST 2 in its own layout -> utterances.

Wang et al. 2021 (Interspeech, arXiv 2007.10310): translations of Common Voice, whose release has
``clips/NAME.mp3`` and ``validated.tsv``. The translations are ``covost_v2.fr_en.tsv`` with the
columns path, translation and split, to be joined over path; or, after CoVoST's own script,
``covost_v2.fr_en.train.tsv`` and so on with path, sentence, translation and client_id. Neither is
quoted, and a backslash escapes: a quotation mark is written ``\"``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from horizon_st.data.corpora.aligned import find_audio, names_in, without_ending
from horizon_st.data.corpora.columns import ColumnFile, escaped_tab_separated
from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.files import require_folder
from horizon_st.errors import UserError

SPLITS = ("train", "dev", "test")
_ROWS_OF = {"train": "train", "train_covost": "train", "dev": "dev", "test": "test"}
"""Value of the column split -> split. CoVoST 2 adds rows of its own to train alone."""
_UNUSED = ("dev_covost", "test_covost")


def read_covost2(
    root: Path, *, source_language: str, target_language: str, translations: Path | None = None
) -> dict[str, Iterator[Utterance]]:
    """The utterances of train, dev and test; ids are the names of the clips.

    Rows whose clip is not in ``validated.tsv`` have no transcript. Of the unsplit form, the
    transcripts of one split at a time are held in memory.

    Args:
        root: Common Voice's folder of the source language, with ``clips``; or what holds it.
        source_language: as the files spell it, such as ``fr`` or ``sv-SE``.
        target_language: likewise.
        translations: folder of CoVoST's files, where they do not lie in `root` or beside ``clips``.

    Raises:
        UserError: a file is missing or damaged, or has no such column.
    """
    pair = f"covost_v2.{source_language}_{target_language}"
    home = root if (require_folder(root) / "clips").is_dir() else root / source_language
    folders = [translations] if translations else [home, root]
    for folder in folders:
        files = {split: folder / f"{pair}.{split}.tsv" for split in SPLITS}
        found = {split: file for split, file in files.items() if file.is_file()}
        if found:
            return {split: _read_split_file(file, home) for split, file in found.items()}
        if (folder / f"{pair}.tsv").is_file():
            table = ColumnFile(folder / f"{pair}.tsv", escaped_tab_separated)
            table.require("path", "translation", "split")
            validated = ColumnFile(home / "validated.tsv", escaped_tab_separated)
            validated.require("path", "sentence", "client_id")
            return {split: _join(table, validated, split, home) for split in SPLITS}
    raise UserError(
        " or ".join(map(str, folders)),
        expected=f"{pair}.tsv, or {pair}.train.tsv and so on",
        found=names_in(folders[0]),
        remedy="Put CoVoST's files beside Common Voice's, or give their folder, and both languages "
        "as the files spell them.",
    )


def _read_split_file(path: Path, home: Path) -> Iterator[Utterance]:
    table = ColumnFile(path, escaped_tab_separated)
    table.require("path", "sentence", "translation", "client_id")
    for place, row in table:
        yield _utterance(place, row, row["sentence"], row["client_id"], home)


def _join(table: ColumnFile, validated: ColumnFile, split: str, home: Path) -> Iterator[Utterance]:
    wanted = {row["path"] for _, row in _rows_of_split(table, split)}
    known = {
        row["path"]: (row["sentence"], row["client_id"])
        for _, row in validated
        if row["path"] in wanted
    }
    for place, row in _rows_of_split(table, split):
        sentence, speaker = known.get(row["path"], ("", ""))
        yield _utterance(place, row, sentence, speaker, home)


def _rows_of_split(table: ColumnFile, split: str) -> Iterator[tuple[str, dict[str, str]]]:
    return ((place, row) for place, row in table if _split_of(place, row["split"]) == split)


def _utterance(
    place: str, row: dict[str, str], sentence: str, speaker: str, home: Path
) -> Utterance:
    return Utterance(
        id=without_ending(row["path"]),
        audio=find_audio([home / "clips"], row["path"]),
        transcript=sentence.strip() or None,
        translation=row["translation"].strip(),
        speaker=speaker or None,
        place=place,
    )


def _split_of(place: str, value: str) -> str | None:
    if value not in _ROWS_OF and value not in _UNUSED:
        raise UserError(
            place,
            expected=f"as split one of {', '.join((*_ROWS_OF, *_UNUSED))}",
            found=value,
            remedy="Mend or remove the row.",
        )
    return _ROWS_OF.get(value)
