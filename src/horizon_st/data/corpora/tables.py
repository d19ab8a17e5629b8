"""TSV, CSV and JSONL tables of one's own -> utterances.

One row per utterance. A TSV file has a header and no quoting, a CSV file a header and the quoting
of spreadsheets; a line of JSONL is an object. Blank lines are skipped. The names of the fields,
with those also understood, in any case:

========  ==========================================================================
audio     path, wav, file, file_name, filename, audio_path, audio_file, audio_filepath
target    translation, target_text, tgt_text, translated_text
source    transcript, transcription, sentence, source_text, src_text, text
offset    start, offset_s, start_s, begin
duration  duration_s
end       end_s: taken where there is no duration
channel   0, 1, … or A, B, …; without, channels are averaged
speaker   speaker_id, client_id, spk
id        utt_id, utterance_id
split     set, subset
========  ==========================================================================

Audio and target must be there; others, such as gender, are ignored. Paths of audio start at the
folder of the file, or at another that is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from horizon_st.data.corpora.aligned import (
    SPLIT_NAMES,
    dev_named,
    find_audio,
    known_split,
    names_in,
    without_ending,
)
from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.corpora.fields import FIELDS
from horizon_st.data.corpora.held_out import HeldOutBy, hold_out
from horizon_st.data.corpora.segments import seconds, unreadable_time
from horizon_st.data.corpora.table_rows import Row, Rows, csv_rows, jsonl_rows, tsv_rows
from horizon_st.data.corpora.utterances import OTHER_FILES
from horizon_st.data.files import require_folder
from horizon_st.errors import UserError

TableForm = Literal["tsv", "csv", "jsonl"]

_ROWS: dict[TableForm, Rows] = {"tsv": tsv_rows, "csv": csv_rows, "jsonl": jsonl_rows}
_MOST_SPLITS = 50
_LONGEST_SPLIT = 50


def read_table(
    form: TableForm,
    path: Path,
    *,
    dev_share: float | None = None,
    dev_by: HeldOutBy = "recording",
    audio: Path | None = None,
) -> dict[str, Iterator[Utterance]]:
    """The utterances of a file of this form, or of all such files of a folder, by split.

    Rows of a table without such a column belong to the split that their file is named after; those
    of a single file with another name, to ``train``. Names are known in any case: ``Training`` is
    ``train``, ``VALID`` is ``dev``. Rows without an id are named after their audio, and numbered
    over all files where they have an offset or a channel.

    Args:
        form: of the files, and how their names end.
        path: the file or folder.
        dev_share: about what share of the recordings of ``train`` becomes ``dev``, see `hold_out`.
        dev_by: whether it is recordings or speakers that stay together.
        audio: folder where paths of audio start; None for that of each file.

    Raises:
        UserError: there is no file, a row is damaged, there is no column for audio or target, or a
            share is given beside a ``dev``.
    """
    rows = _ROWS[form]
    if audio is not None:
        require_folder(audio)
    homes: dict[Path, str] = {}
    parts: dict[str, Path] = {}
    empty: dict[str, Path] = {}
    for file, default in table_files(path, form).items():
        found = _splits_in(file, rows, default)
        if not found:
            empty[default] = file
        homes[file] = default if default in found else next(iter(found), default)
        parts |= dict.fromkeys(found, file)
    for split, file in empty.items():
        if split not in parts:
            raise UserError(
                str(file),
                expected="a row for each utterance",
                found="none",
                remedy="Fill the table, or move the file away.",
            )
    names = dev_named(parts)
    splits = {new: _utterances(homes, rows, audio, old, parts[old]) for old, new in names.items()}
    if dev_share is None:
        if dev_by == "recording":
            return splits
        raise UserError(
            "--dev-by",
            expected="--dev-share beside it, which it is about",
            found="none",
            remedy="Add --dev-share, such as 0.05.",
        )
    if "train" not in splits or "dev" in splits:
        raise UserError(
            str(path),
            expected="a train split and no dev split, to hold out a share as dev",
            found=", ".join(names),
            remedy="Leave out --dev-share.",
        )
    train = partial(_utterances, homes, rows, audio, "train", parts["train"])
    folder = path if path.is_dir() else path.parent
    return hold_out(train, folder, dev_share, by=dev_by) | {
        name: utterances for name, utterances in splits.items() if name != "train"
    }


def table_files(path: Path, form: TableForm) -> dict[Path, str]:
    """The tables at a path, each with the split of its rows that name none.

    Raises:
        UserError: the path is a folder that has no file of this form.
    """
    files, ending = [path], f".{form}"
    if path.is_dir():
        files = [
            file for file in sorted(path.iterdir()) if file.name.endswith((ending, f"{ending}.gz"))
        ]
    names = {file: known_split(file.name.partition(ending)[0]) for file in files}
    if len(files) == 1 and names[files[0]] not in SPLIT_NAMES:
        return {files[0]: "train"}
    if not files:
        raise UserError(
            str(path),
            expected=f"files such as train{ending}",
            found=names_in(path),
            remedy="Give the file itself, or a folder of such files.",
        )
    return names


def _splits_in(file: Path, rows: Rows, default: str) -> list[str]:
    """The splits of a file, checked as names of files; the default where all rows lack theirs."""
    found: dict[str, str] = {}
    has_rows = False
    for place, row in rows(file):
        has_rows = True
        split = _split_of(row, default, place)
        if split in found or split is None:
            continue
        found[split] = place
        if (
            not split.replace("-", "").replace("_", "").isalnum()
            or len(split) > _LONGEST_SPLIT
            or len(found) > _MOST_SPLITS
        ):
            raise UserError(
                place,
                expected=f"one of a few splits, such as {', '.join([*found][:3])}",
                found=split[:80],
                remedy="Name splits with letters, digits, - and _; the column for it is one of "
                f"split, {', '.join(FIELDS['split'])}.",
            )
        if f"{split.lower()}.jsonl" in OTHER_FILES:
            raise UserError(
                place,
                expected="the name of a split, from a column for it or from the file's name",
                found=f"{split}, and {split}.jsonl is another file beside the manifests",
                remedy="Name the split otherwise, or leave this file out.",
            )
    return [*found] or [default] * has_rows


def _utterances(
    homes: Mapping[Path, str], rows: Rows, folder: Path | None, split: str, last: Path
) -> Iterator[Utterance]:
    """The utterances of one split; segments are numbered over all files, so that ids differ.

    Args:
        homes: the files, each with the split of its rows that name none.
        rows: reads a file.
        folder: of the audio; None for that of each file.
        split: that is read.
        last: of the files, the last one that has some of it.
    """
    numbers: Counter[str] = Counter()
    for file, home in homes.items():
        for place, row in rows(file):
            audio = _text(row, "audio", place)
            name = without_ending(audio).lstrip("./\\")
            named = _split_of(row, home, place)
            number = ""
            if "offset" in row or "channel" in row:
                number = f"_{numbers[name]}"
                numbers[name] += 1
            if (named or home) != split:
                continue
            offset_s, duration_s, unreadable = _times(row)
            yield Utterance(
                id=_text(row, "id", place) or f"{name}{number}",
                audio=find_audio([folder or file.parent], audio),
                transcript=_text(row, "source", place) or None,
                translation=_text(row, "target", place),
                offset_s=offset_s,
                duration_s=duration_s,
                speaker=_text(row, "speaker", place) or None,
                channel=_text(row, "channel", place) or None,
                place=place,
                unreadable_time=unreadable,
                lacks_split=named is None,
            )
        if file == last:
            return


def _split_of(row: Row, default: str, place: str) -> str | None:
    """The split that a row names, the default in a table without splits, None where it is blank."""
    if "split" not in row:
        return default
    return known_split(_text(row, "split", place)) or None


def _text(row: Row, field: str, place: str) -> str:
    """A field's text without the space around it; empty where there is none."""
    value = row.get(field)
    if value is None:
        return ""
    if field in ("id", "speaker", "channel") and isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise UserError(
            place,
            expected=f"text as {field}",
            found=str(value)[:80],
            remedy="Mend or remove the row.",
        )
    return value.strip()


def _times(row: Row) -> tuple[float, float | None, str | None]:
    """Offset, duration where the row limits it, and the first of both that is not a number."""
    offset = _number(row, "offset") or "0"
    duration, end = _number(row, "duration"), _number(row, "end")
    unreadable = unreadable_time(*(text for text in (offset, duration or end) if text))
    offset_s = seconds(offset)
    if duration is None and end is not None:
        return offset_s, seconds(end) - offset_s, unreadable
    return offset_s, None if duration is None else seconds(duration), unreadable


def _number(row: Row, field: str) -> str | None:
    """What a row has for a number, as text; None where it has nothing."""
    value = row.get(field)
    return None if value is None else str(value).strip() or None
