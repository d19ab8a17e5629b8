"""Utterances of any corpus -> lhotse manifests that `train` and `evaluate` read."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

from lhotse import Recording, SupervisionSegment
from lhotse.audio import AudioSource
from lhotse.cut import MonoCut, MultiCut

from horizon_st.data.audio import SHORTEST_S, audio_info
from horizon_st.data.corpora.earlier import EarlierManifests, sound_of
from horizon_st.data.cut_checks import END_TOLERANCE_S, TRANSLATION_KEY
from horizon_st.data.files import is_file, make_folder, refuse_originals, whole_files
from horizon_st.data.validation.columns import id_fingerprint
from horizon_st.errors import UserError

LEFT_OUT_FILE = "left_out.jsonl"
OTHER_FILES = (LEFT_OUT_FILE, "problems.jsonl", "dropped.jsonl", "text_pairs.jsonl")
"""Of a folder of manifests: names that no manifest can have."""
_NUM_KNOWN_RECORDINGS = 10_000
"""Headers kept: corpora list the segments of a long recording one after the other."""
_LONGEST_TEXT = 10_000
"""Characters: nobody says more in one utterance, so a longer field is two rows run together."""


@dataclass(frozen=True)
class Utterance:
    """One row of a corpus.

    Attributes:
        id: of its own within the split.
        audio: the recording, of any format, rate and channel count.
        translation: target text; None in test splits without references.
        transcript: source text, where there is one.
        offset_s: where in the recording it begins.
        duration_s: its length; None for all that follows.
        speaker: who speaks, where known.
        place: ``FILE:LINE`` of the row, for messages.
        unreadable_time: what the row has for a time, if that is not a number.
        lacks_split: whether it should say what split it belongs to, and does not.
    """

    id: str
    audio: Path
    translation: str | None
    transcript: str | None = None
    offset_s: float = 0.0
    duration_s: float | None = None
    speaker: str | None = None
    place: str = ""
    unreadable_time: str | None = None
    lacks_split: bool = False


@dataclass
class PreparedCorpus:
    """What `write_corpus` wrote.

    Attributes:
        folder: where ``SPLIT.jsonl`` and, if rows were left out, ``left_out.jsonl`` lie.
        num_utterances: per split.
        hours: of speech, per split.
        num_transcribed: utterances with a transcript, per split.
        left_out: rows that could not be used, by reason.
    """

    folder: Path
    num_utterances: dict[str, int] = field(default_factory=dict)
    hours: dict[str, float] = field(default_factory=dict)
    num_transcribed: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


class _Unusable(NamedTuple):
    """What is wrong with a recording: a value, since a cache keeps no exceptions."""

    reason: str
    found: str


class _UnusableError(Exception):
    """A row that cannot become a cut: a reason to count, and what was found."""

    def __init__(self, reason: str, found: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.found = found


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

    Rows are read one by one; some 80 bytes are kept of each of a split, and as many again beside
    manifests that stay and hold out what it trains on, or train on what it holds out. Files
    appear when all are written; if one cannot be, nothing changes. Manifests of other names stay,
    unless training would then see what they hold out.

    Args:
        out: folder, made if need be; manifests of the same names are replaced.
        splits: the utterances of each split.
        source_language: of the speech, kept in the manifest.
        target_language: of the translations, likewise.
        originals: files that the utterances come from, of which none is replaced.
        progress: called with the split and the rows read so far.

    Raises:
        UserError: the corpus's own files are damaged, a split has no usable row, a manifest would
            replace an original or share utterances with one that stays, or the folder cannot be
            written to.
    """
    names = [LEFT_OUT_FILE, *(f"{split}.jsonl" for split in splits)]
    refuse_originals([out / name for name in names], originals)
    make_folder(out)
    _recording.cache_clear()  # what was missing may have come since
    earlier = EarlierManifests(out, names)
    corpus = PreparedCorpus(out)
    languages = {"source": source_language, "target": target_language}
    with whole_files([out / name for name in names], keep_empty=False) as [left_out, *manifests]:
        for (split, utterances), manifest in zip(splits.items(), manifests, strict=True):
            sounds = set[bytes]() if earlier.concern(split) else None
            writer = _SplitWriter(split, corpus, languages, manifest, left_out, sounds)
            for number, utterance in enumerate(utterances, start=1):
                writer.add(utterance)
                if progress is not None:
                    progress(split, number)
            writer.finish()
            if sounds is not None:
                earlier.refuse_shared(split, sounds)
    return corpus


class _SplitWriter:
    """Writes the usable rows of one split, lists the others, and keeps count.

    Args:
        split: its name.
        corpus: gets the counts.
        languages: of ``source`` and ``target``.
        manifest: to write to.
        left_out: likewise, for the other rows.
        sounds: gets those of the rows that are written, from `sound_of`; None where nobody asks.
    """

    def __init__(
        self,
        split: str,
        corpus: PreparedCorpus,
        languages: Mapping[str, str | None],
        manifest: IO[str],
        left_out: IO[str],
        sounds: set[bytes] | None,
    ) -> None:
        self._split = split
        self._corpus = corpus
        self._languages = languages
        self._manifest = manifest
        self._left_out = left_out
        self._sounds = sounds
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
                raise _UnusableError("duplicate id", utterance.id)
            cut = _to_cut(utterance, self._languages)
        except _UnusableError as problem:
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
        self._num_transcribed += utterance.transcript is not None
        self._seconds += cut.duration
        value = cut.to_dict()
        if self._sounds is not None:
            self._sounds.add(sound_of(value))
        self._manifest.write(json.dumps(value, ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Notes the sums of the split, which must have a row."""
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


def _to_cut(utterance: Utterance, languages: Mapping[str, str | None]) -> MonoCut | MultiCut:
    if utterance.lacks_split:
        raise _UnusableError("no split", "nothing in the column for it")
    _check_texts(utterance)
    recording = _recording(utterance.audio.absolute())
    if isinstance(recording, _Unusable):
        raise _UnusableError(recording.reason, recording.found)
    start, duration = _times(utterance, recording.duration)
    channels = recording.channel_ids
    assert channels is not None
    is_mono = len(channels) == 1
    supervision = SupervisionSegment(
        id=utterance.id,
        recording_id=recording.id,
        start=0.0,
        duration=duration,
        channel=0 if is_mono else channels,
        text=utterance.transcript,
        language=languages["source"],
        speaker=utterance.speaker,
        custom={
            key: value
            for key, value in (
                (TRANSLATION_KEY, utterance.translation),
                ("target_language", languages["target"]),
            )
            if value is not None
        },
    )
    kind: Any = MonoCut if is_mono else MultiCut
    cut: MonoCut | MultiCut = kind(
        id=utterance.id,
        start=start,
        duration=duration,
        channel=0 if is_mono else channels,
        recording=recording,
        supervisions=[supervision],
    )
    return cut


def _check_texts(utterance: Utterance) -> None:
    for name in ("id", "audio", "translation", "transcript", "speaker"):
        value = getattr(utterance, name)
        if value is None:
            continue
        text = str(value)
        if not text.strip() and name != "speaker":
            raise _UnusableError(f"empty {name}", repr(text))
        if len(text) > _LONGEST_TEXT:
            raise _UnusableError(f"{name} too long", f"{len(text)} characters: {text[:80]}")
        if not _is_unicode(text):
            raise _UnusableError(f"{name} is not Unicode text", repr(text))


def _is_unicode(text: str) -> bool:
    """Whether it can be written; JSON may hold halves of surrogate pairs."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _times(utterance: Utterance, recording_s: float) -> tuple[float, float]:
    """Start and duration in seconds within the recording."""
    if utterance.unreadable_time is not None:
        raise _UnusableError("time is not a number", utterance.unreadable_time)
    start, duration = utterance.offset_s, utterance.duration_s
    if not math.isfinite(start) or not 0 <= start < recording_s:
        raise _UnusableError("offset outside the recording", f"{start} s of {recording_s:.2f} s")
    if duration is None:
        duration = recording_s - start
    if not math.isfinite(duration) or duration < SHORTEST_S:
        raise _UnusableError("no duration", f"{duration} s")
    if start + duration > recording_s + END_TOLERANCE_S:
        raise _UnusableError(
            "end outside the recording", f"{start + duration} s of {recording_s:.2f} s"
        )
    return start, min(duration, recording_s - start)


@lru_cache(maxsize=_NUM_KNOWN_RECORDINGS)
def _recording(path: Path) -> Recording | _Unusable:
    if not is_file(path):
        return _Unusable("missing audio", str(path))
    try:
        info = audio_info(path)
    except UserError as error:
        return _Unusable("unreadable audio", f"{path}: {error.found}")
    channels = list(range(info.num_channels))
    return Recording(
        id=path.stem,
        sources=[AudioSource(type="file", channels=channels, source=str(path))],
        sampling_rate=info.sampling_rate,
        num_samples=info.num_samples,
        duration=info.num_samples / info.sampling_rate,
        channel_ids=channels,
    )
