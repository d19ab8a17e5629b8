"""A long recording made of held-out utterances: what cutting it costs, and how good the times are.

    python benchmarks/long_recording.py MODEL MANIFEST [--minutes 10] [--seed 1] [--out FILE.json]

The utterances follow one another in the order of the manifest, with pauses of 1 to 3 seconds. Under
all of it lies faint noise, and in half of the pauses there is louder noise, a beep or a click. The
recording is translated as `horizon-st translate --format srt` does it, and once as cut by hand:
each utterance from its own file. The text is cut at the references' borders by the alignment with
the fewest word errors (as mwerSegmenter does, Matusov et al. 2005), then scored. The truth about
times is where an utterance's own recording is first and last louder than halfway, in decibels,
between its noise and its speech. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from measuring import print_table, write_report
from rapidfuzz.distance import Levenshtein

from horizon_st.data.audio import SAMPLING_RATE, Samples, load_cut
from horizon_st.data.manifest import translation_of
from horizon_st.data.shar import open_cuts
from horizon_st.decoding.scoring import score
from horizon_st.inference.files import examine, translate_into
from horizon_st.inference.formats import TranslatedRecording
from horizon_st.inference.pipeline import SpeechTranslator, TranslatedSegment
from horizon_st.inference.segmenter import SegmenterConfig

PAUSE_S = (1.0, 3.0)
FAINT_DB = -55.0
LOUD_DB = (-45.0, -30.0)
TOLERANCE_S = 0.3
_FRAME_SAMPLES = SAMPLING_RATE // 100


@dataclass(frozen=True)
class Placed:
    """An utterance of the long recording.

    Attributes:
        samples: its own recording.
        start_s: where its speech begins in the long one.
        end_s: where it ends.
    """

    samples: Samples
    reference: str
    start_s: float
    end_s: float


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder or hub id")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest-pause", type=float, default=SegmenterConfig().longest_pause_s)
    parser.add_argument("--longest", type=float, default=SegmenterConfig().longest_s)
    parser.add_argument("--padding", type=float, default=SegmenterConfig().padding_s)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    segmenter = SegmenterConfig(
        longest_s=options.longest,
        longest_pause_s=options.longest_pause,
        padding_s=options.padding,
    )
    translator = SpeechTranslator.from_pretrained(options.model, segmenter=segmenter)
    utterances = [(load_cut(cut), translation_of(cut)) for cut in open_cuts(options.manifest)]
    recording, placed = compose(utterances, options.minutes * 60, options.seed)
    translated = translate_file(translator, recording)
    references = [one.reference for one in placed]
    by_hand = translator.translate(
        [one.samples for one in placed], sampling_rate=SAMPLING_RATE, one_utterance=True
    )
    words = " ".join(segment.text for segment in translated.segments)
    whole = {
        "translation": "of the long recording",
        "segments": len(translated.segments),
        **_scores(realign(words, references), references),
        **times(placed, translated.segments),
    }
    rows = [
        dict.fromkeys(whole, "–")
        | {
            "translation": "of each utterance's own file",
            "segments": len(placed),
            **_scores([one.text for one in by_hand], references),
        },
        whole,
    ]
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def compose(
    utterances: Sequence[tuple[Samples, str]], most_s: float, seed: int
) -> tuple[Samples, list[Placed]]:
    """A recording of at most so many seconds, and where each utterance speaks in it."""
    rng = np.random.default_rng(seed)
    pieces, placed = [], []
    now = 0
    for samples, reference in utterances:
        pause = _pause(rng)
        if (now + len(pause) + len(samples)) > most_s * SAMPLING_RATE:
            break
        pieces += [pause, samples]
        begin, end = (now + len(pause) + at for at in speech_edges(samples))
        placed.append(Placed(samples, reference, begin / SAMPLING_RATE, end / SAMPLING_RATE))
        now += len(pause) + len(samples)
    recording = np.concatenate([*pieces, _pause(rng)])
    faint = rng.normal(0, 10 ** (FAINT_DB / 20), len(recording))
    return (recording + faint).astype(np.float32), placed


def speech_edges(samples: Samples) -> tuple[int, int]:
    """The first and the last sample that are louder than halfway between noise and speech."""
    frames = samples[: len(samples) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    levels_db = 10 * np.log10(np.convolve(power, np.full(3, 1 / 3), mode="same") + 1e-12)
    noise_db, speech_db = np.percentile(levels_db, [5, 90])
    loud = np.flatnonzero(levels_db > (noise_db + speech_db) / 2)
    return int(loud[0]) * _FRAME_SAMPLES, (int(loud[-1]) + 1) * _FRAME_SAMPLES


def _pause(rng: np.random.Generator) -> Samples:
    """Silence, or as often noise, a beep, or a click in it."""
    num_samples = int(rng.uniform(*PAUSE_S) * SAMPLING_RATE)
    pause = np.zeros(num_samples)
    level = 10 ** (rng.uniform(*LOUD_DB) / 20)
    kind = rng.choice(["silence", "noise", "beep", "click"], p=[0.5, 0.2, 0.2, 0.1])
    middle = slice(num_samples // 4, 3 * num_samples // 4)
    if kind == "noise":
        pause[middle] = rng.normal(0, level, middle.stop - middle.start)
    elif kind == "beep":
        pause[middle] = level * np.sin(0.35 * np.arange(middle.stop - middle.start))
    elif kind == "click":
        pause[middle.start : middle.start + 80] = rng.normal(0, 10 * level, 80)
    return pause.astype(np.float32)


def translate_file(translator: SpeechTranslator, recording: Samples) -> TranslatedRecording:
    """The recording's translation, by way of files, as the command makes it."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "long.flac"
        soundfile.write(path, recording, SAMPLING_RATE)
        [(_, found)] = translate_into(Path(name) / "out", "srt", translator, examine([path]))
    assert isinstance(found, TranslatedRecording), found
    return found


def realign(text: str, references: Sequence[str]) -> list[str]:
    """The text cut into as many pieces as there are references, with the fewest word errors."""
    words = text.split()
    sentences = [reference.split() for reference in references]
    expected = [word for sentence in sentences for word in sentence]
    # How many words of the text stand before each word of the references.
    before = np.zeros(len(expected) + 1, int)
    for tag, i, until_i, j, until_j in Levenshtein.opcodes(expected, words):
        for at in range(i, until_i):
            before[at] = min(j + at - i, until_j) if tag != "delete" else j
    before[-1] = len(words)
    ends = before[np.cumsum([len(sentence) for sentence in sentences])]
    begins = [0, *ends[:-1]]
    return [" ".join(words[i:j]) for i, j in zip(begins, ends, strict=True)]


def times(placed: Sequence[Placed], segments: Sequence[TranslatedSegment]) -> dict[str, float]:
    """How far off the first and last moment of each utterance are, missed ones without limit."""
    errors_s = []
    for one in placed:
        inside = [s for s in segments if s.start_s < one.end_s and s.end_s > one.start_s]
        errors_s += (
            [inside[0].start_s - one.start_s, inside[-1].end_s - one.end_s]
            if inside
            else [np.inf, np.inf]
        )
    off = np.abs(errors_s)
    return {
        "times within 0.3 s (%)": 100 * float((off <= TOLERANCE_S).mean()),
        "median off (s)": float(np.median(off)),
        "95 % off less than (s)": float(np.percentile(off, 95, method="higher")),
        "starts off by (s)": float(np.median(errors_s[::2])),
        "ends off by (s)": float(np.median(errors_s[1::2])),
    }


def _scores(texts: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    metrics = score(texts, references).metrics
    return {name: metrics[name].value for name in ("BLEU", "chrF2")}


if __name__ == "__main__":
    main()
