"""A long recording made of held-out utterances: what cutting it costs, and how good the times are.

    python benchmarks/long_recording.py MODEL MANIFEST [--minutes 10] [--recordings 1] [--seed 1]

The utterances follow one another in the order of the manifest, with pauses of 1 to 3 seconds. Under
all of it lies faint noise, and in half of the pauses there is louder noise, a beep or a click. The
recording is translated as `horizon-st translate --format srt` does it, and as cut by hand: each
utterance from its own file, and out of the recording at the true times, with margins of 0 to 0.5 s
on both sides, since a model may answer to where the hand cuts. The SRT is read by the package
`srt`. Its text, without the marks of unsure segments, is cut at the references' borders by the
alignment with the fewest word errors (as mwerSegmenter does, Matusov et al. 2005), then scored. The
truth about times is what the manifest says of the speech before noise was added (the embedded
corpus does), or else where an utterance's own recording is first and last louder than halfway, in
decibels, between its noise and its speech. They are compared for the segments, and for the
subtitles: of these, the last may stay after the speech until it has been read. Of several
recordings, each of the utterances that follow, each is scored alone as well: ten minutes are few.
Prints Markdown; the JSON (`--out`) names every time that is off by more than 0.3 s, and why.
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
from joined import Placed, Utterance, compose, cut_out, read_utterance
from measuring import print_bleu_signature, print_table, write_report
from rapidfuzz.distance import Levenshtein
from scipy import stats

from horizon_st.data.audio import SAMPLING_RATE, Samples
from horizon_st.data.shar import open_cuts
from horizon_st.decoding.scoring import score
from horizon_st.inference.files import examine, translate_into
from horizon_st.inference.formats import TranslatedRecording
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.inference.segmenter import SegmenterConfig

TOLERANCE_S = 0.3
MARGINS_S = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
OWN_FILE = "each utterance's own file"
SRT = "the SRT's subtitles"


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


@dataclass(frozen=True)
class Measured:
    """What was found for one long recording.

    Attributes:
        texts: the translations of its utterances, by the way they were cut.
        num_segments: of the recording.
        num_cues: of its subtitles.
    """

    references: list[str]
    texts: dict[str, list[str]]
    num_segments: int
    num_cues: int
    off_segments: list[Off]
    off_cues: list[Off]


def main() -> None:
    """Prints the tables, and on demand writes them as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder or hub id")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--recordings", type=int, default=1, help="of so many minutes each, of other utterances"
    )
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
    measured = []
    for seed in range(options.seed, options.seed + options.recordings):
        recording, placed = compose(utterances, options.minutes * 60, seed)
        if not placed:
            parser.error(f"too few utterances for {options.recordings} recordings")
        utterances = utterances[len(placed) :]
        measured.append(measure(translator, recording, placed, options.padding))
    rows = rows_of_all(measured)
    print_table(rows)
    per_recording = rows_of_each(measured, options.padding) if len(measured) > 1 else []
    if per_recording:
        print()
        print_table(per_recording)
    signature = print_bleu_signature([one for each in measured for one in each.references])
    if options.out is not None:
        far = [
            off
            for each in measured
            for kind, offs in (("segment", each.off_segments), ("subtitle", each.off_cues))
            for off in exceptions(offs, kind)
        ]
        write_report(
            options.out,
            vars(options),
            rows,
            signature=signature,
            per_recording=per_recording,
            far_off=far,
        )


def measure(
    translator: SpeechTranslator,
    recording: Samples,
    placed: Sequence[Placed],
    padding_s: float,
) -> Measured:
    """Translates the recording as the program cuts it, and as a hand cuts it in several ways."""
    translated, subtitles = translate_file(translator, recording)
    references = [one.utterance.reference for one in placed]
    cuts_by_hand = {
        OWN_FILE: [one.utterance.samples for one in placed],
        **{
            by_hand(margin_s): [cut_out(recording, one, margin_s) for one in placed]
            for margin_s in sorted({*MARGINS_S, padding_s})
        },
    }
    texts = {name: translate_each(translator, cuts) for name, cuts in cuts_by_hand.items()}
    texts[SRT] = realign(" ".join(one.content for one in subtitles), references)
    segments = [Span(one.start_s, one.end_s) for one in translated.segments]
    cues = [Span(one.start.total_seconds(), one.end.total_seconds()) for one in subtitles]
    return Measured(
        references,
        texts,
        len(segments),
        len(cues),
        times_off(placed, segments),
        times_off(placed, cues),
    )


def by_hand(margin_s: float) -> str:
    """The name of a way of cutting by hand."""
    return f"cut by hand, {margin_s} s around"


def rows_of_all(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """A row for each way of cutting, over all recordings."""
    off_segments = [off for each in measured for off in each.off_segments]
    off_cues = [off for each in measured for off in each.off_cues]
    references = [one for each in measured for one in each.references]
    rows: list[dict[str, Any]] = []
    for name in measured[0].texts:
        times = summary(off_cues) if name == SRT else dict.fromkeys(summary(off_cues), "–")
        pieces = sum(each.num_cues for each in measured) if name == SRT else len(references)
        texts = [text for each in measured for text in each.texts[name]]
        rows.append({"of": name, "pieces": pieces, **_scores(texts, references), **times})
    pieces = sum(each.num_segments for each in measured)
    scores = dict.fromkeys(_scores(references, references), "–")
    return [*rows, {"of": "their segments", "pieces": pieces, **scores, **summary(off_segments)}]


def rows_of_each(measured: Sequence[Measured], padding_s: float) -> list[dict[str, Any]]:
    """BLEU of each recording, and the means with halves of their 95 % intervals (Student's)."""
    bleu = {
        name: np.array([_scores(each.texts[name], each.references)["BLEU"] for each in measured])
        for name in (OWN_FILE, by_hand(padding_s), SRT)
    }
    columns = {
        **bleu,
        **{f"{SRT}, less {name}": bleu[SRT] - found for name, found in bleu.items() if name != SRT},
    }
    rows: list[dict[str, Any]] = [
        {
            "recording": number,
            "utterances": len(each.references),
            **{name: float(found[number - 1]) for name, found in columns.items()},
        }
        for number, each in enumerate(measured, 1)
    ]
    quantile = float(stats.t.ppf(0.975, len(measured) - 1))
    means = {
        name: f"{found.mean():.2f} ± {quantile * stats.sem(found):.2f}"
        for name, found in columns.items()
    }
    utterances = sum(len(each.references) for each in measured)
    return [*rows, {"recording": "mean", "utterances": utterances, **means}]


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
