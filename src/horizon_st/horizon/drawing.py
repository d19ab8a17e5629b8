"""The look of the figures: one style, files, and the same figure within a page that may be dark."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from html import escape
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from horizon_st.page_style import LIGHT

COLORS = tuple(LIGHT[name] for name in ("c1", "c2", "c3", "c4", "c5", "c7", "c8", "c6"))
"""To tell things apart."""
INK, SOFT, BEST, EDGE = LIGHT["ink"], LIGHT["soft"], LIGHT["best"], LIGHT["card"]
SCORE_COLORS = tuple(LIGHT[f"s{step}"] for step in range(10))
"""Of ten equal steps from the lowest score to the highest."""
WIDE, NARROW = 8.0, 3.75
"""Inches: of figures in files and on wide screens, and on phones."""

_BEHIND = "#fefefe"
"""White that a page turns into its own ground."""
_STYLE: dict[Any, Any] = {
    "figure.facecolor": _BEHIND,
    "axes.facecolor": _BEHIND,
    "savefig.facecolor": _BEHIND,
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.edgecolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LIGHT["line"],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "horizon-st",  # or its ids are random
    "svg.image_inline": True,
}
_HOVER = "hover: "
_VARIABLE_OF = {color: name for name, color in LIGHT.items() if name != "paper"}
_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that draws, in the style of the project."""

    @functools.wraps(draw)
    def in_style(*args: _P.args, **keys: _P.kwargs) -> _R:
        with rc_context(_STYLE):
            return draw(*args, **keys)

    return in_style


def plain(axes: Any) -> Axes:
    """The axes with a grid behind what is drawn, without a frame."""
    assert isinstance(axes, Axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid()
    axes.set_axisbelow(True)
    return axes


def hover(text: str) -> str:
    """An artist's `gid` that shows a text where the mouse rests on it."""
    return _HOVER + text


def score_colors(low: float, high: float) -> tuple[ListedColormap, BoundaryNorm]:
    """Ten steps of colour from the lowest score to the highest."""
    ends = (low, high) if high > low else (low - 0.5, low + 0.5)
    steps = np.linspace(*ends, len(SCORE_COLORS) + 1)
    return ListedColormap(SCORE_COLORS), BoundaryNorm(steps, len(SCORE_COLORS))


@styled
def as_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as svg or png, the same bytes for the same figure."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    figure.set_layout_engine("none")  # it stays as it was laid out, which is half of the work
    if kind != "svg":
        return buffer.getvalue()
    text = buffer.getvalue().decode()
    titled = re.sub(rf'<g id="{_HOVER}([^"]*)">', r"<g><title>\1</title>", text)
    return titled.encode()


def inline_svg(svg: bytes, description: str, prefix: str) -> str:
    """A figure as part of a page, in the page's colours.

    Args:
        svg: drawn in the style.
        description: for those who do not see it.
        prefix: of the names within it, which a page must not have twice.
    """
    text = svg.decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r"#[0-9a-f]{6}\b", _as_variable, text)
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{prefix}", text)
    text = re.sub(r'(\d+\.\d{2})\d+(?=[ "\n])', r"\1", text)  # a hundredth of a point is enough
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)


def _as_variable(found: re.Match[str]) -> str:
    if found[0] == _BEHIND:
        return "none"
    name = _VARIABLE_OF.get(found[0])
    return found[0] if name is None else f"var(--{name})"
