"""Speech or text -> logits of the translation, by one model for both.

    speech -> speech encoder -> subsampler -> +
    tokens -> embedding --------------------> shared encoder -> shared decoder -> logits

With `share_encoder` off, speech passes a second encoder, of its own, in place of the shared one.

Legend: B utterances, P passes, T encoder states, S transcript tokens, L target tokens, D width,
V vocabulary.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoModelForSpeechSeq2Seq,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from horizon_st.data.characters import BLANK, num_character_units
from horizon_st.errors import UserError
from horizon_st.model.configuration import SpeechTranslatorConfig
from horizon_st.model.outputs import CtcOutput, Decoded, Encoded
from horizon_st.model.pretrained_encoder import make_speech_encoder
from horizon_st.model.speech_encoder import SpeechEncoder
from horizon_st.model.subsampler import Conv1dSubsampler, length_mask

SCALES_EMBEDDING = ("marian", "bart", "mbart", "m2m_100")
"""Families that multiply token embeddings, but not ``inputs_embeds``, by sqrt(d_model)."""
LIMITS_POSITIONS = ("marian", "bart", "mbart")
"""Families whose table of positions ends at ``max_position_embeddings``."""
TEXT_TYPES = (*SCALES_EMBEDDING, "t5", "mt5")


class SpeechTranslatorModel(PreTrainedModel, GenerationMixin):
    """A speech encoder, a subsampler and an encoder-decoder shared by speech and text.

    Args:
        config: all sub-models; see ``build_translator`` for a model from a recipe.
    """

    config_class = SpeechTranslatorConfig
    base_model_prefix = "translator"
    main_input_name = "speech"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules: list[str] = []

    speech_encoder: SpeechEncoder
    subsampler: Conv1dSubsampler
    text_model: PreTrainedModel
    own_encoder: PreTrainedModel | None
    ctc_head: nn.Linear | None

    def __init__(self, config: SpeechTranslatorConfig) -> None:
        super().__init__(config)
        assert not isinstance(config.speech_config, dict)
        text: PreTrainedConfig = config.get_text_config()
        self.speech_encoder = make_speech_encoder(
            config.speech_config,
            num_mel_bins=config.num_mel_bins,
            frozen=config.freeze_speech_encoder,
            freeze_feature_encoder=config.freeze_feature_encoder,
        )
        self.subsampler = Conv1dSubsampler(
            self.speech_encoder.output_width,
            config.mid_channels,
            text.d_model,
            config.kernel_sizes,
            mask_padding=True,
        )
        self.text_model = AutoModelForSeq2SeqLM.from_config(text)
        self.own_encoder = None if config.share_encoder else self._copy_of_encoder()
        self.ctc_head = self._new_ctc_head(config, text) if config.ctc else None
        self.embedding_scale = (
            math.sqrt(text.d_model)
            if text.model_type in SCALES_EMBEDDING and text.scale_embedding
            else 1.0
        )
        self.max_positions = (
            text.max_position_embeddings if text.model_type in LIMITS_POSITIONS else None
        )
        self.post_init()

    def _new_ctc_head(self, config: SpeechTranslatorConfig, text: PreTrainedConfig) -> nn.Linear:
        on_speech_encoder = config.ctc_position == "speech_encoder"
        width = self.speech_encoder.output_width if on_speech_encoder else text.d_model
        characters = config.ctc_characters
        num_units = text.vocab_size if characters is None else num_character_units(characters)
        return nn.Linear(width, num_units)

    @property
    def ctc_blank(self) -> int:
        """The unit of CTC that stands for nothing: the padding of its targets."""
        has_pieces = self.config.ctc_characters is None
        return self.config.pad_token_id if has_pieces else BLANK

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Set the layers between the sub-models as PyTorch does; those set their own."""
        if isinstance(module, (nn.Conv1d, nn.Linear)):
            bound = 1 / math.sqrt(module.weight[0].numel())
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.uniform_(module.bias, -bound, bound)

    def get_encoder(self, modality: str | None = None) -> PreTrainedModel:
        """The encoder of the text model, which speech may share."""
        encoder: PreTrainedModel = self.text_model.get_encoder()
        return encoder

    def part_encoders(self) -> None:
        """Gives speech an encoder of its own, as the text model's is now, unless it has one."""
        if self.own_encoder is None:
            self.own_encoder = self._copy_of_encoder()
            self.config.share_encoder = False

    def _copy_of_encoder(self) -> PreTrainedModel:
        """Without the token embedding, which speech does not pass."""
        encoder = self.get_encoder()
        return copy.deepcopy(encoder, {id(encoder.embed_tokens): None})

    def get_input_embeddings(self) -> nn.Module:
        """The token embedding of the text model."""
        embeddings: nn.Module = self.text_model.get_input_embeddings()
        return embeddings

    def get_output_embeddings(self) -> nn.Module:
        """The output layer of the text model."""
        embeddings: nn.Module = self.text_model.get_output_embeddings()
        return embeddings

    def encode_speech(
        self,
        speech: Tensor,
        speech_lengths: Int[Tensor, " B"],
        num_passes: int = 1,
        *,
        share_speech_encoder: bool = False,
        train_speech_encoder: bool = True,
    ) -> Encoded:
        """Encoder states of speech; pass p of utterance b is row p * B + b.

        What contains no dropout (filterbanks, a frozen encoder, the subsampler after them), or is
        to be shared, is computed once and repeated, but for what CTC reads. Without
        `train_speech_encoder` no gradient reaches it; its dropout stays.
        """
        is_shared = share_speech_encoder or not self.speech_encoder.is_random
        encoder_passes = 1 if is_shared else num_passes
        with torch.set_grad_enabled(torch.is_grad_enabled() and train_speech_encoder):
            frames, frame_counts = self.speech_encoder(speech, speech_lengths, encoder_passes)
        features, lengths = self.subsampler(frames, frame_counts)
        self._check_length(features.shape[1], "speech", "frames after subsampling")
        repeats = num_passes // encoder_passes
        embeds = (features * self.embedding_scale).repeat(repeats, 1, 1)
        mask = length_mask(lengths, features.shape[1]).repeat(repeats, 1)
        encoder = self.get_encoder() if self.own_encoder is None else self.own_encoder
        states = encoder(inputs_embeds=embeds, attention_mask=mask).last_hidden_state
        if self.config.ctc_position == "shared_encoder":
            return Encoded(states, mask, states, mask)
        return Encoded(states, mask, frames, length_mask(frame_counts, frames.shape[1]))

    def ctc_output(self, speech: Tensor, speech_lengths: Int[Tensor, " B"]) -> CtcOutput:
        """Scores of the CTC head on the speech encoder, without the rest of the model."""
        assert self.ctc_head is not None
        assert self.config.ctc_position == "speech_encoder"
        frames, lengths = self.speech_encoder(speech, speech_lengths)
        return CtcOutput(self.ctc_head(frames), length_mask(lengths, frames.shape[1]))

    def num_states(self, speech_lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """How many encoder states speech of these lengths has."""
        return self.subsampler.num_frames(self.speech_encoder.num_frames(speech_lengths))

    def num_ctc_states(self, speech_lengths: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """How many states of speech of these lengths the CTC head reads."""
        if self.config.ctc_position == "shared_encoder":
            return self.num_states(speech_lengths)
        return self.speech_encoder.num_frames(speech_lengths)

    def encode_text(
        self,
        input_ids: Int[Tensor, "B S"],
        attention_mask: Tensor | None = None,
        num_passes: int = 1,
    ) -> Encoded:
        """Encoder states of tokens; pass p of row b is row p * B + b.

        A row of nothing but padding attends to its first position, so that its states are finite.
        """
        self._check_length(input_ids.shape[1], "text", "tokens")
        if attention_mask is None:
            attention_mask = input_ids != self.config.pad_token_id
        mask = attention_mask.bool()
        mask = mask | (
            ~mask.any(dim=1, keepdim=True) & length_mask(mask.new_ones(1).long(), mask.shape[1])
        )
        mask = mask.repeat(num_passes, 1)
        states = self.get_encoder()(
            input_ids=input_ids.repeat(num_passes, 1), attention_mask=mask
        ).last_hidden_state
        return Encoded(states, mask)

    def decode(self, encoded: Encoded, decoder_input_ids: Int[Tensor, "B L"]) -> Decoded:
        """Logits and last decoder states for every prefix of ``decoder_input_ids``."""
        self._check_length(decoder_input_ids.shape[1], "target", "tokens")
        output = self.text_model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded.states),
            attention_mask=encoded.mask,
            decoder_input_ids=decoder_input_ids,
            use_cache=False,
            output_hidden_states=True,
        )
        return Decoded(output.logits, output.decoder_hidden_states[-1])

    def shift_right(self, target: Int[Tensor, "B L"]) -> Int[Tensor, "B L"]:
        """What the decoder reads to predict ``target``: the start symbol, then all but the last."""
        start = target.new_full((target.shape[0], 1), self.config.decoder_start_token_id)
        return torch.cat([start, target[:, :-1]], dim=1)

    def forward(
        self,
        speech: Tensor | None = None,
        speech_lengths: Int[Tensor, " B"] | None = None,
        input_ids: Int[Tensor, "B S"] | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Int[Tensor, "B L"] | None = None,
        labels: Int[Tensor, "B L"] | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> Seq2SeqLMOutput:
        """Logits of one pass over speech, or over ``input_ids``, or over given encoder states.

        ``attention_mask`` belongs to ``input_ids`` or to ``encoder_outputs``. With ``labels``
        (padded with the padding id or -100) the mean cross-entropy comes along as ``loss``.
        """
        if encoder_outputs is None:
            encoded = self._encode(speech, speech_lengths, input_ids, attention_mask)
            encoder_outputs = BaseModelOutput(last_hidden_state=encoded.states)
            attention_mask = encoded.mask
        if labels is not None:
            labels = labels.masked_fill(labels == -100, self.config.pad_token_id)
            decoder_input_ids = self.shift_right(labels)
        assert decoder_input_ids is not None, "forward needs labels or decoder_input_ids"
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        self._check_length(past + decoder_input_ids.shape[1], "target", "tokens")
        output: Seq2SeqLMOutput = self.text_model(
            encoder_outputs=encoder_outputs,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            past_key_values=past_key_values,
            **kwargs,
        )
        if labels is not None:
            assert output.logits is not None
            output.loss = nn.functional.cross_entropy(
                output.logits.flatten(0, 1).float(),
                labels.flatten(),
                ignore_index=self.config.pad_token_id,
            )
        return output

    @torch.no_grad()
    def generate(
        self,
        *,
        speech: Tensor | None = None,
        speech_lengths: Int[Tensor, " B"] | None = None,
        input_ids: Int[Tensor, "B S"] | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Token ids of translations, as transformers' ``generate`` returns them.

        Takes speech with its lengths, or ``input_ids``; all else (``num_beams``,
        ``length_penalty``, ``max_new_tokens``, ``forced_bos_token_id``, ...) is passed on.
        """
        encoded = self._encode(speech, speech_lengths, input_ids, attention_mask)
        return super().generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded.states),
            attention_mask=encoded.mask.long(),
            **kwargs,
        )

    def _encode(
        self,
        speech: Tensor | None,
        speech_lengths: Tensor | None,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
    ) -> Encoded:
        if speech is None and input_ids is not None:
            return self.encode_text(input_ids, attention_mask)
        if speech is not None and input_ids is None and speech_lengths is not None:
            return self.encode_speech(speech, speech_lengths)
        given = {"speech": speech, "speech_lengths": speech_lengths, "input_ids": input_ids}
        raise UserError(
            "SpeechTranslatorModel",
            expected="speech with speech_lengths, or input_ids",
            found=", ".join(name for name, value in given.items() if value is not None) or "none",
            remedy="Pass speech with speech_lengths to translate speech, input_ids for text.",
        )

    def _check_length(self, length: int, what: str, unit: str) -> None:
        if self.max_positions is not None and length > self.max_positions:
            raise UserError(
                what,
                expected=f"at most {self.max_positions} {unit}, the positions of the text model",
                found=f"{length} {unit}",
                remedy="Split or leave out longer ones, or train with a larger "
                "model.text_model.max_positions, or with architecture m2m_100 or t5, "
                "which have no limit.",
            )


AutoModel.register(SpeechTranslatorConfig, SpeechTranslatorModel)
AutoModelForSpeechSeq2Seq.register(SpeechTranslatorConfig, SpeechTranslatorModel)
