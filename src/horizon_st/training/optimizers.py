"""A stage's settings -> the optimisers of a model's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from horizon_st.hardware import cpu_has_fast_bf16
from horizon_st.model.replaced_function import ReplacedFunction
from horizon_st.training.recipe import StageConfig

MOMENTUM = 0.95
"""Of Muon, as published."""


class Muon(torch.optim.Muon):
    """PyTorch's Muon, with products of fp32 on processors that have none of bf16.

    It makes singular values equal in bf16, always; where that is emulated, it takes far longer
    than all the rest of an update.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """As PyTorch's."""
        on_cpu = all(p.device.type == "cpu" for group in self.param_groups for p in group["params"])
        if not on_cpu or cpu_has_fast_bf16():
            return super().step(closure)
        with ReplacedFunction(Tensor.bfloat16, Tensor.clone):
            return super().step(closure)


def make_optimizers(module: nn.Module, config: StageConfig) -> list[torch.optim.Optimizer]:
    """AdamW for all trained parameters, or Muon for the matrices inside the layers beside it.

    Muon (Jordan 2024) makes the singular values of an update nearly equal. Its step is scaled to
    the size that AdamW's has (Liu et al. 2025, arXiv 2502.16982, section 2.2), so that one learning
    rate serves both.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    matrices = hidden_matrices(module) if config.optimizer == "muon" else []
    inside = {id(matrix) for matrix in matrices}
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [parameter for parameter in trained if id(parameter) not in inside],
            lr=config.learning_rate,
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
    ]
    if matrices:
        optimizers.append(
            Muon(
                matrices,
                lr=config.learning_rate,
                momentum=MOMENTUM,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return optimizers


def hidden_matrices(module: nn.Module) -> list[Tensor]:
    """The trained weights of linear layers, without those that give scores of symbols."""
    models = [model for model in module.modules() if isinstance(model, PreTrainedModel)]
    of_symbols = {
        id(layer)
        for model in models
        for layer in (model.get_output_embeddings(), getattr(model, "ctc_head", None))
    }
    return [
        layer.weight
        for layer in module.modules()
        if isinstance(layer, nn.Linear)
        and id(layer) not in of_symbols
        and layer.weight.requires_grad
    ]
