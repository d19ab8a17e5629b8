"""Rows of digits, as images or as strings -> the words: two encoders of their own, one decoder.

Legend: B rows, P passes, T states of an encoder, L words and the end, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from digit_rows import EOS_ID, MAX_DIGITS, NUM_DIGIT_IDS, NUM_WORD_IDS, PAD_ID, SIDE, Rows

_STATES_PER_DIGIT = SIDE // 4
_MAX_WORDS = 16


@dataclass
class Pass:
    """One dropout pass over one view: what `horizon_st.objective` looks at."""

    logits: Tensor  # [B, L, V]
    decoder_states: Tensor  # [B, L, D]
    encoder_states: Tensor  # [B, T, D]
    encoder_mask: Tensor  # [B, T], True at real states


class DigitReader(nn.Module):
    """A Transformer whose decoder is shared by two views of a number.

    Args:
        width: D.
        num_layers: of each encoder and of the decoder.
        dropout: everywhere.
    """

    def __init__(self, width: int = 64, num_layers: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, width, kernel_size=5, stride=2, padding=2)
            for channels in (SIDE, width)
        )
        self.digit_embedding = nn.Embedding(NUM_DIGIT_IDS, width, padding_idx=PAD_ID)
        self.word_embedding = nn.Embedding(NUM_WORD_IDS, width, padding_idx=PAD_ID)
        self.positions = nn.ModuleDict(
            {
                "images": nn.Embedding(_STATES_PER_DIGIT * MAX_DIGITS, width),
                "digits": nn.Embedding(MAX_DIGITS + 1, width),
                "words": nn.Embedding(_MAX_WORDS, width),
            }
        )
        shape = {"nhead": 4, "dim_feedforward": 4 * width, "dropout": dropout}
        self.encoders = nn.ModuleDict(
            {
                view: nn.TransformerEncoder(
                    nn.TransformerEncoderLayer(width, **shape, batch_first=True, norm_first=True),
                    num_layers,
                    norm=nn.LayerNorm(width),
                    enable_nested_tensor=False,
                )
                for view in ("images", "digits")
            }
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(width, **shape, batch_first=True, norm_first=True),
            num_layers,
            norm=nn.LayerNorm(width),
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, NUM_WORD_IDS)

    def run_images(self, rows: Rows, num_passes: int) -> list[Pass]:
        """Passes over the images; they differ by their dropout alone."""
        return self._run(*self._image_features(rows), "images", rows.target, num_passes)

    def run_digits(self, rows: Rows, num_passes: int) -> list[Pass]:
        """Passes over the digit strings."""
        features = self.digit_embedding(rows.digits)
        return self._run(features, rows.digits != PAD_ID, "digits", rows.target, num_passes)

    @torch.no_grad()
    def read(self, rows: Rows) -> Tensor:
        """The most likely word, one after the other, for the images of each row: [B, L]."""
        features, mask = self._image_features(rows)
        states = self._encode(features, mask, "images")
        words = torch.full((len(rows), 1), EOS_ID)
        while words.shape[1] < _MAX_WORDS:
            decoded = self._decode(states, mask, words)
            words = torch.cat([words, self.output(decoded[:, -1:]).argmax(dim=-1)], dim=1)
            if (words[:, 1:] == EOS_ID).any(dim=1).all():
                break
        return words[:, 1:]

    def _image_features(self, rows: Rows) -> tuple[Tensor, Tensor]:
        x, per_digit = rows.pixels, SIDE
        for convolution in self.convolutions:
            per_digit //= 2
            mask = torch.arange(MAX_DIGITS * per_digit) < per_digit * rows.lengths[:, None]
            x = nn.functional.gelu(convolution(x)) * mask[:, None]  # the next sees no padding
        return x.transpose(1, 2), mask

    def _run(
        self, features: Tensor, mask: Tensor, view: str, target: Tensor, num_passes: int
    ) -> list[Pass]:
        """All passes as one batch of P * B rows."""
        if num_passes == 0:
            return []
        mask = mask.repeat(num_passes, 1)
        states = self._encode(features.repeat(num_passes, 1, 1), mask, view)
        start = torch.full((len(target), 1), EOS_ID)
        words = torch.cat([start, target[:, :-1]], dim=1).repeat(num_passes, 1)
        decoded = self._decode(states, mask, words)
        parts = (self.output(decoded), decoded, states, mask)
        by_pass = zip(*(x.chunk(num_passes) for x in parts), strict=True)
        return [Pass(*outputs) for outputs in by_pass]

    def _encode(self, features: Tensor, mask: Tensor, view: str) -> Tensor:
        features = self._placed(features, view)
        states: Tensor = self.encoders[view](features, src_key_padding_mask=~mask)
        return states

    def _decode(self, states: Tensor, mask: Tensor, words: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(
            self._placed(self.word_embedding(words), "words"),
            states,
            tgt_mask=torch.ones(2 * words.shape[1:], dtype=torch.bool).triu(1),
            tgt_is_causal=True,
            memory_key_padding_mask=~mask,
        )
        return decoded

    def _placed(self, features: Tensor, sequence: str) -> Tensor:
        places = self.positions[sequence](torch.arange(features.shape[1]))
        placed: Tensor = self.dropout(features + places)
        return placed
