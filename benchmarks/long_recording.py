"""A long recording made of held-out utterances: what cutting it costs, and how good the times are.

    python benchmarks/long_recording.py MODEL MANIFEST [--minutes 10] [--seed 1] [--out FILE.json]

The utterances follow one another in the order of the manifest, with pauses of 1 to 3 seconds. Under
all of it lies faint noise, and in half of the pauses there is louder noise, a beep or a click. The
recording is translated as `horizon-st translate --format srt` does it, and as cut by hand: each
utterance from its own file, and out of the recording at the true times, with margins of 0 to 0.5 s
on both sides, since a model may answer to where the hand cuts. The SRT is read by the package
`srt`. Its text, without the marks of unsure segments, is cut at the references' borders by the
alignment with the fewest word errors (as mwerSegmenter does, Matusov et al. 2005), then scored. The
truth about times is where an utterance's own recording is first and last louder than halfway, in
decibels, between its noise and its speech. They are compared for the segments, and for the
subtitles: of these, the last may stay after the speech until it has been read. Prints Markdown; the
JSON names every time that is off by more than 0.3 s, and why.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import srt
import torch
from measuring import print_bleu_signature, print_table, write_report
from rapidfuzz.distance import Levenshtein

from horizon_st.data.audio import SAMPLING_RATE, Samples, load_cut
from horizon_st.data.manifest import translation_of
from horizon_st.data.shar import open_cuts
from horizon_st.decoding.scoring import score
from horizon_st.inference.files import examine, translate_into
from horizon_st.inference.formats import TranslatedRecording
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.inference.segmenter import SegmenterConfig

PAUSE_S = (1.0, 3.0)
FAINT_DB = -55.0
LOUD_DB = (-45.0, -30.0)
TOLERANCE_S = 0.3
MARGINS_S = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
_FRAME_SAMPLES = SAMPLING_RATE // 100


@dataclass(frozen=True)
class Utterance:
    """A recording with its translation.

    Attributes:
        background: what the manifest says of its noise.
    """

    name: str
    samples: Samples
    reference: str
    background: str = ""


@dataclass(frozen=True)
class Placed:
    """An utterance of the long recording.

    Attributes:
        start_s: where its speech begins in the long recording.
        end_s: where it ends.
    """

    utterance: Utterance
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Span:
    """The times of a segment or of a subtitle."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Off:
    """How far the times found for an utterance are from the truth, in seconds.

    Attributes:
        joined: whether they are also those of another utterance.
    """

    utterance: Utterance
    start_s: float
    end_s: float
    joined: bool


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
    utterances = [read_utterance(cut) for cut in open_cuts(options.manifest)]
    recording, placed = compose(utterances, options.minutes * 60, options.seed)
    translated, subtitles = translate_file(translator, recording)
    references = [one.utterance.reference for one in placed]
    cuts_by_hand = {
        "each utterance's own file": [one.utterance.samples for one in placed],
        **{
            f"cut by hand, {margin_s} s around": [
                cut_out(recording, one, margin_s) for one in placed
            ]
            for margin_s in MARGINS_S
        },
    }
    segments = [Span(one.start_s, one.end_s) for one in translated.segments]
    cues = [Span(one.start.total_seconds(), one.end.total_seconds()) for one in subtitles]
    off_segments, off_cues = times_off(placed, segments), times_off(placed, cues)
    scores = _scores(realign(" ".join(one.content for one in subtitles), references), references)
    rows = [
        *(
            {
                "of": name,
                "pieces": len(placed),
                **_scores(translate_each(translator, cuts), references),
                **dict.fromkeys(summary(off_segments), "–"),
            }
            for name, cuts in cuts_by_hand.items()
        ),
        {"of": "the SRT's subtitles", "pieces": len(cues), **scores, **summary(off_cues)},
        {
            "of": "their segments",
            "pieces": len(segments),
            **dict.fromkeys(scores, "–"),
            **summary(off_segments),
        },
    ]
    print_table(rows)
    signature = print_bleu_signature(references)
    if options.out is not None:
        far = [*exceptions(off_segments, "segment"), *exceptions(off_cues, "subtitle")]
        write_report(options.out, vars(options), rows, signature=signature, far_off=far)


def read_utterance(cut: Any) -> Utterance:
    """The utterance of a cut."""
    told = cut.supervisions[0].custom or {}
    background = f"{told['noise']} at {told['snr_db']:.1f} dB" if "noise" in told else "unknown"
    return Utterance(cut.id, load_cut(cut), translation_of(cut), background)


def compose(
    utterances: Sequence[Utterance], most_s: float, seed: int
) -> tuple[Samples, list[Placed]]:
    """A recording of at most so many seconds, and where each utterance speaks in it."""
    rng = np.random.default_rng(seed)
    pieces, placed = [], []
    now = 0
    for utterance in utterances:
        samples = utterance.samples
        pause = _pause(rng)
        if (now + len(pause) + len(samples)) > most_s * SAMPLING_RATE:
            break
        pieces += [pause, samples]
        begin, end = (now + len(pause) + at for at in speech_edges(samples))
        placed.append(Placed(utterance, begin / SAMPLING_RATE, end / SAMPLING_RATE))
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


def cut_out(recording: Samples, one: Placed, margin_s: float) -> Samples:
    """An utterance's speech in the recording, and as much as that on both sides of it."""
    begin = max(0, round((one.start_s - margin_s) * SAMPLING_RATE))
    return recording[begin : round((one.end_s + margin_s) * SAMPLING_RATE)]


def translate_each(translator: SpeechTranslator, cuts: Sequence[Samples]) -> list[str]:
    """The translations of what is cut already."""
    found = translator.translate(list(cuts), sampling_rate=SAMPLING_RATE, one_utterance=True)
    return [one.text for one in found]


def translate_file(
    translator: SpeechTranslator, recording: Samples
) -> tuple[TranslatedRecording, list[srt.Subtitle]]:
    """The recording's translation, by way of files, as the command makes it; and its SRT."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "long.flac"
        soundfile.write(path, recording, SAMPLING_RATE)
        [(target, found)] = translate_into(
            Path(name) / "out", "srt", translator, examine([path]), unsure_below=0
        )
        subtitles = list(srt.parse(target.read_text(encoding="utf-8")))
    assert isinstance(found, TranslatedRecording), found
    return found, subtitles


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


def times_off(placed: Sequence[Placed], spans: Sequence[Span]) -> list[Off]:
    """How far off the first and last moment of each utterance are; without limit if none is."""
    found = [[span for span in spans if is_of(span, one)] for one in placed]
    offs = []
    for one, own in zip(placed, found, strict=True):
        joined = any(span in other for span in own for other in found if other is not own)
        start_s, end_s = (own[0].start_s, own[-1].end_s) if own else (-np.inf, np.inf)
        offs.append(Off(one.utterance, start_s - one.start_s, end_s - one.end_s, joined))
    return offs


def is_of(span: Span, one: Placed) -> bool:
    """Whether a segment or subtitle is about an utterance, and does not only reach into it."""
    shared_s = min(span.end_s, one.end_s) - max(span.start_s, one.start_s)
    return shared_s > min(TOLERANCE_S, (one.end_s - one.start_s) / 2)


def summary(offs: Sequence[Off]) -> dict[str, float]:
    """Columns of the table."""
    starts, ends = np.array([(off.start_s, off.end_s) for off in offs]).T
    found = np.abs([*starts, *ends])
    return {
        "starts within 0.3 s (%)": 100 * float((np.abs(starts) <= TOLERANCE_S).mean()),
        "ends within 0.3 s (%)": 100 * float((np.abs(ends) <= TOLERANCE_S).mean()),
        "starts off by (s)": float(np.median(starts)),
        "ends off by (s)": float(np.median(ends)),
        "largest of those found (s)": float(found[np.isfinite(found)].max(initial=0)),
    }


def exceptions(offs: Sequence[Off], kind: str) -> Iterator[dict[str, Any]]:
    """What is off by more than the tolerance, and why."""
    for off in offs:
        for edge, off_s in (("start", off.start_s), ("end", off.end_s)):
            if abs(off_s) <= TOLERANCE_S:
                continue
            if not np.isfinite(off_s):
                why = "nothing was found"
            elif off.joined:
                why = "joined with another utterance"
            elif (kind, edge) == ("subtitle", "end") and off_s > 0:
                why = "stays until it has been read"
            else:
                why = f"voice activity, with a background of {off.utterance.background}"
            yield {
                "utterance": off.utterance.name,
                "of": kind,
                "edge": edge,
                "off_s": round(off_s, 2) if np.isfinite(off_s) else None,
                "why": why,
            }


def _scores(texts: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    metrics = score(texts, references).metrics
    return {name: metrics[name].value for name in ("BLEU", "chrF2")}


if __name__ == "__main__":
    main()
