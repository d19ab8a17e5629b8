"""The evaluation of one model on one manifest: a summary with the scores, a line per sentence.

On disk it is a folder of three files: `scores.json` (the summary), `sentences.jsonl`, and
`hypotheses.txt`, the translations alone, a line each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rich.console import Console

from horizon_st.data.files import make_folder, whole_file
from horizon_st.errors import UserError, reason_of

SCORES_FILE = "scores.json"
SENTENCES_FILE = "sentences.jsonl"
HYPOTHESES_FILE = "hypotheses.txt"
_SCORING = ("lowercase", "tokenize")
_REMEDY = "Run `horizon-st evaluate` into this folder again."


@dataclass(frozen=True)
class Sentence:
    """One decoded utterance with its texts and sentence scores.

    Attributes:
        reference: None where the test set has none.
        source: the transcript, or None where the manifest has none.
        log_probability: mean natural log probability of the hypothesis' tokens, end token included.
        num_tokens: tokens of the hypothesis, end token included.
        bleu: None without a reference.
        chrf: None without a reference.
    """

    id: str
    hypothesis: str
    reference: str | None
    source: str | None
    duration_s: float
    log_probability: float
    num_tokens: int
    bleu: float | None = None
    chrf: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores and settings (`summary`, the content of scores.json) and every sentence."""

    summary: dict[str, Any]
    sentences: list[Sentence]

    def value_of(self, metric: str) -> float:
        """The corpus score by its name: BLEU, chrF2 or TER.

        Raises:
            UserError: nothing was scored, for want of references.
        """
        if not self.summary["metrics"]:
            raise _unscored(self.summary["manifest"]["path"])
        value: float = self.summary["metrics"][metric]["value"]
        return value

    @property
    def references(self) -> list[str]:
        """Those of the sentences, in their order; none of an evaluation without scores."""
        return [one.reference for one in self.sentences if one.reference is not None]

    def render(self, console: Console) -> None:
        """Every score with its signature, and the speed, printed to the console."""
        if not self.summary["metrics"]:
            console.print("The manifest has no references: nothing was scored.", soft_wrap=True)
        for name, metric in self.summary["metrics"].items():
            console.print(f"{name} {metric['value']:.2f}  {metric['signature']}", soft_wrap=True)
        speed = self.summary.get("audio_s_per_s")
        if speed is not None:
            console.print(f"{speed:.1f} seconds of audio per second")


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """The files in the folder, each replaced whole or not at all; the summary comes last.

    Raises:
        UserError: the folder cannot be written.
    """
    make_folder(folder)
    with whole_file(folder / SENTENCES_FILE) as file:
        for sentence in evaluation.sentences:
            file.write(json.dumps(asdict(sentence), ensure_ascii=False) + "\n")
    with whole_file(folder / HYPOTHESES_FILE) as file:
        for sentence in evaluation.sentences:
            file.write(" ".join(sentence.hypothesis.split()) + "\n")
    with whole_file(folder / SCORES_FILE) as file:
        json.dump(evaluation.summary, file, ensure_ascii=False, indent=2)
        file.write("\n")


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation that a folder holds.

    Raises:
        UserError: the scores or the sentences are missing or damaged, or do not belong together, or
            nothing was scored, for want of references.
    """
    for name in (SCORES_FILE, SENTENCES_FILE):
        if not (folder / name).is_file():
            raise UserError(
                str(folder),
                expected=f"an evaluation ({SCORES_FILE} and {SENTENCES_FILE})",
                found=f"no {name}",
                remedy=_REMEDY,
            )
    summary = _read_summary(folder / SCORES_FILE)
    sentences = list(_read_sentences(folder / SENTENCES_FILE))
    if len(sentences) != summary["num_sentences"]:
        raise UserError(
            str(folder / SENTENCES_FILE),
            expected=f"the {summary['num_sentences']} sentences that {SCORES_FILE} is about",
            found=len(sentences),
            remedy=_REMEDY,
        )
    if sentences and all(sentence.reference is None for sentence in sentences):
        raise _unscored(str(folder))
    return Evaluation(summary, sentences)


def _unscored(place: str) -> UserError:
    return UserError(
        place,
        expected="scores",
        found="none: the manifest has no references",
        remedy="Evaluate a manifest with translations.",
    )


def _read_summary(path: Path) -> dict[str, Any]:
    summary = _parse(path.read_bytes(), str(path))
    if not isinstance(summary, dict):
        raise UserError(str(path), expected="a JSON object", found=summary, remedy=_REMEDY)
    for keys in (("num_sentences",), ("metrics",), *(("scoring", key) for key in _SCORING)):
        value: Any = summary
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise UserError(
                    str(path),
                    expected=f"the key {'.'.join(keys)}",
                    found="none",
                    remedy=_REMEDY,
                )
            value = value[key]
    return summary


def _read_sentences(path: Path) -> Iterator[Sentence]:
    names = {field.name for field in fields(Sentence)}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            place = f"{path}:{number}"
            values = _parse(line, place)
            if not isinstance(values, dict) or values.keys() != names:
                raise UserError(
                    place,
                    expected="the fields " + ", ".join(sorted(names)),
                    found=values,
                    remedy=_REMEDY,
                )
            for name, kind in (("id", str), ("hypothesis", str), ("reference", str | None)):
                if not isinstance(values[name], kind):
                    raise UserError(
                        f"{place}: {name}", expected="text", found=values[name], remedy=_REMEDY
                    )
            yield Sentence(**values)


def _parse(text: bytes, place: str) -> Any:
    try:
        return json.loads(text.decode("utf-8"))
    except ValueError as error:
        raise UserError(
            place, expected="JSON in UTF-8", found=reason_of(error), remedy=_REMEDY
        ) from error
