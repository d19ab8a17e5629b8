"""The recipe's objective section: weights of the terms, and where and how consistency acts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

from horizon_st.errors import UserError, check_choice, refuse_unread

Tap = Literal["encoder", "decoder", "logits", "softmax"]
Divergence = Literal["symmetric_kl", "jensen_shannon", "kl_speech_text", "kl_text_speech"]
StopGradient = Literal["none", "speech", "text"]
RdropFrom = Literal["speech_encoder", "shared_encoder"]


@dataclass
class ObjectiveConfig:
    """Weights of the terms and the form of the consistency term. A weight of 0 costs no pass."""

    mt_weight: float = field(
        default=1.0,
        metadata={"help": "Weight of the cross-entropy of the text pass (alpha_t)."},
    )
    consistency_weight: float = field(
        default=0.0,
        metadata={"help": "Weight of the distance between speech and text pass (alpha_cr)."},
    )
    rdrop_weight: float = field(
        default=0.0,
        metadata={"help": "Weight of the distance between two speech passes (alpha_rd)."},
    )
    rdrop_from: RdropFrom = field(
        default="speech_encoder",
        metadata={
            "help": "Where the two speech passes part: speech_encoder, or shared_encoder, which "
            "saves the second pass through the speech encoder."
        },
    )
    rdrop_every_steps: int = field(
        default=1,
        metadata={
            "help": "Every how many updates the two speech passes are compared, with so many times "
            "the weight; the others run one."
        },
    )
    mt_rdrop_weight: float = field(
        default=0.0,
        metadata={
            "help": "Weight of the distance between two text passes (alpha_rdt), of the MT stages "
            "too."
        },
    )
    external_mt_weight: float = field(
        default=1.0,
        metadata={"help": "Weight of the cross-entropy of external text pairs (alpha_ext)."},
    )
    ctc_weight: float = field(
        default=0.0,
        metadata={"help": "Weight of CTC on the transcript; above 0 the model gets a CTC head."},
    )
    label_smoothing: float = field(
        default=0.1,
        metadata={"help": "Probability that the cross-entropy moves to the other symbols."},
    )
    tap: Tap = field(
        default="softmax",
        metadata={"help": "Where consistency acts: encoder, decoder, logits or softmax."},
    )
    divergence: Divergence = field(
        default="symmetric_kl",
        metadata={
            "help": "Distance at the softmax: symmetric_kl, jensen_shannon, kl_speech_text "
            "(KL(speech||text)) or kl_text_speech (KL(text||speech))."
        },
    )
    stop_gradient: StopGradient = field(
        default="none",
        metadata={"help": "Side of the consistency term that gets no gradient from it."},
    )

    def __post_init__(self) -> None:
        """Refuse values and combinations that cannot mean anything."""
        for name in [f.name for f in fields(self) if f.name.endswith("_weight")]:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UserError(
                    f"objective.{name}",
                    expected="a finite weight of at least 0",
                    found=value,
                    remedy="Set it to 0 to leave the term out.",
                )
        if self.rdrop_every_steps < 1:
            raise UserError(
                "objective.rdrop_every_steps",
                expected="at least 1",
                found=self.rdrop_every_steps,
                remedy="1 compares them in every update.",
            )
        if not 0 <= self.label_smoothing < 1:
            raise UserError(
                "objective.label_smoothing",
                expected="a probability of at least 0 and below 1",
                found=self.label_smoothing,
                remedy="0.1 is usual; 0 turns smoothing off.",
            )
        check_choice("objective.tap", self.tap, get_args(Tap))
        check_choice("objective.divergence", self.divergence, get_args(Divergence))
        check_choice("objective.stop_gradient", self.stop_gradient, get_args(StopGradient))
        check_choice("objective.rdrop_from", self.rdrop_from, get_args(RdropFrom))
        self._check_combinations()

    def of_update(self, update: int) -> ObjectiveConfig:
        """The objective of one update of a stage, counted from 0: the last of k has R-drop.

        It has k times the weight there, so that the sum of the gradients over k updates is what it
        would be if each had it.
        """
        if self.rdrop_every_steps == 1:
            return self
        has_rdrop = (update + 1) % self.rdrop_every_steps == 0
        return replace(
            self,
            rdrop_weight=self.rdrop_weight * self.rdrop_every_steps if has_rdrop else 0.0,
            rdrop_from=self.rdrop_from if has_rdrop else "speech_encoder",
            rdrop_every_steps=1,
        )

    def _check_combinations(self) -> None:
        if self.tap != "softmax" and self.divergence != "symmetric_kl":
            raise UserError(
                "objective.divergence",
                expected=f"its default with tap: {self.tap}, where the distance is the mean "
                "squared error",
                found=self.divergence,
                remedy="Set tap: softmax to use a divergence, or remove divergence.",
            )
        if self.consistency_weight == 0:
            form = ("tap", "divergence", "stop_gradient")
            refuse_unread("objective", self, form, "consistency_weight is 0")
        if self.rdrop_weight == 0:
            rdrop_form = ("rdrop_from", "rdrop_every_steps")
            refuse_unread("objective", self, rdrop_form, "rdrop_weight is 0")
        if self.mt_rdrop_weight > 0 and self.mt_weight == 0 and self.consistency_weight == 0:
            raise UserError(
                "objective.mt_rdrop_weight",
                expected="0 when neither mt_weight nor consistency_weight uses the text pass",
                found=self.mt_rdrop_weight,
                remedy="Set mt_weight or consistency_weight above 0, or mt_rdrop_weight to 0.",
            )
