"""A recipe, tried without its data: shapes, parameters, memory, and one update of each stage.

The model has random weights and reads made-up utterances, so neither corpus nor pretrained weights
are needed; of a published encoder the shape is enough, of a tokenizer its size.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from transformers import HubertConfig, PreTrainedConfig, Wav2Vec2Config

from horizon_st.data.audio import SAMPLING_RATE
from horizon_st.data.collate import Batch
from horizon_st.data.text import load_tokenizer, vocabulary_size
from horizon_st.errors import UserError
from horizon_st.model.attention import use_cpu_attention
from horizon_st.model.build import fresh_text_config, initialise, translator_config
from horizon_st.model.filterbank_encoder import FilterbankTransformer, fresh_speech_config
from horizon_st.model.passes import run_passes
from horizon_st.model.pretrained_encoder import SPEECH_TYPES, reads_waveforms
from horizon_st.model.pretrained_parts import load_config, prepare_for_training
from horizon_st.model.translator import TEXT_TYPES, SpeechTranslatorModel
from horizon_st.training.devices import resolve_precision
from horizon_st.training.optimizers import make_optimizers
from horizon_st.training.recipe import Recipe
from horizon_st.training.stages import prepare_for_stage, step_of
from horizon_st.training.step import MicroBatch

PUBLISHED_SHAPES: dict[str, type[PreTrainedConfig]] = {
    "facebook/hubert-base-ls960": HubertConfig,
    "facebook/wav2vec2-base": Wav2Vec2Config,
    "facebook/wav2vec2-base-960h": Wav2Vec2Config,
}
"""Encoders whose shape is the default of their type, so that it need not be fetched."""

_SPECIAL = {"pad_id": 1, "bos_id": 0, "eos_id": 2}
_FIRST_WORD = 4
_DURATIONS_S = (5.0, 4.0)
_TOKENS_PER_S = 3.0
_FRAMES_PER_S = 100
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz' "


@dataclass(frozen=True)
class StageTrial:
    """What one update of a stage took, and what its largest batch would take.

    Attributes:
        name: of the stage.
        num_trained: parameters that it trains.
        shapes: of what goes through the model, by name.
        seconds: of the update on the made-up batch, after one to warm up.
        batch: the largest micro-batch that the recipe allows, in words.
        memory_gb: weights, gradients, optimiser and saved activations of such a batch, estimated
            from those of the made-up one; what the allocator wastes comes on top.
        loss: of the update.
    """

    name: str
    num_trained: int
    shapes: dict[str, tuple[int, ...]]
    seconds: float
    batch: str
    memory_gb: float
    loss: float


@dataclass(frozen=True)
class DryRun:
    """The model of a recipe, and a trial of each of its stages."""

    name: str
    num_parameters: dict[str, int]
    stages: list[StageTrial]

    def render(self, console: Console) -> None:
        """Prints two tables."""
        parts = Table("part", title=f"{self.name}: parameters")
        parts.add_column("number", justify="right")
        for part, number in (self.num_parameters | {"all": self.total}).items():
            parts.add_row(part, f"{number:,}")
        console.print(parts)
        table = Table("stage", title="One update on made-up data")
        for heading in ("trained", "seconds", "loss", "largest micro-batch", "takes (GB)"):
            table.add_column(heading, justify="right")
        for stage in self.stages:
            table.add_row(
                stage.name,
                f"{stage.num_trained:,}",
                f"{stage.seconds:.2f}",
                f"{stage.loss:.2f}",
                stage.batch,
                f"{stage.memory_gb:.1f}",
            )
        console.print(table)
        for stage in self.stages:
            shapes = (f"{name} {'×'.join(map(str, s))}" for name, s in stage.shapes.items())
            console.print(f"{stage.name}: {' → '.join(shapes)}", highlight=False, soft_wrap=True)

    @property
    def total(self) -> int:
        """Parameters of the whole model."""
        return sum(self.num_parameters.values())


def dry_run(recipe: Recipe) -> DryRun:
    """The trial of a recipe.

    Raises:
        UserError: an initial or pretrained model is named whose shape is not known here, a
            tokenizer cannot be loaded, the recipe contradicts itself, or the hardware lacks its
            precision.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = resolve_precision(recipe.precision)
    torch.manual_seed(recipe.seed)
    translator = _build(recipe)
    nn.Module.to(translator, device)
    if device.type == "cpu":
        use_cpu_attention(translator)
    stages = []
    for name in recipe.stages.trained:
        prepare_for_stage(recipe, name, translator)
        stages.append(_try(name, recipe, translator, precision))
    return DryRun(recipe.name, _count(translator), stages)


def _build(recipe: Recipe) -> SpeechTranslatorModel:
    if recipe.initial_model is not None:
        raise UserError(
            "initial_model",
            expected="none in a dry run, which makes the model from the recipe alone",
            found=recipe.initial_model,
            remedy="Add initial_model=null, and see that the recipe has the model's shape.",
        )
    model, data, ctc = recipe.model, recipe.data, recipe.objective.ctc_weight > 0
    vocab_size = (
        data.vocab_size
        if data.tokenizer is None
        else vocabulary_size(load_tokenizer(data.tokenizer))
    )
    text_config = (
        fresh_text_config(model.text_model, vocab_size=vocab_size, **_SPECIAL)
        if model.text_model.pretrained is None
        else load_config(model.text_model.pretrained, "model.text_model.pretrained", TEXT_TYPES)
    )
    characters = _CHARACTERS if ctc and model.ctc.unit == "character" else None
    translator = SpeechTranslatorModel(
        translator_config(
            model, text_config, _speech_config(recipe), ctc=ctc, ctc_characters=characters
        )
    )
    initialise(translator.text_model)
    if isinstance(translator.speech_encoder, FilterbankTransformer):
        initialise(translator.speech_encoder.model)
    return translator


def _speech_config(recipe: Recipe) -> PreTrainedConfig | None:
    section = recipe.model.speech_encoder
    if section.pretrained is None:
        return fresh_speech_config(section) if section.layers > 0 else None
    if section.pretrained in PUBLISHED_SHAPES:
        config = PUBLISHED_SHAPES[section.pretrained]()
    else:
        config = load_config(section.pretrained, "model.speech_encoder.pretrained", SPEECH_TYPES)
    prepare_for_training(config, section)
    return config


def _count(translator: SpeechTranslatorModel) -> dict[str, int]:
    parts = {
        "speech encoder": translator.speech_encoder,
        "subsampler": translator.subsampler,
        "encoder of speech's own": translator.own_encoder,
        "text model": translator.text_model,
        "CTC head": translator.ctc_head,
    }
    return {
        name: sum(p.numel() for p in part.parameters())
        for name, part in parts.items()
        if part is not None
    }


def _try(
    name: str, recipe: Recipe, translator: SpeechTranslatorModel, precision: str
) -> StageTrial:
    stage, objective = recipe.stages.of(name), recipe.objective
    has_speech, is_text = name in ("asr", "st"), name.startswith("mt")
    is_mixed = recipe.data.text_pairs is not None and objective.external_mt_weight > 0

    def micro(times: int) -> MicroBatch:
        batch = _batch(recipe, translator, times).to(translator.device)
        pairs = replace(batch, speech=None, speech_lengths=None)
        return MicroBatch(
            speech=batch if has_speech else None,
            text=pairs if is_text or (is_mixed and name == "st") else None,
        )

    step = step_of(recipe, name, translator).train()
    optimizers = make_optimizers(step, stage)
    saved_bytes = []
    for times in (2, 1):  # the first update also makes buffers and chooses algorithms
        made_up = micro(times)
        started = time.perf_counter()
        loss, kept = _forward(
            step,
            made_up,
            precision,
            # An update of those that cost most.
            update=objective.rdrop_every_steps - 1,
            train_speech_encoder=stage.freeze_speech_encoder_steps < stage.max_steps,
        )
        saved_bytes.append(kept)
        loss.backward()
        trained = [parameter for parameter in step.parameters() if parameter.grad is not None]
        gradient_bytes = sum(parameter.nbytes for parameter in trained)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if translator.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    states = sum(
        value.nbytes
        for optimizer in optimizers
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    )
    fixed_bytes = sum(p.nbytes for p in translator.parameters()) + gradient_bytes + states
    batch = made_up.speech or made_up.text
    assert batch is not None
    largest, times_larger = _largest_batch(recipe, batch, has_speech=has_speech)
    # What is kept grows with the batch, but for casts of weights.
    twice, once = saved_bytes
    activations = once + (times_larger - 1) * (twice - once)
    return StageTrial(
        name=name,
        num_trained=sum(parameter.numel() for parameter in trained),
        shapes=_shapes(translator, batch, has_speech=has_speech),
        seconds=seconds,
        batch=largest,
        memory_gb=(fixed_bytes + activations) / 1e9,
        loss=loss.item(),
    )


def _forward(
    step: nn.Module,
    micro: MicroBatch,
    precision: str,
    *,
    update: int,
    train_speech_encoder: bool,
) -> tuple[Tensor, int]:
    """The loss, and the bytes that are kept until its gradient is computed, weights aside."""
    kept: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in step.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    device = next(step.parameters()).device
    counts = [torch.tensor(max(1, number), device=device) for number in micro.num_tokens]
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    with (
        saved_tensors_hooks(keep, lambda tensor: tensor),
        nullcontext() if dtype is None else torch.autocast(device.type, dtype),
    ):
        loss, _ = step(micro, *counts, update=update, train_speech_encoder=train_speech_encoder)
    return loss, sum(kept.values())


def _batch(recipe: Recipe, translator: SpeechTranslatorModel, times: int) -> Batch:
    """Utterances of noise with words drawn at random, as many a second as people say."""
    durations_s = _DURATIONS_S * times
    config = translator.config
    speech_config = config.speech_config
    if reads_waveforms(speech_config):
        lengths = [int(seconds * SAMPLING_RATE) for seconds in durations_s]
        speech = torch.randn(len(lengths), max(lengths))
    else:
        is_whisper = speech_config is not None and speech_config.model_type == "whisper"
        num_bins = speech_config.num_mel_bins if is_whisper else config.num_mel_bins
        lengths = [int(seconds * _FRAMES_PER_S) for seconds in durations_s]
        speech = torch.randn(len(lengths), max(lengths), num_bins)

    def words(highest: int) -> Tensor:
        rows = torch.full(
            (len(lengths), 1 + int(_TOKENS_PER_S * _DURATIONS_S[0])), config.pad_token_id
        )
        for row, seconds in zip(rows, durations_s, strict=True):
            number = int(_TOKENS_PER_S * seconds)
            row[:number] = torch.randint(_FIRST_WORD, highest, (number,))
            row[number] = config.eos_token_id
        return rows

    target = words(config.text_config.vocab_size)
    return Batch(
        ids=[f"made-up{number}" for number in range(len(lengths))],
        speech=speech,
        speech_lengths=torch.tensor(lengths),
        transcript=words(config.text_config.vocab_size),
        target=target,
        num_target_tokens=int((target != config.pad_token_id).sum()),
        characters=None if config.ctc_characters is None else words(len(config.ctc_characters)),
    )


def _largest_batch(recipe: Recipe, batch: Batch, *, has_speech: bool) -> tuple[str, float]:
    """The most that a micro-batch may hold, and how many times the made-up one that is."""
    data = recipe.data
    if has_speech:
        made_up_s = len(_DURATIONS_S) * max(_DURATIONS_S)
        return f"{data.max_batch_s:g} s of speech", data.max_batch_s / made_up_s
    return f"{data.max_batch_tokens} tokens", data.max_batch_tokens / batch.target.numel()


@torch.no_grad()
def _shapes(
    translator: SpeechTranslatorModel, batch: Batch, *, has_speech: bool
) -> dict[str, tuple[int, ...]]:
    """Of the input, the states of the shared encoder, and the scores."""
    speech, text = run_passes(
        translator,
        speech=batch.speech,
        speech_lengths=batch.speech_lengths,
        transcript=batch.transcript,
        target=batch.target,
        num_speech=int(has_speech),
        num_text=int(not has_speech),
    )
    [output] = speech or text
    given = batch.speech if has_speech else batch.transcript
    assert given is not None
    return {
        "input": tuple(given.shape),
        "encoder": tuple(output.encoder_states.shape),
        "logits": tuple(output.logits.shape),
    }
