"""The graphs of an export as functions of arrays.

Legend: B utterances, H beams of each, S tokens, T encoder states, A heads, D width, W width of a
head, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int
from onnxruntime import InferenceSession, SessionOptions

from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.model_folder import COPY_AGAIN
from horizon_st.errors import UserError, reason_of
from horizon_st.hardware import share_of_cores
from horizon_st.inference.onnx.folder import graph_path, read_settings
from horizon_st.inference.onnx.frontend import Features
from horizon_st.inference.onnx.search import Found, Search


@dataclass(frozen=True)
class EncodedRows:
    """Encoder states, padded, and how many of each row are real."""

    states: Float32[np.ndarray, "B T D"]
    num_states: Int[np.ndarray, " B"]


class ExportedModel:
    """Encodes and decodes; graphs are loaded when they are first needed.

    Args:
        folder: of the export.
        num_threads: of each graph; as many as this process may use cores by default.

    Raises:
        UserError: the folder is incomplete or damaged.
    """

    def __init__(self, folder: Path, num_threads: int | None = None) -> None:
        self.folder = folder
        self.settings, self.arrays = read_settings(folder)
        self._num_threads = num_threads or share_of_cores()

    def encode_speech(self, features: Sequence[Features]) -> EncodedRows:
        """The states of what the front end gave for each utterance."""
        lengths = np.array([len(row) for row in features])
        padded = np.zeros((len(features), lengths.max(), *features[0].shape[1:]), np.float32)
        for row, filled in zip(features, padded, strict=True):
            filled[: len(row)] = row
        return EncodedRows(*self._speech_encoder.run(None, {"speech": padded, "lengths": lengths}))

    def encode_text(self, rows: Sequence[Sequence[int]]) -> EncodedRows:
        """The states of the tokens of each sentence, end token included."""
        tokens = np.full((len(rows), max(map(len, rows))), self.settings.pad)
        for row, filled in zip(rows, tokens, strict=True):
            filled[: len(row)] = row
        return EncodedRows(*self._text_encoder.run(None, {"tokens": tokens}))

    def search(
        self,
        encoded: EncodedRows,
        config: DecodingConfig,
        prefixes: Sequence[Sequence[int]] | None = None,
    ) -> list[Found]:
        """The best translation of each row.

        Args:
            encoded: their states.
            config: the search.
            prefixes: tokens that the translation of each begins with.
        """
        num_states = encoded.num_states.tolist()
        num_begun = [0] * len(num_states) if prefixes is None else map(len, prefixes)
        search = Search(
            [
                config.most_tokens(number, self.settings.max_positions, begun)
                for number, begun in zip(num_states, num_begun, strict=True)
            ],
            self.settings.rules,
            num_beams=config.beam_size,
            length_penalty=config.length_penalty,
            no_repeat_ngram_size=config.no_repeat_ngram_size,
            prefixes=prefixes,
        )
        past = Past(self, encoded)
        # The beams of an utterance are alike until the first token is chosen.
        log_probabilities = past.extend(search.last_tokens[:, :1])
        log_probabilities = log_probabilities.repeat(config.beam_size, axis=1)
        parents = search.advance(log_probabilities)
        while search.is_open.any():
            past.keep(search.is_open, parents)
            search.drop_closed()
            parents = search.advance(past.extend(search.last_tokens))
        return search.found

    @cached_property
    def _speech_encoder(self) -> InferenceSession:
        return self._load("speech_encoder")

    @cached_property
    def _text_encoder(self) -> InferenceSession:
        return self._load("text_encoder")

    @cached_property
    def cross_attention(self) -> InferenceSession:
        """Encoder states -> a key and a value of each decoder layer."""
        return self._load("cross_attention")

    @cached_property
    def decoder(self) -> InferenceSession:
        """The last tokens and what they attend to -> log probabilities, and keys and values."""
        return self._load("decoder")

    def _load(self, name: str) -> InferenceSession:
        path = graph_path(self.folder, name)
        options = SessionOptions()
        options.intra_op_num_threads = self._num_threads
        try:
            return InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's have no common class
            raise UserError(
                str(path), expected="an ONNX graph", found=reason_of(error), remedy=COPY_AGAIN
            ) from error


class Past:
    """The keys and values that the decoder attends to: its own, and of the encoder states.

    The beams of an utterance share the latter. At first there is one beam, and nothing of its own.
    """

    def __init__(self, model: ExportedModel, encoded: EncodedRows) -> None:
        self._decoder = model.decoder
        self._num_states = encoded.num_states
        self._keys = model.cross_attention.run(None, {"states": encoded.states})
        self._own = [
            np.zeros((len(key), 1, key.shape[1], 0, key.shape[3]), np.float32) for key in self._keys
        ]

    def extend(self, tokens: Int[np.ndarray, "B H"]) -> Float32[np.ndarray, "B H V"]:
        """The log probabilities of what follows the last tokens, which the past now holds too."""
        inputs: dict[str, Any] = {"tokens": tokens, "num_states": self._num_states}
        for number, (own, key) in enumerate(zip(self._own, self._keys, strict=True)):
            inputs |= {f"past_{number}": own, f"cross_{number}": key}
        log_probabilities, *self._own = self._decoder.run(None, inputs)
        found: Float32[np.ndarray, "B H V"] = log_probabilities
        return found

    def keep(self, is_open: Bool[np.ndarray, " B"], parents: Int[np.ndarray, "B H"]) -> None:
        """Forgets the utterances that are done, and gives each beam the past of its parent."""
        rows = np.flatnonzero(is_open)
        own_rows = np.zeros_like(parents) if self._own[0].shape[1] == 1 else parents
        self._own = [own[rows[:, None], own_rows[rows]] for own in self._own]
        if not is_open.all():
            self._num_states = self._num_states[rows]
            self._keys = [key[rows] for key in self._keys]
