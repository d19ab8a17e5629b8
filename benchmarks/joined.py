"""Utterances joined to one long recording, with pauses and noise, whose true times are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from horizon_st.data.audio import SAMPLING_RATE, Samples, load_cut
from horizon_st.data.manifest import translation_of

PAUSE_S = (1.0, 3.0)
FAINT_DB = -55.0
LOUD_DB = (-45.0, -30.0)
_FRAME_SAMPLES = SAMPLING_RATE // 100


@dataclass(frozen=True)
class Utterance:
    """A recording with its translation.

    Attributes:
        edges: the samples at which its speech begins and ends.
        background: what the manifest says of its noise.
    """

    name: str
    samples: Samples
    reference: str
    edges: tuple[int, int]
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


def read_utterance(cut: Any) -> Utterance:
    """The utterance of a cut."""
    told = cut.supervisions[0].custom or {}
    background = f"{told['noise']} at {told['snr_db']:.1f} dB" if "noise" in told else "unknown"
    samples = load_cut(cut)
    if "speech_start_s" in told:
        times = (told["speech_start_s"], told["speech_end_s"])
        edges = tuple(round(time * SAMPLING_RATE) for time in times)
    else:
        edges = speech_edges(samples)
    return Utterance(cut.id, samples, translation_of(cut), edges, background)


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
        begin, end = (now + len(pause) + at for at in utterance.edges)
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
