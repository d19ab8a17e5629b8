"""Which parameters each optimiser gets, and what Muon does to them."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from horizon_st.training import optimizers
from horizon_st.training.optimizers import hidden_matrices, make_optimizers
from horizon_st.training.parts import build_parts, read_corpus
from horizon_st.training.recipe import StageConfig

SETTINGS = {"max_steps": 10, "warmup_steps": 0, "average": 1, "validate_every_steps": 1}
WITH_LAYERS = (
    "model.speech_encoder.layers=1",
    "model.speech_encoder.d_model=16",
    "model.speech_encoder.num_heads=2",
    "model.ctc.position=speech_encoder",
)


@pytest.fixture
def translator(make_recipe):
    recipe = make_recipe(*WITH_LAYERS)
    return build_parts(recipe, read_corpus(recipe)).translator


def test_muon_gets_the_matrices_inside_the_layers(translator):
    translator.text_model.model.encoder.layers[0].fc1.weight.requires_grad = False
    names = {id(parameter): name for name, parameter in translator.named_parameters()}
    found = {names[id(matrix)] for matrix in hidden_matrices(translator)}
    expected = {
        name
        for name, parameter in translator.named_parameters()
        if parameter.ndim == 2
        and ("_proj" in name or ".fc" in name)
        and name != "text_model.model.encoder.layers.0.fc1.weight"
    }
    assert found == expected
    assert any(name.startswith("speech_encoder") for name in found)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_trained_parameter_has_one_optimiser(translator, name):
    translator.ctc_head.weight.requires_grad = False
    config = StageConfig(optimizer=name, learning_rate=0.3, weight_decay=0.2, **SETTINGS)
    optimizers = make_optimizers(translator, config)
    assert [type(each).__name__ for each in optimizers] == ["AdamW", "Muon"][: 1 + (name == "muon")]
    groups = [group for each in optimizers for group in each.param_groups]
    given = [id(parameter) for group in groups for parameter in group["params"]]
    trained = [id(p) for p in translator.parameters() if p.requires_grad]
    assert sorted(given) == sorted(trained)
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(0.3, 0.2)}


@pytest.mark.parametrize("shape", [(32, 8), (8, 32)])
@pytest.mark.parametrize("has_bf16", [True, False])
def test_a_step_of_muon_is_the_gradient_with_equal_singular_values(shape, has_bf16, monkeypatch):
    monkeypatch.setattr(optimizers, "cpu_has_fast_bf16", lambda: has_bf16)
    torch.manual_seed(0)
    layer = nn.Linear(*shape, bias=False)
    before = layer.weight.detach().clone()
    config = StageConfig(optimizer="muon", learning_rate=0.1, weight_decay=0.0, **SETTINGS)
    [adam, muon] = make_optimizers(nn.Sequential(layer, nn.LayerNorm(shape[1])), config)
    gradient = torch.randn_like(before)
    layer.weight.grad = gradient.clone()
    adam.step()
    assert torch.equal(layer.weight, before)
    muon.step()
    assert torch.equal(layer.weight.grad, gradient)
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    update = (before - layer.weight).detach() / (0.1 * 0.2 * 32**0.5)
    sizes = torch.diag(u.T @ update @ v.T)
    assert sizes.min() > 0.5
    assert sizes.max() < 1.3
    assert (u.T @ update @ v.T - torch.diag(sizes)).abs().max() < 0.1


def test_muon_computes_in_bf16_only_where_the_processor_does(monkeypatch):
    layer = nn.Linear(8, 8, bias=False)
    config = StageConfig(optimizer="muon", learning_rate=0.1, **SETTINGS)
    _, muon = make_optimizers(nn.Sequential(layer, nn.LayerNorm(8)), config)
    layer.weight.grad = torch.randn(8, 8)
    for has_bf16, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(optimizers, "cpu_has_fast_bf16", lambda found=has_bf16: found)
        with Multiplied() as multiplied:
            muon.step()
        assert multiplied.types == {expected}


class Multiplied(TorchDispatchMode):
    """Notes the types of what is multiplied."""

    def __init__(self):
        super().__init__()
        self.types = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.addmm.default:
            self.types |= {arg.dtype for arg in args}
        return func(*args, **(kwargs or {}))
