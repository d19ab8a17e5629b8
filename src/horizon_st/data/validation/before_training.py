"""A manifest -> nothing, or the error that keeps training from starting."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from horizon_st.data.validation.problems import KINDS, Problem
from horizon_st.data.validation.rows import read_rows
from horizon_st.errors import UserError

NUM_LINES = 20_000
"""As many as are checked in some seconds; systematic errors show in the first ones."""


def check_before_training(manifest: Path) -> None:
    """Returns if texts, times, ids and paths in the first 20,000 rows are right.

    Sound is looked for, but not decoded; that is for `validate`, and for training itself.

    Raises:
        UserError: some are not; it says how many, and which command lists them.
    """
    seen: set[str] = set()
    errors: list[Problem] = []
    num_errors = num_rows = 0
    for row in islice(read_rows(manifest), NUM_LINES):
        num_rows += 1
        if row.cut is not None:
            if row.cut.id in seen:
                row.add("duplicate id", row.cut.id)
            seen.add(row.cut.id)
        found = [problem for problem in row.problems if _keeps_from_training(problem)]
        num_errors += len(found)
        errors += found[: 1 - len(errors)]
    if not num_rows:
        errors, num_errors = [Problem("no utterances", str(manifest), "an empty manifest")], 1
    if not errors:
        return
    [first] = errors
    whose = f": utterance {first.id}" if first.id else ""
    is_whole = "" if num_rows < NUM_LINES else f" in the first {NUM_LINES} lines"
    raise UserError(
        f"{first.place}{whose}",
        expected="a manifest without errors",
        found=f"{first.kind}: {first.found}"
        + (f"; {num_errors} errors in all{is_whole}" if num_errors > 1 else ""),
        remedy=f"`horizon-st validate {manifest}` lists them all, and with --fix DIR mends or "
        "leaves out what is wrong.",
    )


def _keeps_from_training(problem: Problem) -> bool:
    """Whether it is an error, or what only a test set may lack."""
    return KINDS[problem.kind].severity == "error" or problem.kind == "no reference"
