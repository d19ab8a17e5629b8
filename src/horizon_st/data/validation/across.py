"""What only shows between rows: what comes twice, what leaks, and what is unlike the corpus."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import exp
from typing import Any

import numpy as np

from horizon_st.data.files import read_raw_lines
from horizon_st.data.validation.columns import SIDES, Integers, SplitColumns
from horizon_st.data.validation.manifests import held_out_rank
from horizon_st.data.validation.problems import KINDS, Problem
from horizon_st.data.validation.rows import Row, check_line
from horizon_st.data.validation.spans import Mask
from horizon_st.data.validation.texts import scripts

FARTHEST_DEVIATION = 4.0
"""Robust standard deviations of log characters per second: of a million normal rows, 63."""

LEAST_DEVIATION = 0.1
"""Of the logarithm, that is 10 %: rates that are nearly all the same would flag any other."""

UNEXPLAINED_S = 3.0
"""Sound without text that is no matter: one word between two pauses has a low rate, too."""

UNEXPLAINED_CHARS = 20
"""Text without sound that is no matter: a long word in a short utterance."""

FEWEST_ROWS = 20
"""Fewer have no median worth comparing with."""

FEWEST_LETTERS = 6
"""Of another script that make a text one of that script; fewer are a name or a symbol."""

LEAST_SCRIPT_SHARE = 80
"""Per cent of the letters, likewise; some orthographies borrow letters, such as a Greek omega."""

_NORMAL_MAD = 1.482602218505602
"""Standard deviations in the median absolute deviation of normal values: 1 / Φ⁻¹(3/4)."""


class CrossCheck(ABC):
    """A check of rows against all rows.

    Attributes:
        kind: of the problem.
    """

    kind: str

    @abstractmethod
    def mask(self, split: SplitColumns) -> Mask:
        """Which rows of a split are wrong."""

    @abstractmethod
    def found(self, split: SplitColumns, number: int, row: Row) -> str:
        """What is wrong with a row, the `number`th of its split, from 0."""


def problems_across(splits: Sequence[SplitColumns]) -> Iterator[Problem]:
    """Problems between rows, manifest by manifest and line by line.

    The manifests are read once more, for what to say of the rows; only rows that have a problem
    are parsed. Rows with an error are marked as such.
    """
    checks = all_checks(splits)
    for split in splits:
        masks = [check.mask(split) for check in checks]
        flagged = np.flatnonzero(np.logical_or.reduce(masks))
        if not flagged.size:
            continue
        for number, row in _rows(split, flagged):
            if row.cut is None:  # changed meanwhile
                continue
            for check, mask in zip(checks, masks, strict=True):
                if mask[number]:
                    found = check.found(split, number, row)
                    if KINDS[check.kind].severity == "error":
                        split.has_error[number] = 1
                    yield Problem(check.kind, row.place, found, row.cut.id)


def all_checks(splits: Sequence[SplitColumns]) -> list[CrossCheck]:
    """The checks, with what they need to know of all rows."""
    rates = [RateCheck(splits, side) for side in SIDES]
    writings = [ScriptCheck(splits, side) for side in SIDES]
    one_sided = [OneSidedLeaks(splits, side) for side in SIDES]
    first = [
        DuplicateIds(splits),
        SharedIds(splits),
        Leaks(splits),
        SharedSound(splits),
        MixedChannels(),
    ]
    return [*first, *one_sided, *rates, *writings]


class DuplicateIds(CrossCheck):
    """Ids that an earlier row of the split has."""

    kind = "duplicate id"

    def __init__(self, splits: Sequence[SplitColumns]) -> None:
        self._first = [_FirstPlaces(split, split.ids) for split in splits]
        self._splits = splits

    def mask(self, split: SplitColumns) -> Mask:
        """All but the first of each."""
        mask = np.ones(len(split), bool)
        mask[np.unique(np.asarray(split.ids), return_index=True)[1]] = False
        return mask

    def found(self, split: SplitColumns, number: int, row: Row) -> str:
        """Where the first one is."""
        return f"also at {self._first[self._splits.index(split)].of(split.ids[number])}"


class SharedIds(CrossCheck):
    """Ids that an earlier split has."""

    kind = "id in two splits"

    def __init__(self, splits: Sequence[SplitColumns]) -> None:
        self._splits = splits
        self._first = [_FirstPlaces(split, split.ids) for split in splits]

    def mask(self, split: SplitColumns) -> Mask:
        """Rows whose id comes in a split before this one."""
        mask = np.zeros(len(split), bool)
        for other in self._splits[: self._splits.index(split)]:
            mask |= np.isin(np.asarray(split.ids), np.asarray(other.ids))
        return mask

    def found(self, split: SplitColumns, number: int, row: Row) -> str:
        """Where the other one is."""
        earlier = self._first[: self._splits.index(split)]
        return f"also at {_first_place(earlier, split.ids[number])}"


class Leaks(CrossCheck):
    """Rows whose two texts also stand in a split that is held out from theirs.

    Without a transcript, the same translation is of the same speech no more than of any other.
    Held out from train are all others, from dev the test sets, and from a split those of its sort
    that come later.
    """

    kind = "sentence in two splits"

    def __init__(self, splits: Sequence[SplitColumns]) -> None:
        self._splits = sorted(splits, key=lambda split: held_out_rank(split.name))
        self._first = [_FirstPlaces(split, split.pairs) for split in self._splits]

    def mask(self, split: SplitColumns) -> Mask:
        """Rows whose pair comes in a split held out from this one."""
        mask = np.zeros(len(split), bool)
        for other in self._splits[self._splits.index(split) + 1 :]:
            mask |= np.isin(np.asarray(split.pairs), np.asarray(other.pairs))
        return mask & _has_both(split)

    def found(self, split: SplitColumns, number: int, row: Row) -> str:
        """Where the other one is, and the text."""
        held_out = self._first[self._splits.index(split) + 1 :]
        place = _first_place(held_out, split.pairs[number])
        return f"as at {place}: {_shown(row, 'translation')}"


class SharedSound(CrossCheck):
    """Rows of which most of the sound is also in a split that is held out from theirs."""

    kind = "recording in two splits"

    def __init__(self, splits: Sequence[SplitColumns]) -> None:
        self._splits = sorted(splits, key=lambda split: held_out_rank(split.name))

    def mask(self, split: SplitColumns) -> Mask:
        """Rows whose sound comes in a split held out from this one."""
        mask = np.zeros(len(split), bool)
        for other in self._held_out(split):
            mask |= split.spans.shared_with(other.spans)
        return mask

    def found(self, split: SplitColumns, number: int, row: Row) -> str:
        """Where the other one is, and the piece of the recording."""
        span = split.spans[number]
        place = next(
            f"{other.manifest}:{other.numbers[found]}"
            for other in self._held_out(split)
            if (found := other.spans.find(span)) is not None
        )
        assert row.cut is not None
        audio = row.cut.recording.sources[0].source
        return f"as at {place}: {span.start_s:.2f} to {span.end_s:.2f} s of {audio}"

    def _held_out(self, split: SplitColumns) -> Sequence[SplitColumns]:
        return self._splits[self._splits.index(split) + 1 :]


class MixedChannels(CrossCheck):
    """Rows that are the mean of several channels, where another row has the same sound.

    So it is if each channel has a speaker, and the rows do not say which.
    """

    kind = "mixed channels"

    def mask(self, split: SplitColumns) -> Mask:
        """Rows of several channels next to which one of the same sound begins."""
        return split.spans.mixed_twice()

    def found(self, split: SplitColumns, number: int, row: Row) -> str:
        """The channels and the piece of the recording."""
        assert row.cut is not None
        span = split.spans[number]
        audio = row.cut.recording.sources[0].source
        return (
            f"channels {row.cut.channel}, {span.start_s:.2f} to {span.end_s:.2f} s of {audio}; "
            "name the channel of each speaker"
        )


class OneSidedLeaks(CrossCheck):
    """Held-out rows of which one text alone also stands in a split that they are held out from.

    Of some corpora that is how people speak; it makes a held-out split easier, all the same.
    """

    def __init__(self, splits: Sequence[SplitColumns], side: str) -> None:
        self.kind = f"{side} in two splits"
        self._side = side
        self._splits = sorted(splits, key=lambda split: held_out_rank(split.name))
        self._first = [_FirstPlaces(split, self._texts(split)) for split in self._splits]

    def mask(self, split: SplitColumns) -> Mask:
        """Rows whose text comes in a split before this one, and whose pair does not."""
        mask = np.zeros(len(split), bool)
        pairs = mask.copy()
        for other in self._splits[: self._splits.index(split)]:
            mask |= np.isin(np.asarray(self._texts(split)), np.asarray(self._texts(other)))
            pairs |= np.isin(np.asarray(split.pairs), np.asarray(other.pairs))
        return mask & ~(pairs & _has_both(split)) & _has(split, self._side)

    def found(self, split: SplitColumns, number: int, row: Row) -> str:
        """Where the other one is, and the text."""
        earlier = self._first[: self._splits.index(split)]
        place = _first_place(earlier, self._texts(split)[number])
        return f"as at {place}: {_shown(row, self._side)}"

    def _texts(self, split: SplitColumns) -> array[int]:
        return split.sides[self._side].fingerprints


class RateCheck(CrossCheck):
    """Rows with a rate of characters far from the corpus's.

    The rates are compared as logarithms, with median and median absolute deviation, which the
    wrong ones hardly move. What is flagged has, besides, seconds or characters that the other side
    does not explain, for pauses make short utterances slow.
    """

    kind = "characters per second"

    def __init__(self, splits: Sequence[SplitColumns], side: str) -> None:
        self._side = side
        rates = [split.chars_per_second(side)[np.asarray(split.has_error) == 0] for split in splits]
        logs = np.log(np.concatenate([[np.nan], *rates]))
        logs = logs[~np.isnan(logs)]
        self._is_known = len(logs) >= FEWEST_ROWS
        center = float(np.median(logs)) if self._is_known else 0.0
        spread = float(np.median(np.abs(logs - center))) if self._is_known else 0.0
        self.median = exp(center)
        self.deviation = max(_NORMAL_MAD * spread, LEAST_DEVIATION)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Characters per second outside of which a row may be flagged; None for too few rows."""
        if not self._is_known:
            return None
        factor = exp(FARTHEST_DEVIATION * self.deviation)
        return self.median / factor, self.median * factor

    def mask(self, split: SplitColumns) -> Mask:
        """Rows outside the bounds by more than pauses explain."""
        if self.bounds is None:
            return np.zeros(len(split), bool)
        lowest, highest = self.bounds
        rates = split.chars_per_second(self._side)
        num_chars = np.asarray(split.sides[self._side].num_chars, np.float64)
        durations_s = np.asarray(split.durations_s)
        with np.errstate(invalid="ignore"):
            is_slow = (rates < lowest) & (durations_s - num_chars / self.median > UNEXPLAINED_S)
            is_fast = rates > highest
        is_fast &= num_chars - durations_s * self.median > UNEXPLAINED_CHARS
        return np.asarray((is_slow | is_fast) & (np.asarray(split.has_error) == 0))

    def found(self, split: SplitColumns, number: int, row: Row) -> str:
        """The rate, the corpus's, and the text."""
        num_chars = split.sides[self._side].num_chars[number]
        duration_s = split.durations_s[number]
        return (
            f"{num_chars / duration_s:.1f} in the {self._side} "
            f"({num_chars} in {duration_s:.2f} s; median {self.median:.1f}): "
            f"{_shown(row, self._side)}"
        )


class ScriptCheck(CrossCheck):
    """Rows whose letters are nearly all of another script than the corpus's."""

    kind = "wrong script"

    def __init__(self, splits: Sequence[SplitColumns], side: str) -> None:
        self._side = side
        letters = sum((split.sides[side].letters for split in splits), Counter[str]())
        self.majority = letters.most_common(1)[0][0] if letters else None

    def mask(self, split: SplitColumns) -> Mask:
        """Rows with enough letters, nearly all of one script that is not the corpus's."""
        side = split.sides[self._side]
        names = side.script_names
        own = names.index(self.majority) if self.majority in names else 0
        is_other = ~np.isin(np.asarray(side.script), [0, own])
        is_other &= np.asarray(side.script_share) >= LEAST_SCRIPT_SHARE
        return np.asarray(is_other & (np.asarray(side.num_letters) >= FEWEST_LETTERS))

    def found(self, split: SplitColumns, number: int, row: Row) -> str:
        """The shares of the scripts, and the text."""
        text = row.texts[SIDES.index(self._side)] or ""
        letters = scripts(text)
        shares = ", ".join(
            f"{100 * count / letters.total():.0f} % {name}" for name, count in letters.most_common()
        )
        return f"{shares} in the {self._side}, not {self.majority}: {_shown(row, self._side)}"


def _has(split: SplitColumns, side: str) -> Mask:
    """Which rows of a split have a text on a side."""
    return np.asarray(np.asarray(split.sides[side].num_chars) > 0)


def _has_both(split: SplitColumns) -> Mask:
    return np.asarray(_has(split, "transcript") & _has(split, "translation"))


def _rows(split: SplitColumns, flagged: Integers) -> Iterator[tuple[int, Row]]:
    """The rows of some numbers, which ascend; the manifest is read once more for them."""
    wanted = iter(flagged.tolist())
    number = next(wanted)
    for line_number, (place, line) in enumerate(read_raw_lines(split.manifest), start=1):
        if line_number == split.numbers[number]:
            yield number, check_line(line, place, split.manifest)
            following = next(wanted, None)
            if following is None:
                return
            number = following


class _FirstPlaces:
    """Where each key of a split comes first; sorted when it is first asked for."""

    def __init__(self, split: SplitColumns, keys: array[int]) -> None:
        self._split = split
        self._keys = keys

    def of(self, key: int) -> str:
        """``FILE:LINE``, or nothing."""
        keys, numbers = self._sorted
        index = int(np.searchsorted(keys, np.uint64(key)))
        if index == len(keys) or keys[index] != key:
            return ""
        return f"{self._split.manifest}:{self._split.numbers[numbers[index]]}"

    @cached_property
    def _sorted(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        return np.unique(np.asarray(self._keys), return_index=True)


def _first_place(indices: Sequence[_FirstPlaces], key: int) -> str:
    return next(place for index in indices if (place := index.of(key)))


def _shown(row: Row, side: str) -> str:
    return f"“{row.texts[SIDES.index(side)] or ''}”"
