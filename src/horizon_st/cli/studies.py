"""Commands around studies: search, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from horizon_st.cli.terminal import console


def search(
    study: Annotated[
        str,
        typer.Argument(
            help="A study: a YAML file, or the name of a shipped one. With --trials a recipe."
        ),
    ],
    overrides: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads it
        typer.Argument(help="key=value of the study, e.g. 'seeds=[1]' or recipe=mboshi_fr"),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of runs and results; studies may share one.")
    ] = Path("search"),
    workers: Annotated[
        Optional[int],  # noqa: UP045 - typer reads it
        typer.Option(
            min=1, help="Runs at a time; by default one per GPU of this machine, or one per core."
        ),
    ] = None,
    trials: Annotated[
        Optional[int],  # noqa: UP045 - typer reads it
        typer.Option(min=1, help="Search the best weights of a recipe in so many runs."),
    ] = None,
    storage: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it
        typer.Option(
            help="Where a search keeps its trials: the URL of a database, or a path that ends in "
            ".log; a file in the folder by default."
        ),
    ] = None,
    ray: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it
        typer.Option(help="Run the workers on this Ray cluster: HOST:PORT, or auto."),
    ] = None,
    cpus: Annotated[float, typer.Option(help="Cores of each worker on a Ray cluster.")] = 1.0,
    gpus: Annotated[
        float, typer.Option(help="GPUs of each worker on a Ray cluster; 0.25 lets four share one.")
    ] = 0.0,
    early_stopping: Annotated[
        bool, typer.Option(help="Whether a search stops runs that can hardly win.")
    ] = True,
) -> None:
    """Run all arms of a study, or search the best weights; the same command resumes or joins in."""
    import torch

    from horizon_st.data.files import claimed
    from horizon_st.hardware import usable_cores
    from horizon_st.horizon.cluster import RayCluster
    from horizon_st.horizon.report import show, write_page
    from horizon_st.horizon.search import run_study
    from horizon_st.horizon.study import load_study, search_of

    num_workers = workers or torch.cuda.device_count() or usable_cores()
    chosen = (
        load_study(study, overrides or ())
        if trials is None
        else search_of(study, trials, overrides or ())
    )
    results = run_study(
        chosen,
        out,
        console,
        num_workers=num_workers,
        storage=storage,
        stops_early=early_stopping,
        cluster=RayCluster(ray, cpus, gpus) if ray else None,
    )
    show(results, console)
    with claimed(out / f"{results.study.name}.lock", wait=True):
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

    found = [read_results(file) for path in paths for file in find_results(path)]
    studies = [results for results in found if results.scores] or found
    for results in found:
        if results in studies:
            show(results, console)  # refuses one without scores, where there is no other
        else:
            console.print(f"{results.study.name} has no score yet, and is left out.", markup=False)
    console.print(f"The page is {write_page(studies, out)}", soft_wrap=True)
