"""Commands around a corpus that was prepared: validate, new, shard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from horizon_st.cli.terminal import console
from horizon_st.errors import UserError


def validate(
    paths: Annotated[
        list[Path], typer.Argument(help="Manifests, or folders of them: train, dev, test together.")
    ],
    out: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(help="Folder for the page with pictures and the list of all problems."),
    ] = None,
    fix: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(help="Folder for a repaired copy; what cannot be used is dropped."),
    ] = None,
    audio: Annotated[bool, typer.Option(help="Decode all audio, too.")] = True,
    workers: Annotated[
        Optional[int],  # noqa: UP045 - typer reads it
        typer.Option(min=0, help="Processes that decode; all cores by default."),
    ] = None,
) -> None:
    """Find everything that is wrong with manifests; ends with status 1 if training refuses them."""
    from horizon_st.data import validation
    from horizon_st.display import ProgressBars
    from horizon_st.hardware import usable_cores

    if fix is not None:
        validation.check_copies(paths, fix)  # refuses before hours of decoding
    workers = usable_cores() if workers is None else workers
    with ProgressBars(console) as bars:
        report = validation.validate(
            paths, out=out, check_audio=audio, num_workers=workers, progress=bars.advance_to
        )
    validation.show_report(report, console)
    if fix is not None:
        with ProgressBars(console) as bars:
            repairs = validation.repair(
                paths,
                fix,
                check_audio=audio,
                num_workers=workers,
                heard=report.splits,
                progress=bars.advance_to,
            )
        validation.show_repairs(repairs, console)
        if repairs.lost:
            raise typer.Exit(1)
    elif report.num_errors:
        raise typer.Exit(1)


def shard(
    manifest: Annotated[Path, typer.Argument(help="lhotse cuts, JSONL.")],
    out: Annotated[Path, typer.Argument(help="Folder for the shards; data.train can name it.")],
    size: Annotated[int, typer.Option(min=1, help="Utterances per shard.")] = 1000,
    audio: Annotated[
        Literal["flac", "opus"], typer.Option(help="Format of the audio; opus is far smaller.")
    ] = "flac",
) -> None:
    """Pack a corpus, audio and all, into Shar shards that stream from disks or URLs."""
    from horizon_st.data.corpora.utterances import LEFT_OUT_FILE
    from horizon_st.data.shar_writing import write_shar

    with console.status(f"Packing {manifest}"):
        packed = write_shar(manifest, out, shard_size=size, audio_format=audio)
    if packed.num_left_out:
        console.print(
            f"[yellow]{packed.num_left_out:,} of {packed.num_left_out + packed.num_utterances:,} "
            f"utterances left out: their audio cannot be read.[/] Each is listed in "
            f"{out / LEFT_OUT_FILE}",
            soft_wrap=True,
        )
    console.print(f"The shards are in {out}. Train on them with data.train={out}", soft_wrap=True)


def new(
    name: Annotated[str, typer.Argument(help="Of the recipe: NAME.yaml is written here.")],
    manifest: Annotated[Path, typer.Option(help="Folder with train.jsonl and dev.jsonl.")],
) -> None:
    """Write a commented recipe that is sized for a corpus."""
    from horizon_st.data.files import make_folder, whole_file
    from horizon_st.display import progress_bar
    from horizon_st.hardware import memory_gb, usable_cores
    from horizon_st.training.corpus_size import measure_corpus
    from horizon_st.training.sizing import batch_s, has_too_long, size_recipe

    path = Path(f"{name.removesuffix('.yaml')}.yaml")
    if path.exists():
        raise UserError(
            str(path),
            expected="a recipe that is not there yet",
            found="a file of that name",
            remedy="Name it otherwise, or remove the file.",
        )
    with progress_bar("measuring") as advance_to:
        size = measure_corpus(manifest, progress=advance_to)
    text = size_recipe(path.stem, manifest, size, memory_gb=memory_gb(), num_cores=usable_cores())
    make_folder(path.parent)
    with whole_file(path) as file:
        file.write(text)
    if has_too_long(size):
        console.print(
            f"[yellow]The longest utterance, {size.longest_s:.0f} s, does not fit a batch of "
            f"{batch_s(size)} s: cut or remove such, or raise data.max_batch_s.[/]",
            soft_wrap=True,
        )
    console.print(
        f"{path}: a recipe for {size.hours:.1f} hours of speech. Read it, then\n"
        f"  horizon-st train {path}",
        soft_wrap=True,
    )
