"""One YAML = one run: the stages, and everything else that a run depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Optional

from horizon_st.data.configuration import VOCABULARY_KEYS, DataConfig
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.errors import UserError, check_choice, refuse_unread
from horizon_st.model.configuration import ModelConfig
from horizon_st.objective.objective import ObjectiveConfig

STAGES = ("mt_external", "mt_in_domain", "asr", "st")
TRACKERS = ("tensorboard", "wandb", "mlflow")
_LOWEST = {
    "max_steps": 0,
    "warmup_steps": 0,
    "weight_decay": 0,
    "clip_norm": 0,
    "accumulation": 1,
    "validate_every_steps": 1,
    "patience": 0,
    "keep_newest": 1,
    "keep_best": 0,
    "average": 1,
    "freeze_speech_encoder_steps": 0,
    "log_every_steps": 1,
}


@dataclass
class StageConfig:
    """One stage of training: how long, how fast, when to look and what to keep."""

    max_steps: int = field(
        default=10_000, metadata={"help": "Optimiser updates; 0 skips the stage."}
    )
    learning_rate: float = field(
        default=1e-4, metadata={"help": "Highest learning rate, reached after the warm-up."}
    )
    schedule: Literal["inverse_sqrt", "cosine", "constant"] = field(
        default="inverse_sqrt", metadata={"help": "Course of the learning rate after the warm-up."}
    )
    warmup_steps: int = field(
        default=4000, metadata={"help": "Updates in which the learning rate rises from 0."}
    )
    optimizer: Literal["adamw", "muon"] = field(
        default="adamw",
        metadata={
            "help": "adamw; or muon for the matrices inside the layers and AdamW for the rest, "
            "which needs fewer updates to train a fresh model."
        },
    )
    weight_decay: float = field(default=1e-4, metadata={"help": "Decoupled weight decay."})
    beta2: float = field(default=0.98, metadata={"help": "Adam's beta2; beta1 is 0.9."})
    clip_norm: float = field(
        default=10.0,
        metadata={"help": "Gradients of a larger norm are scaled down to it; 0 switches it off."},
    )
    accumulation: int = field(default=1, metadata={"help": "Micro-batches per update and process."})
    validate_every_steps: int = field(
        default=1000, metadata={"help": "Updates between validations, each with a checkpoint."}
    )
    metric: Literal["bleu", "loss"] = field(
        default="loss", metadata={"help": "Dev figure that ranks checkpoints and stops training."}
    )
    patience: int = field(
        default=0,
        metadata={"help": "Validations without gain before training stops; 0 never stops."},
    )
    keep_newest: int = field(default=10, metadata={"help": "Newest checkpoints that are kept."})
    keep_best: int = field(default=1, metadata={"help": "Best checkpoints that are kept besides."})
    average: int = field(
        default=10,
        metadata={"help": "Checkpoints averaged at the end; fewer if patience ended it before."},
    )
    average_of: Literal["last", "best"] = field(
        default="last", metadata={"help": "Whether the last or the best checkpoints are averaged."}
    )
    freeze_speech_encoder_steps: int = field(
        default=0,
        metadata={
            "help": "Of stage st: so many of the first updates leave the speech encoder as it is, "
            "and CTC on it out, while the rest of the model learns to read it. Its dropout and "
            "masks stay on, unlike with model.speech_encoder.freeze, as augmentation."
        },
    )
    track_text: bool = field(
        default=False,
        metadata={
            "help": "Of stage st: validations measure the text path, too, as text_loss and (with "
            "metric bleu) text_bleu, to see what it forgets."
        },
    )
    log_every_steps: int = field(
        default=50, metadata={"help": "Updates between records of the training figures."}
    )

    def check(self, place: str) -> None:
        """Refuses values out of range and combinations that cannot be.

        Args:
            place: the key of the section, for the message.

        Raises:
            UserError: names the key below `place`.
        """
        for name, low in _LOWEST.items():
            if not getattr(self, name) >= low:
                raise UserError(
                    f"{place}.{name}",
                    expected=f"at least {low}",
                    found=getattr(self, name),
                    remedy=f"The default is {type(self).__dataclass_fields__[name].default}; "
                    "max_steps: 0 skips a stage.",
                )
        if not self.learning_rate > 0:
            raise UserError(
                f"{place}.learning_rate",
                expected="a positive number",
                found=self.learning_rate,
                remedy="1e-4 is usual for ST, 7e-4 for MT from scratch.",
            )
        if not 0 <= self.beta2 < 1:
            raise UserError(
                f"{place}.beta2",
                expected="at least 0 and below 1",
                found=self.beta2,
                remedy="0.98 is usual.",
            )
        keeper = "keep_newest" if self.average_of == "last" else "keep_best"
        if self.average > getattr(self, keeper):
            raise UserError(
                f"{place}.average",
                expected=f"at most {keeper}, since only kept checkpoints can be averaged",
                found=f"average {self.average} with {keeper} {getattr(self, keeper)}",
                remedy=f"Set {keeper} to {self.average}.",
            )
        if self.max_steps > 0:
            self._check_length(place)

    def _check_length(self, place: str) -> None:
        """Refuses what a stage of this length cannot have."""
        if self.warmup_steps > self.max_steps:
            raise UserError(
                f"{place}.warmup_steps",
                expected=f"at most max_steps, {self.max_steps}, since the learning rate would "
                "never reach its highest",
                found=self.warmup_steps,
                remedy=f"Set it to about a tenth of max_steps, {math.ceil(self.max_steps / 10)}.",
            )
        if self.freeze_speech_encoder_steps > self.max_steps:
            raise UserError(
                f"{place}.freeze_speech_encoder_steps",
                expected=f"at most max_steps, {self.max_steps}",
                found=self.freeze_speech_encoder_steps,
                remedy=f"Set it to {self.max_steps} to leave the speech encoder as it is for the "
                "whole stage.",
            )
        num_checkpoints = math.ceil(self.max_steps / self.validate_every_steps)
        if self.average > num_checkpoints:
            raise UserError(
                f"{place}.average",
                expected=f"at most {num_checkpoints}, the checkpoints of max_steps "
                f"{self.max_steps} with validate_every_steps {self.validate_every_steps}",
                found=self.average,
                remedy=f"Set it to {num_checkpoints}, or validate more often over more steps.",
            )


@dataclass
class StagesConfig:
    """The four stages; `max_steps: 0` skips one."""

    mt_external: StageConfig = field(default_factory=lambda: StageConfig(max_steps=0))
    mt_in_domain: StageConfig = field(default_factory=lambda: StageConfig(max_steps=0))
    asr: StageConfig = field(default_factory=lambda: StageConfig(max_steps=0))
    st: StageConfig = field(default_factory=StageConfig)

    def __post_init__(self) -> None:
        for name in STAGES:
            self.of(name).check(f"stages.{name}")
            if name != "st":
                keys = {
                    "freeze_speech_encoder_steps": "leave the speech encoder as it is",
                    "track_text": "forget the text path",
                }
                for key, what in keys.items():
                    reason = f"only stage st can {what}"
                    refuse_unread(f"stages.{name}", self.of(name), (key,), reason)
        if not self.trained:
            raise UserError(
                "stages",
                expected="max_steps above 0 in at least one stage",
                found="nothing to train",
                remedy="Set stages.st.max_steps.",
            )

    def of(self, name: str) -> StageConfig:
        """The stage of that name, one of `STAGES`."""
        stage: StageConfig = getattr(self, name)
        return stage

    @property
    def trained(self) -> list[str]:
        """The names of the stages that are not skipped, in their order."""
        return [name for name in STAGES if self.of(name).max_steps > 0]


@dataclass
class Recipe:
    """One run."""

    name: str = field(default="???", metadata={"help": "Name of the run, in records and pictures."})
    seed: int = field(
        default=1, metadata={"help": "Seed of weights, order, dropout and augmentation."}
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = field(
        default="auto",
        metadata={"help": "auto takes bf16 where the hardware multiplies fast in it, else fp32."},
    )
    initial_model: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "A model trained here to start from, with its tokenizer and languages; a "
            "model section beside it must have its shape, and gives dropout, freezing and masks "
            "from now on."
        },
    )
    trackers: list[str] = field(
        default_factory=lambda: ["tensorboard"],
        metadata={"help": "Where figures are sent: any of tensorboard, wandb, mlflow."},
    )
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    stages: StagesConfig = field(default_factory=StagesConfig)

    @property
    def trains_vocabulary(self) -> bool:
        """Whether the vocabulary is made of the data, and none is loaded."""
        loaded = (self.initial_model, self.data.tokenizer, self.model.text_model.pretrained)
        return loaded == (None, None, None)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise UserError(
                "seed",
                expected="a number from 0 to 4294967295",
                found=self.seed,
                remedy="Any number there is as good as another.",
            )
        if self.stages.mt_external.max_steps > 0 and self.data.text_pairs is None:
            raise UserError(
                "stages.mt_external.max_steps",
                expected="0 without external text pairs",
                found=self.stages.mt_external.max_steps,
                remedy="Set data.text_pairs to a JSONL file of text pairs, or max_steps to 0.",
            )
        if self.initial_model is not None and self.data.tokenizer is not None:
            raise UserError(
                "data.tokenizer",
                expected="nothing beside initial_model, which brings its own tokenizer",
                found=self.data.tokenizer,
                remedy="Remove one of the two.",
            )
        self._check_text_rdrop()
        self._check_model()
        uses_muon = any(self.stages.of(s).optimizer == "muon" for s in self.stages.trained)
        if self.precision == "fp16" and uses_muon:
            raise UserError(
                "precision",
                expected="fp32, bf16 or auto with stages.*.optimizer: muon, since loss scaling "
                "knows one optimiser only",
                found=self.precision,
                remedy="Set precision: bf16.",
            )
        for tracker in self.trackers:
            check_choice("trackers", tracker, TRACKERS)
        if self.model.text_model.pretrained is not None:
            refuse_unread(
                "data", self.data, VOCABULARY_KEYS, "model.text_model.pretrained brings a tokenizer"
            )
        if self.model.speech_encoder.pretrained is not None:
            reason = "model.speech_encoder.pretrained brings its own front end"
            refuse_unread("data", self.data, ("high_hz",), reason)

    def _check_text_rdrop(self) -> None:
        objective = self.objective
        has_text_stage = {"mt_external", "mt_in_domain"} & {*self.stages.trained}
        has_pairs = self.data.text_pairs is not None and objective.external_mt_weight > 0
        has_pass = has_text_stage or has_pairs or objective.has_text_pass
        if objective.mt_rdrop_weight > 0 and not has_pass:
            raise UserError(
                "objective.mt_rdrop_weight",
                expected="0 when no stage has a text pass",
                found=objective.mt_rdrop_weight,
                remedy="Set mt_weight or consistency_weight above 0, or mt_rdrop_weight to 0.",
            )

    def _check_model(self) -> None:
        if self.initial_model is None:
            self.model.check_fresh()
            if self.objective.ctc_weight == 0:
                reason = "objective.ctc_weight is 0"
                refuse_unread("model.ctc", self.model.ctc, ("position", "unit"), reason)
        asr = self.stages.asr
        if asr.max_steps == 0:
            return
        is_fresh_elsewhere = (
            self.initial_model is None and self.model.ctc.position != "speech_encoder"
        )
        if self.objective.ctc_weight == 0 or is_fresh_elsewhere:
            raise UserError(
                "stages.asr.max_steps",
                expected="0 without CTC on the speech encoder, which is what this stage trains",
                found=asr.max_steps,
                remedy="Set it to 0, or objective.ctc_weight above 0 and model.ctc.position to "
                "speech_encoder.",
            )
        if asr.metric == "bleu":
            raise UserError(
                "stages.asr.metric",
                expected="loss, since this stage does not translate",
                found=asr.metric,
                remedy="Remove it.",
            )
