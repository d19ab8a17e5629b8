"""Properties of the terms: symmetry, zero, bounds, additivity, indifference to padding."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, rel_entr, softmax

from horizon_st.objective.terms import (
    connectionist_temporal,
    cross_entropy,
    ctc_states_needed,
    is_alignable,
    jensen_shannon,
    kl_divergence,
    mean_squared_error,
    pooled_mean_squared_error,
    renyi,
    symmetric_kl,
)

PAD = 1
RENYI = partial(renyi, order=0.5)
DISTANCES = [symmetric_kl, jensen_shannon, kl_divergence, mean_squared_error, RENYI]


@st.composite
def batches(draw):
    """Two passes of logits and a target with random padding."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(draw(st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(3, 9))))
    scale = draw(st.sampled_from([0.1, 1.0, 20.0]))
    p, q = (torch.tensor(rng.normal(0, scale, shape)) for _ in range(2))
    target = torch.tensor(rng.integers(0, shape[2], shape[:2]))
    return p, q, target


@settings(deadline=None, max_examples=40)
@given(batches())
def test_distances_are_not_negative_and_zero_on_equal_passes(batch):
    p, q, target = batch
    for distance in DISTANCES:
        assert distance(p, q, target != PAD)[0] >= 0
        assert distance(p, p, target != PAD)[0].abs() < 1e-12


@settings(deadline=None, max_examples=40)
@given(batches())
def test_symmetric_distances_are_symmetric_and_bounded(batch):
    p, q, target = batch
    is_target = target != PAD
    for distance in (symmetric_kl, jensen_shannon, mean_squared_error, RENYI):
        assert torch.allclose(distance(p, q, is_target)[0], distance(q, p, is_target)[0])
    js, count = jensen_shannon(p, q, is_target)
    assert js <= math.log(2) * count + 1e-9
    mean_of_both = (kl_divergence(p, q, is_target)[0] + kl_divergence(q, p, is_target)[0]) / 2
    assert torch.allclose(symmetric_kl(p, q, is_target)[0], mean_of_both)


@settings(deadline=None, max_examples=40)
@given(batches(), st.integers(0, 2**16))
def test_padding_never_counts(batch, seed):
    p, q, target = batch
    is_pad = target == PAD
    noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)).double() * 1e3
    moved = torch.where(is_pad[..., None], p + noise, p).requires_grad_()
    for distance in DISTANCES:
        assert torch.equal(distance(p, q, ~is_pad)[0], distance(moved, q, ~is_pad)[0])
    total, count = cross_entropy(moved, target, label_smoothing=0.1, ignore_index=PAD)
    assert count == (~is_pad).sum()
    total.backward()
    assert (moved.grad[is_pad] == 0).all()


@settings(deadline=None, max_examples=40)
@given(batches())
def test_terms_add_up_over_micro_batches(batch):
    p, q, target = batch
    whole = [*(d(p, q, target != PAD) for d in DISTANCES), cross_entropy(p, target, ignore_index=0)]
    parts = [
        [*(d(a, b, t != PAD) for d in DISTANCES), cross_entropy(a, t, ignore_index=0)]
        for a, b, t in zip(p.split(1), q.split(1), target.split(1), strict=True)
    ]
    for i, (total, count) in enumerate(whole):
        assert torch.allclose(total, sum(part[i][0] for part in parts))
        assert count == sum(part[i][1] for part in parts)


def test_distances_agree_with_scipy():
    rng = np.random.default_rng(0)
    p, q = rng.normal(0, 3, (2, 5, 11))
    probs_p, probs_q = softmax(p, axis=-1), softmax(q, axis=-1)
    expected = {
        kl_divergence: rel_entr(probs_p, probs_q).sum(),
        symmetric_kl: (rel_entr(probs_p, probs_q) + rel_entr(probs_q, probs_p)).sum() / 2,
        jensen_shannon: (jensenshannon(probs_p, probs_q, axis=-1) ** 2).sum(),
        mean_squared_error: ((p - q) ** 2).mean(axis=-1).sum(),
        RENYI: -2 * np.log(np.sqrt(probs_p * probs_q).sum(axis=-1)).sum(),
        partial(renyi, order=2.0): (
            np.log((probs_p**2 / probs_q).sum(axis=-1))
            + np.log((probs_q**2 / probs_p).sum(axis=-1))
        ).sum()
        / 2,
        partial(renyi, order=1 + 1e-7): (
            rel_entr(probs_p, probs_q) + rel_entr(probs_q, probs_p)
        ).sum()
        / 2,
    }
    is_target = torch.ones(1, 5, dtype=torch.bool)
    for distance, value in expected.items():
        total, count = distance(torch.tensor(p)[None], torch.tensor(q)[None], is_target)
        is_limit = isinstance(distance, partial) and distance.keywords["order"] not in (0.5, 2.0)
        assert total.item() == pytest.approx(value, rel=1e-5 if is_limit else 1e-9)
        assert count == 5


def test_pytorchs_smoothing_agrees_when_converted():
    torch.manual_seed(0)
    logits, target, eps = torch.randn(2, 5, 7), torch.randint(2, 7, (2, 5)), 0.3
    total, _ = cross_entropy(logits, target, label_smoothing=eps, ignore_index=PAD)
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), target.flatten(), label_smoothing=eps * 7 / 6, reduction="sum"
    )
    assert torch.allclose(total, expected)


def test_half_precision_is_computed_in_float32():
    torch.manual_seed(0)
    p, q = torch.randn(1, 3, 500).bfloat16(), torch.randn(1, 3, 500).bfloat16()
    is_target = torch.ones(1, 3, dtype=torch.bool)
    for distance in DISTANCES:
        total, _ = distance(p, q, is_target)
        assert total.dtype == torch.float32
        assert torch.allclose(total, distance(p.float(), q.float(), is_target)[0])


def test_pooled_error_compares_averages_of_real_states():
    p, q = torch.randn(2, 5, 3).double(), torch.randn(2, 4, 3).double()
    mask_p = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    mask_q = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    is_target = torch.tensor([[1, 1, 1], [1, 0, 0]]).bool()
    total, count = pooled_mean_squared_error(p, mask_p, q, mask_q, is_target)
    first = ((p[0, :3].mean(0) - q[0, :2].mean(0)) ** 2).mean()
    second = ((p[1].mean(0) - q[1, :3].mean(0)) ** 2).mean()
    assert torch.allclose(total, 3 * first + second)
    assert count == 4


def ctc_by_enumeration(log_p, labels, blank):
    """Negative log of the summed probability of all paths that collapse to the labels."""
    total = 0.0
    for path in itertools.product(range(log_p.shape[1]), repeat=log_p.shape[0]):
        collapsed = [s for s, _ in itertools.groupby(path) if s != blank]
        if collapsed == labels:
            total += math.exp(sum(log_p[t, s] for t, s in enumerate(path)))
    return -math.log(total)


def test_ctc_aligns_with_just_the_states_that_are_needed():
    rows = [[3, 2], [3, 3, 2], [3, 4, 3, 2], [3, 3, 3, 4, 4, 2], [2], []]
    transcript = torch.tensor([row + [PAD] * (6 - len(row)) for row in rows])
    needed = ctc_states_needed(transcript, blank=PAD)
    assert needed.tolist() == [1, 3, 3, 8, 0, 0]
    for missing, expected in ((0, 4), (1, 0)):
        mask = torch.arange(8)[None] < (needed - missing)[:, None]
        _, count = connectionist_temporal(torch.zeros(6, 8, 5), mask, transcript, blank=PAD)
        assert count == expected
        fits = is_alignable(transcript, mask.sum(dim=1), blank=PAD)
        assert fits.tolist() == [expected > 0] * 4 + [False] * 2


def test_ctc_counts_by_length_and_not_by_loss():
    """A certain transcript has no loss but counts, and so does one whose scores are not numbers."""
    transcript = torch.tensor([[3, 2], [4, 2], [3, 3]]).where(
        torch.tensor([[1], [1], [0]]) > 0, PAD
    )
    mask = torch.ones(3, 1, dtype=torch.bool)
    scores = torch.full((3, 1, 5), -1e4)
    scores[0, 0, 3] = scores[1, 0, 4] = 0.0
    total, count = connectionist_temporal(scores, mask, transcript, blank=PAD)
    assert (total.item(), count.item()) == (0.0, 2)
    scores[1] = math.nan
    total, count = connectionist_temporal(scores, mask, transcript, blank=PAD)
    assert math.isnan(total)
    assert count == 2


def test_ctc_agrees_with_enumeration():
    """Row 2 has no transcript; row 3 has two frames for a repeated token, which needs three."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1, (4, 4, 5))
    num_frames = [4, 3, 4, 2]
    transcript = [[3, 3, 2], [4, 2, PAD], [PAD, PAD, PAD], [3, 3, 2]]
    mask = torch.arange(4)[None] < torch.tensor(num_frames)[:, None]
    x = torch.tensor(logits, requires_grad=True)
    total, count = connectionist_temporal(x, mask, torch.tensor(transcript), blank=PAD)
    expected = sum(
        ctc_by_enumeration(log_softmax(logits[b, : num_frames[b]], axis=-1), labels, PAD)
        for b, labels in enumerate([[3, 3], [4]])
    )
    assert total.item() == pytest.approx(expected, rel=1e-9)
    assert count == 2
    total.backward()
    assert x.grad.isfinite().all()
    assert (x.grad[2:] == 0).all()
