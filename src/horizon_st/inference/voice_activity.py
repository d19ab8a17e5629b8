"""Samples -> the probability of speech, every 32 ms, by Silero VAD.

The network and its weights are those of the package silero-vad (Silero Team, 2020-2026), whose own
model takes one frame at a time; here all frames of a block go through the convolutions together,
ten times as fast, and the state is the caller's, so that many recordings can share one network.

Legend: F frames, N samples.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional

from horizon_st.data.mono import SAMPLING_RATE, Samples

FRAME_SAMPLES = 512
"""From one probability to the next: 32 ms, the step that the network was made for."""

FRAME_S = FRAME_SAMPLES / SAMPLING_RATE

_CONTEXT_SAMPLES = 64
"""Of the frame before, that each frame sees."""

_WINDOW_SAMPLES, _HOP_SAMPLES = 256, 128
_NUM_BINS = _WINDOW_SAMPLES // 2 + 1
_STRIDES = (1, 2, 2, 1)
_WIDTH = 128
_MOST_FRAMES = 512
"""Computed at once, 16 s: enough for the speed, and memory stays small whatever the block."""

Probabilities = Float32[np.ndarray, " F"]


class VoiceActivity:
    """The probability of speech in one recording, whose blocks come one after the other."""

    def __init__(self) -> None:
        self._network = _load_network()
        self._state: tuple[Tensor, Tensor] | None = None
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
        with torch.inference_mode():
            padded = torch.from_numpy(np.concatenate([self._context, samples]))
            frames = padded.unfold(0, _CONTEXT_SAMPLES + FRAME_SAMPLES, FRAME_SAMPLES)
            probabilities, self._state = self._network(frames, self._state)
        self._context = samples[-_CONTEXT_SAMPLES:]
        found: Probabilities = probabilities.numpy()
        return found


class _Network(nn.Module):
    """Magnitudes, four convolutions over each frame, and an LSTM over the frames."""

    def __init__(self) -> None:
        super().__init__()
        self.transform = nn.Conv1d(1, 2 * _NUM_BINS, _WINDOW_SAMPLES, _HOP_SAMPLES, bias=False)
        widths = (_NUM_BINS, 128, 64, 64, _WIDTH)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, next_width, 3, stride, padding=1)
            for width, next_width, stride in zip(widths[:-1], widths[1:], _STRIDES, strict=True)
        )
        self.lstm = nn.LSTM(_WIDTH, _WIDTH)
        self.output = nn.Conv1d(_WIDTH, 1, 1)

    def forward(
        self, frames: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        padded = functional.pad(frames[:, None], (0, _CONTEXT_SAMPLES), mode="reflect")
        real, imaginary = self.transform(padded).split(_NUM_BINS, dim=1)
        hidden = (real.square() + imaginary.square()).sqrt()
        for convolution in self.convolutions:
            hidden = convolution(hidden).relu()
        hidden, state = self.lstm(hidden.transpose(1, 2), state)  # [F, 1, D]: one recording
        assert state is not None
        logits = self.output(hidden.relu().transpose(1, 2))
        return logits.sigmoid().flatten(), state


@cache
def _load_network() -> _Network:
    """The network with the package's weights for 16 kHz."""
    num_threads = torch.get_num_threads()
    from silero_vad import load_silero_vad  # which sets the threads of the whole process to one

    torch.set_num_threads(num_threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the package's TorchScript
        weights = load_silero_vad().state_dict()
    names = {"transform.weight": "stft.forward_basis_buffer"}
    for kind in ("weight", "bias"):
        names |= {f"convolutions.{i}.{kind}": f"encoder.{i}.reparam_conv.{kind}" for i in range(4)}
        names |= {f"lstm.{kind}_{of}_l0": f"decoder.rnn.{kind}_{of}" for of in ("ih", "hh")}
        names[f"output.{kind}"] = f"decoder.decoder.2.{kind}"
    with torch.device("meta"):  # random weights would take numbers from the caller's generator
        network = _Network()
    named = {ours: weights[f"_model.{theirs}"] for ours, theirs in names.items()}
    network.load_state_dict(named, assign=True)
    return network.eval().requires_grad_(False)
