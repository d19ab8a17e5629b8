"""Beam search as `horizon-st evaluate` does it, beside `generate()` of transformers.

    python benchmarks/decoding.py MODEL MANIFEST [--out FILE.json] [--rounds 3] [--threads 2]

The reference calls `generate()` on batches of 8 utterances in the order of the manifest. The
project sorts by length and takes larger batches: the other rows of `generate()` show what that
gains, and the row below each what the project's search gains on the same batches, as it drops
utterances when they end and all beams of one share the keys of its encoder states. Both search with
5 beams, from features that are ready; in 32-bit floats but for the last row. The contenders take
turns over all utterances; ratios are medians over the rounds. Prints Markdown, with how many
translations differ from those of the reference and BLEU.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from measuring import print_table, write_report

from horizon_st.cli.memory import keep_freed_memory
from horizon_st.data.audio import Cut
from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.manifest import translation_of
from horizon_st.data.shar import open_cuts
from horizon_st.decoding.configuration import DecodingConfig, DecodingPrecision
from horizon_st.decoding.generate import translate
from horizon_st.decoding.scoring import score
from horizon_st.decoding.trained import TrainedModel, load_trained_model

BEAM_SIZE = 5
MAX_TOKENS = 200
REFERENCE_BATCH_SIZE = 8
BATCH_SIZES = (16, 64)

Decode = Callable[[], dict[str, str]]


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder or hub id")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    trained = load_trained_model(options.model)
    cuts = list(open_cuts(options.manifest))
    references = [translation_of(cut) for cut in cuts]
    contenders = make_contenders(trained, cuts)
    times_s: dict[str, list[float]] = {name: [] for name in contenders}
    texts: dict[str, dict[str, str]] = {}
    for _ in range(options.rounds):
        for name, decode in contenders.items():
            started = time.perf_counter()
            texts[name] = decode()
            times_s[name].append(time.perf_counter() - started)
    first, *_ = contenders
    rows = [
        {
            "decoding": name,
            "seconds": statistics.median(times),
            "times faster": statistics.median(
                a / b for a, b in zip(times_s[first], times, strict=True)
            ),
            "translations that differ": sum(
                texts[name][key] != text for key, text in texts[first].items()
            ),
            "BLEU": score([texts[name][cut.id] for cut in cuts], references).metrics["BLEU"].value,
        }
        for name, times in times_s.items()
    ]
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def make_contenders(trained: TrainedModel, cuts: Sequence[Cut]) -> dict[str, Decode]:
    """Functions that translate all cuts; the first is the reference."""
    collate = Collator(FeatureCache(trained.frontend, max_bytes=math.inf), trained.tokenizer)
    for cut in cuts:
        collate([cut])  # the features are in the cache from now on
    max_tokens = min(MAX_TOKENS, trained.model.max_positions or MAX_TOKENS)
    by_length = sorted(cuts, key=lambda cut: cut.duration, reverse=True)

    def theirs(cuts: Sequence[Cut], batch_size: int) -> dict[str, str]:
        texts: dict[str, str] = {}
        for chosen in _slices(cuts, batch_size):
            batch = collate(chosen)
            found = trained.model.generate(
                speech=batch.speech,
                speech_lengths=batch.speech_lengths,
                num_beams=BEAM_SIZE,
                length_penalty=1.0,
                max_new_tokens=max_tokens,
            )
            decoded = trained.tokenizer.batch_decode(found, skip_special_tokens=True)
            texts |= {key: text.strip() for key, text in zip(batch.ids, decoded, strict=True)}
        return texts

    def ours(
        cuts: Sequence[Cut], batch_size: int, precision: DecodingPrecision = "fp32"
    ) -> dict[str, str]:
        batches = map(collate, _slices(cuts, batch_size))
        config = DecodingConfig(
            beam_size=BEAM_SIZE,
            length_penalty=1.0,
            max_tokens=max_tokens,
            max_tokens_base=max_tokens,
            max_tokens_per_state=0,
            precision=precision,
        )
        return {h.id: h.text for h in translate(trained.model, trained.tokenizer, batches, config)}

    contenders: dict[str, Decode] = {
        f"`generate()`, batches of {REFERENCE_BATCH_SIZE} in order": partial(
            theirs, cuts, REFERENCE_BATCH_SIZE
        )
    }
    for size in BATCH_SIZES:
        for name, decode in (("generate()", theirs), ("evaluate", ours)):
            contenders[f"`{name}`, batches of {size} by length"] = partial(decode, by_length, size)
    largest = max(BATCH_SIZES)
    contenders[f"`evaluate --precision bf16`, batches of {largest} by length"] = partial(
        ours, by_length, largest, "bf16"
    )
    return contenders


def _slices(cuts: Sequence[Cut], size: int) -> list[list[Cut]]:
    return [list(cuts[start : start + size]) for start in range(0, len(cuts), size)]


if __name__ == "__main__":
    main()
