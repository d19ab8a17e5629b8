"""How far live translation lags behind the speech, and what that costs in quality and time.

    python benchmarks/live.py MODEL MANIFEST [--every 0.5 1 2] [--beam 5] [--utterances 100]

Each utterance is a stream of its own, given in blocks of a tenth of a second. A word's delay is how
much had been heard when it became stable: the last words wait until the stream has ended. AL and
LAAL are means over the utterances, in seconds, as SimulEval defines them for speech, without the
time it takes to compute; `busy` is that time as a part of the speech's. The first row translates
each utterance when it has ended. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import print_bleu_signature, print_table, write_report

from horizon_st.data.audio import Samples, load_cut
from horizon_st.data.manifest import translation_of
from horizon_st.data.mono import SAMPLING_RATE
from horizon_st.data.shar import open_cuts
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.scoring import score
from horizon_st.inference.latency import average_lagging, length_adaptive_average_lagging
from horizon_st.inference.live import LiveText
from horizon_st.inference.pipeline import SpeechTranslator

BLOCK_SAMPLES = SAMPLING_RATE // 10


@dataclass(frozen=True)
class Utterance:
    """Speech with its reference."""

    samples: Samples
    reference: str


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder or hub id")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--every", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--utterances", type=int, help="only the first of the manifest")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    search = DecodingConfig(beam_size=options.beam)
    translator = SpeechTranslator.from_pretrained(options.model, config=search)
    utterances = [
        Utterance(load_cut(cut), translation_of(cut))
        for cut in list(open_cuts(options.manifest))[: options.utterances]
    ]
    rows = [whole(translator, utterances)]
    rows += [live(translator, utterances, every_s) for every_s in options.every]
    print_table(rows)
    signature = print_bleu_signature([one.reference for one in utterances])
    if options.out is not None:
        write_report(options.out, vars(options), rows, signature=signature)


def whole(translator: SpeechTranslator, utterances: Sequence[Utterance]) -> dict[str, Any]:
    """The row of utterances that are translated when they have ended."""
    started = time.perf_counter()
    texts = [
        translator.translate(one.samples, sampling_rate=SAMPLING_RATE, one_utterance=True).text
        for one in utterances
    ]
    busy_s = time.perf_counter() - started
    delays_s = [
        [len(one.samples) / SAMPLING_RATE] * len(text.split())
        for one, text in zip(utterances, texts, strict=True)
    ]
    return _row("at the end", utterances, texts, delays_s, busy_s)


def live(
    translator: SpeechTranslator, utterances: Sequence[Utterance], every_s: float
) -> dict[str, Any]:
    """The row of live translation with a step."""
    texts, delays_s = [], []
    started = time.perf_counter()
    for one in utterances:
        blocks = np.split(one.samples, range(BLOCK_SAMPLES, len(one.samples), BLOCK_SAMPLES))
        stream = translator.translate_stream(blocks, sampling_rate=SAMPLING_RATE, every_s=every_s)
        text, delays = words_and_delays(list(stream))
        texts.append(text)
        delays_s.append(delays)
    busy_s = time.perf_counter() - started
    return _row(f"live, every {every_s:g} s", utterances, texts, delays_s, busy_s)


def words_and_delays(events: Sequence[LiveText]) -> tuple[str, list[float]]:
    """The text of a stream, and for each of its words how much had been heard when it was stable.

    A word counts as stable once it is followed by another, or its segment has ended.
    """
    delays_s: list[float] = []
    texts: list[str] = []
    known = 0  # words of the segment whose delays are known
    for event in events:
        words = event.stable.split()
        num_whole = len(words) if event.is_final else len(words) - 1
        delays_s += [event.heard_s] * max(0, num_whole - known)
        known = max(known, num_whole)
        if event.is_final:
            texts.append(event.stable)
            known = 0
    return " ".join(texts), delays_s


def _row(
    name: str,
    utterances: Sequence[Utterance],
    texts: Sequence[str],
    delays_s: Sequence[Sequence[float]],
    busy_s: float,
) -> dict[str, Any]:
    durations_s = [len(one.samples) / SAMPLING_RATE for one in utterances]
    lagging = [
        (delays, duration_s, len(one.reference.split()))
        for delays, duration_s, one in zip(delays_s, durations_s, utterances, strict=True)
        if delays
    ]
    bleu = score(texts, [one.reference for one in utterances]).metrics["BLEU"]
    return {
        "translation": name,
        "BLEU": bleu.value,
        "AL (s)": statistics.mean(average_lagging(*one) for one in lagging),
        "LAAL (s)": statistics.mean(length_adaptive_average_lagging(*one) for one in lagging),
        "first words (s)": statistics.mean(delays[0] for delays, *_ in lagging),
        "busy": busy_s / sum(durations_s),
    }


if __name__ == "__main__":
    main()
