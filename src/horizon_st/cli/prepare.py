"""`horizon-st prepare NAME`: one command per corpus."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer
from rich.markup import escape
from rich.table import Table

from horizon_st.cli.terminal import console

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from horizon_st.data.corpora.cutting import Utterance
    from horizon_st.data.corpora.held_out import HeldOutBy
    from horizon_st.data.corpora.tables import TableForm
    from horizon_st.data.corpora.utterances import PreparedCorpus

prepare = typer.Typer(
    no_args_is_help=True,
    help="Write a corpus as manifests that `train` and `evaluate` read.",
)

Root = Annotated[Path, typer.Argument(help="The corpus, as it was unpacked.")]
Out = Annotated[Path, typer.Argument(help="Folder for the manifests; the audio stays in place.")]
Source = Annotated[str, typer.Option(help="Language of the speech, as the corpus spells it.")]
Target = Annotated[str, typer.Option(help="Language of the translations, likewise.")]
DevShare = Annotated[
    Optional[float],  # noqa: UP045 - typer reads it
    typer.Option(help="Hold out about this share of the recordings as dev, such as 0.1."),
]
DevBy = Annotated[
    Literal["recording", "speaker"],
    typer.Option(help="What is not divided by --dev-share: a recording, or a speaker."),
]
Splits = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads it
    typer.Option("--split", help="Only this split; may be given several times."),
]
AudioFolder = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads it
    typer.Option(help="Folder where the table's audio paths start, if not the table's own."),
]


@prepare.command()
def telephone(
    out: Annotated[Path, typer.Argument(help="Folder for audio and manifests.")],
    target: Annotated[str, typer.Option(help="es, fr, it or de; `recorded` lacks de.")] = "es",
    part: Annotated[
        Literal["announcements", "recorded"],
        typer.Option(help="Announcements made of the prompts, or the prompts themselves."),
    ] = "announcements",
) -> None:
    """The embedded corpus: telephone announcements in English, and their translations."""
    from horizon_st.data.corpora.telephone import build_corpus, build_recorded
    from horizon_st.display import ProgressBars

    if part == "recorded":
        corpus = build_recorded(out, target=target)
    else:
        with ProgressBars(console) as bars:
            corpus = build_corpus(
                out,
                target=target,
                progress=lambda done, total: bars.advance_to("corpus", done, total),
            )
    table = Table("split", "utterances", "hours")
    for split, count in corpus.num_utterances.items():
        table.add_row(split, str(count), f"{corpus.hours[split]:.2f}")
    console.print(table)
    if corpus.num_text_pairs:
        console.print(f"{corpus.num_text_pairs} text pairs without audio")
    console.print(f"The corpus is in {corpus.folder}", soft_wrap=True)


@prepare.command()
def mboshi(
    root: Root,
    out: Out,
    text: Annotated[
        Literal["raw", "cleaned"],
        typer.Option(
            help="As written, or in lower case and tokenised as published scores take it."
        ),
    ] = "raw",
    split: Splits = None,
) -> None:
    """Mboshi to French: 4 hours of field recordings (Godard et al. 2018)."""
    from horizon_st.data.corpora.mboshi import read_mboshi

    _write(out, read_mboshi(root, text=text), "mdw", "fr", only=split)


@prepare.command()
def mustc(root: Root, out: Out, source: Source, target: Target, split: Splits = None) -> None:
    """MuST-C v1 to v3, and what comes in its shape (IWSLT low-resource tracks)."""
    from horizon_st.data.corpora.mustc import read_mustc

    splits = read_mustc(root, source_language=source, target_language=target)
    _write(out, splits, source, target, only=split)


@prepare.command()
def mtedx(root: Root, out: Out, source: Source, target: Target, split: Splits = None) -> None:
    """Multilingual TEDx."""
    from horizon_st.data.corpora.mtedx import read_mtedx

    splits = read_mtedx(root, source_language=source, target_language=target)
    _write(out, splits, source, target, only=split)


@prepare.command("europarl-st")
def europarl_st(root: Root, out: Out, source: Source, target: Target, split: Splits = None) -> None:
    """Europarl-ST: debates of the European Parliament."""
    from horizon_st.data.corpora.europarl_st import read_europarl_st

    splits = read_europarl_st(root, source_language=source, target_language=target)
    _write(out, splits, source, target, only=split)


@prepare.command()
def covost2(
    root: Root,
    out: Out,
    source: Source,
    target: Target,
    translations: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(help="Folder of CoVoST's TSV files, if they are not with Common Voice."),
    ] = None,
    split: Splits = None,
) -> None:
    """CoVoST 2: Common Voice with translations."""
    from horizon_st.data.corpora.covost2 import read_covost2

    splits = read_covost2(
        root, source_language=source, target_language=target, translations=translations
    )
    _write(out, splits, source, target, only=split)


@prepare.command()
def fleurs(
    root: Root,
    out: Out,
    source: Source,
    target: Target,
    text: Annotated[
        Literal["raw", "normalized"],
        typer.Option(help="As written, or in lower case without punctuation."),
    ] = "raw",
    split: Splits = None,
) -> None:
    """FLEURS: languages as it spells them, such as en_us."""
    from horizon_st.data.corpora.fleurs import read_fleurs

    splits = read_fleurs(root, source_language=source, target_language=target, text=text)
    _write(out, splits, source, target, only=split)


@prepare.command()
def tsv(
    path: Annotated[Path, typer.Argument(help="A TSV file, or a folder of train.tsv, dev.tsv, …")],
    out: Out,
    dev_share: DevShare = None,
    dev_by: DevBy = "recording",
    audio: AudioFolder = None,
    split: Splits = None,
) -> None:
    """A table of your own: columns audio and target; offset, duration, source, id, speaker, split.

    Only audio and target must be there. Audio paths start at the table's folder. Offset and
    duration, in seconds, cut a segment out of a longer recording. There is no quoting.
    """
    _write_table("tsv", path, out, dev_share, dev_by, audio, split)


@prepare.command()
def csv(
    path: Annotated[Path, typer.Argument(help="A CSV file, or a folder of train.csv, dev.csv, …")],
    out: Out,
    dev_share: DevShare = None,
    dev_by: DevBy = "recording",
    audio: AudioFolder = None,
    split: Splits = None,
) -> None:
    """The same with commas or semicolons between the values, and the quoting of spreadsheets."""
    _write_table("csv", path, out, dev_share, dev_by, audio, split)


@prepare.command()
def jsonl(
    path: Annotated[Path, typer.Argument(help="A JSONL file, or a folder of train.jsonl, …")],
    out: Out,
    dev_share: DevShare = None,
    dev_by: DevBy = "recording",
    audio: AudioFolder = None,
    split: Splits = None,
) -> None:
    """The same with one JSON object per line."""
    _write_table("jsonl", path, out, dev_share, dev_by, audio, split)


@prepare.command()
def bitext(
    corpus: Annotated[
        str,
        typer.Argument(
            help="Source sentences; or a TSV, a JSONL, or the id of a Hugging Face set."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder for text_pairs.arrow.")],
    targets: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(help="Target sentences, line by line, if they are a file of their own."),
    ] = None,
    source: Annotated[str, typer.Option(help="Column: a name, or a number from 1.")] = "source",
    target: Annotated[str, typer.Option(help="Likewise.")] = "target",
    split: Annotated[str, typer.Option(help="Of a Hugging Face set.")] = "train",
    config: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it
        typer.Option(help="Of a Hugging Face set."),
    ] = None,
    max_ratio: Annotated[
        Optional[float],  # noqa: UP045 - typer reads it
        typer.Option(help="Leave out pairs of which one is so many times longer."),
    ] = None,
) -> None:
    """Text pairs without speech, for data.text_pairs of a recipe. Files may end in .gz or .zst."""
    from horizon_st.data.corpora.bitext import prepare_bitext, read_bitext

    rows = read_bitext(corpus, targets, source=source, target=target, split=split, config=config)
    with _counting() as count:
        prepared = prepare_bitext(
            rows, out, max_ratio=max_ratio, progress=lambda row: count(f"{row} pairs")
        )
    console.print(f"{prepared.num_pairs} text pairs are in {prepared.path}", soft_wrap=True)
    _show_left_out(prepared.left_out, prepared.first_left_out)


def _write_table(
    form: TableForm,
    path: Path,
    out: Path,
    dev_share: float | None,
    dev_by: HeldOutBy,
    audio: Path | None,
    only: Iterable[str] | None,
) -> None:
    from horizon_st.data.corpora.tables import read_table, table_files

    splits = read_table(form, path, dev_share=dev_share, dev_by=dev_by, audio=audio)
    _write(out, splits, None, None, only=only, originals=table_files(path, form))


def _write(
    out: Path,
    splits: Mapping[str, Iterable[Utterance]],
    source_language: str | None,
    target_language: str | None,
    *,
    only: Iterable[str] | None,
    originals: Iterable[Path] = (),
) -> None:
    """Writes a corpus as manifests, and shows what became of it; originals are tables alone."""
    from horizon_st.data.corpora.utterances import LEFT_OUT_FILE, select_splits, write_corpus

    originals = [*originals]
    with _counting() as count:
        corpus = write_corpus(
            out,
            select_splits(splits, only or ()),
            source_language=source_language,
            target_language=target_language,
            originals=originals,
            progress=lambda split, row: count(f"{split}: {row} utterances"),
        )
    table = Table()
    for heading in ("split", "utterances", "transcribed", "hours"):
        table.add_column(heading, justify="left" if heading == "split" else "right")
    for split, num in corpus.num_utterances.items():
        transcribed = corpus.num_transcribed[split]
        table.add_row(split, str(num), str(transcribed), f"{corpus.hours[split]:.2f}")
    console.print(table)
    if corpus.num_clipped:
        console.print(f"{corpus.num_clipped} clipped to their recording")
    _show_left_out(corpus.left_out)
    for split in corpus.lost:
        console.print(
            f"[yellow]No row of {escape(split)} can be used: it has no manifest.[/]", soft_wrap=True
        )
    if corpus.left_out:
        console.print(f"Each is listed in {out / LEFT_OUT_FILE}", soft_wrap=True)
    console.print(
        f"The manifests are in {out}. Look for what is wrong with them:\n"
        f"  horizon-st validate {out}",
        soft_wrap=True,
    )
    _show_missing_splits(corpus, is_table=bool(originals))


def _show_missing_splits(corpus: PreparedCorpus, *, is_table: bool) -> None:
    """Says what training lacks in the folder, and how to get it."""
    folder = escape(str(corpus.folder))
    there = ", ".join(corpus.num_utterances)
    if not (corpus.folder / "train.jsonl").exists():
        how = (
            "Name the split of its rows train, or prepare a table named train into"
            if is_table
            else "Name the folder of a split train, or prepare one of that name into"
        )
        console.print(
            f"[yellow]There is no train split in {folder}, but {escape(there)}; to train, there "
            f"must be one.[/] {how} {folder}, too.",
            soft_wrap=True,
        )
    if (corpus.folder / "dev.jsonl").exists():
        return
    how = (
        "Hold out a tenth of the recordings with\n--dev-share 0.1, or prepare a table named dev "
        f"into {folder}, too."
        if is_table
        else f"Prepare a folder of utterances named dev into {folder}, too."
    )
    console.print(
        f"[yellow]There is no dev split yet, and training needs one.[/] {how}", soft_wrap=True
    )


def _show_left_out(reasons: Counter[str], first: Mapping[str, str] | None = None) -> None:
    for reason, num in reasons.most_common():
        place = f", first at {first[reason]}" if first else ""
        console.print(f"[yellow]{num} left out: {escape(reason + place)}[/]", soft_wrap=True)


@contextmanager
def _counting() -> Iterator[Callable[[str], None]]:
    """A context that shows how far reading has come, in the words that it is told."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reading")
        yield lambda words: progress.update(task, description=words)
