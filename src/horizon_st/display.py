"""Where long work stands, on the terminal: a named bar for each part of it, with time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
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
    "dev_character_error_rate": "dev CER {:.1%}",
    "dev_piece_error_rate": "dev piece errors {:.1%}",
    "dev_loss": "dev loss {:.2f}",
    "train_ce_speech": "speech CE {:.2f}",
    "train_ce_pairs": "pairs CE {:.2f}",
    "train_ctc": "CTC {:.2f}",
}


class ProgressBars:
    """A context in which named bars are drawn; each run and stage gets its own.

    Args:
        console: where to draw.
        after_s: seconds that pass before anything is drawn.
    """

    def __init__(self, console: Console, *, after_s: float = 0.0) -> None:
        self._starts_at = time.monotonic() + after_s
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:<20}", table_column=_fixed()),
            BarColumn(bar_width=12),
            MofNCompleteColumn(table_column=_fixed()),
            TimeRemainingColumn(elapsed_when_finished=True, table_column=_fixed()),
            TextColumn("{task.fields[figures]}", table_column=_fixed()),
            console=console,
            # From the standard error it would take what is printed out of any pipe.
            redirect_stdout=not console.stderr or sys.stdout.isatty(),
        )

    def __enter__(self) -> ProgressBars:
        self._start_if_due()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def update(self, stage: str, step: int, max_steps: int, figures: dict[str, float]) -> None:
        """Moves the stage's bar; the part of `reporter` that the loop calls."""
        self.advance_to(stage, step, max_steps, _summary(figures))

    def advance_to(self, name: str, done: int, total: int, figures: str = "") -> None:
        """Moves the named bar to `done` of `total`."""
        figures = escape(figures)
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(escape(name), total=total, figures=figures)
        self._progress.update(self._tasks[name], completed=done, total=total, figures=figures)
        self._start_if_due()

    def _start_if_due(self) -> None:
        if time.monotonic() >= self._starts_at:
            self._progress.start()


@contextmanager
def progress_bar(
    name: str, *, after_s: float = 0.0, console: Console | None = None
) -> Iterator[Callable[[int, int], None]]:
    """A function that moves a bar on the standard error to what is done of a total.

    Args:
        name: stands before the bar.
        after_s: seconds that pass before it is drawn.
        console: of the standard error, where something else is printed there meanwhile.
    """
    with ProgressBars(console or Console(stderr=True), after_s=after_s) as bars:
        yield lambda done, total: bars.advance_to(name, done, total)


def _fixed() -> Column:
    return Column(no_wrap=True)


def _summary(figures: dict[str, float]) -> str:
    return "  ".join(form.format(figures[key]) for key, form in _SHOWN.items() if key in figures)
