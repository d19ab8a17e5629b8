"""Dropout that draws several elements at a time: the distribution, the gradient, and its use."""

import pytest
import torch
from scipy import stats
from torch import nn
from torch.profiler import profile

from horizon_st.training.dropout import FastDropout


def dropped(size, p, seed=0):
    torch.manual_seed(seed)
    with FastDropout():
        return nn.functional.dropout(torch.ones(size), p, training=True) == 0


@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.5, 0.9])
def test_the_number_of_dropped_elements_is_binomial(p):
    is_dropped = dropped(200_001, p)
    assert stats.binomtest(int(is_dropped.sum()), len(is_dropped), p).pvalue > 1e-3


def test_neighbouring_elements_are_independent():
    is_dropped = dropped(400_000, 0.5).view(-1, 4)  # one draw serves four
    patterns = (is_dropped * torch.tensor([1, 2, 4, 8])).sum(dim=1)
    assert stats.chisquare(patterns.bincount(minlength=16).numpy()).pvalue > 1e-3


def test_kept_elements_and_gradients_are_scaled_by_the_same_mask():
    x = torch.rand(7, 31, dtype=torch.bfloat16).add(0.5).requires_grad_()
    with FastDropout():
        y = nn.Dropout(0.25)(x)
    y.sum().backward()
    scale = torch.where(y == 0, 0.0, 4 / 3).to(torch.bfloat16)
    assert 0 < int((y == 0).sum()) < x.numel()
    assert torch.equal(y, x.detach() * scale)
    assert torch.equal(x.grad, scale)


def test_the_seed_decides():
    assert torch.equal(dropped(1000, 0.5, seed=3), dropped(1000, 0.5, seed=3))
    assert not torch.equal(dropped(1000, 0.5, seed=3), dropped(1000, 0.5, seed=4))


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.4, False)])
def test_nothing_is_dropped_without_need(p, training):
    x = torch.rand(100)
    with FastDropout():
        assert torch.equal(nn.functional.dropout(x, p, training), x)


def test_everything_is_dropped_at_1():
    with FastDropout():
        assert nn.functional.dropout(torch.ones(100), 1.0).count_nonzero() == 0


def test_pytorch_draws_by_itself_outside():
    with FastDropout():
        pass
    with profile() as found:
        nn.functional.dropout(torch.ones(100), 0.5)
    assert "aten::bernoulli_" in {event.key for event in found.key_averages()}
