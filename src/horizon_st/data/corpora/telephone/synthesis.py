"""Recordings -> the audio of one utterance: joined with pauses, then varied in three ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from jaxtyping import Float

from horizon_st.data.corpora.telephone.recordings import Recordings

PIECE_PAUSE_S = (0.02, 0.12)
CLAUSE_PAUSE_S = (0.25, 0.6)
EDGE_PAUSE_S = (0.1, 0.4)
SPEED_RANGE = (0.9, 1.1)
LEVEL_RANGE_DB = (-6.0, 6.0)
SNR_RANGE_DB = (10.0, 30.0)
NUM_BABBLE_VOICES = 6
PEAK_LIMIT = 0.95
# The level before variation; with +6 dB on top most peaks still fit under the limit.
SPEECH_LEVEL_DB = -26.0
# ITU-T P.56 counts as active what is at most 15.9 dB below the level of active speech; here the
# loud tenth of an utterance is 2.7 dB above that level in the median.
AUDIBLE_DB = 18.6
LOUD_PERCENTILE = 90
LEVEL_FRAME_S = 0.01


@dataclass(frozen=True)
class Variation:
    """How one utterance was varied: written into the manifest beside it.

    Attributes:
        speech_start_s: where the speech begins, by its level before the noise was added.
        speech_end_s: where it ends.
    """

    speed: float
    level_db: float
    noise: str
    snr_db: float
    speech_start_s: float
    speech_end_s: float


def join(
    recordings: Recordings, clauses: Sequence[Sequence[str]], rng: np.random.Generator
) -> Float[np.ndarray, " N"]:
    """Returns the recordings behind one another, with pauses, longer ones between clauses."""

    def pause(limits_s: tuple[float, float]) -> Float[np.ndarray, " N"]:
        num_samples = int(rng.uniform(*limits_s) * recordings.sample_rate)
        return np.zeros(num_samples, dtype=np.float32)

    pieces = [pause(EDGE_PAUSE_S)]
    for clause_number, names in enumerate(clauses):
        if clause_number:
            pieces.append(pause(CLAUSE_PAUSE_S))
        for position, name in enumerate(names):
            if position:
                pieces.append(pause(PIECE_PAUSE_S))
            pieces.append(recordings.audio(name))
    return np.concatenate([*pieces, pause(EDGE_PAUSE_S)])


def vary(
    samples: Float[np.ndarray, " N"], recordings: Recordings, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " N"], Variation]:
    """Returns the samples at another speed and level with noise under them, peaks within ±0.95.

    Speed resamples, so that the pitch moves with it. The noise is white, pink or babble (several
    other recordings at once, played backwards so that no word remains); its level is relative to
    the root mean square of the utterance.
    """
    speed = float(rng.uniform(*SPEED_RANGE))
    level_db = float(rng.uniform(*LEVEL_RANGE_DB))
    noise_kind = ("white", "pink", "babble")[rng.integers(3)]
    snr_db = float(rng.uniform(*SNR_RANGE_DB))
    rate = float(recordings.sample_rate)
    speech = soxr.resample(samples.astype(np.float32), rate * speed, rate)
    speech = speech * _gain(speech, SPEECH_LEVEL_DB + level_db)
    noise = _noise(noise_kind, len(speech), recordings, rng)
    mixed = speech + noise * _gain(noise, SPEECH_LEVEL_DB + level_db - snr_db)
    peak = float(np.abs(mixed).max())
    varied = (mixed * min(1.0, PEAK_LIMIT / peak)).astype(np.float32)
    return varied, Variation(speed, level_db, noise_kind, snr_db, *audible_span_s(speech, rate))


def audible_span_s(speech: Float[np.ndarray, " N"], rate: float) -> tuple[float, float]:
    """Where speech without noise is first and last no quieter than active speech may be."""
    frame = round(LEVEL_FRAME_S * rate)
    frames = speech[: len(speech) // frame * frame].reshape(-1, frame)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    least = np.percentile(power, LOUD_PERCENTILE) / 10 ** (AUDIBLE_DB / 10)
    audible = np.flatnonzero(power >= least)
    return float(audible[0]) * frame / rate, float(audible[-1] + 1) * frame / rate


def _gain(samples: Float[np.ndarray, " N"], level_db: float) -> float:
    root_mean_square = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return 10 ** (level_db / 20) / root_mean_square


def _noise(
    kind: str, num_samples: int, recordings: Recordings, rng: np.random.Generator
) -> Float[np.ndarray, " N"]:
    if kind == "babble":
        everything = recordings.samples
        starts = rng.integers(0, len(everything) - num_samples, size=NUM_BABBLE_VOICES)
        voices = [everything[start : start + num_samples][::-1] for start in starts]
        babble: Float[np.ndarray, " N"] = np.sum(voices, axis=0)
        return babble
    white = rng.standard_normal(num_samples)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0.0
    pink: Float[np.ndarray, " N"] = np.fft.irfft(spectrum, num_samples)
    return pink
