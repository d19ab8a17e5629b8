"""A folder or hub id to a model that is ready to translate, with its tokenizer and front end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from horizon_st.data.frontend import Frontend, load_frontend
from horizon_st.data.text import load_tokenizer
from horizon_st.decoding.model_folder import (
    COPY_AGAIN,
    REMEDY,
    find_folder,
    fingerprint,
    read_object,
)
from horizon_st.errors import UserError, reason_of
from horizon_st.model.configuration import SpeechTranslatorConfig
from horizon_st.model.translator import SpeechTranslatorModel

WEIGHTS_FILE = "model.safetensors"
_INDEX_FILE = f"{WEIGHTS_FILE}.index.json"
_FRONTEND_FILE = "preprocessor_config.json"
_GENERATION_FILE = "generation_config.json"
_UNUSABLE = (
    ValueError, TypeError, KeyError, AttributeError, ArithmeticError, StrictDataclassError,
)  # fmt: skip
"""What transformers raises of settings that are JSON but make no sense."""


@dataclass(frozen=True)
class TrainedModel:
    """The model in evaluation mode and 32-bit floats, and what belongs to it."""

    folder: Path
    model: SpeechTranslatorModel
    tokenizer: PreTrainedTokenizerBase
    frontend: Frontend


def load_trained_model(source: str | Path, *, device: str | None = None) -> TrainedModel:
    """The model, tokenizer and front end that a folder or a hub id holds.

    Args:
        source: a folder that exists, or else the id of a model on the Hugging Face hub.
        device: as PyTorch names it; None takes CUDA where it is, and the processor elsewhere.

    Raises:
        UserError: there is no such model, it is incomplete, or its weights cannot be read, or there
            is no such device.
    """
    place = _find_device(device)
    folder = find_folder(source)
    _check_files(folder)
    _check_generation_settings(folder)
    model = _load_weights(folder)
    nn.Module.to(model, place)
    return TrainedModel(
        folder=folder,
        model=model.eval(),
        tokenizer=load_tokenizer(folder),
        frontend=_load_frontend(folder),
    )


def weights_fingerprint(folder: Path) -> str:
    """The SHA-256 of the weights, in hexadecimal; over all files in the order of their names."""
    return fingerprint(*sorted(folder.glob("model*.safetensors")))


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keeps transformers' bar away from the terminal: loading takes a moment."""
    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()


def _check_files(folder: Path) -> None:
    for name in ("config.json", _GENERATION_FILE, WEIGHTS_FILE, _FRONTEND_FILE):
        is_sharded = name == WEIGHTS_FILE and (folder / _INDEX_FILE).is_file()
        if not (folder / name).is_file() and not is_sharded:
            raise UserError(
                str(folder),
                expected=f"a model folder (config.json, {WEIGHTS_FILE}, {_FRONTEND_FILE}, ...)",
                found=f"no {name}",
                remedy=REMEDY,
            )
    model_type = read_object(folder / "config.json", REMEDY).get("model_type")
    if model_type != SpeechTranslatorConfig.model_type:
        raise UserError(
            str(folder / "config.json"),
            expected=f"model_type {SpeechTranslatorConfig.model_type!r}",
            found=model_type,
            remedy=REMEDY,
        )


def _check_generation_settings(folder: Path) -> None:
    """Without this file transformers would make it up, and lose the language to translate into."""
    path = folder / _GENERATION_FILE
    values = read_object(path, COPY_AGAIN)
    try:
        settings: GenerationConfig = GenerationConfig.from_dict(values)
    except _UNUSABLE as error:
        raise UserError(
            str(path),
            expected="the settings of generation",
            found=reason_of(error),
            remedy=COPY_AGAIN,
        ) from error
    if settings.eos_token_id is None:
        raise UserError(
            str(path), expected="a value of eos_token_id", found="none", remedy=COPY_AGAIN
        )


def _find_device(name: str | None) -> torch.device:
    try:
        place = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=place).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:  # as PyTorch says it
        raise UserError(
            "device",
            expected="a device that PyTorch finds here, such as cpu, cuda or cuda:1",
            found=f"{name}, and {reason_of(error)}",
            remedy="Leave it out to take a GPU where there is one.",
        ) from error
    return place


def _load_frontend(folder: Path) -> Frontend:
    try:
        return load_frontend(folder)
    except (OSError, *_UNUSABLE) as error:
        raise UserError(
            str(folder / _FRONTEND_FILE),
            expected="the settings of a front end as JSON",
            found=reason_of(error),
            remedy=COPY_AGAIN,
        ) from error


def _load_weights(folder: Path) -> SpeechTranslatorModel:
    # transformers' annotation does not know that two things come back.
    load = cast("Callable[..., tuple[Any, dict[str, Any]]]", SpeechTranslatorModel.from_pretrained)
    try:
        with _no_progress_bar():
            model, report = load(folder, dtype=torch.float32, output_loading_info=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UserError(
            str(folder / WEIGHTS_FILE),
            expected="weights that fit config.json",
            found=reason_of(error),
            remedy=f"{COPY_AGAIN} The file is truncated or from another model.",
        ) from error
    except UserError:
        raise
    except _UNUSABLE as error:
        raise UserError(
            str(folder / "config.json"),
            expected="the settings of a model",
            found=reason_of(error),
            remedy=COPY_AGAIN,
        ) from error
    differing = sorted([*report["missing_keys"], *report["unexpected_keys"]])
    if differing:
        raise UserError(
            str(folder / WEIGHTS_FILE),
            expected="the tensors of config.json, neither more nor fewer",
            found=f"{len(differing)} that differ, the first is {differing[0]}",
            remedy=f"{COPY_AGAIN} The file is from another model.",
        )
    assert isinstance(model, SpeechTranslatorModel)
    return model
