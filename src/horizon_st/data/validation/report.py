"""The result of a validation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from horizon_st.data.validation.columns import SplitColumns
from horizon_st.data.validation.problems import ProblemLog
from horizon_st.data.validation.summary import Summary


@dataclass
class Report:
    """What is wrong with a corpus, and what it is.

    Attributes:
        problems: counted, with examples.
        summary: the corpus in figures.
        splits: the numbers behind them, for pictures.
        skipped: files of a given folder that are no manifests.
        is_heard: whether the sound was decoded.
    """

    problems: ProblemLog
    summary: Summary
    splits: list[SplitColumns]
    skipped: list[Path]
    is_heard: bool

    @property
    def num_errors(self) -> int:
        """Problems for which training refuses the corpus."""
        return self.problems.total("error")

    @property
    def num_warnings(self) -> int:
        """Problems to look at."""
        return self.problems.total("warning")

    @property
    def verdict(self) -> str:
        """Both numbers, and what training makes of them."""
        counts = f"{_plural(self.num_errors, 'error')}, {_plural(self.num_warnings, 'warning')}"
        return f"{counts}: training {'refuses' if self.num_errors else 'takes'} this corpus."

    def to_json(self) -> dict[str, object]:
        """Counts and figures; the problems themselves are in a file of their own."""
        return {
            "errors": self.num_errors,
            "warnings": self.num_warnings,
            "is_heard": self.is_heard,
            "problems": dict(self.problems.counts),
            **asdict(self.summary),
        }


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
