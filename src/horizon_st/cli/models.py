"""Commands around a model: demo, train, keys, evaluate, compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer
from rich.markup import escape

from horizon_st.cli.options import LengthPenalty, Precision
from horizon_st.cli.terminal import console
from horizon_st.decoding.configuration import Tokenize
from horizon_st.errors import UserError


def demo(
    target: Annotated[str, typer.Option(help="es, fr, it or de.")] = "es",
    out: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(help="Folder for corpus and runs; demo/TARGET by default."),
    ] = None,
    override: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads it
        typer.Option("--override", "-O", help="section.key=value for all runs; may be repeated."),
    ] = None,
) -> None:
    """Show in minutes what regularisation buys, on recorded speech that comes with the package."""
    from horizon_st.demo import run_demo

    run_demo(target, out or Path("demo") / target, console, overrides=override or ())


def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    overrides: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads it
        typer.Argument(help="section.key=value, e.g. objective.rdrop_weight=3"),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(help="Run folder; runs/NAME by default. The same command resumes."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only try an update of each stage on made-up data: shapes, memory."
        ),
    ] = False,
) -> None:
    """Run all stages of a recipe; `horizon-st keys` lists what a recipe can say."""
    from horizon_st.config import load_config
    from horizon_st.recipes import find_recipe

    path = find_recipe(recipe)
    from horizon_st.display import ProgressBars
    from horizon_st.horizon.run_diagnosis import diagnose_run
    from horizon_st.training.devices import naming_lack_of_memory
    from horizon_st.training.record import RECORD_FILE
    from horizon_st.training.stages import Recipe, run_recipe

    resolved = load_config(Recipe, path, overrides or ())
    if dry_run:
        from horizon_st.training.dry_run import dry_run as try_out

        try_out(resolved).render(console)
        return
    folder = out or Path("runs") / resolved.name
    with ProgressBars(console) as bars, naming_lack_of_memory(folder):
        model = run_recipe(resolved, folder, bars)
    console.print(f"The model is in {model}", soft_wrap=True)
    found = diagnose_run(json.loads((model.parent / RECORD_FILE).read_text(encoding="utf-8")))
    if found is not None:
        console.print(found.describe(), soft_wrap=True, highlight=False)


def keys(
    prefix: Annotated[str, typer.Argument(help="Only keys that begin so, e.g. data.")] = "",
) -> None:
    """List every key of a recipe with its default, type and meaning."""
    from rich.padding import Padding

    from horizon_st.config import describe_config
    from horizon_st.training.stages import Recipe

    rows = [row for row in describe_config(Recipe) if row[0].startswith(prefix)]
    if not rows:
        raise UserError(
            prefix,
            expected="the beginning of a key, such as data or stages.st",
            found="no key that begins so",
            remedy="Leave it out to see all keys.",
        )
    for key, kind, default, meaning in rows:
        shown = f"[bold]{escape(key)}[/]: {escape(default)}  [dim]{escape(kind)}[/]"
        console.print(shown, soft_wrap=True, highlight=False)
        console.print(Padding(escape(meaning), (0, 0, 0, 4)), highlight=False)


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder or hub id.")],
    manifest: Annotated[Path, typer.Argument(help="lhotse cuts, JSONL.")],
    out: Annotated[
        Path, typer.Option(help="Folder for scores.json, sentences.jsonl and hypotheses.txt.")
    ],
    beam_size: Annotated[int, typer.Option(help="1 is greedy search.")] = 5,
    length_penalty: LengthPenalty = 1.0,
    batch_size: Annotated[int, typer.Option(help="Utterances at once.")] = 16,
    precision: Precision = "fp32",
    modality: Annotated[
        Literal["speech", "text"], typer.Option(help="Translate the speech or the transcript.")
    ] = "speech",
    lowercase: Annotated[bool, typer.Option(help="Score without case.")] = False,
    tokenize: Annotated[
        Optional[Tokenize],  # noqa: UP045 - typer reads it
        typer.Option(help="BLEU's tokeniser; that of the recipe of the run by default, or 13a."),
    ] = None,
) -> None:
    """Score a model on a manifest: BLEU, chrF and TER with signatures, and a line per sentence."""
    from horizon_st.decoding.configuration import DecodingConfig
    from horizon_st.decoding.evaluate import evaluate as run
    from horizon_st.decoding.evaluate import tokenizer_of_run

    search = DecodingConfig(
        beam_size=beam_size,
        length_penalty=length_penalty,
        batch_size=batch_size,
        precision=precision,
        tokenize=tokenize or tokenizer_of_run(model),
    )
    evaluation = run(
        model,
        manifest,
        out,
        config=search,
        modality=modality,
        lowercase=lowercase,
    )
    evaluation.render(console)
    console.print(f"Scores and sentences are in {out}", soft_wrap=True)


def compare(
    baseline: Annotated[Path, typer.Argument(help="Folder that `evaluate` wrote.")],
    system: Annotated[Path, typer.Argument(help="Another one, over the same sentences.")],
) -> None:
    """Test whether one system is better than another: paired bootstrap and randomisation."""
    from horizon_st.decoding.compare import compare as run

    run(baseline, system).render(console)
