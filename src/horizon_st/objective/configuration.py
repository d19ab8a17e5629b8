"""The recipe's objective section: weights of the terms, and where and how consistency acts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from horizon_st.errors import UserError, check_choice, refuse_unread
from horizon_st.objective.adaptive import ADAPTED, AdaptiveConfig

Tap = Literal["encoder", "decoder", "logits", "softmax"]
Divergence = Literal["symmetric_kl", "jensen_shannon", "kl_speech_text", "kl_text_speech", "renyi"]
StopGradient = Literal["none", "speech", "text"]
RdropFrom = Literal["speech_encoder", "shared_encoder"]
Schedule = Literal["constant", "warmup", "cosine", "loss_ratio"]
_LARGEST_POWER = 700.0
"""Of e, that is still a floating-point number."""
_SCHEDULED = ("consistency_weight", "rdrop_weight", "mt_rdrop_weight")
_CONSISTENCY_FORM = ("tap", "divergence", "renyi_order", "stop_gradient")
_RDROP_FORM = ("rdrop_from", "rdrop_passes", "rdrop_every_steps")


@dataclass
class ObjectiveConfig:
    """Weights of the terms and the form of the consistency term. A weight of 0 costs no pass."""

    st_weight: float = field(
        default=1.0,
        metadata={
            "help": "Weight of the cross-entropy of the speech pass; 0 is zero-shot ST, which "
            "learns to translate speech from consistency with the text pass alone."
        },
    )
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
    rdrop_passes: int = field(
        default=2,
        metadata={
            "help": "Speech passes that R-drop compares, each with each; the term is the mean over "
            "the pairs."
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
            "(KL(speech||text)), kl_text_speech (KL(text||speech)) or renyi (mean of both "
            "directions)."
        },
    )
    renyi_order: float = field(
        default=0.5,
        metadata={"help": "Order of divergence: renyi; towards 1 it becomes the KL divergence."},
    )
    stop_gradient: StopGradient = field(
        default="none",
        metadata={"help": "Side of the consistency term that gets no gradient from it."},
    )
    scheduled_sampling: float = field(
        default=0.0,
        metadata={
            "help": "k: in epoch e of stage st (from 1) the decoder reads words that it has drawn "
            "itself in place of those of the reference, each with probability 1 - k / (k + "
            "exp(e / k)); 15 is usual; 0 is off."
        },
    )
    token_base_weight: float = field(
        default=1.0,
        metadata={
            "help": "What each target token counts in the cross-entropies and in consistency."
        },
    )
    token_gap_weight: float = field(
        default=0.0,
        metadata={
            "help": "What it counts besides for each unit of 1 - the cosine between the decoder "
            "states of its speech pass and its text pass; nothing in updates without a text pass."
        },
    )
    schedule: Schedule = field(
        default="constant",
        metadata={
            "help": "Course of the weights of consistency and R-drop in stage st: constant; warmup "
            "(a line from 0) or cosine (falling to 0) over schedule_steps; loss_ratio: each is "
            "brought to the size of the speech cross-entropy of its micro-batch before it is "
            "weighed."
        },
    )
    schedule_steps: int = field(
        default=0, metadata={"help": "Updates that warmup or cosine take; later ones stay there."}
    )
    adaptive: AdaptiveConfig = field(default_factory=AdaptiveConfig)

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
        if self.rdrop_passes < 2:
            raise UserError(
                "objective.rdrop_passes",
                expected="at least 2",
                found=self.rdrop_passes,
                remedy="Set rdrop_weight to 0 to leave R-drop out.",
            )
        if not (math.isfinite(self.scheduled_sampling) and self.scheduled_sampling >= 0):
            raise UserError(
                "objective.scheduled_sampling",
                expected="a finite number of at least 0",
                found=self.scheduled_sampling,
                remedy="15 is usual; 0 switches it off.",
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
        check_choice("objective.schedule", self.schedule, get_args(Schedule))
        self._check_combinations()

    def of_update(self, update: int) -> ObjectiveConfig:
        """The objective of one update of a stage, counted from 0, with constant weights.

        Where R-drop acts in every k-th update, it has k times the weight in the last of k, so that
        the sum of the gradients over k updates is what it would be if each had it.
        """
        if self.schedule in ("constant", "loss_ratio") and self.rdrop_every_steps == 1:
            return self
        weights = {name: getattr(self, name) * self._share_at(update) for name in _SCHEDULED}
        has_rdrop = (update + 1) % self.rdrop_every_steps == 0
        weights["rdrop_weight"] *= self.rdrop_every_steps if has_rdrop else 0
        kept = "loss_ratio" if self.schedule == "loss_ratio" else "constant"
        return self._changed({**weights, "rdrop_every_steps": 1, "schedule": kept})

    def weighted(self, weights: Mapping[str, float]) -> ObjectiveConfig:
        """The objective with these weights, by name, such as `rdrop_weight`."""
        return self._changed(weights)

    def _changed(self, values: Mapping[str, Any]) -> ObjectiveConfig:
        """A copy, unchecked: a weight may be 0 in one update whose term the recipe describes."""
        changed = copy(self)
        for name, value in values.items():
            setattr(changed, name, value)
        return changed

    def gold_share(self, epoch: int) -> float:
        """The probability that the decoder reads a word of the reference, in an epoch from 0.

        Source: Zhang et al. 2019 (arXiv 1906.02448), eq. 15.
        """
        k = self.scheduled_sampling
        return k / (k + math.exp(min((epoch + 1) / k, _LARGEST_POWER))) if k > 0 else 1.0

    @property
    def has_text_pass(self) -> bool:
        """Whether a batch of triples goes through the model as text, too."""
        return self.mt_weight > 0 or self.consistency_weight > 0

    @property
    def weighs_tokens(self) -> bool:
        """Whether target tokens count otherwise than alike."""
        return self.token_base_weight != 1 or self.token_gap_weight > 0

    def _share_at(self, update: int) -> float:
        """What is left of the scheduled weights in an update."""
        done = min(1.0, (update + 1) / self.schedule_steps) if self.schedule_steps else 1.0
        if self.schedule == "warmup":
            return done
        return (1 + math.cos(math.pi * done)) / 2 if self.schedule == "cosine" else 1.0

    def _check_combinations(self) -> None:
        if self.tap != "softmax" and self.divergence != "symmetric_kl":
            raise UserError(
                "objective.divergence",
                expected=f"its default with tap: {self.tap}, where the distance is the mean "
                "squared error",
                found=self.divergence,
                remedy="Set tap: softmax to use a divergence, or remove divergence.",
            )
        if self.divergence == "renyi" and not (self.renyi_order > 0 and self.renyi_order != 1):
            raise UserError(
                "objective.renyi_order",
                expected="a number above 0 other than 1",
                found=self.renyi_order,
                remedy="Use divergence: symmetric_kl for order 1.",
            )
        if self.divergence != "renyi":
            refuse_unread("objective", self, ("renyi_order",), "divergence is not renyi")
        if self.consistency_weight == 0:
            refuse_unread("objective", self, _CONSISTENCY_FORM, "consistency_weight is 0")
        if self.rdrop_weight == 0:
            refuse_unread("objective", self, _RDROP_FORM, "rdrop_weight is 0")
        self._check_schedule()
        self._check_adaptive()
        if self.st_weight == 0 and self.consistency_weight == 0:
            raise UserError(
                "objective.st_weight",
                expected="above 0 when consistency_weight is 0, or no term translates speech",
                found=self.st_weight,
                remedy="Set consistency_weight above 0 for zero-shot ST, or st_weight to 1.",
            )
        if self.token_gap_weight > 0 and not self.has_text_pass:
            raise UserError(
                "objective.token_gap_weight",
                expected="0 when neither mt_weight nor consistency_weight uses the text pass",
                found=self.token_gap_weight,
                remedy="Set mt_weight or consistency_weight above 0, or token_gap_weight to 0.",
            )

    def _check_schedule(self) -> None:
        if self.st_weight == 0 and self.schedule in ("cosine", "loss_ratio"):
            raise UserError(
                "objective.schedule",
                expected="constant or warmup with st_weight: 0, since loss_ratio goes by the "
                "speech cross-entropy and cosine ends without consistency",
                found=self.schedule,
                remedy="Change schedule, or set st_weight above 0.",
            )
        has_steps = self.schedule in ("warmup", "cosine")
        if has_steps and self.schedule_steps < 1:
            raise UserError(
                "objective.schedule_steps",
                expected=f"at least 1 with schedule: {self.schedule}",
                found=self.schedule_steps,
                remedy="Half the updates of stage st are a start.",
            )
        if not has_steps:
            reason = f"schedule is {self.schedule}"
            refuse_unread("objective", self, ("schedule_steps",), reason)
        if all(getattr(self, name) == 0 for name in _SCHEDULED):
            reason = "no weight of consistency or R-drop is above 0"
            refuse_unread("objective", self, ("schedule",), reason)

    def _check_adaptive(self) -> None:
        if self.adaptive.every_steps == 0:
            names = [f.name for f in fields(self.adaptive)]
            refuse_unread("objective.adaptive", self.adaptive, names, "its every_steps is 0")
            return
        has_none = all(getattr(self, name) == 0 for name in ADAPTED.values())
        if self.schedule != "constant" or has_none:
            raise UserError(
                "objective.adaptive.every_steps",
                expected="0 unless schedule is constant and a weight that may move is above 0",
                found=self.adaptive.every_steps,
                remedy="Remove schedule, and give " + ", ".join(ADAPTED.values()) + " a start.",
            )
        for name in ADAPTED.values():
            lowest, highest = self.adaptive.bounds_of(name)
            value = getattr(self, name)
            if value != 0 and not lowest <= value <= highest:
                raise UserError(
                    f"objective.{name}",
                    expected=f"a start between {lowest:g} and {highest:g}, where "
                    "adaptive.every_steps moves it, or 0",
                    found=value,
                    remedy="Start within, or set adaptive.largest, which bounds all but mt_weight.",
                )
