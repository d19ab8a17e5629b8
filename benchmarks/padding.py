"""How much of the batches of an epoch is padding.

    python benchmarks/padding.py [--manifest FILE] [--recipe FILE] [--out FILE.json] [KEY=VALUE ...]

KEY=VALUE overrides the recipe (mboshi_fr by default), whose section `data` says how batches are
made, for example data.num_buckets=16. Measured are a made-up corpus, whose utterances last 1 to
20 s (log-normal, median 5 s), and that of the manifest, if one is given. No audio is read: frames
follow from durations and from the speeds that augmentation draws. The same examples in shuffled
order, in as many batches of equal count, are beside each for comparison. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measuring import WORDS, made_up_cut, print_table, write_report
from transformers import PreTrainedTokenizerBase

from horizon_st.config import load_config
from horizon_st.data.audio import SAMPLING_RATE, Cut
from horizon_st.data.augment import draw_speed, utterance_rng
from horizon_st.data.buckets import BatchLimit
from horizon_st.data.collate import make_batch
from horizon_st.data.frontend import FilterbankFrontend
from horizon_st.data.manifest import transcript_of, translation_of
from horizon_st.data.sampling import SpeechBatches
from horizon_st.data.shar import open_cuts
from horizon_st.data.text import load_tokenizer, train_tokenizer
from horizon_st.data.text_batches import TextBatches
from horizon_st.recipes import FOLDER
from horizon_st.training.parts import Corpus
from horizon_st.training.recipe import Recipe

MEDIAN_S, SPREAD = 5.0, 0.6
SHORTEST_S, LONGEST_S = 1.0, 20.0
WORDS_PER_S = 2.0
_EPOCH = 0

Example = tuple[int, int, int]
"""Frames of speech (0 of a text pair), source tokens, target tokens."""


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--recipe", type=Path, default=FOLDER / "mboshi_fr.yaml")
    parser.add_argument("--utterances", type=int, default=5000, help="of the made-up corpus")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    recipe = load_config(Recipe, options.recipe, options.overrides)
    with tempfile.TemporaryDirectory(prefix="horizon-st-padding-") as folder:
        made_up = make_manifest(Path(folder), options.utterances)
        rows = measure("made up", made_up, recipe)
    if options.manifest is not None:
        rows += measure(options.manifest.absolute().parent.name, options.manifest, recipe)
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def measure(name: str, manifest: Path, recipe: Recipe) -> list[dict[str, Any]]:
    """The rows of a corpus: its utterances, and its transcripts with their translations."""
    corpus = Corpus(open_cuts(manifest), dev_cuts=[], external_pairs=None, fingerprint={})
    rows = []
    for kind, batches in epochs(corpus, recipe).items():
        ways = {"by length": batches, "shuffled, equal count": shuffled(batches, recipe.seed)}
        for way, chosen in ways.items():
            speech, source, target = padding_shares(chosen)
            rows.append(
                {
                    "corpus": name,
                    "batches of": kind,
                    "batching": way,
                    "number": len(chosen),
                    "padding of frames": f"{speech:.1%}" if kind == "utterances" else "",
                    "of source tokens": f"{source:.1%}",
                    "of target tokens": f"{target:.1%}",
                }
            )
    return rows


def epochs(corpus: Corpus, recipe: Recipe) -> dict[str, list[list[Example]]]:
    """The batches of the first epoch as training draws them, of each kind that there is."""
    data = recipe.data
    tokenizer = (
        train_tokenizer(corpus.sentences(data.vocab_sample_sentences), data.vocab_size)
        if data.tokenizer is None
        else load_tokenizer(data.tokenizer)
    )
    found = {
        "utterances": [
            examples_of(
                tokenizer,
                [transcript_of(cut) for cut in batch],
                [translation_of(cut) for cut in batch],
                [frames_of(cut, recipe) for cut in batch],
            )
            for batch in SpeechBatches(corpus.train, data, recipe.seed).batches(_EPOCH)
        ]
    }
    if corpus.train.survey.num_transcribed:
        limit = BatchLimit("data.max_batch_tokens", data.max_batch_tokens, "tokens")
        pairs = TextBatches(corpus.in_domain_pairs, tokenizer, limit, data.num_buckets, recipe.seed)
        found["text pairs"] = [
            examples_of(
                tokenizer, [p.source for p in batch], [p.target for p in batch], [0] * len(batch)
            )
            for batch in pairs.batches(_EPOCH)
        ]
    return found


def examples_of(
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[str | None],
    targets: Sequence[str],
    frames: Sequence[int],
) -> list[Example]:
    """Lengths of what training puts in a batch."""
    batch = make_batch([], tokenizer, sources, targets)
    num_tokens = [
        (ids != tokenizer.pad_token_id).sum(dim=1).tolist()
        for ids in (batch.transcript, batch.target)
    ]
    return list(zip(frames, *num_tokens, strict=True))


def frames_of(cut: Cut, recipe: Recipe) -> int:
    """Filterbank frames of an utterance at the speed that training draws for it."""
    speed = draw_speed(recipe.data.augment, utterance_rng(recipe.seed, _EPOCH, cut.id))
    return FilterbankFrontend().length_of(round(cut.duration * SAMPLING_RATE / speed))


def shuffled(batches: Sequence[Sequence[Example]], seed: int) -> list[list[Example]]:
    """The same examples in random order, in as many batches, whose counts differ by 1 at most."""
    examples = np.array([example for batch in batches for example in batch])
    np.random.default_rng(seed).shuffle(examples)
    return [
        [(*example,) for example in part.tolist()]
        for part in np.array_split(examples, len(batches))
    ]


def padding_shares(batches: Iterable[Sequence[Example]]) -> list[float]:
    """Of frames, source tokens and target tokens, the share of all that is padding."""
    real, all_ = np.zeros(3), np.zeros(3)
    for batch in batches:
        lengths = np.array(batch)
        real += lengths.sum(axis=0)
        all_ += len(lengths) * lengths.max(axis=0)
    shares: list[float] = (1 - real / all_.clip(min=1)).tolist()
    return shares


def make_manifest(folder: Path, num_utterances: int) -> Path:
    """A manifest of made-up utterances, all of one audio file that nobody opens."""
    rng = np.random.default_rng(0)
    (folder / "a.wav").touch()
    manifest = folder / "train.jsonl"
    with manifest.open("w", encoding="utf-8") as file:
        for index in range(num_utterances):
            duration_s = 0.0
            while not SHORTEST_S <= duration_s <= LONGEST_S:
                duration_s = round(MEDIAN_S * rng.lognormal(sigma=SPREAD), 3)
            source, target = (_sentence(duration_s, rng) for _ in range(2))
            cut = made_up_cut(f"{index}", duration_s, audio="a.wav", source=source, target=target)
            file.write(json.dumps(cut) + "\n")
    return manifest


def _sentence(duration_s: float, rng: np.random.Generator) -> str:
    """Words as fast as this speaker speaks, in this language: a fifth faster or slower."""
    num_words = max(1, round(WORDS_PER_S * duration_s * rng.lognormal(sigma=0.2)))
    return " ".join(a + b for a, b in rng.choice(WORDS, size=(num_words, 2)))


if __name__ == "__main__":
    main()
