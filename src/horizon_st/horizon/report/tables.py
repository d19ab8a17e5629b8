"""Tables of the report: all runs, to sort and to filter; the forms of R; the winning recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.comparison import FittedForm
from horizon_st.horizon.report.collapse import least_for_total, needs
from horizon_st.horizon.report.parts import NEW_LINE, Part, table, with_interval
from horizon_st.horizon.report.runs import Runs
from horizon_st.horizon.report.text import table_of
from horizon_st.horizon.results import TrialResult
from horizon_st.horizon.values import is_number, shown

_FORMS = {
    "linear": "the weights simply add up (the paper's R)",
    "interacting": "each weight saturates, pairs overlap",
    "quadratic": "a curved surface without any total",
    "process": "any smooth surface",
    "mean": "no weight makes a difference",
}
_BEST_FORM = {
    "linear": "On these runs the regularisers simply add up, as in the paper: that form is the "
    "best of these.",
    "interacting": "On these runs the regularisers do not simply add up: each saturates, or pairs "
    "of them overlap.",
    "quadratic": "On these runs no total of the regularisers does as well as a curved surface "
    "over all weights.",
    "process": "On these runs no simple form does as well as a surface that assumes nothing but "
    "smoothness.",
    "mean": "On these runs no form says clearly more about settings that it has not seen than the "
    "mean of all scores does.",
}
_UNDECIDED = (
    "On these runs “{name}” predicts settings that it has not seen best of all forms that could be "
    "fitted. That does not decide for it: {doubts}."
)
_CLEARLY = 0.9
"""Share of the mean's error. On pure noise (11 and 16 runs, 40 draws) the best of the others stayed
below the mean's in 10, and below this share of it in one."""
_TOO_FEW = "too few runs"
_FORMS_SENTENCE = (
    "Each row is a rule for how the weights make up the total regularisation; the error is how far "
    "it is off, in {metric}, on settings that it has not seen, so that the smallest error is the "
    "best picture of this corpus."
)


def runs_table(runs: Runs) -> Part:
    """All runs, with what was set, what came out, and the signatures of the scores."""
    columns = _columns(runs)
    rows = [[cells[place] for cells in columns.values()] for place in range(len(runs.trials))]
    head = "".join(
        f"<th scope=col aria-sort={'ascending' if place == 0 else 'none'}>"
        f"<button type=button>{escape(heading)}</button></th>"
        for place, heading in enumerate(columns)
    )
    body = "".join(_row(runs, trial, row) for trial, row in zip(runs.trials, rows, strict=True))
    signatures = "".join(
        f"<li>{escape(name)}: <code>{escape(text)}</code></li>"
        for name, text in runs.results.signatures.items()
    )
    return Part(
        "runs",
        "All runs",
        "Press a heading to sort by it, once more to turn the order; the best run is marked.",
        html=(
            "<div class=sortable><p><label>Only rows with <input type=search></label> "
            f"<span class=none role=status>{len(rows)} of {len(rows)} runs</span></p>"
            '<div class=wide tabindex=0 role=region aria-label="All runs"><table>'
            "<caption class=unseen>All runs</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></div>"
            + (f"<p class=legend>Signatures:</p><ul>{signatures}</ul>" if signatures else "")
        ),
    )


def arms_table(analysis: Analysis) -> str:
    """The means of all arms."""
    return table(*table_of(analysis), "All arms")


def forms_table(runs: Runs) -> Part:
    """Which form of R fits best: the paper's open question, answered for this corpus."""
    name, title = "forms", "Which form of the total fits"
    needed = needs(runs, least_for_total(runs))
    if needed:
        return Part(name, title, needed=needed)
    headings = ["form", "error", "AIC", "parameters", "weights per unit (95 %)"]
    rows = [_form_row(form, runs) for form in runs.forms]
    return Part(
        name,
        title,
        _said_of(runs.forms) + " " + _FORMS_SENTENCE.format(metric=runs.metric),
        html=table(headings, rows, title),
    )


def recipe(runs: Runs) -> Part:
    """The winning recipe of a search, to copy."""
    name, title = "recipe", "The winning recipe"
    text = runs.results.best_recipe
    if not text:
        needed = "Run `horizon-st search` again with the same command: it adds the recipe."
        return Part(name, title, needed=needed)
    return Part(
        name,
        title,
        "Save this as a YAML file and give it to horizon-st train.",
        html=(
            "<div class=copied><button type=button hidden>Copy</button>"
            f"<pre tabindex=0><code>{escape(text)}</code></pre></div>"
        ),
    )


def _row(runs: Runs, trial: TrialResult, cells: list[tuple[str, float | str]]) -> str:
    marked = ' class=best aria-label="the best run"' if trial is runs.best_run else ""
    return (
        f"<tr{marked}>"
        + "".join(
            f'<td data-value="{escape(str(value))}">{escape(text)}</td>' for text, value in cells
        )
        + "</tr>"
    )


def _columns(runs: Runs) -> dict[str, list[tuple[str, float | str]]]:
    """By heading a text and a value to sort by for each run; what no run has is left out."""
    trials = runs.trials
    metrics = dict.fromkeys([runs.metric, *(name for t in trials for name in t.scores)])
    listed = {arm.name for arm in runs.study.arms}  # others are called after their values
    columns: dict[str, list[tuple[str, float | str]]] = {
        "run": [(str(n), float(n)) for n in range(1, len(trials) + 1)]
    }
    if any(trial.arm in listed for trial in trials):
        columns["arm"] = [(trial.arm, trial.arm) for trial in trials]
    for key in runs.keys:
        columns[runs.labels[key]] = [_setting(runs.value_of(trial, key)) for trial in trials]
    columns["seed"] = [(str(trial.seed), float(trial.seed)) for trial in trials]
    for metric in metrics:
        heading = metric.replace("text_", "text, ")
        columns[heading] = [_number(trial.scores.get(metric), ".2f") for trial in trials]
    columns["dev loss"] = [_number(trial.dev.get("loss"), ".3f") for trial in trials]
    columns["updates"] = [_number(t.stopped_at or t.steps or None, ".0f") for t in trials]
    columns["minutes"] = [_number(t.wall_s / 60 or None, ".1f") for t in trials]
    columns["end"] = [(_end(trial), _end(trial)) for trial in trials]
    return {heading: cells for heading, cells in columns.items() if any(text for text, _ in cells)}


def _setting(value: Any) -> tuple[str, float | str]:
    return (f"{value:.3g}", float(value)) if is_number(value) else (shown(value), shown(value))


def _number(value: float | None, form: str) -> tuple[str, float | str]:
    return ("", "") if value is None or math.isnan(value) else (format(value, form), value)


def _end(trial: TrialResult) -> str:
    if trial.stopped_at is not None:
        return "stopped early"
    if trial.is_out_of_memory:
        return "out of memory"
    return "diverged" if trial.failure else "complete"


def _said_of(forms: Sequence[FittedForm]) -> str:
    """Which form it is, if any is clearly better than the mean, and what leaves that open."""
    best, mean = forms[0], next(form for form in forms if form.name == "mean")
    assert best.error is not None
    assert mean.error is not None
    if best.error >= _CLEARLY * mean.error:
        return _BEST_FORM["mean"]
    rivals = [form for form in forms if form.name not in (best.name, "process", "mean")]
    unfitted = [form.name for form in rivals if form.error is None]
    close = [
        form.name
        for form in rivals
        if form.error is not None and not best.is_clearly_better_than(form)
    ]
    doubts = []
    if unfitted:
        doubts.append(f"there are too few runs for {_listed(unfitted)}")
    if close:
        doubts.append(f"it is not better than {_listed(close)} by a standard error")
    if best.aic is not None and mean.aic is not None and best.aic >= mean.aic:
        doubts.append("by AIC the mean is the better one")
    if not doubts:
        return _BEST_FORM[best.name]
    return _UNDECIDED.format(name=best.name, doubts="; ".join(doubts))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)


def _form_row(form: FittedForm, runs: Runs) -> list[str]:
    aic = "" if form.aic is None else f"{form.aic:.1f}".replace("inf", _TOO_FEW)
    weights = NEW_LINE.join(
        f"{runs.labels[key]} {with_interval(found)}" for key, found in form.weights.items()
    )
    number = "" if form.num_parameters is None else str(form.num_parameters)
    error = _TOO_FEW if form.error is None else f"{form.error:.2f}"
    return [f"{form.name}: {_FORMS[form.name]}", error, aic, number, weights]
