"""A report, or repairs -> the terminal, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import relpath
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from horizon_st.data.validation.problems import KINDS, Problem, ProblemLog, printable
from horizon_st.data.validation.repair import Repairs
from horizon_st.data.validation.report import Report
from horizon_st.data.validation.summary import Distribution

_NUM_EXAMPLES = 3
_NUM_CHARACTERS = 12
_STYLES = {"error": "bold red", "warning": "yellow"}
_SIDES = {"transcript": "source", "translation": "target"}
_LONGEST_FOUND = 150
_LONGEST_PLACE = 60


def show_report(report: Report, console: Console) -> None:
    """Prints the figures of the corpus, then its problems by kind with the first of each."""
    console.print(_split_table(report))
    console.print(_text_table(report))
    for rates in report.summary.rates:
        console.print(
            f"[dim]chars/s of the {_SIDES[rates.side]}: median {rates.median:.1f}, "
            f"looked at outside {rates.lowest:.1f} to {rates.highest:.1f}[/]"
        )
    for path in report.skipped:
        console.print(Text(f"{_short(str(path))} is no manifest of speech: skipped", style="dim"))
    if not report.is_heard:
        console.print("[dim]The sound was not decoded.[/]")
    console.print()
    _show_shared_speakers(report, console)
    _show_problems(report.problems, console)
    console.print(Text(report.verdict, style="bold red" if report.num_errors else "bold green"))


def show_repairs(repairs: Repairs, console: Console) -> None:
    """Prints the rows read and kept, what was changed or left out and why, and what comes next."""
    table = _table("split", "rows", "kept", "left out")
    for name, num_read in repairs.num_read.items():
        kept = repairs.num_kept[name]
        table.add_row(name, f"{num_read:,}", f"{kept:,}", f"{num_read - kept:,}")
    console.print(table)
    for change, count in repairs.changed.most_common():
        console.print(f"{count:,} × {change}")
    for kind in KINDS:
        if count := repairs.dropped.counts[kind]:
            console.print(f"{count:,} left out: {kind}")
    pairs = "" if repairs.text_pairs is None else ", with the text pairs"
    console.print(Text(f"The copy is in {repairs.folder}{pairs}."), soft_wrap=True)
    if all(repairs.num_kept.get(name) for name in ("train", "dev")):
        console.print(
            Text(f"To begin with it: horizon-st new NAME --manifest {repairs.folder}"),
            soft_wrap=True,
        )
    for name in repairs.lost:
        message = f"No row of {name} can be used: the copy has no {name}.jsonl."
        console.print(Text(message, style="bold red"))


def _split_table(report: Report) -> Table:
    table = _table("split", "rows", "usable", "hours", "speakers", "seconds", "5 – 95 %", "Hz")
    for split in report.summary.splits:
        lengths = split.duration_s
        table.add_row(
            Text(split.name),
            f"{split.num_lines:,}",
            f"{split.num_usable:,}",
            f"{split.hours:,.2f}",
            f"{split.num_speakers:,}",
            _mean(lengths),
            _span(lengths),
            ", ".join(f"{rate:,}" for rate in list(split.sampling_rates)[:2]),
        )
    return table


def _show_shared_speakers(report: Report, console: Console) -> None:
    shared = [split for split in report.summary.splits if split.known_speakers]
    for split in shared:
        console.print(
            Text(
                f"{split.known_speakers:,} of {split.num_speakers:,} speakers of {split.name} "
                "also in train"
            )
        )
    if shared:
        console.print()


def _text_table(report: Report) -> Table:
    table = _table(
        "texts", "chars", "chars/s", "words", "types", "once", "unseen\nwords", "unseen\nchars"
    )
    for split in report.summary.splits:
        for side, texts in split.sides.items():
            if not texts.num_texts:
                continue
            about = "" if texts.is_exact else "~"
            table.add_row(
                Text(f"{split.name} {_SIDES[side]}"),
                _mean(texts.chars),
                _mean(texts.chars_per_second),
                f"{texts.num_tokens:,}",
                f"{about}{texts.num_types:,}",
                f"{about}{texts.num_hapaxes:,}",
                "" if texts.unknown_words is None else f"{100 * texts.unknown_words:.1f} %",
                Text(_characters(texts.unknown_characters)),
            )
    return table


def _show_problems(log: ProblemLog, console: Console) -> None:
    for kind, about in KINDS.items():
        count = log.counts[kind]
        if not count:
            continue
        console.print(
            Text.assemble(
                (f"{count:,} × {kind}", _STYLES[about.severity]), (f"  {about.meaning}", "dim")
            )
        )
        for problem in log.examples[kind][:_NUM_EXAMPLES]:
            for line in _example(problem):
                console.print(Padding(line, (0, 0, 0, 2)))
        if count > _NUM_EXAMPLES:
            console.print(Padding(Text(f"and {count - _NUM_EXAMPLES:,} more", style="dim"), (0, 2)))
    if log.counts:
        console.print()


def _example(problem: Problem) -> Iterator[Text]:
    """Where, in a line that shows the whole place, and what."""
    place = Text(_short(problem.place), style="cyan", overflow="fold")
    if problem.id is not None and len(place) <= _LONGEST_PLACE:
        place.append(f"  {printable(problem.id)}", style="dim")
        place.no_wrap, place.overflow = True, "ellipsis"
    yield place
    found = problem.found
    yield Text("  " + (found if len(found) <= _LONGEST_FOUND else f"{found[:_LONGEST_FOUND]}…"))


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    return table


def _mean(values: Distribution | None) -> str:
    return "" if values is None else f"{values.mean:.1f} ± {values.deviation:.1f}"


def _span(values: Distribution | None) -> str:
    if values is None:
        return ""
    _, low, _, high, _ = values.quantiles
    return f"{low:.1f} – {high:.1f}"


def _characters(unknown: dict[str, int] | None) -> str:
    if not unknown:
        return "" if unknown is None else "none"
    shown = "".join(character for character in unknown if character.isprintable())
    return shown[:_NUM_CHARACTERS] + ("…" if len(shown) > _NUM_CHARACTERS else "")


def _short(place: str) -> str:
    """A path from here, where that is shorter."""
    path, separator, line = place.rpartition(":")
    if not separator or not line.isdigit():
        path, separator, line = place, "", ""
    try:
        return min(path, relpath(Path(path)), key=len) + separator + line
    except ValueError:  # another drive
        return place
