"""A tokenizer of transformers -> a file with which `tokenizers` alone turns tokens into text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from horizon_st.data.text import vocabulary_size
from horizon_st.errors import UserError
from horizon_st.inference.onnx.folder import TOKENIZER_FILE

_SPACE = "▁"
"""Begins the pieces that begin a word."""

_NUM_SENTENCES, _MOST_TOKENS = 200, 12


def write_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes a tokenizer whose text is that of the given one.

    Raises:
        UserError: it is not.
    """
    written = (
        tokenizer.backend_tokenizer
        if isinstance(tokenizer, PreTrainedTokenizerFast)
        else _from_pieces(tokenizer)
    )
    _compare(tokenizer, written)
    written.save(str(folder / TOKENIZER_FILE))


def _from_pieces(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """One that knows the pieces of a sentencepiece model, and how they make words."""
    pieces = tokenizer.convert_ids_to_tokens([*range(vocabulary_size(tokenizer))])
    vocabulary = {piece: number for number, piece in enumerate(pieces) if piece is not None}
    written = Tokenizer(WordLevel(vocabulary, unk_token=str(tokenizer.unk_token)))
    # Special tokens, and control pieces that the tokenizer does not call so.
    silent = [
        piece
        for piece, number in vocabulary.items()
        if piece.strip(_SPACE) and not tokenizer.decode([number], skip_special_tokens=True)
    ]
    written.add_special_tokens([AddedToken(piece, special=True) for piece in silent])
    written.decoder = decoders.Metaspace(prepend_scheme="always")
    return written


def _compare(tokenizer: PreTrainedTokenizerBase, written: Tokenizer) -> None:
    rng = np.random.default_rng(0)
    size = vocabulary_size(tokenizer)
    for _ in range(_NUM_SENTENCES):
        tokens = rng.integers(size, size=int(rng.integers(1, _MOST_TOKENS))).tolist()
        expected = str(tokenizer.decode(tokens, skip_special_tokens=True)).strip()
        found = written.decode(tokens, skip_special_tokens=True).strip()
        if found != expected:
            raise UserError(
                f"tokenizer {type(tokenizer).__name__}",
                expected=f"{expected!r} of the tokens {tokens}",
                found=found,
                remedy="This tokenizer cannot be exported; translate with PyTorch.",
            )
