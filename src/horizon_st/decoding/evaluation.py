"""The evaluation of one model on one manifest: a summary with the scores, a line per sentence.

On disk it is a folder of two files: `scores.json` (the summary) and `sentences.jsonl`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from horizon_st.errors import UserError

SCORES_FILE = "scores.json"
SENTENCES_FILE = "sentences.jsonl"


@dataclass(frozen=True)
class Sentence:
    """One decoded utterance with its texts and sentence scores.

    Attributes:
        source: the transcript, or None where the manifest has none.
        log_probability: mean natural log probability of the hypothesis' tokens, end token included.
        num_tokens: tokens of the hypothesis, end token included.
    """

    id: str
    hypothesis: str
    reference: str
    source: str | None
    duration_s: float
    log_probability: float
    num_tokens: int
    bleu: float
    chrf: float


@dataclass(frozen=True)
class Evaluation:
    """Scores and settings (`summary`, the content of scores.json) and every sentence."""

    summary: dict[str, Any]
    sentences: list[Sentence]

    def value_of(self, metric: str) -> float:
        """The corpus score by its name: BLEU, chrF2 or TER."""
        value: float = self.summary["metrics"][metric]["value"]
        return value

    def render(self, console: Console) -> None:
        """Every score with its signature, and the speed, printed to the console."""
        for name, metric in self.summary["metrics"].items():
            console.print(f"{name} {metric['value']:.2f}  {metric['signature']}", soft_wrap=True)
        speed = self.summary.get("audio_s_per_s")
        if speed is not None:
            console.print(f"{speed:.1f} seconds of audio per second")


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Both files in the folder, replaced whole or not at all; the summary comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    with _replacing(folder / SENTENCES_FILE) as file:
        for sentence in evaluation.sentences:
            file.write(json.dumps(asdict(sentence), ensure_ascii=False) + "\n")
    with _replacing(folder / SCORES_FILE) as file:
        json.dump(evaluation.summary, file, ensure_ascii=False, indent=2)
        file.write("\n")


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation that a folder holds.

    Raises:
        UserError: one of the two files is missing or damaged, or they do not belong together.
    """
    remedy = "Run `horizon-st evaluate` into this folder again."
    for name in (SCORES_FILE, SENTENCES_FILE):
        if not (folder / name).is_file():
            raise UserError(
                str(folder),
                expected=f"an evaluation ({SCORES_FILE} and {SENTENCES_FILE})",
                found=f"no {name}",
                remedy=remedy,
            )
    try:
        summary = json.loads((folder / SCORES_FILE).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(
            str(folder / SCORES_FILE), expected="JSON", found=str(error), remedy=remedy
        ) from error
    sentences = list(_read_sentences(folder / SENTENCES_FILE, remedy))
    if len(sentences) != summary.get("num_sentences"):
        raise UserError(
            str(folder / SENTENCES_FILE),
            expected=f"the {summary.get('num_sentences')} sentences that {SCORES_FILE} is about",
            found=len(sentences),
            remedy=remedy,
        )
    return Evaluation(summary, sentences)


def _read_sentences(path: Path, remedy: str) -> Iterator[Sentence]:
    names = {field.name for field in fields(Sentence)}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path}:{number}", expected="JSON", found=str(error), remedy=remedy
                ) from error
            if not isinstance(values, dict) or values.keys() != names:
                raise UserError(
                    f"{path}:{number}",
                    expected="the fields " + ", ".join(sorted(names)),
                    found=line.strip(),
                    remedy=remedy,
                )
            yield Sentence(**values)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A text file beside `path` that takes its place when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
