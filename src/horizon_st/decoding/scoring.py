"""Hypotheses and references to BLEU, chrF and TER, each with its signature.

All scores come from sacrebleu and are over detokenised text: BLEU (Papineni et al. 2002; signature
of Post 2018), chrF2 (Popović 2015: character 6-grams, recall weighs twice as much) and TER (Snover
et al. 2006: an error rate, lower is better, above 100 with more edits than reference words).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from horizon_st.decoding.configuration import Tokenize
from horizon_st.errors import UserError

TOKENIZERS = get_args(Tokenize)
"""BLEU tokenisers that need no download; `13a` for languages with spaces between words."""

_UNSPACED = ("zh", "ja-mecab")
_SUBWORD_MARKS = ("\N{LOWER ONE EIGHTH BLOCK}", "@@ ")

SacrebleuMetric = BLEU | CHRF | TER


@dataclass(frozen=True)
class Metric:
    """One corpus score with the signature that says how it was computed."""

    value: float
    signature: str
    higher_is_better: bool
    brevity_penalty: float | None = None
    precisions: tuple[float, ...] | None = None
    length_ratio: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; fields that the metric does not have are left out."""
        values = {
            "value": self.value,
            "signature": self.signature,
            "higher_is_better": self.higher_is_better,
            "brevity_penalty": self.brevity_penalty,
            "precisions": list(self.precisions) if self.precisions else None,
            "length_ratio": self.length_ratio,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Scores:
    """The corpus scores of one set of hypotheses, by metric name: BLEU, chrF2, TER."""

    metrics: dict[str, Metric]
    num_sentences: int

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict with the number of sentences and every metric."""
        return {
            "num_sentences": self.num_sentences,
            "metrics": {name: metric.to_json() for name, metric in self.metrics.items()},
        }


@dataclass(frozen=True)
class SentenceScores:
    """Sentence BLEU (effective order) and sentence chrF2 of every sentence, with signatures."""

    bleu: tuple[float, ...]
    chrf: tuple[float, ...]
    signatures: dict[str, str]


def build_metrics(*, lowercase: bool = False, tokenize: str = "13a") -> dict[str, SacrebleuMetric]:
    """BLEU, chrF2 and TER of sacrebleu by the names that they carry in every result.

    TER keeps sacrebleu's defaults (it lowercases); for Chinese and Japanese it counts characters.

    Args:
        lowercase: compare without case in BLEU and chrF.
        tokenize: BLEU's tokeniser, one of `TOKENIZERS`.

    Raises:
        UserError: the tokeniser is unknown, or its dictionaries are not installed.
    """
    unspaced = tokenize in _UNSPACED
    return {
        "BLEU": _build_bleu(lowercase, tokenize, effective_order=False),
        "chrF2": CHRF(lowercase=lowercase),
        "TER": TER(normalized=unspaced, asian_support=unspaced),
    }


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    lowercase: bool = False,
    tokenize: str = "13a",
) -> Scores:
    """Corpus BLEU, chrF2 and TER of detokenised hypotheses against one reference each.

    Args:
        hypotheses: system outputs, one sentence each; an empty output is scored as it is.
        references: the translations to compare with, in the same order.
        lowercase: compare without case in BLEU and chrF.
        tokenize: BLEU's own tokeniser, one of `TOKENIZERS`.

    Raises:
        UserError: unequal lengths, no sentences, an empty reference, subword marks left in a line,
            or an unknown tokeniser.
    """
    check_sentences(hypotheses, references)
    metrics: dict[str, Metric] = {}
    for name, metric in build_metrics(lowercase=lowercase, tokenize=tokenize).items():
        result = metric.corpus_score(list(hypotheses), [list(references)])
        is_bleu = isinstance(metric, BLEU)
        metrics[name] = Metric(
            value=float(result.score),
            signature=str(metric.get_signature()),
            higher_is_better=name != "TER",
            brevity_penalty=float(result.bp) if is_bleu else None,
            precisions=tuple(map(float, result.precisions)) if is_bleu else None,
            length_ratio=float(result.ratio) if is_bleu else None,
        )
    return Scores(metrics, len(hypotheses))


def score_sentences(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    lowercase: bool = False,
    tokenize: str = "13a",
) -> SentenceScores:
    """Sentence BLEU and sentence chrF2 of every pair, for reading and sorting.

    Their mean is not the corpus score. BLEU uses the effective order: without it, sentences shorter
    than four tokens would score 0.

    Raises:
        UserError: as `score`.
    """
    check_sentences(hypotheses, references)
    bleu = _build_bleu(lowercase, tokenize, effective_order=True)
    chrf = CHRF(lowercase=lowercase)
    pairs = list(zip(hypotheses, references, strict=True))
    return SentenceScores(
        bleu=tuple(float(bleu.sentence_score(hyp, [ref]).score) for hyp, ref in pairs),
        chrf=tuple(float(chrf.sentence_score(hyp, [ref]).score) for hyp, ref in pairs),
        signatures={"BLEU": str(bleu.get_signature()), "chrF2": str(chrf.get_signature())},
    )


def check_sentences(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Nothing, when the lines can be scored.

    Raises:
        UserError: unequal lengths, no sentences, an empty reference, subword marks left in a line.
    """
    if len(hypotheses) != len(references):
        raise UserError(
            "scoring",
            expected=f"as many hypotheses as references ({len(references)})",
            found=f"{len(hypotheses)} hypotheses",
            remedy="Pass both in the same order, one line per sentence.",
        )
    if not references:
        raise UserError(
            "scoring",
            expected="at least one sentence",
            found="none",
            remedy="Check that the manifest or the file is not empty.",
        )
    for name, lines in (("reference", references), ("hypothesis", hypotheses)):
        for number, line in enumerate(lines, start=1):
            if name == "reference" and not line.strip():
                raise UserError(
                    f"reference {number}",
                    expected="a translation",
                    found=line,
                    remedy="Leave sentences without a reference out of the evaluation.",
                )
            if any(mark in line for mark in _SUBWORD_MARKS) or line.endswith("@@"):
                raise UserError(
                    f"{name} {number}",
                    expected="detokenised text",
                    found=f"subword pieces in {line!r}",
                    remedy="Join the pieces with the tokenizer's decode before scoring.",
                )


def _build_bleu(lowercase: bool, tokenize: str, *, effective_order: bool) -> BLEU:
    if tokenize not in TOKENIZERS:
        raise UserError(
            "tokenize",
            expected="one of " + ", ".join(TOKENIZERS),
            found=tokenize,
            remedy="Use 13a for languages with spaces, zh for Chinese, ja-mecab for Japanese.",
        )
    try:
        return BLEU(lowercase=lowercase, tokenize=tokenize, effective_order=effective_order)
    except RuntimeError as error:
        language = tokenize.partition("-")[0]
        raise UserError(
            f"tokenize={tokenize}",
            expected="its dictionaries to be installed",
            found="none",
            remedy=f"Install them with: pip install 'sacrebleu[{language}]'",
        ) from error
