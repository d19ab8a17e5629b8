"""A stretch of speech -> the times of its first and its last certain sound.

Around speech the probability of voice activity rises early where there are other voices, and falls
late: the stretch is what has to be translated, and longer than what was said.

Legend: F frames of voice activity, 32 ms each; N samples.
"""

from __future__ import annotations

import numpy as np

from horizon_st.data.mono import Samples
from horizon_st.inference.voice_activity import FRAME_S, FRAME_SAMPLES, Probabilities

_LATE_FRAMES = 2
"""After speech the network stays certain for so long. On announcements it is 4 frames by where they
fall halfway to their noise, in decibels, and 0 by where they fall by 25 dB without any noise."""

_LOUD_PERCENTILE = 90
_QUIETER_DB = 15.0
"""Below the loud part of a stretch, a sound before it is the voice of somebody else ..."""

_RUN_UP_FRAMES = round(0.64 / FRAME_S)
"""... unless it lasts: then it may be a quiet speaker who is answered by a loud one."""


def certain_span(probabilities: Probabilities, samples: Samples, certain: float) -> tuple[int, int]:
    """The first frame of certain speech, and the one after the last; of all where there is none.

    Args:
        probabilities: of the stretch.
        samples: the same stretch; its last frame need not be whole.
        certain: the probability that speech has; 0 takes all of the stretch.
    """
    frames = np.flatnonzero(probabilities >= certain)
    if certain == 0 or not len(frames):
        return 0, len(probabilities)
    first, after = int(frames[0]), int(frames[-1]) + 1
    if after < len(probabilities):  # or else it goes on, and has been cut there
        after = max(after - _LATE_FRAMES, first + 1)
    num_whole = len(samples) // FRAME_SAMPLES
    power = np.square(samples[: num_whole * FRAME_SAMPLES], dtype=np.float64)
    power = power.reshape(num_whole, FRAME_SAMPLES).mean(axis=1)
    if num_whole:
        least = np.percentile(power, _LOUD_PERCENTILE) / 10 ** (_QUIETER_DB / 10)
        loud = frames[(frames < num_whole)]
        loud = loud[power[loud] >= least]
        if len(loud) and loud[0] - first <= _RUN_UP_FRAMES and loud[0] < after:
            first = int(loud[0])
    return first, after
