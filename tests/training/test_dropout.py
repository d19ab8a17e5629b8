"""Dropout that draws several elements at a time: the distribution, the gradient, and its use."""

from contextlib import nullcontext

import pytest
import torch
from scipy import stats
from torch import nn
from torch.profiler import profile

from horizon_st.training import dropout
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


def attend(query, key, value, mask, p, *, seed=0, fast=True, **options):
    torch.manual_seed(seed)
    with FastDropout() if fast else nullcontext():
        return nn.functional.scaled_dot_product_attention(query, key, value, mask, p, **options)


def make_heads(num_rows=3, num_heads=2, num_queries=5, num_keys=7, width=4, dtype=torch.float64):
    torch.manual_seed(1)
    shapes = [(num_rows, num, num_heads, width) for num in (num_queries, num_keys, num_keys)]
    # Attention sees heads as transposed views.
    return [torch.randn(s, dtype=dtype).transpose(1, 2).requires_grad_() for s in shapes]


def key_mask(num_rows=3, num_queries=5, num_keys=7):
    lengths = torch.tensor([num_keys, 3, 1])[:num_rows]
    is_key = torch.arange(num_keys) < lengths[:, None]
    return is_key[:, None, None].expand(-1, 1, num_queries, -1)


MASKS = {
    "none": lambda: (None, {}),
    "boolean": lambda: (key_mask(), {}),
    "additive": lambda: (torch.zeros(5, 7).masked_fill(~key_mask()[1, 0], -torch.inf), {}),
    "causal": lambda: (None, {"is_causal": True}),
    "scaled": lambda: (None, {"scale": 0.3}),
}


@pytest.mark.parametrize("scores_per_piece", [1, 2 * 5 * 7, 2**19])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_drops_probabilities_and_scales_the_rest(mask, scores_per_piece, monkeypatch):
    monkeypatch.setattr(dropout, "_SCORES_PER_PIECE", scores_per_piece)
    query, key, value = make_heads()
    mask, options = MASKS[mask]()
    identity = torch.eye(7, dtype=torch.float64).expand(3, 2, 7, 7)
    kept = attend(query, key, identity, mask, 0.4, **options).detach()
    exact = attend(query, key, identity, mask, 0.0, **options)
    is_kept = kept > 0
    assert 0 < int(is_kept.sum()) < int((exact > 0).sum())
    torch.testing.assert_close(kept, (exact * is_kept / 0.6).detach(), atol=1e-6, rtol=1e-5)

    weights = torch.rand(3, 2, 5, 4, dtype=torch.float64)
    expected = exact * is_kept / 0.6 @ value
    expected_gradients = torch.autograd.grad((expected * weights).sum(), (query, key, value))
    found = attend(query, key, value, mask, 0.4, **options)
    gradients = torch.autograd.grad((found * weights).sum(), (query, key, value))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(gradients, expected_gradients, atol=1e-5, rtol=1e-4)


def test_every_pair_of_positions_is_dropped_by_itself():
    query, key, _ = make_heads(num_rows=40, num_heads=4, num_queries=30, num_keys=30)
    identity = torch.eye(30, dtype=torch.float64).expand(40, 4, 30, 30)
    is_dropped = attend(query, key, identity, None, 0.25) == 0
    assert stats.binomtest(int(is_dropped.sum()), is_dropped.numel(), 0.25).pvalue > 1e-3
    heads = is_dropped[:, 0] & is_dropped[:, 1]
    assert stats.binomtest(int(heads.sum()), heads.numel(), 0.25**2).pvalue > 1e-3


def test_attention_to_nothing_is_nothing():
    query, key, value = make_heads()
    mask = key_mask().clone()
    mask[2] = False
    found = attend(query, key, value, mask, 0.4)
    found.sum().backward()
    assert found[2].count_nonzero() == 0
    assert all(x.grad.isfinite().all() for x in (query, key, value))


def test_bf16_attention_is_close_to_the_exact_one():
    exact = [x.detach().float().requires_grad_() for x in make_heads(num_queries=50, num_keys=50)]
    short = [x.detach().bfloat16().requires_grad_() for x in exact]
    outputs = [attend(*heads, None, 0.3) for heads in (exact, short)]
    for output in outputs:
        output.float().square().sum().backward()
    assert outputs[1].dtype == torch.bfloat16
    for long, half in zip(
        [outputs[0], *(x.grad for x in exact)],
        [outputs[1], *(x.grad for x in short)],
        strict=True,
    ):
        assert (long - half.float()).abs().max() < 0.03 * long.abs().max()


def test_a_mask_that_learns_keeps_its_gradient():
    query, key, value = make_heads(dtype=torch.float32)
    bias = torch.zeros(1, 2, 5, 7, requires_grad=True)
    attend(query, key, value, bias, 0.4).sum().backward()
    assert bias.grad.count_nonzero() > 0


def test_attention_keeps_no_probabilities():
    def saved_elements(*, fast):
        query, key, value = make_heads(num_queries=64, num_keys=64, dtype=torch.float32)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: sizes.append(x.numel()) or x, lambda x: x
        ):
            attend(query, key, value, None, 0.1, fast=fast)
        return max(sizes)

    assert saved_elements(fast=False) >= 3 * 2 * 64 * 64
    assert saved_elements(fast=True) == 3 * 2 * 64 * 4
