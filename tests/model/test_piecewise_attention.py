"""Piecewise attention against PyTorch's, and its dropout against the masks that it drew."""

import pytest
import torch
from scipy import stats
from torch import nn

from horizon_st.model import piecewise_attention as module
from horizon_st.model.piecewise_attention import piecewise_attention


def attend(query, key, value, mask, dropout, *, seed=0, **options):
    torch.manual_seed(seed)
    return piecewise_attention(query, key, value, mask, dropout, **options)


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
    monkeypatch.setattr(module, "_SCORES_PER_PIECE", scores_per_piece)
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


@pytest.mark.parametrize("mask", MASKS)
def test_without_dropout_it_is_that_of_pytorch(mask):
    heads = make_heads(dtype=torch.float32)
    mask, options = MASKS[mask]()
    weights = torch.rand(3, 2, 5, 4)
    expected = nn.functional.scaled_dot_product_attention(*heads, mask, **options)
    found = attend(*heads, mask, 0.0, **options)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), heads),
        torch.autograd.grad((expected * weights).sum(), heads),
    )


def test_it_keeps_no_probabilities():
    def most_saved_elements(attention):
        heads = make_heads(num_queries=64, num_keys=64, dtype=torch.float32)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: sizes.append(x.numel()) or x, lambda x: x
        ):
            attention(*heads, None, 0.1)
        return max(sizes)

    assert most_saved_elements(nn.functional.scaled_dot_product_attention) >= 3 * 2 * 64 * 64
    assert most_saved_elements(piecewise_attention) == 3 * 2 * 64 * 4
