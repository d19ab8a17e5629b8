"""Sentence pairs and audio -> the files of a corpus, which appear complete or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

from horizon_st.data.corpora.telephone.recordings import CREDITS, LICENCE, SPEAKER
from horizon_st.errors import UserError

DESCRIPTION_FILE = "corpus.json"
CORPUS_NAME = "telephone"


@dataclass(frozen=True)
class CorpusSummary:
    """What a corpus folder holds, as ``corpus.json`` records it.

    Attributes:
        folder: where ``train.jsonl``, ``dev.jsonl``, ``test.jsonl`` and ``text_pairs.jsonl`` lie.
        part: ``announcements`` or ``recorded``.
        parameters: everything that decides the content, seed included.
        num_utterances: per split with audio.
        hours: of audio, per split.
        num_text_pairs: pairs without audio.
        fingerprint: SHA-256 over the SHA-256 of all manifests.
    """

    folder: Path
    part: str
    parameters: dict[str, Any]
    num_utterances: dict[str, int]
    hours: dict[str, float]
    num_text_pairs: int
    fingerprint: str


def write_utterance(
    folder: Path,
    utterance_id: str,
    samples: Float[np.ndarray, " N"],
    sample_rate: int,
    *,
    transcript: str,
    translation: str,
    target: str,
    custom: dict[str, Any],
) -> dict[str, Any]:
    """Writes ``audio/<id>.flac`` (16 bit) and returns its lhotse cut, with the relative path."""
    path = Path("audio") / f"{utterance_id}.flac"
    (folder / "audio").mkdir(exist_ok=True)
    soundfile.write(folder / path, samples, sample_rate, format="FLAC", subtype="PCM_16")
    duration = len(samples) / sample_rate
    return {
        "id": utterance_id,
        "start": 0,
        "duration": duration,
        "channel": 0,
        "supervisions": [
            {
                "id": utterance_id,
                "recording_id": utterance_id,
                "start": 0.0,
                "duration": duration,
                "channel": 0,
                "text": transcript,
                "language": "en",
                "speaker": SPEAKER,
                "custom": {"translated_text": translation, "target_language": target, **custom},
            }
        ],
        "recording": {
            "id": utterance_id,
            "sources": [{"type": "file", "channels": [0], "source": path.as_posix()}],
            "sampling_rate": sample_rate,
            "num_samples": len(samples),
            "duration": duration,
            "channel_ids": [0],
        },
        "type": "MonoCut",
    }


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    """Writes one JSON object per line and returns the SHA-256 of the file."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    content = text.encode("utf-8")
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def write_manifests(
    folder: Path,
    part: str,
    parameters: dict[str, Any],
    cuts: dict[str, list[dict[str, Any]]],
    pairs: list[dict[str, Any]],
) -> None:
    """Writes the manifests, the text pairs and, last, ``corpus.json``."""
    digests = {
        f"{split}.jsonl": write_lines(folder / f"{split}.jsonl", rows)
        for split, rows in cuts.items()
    }
    digests["text_pairs.jsonl"] = write_lines(folder / "text_pairs.jsonl", pairs)
    description = {
        "corpus": CORPUS_NAME,
        "part": part,
        "parameters": parameters,
        "num_utterances": {split: len(rows) for split, rows in cuts.items()},
        "hours": {
            split: round(sum(row["duration"] for row in rows) / 3600, 4)
            for split, rows in cuts.items()
        },
        "num_text_pairs": len(pairs),
        "sha256": digests,
        "fingerprint": hashlib.sha256("".join(digests.values()).encode()).hexdigest(),
        "licence": LICENCE,
        "credits": CREDITS,
    }
    text = json.dumps(description, ensure_ascii=False, indent=2)
    (folder / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")


def existing_corpus(folder: Path, part: str, parameters: dict[str, Any]) -> CorpusSummary | None:
    """Returns the summary of a complete corpus of that part and these parameters, or None."""
    found = _description(folder)
    if found is None or found["part"] != part or found["parameters"] != parameters:
        return None
    return CorpusSummary(
        folder=folder,
        part=part,
        parameters=parameters,
        num_utterances=found["num_utterances"],
        hours=found["hours"],
        num_text_pairs=found["num_text_pairs"],
        fingerprint=found["fingerprint"],
    )


def _description(folder: Path) -> dict[str, Any] | None:
    """Returns the content of ``corpus.json``; None where no complete corpus was made here."""
    try:
        description = json.loads((folder / DESCRIPTION_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(description, dict) or description.get("corpus") != CORPUS_NAME:
        return None
    return description


@contextmanager
def replaced_folder(out_dir: Path, part: str, target: str) -> Iterator[Path]:
    """Yields an empty folder beside ``out_dir`` that takes its place when the block succeeds.

    A block that raises, or a process that is killed, leaves ``out_dir`` as it was.

    Raises:
        UserError: ``out_dir`` holds something else than this part in this language, made here; it
            is left alone.
    """
    out_dir = out_dir.absolute()
    _check_replaceable(out_dir, part, target)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(mkdtemp(prefix=f".{out_dir.name}.", suffix=".unfinished", dir=out_dir.parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        # Never delete in place: a process killed meanwhile would leave half a corpus.
        replaced = unfinished.with_suffix(".replaced")
        if out_dir.exists():
            out_dir.rename(replaced)
        unfinished.rename(out_dir)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_replaceable(out_dir: Path, part: str, target: str) -> None:
    found = _description(out_dir)
    if found is None and out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        shown = "other files"
    elif found is not None and (found["part"], found["parameters"]["target"]) != (part, target):
        shown = f"the part {found['part']} in {found['parameters']['target']}"
    else:
        return
    raise UserError(
        str(out_dir),
        expected=f"no folder yet, an empty one, or an older telephone corpus ({part}, {target})",
        found=shown,
        remedy="Name another folder for the corpus, or remove this one.",
    )
