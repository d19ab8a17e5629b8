"""Utterances of any corpus -> lhotse manifests that `train` and `evaluate` read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from horizon_st.data.audio import Cut
from horizon_st.data.corpora.aligned import dev_named
from horizon_st.data.corpora.cutting import (
    UnusableError,
    Utterance,
    forget_recordings,
    to_piece,
)
from horizon_st.data.corpora.earlier import EarlierManifests
from horizon_st.data.files import make_folder, refuse_originals, whole_files
from horizon_st.data.jsonl import read_json_lines
from horizon_st.data.validation.columns import id_fingerprint
from horizon_st.data.validation.manifests import TEST_RANK, held_out_rank
from horizon_st.data.validation.spans import Spans, span_of
from horizon_st.errors import UserError

LEFT_OUT_FILE = "left_out.jsonl"
OTHER_FILES = (LEFT_OUT_FILE, "problems.jsonl", "dropped.jsonl", "text_pairs.jsonl")
"""Of a folder of manifests: names that no manifest can have."""


@dataclass
class PreparedCorpus:
    """What `write_corpus` wrote.

    Attributes:
        folder: where ``SPLIT.jsonl`` and, if rows were left out, ``left_out.jsonl`` lie.
        num_utterances: per split.
        hours: of speech, per split.
        num_transcribed: utterances with a transcript, per split.
        num_clipped: utterances shortened to what is in their recording.
        left_out: rows that could not be used, by reason.
        lost: test splits without a usable row, which have no manifest.
    """

    folder: Path
    num_utterances: dict[str, int] = field(default_factory=dict)
    hours: dict[str, float] = field(default_factory=dict)
    num_transcribed: dict[str, int] = field(default_factory=dict)
    num_clipped: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)


def write_corpus(
    out: Path,
    splits: Mapping[str, Iterable[Utterance]],
    *,
    source_language: str | None = None,
    target_language: str | None = None,
    originals: Iterable[Path] = (),
    progress: Callable[[str, int], None] | None = None,
) -> PreparedCorpus:
    """The manifests ``out/SPLIT.jsonl``; rows that cannot be used are left out and listed.

    A test split of which none can be used is left out, if there is another split.
    Segments that reach a little beyond their recording are clipped to it, and counted. Left out of
    train are rows whose sound is held out; so what is held out is read first.
    What earlier preparations left out of other splits stays listed.
    Rows are read one by one; some 80 bytes are kept of each of a split, 32 of each that is held
    out, and as many of all beside manifests that stay on the other side of training. Files appear
    when all are written; if one cannot be, nothing changes. Manifests of other names stay, unless
    training would then see what they hold out.

    Args:
        out: folder, made if need be; manifests of the same names are replaced.
        splits: the utterances of each split.
        source_language: of the speech, kept in the manifest.
        target_language: of the translations, likewise.
        originals: files that the utterances come from, of which none is replaced.
        progress: called with the split and the rows read so far.

    Raises:
        UserError: the corpus's own files are damaged, a split has no row, or none that is usable
            though it is trained on, chooses among models or is the only one; a manifest would
            replace an original or share utterances with one that stays; or the folder cannot be
            written to.
    """
    names = [LEFT_OUT_FILE, *(f"{split}.jsonl" for split in splits)]
    refuse_originals([out / name for name in names], originals)
    make_folder(out)
    forget_recordings()
    earlier = EarlierManifests(out, names)
    corpus = PreparedCorpus(out)
    corpus.num_utterances = dict.fromkeys(splits, 0)  # in the caller's order
    held_out: dict[str, Spans] = {}
    languages = {"source": source_language, "target": target_language}
    before = _left_out_of_others(out, splits)
    with whole_files([out / name for name in names], keep_empty=False) as [left_out, *manifests]:
        left_out.writelines(before)
        files = dict(zip(splits, manifests, strict=True))
        for split in sorted(splits, key=held_out_rank, reverse=True):
            is_trained_on = held_out_rank(split) == 0
            spans = Spans() if earlier.concern(split) or not is_trained_on else None
            writer = _SplitWriter(
                split,
                corpus,
                languages,
                manifest=files[split],
                left_out=left_out,
                spans=spans,
                held_out=held_out if is_trained_on else {},
            )
            for number, utterance in enumerate(splits[split], start=1):
                writer.add(utterance)
                if progress is not None:
                    progress(split, number)
            writer.finish(may_be_lost=held_out_rank(split) == TEST_RANK and len(splits) > 1)
            if spans is not None:
                earlier.refuse_shared(split, spans)
                if not is_trained_on:
                    held_out[split] = spans
    return corpus


def _left_out_of_others(out: Path, splits: Collection[str]) -> list[str]:
    """Lines of an earlier list of what was left out, those of splits that are not written anew."""
    path = out / LEFT_OUT_FILE
    if not path.is_file():
        return []
    rows = [row for _, row in read_json_lines(path)]
    return [
        json.dumps(row, ensure_ascii=False) + "\n"
        for row in rows
        if isinstance(row, dict) and row.get("split") not in splits
    ]


def select_splits(
    splits: Mapping[str, Iterable[Utterance]], names: Iterable[str]
) -> dict[str, Iterable[Utterance]]:
    """Those of some names; the others are not read.

    Args:
        splits: the utterances of each split.
        names: of manifests to be, or others for the same such as ``valid``; empty for all.

    Raises:
        UserError: there is no such split.
    """
    chosen = {}
    for name in names:
        split = name if name in splits else dev_named([name])[name]
        if split not in splits:
            raise UserError(
                "--split",
                expected=f"one of {', '.join(splits)}",
                found=name,
                remedy="Name splits as the manifests are named.",
            )
        chosen[split] = splits[split]
    return chosen or dict(splits)


class _SplitWriter:
    """Writes the usable rows of one split, lists the others, and keeps count.

    Args:
        split: its name.
        corpus: gets the counts.
        languages: of ``source`` and ``target``.
        manifest: to write to.
        left_out: likewise, for the other rows.
        spans: gets those of the rows that are written; None where nobody asks.
        held_out: those of other splits, whose sound must not be in this one.
    """

    def __init__(
        self,
        split: str,
        corpus: PreparedCorpus,
        languages: Mapping[str, str | None],
        *,
        manifest: IO[str],
        left_out: IO[str],
        spans: Spans | None,
        held_out: Mapping[str, Spans],
    ) -> None:
        self._split = split
        self._corpus = corpus
        self._languages = languages
        self._manifest = manifest
        self._left_out = left_out
        self._spans = spans
        self._held_out = held_out
        self._seen: set[int] = set()
        self._num_transcribed = 0
        self._seconds = 0.0
        self._reasons: Counter[str] = Counter()
        self._last: tuple[str, str, object] | None = None

    def add(self, utterance: Utterance) -> None:
        """Writes the row, or lists it among those left out."""
        name = id_fingerprint(utterance.id)
        try:
            if name in self._seen:
                raise UnusableError("duplicate id", utterance.id)
            cut, is_clipped = to_piece(utterance, self._languages)
            self._check_held_out(cut)
        except UnusableError as problem:
            self._corpus.left_out[problem.reason] += 1
            self._reasons[problem.reason] += 1
            self._last = (utterance.place, problem.reason, problem.found)
            row = {
                "place": utterance.place,
                "split": self._split,
                "id": utterance.id[:200],
                "reason": problem.reason,
                "found": str(problem.found)[:200],
            }
            line = json.dumps(row, ensure_ascii=False)
            self._left_out.write(line.encode("utf-8", "replace").decode("utf-8") + "\n")
            return
        self._seen.add(name)
        self._corpus.num_clipped += is_clipped
        self._num_transcribed += utterance.transcript is not None
        self._seconds += cut.duration
        if self._spans is not None:
            self._spans.add(span_of(cut))
        self._manifest.write(json.dumps(cut.to_dict(), ensure_ascii=False) + "\n")

    def _check_held_out(self, cut: Cut) -> None:
        for split, spans in self._held_out.items():
            if spans.find(span_of(cut)) is not None:
                end_s = cut.start + cut.duration
                found = f"{cut.recording.sources[0].source}, {cut.start:.2f} to {end_s:.2f} s"
                raise UnusableError(f"recording also in {split}", found)

    def finish(self, *, may_be_lost: bool) -> None:
        """Notes the sums of the split, which must have a usable row, or may lose all it has."""
        if not self._seen and self._reasons and may_be_lost:
            self._corpus.lost.append(self._split)
            del self._corpus.num_utterances[self._split]
            return
        if not self._seen:
            place, reason, found = self._last or (self._split, "no rows", "none")
            counts = ", ".join(f"{n:,} × {name}" for name, n in self._reasons.most_common())
            raise UserError(
                place,
                expected=f"a usable utterance in {self._split}",
                found=f"{reason}: {found}" + (f" (in all {counts})" if counts else ""),
                remedy="Check the layout of the corpus, and that its audio lies where it says.",
            )
        self._corpus.num_utterances[self._split] = len(self._seen)
        self._corpus.hours[self._split] = self._seconds / 3600
        self._corpus.num_transcribed[self._split] = self._num_transcribed
