"""Columns of a corpus -> the figures that describe it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from horizon_st.data.validation.across import RateCheck
from horizon_st.data.validation.columns import SIDES, Numbers, SplitColumns
from horizon_st.data.validation.manifests import held_out_rank

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
_NUM_CHARACTERS_SHOWN = 40


@dataclass(frozen=True)
class Distribution:
    """Where the values of a row lie: mean, standard deviation, and :data:`QUANTILES`."""

    mean: float
    deviation: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class SideSummary:
    """The texts of one side of a split.

    Attributes:
        num_texts: rows that have one.
        chars: characters of each.
        chars_per_second: of each.
        num_tokens: words.
        num_types: distinct words.
        num_hapaxes: words that come once.
        is_exact: whether types and hapaxes are counted, not estimated.
        unknown_words: share of the tokens not in train; None for train itself, or without one.
        unknown_characters: how often each character comes that train lacks; likewise.
        scripts: share of each script among the letters, the largest first.
    """

    num_texts: int
    chars: Distribution | None
    chars_per_second: Distribution | None
    num_tokens: int
    num_types: int
    num_hapaxes: int
    is_exact: bool
    unknown_words: float | None
    unknown_characters: dict[str, int] | None
    scripts: dict[str, float]


@dataclass(frozen=True)
class SplitSummary:
    """One manifest. Lengths are of the rows without errors.

    Attributes:
        name: of the split.
        manifest: the file.
        num_lines: all that are not blank.
        num_usable: rows that training takes.
        hours: of their speech.
        num_speakers: distinct names.
        known_speakers: how many of them are in train, too; None for train itself, or without one.
        sampling_rates: rows by rate in Hz.
        duration_s: of each usable row.
        known_translations: share of the rows whose translation alone is in train, in any case;
            None for train itself, or without one.
        sides: of :data:`SIDES`.
    """

    name: str
    manifest: str
    num_lines: int
    num_usable: int
    hours: float
    num_speakers: int
    known_speakers: int | None
    sampling_rates: dict[int, int]
    duration_s: Distribution | None
    known_translations: float | None
    sides: dict[str, SideSummary]


@dataclass(frozen=True)
class RateBounds:
    """Characters per second of one side of the corpus: median, and where rows are looked at."""

    side: str
    median: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Summary:
    """What a corpus is.

    Attributes:
        splits: one of each manifest.
        rates: of each side that has enough texts.
    """

    splits: list[SplitSummary]
    rates: list[RateBounds]


def summarize(splits: Sequence[SplitColumns]) -> Summary:
    """The figures of a corpus; rows with an error are not in them, but for words and letters."""
    train = next((split for split in splits if held_out_rank(split.name) == 0), None)
    rates = []
    for side in SIDES:
        check = RateCheck(splits, side)
        if check.bounds is not None:
            rates.append(RateBounds(side, check.median, *check.bounds))
    return Summary([_split_summary(split, train) for split in splits], rates)


def usable(split: SplitColumns, values: Any) -> Numbers:
    """The values of the rows without errors, as floats."""
    kept: Numbers = np.asarray(values, np.float64)[np.asarray(split.has_error) == 0]
    return kept


def _split_summary(split: SplitColumns, train: SplitColumns | None) -> SplitSummary:
    train = None if train is split else train
    durations_s = usable(split, split.durations_s)
    known = None
    if train is not None and len(split):
        known = float(np.isin(_translations(split), _translations(train)).mean())
    return SplitSummary(
        name=split.name,
        manifest=str(split.manifest),
        num_lines=split.num_lines,
        num_usable=len(durations_s),
        hours=float(durations_s.sum()) / 3600,
        num_speakers=len(split.speakers),
        known_speakers=None if train is None else len(split.speakers & train.speakers),
        sampling_rates=dict(split.rates.most_common()),
        duration_s=_distribution(durations_s),
        known_translations=known,
        sides={side: _side_summary(split, side, train) for side in SIDES},
    )


def _translations(split: SplitColumns) -> Any:
    return np.asarray(split.sides["translation"].fingerprints)


def _side_summary(split: SplitColumns, side: str, train: SplitColumns | None) -> SideSummary:
    columns = split.sides[side]
    num_chars = usable(split, columns.num_chars)
    rates = usable(split, split.chars_per_second(side))
    vocabulary = columns.vocabulary
    total = columns.letters.total()
    known = None if train is None else train.sides[side]
    return SideSummary(
        num_texts=int((num_chars > 0).sum()),
        chars=_distribution(num_chars[num_chars > 0]),
        chars_per_second=_distribution(rates[~np.isnan(rates)]),
        num_tokens=vocabulary.num_tokens,
        num_types=vocabulary.num_types,
        num_hapaxes=vocabulary.num_hapaxes,
        is_exact=vocabulary.is_exact,
        unknown_words=None if known is None else vocabulary.share_unknown(known.vocabulary),
        unknown_characters=None
        if known is None
        else _unknown(columns.characters, known.characters),
        scripts={name: count / total for name, count in columns.letters.most_common()},
    )


def _unknown(characters: Counter[str], known: Counter[str]) -> dict[str, int]:
    unknown = Counter(
        {
            character: count
            for character, count in characters.items()
            if character not in known and not character.isspace()
        }
    )
    return dict(unknown.most_common(_NUM_CHARACTERS_SHOWN))


def _distribution(values: Numbers) -> Distribution | None:
    if not len(values):
        return None
    quantiles = np.quantile(values, QUANTILES)
    return Distribution(float(values.mean()), float(values.std()), tuple(quantiles.tolist()))
