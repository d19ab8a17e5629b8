"""Samples -> the probability of speech, every 32 ms, by Silero VAD.

The network is the one that the package silero-vad (Silero Team, 2020-2026) ships for ONNX Runtime,
which takes many frames at once. The package itself is not imported: it would import PyTorch.

Legend: F frames, N samples.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from onnxruntime import InferenceSession, SessionOptions

from horizon_st.data.mono import SAMPLING_RATE, Samples
from horizon_st.errors import UserError

FRAME_SAMPLES = 512
"""From one probability to the next: 32 ms, the step that the network was made for."""

FRAME_S = FRAME_SAMPLES / SAMPLING_RATE

_CONTEXT_SAMPLES = 64
"""Of the frame before, that each frame sees."""

_STATE_SHAPE = (1, 1, 128)
_MOST_FRAMES = 512
"""Computed at once, 16 s: enough for the speed, and memory stays small whatever the block."""

_PACKAGE = "silero_vad"
_MODEL_FILE = "data/silero_vad_16k_sequence.onnx"

Probabilities = Float32[np.ndarray, " F"]


class VoiceActivity:
    """The probability of speech in one recording, whose blocks come one after the other.

    Raises:
        UserError: the package silero-vad is missing, or too old.
    """

    def __init__(self) -> None:
        self._network = _load_network()
        self._hidden = np.zeros(_STATE_SHAPE, np.float32)
        self._cell = np.zeros(_STATE_SHAPE, np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self._rest = np.zeros(0, np.float32)

    def __call__(self, samples: Samples) -> Probabilities:
        """Those of the frames that are whole by now."""
        samples = np.concatenate([self._rest, samples])
        num_whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = samples[num_whole:]
        step = _MOST_FRAMES * FRAME_SAMPLES
        found = [
            self._compute(samples[i : min(i + step, num_whole)]) for i in range(0, num_whole, step)
        ]
        return np.concatenate([np.zeros(0, np.float32), *found])

    def finish(self) -> Probabilities:
        """Those of a last frame that was not whole, as if silence followed; none or one."""
        if not len(self._rest):
            return np.zeros(0, np.float32)
        return self(np.zeros(FRAME_SAMPLES - len(self._rest), np.float32))

    def _compute(self, samples: Samples) -> Probabilities:
        padded = np.concatenate([self._context, samples])
        width = _CONTEXT_SAMPLES + FRAME_SAMPLES
        frames = np.lib.stride_tricks.sliding_window_view(padded, width)[::FRAME_SAMPLES]
        inputs = {"input": np.ascontiguousarray(frames), "h": self._hidden, "c": self._cell}
        found, self._hidden, self._cell = self._network.run(None, inputs)
        self._context = samples[-_CONTEXT_SAMPLES:]
        probabilities: Probabilities = found
        return probabilities


@cache
def _load_network() -> InferenceSession:
    """The network for 16 kHz, which all recordings share."""
    spec = find_spec(_PACKAGE)
    folders = [] if spec is None else spec.submodule_search_locations or []
    paths = [path for folder in folders if (path := Path(folder) / _MODEL_FILE).is_file()]
    if not paths:
        raise UserError(
            "voice activity",
            expected=f"the package silero-vad with its {_MODEL_FILE}",
            found="no such package" if spec is None else "none of that name",
            remedy="Run `pip install --no-deps --upgrade silero-vad`.",
        )
    options = SessionOptions()
    options.intra_op_num_threads = 1  # it is small; more threads would wait for each other
    return InferenceSession(paths[0], options, providers=["CPUExecutionProvider"])
