"""Augmentation whose randomness comes from (seed, epoch, utterance), so that resuming is exact."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from torch import Tensor

from horizon_st.errors import UserError


@dataclass
class AugmentConfig:
    """What is varied in the training audio."""

    speeds: list[float] = field(
        default_factory=lambda: [1.0],
        metadata={
            "help": "Speed factors, one drawn per utterance and epoch, e.g. [0.9, 1.0, 1.1]."
        },
    )
    num_frequency_masks: int = field(
        default=0, metadata={"help": "Masks per utterance (SpecAugment); 0 switches them off."}
    )
    frequency_mask_bins: int = field(default=27, metadata={"help": "Widest mask, in mel bins."})
    num_time_masks: int = field(
        default=0, metadata={"help": "Masks per utterance (SpecAugment); 0 switches them off."}
    )
    time_mask_frames: int = field(default=100, metadata={"help": "Longest mask, in frames."})
    time_mask_fraction: float = field(
        default=0.2, metadata={"help": "Longest mask as a share of the utterance."}
    )

    def __post_init__(self) -> None:
        if not self.speeds or not all(0.5 <= speed <= 2.0 for speed in self.speeds):
            raise UserError(
                "data.augment.speeds",
                expected="at least one factor, each between 0.5 and 2",
                found=self.speeds,
                remedy="Use [1.0] for no variation, [0.9, 1.0, 1.1] for the usual one.",
            )
        for name in (
            "num_frequency_masks",
            "frequency_mask_bins",
            "num_time_masks",
            "time_mask_frames",
        ):
            if getattr(self, name) < 0:
                raise UserError(
                    f"data.augment.{name}",
                    expected="0 or more",
                    found=getattr(self, name),
                    remedy="Use 0 for no masks.",
                )
        if not 0 <= self.time_mask_fraction <= 1:
            raise UserError(
                "data.augment.time_mask_fraction",
                expected="a share between 0 and 1",
                found=self.time_mask_fraction,
                remedy="Use 0.2 for masks of up to a fifth of the utterance.",
            )

    @property
    def masks_spectrum(self) -> bool:
        """Whether SpecAugment is on."""
        return self.num_frequency_masks > 0 or self.num_time_masks > 0


def utterance_rng(seed: int, epoch: int, utterance_id: str) -> np.random.Generator:
    """The random generator of one utterance in one epoch, the same in every process and resume."""
    return np.random.default_rng((seed, epoch, zlib.crc32(utterance_id.encode())))


def draw_speed(config: AugmentConfig, rng: np.random.Generator) -> float:
    """One of the configured speed factors."""
    return config.speeds[int(rng.integers(len(config.speeds)))]


def mask_spectrum(
    features: Float[Tensor, "T F"], config: AugmentConfig, rng: np.random.Generator
) -> Float[Tensor, "T F"]:
    """A copy with mel bands and time spans set to 0, the mean after normalisation.

    Source: SpecAugment without time warping (Park et al. 2019, arXiv 1904.08779).
    """
    num_frames, num_bins = features.shape
    masked = features.clone()
    for _ in range(config.num_frequency_masks):
        width = int(rng.integers(min(config.frequency_mask_bins, num_bins) + 1))
        start = int(rng.integers(num_bins - width + 1))
        masked[:, start : start + width] = 0.0
    longest = min(config.time_mask_frames, int(config.time_mask_fraction * num_frames))
    for _ in range(config.num_time_masks):
        width = int(rng.integers(longest + 1))
        start = int(rng.integers(num_frames - width + 1))
        masked[start : start + width] = 0.0
    return masked
