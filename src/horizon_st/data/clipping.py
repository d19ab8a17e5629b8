"""A segment that reaches beyond its recording -> the piece of it that is there."""

from __future__ import annotations

from horizon_st.data.audio import SHORTEST_S

MOST_CLIPPED_S = 0.5
MOST_CLIPPED_SHARE = 0.1
"""Segments lose at most the larger of both, or are left out: their text says what is cut off."""

_LEAST_KEPT_SHARE = 0.5
"""Of a short segment, which half a second may be most of."""


def clip_span(start_s: float, duration_s: float, recording_s: float) -> tuple[float, float] | None:
    """Start and duration, in seconds, of what of a segment lies in its recording.

    None where the segment loses more than both limits or half of itself, or less than a frame of
    sound is left.

    Args:
        start_s: where the segment begins, which may be before the recording.
        duration_s: its length.
        recording_s: the recording's.
    """
    if start_s >= 0 and start_s + duration_s <= recording_s:  # as it is, to the last digit
        return (start_s, duration_s) if duration_s >= SHORTEST_S else None
    new_start_s = max(0.0, start_s)
    new_duration_s = min(start_s + duration_s, recording_s) - new_start_s
    most_s = max(MOST_CLIPPED_S, MOST_CLIPPED_SHARE * duration_s)
    most_s = min(most_s, (1 - _LEAST_KEPT_SHARE) * duration_s)
    if duration_s - new_duration_s > most_s or new_duration_s < SHORTEST_S:
        return None
    return new_start_s, new_duration_s
