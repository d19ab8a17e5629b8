"""How translations are searched for, and what comes out, whatever computes it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from horizon_st.errors import UserError, check_choice

DecodingPrecision = Literal["fp32", "bf16"]
Tokenize = Literal["13a", "intl", "char", "zh", "ja-mecab", "ko-mecab"]
"""BLEU tokenisers of sacrebleu that need no download."""


@dataclass(frozen=True)
class DecodingConfig:
    """How translations are searched for, and how they are scored."""

    beam_size: int = field(default=5, metadata={"help": "Hypotheses kept; 1 is greedy search."})
    length_penalty: float = field(
        default=1.0,
        metadata={"help": "Log probability is divided by tokens**this; more gives longer output."},
    )
    max_tokens: int = field(default=200, metadata={"help": "Most tokens of a translation."})
    max_tokens_base: int = field(
        default=20, metadata={"help": "Most tokens = this + max_tokens_per_state * encoder states."}
    )
    max_tokens_per_state: float = field(
        default=2.0,
        metadata={"help": "0 leaves max_tokens_base alone, whatever the input's length"},
    )
    no_repeat_ngram_size: int = field(
        default=0, metadata={"help": "N-grams that may not occur twice; 0 allows repetition."}
    )
    batch_size: int = field(default=16, metadata={"help": "Utterances decoded at once."})
    precision: DecodingPrecision = field(
        default="fp32",
        metadata={"help": "bf16 is faster where the hardware has it and changes some translations"},
    )
    tokenize: Tokenize = field(
        default="13a",
        metadata={
            "help": "BLEU's tokeniser: 13a for languages with spaces between words, zh for "
            "Chinese, char for others without spaces; intl, ja-mecab and ko-mecab, too (the last "
            "two need sacrebleu[ja] and sacrebleu[ko])."
        },
    )

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        at_least = {
            "beam_size": 1,
            "max_tokens": 1,
            "max_tokens_base": 1,
            "max_tokens_per_state": 0,
            "no_repeat_ngram_size": 0,
            "batch_size": 1,
        }
        for name, low in at_least.items():
            if getattr(self, name) < low:
                raise UserError(
                    f"decoding.{name}",
                    expected=f"at least {low}",
                    found=getattr(self, name),
                    remedy=f"The default is {type(self).__dataclass_fields__[name].default}.",
                )
        for name in ("length_penalty", "max_tokens_per_state"):
            if not math.isfinite(getattr(self, name)):
                raise UserError(
                    f"decoding.{name}",
                    expected="a finite number",
                    found=getattr(self, name),
                    remedy=f"The default is {type(self).__dataclass_fields__[name].default}.",
                )
        check_choice("decoding.precision", self.precision, get_args(DecodingPrecision))
        check_choice("decoding.tokenize", self.tokenize, get_args(Tokenize))
        if self.no_repeat_ngram_size == 1:
            raise UserError(
                "decoding.no_repeat_ngram_size",
                expected="0, or at least 2",
                found=1,
                remedy="1 would forbid every word to occur twice; 3 is usual against loops.",
            )

    def most_tokens(self, num_states: int, max_positions: int | None, num_begun: int = 0) -> int:
        """Most tokens of the translation of so many encoder states, end token included.

        Args:
            num_states: of the utterance; no other of its batch matters.
            max_positions: of the decoder, if there is a limit.
            num_begun: tokens that it begins with, which are kept however many they are: what was
                decoded from more of the same speech may be long.
        """
        limit = self.max_tokens_base + int(self.max_tokens_per_state * num_states)
        limit = min(limit, self.max_tokens)
        if max_positions is not None:
            limit = min(limit, max_positions)
        return max(limit, num_begun + 1)


@dataclass(frozen=True)
class Hypothesis:
    """The best translation of one utterance.

    Attributes:
        text: detokenised.
        score: mean natural log probability of its tokens under the model, end token included.
        tokens: with the end token.
    """

    id: str
    text: str
    score: float
    tokens: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """How many tokens it has, the end token included."""
        return len(self.tokens)
