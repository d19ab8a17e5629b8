"""Beam search that drops an utterance from the batch as soon as its translation is found.

The loop of `transformers`' ``generate`` (passed to it as ``custom_generate``), with its results:
there, finished utterances are computed on until the last of the batch ends, and every beam keeps
its own copy of the keys and values of the encoder states, reordered at every token.

Legend: B utterances still searched, H beams, BH their product, E end tokens, K = (1 + E) H
candidates, L target tokens, P tokens of a prefix, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import EncoderDecoderCache, GenerationConfig, LogitsProcessorList
from transformers.modeling_outputs import BaseModelOutput

from horizon_st.decoding.shared_keys import shared_keys
from horizon_st.errors import UserError
from horizon_st.model.translator import SpeechTranslatorModel


@dataclass(frozen=True)
class FoundSequence:
    """The best sequence of one utterance.

    Attributes:
        tokens: with the end token, without the start symbol.
        log_probability: natural, the sum over the tokens, before logits processors.
    """

    tokens: Int[Tensor, " L"]
    log_probability: float


def beam_search(
    model: SpeechTranslatorModel,
    input_ids: Int[Tensor, "BH 1"],
    logits_processor: LogitsProcessorList,
    generation_config: GenerationConfig,
    *,
    limits: Int[Tensor, " B"],
    prefixes: Int[Tensor, "B P"] | None = None,
    **model_kwargs: Any,
) -> list[FoundSequence]:
    """The best sequence of every utterance; for ``generate(custom_generate=beam_search)``.

    An utterance is done when its H best finished sequences all score higher than its best
    unfinished one (``early_stopping=False``), or, with one beam, when that ends. Its last token at
    its limit is an end token, with its raw log probability if the logits processors forbid all.

    Args:
        model: in evaluation mode.
        input_ids: the start symbol.
        logits_processor: applied to log probabilities, with one beam to logits.
        generation_config: beams, length penalty and end tokens are read.
        limits: most tokens of an utterance, end token included.
        prefixes: what each utterance begins with, padded with -1, whatever the logits processors
            say.
        model_kwargs: ``encoder_outputs`` and ``attention_mask`` of every utterance H times, and
            ``past_key_values``, empty.

    Raises:
        UserError: the model's scores are not finite.
    """
    # Named as parameters of their own, `generate` would not prepare them.
    cache: EncoderDecoderCache = model_kwargs["past_key_values"]
    num_beams: int = generation_config.num_beams
    search = _Search(
        input_ids=input_ids,
        limits=limits,
        prefixes=prefixes,
        logits_processor=logits_processor,
        num_beams=num_beams,
        length_penalty=generation_config.length_penalty,
        end_ids=input_ids.new_tensor(generation_config.eos_token_id).unique(),
    )
    # The beams of an utterance are alike until the first token is chosen.
    tokens = input_ids[::num_beams]
    states = model_kwargs["encoder_outputs"].last_hidden_state[::num_beams]
    mask = model_kwargs["attention_mask"][::num_beams]
    with shared_keys(model) as is_shared:
        num_copies = 1 if is_shared else num_beams
        while True:
            logits = model(
                decoder_input_ids=tokens,
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]
            if search.num_tokens == 0:
                logits = logits.repeat_interleave(num_beams, dim=0)
                cache.self_attention_cache.batch_repeat_interleave(num_beams)
                cache.cross_attention_cache.batch_repeat_interleave(num_copies)
                states, mask = (x.repeat_interleave(num_copies, dim=0) for x in (states, mask))
            parents = search.advance(logits.float())
            is_open = search.is_open
            num_open = int(is_open.sum())
            if num_open == 0:
                return search.found
            rows = cast("torch.LongTensor", parents[is_open].flatten())
            cache.self_attention_cache.reorder_cache(rows)
            if num_open < len(is_open):
                kept = is_open.repeat_interleave(num_copies)
                cache.cross_attention_cache.batch_select_indices(kept)
                states, mask = states[kept], mask[kept]
                search.drop_closed()
            tokens = search.prefixes[:, -1:]


class _Search:
    """The beams of the utterances still searched, and the best sequence of every utterance."""

    def __init__(
        self,
        input_ids: Int[Tensor, "BH 1"],
        limits: Int[Tensor, " B"],
        prefixes: Int[Tensor, "B P"] | None,
        logits_processor: LogitsProcessorList,
        num_beams: int,
        length_penalty: float,
        end_ids: Int[Tensor, " E"],
    ) -> None:
        num_utterances = len(limits)
        shape, device = (num_utterances, num_beams), input_ids.device
        self._logits_processor = logits_processor
        self._num_beams = num_beams
        self._length_penalty = length_penalty
        self._end_ids = end_ids
        self._found: list[FoundSequence | None] = [None] * num_utterances
        self._utterances = torch.arange(num_utterances, device=device)
        self._limits = limits
        self._prefixes = prefixes
        self._nearest_limit = int(limits.min())
        self._sequences = input_ids.unflatten(0, shape)  # [B, H, 1 + L]
        # One beam alone, or all would stay alike.
        self._scores = torch.full(shape, -torch.inf, device=device)
        self._scores[:, 0] = 0.0
        self._log_probabilities = torch.zeros(shape, device=device)
        self._finished = torch.full(shape, -torch.inf, device=device)
        self.is_open: Bool[Tensor, " B"] = torch.ones_like(limits, dtype=torch.bool)
        """Which utterances of the batch are not done."""

    @property
    def prefixes(self) -> Int[Tensor, "BH L"]:
        """What every beam holds, from the start symbol on."""
        prefixes: Tensor = self._sequences.flatten(0, 1)
        return prefixes

    @property
    def num_tokens(self) -> int:
        """How many tokens every beam holds."""
        return int(self._sequences.shape[2]) - 1

    @property
    def found(self) -> list[FoundSequence]:
        """The best sequence of every utterance, once all are done."""
        assert all(found is not None for found in self._found), "the limit of a row makes it end"
        return [found for found in self._found if found is not None]

    def advance(self, logits: Float[Tensor, "BH V"]) -> Int[Tensor, "B H"]:
        """Makes every beam one token longer; returns the row that each came from.

        Raises:
            UserError: the logits are not finite.
        """
        num_tokens, num_beams = self.num_tokens + 1, self._num_beams
        log_probabilities = logits.log_softmax(dim=-1)
        self._check_finite(log_probabilities)
        scores: Tensor = self._logits_processor(
            cast("torch.LongTensor", self.prefixes),
            # As transformers' greedy search and beam search do.
            cast("torch.FloatTensor", logits if num_beams == 1 else log_probabilities),
        )
        scores = self._force_prefixes(scores, log_probabilities)
        vocab_size = scores.shape[1]
        totals = self._scores[..., None] + scores.unflatten(0, (-1, num_beams))
        if num_tokens >= self._nearest_limit:
            totals = self._end_at_limits(totals, log_probabilities)
        # One that goes on comes with at most one end per end token.
        num_candidates = (1 + len(self._end_ids)) * num_beams
        best, places = totals.flatten(1).topk(num_candidates, dim=1)
        beams, tokens = places // vocab_size, places % vocab_size
        parents = beams + num_beams * torch.arange(len(beams), device=beams.device)[:, None]
        candidates = torch.cat(
            [self._sequences.flatten(0, 1)[parents], tokens[..., None]], dim=2
        )  # [B, K, 1 + L]
        log_probabilities = (
            self._log_probabilities.gather(1, beams) + log_probabilities[parents, tokens]
        )
        is_end = torch.isin(tokens, self._end_ids)

        is_end_of_best = is_end[:, :num_beams]
        normalised = best[:, :num_beams] / num_tokens**self._length_penalty
        normalised = normalised.masked_fill(~is_end_of_best, -torch.inf)
        self._keep_best(normalised, candidates, log_probabilities)
        self._finished = torch.cat([self._finished, normalised], dim=1).topk(num_beams).values

        self._scores, order = best.masked_fill(is_end, -torch.inf).topk(num_beams)
        self._sequences = candidates.take_along_dim(order[..., None], dim=1)
        self._log_probabilities = log_probabilities.gather(1, order)
        can_improve = self._scores[:, 0] / num_tokens**self._length_penalty > self._finished[:, -1]
        self.is_open = can_improve & ~(is_end_of_best.any(dim=1) & (num_beams == 1))
        origins: Tensor = parents.gather(1, order)
        return origins

    def _force_prefixes(
        self, scores: Float[Tensor, "BH V"], log_probabilities: Float[Tensor, "BH V"]
    ) -> Float[Tensor, "BH V"]:
        """The scores, but those of the next token of a prefix alone where there is one."""
        if self._prefixes is None or self.num_tokens >= self._prefixes.shape[1]:
            return scores
        forced = self._prefixes[self._utterances, self.num_tokens].repeat_interleave(
            self._num_beams
        )[:, None]
        is_this = torch.arange(scores.shape[1], device=scores.device) == forced
        return torch.where(forced < 0, scores, log_probabilities.masked_fill(~is_this, -torch.inf))

    def _check_finite(self, log_probabilities: Float[Tensor, "BH V"]) -> None:
        # One logit that is not a number leaves none of its row that is.
        if not log_probabilities[:, self._end_ids].isfinite().any(dim=1).all():
            raise UserError(
                "scores of the model",
                expected="finite numbers",
                found="NaN or infinity",
                remedy="If its training diverged, take an earlier checkpoint, or train again with "
                "a lower learning rate or with precision: fp32.",
            )

    def _end_at_limits(
        self, totals: Float[Tensor, "B H V"], log_probabilities: Float[Tensor, "BH V"]
    ) -> Float[Tensor, "B H V"]:
        is_end = torch.isin(torch.arange(totals.shape[2], device=totals.device), self._end_ids)
        ends = totals.masked_fill(~is_end, -torch.inf)
        raw = self._scores[..., None] + log_probabilities.unflatten(0, (-1, self._num_beams))
        # As where a first token is forced that is the last as well.
        is_forbidden = ends.amax(dim=(1, 2), keepdim=True) == -torch.inf
        ends = torch.where(is_forbidden, raw.masked_fill(~is_end, -torch.inf), ends)
        is_last = self._limits <= self.num_tokens + 1
        return torch.where(is_last[:, None, None], ends, totals)

    def _keep_best(
        self,
        normalised: Float[Tensor, "B H"],
        candidates: Int[Tensor, "B K L"],
        log_probabilities: Float[Tensor, "B K"],
    ) -> None:
        top, beams = normalised.max(dim=1)
        for row in (top > self._finished[:, 0]).nonzero().flatten().tolist():
            beam = int(beams[row])
            self._found[int(self._utterances[row])] = FoundSequence(
                candidates[row, beam, 1:], float(log_probabilities[row, beam])
            )

    def drop_closed(self) -> None:
        """Forgets the beams of the utterances that are done."""
        is_open = self.is_open
        self._utterances = self._utterances[is_open]
        self._limits = self._limits[is_open]
        self._nearest_limit = int(self._limits.min())
        self._sequences = self._sequences[is_open]
        self._scores = self._scores[is_open]
        self._log_probabilities = self._log_probabilities[is_open]
        self._finished = self._finished[is_open]
        self.is_open = is_open[is_open]
