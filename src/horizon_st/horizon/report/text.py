"""Studies -> texts: the terminal, Markdown with a figure, the sentences below tables."""

from __future__ import annotations

import math

from rich.console import Console
from rich.markup import escape as markup_escape
from rich.table import Table

from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.arms import ArmRow
from horizon_st.horizon.results import StudyResults
from horizon_st.horizon.statistics import Estimate

_RANGE = "range"
_CAPTION = (
    "± is half of a 95 % interval. All of it is over training seeds, on this test set. The "
    "interval of a mean is from the arm's own runs; the figure's are narrower, without what seeds "
    "share, to compare arms by."
)
FORGETTING = (
    "Dev BLEU of transcripts as input, and of speech, through stage st; a curve is the mean over "
    "the runs of an arm, or of all arms with this α_t."
)
_SEARCH_CAPTION = (
    "Slices of the fitted surface through the best setting (the star). Dots are runs in the colour "
    "of their own score, fainter the farther they are from the slice; crosses have no score. The "
    "white line, where there is one, is the horizon: predicted within {} of the best. Scores are "
    "on the dev set."
)
_DIFFERENCES = " Differences are from “{}”; p-values are Holm's over all arms."


def show(results: StudyResults, console: Console) -> None:
    """The table and the verdict of a study, printed to the console."""
    analysis = Analysis(results)
    headings, rows = table_of(analysis)
    kept = [place for place, heading in enumerate(headings) if heading != _RANGE]
    table = Table(title=f"{results.study.name}: {results.study.metric}")
    for place in kept:
        is_name = headings[place] == "arm"
        table.add_column(
            headings[place], justify="left" if is_name else "right", no_wrap=not is_name
        )
    for row in rows:
        table.add_row(*(markup_escape(row[place]) for place in kept))
    console.print(table)
    verdict = analysis.verdict()
    claim = markup_escape(results.study.claim)
    console.print(f"[bold]{claim}[/] {verdict.answer.capitalize()}.", soft_wrap=True)
    console.print(verdict.evidence, markup=False, soft_wrap=True)


def markdown(results: StudyResults, figure: str, forgetting: str | None = None) -> str:
    """A section for a page: claim, verdict, figure, table, cost.

    Args:
        results: of the study.
        figure: the path of its picture, as the page sees it.
        forgetting: that of the picture of the text path through training, if there is one.
    """
    analysis, study = Analysis(results), results.study
    verdict = analysis.verdict()
    headings, rows = table_of(analysis)
    source = f" ({study.source})" if study.source else ""
    lines = [
        f"**Claim{source}:** {study.claim}",
        "",
        f"**{verdict.answer.capitalize()}.** {verdict.evidence}",
        "",
        f"![{study.name}]({figure})",
        "",
        *([f"![{study.name}: text]({forgetting})", "", FORGETTING, ""] if forgetting else []),
        "| " + " | ".join(headings) + " |",
        "|" + "---|" * len(headings),
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
        "",
        caption(analysis),
        "",
        cost(results),
    ]
    return "\n".join(lines) + "\n"


def table_of(analysis: Analysis) -> tuple[list[str], list[list[str]]]:
    """Headings and rows as text; a column that would be empty is left out."""
    rows = analysis.rows()
    columns = {
        "arm": [row.name for row in rows],
        "runs": [_runs(row) for row in rows],
        analysis.study.metric: [_around(row.mean, *row.interval, ".2f") for row in rows],
        _RANGE: [
            f"{row.lowest:.2f} to {row.highest:.2f}" if row.num_runs > 1 else "" for row in rows
        ],
        "difference": [_difference(row.difference) for row in rows],
        "p": ["" if row.difference is None else _p(row.difference) for row in rows],
        "of text": ["" if row.text_score is None else f"{row.text_score:.2f}" for row in rows],
        "minutes": [_number(row.minutes, ".1f") for row in rows],
    }
    used = {heading: cells for heading, cells in columns.items() if any(cells)}
    return [*used], [list(cells) for cells in zip(*used.values(), strict=True)]


def caption(analysis: Analysis) -> str:
    """What the figure and the table of a study show."""
    if analysis.study.analysis.kind == "search":
        return _SEARCH_CAPTION.format(f"{analysis.study.analysis.tolerance:g}")
    baseline = analysis.study.baseline
    return _CAPTION + (_DIFFERENCES.format(baseline) if baseline in analysis.mean_of else "")


def cost(results: StudyResults) -> str:
    """Runs, minutes, hardware and signature."""
    minutes = sum(trial.wall_s for trial in results.trials) / 60
    processors = ", ".join(
        dict.fromkeys(str(h["accelerator"] or h["processor"]) for h in results.hardware)
    )
    signature = results.signatures.get(results.study.metric, "")
    return (
        f"{len(results.trials)} runs, {minutes:.0f} minutes of training after pre-training "
        f"({processors}). {signature}"
    )


def _runs(row: ArmRow) -> str:
    more = [
        f"+{number} {what}"
        for number, what in (
            (row.num_diverged, "diverged"),
            (row.num_out_of_memory, "out of memory"),
            (row.num_stopped, "stopped"),
        )
        if number
    ]
    return f"{row.num_runs}" + (f" ({', '.join(more)})" if more else "")


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def _around(value: float, low: float, high: float, form: str) -> str:
    """A number with half the width of its interval, where it has one."""
    shown = _number(value, form)
    return shown if math.isnan(low) else f"{shown} ± {(high - low) / 2:.2f}"


def _difference(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return _around(estimate.value, estimate.low, estimate.high, "+.2f")


def _p(estimate: Estimate) -> str:
    if math.isnan(estimate.p_value):
        return ""
    return "< 0.001" if estimate.p_value < 0.001 else f"{estimate.p_value:.3f}"
