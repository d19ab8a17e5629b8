"""The attention of transformers' models, with the kernels that suit CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from horizon_st.model.piecewise_attention import piecewise_attention
from horizon_st.model.replaced_function import ReplacedFunction

_NAME = "sdpa_cpu"


def use_cpu_attention(model: PreTrainedModel) -> None:
    """Has all sub-models that use PyTorch's attention use the faster of two on CPUs.

    In training, with bf16 or dropout, that is `piecewise_attention`: PyTorch's kernel has a bf16
    gradient several times slower than the fp32 one, and none for dropout. Without gradients, and
    where a mask is learnt, it is PyTorch's in fp32.
    """
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and module.config._attn_implementation == "sdpa":
            module.config._attn_implementation = _NAME


def _attention(module: nn.Module, *args: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
    with ReplacedFunction(nn.functional.scaled_dot_product_attention, _attend):
        output, weights = sdpa_attention_forward(module, *args, **options)
    return output, weights


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    is_learnt = attn_mask is not None and attn_mask.requires_grad
    is_exact = query.dtype == torch.float32 and dropout_p == 0
    is_plain = query.device.type == "cpu" and not enable_gqa and dropout_p < 1
    with torch.autocast(query.device.type, enabled=False):
        if torch.is_grad_enabled() and is_plain and not is_learnt and not is_exact:
            return piecewise_attention(query, key, value, attn_mask, dropout_p, is_causal, scale)
        if attn_mask is not None and attn_mask.is_floating_point():
            attn_mask = attn_mask.float()
        attended = nn.functional.scaled_dot_product_attention(
            query.float(),
            key.float(),
            value.float(),
            attn_mask,
            dropout_p,
            is_causal,
            scale=scale,
            enable_gqa=enable_gqa,
        )
    return attended.to(query.dtype)


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)
