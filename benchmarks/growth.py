"""Time and memory of training on corpora of growing size, and how long it waits for data.

    python benchmarks/growth.py [--out FILE.json] [--minutes 10 20 40 80] [--threads 2]

Corpora are noise of so many minutes in utterances of 2 to 6 s, made in a temporary folder. One
whole epoch of the regularised objective runs over each, with a model smaller than that of the
recipe mboshi_fr, from audio files on disk, in a process of its own. The time is that of the
updates and of waiting for their batches, without validation and checkpoint; memory is the most that
the process and the one that loads its audio hold together. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from accelerate.utils import set_seed
from measuring import WORDS, made_up_cut, print_table, run_and_watch, write_report
from transformers.utils import logging as transformers_logging

from horizon_st.config import build_config
from horizon_st.data.sampling import SpeechBatches
from horizon_st.data.shar import open_cuts
from horizon_st.training.devices import accelerated
from horizon_st.training.folder import run_folder
from horizon_st.training.recipe import Recipe
from horizon_st.training.stages import Run

RATE = 16_000
BATCH_S = 50


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--minutes", type=int, nargs="+", default=[10, 20, 40, 80])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--measure", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    rows = []
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory(prefix="horizon-st-growth-") as folder:
            make_corpus(Path(folder), minutes)
            own = [sys.executable, __file__, "--threads", str(options.threads)]
            printed, peak_mb = run_and_watch([*own, "--measure", folder])
        rows.append(json.loads(printed.splitlines()[-1]) | {"memory (MB)": peak_mb})
        print(f"{minutes} minutes: done", file=sys.stderr)
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def measure(folder: Path, *, num_workers: int = 1) -> dict[str, Any]:
    """A row of the table but for memory: one epoch over the corpus in a folder.

    Each of several processes takes its share of it.
    """
    num_batches, audio_s = size_of_epoch(_recipe(folder, num_workers=num_workers))
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    num_steps = math.ceil(num_batches / num_processes)
    recipe, clock = _recipe(folder, num_steps, num_workers=num_workers), _Clock()
    transformers_logging.disable_progress_bar()
    with (
        accelerated(recipe, folder / "run") as accelerator,
        run_folder(folder / "run", recipe, accelerator),
    ):
        set_seed(recipe.seed)
        run = Run(recipe, folder / "run", accelerator, clock)
        started_s = time.monotonic()
        run.train()
    epoch_s = clock.last_update_s - started_s
    [stage] = run.record.stages
    return {
        "audio (minutes)": audio_s / 60,
        "updates": stage.steps,
        "epoch (s)": epoch_s,
        "per minute of audio (s)": epoch_s / (audio_s / 60),
        "waiting for data": f"{stage.data_wait_s / epoch_s:.1%}",
    }


def size_of_epoch(recipe: Recipe) -> tuple[int, float]:
    """Batches of the first epoch as training draws them, and seconds of audio in them."""
    drawn = SpeechBatches(open_cuts(Path(recipe.data.train)), recipe.data, recipe.seed)
    durations_s = [[cut.duration for cut in batch] for batch in drawn.batches(epoch=0)]
    return len(durations_s), sum(map(sum, durations_s))


def make_corpus(folder: Path, minutes: int) -> None:
    """A training set of so many minutes and a dev set of two utterances."""
    rng = np.random.default_rng(0)
    for split, duration_s in (("train", 60.0 * minutes), ("dev", 8.0)):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            index = 0
            while duration_s > 0:
                length_s = rng.uniform(2, 6)
                duration_s -= length_s
                cut = _write_utterance(folder, f"{split}{index}", length_s, rng)
                file.write(json.dumps(cut) + "\n")
                index += 1


def _write_utterance(
    folder: Path, name: str, length_s: float, rng: np.random.Generator
) -> dict[str, Any]:
    samples = rng.normal(0, 0.1, int(length_s * RATE)).astype(np.float32)
    soundfile.write(folder / f"{name}.wav", samples, RATE)
    source, target = (" ".join(rng.choice(WORDS, size=int(3 * length_s))) for _ in range(2))
    duration_s = len(samples) / RATE
    return made_up_cut(name, duration_s, audio=f"{name}.wav", source=source, target=target)


def _recipe(folder: Path, num_steps: int = 1, *, num_workers: int) -> Recipe:
    overrides = (f"data.num_workers={num_workers}",)
    return build_config(Recipe, _content(folder, num_steps), overrides, place="growth")


def _content(folder: Path, num_steps: int) -> dict[str, Any]:
    sizes = {"d_model": 128, "ffn_dim": 512, "num_heads": 4}
    stage = {"max_steps": num_steps, "validate_every_steps": num_steps, "average": 1}
    return {
        "name": "growth",
        "trackers": [],
        "data": {
            **{f"{split}": str(folder / f"{split}.jsonl") for split in ("train", "dev")},
            **{"vocab_size": 100, "max_batch_s": BATCH_S, "cache_gb": 0},
        },
        "model": {
            "speech_encoder": {"layers": 4, **sizes},
            "subsampler": {"kernel_sizes": [5], "mid_channels": 256},
            "text_model": {"encoder_layers": 2, "decoder_layers": 2, **sizes},
        },
        "objective": {"mt_weight": 0.5, "consistency_weight": 1.0, "rdrop_weight": 1.0},
        "stages": {
            "mt_external": {"max_steps": 0},
            "mt_in_domain": {"max_steps": 0},
            "asr": {"max_steps": 0},
            "st": stage | {"warmup_steps": 1},
        },
    }


class _Clock:
    """A reporter that shows nothing and knows when the last update was done, if it is told."""

    last_update_s = math.nan

    def update(self, stage: str, step: int, max_steps: int, figures: dict[str, float]) -> None:
        """Reads the clock."""
        self.last_update_s = time.monotonic()


if __name__ == "__main__":
    main()
