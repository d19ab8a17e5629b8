"""Command -> function: the table of contents of Horizon-ST."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer
from rich.console import Console
from rich.table import Table

from horizon_st.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train speech translation from scarce data, and use what you trained.",
)
_is_main = os.environ.get("RANK", "0") == "0"  # launchers number their processes so
_console = Console(quiet=not _is_main)
_WAIT_FOR_MAIN_S = 10.0


@app.command()
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

    run_demo(target, out or Path("demo") / target, _console, overrides=override or ())


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="telephone, the corpus inside the package.")],
    out: Annotated[Path, typer.Argument(help="Folder for audio and manifests.")],
    target: Annotated[str, typer.Option(help="es, fr, it or de; `recorded` lacks de.")] = "es",
    part: Annotated[
        Literal["announcements", "recorded"],
        typer.Option(help="Announcements made of the prompts, or the prompts themselves."),
    ] = "announcements",
) -> None:
    """Write a corpus as manifests that `train` and `evaluate` read."""
    if name != "telephone":
        raise UserError(
            "corpus", expected="one of telephone", found=name, remedy="Correct the name."
        )
    from horizon_st.data.corpora.telephone import build_corpus, build_recorded
    from horizon_st.training.display import ProgressBars

    if part == "recorded":
        corpus = build_recorded(out, target=target)
    else:
        with ProgressBars(_console) as bars:
            corpus = build_corpus(
                out,
                target=target,
                progress=lambda done, total: bars.advance_to("corpus", done, total),
            )
    table = Table("split", "utterances", "hours")
    for split, count in corpus.num_utterances.items():
        table.add_row(split, str(count), f"{corpus.hours[split]:.2f}")
    _console.print(table)
    if corpus.num_text_pairs:
        _console.print(f"{corpus.num_text_pairs} text pairs without audio")
    _console.print(f"The corpus is in {corpus.folder}", soft_wrap=True)


@app.command()
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
) -> None:
    """Run all stages of a recipe; `horizon-st keys` lists what a recipe can say."""
    from horizon_st.config import load_config
    from horizon_st.recipes import find_recipe

    path = find_recipe(recipe)
    from horizon_st.training.display import ProgressBars
    from horizon_st.training.stages import Recipe, run_recipe

    resolved = load_config(Recipe, path, overrides or ())
    with ProgressBars(_console) as bars:
        model = run_recipe(resolved, out or Path("runs") / resolved.name, bars)
    _console.print(f"The model is in {model}", soft_wrap=True)


@app.command()
def keys() -> None:
    """List every key of a recipe with its type, default and meaning."""
    from horizon_st.config import describe_config
    from horizon_st.training.stages import Recipe

    table = Table("key", "type", "default", "meaning")
    for row in describe_config(Recipe):
        table.add_row(*(_escape(cell) for cell in row))
    _console.print(table)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Folder or hub id.")],
    manifest: Annotated[Path, typer.Argument(help="lhotse cuts, JSONL.")],
    out: Annotated[Path, typer.Option(help="Folder for scores.json and sentences.jsonl.")],
    beam_size: Annotated[int, typer.Option(help="1 is greedy search.")] = 5,
    length_penalty: Annotated[float, typer.Option(help="More gives longer output.")] = 1.0,
    batch_size: Annotated[int, typer.Option(help="Utterances at once.")] = 16,
    modality: Annotated[
        Literal["speech", "text"], typer.Option(help="Translate the speech or the transcript.")
    ] = "speech",
    lowercase: Annotated[bool, typer.Option(help="Score without case.")] = False,
    tokenize: Annotated[str, typer.Option(help="BLEU's tokeniser: 13a, zh, ja-mecab, …")] = "13a",
) -> None:
    """Score a model on a manifest: BLEU, chrF and TER with signatures, and a line per sentence."""
    from horizon_st.decoding.evaluate import evaluate as run
    from horizon_st.decoding.generate import DecodingConfig

    search = DecodingConfig(
        beam_size=beam_size, length_penalty=length_penalty, batch_size=batch_size
    )
    evaluation = run(
        model,
        manifest,
        out,
        config=search,
        modality=modality,
        lowercase=lowercase,
        tokenize=tokenize,
    )
    evaluation.render(_console)
    _console.print(f"Scores and sentences are in {out}", soft_wrap=True)


@app.command()
def compare(
    baseline: Annotated[Path, typer.Argument(help="Folder that `evaluate` wrote.")],
    system: Annotated[Path, typer.Argument(help="Another one, over the same sentences.")],
) -> None:
    """Test whether one system is better than another: paired bootstrap and randomisation."""
    from horizon_st.decoding.compare import compare as run

    run(baseline, system).render(_console)


@app.command()
def translate(
    model: Annotated[str, typer.Argument(help="Folder or hub id.")],
    files: Annotated[list[Path], typer.Argument(help="Recordings of one utterance each.")],
) -> None:
    """Print the translation of recordings, one line each."""
    from horizon_st.inference.pipeline import translate_files

    for translation in translate_files(model, files):
        typer.echo(
            f"{translation.source}\t{translation.text}" if len(files) > 1 else translation.text
        )


def main() -> None:
    """Runs the command line; mistakes of the user end with status 2 and one message."""
    try:
        app()
    except UserError as error:
        if not _is_main:
            # If the main process meets the same error, it shows it, and the launcher ends this one.
            time.sleep(_WAIT_FOR_MAIN_S)
        Console(stderr=True).print(f"[bold red]Error:[/] {_escape(str(error))}", soft_wrap=True)
        sys.exit(2)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
