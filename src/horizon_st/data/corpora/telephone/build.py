"""One call that writes the corpus of announcements: audio, manifests and text pairs."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from horizon_st.data.corpora.telephone.recordings import Recordings
from horizon_st.data.corpora.telephone.sentences import SentencePair, draw_splits
from horizon_st.data.corpora.telephone.storage import (
    CorpusSummary,
    existing_corpus,
    replaced_folder,
    write_manifests,
    write_utterance,
)
from horizon_st.data.corpora.telephone.synthesis import join, vary
from horizon_st.errors import UserError

# Raise it when the same parameters give other sentences or audio than before.
GRAMMAR_VERSION = 2
AUDIO_SPLITS = ("train", "dev", "test")

Progress = Callable[[int, int], None]
"""Called with the number of utterances written and their total."""


def build_corpus(
    out_dir: Path,
    *,
    target: str = "es",
    num_train: int = 150,
    num_dev: int = 60,
    num_test: int = 300,
    num_text_pairs: int = 4000,
    seed: int = 0,
    progress: Progress | None = None,
) -> CorpusSummary:
    """Writes announcements with English audio and translations, unless they are there already.

    ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl`` are lhotse cut manifests with paths relative
    to the folder; ``text_pairs.jsonl`` has lines of ``source`` and ``target``. No sentence of
    either language occurs twice. The test set depends on ``target``, ``num_test`` and ``seed``
    alone, so that training sets of several sizes can be compared on it.

    Args:
        out_dir: the folder to make; a corpus made here with other parameters is replaced.
        target: language of the translations: ``es``, ``fr``, ``it`` or ``de``.
        num_train: utterances for training, about 7 s each.
        num_dev: utterances for validation.
        num_test: utterances for testing.
        num_text_pairs: sentence pairs without audio.
        seed: of sentences, pauses, speed, level and noise.
        progress: called after every utterance.

    Raises:
        UserError: the language is unknown, a size is negative, or the folder holds other files.
    """
    sizes = {"test": num_test, "dev": num_dev, "train": num_train, "text_pairs": num_text_pairs}
    for name, size in sizes.items():
        if size < 0:
            raise UserError(
                f"num_{name}", expected="0 or more", found=size, remedy="Give a larger number."
            )
    recordings = Recordings()
    parameters = {
        "target": target,
        "sizes": sizes,
        "seed": seed,
        "grammar_version": GRAMMAR_VERSION,
        "recordings": recordings.fingerprint,
    }
    found = existing_corpus(out_dir, "announcements", parameters)
    if found is not None:
        return found
    splits = draw_splits(sizes, target=target, seed=seed, recordings=recordings)
    with replaced_folder(out_dir, "announcements", target) as folder:
        cuts: dict[str, list[dict[str, Any]]] = {}
        num_done, num_all = 0, sum(sizes[split] for split in AUDIO_SPLITS)
        for split in AUDIO_SPLITS:
            cuts[split] = []
            for number, pair in enumerate(splits[split]):
                rng = np.random.default_rng([seed, zlib.crc32(split.encode()), number])
                cut_id = f"telephone-{split}-{number:05d}"
                cuts[split].append(_write_pair(folder, cut_id, pair, target, recordings, rng))
                num_done += 1
                if progress is not None:
                    progress(num_done, num_all)
        pairs = [{"source": p.transcript, "target": p.translation} for p in splits["text_pairs"]]
        write_manifests(folder, "announcements", parameters, cuts, pairs)
    summary = existing_corpus(out_dir, "announcements", parameters)
    assert summary is not None
    return summary


def _write_pair(
    folder: Path,
    cut_id: str,
    pair: SentencePair,
    target: str,
    recordings: Recordings,
    rng: np.random.Generator,
) -> dict[str, Any]:
    samples, variation = vary(join(recordings, pair.clauses, rng), recordings, rng)
    return write_utterance(
        folder,
        cut_id,
        samples,
        recordings.sample_rate,
        transcript=pair.transcript,
        translation=pair.translation,
        target=target,
        custom=asdict(variation),
    )
