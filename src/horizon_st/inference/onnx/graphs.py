"""A trained model as modules of tensors alone, each of which becomes one ONNX graph.

    speech or tokens -> encoder -> states -> cross attention -> keys and values of decoder layers
    tokens, past, these keys and values -> decoder -> log probabilities, and a longer past

Legend: B utterances, H beams of each, S tokens, P tokens of the past, T encoder states, N samples,
F mel bins, A heads, D width, W width of a head, V vocabulary.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import BaseModelOutput

from horizon_st.decoding.shared_keys import shared_keys
from horizon_st.errors import UserError, reason_of
from horizon_st.inference.onnx.folder import graph_path
from horizon_st.model.translator import SpeechTranslatorModel

_BATCH, _BEAMS, _TOKENS = 2, 3, 5
"""Of the example that each graph is traced with; all of them may differ when it is used."""


def write_graphs(
    model: SpeechTranslatorModel, example: tuple[Tensor, Tensor], folder: Path
) -> None:
    """Writes the four graphs of a model.

    Args:
        model: in evaluation mode, with a speech encoder that is exportable.
        example: two utterances of different length, padded, and their lengths.
        folder: where NAME.onnx are written.
    """
    batch, frames, tokens, states = ({0: "batch"}, {1: "frames"}, {1: "tokens"}, {1: "states"})
    of_states = batch | states
    speech, lengths = example
    write_graph(
        graph_path(folder, "speech_encoder"),
        SpeechGraph(model),
        {"speech": speech, "lengths": lengths},
        {"speech": batch | frames, "lengths": batch},
        ["states", "num_states"],
    )
    sentences = torch.zeros(_BATCH, _TOKENS, dtype=torch.int64)
    write_graph(
        graph_path(folder, "text_encoder"),
        TextGraph(model),
        {"tokens": sentences},
        {"tokens": batch | tokens},
        ["states", "num_states"],
    )
    encoded = model.encode_text(sentences).states
    cross = CrossAttentionGraph(model)(encoded)
    write_graph(
        graph_path(folder, "cross_attention"),
        CrossAttentionGraph(model),
        {"states": encoded},
        {"states": of_states},
        [f"cross_{number}" for number, _ in enumerate(cross)],
    )
    past = [key[:, None].repeat(1, _BEAMS, 1, 1, 1) for key in cross]
    beams = batch | {1: "beams"}
    write_graph(
        graph_path(folder, "decoder"),
        DecoderGraph(model),
        {
            "tokens": torch.zeros(_BATCH, _BEAMS, dtype=torch.int64),
            "num_states": torch.tensor([_TOKENS, _TOKENS - 1]),
            "past": past,
            "cross": [*cross],
        },
        {
            "tokens": beams,
            "num_states": batch,
            "past": [beams | {3: "past"} for _ in past],
            "cross": [batch | {2: "states"} for _ in cross],
        },
        ["log_probabilities", *(f"longer_{number}" for number, _ in enumerate(past))],
    )


def write_graph(
    path: Path,
    module: nn.Module,
    inputs: dict[str, Any],
    axes: dict[str, Any],
    output_names: Sequence[str],
) -> None:
    """Traces a module and writes its graph.

    Args:
        path: of the file.
        module: in any mode.
        inputs: an example of its arguments, tensors or lists of them.
        axes: likewise, the names of those axes that may have any length.
        output_names: of its outputs.

    Raises:
        UserError: it cannot be traced.
    """
    names = [
        name if isinstance(value, Tensor) else f"{name}_{number}"
        for name, value in inputs.items()
        for number in range(1 if isinstance(value, Tensor) else len(value))
    ]
    try:
        with quiet(), torch.no_grad():
            traced = torch.export.export(
                module.eval(), (), inputs, dynamic_shapes=_any_length(axes), strict=False
            )
            program = torch.onnx.export(
                traced,
                input_names=names,
                output_names=output_names,
                dynamic_shapes=axes,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # of models that they do not know, both raise anything
        raise UserError(
            path.name,
            expected="a model that the installed PyTorch can export",
            found=reason_of(error),
            remedy="Translate with PyTorch, or try other versions of torch and transformers.",
        ) from error
    assert program is not None
    program.save(path)


def _any_length(axes: Any) -> Any:
    """The named axes as `torch.export` takes them: it finds out which of them are alike."""
    if isinstance(axes, list):
        return [_any_length(each) for each in axes]
    return {key: Dim.AUTO if isinstance(key, int) else _any_length(axes[key]) for key in axes}


@contextmanager
def quiet() -> Iterator[None]:
    """A context without what exporters say of operators that are not there, or of their code."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


class SpeechGraph(nn.Module):
    """Speech [B, T, F] or [B, N] and its lengths [B] -> states [B, T, D] and their number [B]."""

    def __init__(self, model: SpeechTranslatorModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States, padded, and how many are real."""
        encoded = self.model.encode_speech(speech, lengths)
        return encoded.states, encoded.mask.sum(dim=1)


class TextGraph(nn.Module):
    """Tokens [B, S], padded -> states [B, S, D] and their number [B]."""

    def __init__(self, model: SpeechTranslatorModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """States, padded, and how many are real."""
        encoded = self.model.encode_text(tokens)
        return encoded.states, encoded.mask.sum(dim=1)


class CrossAttentionGraph(nn.Module):
    """States [B, T, D] -> a key and a value [B, A, T, W] of each decoder layer."""

    def __init__(self, model: SpeechTranslatorModel) -> None:
        super().__init__()
        self.text_model = model.text_model
        self.start = model.config.decoder_start_token_id

    def forward(self, states: Tensor) -> tuple[Tensor, ...]:
        """Key, value, key, value, and so on."""
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        # What it computes beside these keys and values is left out of the graph.
        self.text_model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            decoder_input_ids=states.new_full((states.shape[0], 1), self.start, dtype=torch.int64),
            past_key_values=cache,
            use_cache=True,
        )
        return _tensors_of(cache.cross_attention_cache)


class DecoderGraph(nn.Module):
    """The last tokens of all beams [B, H] -> log probabilities [B, H, V], and the longer past.

    The past is a key and a value [B, H, A, P, W] of each layer; what the beams of an utterance
    attend to, a key and a value [B, A, T, W] of each layer, they share.
    """

    def __init__(self, model: SpeechTranslatorModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, tokens: Tensor, num_states: Tensor, past: list[Tensor], cross: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Log probabilities, key, value, key, value, and so on."""
        num_utterances, num_beams = tokens.shape
        mask = torch.arange(cross[0].shape[2])[None] < num_states[:, None]
        states = cross[0][:, 0, :, :1]  # not read, but for its shape
        with shared_keys(self.model) as is_shared:
            if not is_shared:
                mask, states, *cross = (
                    x.repeat_interleave(num_beams, dim=0) for x in (mask, states, *cross)
                )
            cache = EncoderDecoderCache(
                _cache_of([x.flatten(0, 1) for x in past]), _cache_of(cross)
            )
            logits = self.model.text_model(
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                attention_mask=mask,
                decoder_input_ids=tokens.reshape(-1, 1),
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]
        longer = [
            x.unflatten(0, (num_utterances, num_beams))
            for x in _tensors_of(cache.self_attention_cache)
        ]
        log_probabilities = logits.float().log_softmax(dim=-1)
        return log_probabilities.unflatten(0, (num_utterances, num_beams)), *longer


def _cache_of(tensors: list[Tensor]) -> DynamicCache:
    cache = DynamicCache()
    for layer, (key, value) in enumerate(zip(tensors[::2], tensors[1::2], strict=True)):
        cache.update(key, value, layer)
    return cache


def _tensors_of(cache: DynamicCache) -> tuple[Tensor, ...]:
    layers = cast("list[DynamicLayer]", cache.layers)
    return tuple(cast("Tensor", x) for layer in layers for x in (layer.keys, layer.values))
