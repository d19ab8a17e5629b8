"""One run of `runtimes.py`, which imports nothing that its runtime does not need.

    python benchmarks/runtimes_worker.py MODEL SAMPLES PRECISION BATCH_SIZE CORES

Prints the seconds that it took and the translations as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import pairwise

import numpy as np

from horizon_st.cli.memory import keep_freed_memory
from horizon_st.data.mono import SAMPLING_RATE
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.inference.segmenter import SpeechSegment


def main() -> None:
    """Translates every utterance as it stands."""
    model, path, precision, batch_size, cores = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    os.environ["OMP_NUM_THREADS"] = cores  # read when PyTorch is imported
    keep_freed_memory()
    config = DecodingConfig(batch_size=int(batch_size), precision=precision)
    translator = SpeechTranslator.from_pretrained(model, config=config)
    with np.load(path) as stored:
        samples, borders = stored["samples"], stored["borders"].tolist()
    segments = [
        SpeechSegment(0.0, (end - start) / SAMPLING_RATE, samples[start:end])
        for start, end in pairwise(borders)
    ]
    translator.translate_segments(segments[: int(batch_size)])
    started = time.perf_counter()
    found = translator.translate_segments(segments)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "texts": [one.text for one in found]}))


if __name__ == "__main__":
    main()
