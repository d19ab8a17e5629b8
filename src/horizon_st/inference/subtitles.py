"""Spoken text with its times -> subtitles to read meanwhile, as SRT or WebVTT."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rich.cells import cell_len

from horizon_st.inference.line_breaks import break_text

MOST_COLUMNS_PER_S = 17.0
"""Reading speed: that of adults (Netflix' guide); an ideograph counts as two columns."""

_SHORTEST_MS = 1_000
"""A cue stays at least so long, where the pause after it allows."""


@dataclass(frozen=True)
class Spoken:
    """What was said from a moment to another, in seconds.

    Attributes:
        mark: stands before each of its subtitles.
    """

    start_s: float
    end_s: float
    text: str
    mark: str = ""


@dataclass(frozen=True)
class Cue:
    """One subtitle: at most two lines of 42 columns, from a millisecond to another."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]

    @property
    def columns_per_s(self) -> float:
        """How fast one has to read."""
        return 1_000 * cell_len(" ".join(self.lines)) / (self.end_ms - self.start_ms)

    @property
    def is_too_fast(self) -> bool:
        """Whether the speech left too little time to read it; half a column is rounding."""
        return self.columns_per_s > MOST_COLUMNS_PER_S + 0.5


def make_cues(spoken: Sequence[Spoken], duration_s: float) -> list[Cue]:
    """The subtitles in their order; they do not overlap.

    Each begins with its speech, or at its share of it, in proportion to the text, where it takes
    several. One that would have to be read too fast stays into the pause that follows, as far as
    that goes.

    Args:
        spoken: in the order of their beginnings; those without text are left out.
        duration_s: of the recording, which the last cue does not outlast.
    """
    texts = [(one, blocks) for one in spoken if (blocks := _blocks_of(one))]
    starts = [round(1_000 * one.start_s) for one, _ in texts]
    cues: list[Cue] = []
    for number, (one, blocks) in enumerate(texts):
        # A millisecond each, whatever the times.
        start = max(starts[number], cues[-1].end_ms if cues else 0)
        least = start + len(blocks)
        limit = starts[number + 1] if number + 1 < len(texts) else round(1_000 * duration_s)
        end = _end_of(start, round(1_000 * one.end_s), blocks, max(limit, least))
        cues += _share_out(start, max(end, least), blocks)
    return cues


def to_srt(cues: Iterable[Cue]) -> str:
    """The content of a SubRip file; empty for no cues."""
    return "".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n"
        f"{_as_text(cue.lines)}\n\n"
        for number, cue in enumerate(cues, start=1)
    )


def to_vtt(cues: Iterable[Cue]) -> str:
    """The content of a WebVTT file (W3C); its header alone for no cues."""
    blocks = (
        f"\n{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n"
        f"{html.escape(_as_text(cue.lines), quote=False)}\n"
        for cue in cues
    )
    return "WEBVTT\n" + "".join(blocks)


def _blocks_of(one: Spoken) -> list[tuple[str, ...]]:
    """The lines of each subtitle, the first with the mark."""
    indent = f"{one.mark} " if one.mark else ""
    blocks = break_text(one.text, first_indent=cell_len(indent))
    return [(indent + first, *rest) for first, *rest in blocks]


def _end_of(start: int, end: int, blocks: Sequence[tuple[str, ...]], limit: int) -> int:
    """Where the last of the cues ends: with the speech, or as late as they have to be read."""
    columns = sum(_columns(lines) for lines in blocks)
    to_read = start + max(round(1_000 * columns / MOST_COLUMNS_PER_S), _SHORTEST_MS)
    return min(max(end, to_read), limit)


def _share_out(start: int, end: int, blocks: Sequence[tuple[str, ...]]) -> Iterator[Cue]:
    """Cues of all the time between, each with its share of it, a millisecond at least."""
    spare = end - start - len(blocks)
    columns = [_columns(lines) for lines in blocks]
    total = sum(columns)
    ends = [
        start + number + round(spare * done / total)
        for number, done in enumerate(accumulate(columns), start=1)
    ]
    for begin, stop, lines in zip([start, *ends[:-1]], ends, blocks, strict=True):
        yield Cue(begin, stop, lines)


def _columns(lines: tuple[str, ...]) -> int:
    return max(1, cell_len(" ".join(lines)))  # an accent on its own has none


def _as_text(lines: Iterable[str]) -> str:
    # Both formats take an arrow for that between two times.
    return "\n".join(lines).replace("-->", "→")


def _clock(milliseconds: int, separator: str) -> str:
    seconds, rest = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{separator}{rest:03}"
