"""A report -> one HTML file, which needs nothing else: pictures, figures, problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np

from horizon_st.data.files import whole_file
from horizon_st.data.validation.columns import SIDES
from horizon_st.data.validation.pictures import MOST_SPLITS, histogram
from horizon_st.data.validation.problems import KINDS
from horizon_st.data.validation.report import Report
from horizon_st.data.validation.summary import Distribution, SideSummary, SplitSummary, usable
from horizon_st.page_style import STYLE


def write_page(report: Report, path: Path) -> None:
    """Writes the page, which replaces an older one only when it is whole."""
    with whole_file(path) as file:
        file.writelines(f"{part}\n" for part in _page(report))


def _page(report: Report) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{report.verdict}</title>"
    yield f"<style>{STYLE}</style>\n</head>\n<body>\n<main>"
    yield "<h1>What is in the corpus, and what is wrong with it</h1>"
    yield f'<p class="verdict {"bad" if report.num_errors else "good"}">{report.verdict}</p>'
    if not report.is_heard:
        yield "<p>The sound was not decoded.</p>"
    yield "<h2>Problems</h2>"
    yield from _problems(report)
    yield "<h2>Lengths</h2>"
    yield from _pictures(report)
    yield "<h2>Speech</h2>"
    yield from _table(_SPEECH, (_speech_row(split) for split in report.summary.splits))
    yield "<h2>Texts</h2>"
    rows = [
        _text_row(split, side, texts)
        for split in report.summary.splits
        for side, texts in split.sides.items()
        if texts.num_texts
    ]
    yield from _table(_TEXTS, rows)
    yield from _notes(report)
    yield "</main>\n</body>\n</html>"


def _problems(report: Report) -> Iterator[str]:
    log = report.problems
    if not log.counts:
        yield "<p>None.</p>"
    for kind, about in KINDS.items():
        count = log.counts[kind]
        if not count:
            continue
        yield f'<details class="{about.severity}"{" open" if about.severity == "error" else ""}>'
        yield (
            f"<summary><b>{count:,}</b> × {kind} <span>{escape(about.meaning)}; "
            f"with <code>--fix</code>: {about.fix}</span></summary>"
        )
        yield "<ul>"
        for problem in log.examples[kind]:
            name = "" if problem.id is None else f" <i>{escape(problem.id)}</i>"
            yield (
                f"<li><code>{escape(problem.place)}</code>{name}<br>{escape(problem.found)}</li>"
            )
        if count > len(log.examples[kind]):
            yield f"<li>and {count - len(log.examples[kind]):,} more, in problems.jsonl</li>"
        yield "</ul></details>"


def _pictures(report: Report) -> Iterator[str]:
    splits = report.splits
    yield '<p class="legend">'
    for number, split in enumerate(splits[:MOST_SPLITS], start=1):
        yield f'<span class="key{number}">{escape(split.name)}</span>'
    yield " share of the rows of each split</p>"
    yield '<div class="pictures">'
    seconds = {split.name: usable(split, split.durations_s) for split in splits}
    yield _figure("Duration", histogram("Duration of the utterances", "seconds", seconds))
    for side in SIDES:
        chars = {split.name: usable(split, split.sides[side].num_chars) for split in splits}
        chars = {name: values[values > 0] for name, values in chars.items()}
        if any(map(len, chars.values())):
            picture = histogram(f"Length of the {side}s", "characters", chars, is_whole=True)
            yield _figure(f"Characters of the {side}", picture)
    bounds = {rates.side: (rates.lowest, rates.highest) for rates in report.summary.rates}
    for side in SIDES:
        rates = {split.name: usable(split, split.chars_per_second(side)) for split in splits}
        rates = {name: values[~np.isnan(values)] for name, values in rates.items()}
        if any(map(len, rates.values())):
            title = f"Characters per second of the {side}"
            picture = histogram(title, "characters per second", rates, marks=bounds.get(side, ()))
            yield _figure(title, picture)
    yield "</div>"


def _figure(caption: str, picture: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{picture}</figure>"


_SPEECH = (
    "split",
    "rows",
    "usable",
    "hours",
    "speakers",
    "in train, too",
    "Hz",
    "seconds",
    "least",
    "5 %",
    "median",
    "95 %",
    "most",
    "translation in train",
)

_LEAST_SCRIPT_SHARE = 0.001
_UNKNOWN_CHARACTERS = "unknown characters"

_TEXTS = (
    "texts",
    "rows",
    "characters",
    "median",
    "chars/s",
    "median",
    "words",
    "types",
    "once",
    "unknown words",
    _UNKNOWN_CHARACTERS,
    "scripts",
)


def _speech_row(split: SplitSummary) -> list[str]:
    lengths = split.duration_s
    quantiles = [f"{value:.2f}" for value in lengths.quantiles] if lengths else [""] * 5
    known = split.known_translations
    return [
        split.name,
        f"{split.num_lines:,}",
        f"{split.num_usable:,}",
        f"{split.hours:,.2f}",
        f"{split.num_speakers:,}",
        "" if split.known_speakers is None else f"{split.known_speakers:,}",
        ", ".join(f"{rate:,}" for rate in list(split.sampling_rates)[:3]),
        _mean(lengths),
        *quantiles,
        "" if known is None else f"{100 * known:.1f} %",
    ]


def _text_row(split: SplitSummary, side: str, texts: SideSummary) -> list[str]:
    about = "" if texts.is_exact else "≈ "
    scripts = [
        f"{name} {100 * share:.1f} %"
        for name, share in list(texts.scripts.items())[:3]
        if share >= _LEAST_SCRIPT_SHARE
    ]
    return [
        f"{split.name} {side}",
        f"{texts.num_texts:,}",
        _mean(texts.chars),
        _median(texts.chars),
        _mean(texts.chars_per_second),
        _median(texts.chars_per_second),
        f"{texts.num_tokens:,}",
        f"{about}{texts.num_types:,}",
        f"{about}{texts.num_hapaxes:,}",
        "" if texts.unknown_words is None else f"{100 * texts.unknown_words:.1f} %",
        _characters(texts.unknown_characters),
        ", ".join(scripts),
    ]


def _notes(report: Report) -> Iterator[str]:
    yield "<p>Mean ± standard deviation, of the rows without errors. Unknown is what train lacks."
    for rates in report.summary.rates:
        yield (
            f"The median rate of the {rates.side}s is {rates.median:.1f} characters per second; "
            f"outside {rates.lowest:.1f} to {rates.highest:.1f} (dashed) a row is looked at."
        )
    yield "</p>"
    for split in report.summary.splits:
        yield f"<p><code>{escape(split.manifest)}</code></p>"
    for path in report.skipped:
        yield f"<p><code>{escape(str(path))}</code> is no manifest of speech and was skipped.</p>"


def _table(headings: Sequence[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield '<div class="wide"><table>\n<thead><tr>'
    yield "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    yield "</tr></thead>\n<tbody>"
    for row in rows:
        cells = zip(headings, row, strict=True)
        yield "<tr>" + "".join(_cell(heading, text) for heading, text in cells) + "</tr>"
    yield "</tbody>\n</table></div>"


def _cell(heading: str, text: str) -> str:
    name = ' class="characters"' if heading == _UNKNOWN_CHARACTERS else ""
    return f"<td{name}>{escape(text)}</td>"


def _mean(values: Distribution | None) -> str:
    return "" if values is None else f"{values.mean:.1f} ± {values.deviation:.1f}"


def _median(values: Distribution | None) -> str:
    return "" if values is None else f"{values.quantiles[2]:.1f}"


def _characters(unknown: dict[str, int] | None) -> str:
    if not unknown:
        return "" if unknown is None else "none"
    return " ".join(
        f"{character} ({count})" for character, count in unknown.items() if character.isprintable()
    )
