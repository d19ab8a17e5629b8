"""Commands to use a trained model, and to hand it on: translate, export, push."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer
from rich.console import Console
from rich.markup import escape

from horizon_st.cli.options import (
    BeamSize,
    Device,
    LengthPenalty,
    Longest,
    LongestPause,
    Precision,
    RuntimeChoice,
    SegmentsAtOnce,
    TargetLength,
    UnsureBelow,
)
from horizon_st.cli.terminal import warnings_on_stderr
from horizon_st.display import progress_bar
from horizon_st.errors import UserError

if TYPE_CHECKING:
    from horizon_st.inference.files import FileEnd, FileSegment, MediaFile
    from horizon_st.inference.formats import Format, TranslatedRecording
    from horizon_st.inference.pipeline import SpeechTranslator

SUBTITLES = ("srt", "vtt")
stderr = Console(stderr=True)


def translate(
    model: Annotated[str, typer.Argument(help="Folder or hub id.")],
    files: Annotated[list[Path], typer.Argument(help="Audio or video of any format and length.")],
    form: Annotated[
        Literal["txt", "srt", "vtt", "json", "tsv"],
        typer.Option("--format", "-f", help="srt and vtt are subtitles."),
    ] = "txt",
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(
            "--output",
            "-o",
            help="Folder for NAME.FORMAT; the same command continues there. "
            "Without it the translation is printed.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace files in --output that were changed or come from other recordings, too.",
        ),
    ] = False,
    one_utterance: Annotated[
        bool, typer.Option("--one-utterance", help="Do not cut: each file is one short utterance.")
    ] = False,
    longest: Longest = 20.0,
    longest_pause: LongestPause = 0.8,
    target_length: TargetLength = 0.0,
    unsure_below: UnsureBelow = 0.6,
    beam_size: BeamSize = 5,
    length_penalty: LengthPenalty = 1.0,
    batch_size: SegmentsAtOnce = 16,
    precision: Precision = "fp32",
    runtime: RuntimeChoice = None,
    device: Device = None,
) -> None:
    """Translate recordings into text or subtitles, whatever their length."""
    from horizon_st.data.mono import DamagedSoundWarning
    from horizon_st.decoding.configuration import DecodingConfig
    from horizon_st.inference.files import examine
    from horizon_st.inference.pipeline import SpeechTranslator
    from horizon_st.inference.segmenter import SegmenterConfig
    from horizon_st.inference.utterance import LongRecordingWarning

    search = DecodingConfig(
        beam_size=beam_size,
        length_penalty=length_penalty,
        batch_size=batch_size,
        precision=precision,
    )
    segmenter = SegmenterConfig(
        longest_s=longest, longest_pause_s=longest_pause, target_s=target_length
    )
    if output is None and form != "txt" and len(files) > 1:
        raise UserError(
            f"--format {form}",
            expected="--output DIR, or one file",
            found=f"{len(files)} files to print",
            remedy="Give --output, or --format txt.",
        )
    examined = examine(files)
    translator = SpeechTranslator.from_pretrained(
        model, config=search, segmenter=segmenter, runtime=runtime, device=device
    )
    job = _Job(translator, examined, one_utterance=one_utterance, unsure_below=unsure_below)
    with warnings_on_stderr(LongRecordingWarning), warnings_on_stderr(DamagedSoundWarning):
        if output is not None:
            job.write(output, form, overwrite=overwrite)
        elif form == "txt":
            job.print_lines()
        else:
            job.print_whole(form)
    if job.num_failed:
        raise typer.Exit(2)


def export(
    model: Annotated[str, typer.Argument(help="Folder or hub id of a trained model.")],
    out: Annotated[Path, typer.Argument(help="New folder to write.")],
    form: Annotated[
        Literal["onnx"], typer.Option("--format", "-f", help="ONNX, for ONNX Runtime.")
    ] = "onnx",
    quantize: Annotated[
        Optional[Literal["int8"]],  # noqa: UP045 - typer reads it
        typer.Option(help="Matrix products of 8-bit integers: smaller; some translations change."),
    ] = None,
) -> None:
    """Export a model, so that `translate` needs no PyTorch."""
    from horizon_st.inference.onnx.export import export_onnx

    export_onnx(model, out, quantization=quantize)
    typer.echo(str(out))


def push(
    model: Annotated[Path, typer.Argument(help="Folder of the model.")],
    repository: Annotated[str, typer.Argument(help="On the Hugging Face hub: NAME/MODEL.")],
    scores: Annotated[
        Optional[list[Path]],  # noqa: UP045 - typer reads it
        typer.Option(help="Folder that `evaluate` wrote for this model; may be repeated."),
    ] = None,
    licence: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it
        typer.Option("--license", help="Of the model, as the hub names it: cc-by-4.0, ..."),
    ] = None,
    picture: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(help="Of the regularization horizon, drawn by `report`."),
    ] = None,
    private: Annotated[bool, typer.Option(help="Make a private repository.")] = False,
) -> None:
    """Publish a model on the Hugging Face hub, with a card of its data, recipe and scores."""
    from horizon_st.inference.publishing import push_to_hub

    address = push_to_hub(
        model,
        repository,
        scores=scores or (),
        licence=licence,
        picture=picture,
        private=private,
    )
    typer.echo(address)


class _Job:
    """Translates files, and says on the standard error what the output cannot."""

    def __init__(
        self,
        translator: SpeechTranslator,
        files: Sequence[MediaFile],
        *,
        one_utterance: bool,
        unsure_below: float,
    ) -> None:
        self._translator = translator
        self._files = files
        self._one_utterance = one_utterance
        self._unsure_below = unsure_below
        self.num_failed = 0

    def write(self, folder: Path, form: Format, *, overwrite: bool) -> None:
        """Writes a file for each, and prints its path."""
        from horizon_st.inference.files import translate_into
        from horizon_st.inference.outputs import KeptOutput

        with self._bar() as show:
            for path, found in translate_into(
                folder,
                form,
                self._translator,
                self._files,
                unsure_below=self._unsure_below,
                one_utterance=self._one_utterance,
                overwrite=overwrite,
                on_progress=show,
            ):
                if isinstance(found, UserError):
                    self._show_failure(found)
                    continue
                _print(typer.format_filename(path))
                if isinstance(found, KeptOutput):
                    self._say_what_is_kept(path)
                elif form in SUBTITLES:
                    self._say_what_is_fast(found)

    def print_lines(self) -> None:
        """Prints a line for each segment of one file, or for each of several files."""
        from horizon_st.inference.files import FileSegment
        from horizon_st.inference.formats import marked_line
        from horizon_st.inference.line_breaks import join_texts

        lines: list[str] = []
        for event in self._events():
            if isinstance(event, FileSegment):
                line = marked_line(event.segment, self._unsure_below)
                if len(self._files) == 1:
                    _print(line)
                lines.append(line)
                continue
            if event.error is not None:
                self._show_failure(event.error)
            elif len(self._files) > 1:
                name = typer.format_filename(event.file.path)
                _print(f"{name}\t{join_texts(lines)}")
            lines = []

    def print_whole(self, form: Format) -> None:
        """Prints what would be written for the one file."""
        from horizon_st.inference.files import FileSegment
        from horizon_st.inference.formats import TranslatedRecording, to_text

        segments = []
        found = None
        for event in self._events():
            if isinstance(event, FileSegment):
                segments.append(event.segment)
            elif event.error is not None:
                self._show_failure(event.error)
            else:
                found = TranslatedRecording(
                    str(event.file.path),
                    event.file.duration_s,
                    segments,
                    unsure_below=self._unsure_below,
                )
        if found is not None:
            typer.echo(to_text(found, form), nl=False)
            if form in SUBTITLES:
                self._say_what_is_fast(found)

    def _events(self) -> Iterator[FileSegment | FileEnd]:
        """What becomes known, under a bar."""
        from horizon_st.inference.files import translate_files

        with self._bar() as show:
            yield from translate_files(
                self._translator,
                self._files,
                one_utterance=self._one_utterance,
                on_progress=show,
            )

    @contextmanager
    def _bar(self) -> Iterator[Callable[[float, float], None] | None]:
        """Shows how far it is, and the time left, where somebody sees it: on a terminal."""
        if not stderr.is_terminal:
            yield None
            return
        with progress_bar("translating (s)", console=stderr) as show:
            show(0, int(sum(file.duration_s for file in self._files)))
            yield lambda done_s, total_s: show(int(done_s), int(total_s))

    def _show_failure(self, error: UserError) -> None:
        self.num_failed += 1
        stderr.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)

    def _say_what_is_kept(self, path: Path) -> None:
        stderr.print(
            f"{escape(typer.format_filename(path))}: was changed since it was written, and stays "
            "as it is; --overwrite replaces it.",
            soft_wrap=True,
            highlight=False,
        )

    def _say_what_is_fast(self, recording: TranslatedRecording) -> None:
        cues = recording.cues
        num_fast = sum(cue.is_too_fast for cue in cues)
        if num_fast:
            stderr.print(
                f"{escape(recording.source)}: {num_fast} of {len(cues)} subtitles have to be read "
                "faster than 17 characters a second; the speech leaves no more time.",
                soft_wrap=True,
                highlight=False,
            )


def _print(line: str) -> None:
    """Prints a line now; `typer.echo` would write into the bar."""
    print(line, flush=True)
