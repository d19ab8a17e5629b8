"""What computes a trained model, and how fast: PyTorch in fp32 and bf16, ONNX in fp32 and int8.

    python benchmarks/runtimes.py MODEL MANIFEST [--rounds 3] [--batch 1 16] [--out FILE.json]

Every utterance is translated as it stands, from samples that are in memory, with 5 beams, front end
included. Each run is a process of its own, on the same cores, which loads the model and translates
one batch before the clock starts. The contenders take turns; ratios are medians over the rounds.
Memory is the most that the process held, with its libraries. Prints Markdown, with how many
translations differ from those of the reference and BLEU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import print_bleu_signature, print_table, run_and_watch, write_report

from horizon_st.data.audio import SAMPLING_RATE, Samples, load_cut
from horizon_st.data.manifest import translation_of
from horizon_st.data.shar import open_cuts
from horizon_st.decoding.scoring import score
from horizon_st.hardware import usable_cores
from horizon_st.inference.onnx.export import Quantization, export_onnx

WORKER = Path(__file__).parent / "runtimes_worker.py"
EXPORTS: dict[str, Quantization | None] = {"fp32": None, "int8": "int8"}


@dataclass(frozen=True)
class Contender:
    """What translates the utterances.

    Attributes:
        name: in the table.
        model: its folder.
        precision: of the search, as `translate` takes it.
    """

    name: str
    model: Path
    precision: str
    batch_size: int


@dataclass(frozen=True)
class Run:
    """What one process did."""

    seconds: float
    texts: list[str]
    memory_mb: float


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="folder")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--cores", type=int, default=usable_cores())
    parser.add_argument("--exports", type=Path, help="folder to keep the exports in")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    cuts = list(open_cuts(options.manifest))
    references = [translation_of(cut) for cut in cuts]
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples.npz"
        length_s = write_samples(samples, [load_cut(cut) for cut in cuts])
        exports = make_exports(options.model, options.exports or Path(folder))
        contenders = make_contenders(options.model, exports, options.batch)
        runs: dict[Contender, list[Run]] = {contender: [] for contender in contenders}
        for _ in range(options.rounds):
            for contender in contenders:
                runs[contender].append(run(contender, samples, options.cores))
    rows = [row_of(contender, runs, length_s, references) for contender in contenders]
    print_table(rows)
    signature = print_bleu_signature(references)
    if options.out is not None:
        write_report(options.out, vars(options), rows, signature=signature)


def write_samples(path: Path, utterances: Sequence[Samples]) -> float:
    """Writes the samples of all utterances; returns how many seconds they are."""
    borders = np.cumsum([0, *map(len, utterances)])
    np.savez(path, samples=np.concatenate(utterances), borders=borders)
    return float(borders[-1]) / SAMPLING_RATE


def make_exports(model: Path, folder: Path) -> dict[str, Path]:
    """The exports of the model, by their precision; those that are there already are taken."""
    for precision, quantization in EXPORTS.items():
        if not (folder / precision).exists():
            export_onnx(model, folder / precision, quantization=quantization)
    return {precision: folder / precision for precision in EXPORTS}


def make_contenders(
    model: Path, exports: dict[str, Path], batch_sizes: Sequence[int]
) -> list[Contender]:
    """The contenders; the first is the reference."""
    return [
        contender
        for size in batch_sizes
        for contender in (
            Contender("PyTorch fp32", model, "fp32", size),
            Contender("PyTorch bf16", model, "bf16", size),
            *(Contender(f"ONNX {name}", path, "fp32", size) for name, path in exports.items()),
        )
    ]


def run(contender: Contender, samples: Path, cores: int) -> Run:
    """Translates all utterances once in a process of its own."""
    arguments = [contender.model, samples, contender.precision, contender.batch_size, cores]
    printed, memory_mb = run_and_watch([sys.executable, str(WORKER), *map(str, arguments)])
    found = json.loads(printed)
    return Run(found["seconds"], found["texts"], memory_mb)


def row_of(
    contender: Contender,
    runs: dict[Contender, list[Run]],
    length_s: float,
    references: Sequence[str],
) -> dict[str, Any]:
    """A line of the table."""
    first, *_ = runs
    own, reference = runs[contender], runs[first]
    texts = own[0].texts
    return {
        "runtime": contender.name,
        "batch": contender.batch_size,
        "audio seconds per second": length_s / statistics.median(one.seconds for one in own),
        "times faster": statistics.median(
            a.seconds / b.seconds for a, b in zip(reference, own, strict=True)
        ),
        "memory (MB)": max(one.memory_mb for one in own),
        "translations that differ": sum(
            a != b for a, b in zip(texts, reference[0].texts, strict=True)
        ),
        "BLEU": score(texts, references).metrics["BLEU"].value,
    }


if __name__ == "__main__":
    main()
