"""A recipe -> a trained model: MT on external pairs, MT on the in-domain pairs, ASR, then ST + MT.

Each stage starts from the averaged checkpoints of the one before. A run that was stopped anywhere
continues when the same command is given again.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import logging as transformers_logging

from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.cuts import TranscribedCuts
from horizon_st.data.files import partial_of
from horizon_st.data.sampling import speech_stream, text_stream
from horizon_st.decoding.generate import Modality, check_precision
from horizon_st.decoding.model_card import write_card
from horizon_st.decoding.scoring import build_metrics
from horizon_st.decoding.trained import weights_fingerprint
from horizon_st.errors import UserError
from horizon_st.model.attention import use_cpu_attention
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.objective.objective import ObjectiveConfig
from horizon_st.training.adaptation import Adaptation, split_dev
from horizon_st.training.checkpoint import Checkpoints, Progress, rename_whole, writing
from horizon_st.training.checks import check_before_training
from horizon_st.training.dev_batches import DevBatches
from horizon_st.training.devices import accelerated, resolve_precision, start_trackers
from horizon_st.training.folder import run_folder
from horizon_st.training.loop import Loop, Reporter, Streams
from horizon_st.training.parts import build_parts, read_corpus
from horizon_st.training.recipe import Recipe, StageConfig, StagesConfig
from horizon_st.training.recognition import RecognitionStep, RecognitionValidation
from horizon_st.training.record import RunRecord, StageRecord
from horizon_st.training.step import TrainingStep
from horizon_st.training.validation import Validation, ValidationOfBoth

__all__ = ["Recipe", "Run", "StageConfig", "StagesConfig", "resolve_precision", "run_recipe"]

_CACHE_BYTES_PER_GB = 1e9


def run_recipe(recipe: Recipe, folder: Path, reporter: Reporter) -> Path:
    """The folder of the trained model, `folder/model`, after all stages.

    Files in `folder`: the resolved ``recipe.yaml``, ``record.json``, ``stages/NAME`` with
    checkpoints and averaged models, ``tensorboard``.

    Raises:
        UserError: the data, the recipe or a checkpoint is unusable, another process trains in the
            folder, it holds a run of another recipe, or its disk is full.
    """
    transformers_logging.disable_progress_bar()
    with (
        accelerated(recipe, folder) as accelerator,
        run_folder(folder, recipe, accelerator),
    ):
        set_seed(recipe.seed)
        return Run(recipe, folder, accelerator, reporter).train()


VOCABULARY_FOLDER = "vocabulary"
"""Below a run's folder: the vocabulary that was trained when the run began."""


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
        self.corpus = read_corpus(recipe)
        vocabulary = folder / VOCABULARY_FOLDER
        self.parts = build_parts(
            recipe, self.corpus, vocabulary=vocabulary if vocabulary.is_dir() else None
        )
        check_before_training(recipe, self.corpus, self.parts)
        check_precision(recipe.decoding, accelerator.device)
        build_metrics(tokenize=recipe.decoding.tokenize)  # refuses before hours of training
        if accelerator.device.type == "cpu":
            use_cpu_attention(self.parts.translator)
        # Of its own, or training data would leave no room for what is wanted again and again.
        self.features, self.dev_features = (
            FeatureCache(self.parts.frontend, recipe.data.cache_gb * _CACHE_BYTES_PER_GB)
            for _ in range(2)
        )
        self.record = RunRecord(
            name=recipe.name,
            recipe=asdict(recipe),
            seed=recipe.seed,
            num_parameters=self.parts.translator.num_parameters(),
            vocab_size=self.parts.translator.config.get_text_config().vocab_size,
            data_fingerprint=self.corpus.fingerprint,
            precision=str(accelerator.mixed_precision),
            num_processes=accelerator.num_processes,
        )
        self.record.continue_from(folder)
        self._write_record()
        if recipe.trains_vocabulary:
            self._save_vocabulary(vocabulary)

    def train(self) -> Path:
        """The folder of the final model."""
        for name in self.recipe.stages.trained:
            prepare_for_stage(self.recipe, name, self.parts.translator)
            self.record.num_parameters = self.parts.translator.num_parameters()
            averaged = self._stage_folder(name) / "model"
            stage = self.record.stage(name)
            if averaged.is_dir() and stage is not None and stage.final is not None:
                self._load(_read_model(averaged))
            else:
                self._run_stage(name)
        final = self.folder / "model"
        if self.accelerator.is_main_process:
            self.record.model_sha256 = weights_fingerprint(averaged)
            if not final.exists():
                partial = partial_of(final)
                with writing(final):
                    shutil.copytree(averaged, partial)
                    write_card(partial, record=asdict(self.record))
                    rename_whole(partial, final)
        self._write_record()
        self.accelerator.wait_for_everyone()
        return final

    def _run_stage(self, name: str) -> None:
        config, recipe = self.recipe.stages.of(name), self.recipe
        checkpoints = Checkpoints(
            self._stage_folder(name) / "checkpoints",
            keep_newest=config.keep_newest,
            keep_best=config.keep_best,
            metric=config.metric,
            higher_is_better=config.metric == "bleu",
        )
        if recipe.trackers and not self.accelerator.trackers:
            start_trackers(self.accelerator, recipe, self.record.run_id, self.folder)
        # The stage is the same whether the ones before it ran just now or long ago.
        set_seed(recipe.seed, device_specific=True)
        validate = self._validation_of(name)
        step = step_of(self.recipe, name, self.parts.translator)
        loop = Loop(
            name,
            config,
            step=step,
            streams=self._streams_of(name),
            validate=validate,
            checkpoints=checkpoints,
            accelerator=self.accelerator,
            reporter=self.reporter,
            on_validation=lambda progress: self._record_stage(name, loop, progress),
            first_step=self._first_step_of(name),
            adaptation=self._adaptation_of(step),
        )
        progress = loop.run()
        started = time.monotonic()
        averaged = checkpoints.choose(config.average, config.average_of)
        weights = {
            key.removeprefix("translator."): value
            for key, value in checkpoints.average(averaged).items()
        }
        self._load(weights)
        final = validate()
        final_wall_s = time.monotonic() - started
        self._record_stage(name, loop, progress, final, averaged, final_wall_s)
        self.accelerator.free_memory()
        if name == "st":
            self._note_longest()
        self._save_model(weights, self._stage_folder(name) / "model")

    def _stage_folder(self, name: str) -> Path:
        return self.folder / "stages" / name

    def _first_step_of(self, name: str) -> int:
        """Steps of the earlier stages: trackers such as W&B want steps that only rise."""
        stages = self.recipe.stages
        return sum(stages.of(s).max_steps for s in stages.trained[: stages.trained.index(name)])

    def _streams_of(self, name: str) -> Streams:
        recipe, corpus, tokenizer = self.recipe, self.corpus, self.parts.tokenizer
        share = {
            "seed": recipe.seed,
            "rank": self.accelerator.process_index,
            "world_size": self.accelerator.num_processes,
        }
        speech, pairs = None, None
        if name in ("asr", "st"):
            characters = self.parts.character_tokenizer
            collate = Collator(
                self.features, tokenizer, recipe.data.augment, recipe.seed, characters
            )
            cuts = TranscribedCuts(corpus.train) if name == "asr" else corpus.train
            speech = speech_stream(cuts, collate, recipe.data, **share)
        if name == "mt_in_domain":
            pairs = corpus.in_domain_pairs
        elif name == "mt_external" or (name == "st" and recipe.objective.external_mt_weight > 0):
            pairs = corpus.external_pairs
        text = text_stream(pairs, tokenizer, recipe.data, **share) if pairs is not None else None
        return Streams(speech, text)

    def _adaptation_of(self, step: TrainingStep | RecognitionStep) -> Adaptation | None:
        if isinstance(step, RecognitionStep) or step.objective.adaptive.every_steps == 0:
            return None
        _, followed = split_dev(self.corpus.dev_cuts, step.objective.adaptive.share_of_dev)
        collate = Collator(self.dev_features, self.parts.tokenizer)
        size = self.recipe.decoding.batch_size
        batches = DevBatches(followed, collate, size, self.accelerator, needs_transcript=False)
        return Adaptation(step, batches, self.accelerator)

    def _validation_of(self, name: str) -> Validation | ValidationOfBoth | RecognitionValidation:
        if name == "asr":
            return RecognitionValidation(
                self.parts,
                self.corpus.dev_cuts,
                self.dev_features,
                self.recipe,
                self.accelerator,
            )
        stage, adaptive = self.recipe.stages.of(name), self.recipe.objective.adaptive
        cuts = self.corpus.dev_cuts
        if name == "st" and adaptive.every_steps > 0:
            cuts, _ = split_dev(cuts, adaptive.share_of_dev)

        def of(modality: Modality) -> Validation:
            return Validation(
                self.parts.translator,
                self.parts.tokenizer,
                cuts,
                self.dev_features,
                self.recipe.decoding,
                self.accelerator,
                modality=modality,
                with_bleu=stage.metric == "bleu",
            )

        if stage.track_text:
            return ValidationOfBoth(of("speech"), of("text"))
        return of("speech" if name == "st" else "text")

    def _load(self, weights: dict[str, Tensor]) -> None:
        """Puts all weights into the model; tied ones are stored once."""
        translator = self.parts.translator
        own = translator.state_dict()
        given = {own[name].data_ptr() for name in weights}
        missing = [name for name, value in own.items() if value.data_ptr() not in given]
        assert not missing, f"weights without {missing}"
        translator.load_state_dict(weights, strict=False)

    def _note_longest(self) -> None:
        """Lets the model know how long the utterances were that it has learnt to translate."""
        config = self.parts.translator.config
        before_s = config.longest_training_s or 0.0  # of an initial model
        config.longest_training_s = max(before_s, *self.corpus.train.survey.durations_s)

    def _save_vocabulary(self, folder: Path) -> None:
        """For later starts: of another version, the same text might give another one."""
        if self.accelerator.is_main_process and not folder.exists():
            partial = partial_of(folder)
            with writing(folder):
                self.parts.tokenizer.save_pretrained(partial)
                rename_whole(partial, folder)

    def _save_model(self, weights: dict[str, Tensor], folder: Path) -> None:
        """Model, tokenizer and front end, in one step; with it the stage has ended."""
        if self.accelerator.is_main_process and not folder.exists():
            partial = partial_of(folder)
            with writing(folder):
                self.parts.translator.save_pretrained(partial, state_dict=weights)
                self.parts.tokenizer.save_pretrained(partial)
                self.parts.frontend.save_pretrained(partial)
                rename_whole(partial, folder)
        self.accelerator.wait_for_everyone()

    def _record_stage(
        self,
        name: str,
        loop: Loop,
        progress: Progress,
        final: dict[str, float] | None = None,
        averaged_steps: list[int] | None = None,
        final_wall_s: float = 0.0,
    ) -> None:
        self.record.put(
            StageRecord(
                name=name,
                steps=progress.step,
                wall_s=progress.wall_s + final_wall_s,
                data_wait_s=progress.data_wait_s,
                stopped_early=loop.stopped_early,
                train_history=progress.train_history,
                dev_history=progress.dev_history,
                final=final,
                averaged_steps=averaged_steps,
            )
        )
        self._write_record()

    def _write_record(self) -> None:
        if self.accelerator.is_main_process:
            self.record.write(self.folder)


def prepare_for_stage(recipe: Recipe, name: str, translator: SpeechTranslatorModel) -> None:
    """Gives the model the shape that it has from a stage on."""
    if name == "st" and not recipe.model.share_encoder:
        translator.part_encoders()


def step_of(
    recipe: Recipe, name: str, translator: SpeechTranslatorModel
) -> TrainingStep | RecognitionStep:
    """What a stage trains: the recipe's objective, or what of it those before the last can have."""
    objective = recipe.objective
    if name == "asr":
        return RecognitionStep(translator)
    if name != "st":
        objective = ObjectiveConfig(
            label_smoothing=objective.label_smoothing, mt_rdrop_weight=objective.mt_rdrop_weight
        )
    return TrainingStep(translator, objective)


def _read_model(folder: Path) -> dict[str, Tensor]:
    """The weights of an averaged model, from one file or several."""
    try:
        return {
            name: value
            for path in sorted(folder.glob("model*.safetensors"))
            for name, value in load_file(path).items()
        }
    except (OSError, SafetensorError) as error:
        raise UserError(
            str(folder),
            expected="the averaged model of a stage",
            found=f"{type(error).__name__}: {' '.join(str(error).split())}",
            remedy="Remove this folder; it is made again from the stage's checkpoints.",
        ) from error
