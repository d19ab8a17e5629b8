"""Manifests -> everything that is wrong with them, at once, and the figures that describe them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from horizon_st.data.files import make_folder, whole_file
from horizon_st.data.validation.across import problems_across
from horizon_st.data.validation.columns import SplitColumns
from horizon_st.data.validation.held_out_pairs import problems_of_text_pairs
from horizon_st.data.validation.manifests import PROBLEMS_FILE, count_lines, find_manifests
from horizon_st.data.validation.page import write_page
from horizon_st.data.validation.problems import Problem, ProblemLog
from horizon_st.data.validation.report import Report
from horizon_st.data.validation.rows import read_rows
from horizon_st.data.validation.sound import with_sound
from horizon_st.data.validation.summary import summarize

SUMMARY_FILE = "summary.json"
PAGE_FILE = "validation.html"

Progress = Callable[[str, int, int], None]
"""Called with the split, the rows checked so far, and the lines of the manifest; or with the words
"text pairs", those compared so far, and all of them."""


def validate(
    manifests: Sequence[Path],
    *,
    out: Path | None = None,
    check_audio: bool = True,
    num_workers: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Everything that is wrong with some manifests and the text pairs beside train; their figures.

    Lines are read one by one; some 100 bytes are kept of each.

    Args:
        manifests: lhotse cuts, JSONL, of one corpus; or folders, whose manifests are taken.
        out: folder for ``problems.jsonl`` with all problems, ``summary.json`` and the page
            ``validation.html``; made if need be.
        check_audio: whether to decode all sound.
        num_workers: processes that decode; 0 for this one.
        progress: called now and then.

    Raises:
        UserError: a manifest is not there, or a folder has none.
    """
    paths, skipped = find_manifests(manifests)
    with _problems_file(out) as file:
        log = ProblemLog(file)
        splits = []
        for path in paths:
            split = SplitColumns(path)
            splits.append(split)
            num_lines = 0 if progress is None else count_lines(path)
            rows = read_rows(path)
            for row in with_sound(rows, num_workers) if check_audio else rows:
                split.add(row)
                for problem in row.problems:
                    log.add(problem)
                if progress is not None:
                    progress(split.name, split.num_lines, max(num_lines, split.num_lines))
        for problem in problems_across(splits):
            log.add(problem)
        for problem in problems_of_text_pairs(splits, progress):
            log.add(problem)
        for split in splits:
            if all(split.has_error):
                log.add(Problem("no utterances", str(split.manifest), "none that training takes"))
    report = Report(log, summarize(splits), splits, skipped, check_audio)
    if out is not None:
        with whole_file(out / SUMMARY_FILE) as file:
            json.dump(report.to_json(), file, ensure_ascii=False, indent=2)
        write_page(report, out / PAGE_FILE)
    return report


@contextmanager
def _problems_file(out: Path | None) -> Iterator[IO[str] | None]:
    if out is None:
        yield None
        return
    make_folder(out)
    with whole_file(out / PROBLEMS_FILE) as file:
        yield file
