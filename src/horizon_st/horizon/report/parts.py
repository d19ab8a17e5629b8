"""What a section of the report is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.figure import Figure

from horizon_st.horizon.comparison import Interval

NEW_LINE = "\n"
Draw = Callable[[float], Figure]
"""Width in inches -> a figure."""


@dataclass(frozen=True)
class Part:
    """A section.

    Attributes:
        name: of its files, and of its place in the page.
        title: its heading.
        sentence: below the picture: what it shows, in plain words.
        draw: the picture; None for a section without one.
        html: what else it has, below the sentence.
        needed: why there is no picture yet, and what would make one; "" if there is all.
    """

    name: str
    title: str
    sentence: str = ""
    draw: Draw | None = None
    html: str = ""
    needed: str = ""


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    prose: Collection[str] = (),
) -> str:
    """A plain table of texts, the first column of which names the rows.

    Args:
        headings: of the columns.
        rows: as many texts each.
        caption: for who cannot see it.
        prose: headings of columns that hold sentences, which are broken into lines.
    """
    kinds = [" class=prose" if heading in prose else "" for heading in headings]
    head = "".join(
        f"<th scope=col{kind}>{escape(heading)}</th>"
        for heading, kind in zip(headings, kinds, strict=True)
    )
    body = "".join(
        f"<tr><th scope=row>{escape(row[0])}</th>"
        + "".join(
            f"<td{kind}>{escape(cell).replace(NEW_LINE, '<br>')}</td>"
            for cell, kind in zip(row[1:], kinds[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class=wide tabindex=0 role=region aria-label="{escape(caption)}"><table>'
        f"<caption class=unseen>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def with_interval(found: Interval) -> str:
    """A number with its interval, all with as many decimals as show three digits of the largest."""
    largest = max(abs(found.value), abs(found.low), abs(found.high), 1e-9)
    decimals = max(2 - math.floor(math.log10(largest)), 0)
    value, low, high = (f"{v:.{decimals}f}" for v in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"
