"""Studies -> one HTML file that needs no other, and its figures as PNG and SVG beside it."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from horizon_st.data.files import make_folder, whole_file
from horizon_st.horizon.analyses import Analysis, Answer
from horizon_st.horizon.drawing import NARROW, WIDE, as_bytes, inline_svg
from horizon_st.horizon.figures import draw, draw_forgetting
from horizon_st.horizon.finder import NUM_FIRST
from horizon_st.horizon.questions import Kind
from horizon_st.horizon.report.collapse import collapse, needs
from horizon_st.horizon.report.costs import costs
from horizon_st.horizon.report.curves import learning_curves
from horizon_st.horizon.report.interactions import interactions
from horizon_st.horizon.report.parts import Part
from horizon_st.horizon.report.runs import Runs
from horizon_st.horizon.report.saturation import saturation
from horizon_st.horizon.report.sides import sides
from horizon_st.horizon.report.space import space
from horizon_st.horizon.report.style import REPORT_STYLE
from horizon_st.horizon.report.tables import arms_table, forms_table, recipe, runs_table
from horizon_st.horizon.report.text import FORGETTING, caption, cost
from horizon_st.horizon.results import StudyResults
from horizon_st.horizon.slices import Slices
from horizon_st.page_style import STYLE

PAGE_FILE = "report.html"
_HERE = Path(__file__).parent
_PACKING = 6
"""Of gzip: 9 takes four times as long for 2 % less."""
_SLICES = (
    "Colour is the score that is predicted where two weights have these values and the others "
    "stand at the best setting (the star): the white line is the horizon, within {} of the best, "
    "and dots are runs in the colour of their own score, fainter the farther they are from the "
    "slice; crosses have no score. Scores are on the {}."
)
_ARMS = (
    "Each row is a variant: pale dots are its runs, the diamond is their mean, the bar its 95 % "
    "interval, and the dotted line the baseline."
)
_OVER_KEY = "Pale dots are runs, diamonds the means of variants, bars their 95 % intervals."
_ANSWERS: dict[Kind, str] = {
    "comparison": _ARMS,
    "equivalence": _ARMS,
    "saturation": _ARMS,
    "peak": _OVER_KEY,
    "order": _OVER_KEY,
    "horizon": "Each dot is the mean of a variant, with its 95 % interval, over how far all "
    "regularisers together are turned up: the horizon is where the curve is highest, and the "
    "closer the dots lie to it, the more it is only the total R that counts.",
}
_LOOK: dict[Answer, str] = {
    "holds": "good",
    "does not hold": "bad",
    "not decided": "none",
    "found": "good",
}


def write_page(studies: Sequence[StudyResults], folder: Path) -> Path:
    """One HTML file that needs no other, and the figures as PNG and SVG beside it.

    Raises:
        UserError: the folder cannot be written, or a study has no scores.
    """
    make_folder(folder)
    sections: list[str] = []
    for results in studies:
        seen = [study.study.name for study in studies[: len(sections)]].count(results.study.name)
        name = results.study.name + (f"-{seen + 1}" if seen else "")
        sections.append(_study(Analysis(results), name, folder))
    title = studies[0].study.name if len(studies) == 1 else f"{len(studies)} studies"
    body = "".join(sections)
    with whole_file(folder / PAGE_FILE) as file:
        file.write(
            "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
            '<meta name=viewport content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)}</title><style>{STYLE}{REPORT_STYLE}</style></head>\n"
            f"<body><main>{body}</main>{_library() if 'class=turning' in body else ''}"
            f"<script>{_script('sorting')}{_script('page')}</script></body></html>\n"
        )
    return folder / PAGE_FILE


def parts_of(analysis: Analysis) -> list[Part]:
    """The sections of a study in their order."""
    runs = Runs(analysis)
    if runs.is_search:
        first: list[Callable[[Runs], Part]] = [recipe, collapse, slices]
    elif analysis.study.analysis.kind == "horizon":  # its figure is the collapse
        first = [answer, forgetting, slices]
    else:
        first = [answer, forgetting, collapse, slices]
    rest = [space, saturation, interactions, forms_table, sides]
    rest += [learning_curves, costs, runs_table]
    return [make(runs) for make in (*first, *rest)]


def answer(runs: Runs) -> Part:
    """The figure that a study's question asks for, with the table of its arms."""
    analysis = runs.analysis
    return Part(
        "",
        "The answer",
        f"{_ANSWERS[analysis.study.analysis.kind]} {caption(analysis)}",
        lambda width: draw(analysis, width),
        arms_table(analysis),
    )


def forgetting(runs: Runs) -> Part:
    """How the text path fares through training, where it was tracked."""
    name, title = "forgetting", "What the text path forgets"
    if draw_forgetting(runs.analysis) is None:
        needed = "Needs runs with stages.st.track_text: true, and no more than eight curves."
        return Part(name, title, needed=needed)

    def drawn(width: float) -> Figure:
        figure = draw_forgetting(runs.analysis, width)
        assert figure is not None
        return figure

    return Part(name, title, FORGETTING, drawn)


def slices(runs: Runs) -> Part:
    """Slices of the surface through the best setting."""
    name, title = "slices", "Slices of the surface"
    needed = needs(runs, NUM_FIRST if runs.is_search else 2 * len(runs.weights) + 1)
    if needed:
        return Part(name, title, needed=needed)
    tolerance = runs.study.analysis.tolerance
    panels = Slices(runs.found, runs.metric, tolerance)
    where = "dev set" if runs.is_search else "test set, less what a seed adds to all arms"
    return Part(name, title, _SLICES.format(f"{tolerance:g}", where), panels.draw)


def _study(analysis: Analysis, name: str, folder: Path) -> str:
    """The part of the page for one study; its figures are written beside."""
    study, verdict = analysis.study, analysis.verdict()
    parts = parts_of(analysis)
    complete = [part for part in parts if not part.needed]
    links = "".join(
        f'<li><a href="#{_anchor(name, part)}">{escape(part.title)}</a></li>' for part in complete
    )
    left_out = "".join(
        f"<li><b>{escape(part.title)}</b>: {escape(part.needed)}</li>"
        for part in parts
        if part.needed
    )
    source = f"<p class=legend>{escape(study.source)}</p>" if study.source else ""
    return (
        f"<h1>{escape(study.name)}</h1><p>{escape(study.claim)}</p>{source}"
        f'<p><span class="verdict {_LOOK[verdict.answer]}">{verdict.answer.capitalize()}.</span> '
        f"{escape(verdict.evidence)}</p>"
        f"<p class=legend>{escape(cost(analysis.results))}</p>"
        f'<nav aria-label="{escape(study.name)}"><ul>{links}</ul></nav>'
        + "".join(_section(part, name, folder) for part in complete)
        + (f"<section><h2>Left out</h2><ul>{left_out}</ul></section>" if left_out else "")
        + "\n"
    )


def _section(part: Part, study: str, folder: Path) -> str:
    """A heading, the picture in two widths with its sentence, and the rest."""
    anchor = _anchor(study, part)
    head = f'<section id="{anchor}"><h2>{escape(part.title)}</h2>'
    sentence = escape(part.sentence)
    if part.draw is None:
        return f"{head}<p>{sentence}</p>{part.html}</section>\n"
    file = f"{study}-{part.name}" if part.name else study
    wide = part.draw(WIDE)
    drawn = {"wide": as_bytes(wide, "svg"), "narrow": as_bytes(part.draw(NARROW), "svg")}
    (folder / f"{file}.svg").write_bytes(drawn["wide"])
    (folder / f"{file}.png").write_bytes(as_bytes(wide, "png"))
    description = f"{part.title}. {part.sentence}"
    pictures = "".join(
        f'<div class="still {width}">{inline_svg(svg, description, f"{anchor}-{width}-")}</div>'
        for width, svg in drawn.items()
    )
    return (
        f"{head}<figure>{pictures}{_TURN if 'class=turning' in part.html else ''}"
        f"<figcaption>{sentence}</figcaption></figure>{part.html}</section>\n"
    )


_TURN = (
    '<div class=turn hidden tabindex=0 role=application aria-label="The same picture, to turn with '
    'the mouse, a finger or the arrow keys"></div>'
)


def _anchor(study: str, part: Part) -> str:
    return f"{study}-{part.name or 'answer'}"


def _library() -> str:
    """Plotly's JavaScript, packed, for the picture that turns."""
    from plotly.offline import get_plotlyjs

    packed = gzip.compress(get_plotlyjs().encode(), _PACKING, mtime=0)
    text = base64.b64encode(packed).decode()
    return f"<script type=text/plain id=plotly>{text}</script>\n"


def _script(name: str) -> str:
    return (_HERE / f"{name}.js").read_text(encoding="utf-8")
