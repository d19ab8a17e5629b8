"""Beam search in NumPy, with the results of the one in PyTorch (`horizon_st.decoding.beam_search`).

Legend: B utterances still searched, H beams, E end tokens, K = (1 + E) H candidates, L target
tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int

from horizon_st.errors import UserError

_NOTHING = np.float32(-np.inf)


@dataclass(frozen=True)
class TokenRules:
    """Which tokens a translation may have, as the model's generation settings say.

    Attributes:
        start: the symbol that decoding starts with.
        end: the tokens that end a translation.
        never: tokens that do not occur.
        never_first: tokens that do not come first.
        first: the token that comes first, if there is one, such as a language.
    """

    start: int
    end: Sequence[int]
    never: Sequence[int]
    never_first: Sequence[int]
    first: int | None


@dataclass(frozen=True)
class Found:
    """The best sequence of one utterance.

    Attributes:
        tokens: with the end token, without the start symbol.
        log_probability: natural, the sum over the tokens, before the rules.
    """

    tokens: tuple[int, ...]
    log_probability: float


class Search:
    """The beams of the utterances still searched, and the best sequence of every utterance.

    An utterance is done when its H best finished sequences all score higher than its best
    unfinished one, or, with one beam, when that ends. Its last token at its limit is an end token,
    with its raw log probability if the rules forbid all.

    Args:
        limits: most tokens of each utterance, end token included.
        rules: what may be chosen.
        num_beams: H.
        length_penalty: log probability is divided by tokens**this.
        no_repeat_ngram_size: n-grams that may not occur twice; 0 allows repetition.
        prefixes: what each utterance begins with, whatever the rules say.
    """

    def __init__(
        self,
        limits: Sequence[int],
        rules: TokenRules,
        *,
        num_beams: int,
        length_penalty: float,
        no_repeat_ngram_size: int = 0,
        prefixes: Sequence[Sequence[int]] | None = None,
    ) -> None:
        shape = (len(limits), num_beams)
        self._rules = rules
        self._num_beams = num_beams
        self._length_penalty = length_penalty
        self._ngram_size = no_repeat_ngram_size
        self._prefixes = [()] * len(limits) if prefixes is None else prefixes
        self._found: list[Found | None] = [None] * len(limits)
        self._utterances = np.arange(len(limits))
        self._limits = np.array(limits)
        self._sequences = np.full((*shape, 1), rules.start)  # [B, H, 1 + L]
        # One beam alone, or all would stay alike.
        self._scores = np.full(shape, _NOTHING)
        self._scores[:, 0] = 0
        self._log_probabilities = np.zeros(shape, np.float32)
        self._finished = np.full(shape, _NOTHING)
        self.is_open: Bool[np.ndarray, " B"] = np.ones(len(limits), bool)
        """Which utterances of the batch are not done."""

    @property
    def last_tokens(self) -> Int[np.ndarray, "B H"]:
        """What every beam ends with."""
        return self._sequences[:, :, -1]

    @property
    def found(self) -> list[Found]:
        """The best sequence of every utterance, once all are done."""
        assert all(found is not None for found in self._found), "the limit of a row makes it end"
        return [found for found in self._found if found is not None]

    def advance(self, log_probabilities: Float32[np.ndarray, "B H V"]) -> Int[np.ndarray, "B H"]:
        """Makes every beam one token longer; returns which beam of its utterance each came from.

        Raises:
            UserError: the log probabilities are not finite.
        """
        num_tokens, num_beams = self._sequences.shape[2], self._num_beams
        end = [*self._rules.end]
        self._check_finite(log_probabilities[:, :, end])
        scores = self._apply_rules(log_probabilities.copy())
        self._force_prefixes(scores, log_probabilities)
        totals = self._scores[..., None] + scores
        self._end_at_limits(totals, log_probabilities)
        # One that goes on comes with at most one end per end token.
        num_candidates = (1 + len(end)) * num_beams
        best, places = _largest(totals.reshape(len(totals), -1), num_candidates)
        parents, tokens = np.divmod(places, totals.shape[2])
        rows = np.arange(len(totals))[:, None]
        candidates = np.concatenate(
            [self._sequences[rows, parents], tokens[..., None]], axis=2
        )  # [B, K, 1 + L]
        summed = self._log_probabilities[rows, parents] + log_probabilities[rows, parents, tokens]
        is_end = np.isin(tokens, end)

        is_end_of_best = is_end[:, :num_beams]
        length = np.float32(num_tokens**self._length_penalty)
        normalised = np.where(is_end_of_best, best[:, :num_beams] / length, _NOTHING)
        self._keep_best(normalised, candidates, summed)
        self._finished, _ = _largest(
            np.concatenate([self._finished, normalised], axis=1), num_beams
        )

        self._scores, order = _largest(np.where(is_end, _NOTHING, best), num_beams)
        self._sequences = candidates[rows, order]
        self._log_probabilities = summed[rows, order]
        can_improve = self._scores[:, 0] / length > self._finished[:, -1]
        self.is_open = can_improve & ~(is_end_of_best.any(axis=1) & (num_beams == 1))
        origins: Int[np.ndarray, "B H"] = parents[rows, order]
        return origins

    def drop_closed(self) -> None:
        """Forgets the beams of the utterances that are done."""
        is_open = self.is_open
        self._utterances = self._utterances[is_open]
        self._limits = self._limits[is_open]
        self._sequences = self._sequences[is_open]
        self._scores = self._scores[is_open]
        self._log_probabilities = self._log_probabilities[is_open]
        self._finished = self._finished[is_open]
        self.is_open = is_open[is_open]

    def _check_finite(self, of_ends: Float32[np.ndarray, "B H E"]) -> None:
        # One logit that is not a number leaves none of its row that is.
        if not np.isfinite(of_ends).any(axis=2).all():
            raise UserError(
                "scores of the model",
                expected="finite numbers",
                found="NaN or infinity",
                remedy="Export another checkpoint, or without --quantize.",
            )

    def _apply_rules(self, scores: Float32[np.ndarray, "B H V"]) -> Float32[np.ndarray, "B H V"]:
        """The scores with nothing for what may not come next."""
        rules, num_tokens = self._rules, self._sequences.shape[2] - 1
        self._forbid_repetition(scores)
        if num_tokens == 0 and rules.first is not None:
            scores[:] = _NOTHING
            scores[:, :, rules.first] = 0
        scores[:, :, [*rules.never]] = _NOTHING
        if num_tokens == (0 if rules.first is None else 1):
            scores[:, :, [*rules.never_first]] = _NOTHING
        return scores

    def _forbid_repetition(self, scores: Float32[np.ndarray, "B H V"]) -> None:
        size = self._ngram_size
        if size == 0 or self._sequences.shape[2] < size:
            return
        ngrams = np.lib.stride_tricks.sliding_window_view(self._sequences, size, axis=2)
        last = self._sequences[:, :, None, self._sequences.shape[2] - size + 1 :]
        rows, beams, places = np.nonzero((ngrams[..., :-1] == last).all(axis=3))
        scores[rows, beams, ngrams[rows, beams, places, -1]] = _NOTHING

    def _force_prefixes(
        self,
        scores: Float32[np.ndarray, "B H V"],
        log_probabilities: Float32[np.ndarray, "B H V"],
    ) -> None:
        """Leaves the scores of the next token of a prefix alone where there is one."""
        place = self._sequences.shape[2] - 1
        for row, utterance in enumerate(self._utterances.tolist()):
            prefix = self._prefixes[utterance]
            if place < len(prefix):
                scores[row] = _NOTHING
                scores[row, :, prefix[place]] = log_probabilities[row, :, prefix[place]]

    def _end_at_limits(
        self,
        totals: Float32[np.ndarray, "B H V"],
        log_probabilities: Float32[np.ndarray, "B H V"],
    ) -> None:
        end = [*self._rules.end]
        for row in np.flatnonzero(self._limits <= self._sequences.shape[2]):
            ends = totals[row][:, end]
            # As where a first token is forced that is the last as well.
            if (ends == _NOTHING).all():
                ends = self._scores[row][:, None] + log_probabilities[row][:, end]
            totals[row] = _NOTHING
            totals[row][:, end] = ends

    def _keep_best(
        self,
        normalised: Float32[np.ndarray, "B H"],
        candidates: Int[np.ndarray, "B K L"],
        log_probabilities: Float32[np.ndarray, "B K"],
    ) -> None:
        beams = normalised.argmax(axis=1)
        top = normalised[np.arange(len(beams)), beams]
        for row in np.flatnonzero(top > self._finished[:, 0]):
            beam = beams[row]
            self._found[self._utterances[row]] = Found(
                tuple(candidates[row, beam, 1:].tolist()), float(log_probabilities[row, beam])
            )


def _largest(
    values: Float32[np.ndarray, "B N"], number: int
) -> tuple[Float32[np.ndarray, "B K"], Int[np.ndarray, "B K"]]:
    """So many values of each row, the largest first, and where they stand."""
    places: Any = np.argpartition(values, -number, axis=1)[:, -number:]
    order = np.argsort(-np.take_along_axis(values, places, axis=1), axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    return np.take_along_axis(values, places, axis=1), places
