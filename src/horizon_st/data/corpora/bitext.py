"""Text pairs of other corpora -> one Arrow file that training maps into memory.

Pairs come as two files aligned line by line, as a table (TSV), as JSONL, or as a data set of the
Hugging Face library `datasets`; files may be compressed (``.gz``, ``.zst``). Nothing is held in
memory but a few thousand pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from horizon_st.data.corpora.columns import ColumnFile
from horizon_st.data.files import make_folder, read_lines
from horizon_st.data.jsonl import read_json_lines
from horizon_st.data.text_pairs import PAIRS_FILE, write_text_pairs
from horizon_st.errors import UserError
from horizon_st.extras import install_extra

LONGEST_CHARACTERS = 2000
_RATIO_FROM_CHARACTERS = 40
"""Below, a greeting of one word may well be a sentence elsewhere, whatever the ratio."""
_NESTED = "translation"
_ROWS_PER_REPORT = 10_000


class Row(NamedTuple):
    """What a corpus gives for one pair; None where the row lacks the field.

    Attributes:
        place: ``FILE:LINE``.
        source: the source text.
        target: its translation.
        fault: why the row cannot be used, if the reader knows.
    """

    place: str
    source: str | None
    target: str | None
    fault: str | None = None


@dataclass
class PreparedBitext:
    """What `prepare_bitext` wrote.

    Attributes:
        path: the Arrow file, for ``data.text_pairs``.
        num_pairs: written.
        left_out: rows that were not, by reason.
        first_left_out: where the first one of each reason is.
    """

    path: Path
    num_pairs: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    first_left_out: dict[str, str] = field(default_factory=dict)


def prepare_bitext(
    rows: Iterable[Row],
    out: Path,
    *,
    max_characters: int = LONGEST_CHARACTERS,
    max_ratio: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> PreparedBitext:
    """The file ``out/text_pairs.arrow``, which appears whole or not at all.

    Args:
        rows: of one of the readers here.
        out: folder, made if need be.
        max_characters: pairs with a longer side are left out.
        max_ratio: pairs are left out of which one side has more than so many times the characters
            of the other, if it has 40 at least; None leaves out none.
        progress: called with the rows read so far, now and then.

    Raises:
        UserError: the corpus is damaged or has no usable pair, or the folder cannot be written to.
    """
    make_folder(out)
    bitext = PreparedBitext(out / PAIRS_FILE)

    def usable() -> Iterator[tuple[str, str]]:
        for number, (place, *texts, fault) in enumerate(rows, start=1):
            if progress is not None and number % _ROWS_PER_REPORT == 0:
                progress(number)
            sides = [None if text is None else text.strip() for text in texts]
            reason = fault or _fault(sides, max_characters, max_ratio)
            if reason is None:
                source, target = sides
                assert source is not None
                assert target is not None
                bitext.num_pairs += 1
                yield source, target
            else:
                bitext.left_out[reason] += 1
                bitext.first_left_out.setdefault(reason, place)
        if not bitext.num_pairs:
            raise _nothing_usable(bitext)

    write_text_pairs(bitext.path, usable())
    return bitext


def read_bitext(
    corpus: str,
    targets: Path | None = None,
    *,
    source: str = "source",
    target: str = "target",
    split: str = "train",
    config: str | None = None,
) -> Iterator[Row]:
    """The rows of any corpus that a reader here takes.

    Args:
        corpus: a file of source sentences if `targets` is given; else a TSV or JSONL file, or the
            folder or id of a data set.
        targets: the file with the translation of each line.
        source: the field with the source; its column's name or, without a header, its number.
        target: likewise the field with the target.
        split: of a data set.
        config: of a data set that has several, such as ``en-fr``.

    Raises:
        UserError: the corpus is missing or damaged, or lacks the fields.
    """
    path = Path(corpus)
    if targets is not None:
        return read_aligned(path, targets)
    ending = path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]
    if ending in ("tsv", "txt"):
        return read_table(path, source, target)
    if ending == "jsonl":
        return read_objects(path, source, target)
    if path.is_file():
        raise UserError(
            corpus,
            expected="a file .tsv or .jsonl (also .gz, .zst), or a second file with the targets",
            found=path.name,
            remedy="Give the file with the targets too, or rename or convert the file.",
        )
    return read_dataset(corpus, source, target, split=split, config=config)


def read_aligned(sources: Path, targets: Path) -> Iterator[Row]:
    """The rows of two files, of which the same lines belong together.

    Raises:
        UserError: a file is missing or damaged, or one has more lines than the other.
    """
    streams = read_lines(sources), read_lines(targets)
    for number, lines in enumerate(zip_longest(*streams)):
        if None in lines:
            counts = [
                number + (line is not None) + sum(1 for _ in stream)
                for line, stream in zip(lines, streams, strict=True)
            ]
            raise UserError(
                str(sources),
                expected=f"as many lines as in {targets}",
                found=f"{counts[0]}, and {counts[1]} there",
                remedy="Restore the file that lost or gained lines; they belong together line by "
                "line.",
            )
        (place, source), (_, target) = lines
        yield Row(place, source, target)


def read_table(path: Path, source: str, target: str) -> Iterator[Row]:
    """The rows of tab-separated values without quoting.

    Args:
        path: the file.
        source: a name in the header, which is the first line; or a number from 1 on if there is no
            header. Rows with another number of values than the first one are then left out.
        target: likewise.

    Raises:
        UserError: the file is missing or damaged, the header lacks a name, or a row has more or
            fewer values than the header has names.
    """
    if source.isdecimal() and target.isdecimal():
        yield from _numbered(path, int(source) - 1, int(target) - 1)
        return
    table = ColumnFile(path)
    if not {source, target} <= {*table.names}:
        raise UserError(
            table.place,
            expected=f"a header with the columns {source} and {target}",
            found=", ".join(table.names)[:200],
            remedy="Name the columns of the header; or give their numbers if there is none.",
        )
    for place, row in table:
        texts = row[source], row[target]
        yield Row(place, *texts, fault="the header again" if texts == (source, target) else None)


def _numbered(path: Path, source: int, target: int) -> Iterator[Row]:
    num_values: int | None = None
    for place, line in read_lines(path):
        values = line.split("\t")
        num_values = num_values or len(values)
        fault = None if len(values) == num_values else "another number of values than in line 1"
        by_column = dict(enumerate(values))
        yield Row(place, by_column.get(source), by_column.get(target), fault)


def read_objects(path: Path, source: str, target: str) -> Iterator[Row]:
    """The rows of JSONL, each with both fields, or with an object ``translation`` that has them.

    Raises:
        UserError: the file is missing or damaged.
    """
    for place, value in read_json_lines(path):
        yield Row(place, _text(value, source), _text(value, target))


def read_dataset(
    name: str, source: str, target: str, *, split: str = "train", config: str | None = None
) -> Iterator[Row]:
    """The rows of a data set of the library `datasets`, streamed.

    Args:
        name: its id on the hub, a folder of data files, or a folder of `save_to_disk`.
        source: the column; or a key of the column ``translation``, such as ``en``.
        target: likewise.
        split: which part of it.
        config: of a data set that has several.

    Raises:
        UserError: the library is not installed, or the data set cannot be read.
    """
    try:
        for number, value in enumerate(_open_dataset(name, split, config), start=1):
            yield Row(f"{name}, row {number}", _text(value, source), _text(value, target))
    except ImportError as error:
        raise UserError(
            name,
            expected="the package datasets, to read a data set of the hub or a folder",
            found=str(error),
            remedy=install_extra("datasets"),
        ) from error
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise UserError(
            name,
            expected=f"a data set with the split {split}",
            found=" ".join(f"{type(error).__name__}: {error}".split())[:300],
            remedy="Check the name, its config and split; without a connection, give a folder.",
        ) from error


def _open_dataset(name: str, split: str, config: str | None) -> Iterable[Any]:
    import datasets

    datasets.disable_progress_bars()
    if (Path(name) / "dataset_dict.json").is_file():
        rows: Iterable[Any] = datasets.load_from_disk(name)[split]
    elif (Path(name) / "dataset_info.json").is_file():
        rows = datasets.load_from_disk(name)
    else:
        rows = datasets.load_dataset(name, config, split=split, streaming=True)
    return rows


def _text(value: Any, name: str) -> str | None:
    if not isinstance(value, dict):
        return None
    text = value.get(name)
    if text is None and isinstance(nested := value.get(_NESTED), dict):
        text = nested.get(name)
    return text if isinstance(text, str) else None


def _fault(sides: list[str | None], max_characters: int, max_ratio: float | None) -> str | None:
    """Why a pair is left out, or None."""
    lengths = []
    for name, text in zip(("source", "target"), sides, strict=True):
        if text is None:
            return f"no {name}"
        if not text:
            return f"empty {name}"
        if len(text) > max_characters:
            return f"{name} longer than {max_characters} characters"
        lengths.append(len(text))
    shorter, longer = sorted(lengths)
    if max_ratio and longer >= _RATIO_FROM_CHARACTERS and longer > max_ratio * shorter:
        return f"one side more than {max_ratio:g} times as long"
    return None


def _nothing_usable(bitext: PreparedBitext) -> UserError:
    reason, count = next(iter(bitext.left_out.most_common(1)), ("no rows", 0))
    return UserError(
        bitext.first_left_out.get(reason, str(bitext.path.parent)),
        expected="at least one pair of source and target",
        found=f"{reason} ({count} rows)" if count else reason,
        remedy="Check the files, and the names or numbers of the columns.",
    )
