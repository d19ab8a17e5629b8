"""Time and memory of `horizon-st translate` over recordings of several lengths.

    python benchmarks/recording_length.py MODEL MANIFEST [--minutes 8 30 120] [--beam-size 5]
        [--cut-only] [--out FILE.json]

Each recording repeats the manifest's utterances, with a pause of two seconds between them, as FLAC
at 16 kHz. Each is translated to SRT by a process of its own; memory is the most that it held, with
its libraries. With `--cut-only` it is read and cut into segments, but these are not translated, so
that eight hours take minutes. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from measuring import print_table, run_and_watch, write_report

from horizon_st.data.audio import SAMPLING_RATE, Samples, load_cut
from horizon_st.data.shar import open_cuts
from horizon_st.decoding.configuration import DecodingConfig

PAUSE = np.zeros(2 * SAMPLING_RATE, np.float32)
TRANSLATE = "from horizon_st.cli import main; main()"
CUT = """
import sys
from horizon_st.inference.pipeline import SpeechTranslator
translator = SpeechTranslator.from_pretrained(sys.argv[1])
print(sum(1 for _ in translator.cut(sys.argv[2])))
"""


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder or hub id")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[8, 30, 120])
    parser.add_argument("--beam-size", type=int, default=DecodingConfig().beam_size)
    parser.add_argument("--cut-only", action="store_true", help="translate nothing")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    utterances = [load_cut(cut) for cut in open_cuts(options.manifest)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            path = Path(folder) / f"{minutes:g}.flac"
            length_s = write_recording(path, utterances, 60 * minutes)
            arguments = [CUT, options.model, str(path)]
            if not options.cut_only:
                arguments = [TRANSLATE, "translate", *arguments[1:], "--format", "srt"]
                arguments += ["--output", str(Path(folder) / f"{minutes:g}")]
                arguments += ["--beam-size", str(options.beam_size)]
            started = time.perf_counter()
            _, memory_mb = run_and_watch([sys.executable, "-c", *arguments])
            seconds = time.perf_counter() - started
            rows.append(
                {
                    "recording (minutes)": round(length_s / 60, 1),
                    "seconds": round(seconds, 1),
                    "audio s per s": round(length_s / seconds, 1),
                    "peak (MB)": round(memory_mb),
                }
            )
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def write_recording(path: Path, utterances: Sequence[Samples], least_s: float) -> float:
    """Writes utterances again and again until they last that long; returns how long they do."""
    num_samples = 0
    with soundfile.SoundFile(path, "w", SAMPLING_RATE, channels=1) as file:
        for utterance in itertools.cycle(utterances):
            for samples in (utterance, PAUSE):
                file.write(samples)
                num_samples += len(samples)
            if num_samples >= least_s * SAMPLING_RATE:
                return num_samples / SAMPLING_RATE
    raise ValueError("no utterances")


if __name__ == "__main__":
    main()
