"""Several passes of both modalities over one batch, as the objective asks for them.

Legend: B utterances, P passes, PB their product, S transcript tokens, L target tokens.
"""

from __future__ import annotations

from itertools import zip_longest

import torch
from jaxtyping import Int
from torch import Tensor

from horizon_st.model.outputs import Encoded, PassOutput
from horizon_st.model.translator import SpeechTranslatorModel


def run_passes(
    translator: SpeechTranslatorModel,
    *,
    speech: Tensor | None,
    speech_lengths: Int[Tensor, " B"] | None,
    transcript: Int[Tensor, "B S"],
    target: Int[Tensor, "B L"],
    num_speech: int,
    num_text: int,
    share_speech_encoder: bool = False,
    train_speech_encoder: bool = True,
    ctc: bool = False,
    gold_share: float = 1.0,
) -> tuple[list[PassOutput], list[PassOutput]]:
    """Speech passes and text passes over one batch; they differ by their dropout alone.

    Passes of one modality run as one batch of ``num * B`` rows. With `share_speech_encoder`
    the speech passes differ from the shared encoder on only; without `train_speech_encoder` no
    gradient reaches the speech encoder. With `ctc` the CTC head scores the speech passes; where
    they share what it reads, the first of them alone. With a `gold_share` below 1 the decoder of
    each pass reads each word of the reference with this probability, and else one that it has drawn
    itself at that place (scheduled sampling); that takes one more run of the decoder.
    """
    prefixes = translator.shift_right(target)
    speech_passes: list[PassOutput] = []
    if num_speech:
        assert speech is not None
        assert speech_lengths is not None
        encoded = translator.encode_speech(
            speech,
            speech_lengths,
            num_speech,
            share_speech_encoder=share_speech_encoder,
            train_speech_encoder=train_speech_encoder,
        )
        speech_passes = _decode_passes(
            translator, encoded, prefixes, num_speech, ctc=ctc, gold_share=gold_share
        )
    text_passes: list[PassOutput] = []
    if num_text:
        encoded = translator.encode_text(transcript, num_passes=num_text)
        text_passes = _decode_passes(translator, encoded, prefixes, num_text, gold_share=gold_share)
    return speech_passes, text_passes


def _decode_passes(
    translator: SpeechTranslatorModel,
    encoded: Encoded,
    prefixes: Int[Tensor, "B L"],
    num_passes: int,
    *,
    ctc: bool = False,
    gold_share: float,
) -> list[PassOutput]:
    read = prefixes.repeat(num_passes, 1)
    if gold_share < 1:
        read = _with_own_words(translator, encoded, read, gold_share)
    decoded = translator.decode(encoded, read)
    parts = (decoded.logits, decoded.states, encoded.states, encoded.mask)
    by_pass = zip(*(x.chunk(num_passes) for x in parts), strict=True)
    scores = _ctc_scores(translator, encoded, len(prefixes)) if ctc else []
    pairs = zip_longest(by_pass, scores, fillvalue=(None, None))
    return [PassOutput(*outputs, *of_ctc) for outputs, of_ctc in pairs]


def _with_own_words(
    translator: SpeechTranslatorModel,
    encoded: Encoded,
    prefixes: Int[Tensor, "PB L"],
    gold_share: float,
) -> Int[Tensor, "PB L"]:
    """The prefixes with some words replaced by draws from what the decoder says at their places.

    Source: Zhang et al. 2019 (arXiv 1906.02448), section 3.2: the largest score after Gumbel noise
    is a draw from the softmax.
    """
    # With gradients, which are dropped: autocast would keep the weights that it casts without them.
    scores = translator.decode(encoded, prefixes).logits.detach().float()
    noise = -torch.empty_like(scores).exponential_().log()
    drawn = (scores + noise).argmax(dim=-1)
    own = torch.cat([prefixes[:, :1], drawn[:, :-1]], dim=1)
    is_gold = torch.rand(prefixes.shape, device=prefixes.device) < gold_share
    is_padding = prefixes == translator.config.pad_token_id
    return torch.where(is_gold | is_padding, prefixes, own)


def _ctc_scores(
    translator: SpeechTranslatorModel, encoded: Encoded, num_utterances: int
) -> list[tuple[Tensor, Tensor]]:
    """Logits and masks of each pass, or of all of them in one."""
    assert translator.ctc_head is not None, "CTC needs a model built with ctc=True"
    assert encoded.ctc_mask is not None
    logits = translator.ctc_head(encoded.ctc_states)
    parts = (x.split(num_utterances) for x in (logits, encoded.ctc_mask))
    return list(zip(*parts, strict=True))
