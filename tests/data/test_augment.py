"""SpecAugment by the bounds of the paper; randomness by (seed, epoch, utterance) alone."""

import numpy as np
import pytest
import torch

from horizon_st.data.augment import AugmentConfig, draw_speed, mask_spectrum, utterance_rng
from horizon_st.errors import UserError


def masked(config, seed=1, epoch=0, name="utt", num_frames=300, num_bins=80):
    ones = torch.ones(num_frames, num_bins)
    result = mask_spectrum(ones, config, utterance_rng(seed, epoch, name))
    assert torch.equal(ones, torch.ones(num_frames, num_bins))
    return result


def widths(is_masked):
    """The lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_masked.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


def test_one_frequency_mask_has_every_width_up_to_the_widest():
    config = AugmentConfig(num_frequency_masks=1, frequency_mask_bins=7)
    seen = set()
    for epoch in range(200):
        result = masked(config, epoch=epoch, num_frames=5, num_bins=20)
        is_masked = (result == 0).all(dim=0)
        assert torch.equal((result == 0).any(dim=0), is_masked)
        found = widths(is_masked.numpy())
        assert len(found) <= 1
        seen.update(found or [0])
    assert seen == set(range(8))


@pytest.mark.parametrize(("num_frames", "longest"), [(50, 10), (1000, 30)])
def test_time_masks_are_bounded_in_frames_and_as_a_share(num_frames, longest):
    config = AugmentConfig(num_time_masks=1, time_mask_frames=30, time_mask_fraction=0.2)
    found = [0]
    for epoch in range(300):
        result = masked(config, epoch=epoch, num_frames=num_frames, num_bins=4)
        found += widths((result == 0).all(dim=1).numpy())
    assert max(found) == longest


def test_masks_reach_both_edges_and_several_are_drawn():
    config = AugmentConfig(num_frequency_masks=2, frequency_mask_bins=9, num_time_masks=2)
    results = torch.stack([masked(config, epoch=e, num_bins=20) for e in range(200)])
    share = (results == 0).float().mean(dim=0)
    assert share[:, [0, -1]].min() > 0.02
    assert share[[0, -1]].min() > 0.02
    bands = [len(widths((r == 0).all(dim=0).numpy())) for r in results]
    assert max(bands) == 2


def test_the_draw_depends_on_seed_epoch_and_utterance_only():
    config = AugmentConfig(num_frequency_masks=2, num_time_masks=2)
    first = masked(config, seed=3, epoch=4, name="a")
    np.random.default_rng(0).normal(size=10)
    torch.rand(5)
    assert torch.equal(first, masked(config, seed=3, epoch=4, name="a"))
    for other in ({"seed": 4}, {"epoch": 5}, {"name": "b"}):
        assert not torch.equal(
            first, masked(config, **({"seed": 3, "epoch": 4, "name": "a"} | other))
        )


def test_without_masks_nothing_changes():
    assert not AugmentConfig().masks_spectrum
    assert torch.equal(masked(AugmentConfig()), torch.ones(300, 80))


def test_speeds_are_drawn_evenly_over_epochs():
    config = AugmentConfig(speeds=[0.9, 1.0, 1.1])
    drawn = [draw_speed(config, utterance_rng(1, epoch, "utt")) for epoch in range(600)]
    for speed in config.speeds:
        assert 150 < drawn.count(speed) < 250


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speeds": []}, r"data\.augment\.speeds: expected at least one factor, each between"),
        ({"speeds": [1.0, 3.0]}, r"data\.augment\.speeds: .* found \[1\.0, 3\.0\]\. Use \[1\.0\]"),
        ({"speeds": [0.1]}, r"data\.augment\.speeds"),
        ({"speeds": [1.0, float("nan")]}, r"data\.augment\.speeds: .* found \[1\.0, nan\]"),
        ({"num_time_masks": -1}, r"data\.augment\.num_time_masks: expected 0 or more, found -1"),
        ({"frequency_mask_bins": -2}, r"data\.augment\.frequency_mask_bins: expected 0 or more"),
        ({"time_mask_fraction": 1.5}, r"time_mask_fraction: expected a share between 0 and 1"),
    ],
)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        AugmentConfig(**settings)
