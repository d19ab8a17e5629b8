"""A recipe -> a trained model: MT on external pairs, MT on the in-domain pairs, then ST + MT.

Each stage starts from the averaged checkpoints of the one before. A run that was stopped anywhere
continues when the same command is given again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Literal, Optional

import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from transformers import AutoFeatureExtractor, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from horizon_st.config import dump_config
from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.frontend import FilterbankFrontend, Frontend, PretrainedFrontend
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.sampling import DataConfig, read_text_pairs, speech_stream, text_stream
from horizon_st.data.text import load_tokenizer, train_tokenizer
from horizon_st.decoding.generate import DecodingConfig
from horizon_st.decoding.trained import fingerprint, load_trained_model
from horizon_st.errors import UserError
from horizon_st.model.build import build_translator
from horizon_st.model.configuration import ModelConfig
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.objective.objective import ObjectiveConfig
from horizon_st.training.checkpoint import Checkpoints, Progress, write_atomically
from horizon_st.training.loop import Loop, Reporter, StageConfig, Streams
from horizon_st.training.record import RunRecord, StageRecord
from horizon_st.training.step import TrainingStep
from horizon_st.training.validation import Validation

STAGES = ("mt_external", "mt_in_domain", "st")
RECIPE_FILE = "recipe.yaml"
_CACHE_BYTES_PER_GB = 1e9


@dataclass
class StagesConfig:
    """The three stages; `max_steps: 0` skips one."""

    mt_external: StageConfig = field(default_factory=lambda: StageConfig(max_steps=0))
    mt_in_domain: StageConfig = field(default_factory=lambda: StageConfig(max_steps=0))
    st: StageConfig = field(default_factory=StageConfig)


@dataclass
class Recipe:
    """One run."""

    name: str = field(default="???", metadata={"help": "of the run, in records and pictures"})
    seed: int = field(default=1, metadata={"help": "of weights, order, dropout and augmentation"})
    precision: Literal["auto", "fp32", "bf16", "fp16"] = field(
        default="auto", metadata={"help": "auto: bf16 where the hardware multiplies in it"}
    )
    initial_model: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "a model trained here to start from, with its tokenizer"}
    )
    trackers: list[str] = field(
        default_factory=lambda: ["tensorboard"],
        metadata={"help": "any of tensorboard, wandb, mlflow"},
    )
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    stages: StagesConfig = field(default_factory=StagesConfig)

    def __post_init__(self) -> None:
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


def run_recipe(recipe: Recipe, folder: Path, reporter: Reporter) -> Path:
    """The folder of the trained model, `folder/model`, after all stages.

    Files in `folder`: the resolved ``recipe.yaml``, ``record.json``, ``stages/NAME`` with
    checkpoints and averaged models, ``tensorboard``.

    Raises:
        UserError: the data, the recipe or a checkpoint is unusable, another process trains in the
            folder, or it holds a run of another recipe.
    """
    # transformers ties the embeddings, and its own loading restores the tie that this warns about.
    logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    accelerator = Accelerator(
        mixed_precision=resolve_precision(recipe.precision),
        log_with=recipe.trackers or None,
        project_dir=str(folder),
        step_scheduler_with_optimizer=False,
    )
    with _only_writer(folder, accelerator):
        _keep_recipe(recipe, folder, accelerator)
        set_seed(recipe.seed)
        run = Run(recipe, folder, accelerator, reporter)
        return run.train()


def resolve_precision(precision: str) -> str:
    """Accelerate's name of a precision: bf16 on `auto` where the hardware multiplies in bf16.

    Raises:
        UserError: fp16 is asked for without a GPU.
    """
    has_gpu = torch.cuda.is_available()
    if precision == "fp16" and not has_gpu:
        raise UserError(
            "precision",
            expected="fp32, bf16 or auto without a GPU",
            found=precision,
            remedy="Set precision: auto.",
        )
    if precision == "auto":
        has_bf16 = (
            torch.cuda.is_bf16_supported() if has_gpu else torch.cpu._is_avx512_bf16_supported()
        )
        return "bf16" if has_bf16 else "no"
    return {"fp32": "no"}.get(precision, precision)


class Run:
    """The parts of one run, and its stages in their order.

    Args:
        recipe: what to train.
        folder: where the run lies.
        accelerator: devices, precision, processes.
        reporter: shows progress.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, accelerator: Accelerator, reporter: Reporter
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.accelerator = accelerator
        self.reporter = reporter
        self.train_cuts = read_manifest(Path(recipe.data.train))
        self.dev_cuts = list(read_manifest(Path(recipe.data.dev)))
        self.in_domain_pairs = [
            (transcript, translation_of(cut))
            for cut in self.train_cuts
            if (transcript := transcript_of(cut)) is not None
        ]
        self.external_pairs = (
            read_text_pairs(Path(recipe.data.text_pairs)) if recipe.data.text_pairs else []
        )
        self.tokenizer, self.frontend, self.translator = self._build()
        self.features = FeatureCache(self.frontend, recipe.data.cache_gb * _CACHE_BYTES_PER_GB)
        self.record = RunRecord(
            name=recipe.name,
            recipe=asdict(recipe),
            seed=recipe.seed,
            num_parameters=sum(p.numel() for p in self.translator.parameters()),
            data_fingerprint={path.name: fingerprint(path) for path in self._data_files()},
            precision=str(accelerator.mixed_precision),
            num_processes=accelerator.num_processes,
        )

    def train(self) -> Path:
        """The folder of the final model."""
        model_folder = self.folder / "model"
        for name in STAGES:
            config: StageConfig = getattr(self.recipe.stages, name)
            if config.max_steps > 0:
                model_folder = self._run_stage(name, config)
        final = self.folder / "model"
        if self.accelerator.is_main_process and not final.exists():
            if model_folder == final:
                self._save_model(self.translator.state_dict(), final)
            else:
                _copy_whole(model_folder, final)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return final

    def _run_stage(self, name: str, config: StageConfig) -> Path:
        stage_folder = self.folder / "stages" / name
        checkpoints = Checkpoints(
            stage_folder / "checkpoints",
            keep_newest=config.keep_newest,
            keep_best=config.keep_best,
            metric=config.metric,
            higher_is_better=config.metric == "bleu",
        )
        if self.recipe.trackers:
            self.accelerator.init_trackers(self.recipe.name)
        loop = Loop(
            name,
            config,
            step=TrainingStep(self.translator, self._objective_of(name)),
            streams=self._streams_of(name),
            validate=Validation(
                self.translator,
                self.tokenizer,
                self.dev_cuts,
                self.features,
                self.recipe.decoding,
                self.accelerator,
                modality="speech" if name == "st" else "text",
                with_bleu=config.metric == "bleu",
            ),
            checkpoints=checkpoints,
            accelerator=self.accelerator,
            reporter=self.reporter,
            on_validation=lambda progress: self._write_record(name, loop, progress),
        )
        progress = loop.run()
        self._write_record(name, loop, progress)
        averaged = stage_folder / "model"
        weights = checkpoints.average(config.average, config.average_of)
        prefix = "translator."
        weights = {key.removeprefix(prefix): value for key, value in weights.items()}
        if self.accelerator.is_main_process and not averaged.exists():
            self._save_model(weights, averaged)
        self.accelerator.wait_for_everyone()
        self.accelerator.free_memory()
        self.translator.load_state_dict(weights, strict=False)
        self.translator.tie_weights()
        return averaged

    def _objective_of(self, name: str) -> ObjectiveConfig:
        """The recipe's objective for the last stage; the MT stages are plain cross-entropy."""
        if name == "st":
            return self.recipe.objective
        return ObjectiveConfig(label_smoothing=self.recipe.objective.label_smoothing)

    def _streams_of(self, name: str) -> Streams:
        recipe = self.recipe
        share = {
            "seed": recipe.seed,
            "rank": self.accelerator.process_index,
            "world_size": self.accelerator.num_processes,
        }
        if name == "st":
            collate = Collator(self.features, self.tokenizer, recipe.data.augment, recipe.seed)
            speech = speech_stream(self.train_cuts, collate, recipe.data, **share)
            uses_text = bool(self.external_pairs) and recipe.objective.external_mt_weight > 0
            pairs = self.external_pairs if uses_text else []
        else:
            speech = None
            pairs = self.external_pairs if name == "mt_external" else self.in_domain_pairs
        text = text_stream(pairs, self.tokenizer, recipe.data, **share) if pairs else None
        return Streams(speech, text)

    def _build(self) -> tuple[PreTrainedTokenizerBase, Frontend, SpeechTranslatorModel]:
        recipe = self.recipe
        needs_ctc = recipe.objective.ctc_weight > 0
        if recipe.initial_model is not None:
            initial = load_trained_model(recipe.initial_model, device="cpu")
            _check_ctc(initial.model, needs_ctc, recipe.initial_model)
            return initial.tokenizer, initial.frontend, initial.model
        tokenizer = self._tokenizer()
        model = build_translator(
            recipe.model,
            vocab_size=len(tokenizer),
            pad_id=tokenizer.pad_token_id,
            bos_id=tokenizer.bos_token_id,
            eos_id=tokenizer.eos_token_id,
            ctc=needs_ctc,
        )
        return tokenizer, self._frontend(), model

    def _tokenizer(self) -> PreTrainedTokenizerBase:
        """The named tokenizer, that of the pretrained text model, or one trained on all texts."""
        recipe = self.recipe
        source = recipe.data.tokenizer or recipe.model.text_model.pretrained
        if source is not None:
            return load_tokenizer(source)
        pairs = [*self.in_domain_pairs, *self.external_pairs]
        untranscribed = [
            translation_of(cut) for cut in self.train_cuts if transcript_of(cut) is None
        ]
        sentences = [text for pair in pairs for text in pair] + untranscribed
        return train_tokenizer(sentences, recipe.data.vocab_size)

    def _frontend(self) -> Frontend:
        encoder = self.recipe.model.speech_encoder
        if encoder.pretrained is None:
            return FilterbankFrontend(encoder.num_mel_bins, self.recipe.data.high_hz)
        return PretrainedFrontend(AutoFeatureExtractor.from_pretrained(encoder.pretrained))

    def _data_files(self) -> list[Path]:
        data = self.recipe.data
        return [Path(name) for name in (data.train, data.dev, data.text_pairs) if name]

    def _save_model(self, weights: dict[str, Tensor], folder: Path) -> None:
        """Model, tokenizer and front end, in one step."""
        partial = folder.with_name(f".partial-{folder.name}")
        shutil.rmtree(partial, ignore_errors=True)
        self.translator.save_pretrained(partial, state_dict=weights)
        self.tokenizer.save_pretrained(partial)
        self.frontend.save_pretrained(partial)
        partial.rename(folder)

    def _write_record(self, name: str, loop: Loop, progress: Progress) -> None:
        stage = StageRecord(
            name=name,
            steps=progress.step,
            wall_s=progress.wall_s,
            stopped_early=loop.stopped_early,
            train_history=progress.train_history,
            dev_history=progress.dev_history,
        )
        self.record.stages = [s for s in self.record.stages if s.name != name] + [stage]
        if self.accelerator.is_main_process:
            self.record.write(self.folder)


def _check_ctc(model: SpeechTranslatorModel, needs_ctc: bool, source: str) -> None:
    if needs_ctc and model.ctc_head is None:
        raise UserError(
            "objective.ctc_weight",
            expected=f"0, since {source} was trained without a CTC head",
            found="a positive weight",
            remedy="Set ctc_weight to 0, or train the initial model with ctc_weight above 0.",
        )


def _copy_whole(source: Path, target: Path) -> None:
    partial = target.with_name(f".partial-{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    partial.rename(target)


def _keep_recipe(recipe: Recipe, folder: Path, accelerator: Accelerator) -> None:
    """Writes the resolved recipe, or checks that the folder's run has the same one."""
    path = folder / RECIPE_FILE
    text = dump_config(recipe)
    if path.is_file():
        then, now = yaml.safe_load(path.read_text()), yaml.safe_load(text)
        difference = _first_difference(then, now)
        if difference is not None:
            raise UserError(
                str(folder),
                expected="an empty folder, or the run of the same recipe to continue",
                found=difference,
                remedy="Choose another --out, or remove the folder to begin anew.",
            )
    elif accelerator.is_main_process:
        write_atomically(path, text)


def _first_difference(then: object, now: object, path: str = "") -> str | None:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in [*then, *now]:
            inner = f"{path}.{key}" if path else str(key)
            found = _first_difference(then.get(key), now.get(key), inner)
            if found is not None:
                return found
        return None
    return None if then == now else f"a run with {path} {then!r} instead of {now!r}"


@contextmanager
def _only_writer(folder: Path, accelerator: Accelerator) -> Iterator[None]:
    """Holds the folder's lock, which the system frees when the process ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        if accelerator.is_main_process:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    str(folder),
                    expected="a run folder that no other process trains in",
                    found="a lock held by another process",
                    remedy="Wait for it, stop it, or choose another --out.",
                ) from error
        yield
