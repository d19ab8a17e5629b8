"""Commands around studies: search, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from horizon_st.cli.terminal import console


def search(
    study: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped study.")],
    overrides: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads it
        typer.Argument(help="key=value of the study, e.g. 'seeds=[1]' or recipe=mboshi_fr"),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of runs and results; studies may share one.")
    ] = Path("search"),
    workers: Annotated[
        Optional[int],  # noqa: UP045 - typer reads it
        typer.Option(min=1, help="Runs at a time; by default one per GPU, or one per core."),
    ] = None,
) -> None:
    """Run all arms of a study with all seeds, and say what they show; the same command resumes."""
    import torch

    from horizon_st.hardware import usable_cores
    from horizon_st.horizon.report import show, write_page
    from horizon_st.horizon.search import run_study
    from horizon_st.horizon.study import load_study

    num_workers = workers or torch.cuda.device_count() or usable_cores()
    results = run_study(load_study(study, overrides or ()), out, console, num_workers=num_workers)
    show(results, console)
    page = write_page([results], out / results.study.name)
    console.print(f"The page with the figure is {page}", soft_wrap=True)


def report(
    paths: Annotated[
        list[Path], typer.Argument(help="Results of studies: JSON files, or folders with some.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the page and the figures.")] = Path(
        "report"
    ),
) -> None:
    """Draw the results of studies anew, without training: table, figure, verdict."""
    from horizon_st.horizon.report import show, write_page
    from horizon_st.horizon.results import find_results, read_results

    studies = [read_results(found) for path in paths for found in find_results(path)]
    for results in studies:
        show(results, console)
    console.print(f"The page is {write_page(studies, out)}", soft_wrap=True)
