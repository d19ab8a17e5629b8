"""Corpora of 10^3 to 10^7 utterances and text pairs -> time to the first batch, and memory.

    python benchmarks/scale.py [--out FILE.json] [--smallest 3] [--largest 7]

Corpora are made in a temporary folder (TMPDIR; 10^7 utterances take 6 GB of it) and measured, each
in a process of its own: from the recipe to an open corpus (`read_corpus`), on to the first batch,
and memory after 100 batches. The tokenizer is ready and no audio is decoded, since both take as
long whatever the size. Prints a table in Markdown. On a shared machine, times may be off by a
factor of two.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring import WORDS, memory_mb, print_table, write_report

_BYTES_PER_UTTERANCE = 600
_BYTES_PER_PAIR = 300
_NUM_BATCHES = 100
_MB = 1e6


@dataclass
class Measurement:
    """One row of the table.

    Attributes:
        kind: ``utterances`` or ``pairs``.
        number: how many.
        file_mb: size of the file on disk.
        open_s: from the recipe to an open corpus.
        first_batch_s: from the recipe to the first batch.
        anonymous_mb: memory of the process's own after 100 batches, above that before the start.
        resident_mb: likewise with the mapped pages of files, which the system takes back at need.
        before_mb: memory of the process's own before the start: Python, PyTorch, transformers.
    """

    kind: str
    number: int
    file_mb: float
    open_s: float
    first_batch_s: float
    anonymous_mb: float
    resident_mb: float
    before_mb: float


def main() -> None:
    """Makes, measures and removes one corpus after the other, and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the figures to this JSON file")
    parser.add_argument("--smallest", type=int, default=3, help="power of ten")
    parser.add_argument("--largest", type=int, default=7, help="power of ten")
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        kind, folder = arguments.measure
        print(json.dumps(measure(kind, Path(folder))))
        return
    rows = []
    sizes = [10**power for power in range(arguments.smallest, arguments.largest + 1)]
    for kind, number in itertools.product(("utterances", "pairs"), sizes):
        with tempfile.TemporaryDirectory(prefix="horizon-st-scale-") as folder:
            rows.append(measure_corpus(kind, number, Path(folder)))
        print(f"{kind} {number}: done", file=sys.stderr)
    print_table(
        [
            {
                "": row.kind,
                "number": f"{row.number:,}",
                "file (MB)": row.file_mb,
                "open (s)": row.open_s,
                "first batch (s)": row.first_batch_s,
                "own memory (MB)": f"+{row.anonymous_mb:.0f}",
                "resident (MB)": f"+{row.resident_mb:.0f}",
            }
            for row in rows
        ]
    )
    base = sum(row.before_mb for row in rows) / len(rows)
    print(
        f"\nMemory after {_NUM_BATCHES} batches, above the {base:.0f} MB of Python, PyTorch and "
        "transformers. Resident memory counts mapped pages of files too, which the system takes "
        "back at need; own memory does not."
    )
    if arguments.out is not None:
        write_report(arguments.out, vars(arguments), [asdict(row) for row in rows])


def measure_corpus(kind: str, number: int, folder: Path) -> Measurement:
    """The figures of a corpus of so many, made in the folder and measured in another process."""
    needed = number * (_BYTES_PER_UTTERANCE if kind == "utterances" else _BYTES_PER_PAIR)
    free = shutil.disk_usage(folder).free
    if free < 1.5 * needed:
        sys.exit(f"{folder}: needs {needed / 1e9:.1f} GB and as much again, has {free / 1e9:.1f}.")
    file = make_corpus(kind, number, folder)
    command = [sys.executable, __file__, "--measure", kind, str(folder)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return Measurement(kind, number, file.stat().st_size / _MB, **found)


def make_corpus(kind: str, number: int, folder: Path) -> Path:
    """The large file of a corpus; beside it what every recipe needs."""
    import soundfile

    from horizon_st.data.text import train_tokenizer
    from horizon_st.data.text_pairs import write_text_pairs

    soundfile.write(folder / "a.wav", [0.0] * 16_000, 16_000)
    sentences = [text for pair in pairs(2000) for text in pair]
    train_tokenizer(sentences, 300).save_pretrained(folder / "tokenizer")
    write_manifest(folder / "dev.jsonl", 10)
    write_manifest(folder / "train.jsonl", number if kind == "utterances" else 10)
    write_text_pairs(folder / "pairs.arrow", pairs(number if kind == "pairs" else 10))
    return folder / ("train.jsonl" if kind == "utterances" else "pairs.arrow")


def write_manifest(path: Path, number: int) -> None:
    """Writes cuts of 1 to 10 s, all of one audio file that nobody opens."""
    with path.open("w", encoding="utf-8") as file:
        for index, (source, target) in enumerate(pairs(number)):
            name, duration = f"utterance-{index:08d}", 1 + index * 37 % 900 / 100
            file.write(
                f'{{"id": "{name}", "start": 0.0, "duration": {duration}, "channel": 0, '
                f'"supervisions": [{{"id": "{name}", "recording_id": "{name}", "start": 0.0, '
                f'"duration": {duration}, "channel": 0, "text": "{source}", '
                f'"custom": {{"translated_text": "{target}"}}}}], "recording": {{"id": "{name}", '
                f'"sources": [{{"type": "file", "channels": [0], "source": "a.wav"}}], '
                f'"sampling_rate": 16000, "num_samples": 160000, "duration": 10.0, '
                f'"channel_ids": [0]}}, "type": "MonoCut"}}\n'
            )


def pairs(number: int) -> Iterator[tuple[str, str]]:
    """Sentences of 3 to 22 words, without meaning; the number is in each."""
    words = WORDS * 2
    for index in range(number):
        start, length = index * 7919 % len(WORDS), 3 + index * 31 % 20
        sentence = " ".join(words[start : start + length])
        yield f"{sentence} {index}", f"{index} {sentence}"


def measure(kind: str, folder: Path) -> dict[str, float]:
    """Times in seconds and memory in megabytes, of this process."""
    import torch

    from horizon_st.config import build_config
    from horizon_st.data.collate import Batch
    from horizon_st.data.sampling import speech_stream, text_stream
    from horizon_st.data.text import load_tokenizer
    from horizon_st.training.parts import read_corpus
    from horizon_st.training.recipe import Recipe

    data = {"train": str(folder / "train.jsonl"), "dev": str(folder / "dev.jsonl")}
    data["text_pairs"] = str(folder / "pairs.arrow")
    content = {"name": "scale", "data": data}
    recipe = build_config(Recipe, content, (), place="scale")
    tokenizer = load_tokenizer(folder / "tokenizer")

    def without_audio(cuts: Any, epoch: int) -> Batch:
        nothing = torch.zeros(len(cuts), 1, dtype=torch.int64)
        return Batch([cut.id for cut in cuts], None, None, nothing, nothing, 0)

    before = {name: memory_mb(name) for name in ("RssAnon", "VmRSS")}
    start = time.perf_counter()
    corpus = read_corpus(recipe)
    open_s = time.perf_counter() - start
    if kind == "utterances":
        stream = speech_stream(corpus.train, without_audio, recipe.data, seed=1)
    else:
        assert corpus.external_pairs is not None
        stream = text_stream(corpus.external_pairs, tokenizer, recipe.data, seed=1)
    batches = stream.endless()
    next(batches)
    first_batch_s = time.perf_counter() - start
    for _ in itertools.islice(batches, _NUM_BATCHES - 1):
        pass
    return {
        "open_s": open_s,
        "first_batch_s": first_batch_s,
        "anonymous_mb": memory_mb("RssAnon") - before["RssAnon"],
        "resident_mb": memory_mb("VmRSS") - before["VmRSS"],
        "before_mb": before["RssAnon"],
    }


if __name__ == "__main__":
    main()
