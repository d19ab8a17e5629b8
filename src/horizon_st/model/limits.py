"""What is too long for a model, and whose it is.

Legend: B utterances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from horizon_st.data.collate import Batch
from horizon_st.errors import UserError
from horizon_st.model.translator import SpeechTranslatorModel

_NUM_NAMED = 3
_SPLIT = "split or remove such utterances (`horizon-st validate` shows their lengths)"
_RAISE = "Raise model.text_model.max_positions of a fresh text model to {longest}, or {split}"
_AGAIN = "What has trained already needs another --out then."


def check_speech(
    model: SpeechTranslatorModel, ids: Sequence[str], lengths: Int[Tensor, " B"]
) -> None:
    """Nothing, when the model can take speech of these lengths, in frames or samples.

    Raises:
        UserError: it cannot; the message names the utterances, the longest first.
    """
    for counts, limit, unit, remedy in _speech_limits(model, lengths):
        _refuse_longer([f"utterance {name}" for name in ids], counts, limit, unit, remedy)


def can_take(model: SpeechTranslatorModel, length: int) -> bool:
    """Whether the model can take speech of this length, in frames or samples."""
    return all(
        int(counts) <= limit for counts, limit, *_ in _speech_limits(model, torch.tensor([length]))
    )


def check_batch(
    model: SpeechTranslatorModel, batch: Batch, *, num_speech: int, num_text: int
) -> None:
    """Nothing, when the model can make so many passes over the speech and the text of a batch.

    Raises:
        UserError: it cannot; the message names the utterances or text pairs, the longest first.
    """
    if num_speech and batch.speech is not None and batch.speech_lengths is not None:
        padded = torch.tensor([batch.speech.shape[1]])  # known without waiting for the device
        if any(int(counts) > limit for counts, limit, *_ in _speech_limits(model, padded)):
            check_speech(model, batch.ids, batch.speech_lengths)
    if model.max_positions is None:
        return
    sides = {"translation": batch.target} | ({"transcript": batch.transcript} if num_text else {})
    for side, tokens in sides.items():
        if tokens.shape[1] > model.max_positions:
            _refuse_longer(
                [f"{side} of {name}" for name in batch.ids],
                (tokens != model.config.pad_token_id).sum(dim=1),
                model.max_positions,
                "tokens, the positions of the text model",
                _RAISE,
            )


def _speech_limits(
    model: SpeechTranslatorModel, lengths: Int[Tensor, " B"]
) -> Iterator[tuple[Tensor, int, str, str]]:
    """What is counted in each utterance, the most there may be of it, its name and a remedy."""
    window = model.speech_encoder.window_frames
    if window is not None:
        yield lengths, window, "frames, the window of the speech encoder", "Please {split}"
    if model.max_positions is not None:
        yield (
            model.num_states(lengths),
            model.max_positions,
            "states after subsampling, the positions of the text model",
            _RAISE,
        )


def _refuse_longer(
    names: Sequence[str], counts: Int[Tensor, " B"], limit: int, unit: str, remedy: str
) -> None:
    excess = sorted(
        ((count, name) for count, name in zip(counts.tolist(), names, strict=True)), reverse=True
    )
    too_long = [(count, name) for count, name in excess if count > limit]
    if not too_long:
        return
    longest, name = too_long[0]
    others = [name for _, name in too_long[1:]]
    more = f"; too long are also {', '.join(others[:_NUM_NAMED])}" if others else ""
    if len(others) > _NUM_NAMED:
        more += f" and {len(others) - _NUM_NAMED} more"
    raise UserError(
        name,
        expected=f"at most {limit} {unit}",
        found=f"{longest}{more}",
        remedy=f"{remedy.format(longest=longest, split=_SPLIT)}. {_AGAIN}",
    )
