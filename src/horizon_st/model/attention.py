"""Attention without dropout in fp32 inside a bf16 model, for CPUs.

PyTorch's attention has a bf16 kernel for CPUs whose gradient is several times slower than that of
the fp32 one, and that outweighs what the bf16 matrix products around it gain. With dropout it has
no kernel of its own, and bf16 is as fast as elsewhere.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "sdpa_float32"


def use_float32_attention(model: PreTrainedModel) -> None:
    """Has all sub-models that use PyTorch's attention compute it in fp32 under autocast.

    Where attention drops probabilities it stays in bf16.
    """
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and module.config._attn_implementation == "sdpa":
            module.config._attn_implementation = _NAME


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    if dropout > 0:
        output, weights = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, **options
        )
        return output, weights
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    with torch.autocast(query.device.type, enabled=False):
        output, weights = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), attention_mask, **options
        )
    return output.to(query.dtype), weights


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)
