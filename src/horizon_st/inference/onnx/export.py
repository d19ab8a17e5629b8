"""A trained model -> a folder of ONNX graphs, and what else translating with them needs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from horizon_st.data.files import PARTIAL_PREFIX, make_folder, write_errors
from horizon_st.data.mono import SAMPLING_RATE, Samples
from horizon_st.decoding.trained import TrainedModel, load_trained_model
from horizon_st.errors import UserError
from horizon_st.extras import check_extra
from horizon_st.inference.onnx.describe import describe
from horizon_st.inference.onnx.exportable import exportable
from horizon_st.inference.onnx.folder import write_settings
from horizon_st.inference.onnx.graphs import quiet, write_graphs
from horizon_st.inference.onnx.model import Past
from horizon_st.inference.onnx.runtime import OnnxRuntime
from horizon_st.inference.onnx.vocabulary import write_tokenizer
from horizon_st.model.outputs import Encoded

Quantization = Literal["int8"]

_PACKAGES = ("onnx", "onnxscript")
_TOLERANCE = 1e-3
"""Of states and log probabilities; rounding makes some millionths."""

_NOISE_S = (1.1, 0.7, 0.9)
"""Graphs are traced with the first two, and compared with all: a traced length would show."""

_NUM_COMPARED = 4


def export_onnx(source: str | Path, out: Path, *, quantization: Quantization | None = None) -> None:
    """Writes the folder of an export, whole or not at all.

    What the graphs compute is compared with PyTorch before, in 32-bit floats.

    Args:
        source: the folder or hub id of a trained model.
        out: the folder to write; it must not exist, or be empty.
        quantization: of the matrix products.

    Raises:
        UserError: packages are missing, there is no such model, a part of it cannot be exported,
            or the folder is not empty or cannot be written.
    """
    check_extra("horizon-st export", "onnx", _PACKAGES)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            str(out),
            expected="a new or empty folder",
            found="one with other files" if out.is_dir() else "a file",
            remedy="Give another one, or remove it.",
        )
    make_folder(out.parent)
    trained = load_trained_model(source, device="cpu")
    settings, arrays = describe(trained)
    noise = _noise()
    with _whole_folder(out) as folder:
        write_tokenizer(trained.tokenizer, folder)
        write_settings(folder, settings, arrays)
        with torch.no_grad(), _exportable_encoder(trained):
            write_graphs(trained.model, _padded(trained, noise[:2]), folder)
        _compare(trained, OnnxRuntime.load(folder), noise)
        if quantization is not None:
            from horizon_st.inference.onnx.quantization import quantize

            with quiet():
                quantize(folder)
            write_settings(folder, replace(settings, quantized=quantization), arrays)


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into that takes its name when the block succeeds; else nothing stays."""
    out = out.resolve()
    with (
        write_errors(out),
        tempfile.TemporaryDirectory(dir=out.parent, prefix=PARTIAL_PREFIX) as name,
    ):
        folder = Path(name) / out.name  # with the rights of a new folder, not of a temporary one
        folder.mkdir()
        yield folder
        folder.rename(out)  # an empty folder is replaced


def _noise() -> list[Samples]:
    rng = np.random.default_rng(0)
    lengths = [int(length_s * SAMPLING_RATE) for length_s in _NOISE_S]
    return [rng.normal(0, 0.1, length).astype(np.float32) for length in lengths]


def _padded(trained: TrainedModel, noise: Sequence[Samples]) -> tuple[Tensor, Tensor]:
    """What the speech encoder reads of it, and the lengths."""
    rows = [trained.frontend(samples).float() for samples in noise]
    lengths = torch.tensor([len(row) for row in rows])
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths


@contextmanager
def _exportable_encoder(trained: TrainedModel) -> Iterator[None]:
    model = trained.model
    original = model.speech_encoder
    model.speech_encoder = exportable(original)
    try:
        yield
    finally:
        model.speech_encoder = original


@torch.no_grad()
def _compare(trained: TrainedModel, runtime: OnnxRuntime, noise: Sequence[Samples]) -> None:
    """Nothing, when the graphs compute what PyTorch does, of noise and of some tokens.

    Raises:
        UserError: one does not.
    """
    model, exported = trained.model, runtime.model
    rng = np.random.default_rng(0)
    spoken = model.encode_speech(*_padded(trained, noise))
    found = exported.encode_speech([runtime.frontend(samples) for samples in noise])
    _check_close("speech_encoder", found.states, spoken.states, spoken.mask)

    pad, vocab_size = exported.settings.pad, model.config.get_text_config().vocab_size
    usual = [token for token in range(vocab_size) if token != pad]
    sentences = [rng.choice(usual, size=length) for length in (6, 2, 4)]
    rows = [torch.from_numpy(sentence) for sentence in sentences]
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
    written = model.encode_text(tokens)
    found = exported.encode_text([sentence.tolist() for sentence in sentences])
    _check_close("text_encoder", found.states, written.states, written.mask)

    prefix = torch.from_numpy(rng.choice(usual, size=(len(sentences), _NUM_COMPARED)))
    encoded = Encoded(written.states, written.mask)
    expected = model.decode(encoded, prefix).logits.log_softmax(dim=-1)
    past = Past(exported, found)
    for place in range(_NUM_COMPARED):
        log_probabilities = past.extend(prefix[:, place : place + 1].numpy())[:, 0]
        _check_close("decoder", log_probabilities, expected[:, place])


def _check_close(
    graph: str, found: np.ndarray, expected: Tensor, is_real: Tensor | None = None
) -> None:
    values, wanted = torch.from_numpy(found), expected
    if is_real is not None:
        values, wanted = values[:, : is_real.shape[1]][is_real], wanted[is_real]
    largest = max(1.0, float(wanted.abs().max()))
    difference = float((values - wanted).abs().max()) / largest
    if not difference <= _TOLERANCE:
        raise UserError(
            f"{graph}.onnx",
            expected=f"what PyTorch computes, within {_TOLERANCE:g} of its largest value",
            found=f"a difference of {difference:.2g}",
            remedy="This model cannot be exported with the installed versions; use PyTorch.",
        )
