"""Time and memory of training on corpora of growing size, and how long it waits for data.

    python benchmarks/growth.py [--out FILE.json] [--minutes 5 10 20 40] [--threads 2]

Corpora are noise of so many minutes in utterances of 2 to 6 s, made in a temporary folder. One
epoch of the regularised objective runs over each, with a model smaller than that of the recipe
mboshi_fr, from audio files on disk, in a process of its own. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from measuring import memory_mb, print_table, write_report

from horizon_st.config import build_config
from horizon_st.training.recipe import Recipe
from horizon_st.training.stages import run_recipe

RATE = 16_000
BATCH_S = 50
_WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "la", "ro", "si")]


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--minutes", type=int, nargs="+", default=[5, 10, 20, 40])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--measure", nargs=2, metavar=("MINUTES", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        minutes, folder = options.measure
        print(json.dumps(measure(int(minutes), Path(folder))))
        return
    rows = []
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory(prefix="horizon-st-growth-") as folder:
            make_corpus(Path(folder), minutes)
            own = [sys.executable, __file__, "--threads", str(options.threads)]
            command = [*own, "--measure", str(minutes), folder]
            result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(result.stdout.splitlines()[-1]))
        print(f"{minutes} minutes: done", file=sys.stderr)
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def measure(minutes: int, folder: Path) -> dict[str, Any]:
    """A row of the table: one epoch over the corpus of so many minutes in a folder."""
    num_steps = minutes * 60 // BATCH_S
    recipe = build_config(Recipe, _content(folder, num_steps), (), place="growth")
    run_recipe(recipe, folder / "run", _Silent())
    [stage] = json.loads((folder / "run" / "record.json").read_text(encoding="utf-8"))["stages"]
    return {
        "audio (minutes)": minutes,
        "epoch (s)": stage["wall_s"],
        "per minute of audio (s)": stage["wall_s"] / minutes,
        "waiting for data": f"{stage['data_wait_s'] / stage['wall_s']:.1%}",
        "memory (MB)": memory_mb("VmHWM"),
    }


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
    source, target = (" ".join(rng.choice(_WORDS, size=int(3 * length_s))) for _ in range(2))
    duration = len(samples) / RATE
    supervision = {
        **{"id": name, "recording_id": name, "start": 0.0, "duration": duration, "channel": 0},
        **{"text": source, "custom": {"translated_text": target}},
    }
    recording = {
        **{"id": name, "sampling_rate": RATE, "num_samples": len(samples), "duration": duration},
        "sources": [{"type": "file", "channels": [0], "source": f"{name}.wav"}],
    }
    return {
        **{"id": name, "type": "MonoCut", "start": 0.0, "duration": duration, "channel": 0},
        **{"supervisions": [supervision], "recording": recording},
    }


def _content(folder: Path, num_steps: int) -> dict[str, Any]:
    sizes = {"d_model": 128, "ffn_dim": 512, "num_heads": 4}
    stage = {"max_steps": num_steps, "validate_every_steps": num_steps, "average": 1}
    return {
        "name": "growth",
        "trackers": [],
        "data": {
            **{f"{split}": str(folder / f"{split}.jsonl") for split in ("train", "dev")},
            **{"vocab_size": 100, "max_batch_s": BATCH_S, "cache_gb": 0, "num_workers": 1},
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


class _Silent:
    """A reporter that shows nothing."""

    def update(self, stage: str, step: int, max_steps: int, figures: dict[str, float]) -> None:
        """Nothing."""


if __name__ == "__main__":
    main()
