"""`find_horizon` against Optuna's samplers, random search and the full grid -> docs/horizon.md.

    python benchmarks/finder.py [--surfaces 42] [--held-out 24] [--noise 0 0.25 0.5] [--seeds 3]
        [--runs 28] [--draw 0] [--real RESULTS ...] [--processes 2] [--out FILE.json]
        [--page FILE.md]

Made-up surfaces (surfaces.py) whose best is known, and on demand surfaces through real runs
(real_runs.py): of each results.json that is given, and of those below a folder that serve. After
each run a search is asked for its answer, and runs are counted until the answer is within 1 % of
the best true score of a grid of four values per weight: until the first such answer, and until all
later answers are such, too. A search that does not get there counts as one run more than it had:
the grid, which runs whole, as one more than it has settings. `find_horizon` answers with
`conclude`; the others with the run of the highest score, as Optuna's `best_trial` does, and by a
second count with `conclude` over their own runs, which is fairer to them where scores are noisy.
Beside FILE.json, FILE.jsonl keeps a line for each case that has ended, so that a benchmark that was
stopped goes on; lines of other code, or of another Optuna, do not count.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import json
import multiprocessing
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from all import put_table
from measuring import print_table, write_report
from real_runs import find_tables, real_surface
from searches import RULES, SEARCHES
from surfaces import FAMILIES, HELD_OUT, Surface, draw_held_out, draw_surfaces

from horizon_st.horizon import SearchSpace, annealing, finder, gaussian_process, space
from horizon_st.horizon.finder import ScoredSetting

Row = dict[str, Any]

BUILT_WITH, HELD, REAL = "built with", "held out", "real runs"
_SOURCES = [
    Path(__file__).with_name(f"{name}.py") for name in ("surfaces", "searches", "real_runs")
]
_SOURCES += [Path(str(module.__file__)) for module in (annealing, gaussian_process, finder, space)]


@dataclass(frozen=True)
class Case:
    """One search on one surface.

    Attributes:
        part: the surfaces that the search was built with, those held out, or those of real runs.
        number: of the surface in its part.
        noise: standard deviation of a score; of real runs, what theirs is.
        code: what surfaces, searches and answers are computed by (`code_version`).
        table: the file of the real runs, or nothing.
        seed: of the noise and of the search.
        search: its name.
        runs: that it may make.
        draw: of the surfaces.
    """

    part: str
    number: int
    noise: float
    code: str
    table: str
    seed: int
    search: str
    runs: int
    draw: int


@dataclass(frozen=True)
class Outcome:
    """What one case gave.

    Attributes:
        case: that was run.
        kind: of its surface.
        first: runs until the first good answer, by each rule for the answer.
        lasting: runs until all later answers are good.
        right: whether the answer after each run was.
        seconds: of processor time per proposal.
    """

    case: Case
    kind: str
    first: dict[str, int]
    lasting: dict[str, int]
    right: dict[str, list[int]]
    seconds: float


def main() -> None:
    """Runs what is missing, prints the tables, and on demand writes them as JSON and to a page."""
    options = _options()
    cases = [*_cases(options)]
    if not cases:
        sys.exit("no surface to search on")
    lines = options.out.with_suffix(".jsonl") if options.out else None
    outcomes = _read(lines) if lines and lines.is_file() else {}
    missing = [case for case in cases if case not in outcomes]
    for number, outcome in enumerate(_run(missing, options.processes), start=1):
        outcomes[outcome.case] = outcome
        if lines:
            with lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")
        if number % 100 == 0:
            print(f"{number} of {len(missing)}", file=sys.stderr)
    found = [outcomes[case] for case in cases]
    rows = [row for part in (BUILT_WITH, HELD, REAL) for row in _summary(found, part)]
    print_table(rows)
    if options.out is not None:
        real = ["/".join(path.parts[-2:]) for path in options.real]
        write_report(options.out, {**vars(options), "page": None, "real": real}, rows)
    if options.page is not None:
        put_table(options.page, "finder", _as_text(rows))
        put_table(options.page, "finder by kind", _as_text([*_by_kind(found)]))


def code_version(*tables: Path) -> str:
    """What an outcome rests on, in short: the sources, Optuna, and the table of real runs."""
    content = b"".join(path.read_bytes() for path in (*_SOURCES, *tables))
    return hashlib.sha256(content + optuna.__version__.encode()).hexdigest()[:12]


def run_case(case: Case) -> Outcome:
    """One search on one surface; the noise is the same for all searches of equal seed."""
    torch.set_num_threads(1)
    surface = _surface(case)
    rng = np.random.default_rng((case.draw, case.number, case.seed, zlib.crc32(case.part.encode())))

    def evaluate(setting: dict[str, float]) -> float:
        score = float(surface.score(surface.space.to_unit(setting)))
        return score + surface.draw_noise(case.noise, rng)

    search, rules = SEARCHES[case.search]
    seed = 1000 * case.number + case.seed
    started = time.process_time()
    trials = search(evaluate, surface.space, case.runs, seed)
    seconds = (time.process_time() - started) / len(trials)
    right = {rule: [*_are_good(surface, trials, RULES[rule])] for rule in rules}
    first = {rule: runs_until_first(good) for rule, good in right.items()}
    lasting = {rule: runs_until_lasting(good) for rule, good in right.items()}
    told = {rule: [*map(int, good)] for rule, good in right.items()}
    return Outcome(case, surface.kind, first, lasting, told, seconds)


def runs_until_first(are_good: Sequence[bool]) -> int:
    """One more than there are if none is good."""
    return [*are_good, True].index(True) + 1


def runs_until_lasting(are_good: Sequence[bool]) -> int:
    """Likewise, until all later ones are good, too."""
    return len(are_good) - [*are_good[::-1], False].index(False) + 1


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    """Each search on each surface, one seed of all after the other."""
    parts = ((BUILT_WITH, options.surfaces), (HELD, options.held_out))
    made_up = [
        (part, number, noise, code_version(), "")
        for part, count in parts
        for number, noise in itertools.product(range(count), options.noise)
    ]
    real = [
        (REAL, number, real_surface(path).noise, code_version(path), str(path))
        for number, path in enumerate(find_tables(options.real))
    ]
    for seed, surface, search in itertools.product(
        range(options.seeds), [*made_up, *real], SEARCHES
    ):
        yield Case(*surface, seed, search, options.runs, options.draw)


def _run(cases: Sequence[Case], num_processes: int) -> Iterator[Outcome]:
    """The outcomes, in the order of the cases."""
    if num_processes == 1:
        yield from map(run_case, cases)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, mp_context=context) as pool:
        yield from pool.map(run_case, cases)


def _are_good(
    surface: Surface,
    trials: Sequence[ScoredSetting],
    answer: Callable[[Sequence[ScoredSetting], SearchSpace], dict[str, float]],
) -> Iterator[bool]:
    """Whether the answer after each run has a good enough true score."""
    wanted = surface.wanted
    for number in range(1, len(trials) + 1):
        point = surface.space.to_unit(answer(trials[:number], surface.space))
        yield bool(surface.score(point) >= wanted)


def _summary(outcomes: Sequence[Outcome], part: str) -> list[Row]:
    """A row for each search and rule of its answer."""
    rows = []
    for search, (_, rules) in SEARCHES.items():
        chosen = [o for o in outcomes if (o.case.part, o.case.search) == (part, search)]
        for rule in rules if chosen else ():
            first = [outcome.first[rule] for outcome in chosen]
            lasting = [outcome.lasting[rule] for outcome in chosen]
            at = {
                n: np.mean([o.right[rule][min(n, len(o.right[rule])) - 1] for o in chosen])
                for n in (16, 24)
            }
            rows.append(
                {
                    "surfaces": part,
                    "search": search,
                    "its answer": rule,
                    "first, median": float(np.median(first)),
                    "first, 90 %": float(np.quantile(first, 0.9)),
                    "lasting, median": float(np.median(lasting)),
                    "lasting, 90 %": float(np.quantile(lasting, 0.9)),
                    "right after 16": f"{at[16]:.0%}",
                    "right after 24": f"{at[24]:.0%}",
                    "s per proposal": f"{np.mean([o.seconds for o in chosen]):.3f}",
                }
            )
    return rows


def _by_kind(outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """Of each kind of surface and noise, median and 90th percentile of the lasting answer."""
    noises = sorted({outcome.case.noise for outcome in outcomes})
    real = [outcome.kind for outcome in outcomes if outcome.case.part == REAL]
    kinds = dict.fromkeys((*FAMILIES, *HELD_OUT, *real))
    for kind, noise in itertools.product(kinds, noises):
        row: Row = {"surface": kind, "noise": f"{noise:.3g}"}
        for search, (_, rules) in SEARCHES.items():
            numbers = [
                outcome.lasting[rules[0]]
                for outcome in outcomes
                if (outcome.kind, outcome.case.noise, outcome.case.search) == (kind, noise, search)
            ]
            if numbers:
                row[search] = f"{np.median(numbers):.0f} / {np.quantile(numbers, 0.9):.0f}"
        if len(row) > 2:
            yield row


@cache
def _surface(case: Case) -> Surface:
    if case.part == REAL:
        return real_surface(Path(case.table))
    draw_some = draw_surfaces if case.part == BUILT_WITH else draw_held_out
    return draw_some(case.number + 1, case.draw)[case.number]


def _read(path: Path) -> dict[Case, Outcome]:
    """The outcomes in a file; lines from before cases named their code are passed over."""
    found = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    known = (line for line in found if "code" in line["case"])
    outcomes = (Outcome(**{**line, "case": Case(**line["case"])}) for line in known)
    return {outcome.case: outcome for outcome in outcomes}


def _as_text(rows: Sequence[Row]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as table:
        print_table(rows)
    return table.getvalue()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--surfaces", type=int, default=42)
    parser.add_argument("--held-out", type=int, default=24)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.25, 0.5])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=28)
    parser.add_argument("--draw", type=int, default=0, help="of the surfaces")
    parser.add_argument(
        "--real", type=Path, nargs="*", default=[], help="results.json of real runs, or folders"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--page", type=Path, help="whose tables are replaced")
    return parser.parse_args()


if __name__ == "__main__":
    main()
