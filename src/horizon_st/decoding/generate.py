"""Batches to translations; in 32-bit floats, the result does not depend on the batches.

Legend: B utterances, H beams, T encoder states, L target tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import GenerationMixin, PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutput

from horizon_st.data.collate import Batch
from horizon_st.decoding.beam_search import FoundSequence, beam_search
from horizon_st.decoding.configuration import DecodingConfig, Hypothesis
from horizon_st.errors import UserError
from horizon_st.hardware import gpu_has_bf16
from horizon_st.model.outputs import Encoded
from horizon_st.model.translator import SpeechTranslatorModel

Modality = Literal["speech", "text"]


def translate(
    model: SpeechTranslatorModel,
    tokenizer: PreTrainedTokenizerBase,
    batches: Iterable[Batch],
    config: DecodingConfig,
    *,
    modality: Modality = "speech",
    prefixes: Mapping[str, Sequence[int]] | None = None,
    on_decoded: Callable[[int], None] | None = None,
) -> list[Hypothesis]:
    """The best translation of every utterance, in the order of the batches.

    The model decodes in evaluation mode and is left in the mode it was in. In 32-bit floats, the
    default, the translations do not depend on the batches.

    Args:
        model: on any device.
        tokenizer: of the model.
        batches: on any device; `config.batch_size` is not applied here.
        config: the search.
        modality: translate the speech, or the transcript (the model's MT path).
        prefixes: the tokens that the translation of an utterance begins with, by its id.
        on_decoded: called after every batch with its number of utterances.

    Raises:
        UserError: text is to be translated and an utterance has no transcript, or the model's
            scores are not finite, or bf16 is asked for on a GPU that lacks it.
    """
    hypotheses: list[Hypothesis] = []
    check_precision(config, model.device)
    reduced = torch.autocast(model.device.type, torch.bfloat16, enabled=config.precision == "bf16")
    with _evaluating(model):
        for batch in batches:  # whose features may be computed only now, in 32-bit floats
            with reduced:
                hypotheses += _translate_batch(
                    model, tokenizer, batch, config, modality, prefixes or {}
                )
            if on_decoded is not None:
                on_decoded(len(batch.ids))
    return hypotheses


def check_precision(config: DecodingConfig, device: torch.device) -> None:
    """Nothing, when the device can decode in the precision.

    Raises:
        UserError: bf16 is asked for on a GPU that lacks it.
    """
    if config.precision == "bf16" and device.type == "cuda" and not gpu_has_bf16():
        raise UserError(
            "decoding.precision",
            expected="fp32 with a GPU that lacks bf16",
            found=f"{config.precision} on {torch.cuda.get_device_name()}",
            remedy="Set it to fp32.",
        )


def _translate_batch(
    model: SpeechTranslatorModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Batch,
    config: DecodingConfig,
    modality: Modality,
    prefixes: Mapping[str, Sequence[int]],
) -> list[Hypothesis]:
    encoded = _encode(model, batch.to(model.device), modality)
    begins = [prefixes.get(identity, ()) for identity in batch.ids]
    limits = _token_limits(model, encoded, config, begins)
    # The model's own `generate` encodes once more.
    search = cast("Callable[..., list[FoundSequence]]", GenerationMixin.generate)
    found = search(
        model,
        encoder_outputs=BaseModelOutput(last_hidden_state=encoded.states),
        attention_mask=encoded.mask.long(),
        custom_generate=beam_search,
        limits=limits,
        prefixes=_padded(begins, limits.device),
        **_search_settings(config, int(limits.max())),
    )
    return [
        Hypothesis(
            identity,
            str(tokenizer.decode(sequence.tokens, skip_special_tokens=True)).strip(),
            sequence.log_probability / len(sequence.tokens),
            tuple(sequence.tokens.tolist()),
        )
        for identity, sequence in zip(batch.ids, found, strict=True)
    ]


def _encode(model: SpeechTranslatorModel, batch: Batch, modality: Modality) -> Encoded:
    if modality == "speech":
        assert batch.speech is not None, "a batch of text pairs has no speech"
        assert batch.speech_lengths is not None, "speech has lengths"
        return model.encode_speech(batch.speech.float(), batch.speech_lengths)
    has_transcript = (batch.transcript != model.config.pad_token_id).any(dim=1).tolist()
    for identity, has_one in zip(batch.ids, has_transcript, strict=True):
        if not has_one:
            raise UserError(
                f"utterance {identity}",
                expected="a transcript to translate from",
                found="none",
                remedy="Use a manifest whose utterances all have `text`, or translate speech.",
            )
    return model.encode_text(batch.transcript)


def _token_limits(
    model: SpeechTranslatorModel,
    encoded: Encoded,
    config: DecodingConfig,
    prefixes: Sequence[Sequence[int]],
) -> Int[Tensor, " B"]:
    """Most tokens of each utterance, end token included, from its own length and prefix alone."""
    num_states = encoded.mask.sum(dim=1)
    limits = [
        config.most_tokens(number, model.max_positions, len(prefix))
        for number, prefix in zip(num_states.tolist(), prefixes, strict=True)
    ]
    return num_states.new_tensor(limits)


def _padded(prefixes: Sequence[Sequence[int]], device: torch.device) -> Tensor | None:
    if not any(prefixes):
        return None
    rows = [torch.tensor([*prefix], dtype=torch.int64) for prefix in prefixes]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1).to(device)


def _search_settings(config: DecodingConfig, max_new_tokens: int) -> dict[str, Any]:
    """What replaces settings of a pretrained text model; others stay, as a forced first token.

    As arguments of `generate`: from a `GenerationConfig` a None would leave the model's setting.
    """
    return {
        "num_beams": config.beam_size,
        "length_penalty": config.length_penalty,
        "no_repeat_ngram_size": config.no_repeat_ngram_size,
        "max_new_tokens": max_new_tokens,
        "max_length": None,
        "min_new_tokens": None,
        "min_length": 0,
        "forced_eos_token_id": None,
        "early_stopping": False,
        "do_sample": False,
        "num_return_sequences": 1,
        "return_dict_in_generate": False,
        "use_cache": True,
        "cache_implementation": None,
    }


@contextmanager
def _evaluating(model: SpeechTranslatorModel) -> Iterator[None]:
    """The model without dropout and gradients, and no autocast but what is turned on inside.

    Everything is put back.

    Not `torch.inference_mode`: a position table that grows meanwhile (M2M-100's) would become an
    inference tensor, which data-parallel training cannot write to.
    """
    was_training = [module for module in model.modules() if module.training]
    matmul_precision = torch.get_float32_matmul_precision()
    model.eval()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.no_grad(),
            torch.autocast(model.device.type, enabled=False),
            torch.backends.cudnn.flags(
                enabled=torch.backends.cudnn.enabled, deterministic=True, allow_tf32=False
            ),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul_precision)
        for module in was_training:
            module.training = True
