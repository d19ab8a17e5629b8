"""Manifests -> copies that training takes, and a count of what was changed and left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os.path import relpath
from pathlib import Path
from typing import IO, Any

from horizon_st.data.audio import audio_info
from horizon_st.data.clipping import clip_span
from horizon_st.data.cut_checks import END_TOLERANCE_S, TRANSLATION_KEY
from horizon_st.data.files import link_or_copy, make_folder, whole_file
from horizon_st.data.text_pairs import read_text_pairs
from horizon_st.data.validation.columns import SplitColumns, id_fingerprint
from horizon_st.data.validation.held_out_pairs import (
    check_pairs_copy,
    held_out_pairs,
    text_pairs_of,
    write_pairs_without,
)
from horizon_st.data.validation.manifests import (
    DROPPED_FILE,
    count_lines,
    find_manifests,
    held_out_rank,
    split_name,
)
from horizon_st.data.validation.problems import Problem, ProblemLog
from horizon_st.data.validation.rows import Row, check_line, read_rows
from horizon_st.data.validation.sound import listen, with_sound
from horizon_st.data.validation.spans import Spans, span_of
from horizon_st.data.validation.survey import Progress
from horizon_st.data.validation.texts import fingerprint
from horizon_st.errors import UserError

_LEFT_OUT_WARNINGS = ("sentence in two splits", "recording in two splits")
"""Of rows of train."""


@dataclass
class Repairs:
    """What `repair` did.

    Attributes:
        folder: where the copies lie, and ``dropped.jsonl`` with every row left out and why.
        num_read: rows of each split.
        num_kept: rows of each copy; a split without any has no copy.
        text_pairs: the copy of the pairs that lay beside what is trained on, if any did.
        changed: rows by what was done to them.
        dropped: the first error of each row that was left out, and pairs that are held out.
    """

    folder: Path
    num_read: dict[str, int] = field(default_factory=dict)
    num_kept: dict[str, int] = field(default_factory=dict)
    changed: Counter[str] = field(default_factory=Counter)
    dropped: ProblemLog = field(default_factory=ProblemLog)
    text_pairs: Path | None = None

    @property
    def lost(self) -> list[str]:
        """Splits of which nothing is left."""
        return [name for name, num_kept in self.num_kept.items() if num_kept == 0]


def repair(
    manifests: Sequence[Path],
    out: Path,
    *,
    check_audio: bool = True,
    num_workers: int = 0,
    heard: Sequence[SplitColumns] = (),
    progress: Progress | None = None,
) -> Repairs:
    """Copies ``out/SPLIT.jsonl`` without what training refuses.

    Texts are trimmed, empty transcripts removed, segments clipped to their recording where little
    is missing. Left out are rows that still have an error, all but the first of an id, and rows of
    train whose two texts or whose sound also stand in another split. The audio stays where it is:
    absolute paths are kept, relative ones made relative to `out`. Text pairs beside train come
    along, but for those that are held out.

    Args:
        manifests: as for `validate`.
        out: folder, made if need be.
        check_audio: whether to decode all sound; without, unreadable sound stays.
        num_workers: processes that decode; 0 for this one.
        heard: splits of a report on the same manifests: what was sound is not decoded again.
        progress: called now and then.

    Raises:
        UserError: a manifest is not there, two have one name, a copy would replace its original, or
            there are other text pairs where those beside train go.
    """
    paths = check_copies(manifests, out)
    with whole_file(out / DROPPED_FILE, keep_empty=False) as dropped:
        repairs = Repairs(out, dropped=ProblemLog(dropped))
        held_out, held_out_spans = set[int](), Spans()
        for path in sorted(paths, key=lambda path: -held_out_rank(split_name(path))):
            name = split_name(path)
            known = next((split for split in heard if split.manifest == path), None)
            copier = _Copier(
                repairs, name, held_out, held_out_spans, known, check_audio=check_audio
            )
            num_lines = 0 if progress is None else count_lines(path)
            mended = (copier.mend(row) for row in read_rows(path))
            rows = with_sound(mended, num_workers) if check_audio else mended
            with whole_file(out / f"{name}.jsonl", keep_empty=False) as file:
                for row in rows:
                    copier.write(row, file)
                    if progress is not None:
                        done = repairs.num_read[name]
                        progress(name, done, max(num_lines, done))
        _carry_text_pairs(paths, repairs, held_out, progress)
    return repairs


def check_copies(manifests: Sequence[Path], out: Path) -> list[Path]:
    """The manifests of which `repair` can write copies; the folder for them is made if need be.

    Raises:
        UserError: as `repair`, which may come after hours of decoding.
    """
    paths, _ = find_manifests(manifests)
    originals: dict[Path, Path] = {}
    sources = {path.resolve() for path in paths}
    for path in paths:
        target = (out / f"{split_name(path)}.jsonl").resolve()
        if target in sources or target in originals:
            found = "the original" if target in sources else f"the copy of {originals[target]}"
            raise UserError(
                str(path),
                expected="a name of its own for the repaired copy",
                found=f"{target}, which is {found}",
                remedy="Give another folder for the copies, or rename one of the manifests.",
            )
        originals[target] = path
    make_folder(out)
    check_pairs_copy(text_pairs_of(paths), out)
    return paths


def _carry_text_pairs(
    manifests: Sequence[Path],
    repairs: Repairs,
    held_out: set[int],
    progress: Progress | None,
) -> None:
    """The text pairs beside train in the folder of the copies, without those that are held out.

    A second name of their file, where all stay and disks can do that.
    """
    path = text_pairs_of(manifests)
    if path is None:
        return
    left_out: set[int] = set()
    try:
        pairs = read_text_pairs(path)
        for index, problem in held_out_pairs(pairs, path, held_out, progress):
            left_out.add(index)
            repairs.dropped.add(problem)
    except UserError as error:
        repairs.dropped.add(Problem("damaged file", error.place, error.found))
        return
    copy = repairs.folder / path.name
    if len(left_out) == len(pairs):
        copy.unlink(missing_ok=True)
        return
    if left_out:
        write_pairs_without(left_out, pairs, copy)
    else:
        link_or_copy(path, copy)
    repairs.text_pairs = copy


class _Copier:
    """Mends the rows of one split and writes those that can be used."""

    def __init__(
        self,
        repairs: Repairs,
        name: str,
        held_out: set[int],
        held_out_spans: Spans,
        known: SplitColumns | None,
        *,
        check_audio: bool,
    ) -> None:
        self._repairs = repairs
        self._name = name
        self._is_train = held_out_rank(name) == 0
        self._held_out = held_out
        self._held_out_spans = held_out_spans
        self._known = known
        self._check_audio = check_audio
        self._ids: set[int] = set()
        repairs.num_read[name] = repairs.num_kept[name] = 0

    def mend(self, row: Row) -> Row:
        """The row with its texts, times and paths made right, and checked anew."""
        if row.cut is None:
            return row
        value = json.loads(row.line)
        changes = [*_mend_texts(value), *_clip(value)]
        if changes:
            return _changed(row, value, changes)
        row.is_sound = self._known is not None and self._known.was_sound(row)
        return row

    def write(self, row: Row, file: IO[str]) -> None:
        """Writes the row, if it can be used."""
        repairs = self._repairs
        repairs.num_read[self._name] += 1
        errors = [problem.kind for problem in row.problems if problem.severity == "error"]
        if errors == ["truncated audio"]:
            row = _shortened(row)
        if row.is_usable and row.cut is not None:
            self._check_known(row)
        left_out = next((item for item in row.problems if _is_left_out(item)), None)
        if left_out is not None:
            repairs.dropped.add(left_out)
            return
        assert row.cut is not None
        repairs.num_kept[self._name] += 1
        repairs.changed.update(row.changes)
        if not self._is_train:
            self._held_out_spans.add(span_of(row.cut))
            if None not in row.texts:
                self._held_out.add(fingerprint(*row.texts))
        value = json.loads(row.line)
        _move_paths(value, _manifest_of(row).parent, repairs.folder)
        file.write(json.dumps(value, ensure_ascii=False) + "\n")

    def _check_known(self, row: Row) -> None:
        """Notes an id that came before, or texts or sound that are held out."""
        assert row.cut is not None
        name = id_fingerprint(row.cut.id)
        if name in self._ids:
            row.add("duplicate id", row.cut.id)
        elif self._is_train and fingerprint(*row.texts) in self._held_out:
            row.add("sentence in two splits", f"“{row.texts[1]}”")
        elif self._is_train and self._held_out_spans.find(span_of(row.cut)) is not None:
            row.add("recording in two splits", str(row.cut.recording.sources[0].source))
        else:
            self._ids.add(name)


def _shortened(row: Row) -> Row:
    """The row with the length that its recording has, if that lets it be used."""
    value = json.loads(row.line)
    try:
        [source] = value["recording"]["sources"]
        info = audio_info(_manifest_of(row).parent / source["source"])
    except (UserError, ValueError):
        return row
    duration_s = info.num_samples / info.sampling_rate
    rate = value["recording"]["sampling_rate"]
    value["recording"] |= {"duration": duration_s, "num_samples": round(duration_s * rate)}
    shortened = _changed(row, value, [*row.changes, *_clip(value)])
    if shortened.is_usable and shortened.cut is not None:
        for kind, found in listen(shortened.cut):
            shortened.add(kind, found)
    return shortened if shortened.is_usable else row


def _changed(row: Row, value: Any, changes: list[str]) -> Row:
    """The row of a changed value, checked anew."""
    line = json.dumps(value, ensure_ascii=False).encode()
    changed = check_line(line, row.place, _manifest_of(row))
    changed.changes = changes
    return changed


def _manifest_of(row: Row) -> Path:
    return Path(row.place.rpartition(":")[0])


def _is_left_out(problem: Problem) -> bool:
    return problem.severity == "error" or problem.kind in _LEFT_OUT_WARNINGS


def _mend_texts(value: Any) -> Iterator[str]:
    """Trims both texts in place and removes an empty transcript."""
    [supervision] = value["supervisions"]
    transcript = supervision.get("text")
    if isinstance(transcript, str) and transcript.strip():
        if transcript != transcript.strip():
            supervision["text"] = transcript.strip()
            yield "transcript trimmed"
    elif transcript is not None:
        del supervision["text"]
        yield "empty transcript removed"
    custom = supervision.get("custom") or {}
    translation = custom.get(TRANSLATION_KEY)
    if isinstance(translation, str) and translation != translation.strip():
        custom[TRANSLATION_KEY] = translation.strip()
        yield "translation trimmed"


def _clip(value: Any) -> Iterator[str]:
    """Shortens a segment in place to what is in its recording, if it loses little."""
    if not value.get("recording"):
        return
    clipped = clip_span(value["start"], value["duration"], value["recording"]["duration"])
    if clipped is not None and value["duration"] - clipped[1] > END_TOLERANCE_S:
        start_s, duration_s = clipped
        value |= {"start": start_s, "duration": duration_s}
        [supervision] = value["supervisions"]
        supervision |= {"start": 0.0, "duration": duration_s}
        yield "segment clipped"


def _move_paths(value: Any, folder: Path, out: Path) -> None:
    """Makes relative paths start at `out` instead of `folder`, in place."""
    for source in value["recording"]["sources"]:
        if source["type"] == "file" and not Path(source["source"]).is_absolute():
            source["source"] = relpath(folder.resolve() / source["source"], out.resolve())
