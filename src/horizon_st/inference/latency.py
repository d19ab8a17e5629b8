"""How far a live translation lags behind the speech.

Of an utterance of |X| seconds, d_i are the seconds heard when word i of the translation Y became
certain, and Y* is the reference.
"""

from __future__ import annotations

from collections.abc import Sequence


def average_lagging(delays_s: Sequence[float], source_s: float, num_reference_words: int) -> float:
    """Seconds behind a translator that keeps an even pace to the end: AL (Ma et al. 2019, eq. 8).

    The sum over i up to the first word that was certain only after all was heard, divided by the
    number of these words, of d_i - (i - 1) |X| / |Y*|. A translation longer than the reference
    lowers it: prefer `length_adaptive_average_lagging` for comparing systems.

    Args:
        delays_s: d_i, never falling.
        source_s: |X|.
        num_reference_words: |Y*|, at least one.

    Raises:
        ValueError: there are no words.
    """
    return _lagging(delays_s, source_s, num_reference_words)


def length_adaptive_average_lagging(
    delays_s: Sequence[float], source_s: float, num_reference_words: int
) -> float:
    """AL with max(|Y|, |Y*|) for |Y*|, so that long output gains nothing (Papi et al. 2022).

    Args:
        delays_s: as `average_lagging`.
        source_s: as there.
        num_reference_words: as there.

    Raises:
        ValueError: there are no words.
    """
    return _lagging(delays_s, source_s, max(len(delays_s), num_reference_words))


def _lagging(delays_s: Sequence[float], source_s: float, num_words: int) -> float:
    if not delays_s or num_words < 1:
        raise ValueError("no words: there is no lag of nothing")
    pace_s = source_s / num_words
    total_s = 0.0
    for number, delay_s in enumerate(delays_s):
        total_s += delay_s - number * pace_s
        if delay_s >= source_s:
            break
    return total_s / (number + 1)
