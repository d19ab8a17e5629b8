"""Attention of all beams of an utterance to one copy of the keys of its encoder states.

transformers' decoders attend with as many rows of keys as of queries. Here the beams of an
utterance stand side by side as the queries of one row, which reads every key once for all of them.

Legend: B utterances, BH their beams, A heads, T encoder states, D width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from horizon_st.model.translator import SpeechTranslatorModel

_NAME = "sdpa_shared_keys"


@contextmanager
def shared_keys(model: SpeechTranslatorModel) -> Iterator[bool]:
    """Whether meanwhile the decoder attends with fewer rows of keys than of queries.

    It does where its attention is PyTorch's.
    """
    config = model.text_model.get_decoder().config
    before = config._attn_implementation
    can_share = before is not None and before.startswith("sdpa")
    if can_share:
        config._attn_implementation = _NAME
    try:
        yield can_share
    finally:
        config._attn_implementation = before


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    num_utterances = key.shape[0]  # not `len`, which a traced graph would keep as it is now
    if query.shape[0] == num_utterances:
        output, weights = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return output, weights
    beams = query.squeeze(2).unflatten(0, (num_utterances, -1)).transpose(1, 2)  # [B, A, H, D]
    output, weights = sdpa_attention_forward(
        module, beams, key, value, attention_mask, **(options | {"is_causal": False})
    )
    return output.flatten(0, 1)[:, None], weights  # [BH, 1, A, D]


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)
