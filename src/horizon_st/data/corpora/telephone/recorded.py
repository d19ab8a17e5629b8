"""One call that writes the prompts as they are, with their official translations."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from horizon_st.data.corpora.telephone.recordings import Recording, Recordings
from horizon_st.data.corpora.telephone.storage import (
    CorpusSummary,
    existing_corpus,
    replaced_folder,
    write_manifests,
    write_utterance,
)
from horizon_st.errors import UserError

OFFICIAL_LANGUAGES = ("es", "fr", "it")


def build_recorded(
    out_dir: Path,
    *,
    target: str = "es",
    num_dev: int = 40,
    num_test: int = 60,
    seed: int = 0,
) -> CorpusSummary:
    """Writes the prompts with audio and official translations, unless they are there already.

    The files are those of :func:`build_corpus`; ``text_pairs.jsonl`` is empty. Texts and audio are
    unchanged: transcripts keep their punctuation and figures, Spanish mostly lacks its accents.
    Of prompts that share an English or a translated text only the first is kept.

    Args:
        out_dir: the folder to make; a corpus made here with other parameters is replaced.
        target: language of the translations: ``es``, ``fr`` or ``it``.
        num_dev: prompts for validation.
        num_test: prompts for testing; all others are for training.
        seed: of the split.

    Raises:
        UserError: there is no official translation into that language, the sizes leave nothing to
            train on, or the folder holds other files.
    """
    if target not in OFFICIAL_LANGUAGES:
        raise UserError(
            "target",
            expected=f"one of {', '.join(OFFICIAL_LANGUAGES)}",
            found=target,
            remedy="Choose a language with official translations, or build the announcements.",
        )
    recordings = Recordings()
    prompts = _different_prompts(recordings, target)
    if min(num_dev, num_test) < 0 or num_dev + num_test >= len(prompts):
        raise UserError(
            "num_dev and num_test",
            expected=f"0 or more, together fewer than the {len(prompts)} prompts",
            found=(num_dev, num_test),
            remedy="Change the sizes.",
        )
    parameters = {
        "target": target,
        "sizes": {"test": num_test, "dev": num_dev},
        "seed": seed,
        "recordings": recordings.fingerprint,
    }
    found = existing_corpus(out_dir, "recorded", parameters)
    if found is not None:
        return found
    rng = Random(f"{seed}/recorded")
    prompts.sort(key=lambda prompt: (rng.random(), prompt.name))
    splits = {
        "train": prompts[num_test + num_dev :],
        "dev": prompts[num_test : num_test + num_dev],
        "test": prompts[:num_test],
    }
    with replaced_folder(out_dir, "recorded", target) as folder:
        cuts = {
            split: [_write_prompt(folder, prompt, target, recordings) for prompt in chosen]
            for split, chosen in splits.items()
        }
        write_manifests(folder, "recorded", parameters, cuts, [])
    summary = existing_corpus(out_dir, "recorded", parameters)
    assert summary is not None
    return summary


def _different_prompts(recordings: Recordings, target: str) -> list[Recording]:
    taken: set[str] = set()
    prompts: list[Recording] = []
    for name in recordings.names():
        prompt = recordings[name]
        source, translation = (
            prompt.texts.get(language, "").lower() for language in ("en", target)
        )
        sides = {f"en {source.rstrip('.!')}", f"{target} {translation.rstrip('.!')}"}
        if translation and not sides & taken:
            taken |= sides
            prompts.append(prompt)
    return prompts


def _write_prompt(
    folder: Path, prompt: Recording, target: str, recordings: Recordings
) -> dict[str, Any]:
    return write_utterance(
        folder,
        "telephone-" + prompt.name.replace("/", "-"),
        recordings.audio(prompt.name),
        recordings.sample_rate,
        transcript=prompt.texts["en"],
        translation=prompt.texts[target],
        target=target,
        custom={},
    )
