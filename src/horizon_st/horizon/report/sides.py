"""Which side of the horizon each setting lies on, under the surface of all runs."""

from __future__ import annotations

from horizon_st.horizon.diagnosis import diagnose_setting
from horizon_st.horizon.finder import NUM_FIRST
from horizon_st.horizon.report.collapse import needs
from horizon_st.horizon.report.parts import Part, table
from horizon_st.horizon.report.runs import Runs
from horizon_st.horizon.values import shown

_SENTENCE = (
    "What the surface says about each setting: whether turning all regularisers up or down "
    "together gains more than {tolerance} {metric}, and which weights it would try next. Beside it "
    "what the learning curves of the first run show by themselves, which is less."
)


def sides(runs: Runs) -> Part:
    """The diagnosis of every setting, the first run of which gives it its number."""
    name, title = "sides", "Where each setting lies"
    needed = needs(runs, NUM_FIRST if runs.is_search else 2 * len(runs.weights) + 1)
    if needed:
        return Part(name, title, needed=needed)
    tolerance = runs.study.analysis.tolerance
    rows = []
    seen: set[tuple[float, ...]] = set()
    for trial, setting in zip(runs.scored, runs.settings, strict=True):
        weights = tuple(setting.values())
        if weights in seen:
            continue
        seen.add(weights)
        found = diagnose_setting(setting, runs.found, tolerance)
        rows.append(
            [
                f"run {runs.number_of(trial)}",
                _weights(setting, runs),
                f"{trial.scores[runs.metric]:.2f}",
                found.side,
                trial.side_by_curves or "",
                " ".join(found.evidence),
                _weights(found.next_setting, runs),
            ]
        )
    return Part(
        name,
        title,
        _SENTENCE.format(tolerance=f"{tolerance:g}", metric=runs.metric),
        html=table(
            ["first run", "weights", runs.metric, "side", "by its curves", "why", "next to try"],
            rows,
            title,
            prose=("weights", "why", "next to try"),
        ),
    )


def _weights(setting: dict[str, float], runs: Runs) -> str:
    return ", ".join(
        f"{runs.labels[key]}\N{NO-BREAK SPACE}{shown(value)}" for key, value in setting.items()
    )
