"""Where training stands, on the terminal: a bar per run and stage, with figures and time left."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

_SHOWN = {
    "dev_bleu": "dev BLEU {:.1f}",
    "dev_loss": "dev loss {:.2f}",
    "train_ce_speech": "CE {:.2f}",
    "train_ce_pairs": "CE {:.2f}",
}


class ProgressBars:
    """A context in which named bars are drawn; each run and stage gets its own.

    Args:
        console: where to draw.
        prefix: stands before the stage's name, as in "baseline · st".
    """

    def __init__(self, console: Console, prefix: str = "") -> None:
        self._prefix = prefix
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:<20}", table_column=_fixed()),
            BarColumn(bar_width=12),
            MofNCompleteColumn(table_column=_fixed()),
            TimeRemainingColumn(elapsed_when_finished=True, table_column=_fixed()),
            TextColumn("{task.fields[figures]}", table_column=_fixed()),
            console=console,
        )

    def __enter__(self) -> ProgressBars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, stage: str, step: int, max_steps: int, figures: dict[str, float]) -> None:
        """Moves the stage's bar; the part of `reporter` that the loop calls."""
        self.advance_to(f"{self._prefix}{stage}", step, max_steps, _summary(figures))

    def advance_to(self, name: str, done: int, total: int, figures: str = "") -> None:
        """Moves the named bar to `done` of `total`."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, figures=figures)
        self._progress.update(self._tasks[name], completed=done, total=total, figures=figures)


class Silent:
    """A reporter for processes whose progress nobody watches."""

    def update(self, stage: str, step: int, max_steps: int, figures: dict[str, float]) -> None:
        """Shows nothing."""


def _fixed() -> Column:
    return Column(no_wrap=True)


def _summary(figures: dict[str, float]) -> str:
    return "  ".join(form.format(figures[key]) for key, form in _SHOWN.items() if key in figures)
