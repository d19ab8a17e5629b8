"""A recording that is not to be cut -> one segment, where the model can take it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from horizon_st.data.audio_file import LONGEST_S, check_length
from horizon_st.data.mono import SAMPLING_RATE, Samples
from horizon_st.errors import UserError
from horizon_st.inference.runtime import Runtime
from horizon_st.inference.segmenter import SpeechSegment

_FAR_LONGER = 2.0
"""So many times the longest training utterance, nobody knows what a model does."""


class LongRecordingWarning(UserWarning):
    """A recording that is not to be cut is far longer than what the model was trained on."""


def read_utterance(runtime: Runtime, blocks: Iterator[Samples], name: str) -> SpeechSegment:
    """All of a recording; no more of it is read than the model can take, or than two hours.

    It gives a LongRecordingWarning, where it is far longer than in training.

    Args:
        runtime: the model.
        blocks: the recording at 16 kHz.
        name: of the recording.

    Raises:
        UserError: it has less than one frame, or is longer than the model can take.
    """
    held = [np.zeros(0, np.float32)]
    num_samples = 0
    for block in blocks:
        held.append(block)
        num_samples += len(block)
        if num_samples > LONGEST_S * SAMPLING_RATE or not runtime.can_take(num_samples):
            raise too_long(name, num_samples / SAMPLING_RATE, is_all=next(blocks, None) is None)
    check_length(num_samples, SAMPLING_RATE, name)
    _warn_of_long(runtime, name, num_samples / SAMPLING_RATE)
    return SpeechSegment(0.0, num_samples / SAMPLING_RATE, np.concatenate(held))


def too_long(name: str, duration_s: float, *, is_all: bool = True) -> UserError:
    """The error of a recording that is longer than the model can take.

    Args:
        name: of the recording.
        duration_s: of it, or of what was read of it.
        is_all: whether that is all of it.
    """
    return UserError(
        name,
        expected="an utterance that is no longer than the model can take",
        found=f"{duration_s:.1f} s" if is_all else f"more than {duration_s:.1f} s",
        remedy="Let it be cut.",
    )


def _warn_of_long(runtime: Runtime, name: str, duration_s: float) -> None:
    longest_s = runtime.longest_training_s
    if longest_s is not None and duration_s > _FAR_LONGER * longest_s:
        warnings.warn(
            f"{name}: {duration_s:.1f} s long, but the model was trained on utterances of at "
            f"most {longest_s:.1f} s; the translation may be wrong or leave most of it out. "
            "Let long recordings be cut.",
            LongRecordingWarning,
            stacklevel=8,  # whoever called `translate`
        )
