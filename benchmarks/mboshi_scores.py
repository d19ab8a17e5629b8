"""A table of Mboshi scores: evaluations of the dev set, scored as published and detokenised.

The published way is lower-case BLEU of Moses-tokenised text against `NAME.fr.cleaned`, without
further tokenisation. Detokenised is lower-case BLEU with tokeniser 13a against `NAME.fr` as it was
written. The model may have been trained on either text: hypotheses are tokenised or detokenised as
need be (Moses' rules for French, by sacremoses).

    python benchmarks/mboshi_scores.py ROOT baseline=RUN1/dev,RUN2/dev regularised=RUN3/dev,RUN4/dev

where ROOT is the corpus and RUN/dev what `horizon-st evaluate MODEL DEV_MANIFEST --out RUN/dev`
wrote. The mean and the range are over the folders of a name, for example of three seeds.
"""

from __future__ import annotations

import argparse
import html
import json
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.table import Table
from sacrebleu.metrics.bleu import BLEU
from sacremoses import MosesDetokenizer, MosesTokenizer

from horizon_st.data.corpora.mboshi import read_mboshi

PUBLISHED = BLEU(lowercase=True, tokenize="none", force=True)
DETOKENISED = BLEU(lowercase=True, tokenize="13a")


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="the corpus")
    parser.add_argument("systems", nargs="+", metavar="NAME=FOLDER,FOLDER")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    references = {
        text: {u.id: u.translation for u in read_mboshi(options.root, text=text)["dev"]}
        for text in ("cleaned", "raw")
    }
    results = {}
    for system in options.systems:
        name, _, folders = system.partition("=")
        results[name] = [score(Path(folder), references) for folder in folders.split(",")]
    table = Table("system", "runs", "published way", "detokenised")
    for name, scores in results.items():
        table.add_row(
            name,
            str(len(scores)),
            *(summary([s[way] for s in scores]) for way in ("published", "detokenised")),
        )
    console = Console()
    console.print(table)
    for metric in (PUBLISHED, DETOKENISED):
        console.print(str(metric.get_signature()), soft_wrap=True)
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def score(folder: Path, references: dict[str, dict[str, str | None]]) -> dict[str, float]:
    """BLEU in both ways of what `evaluate` left in a folder; all of the dev set must be there."""
    lines = (folder / "sentences.jsonl").read_text(encoding="utf-8").splitlines()
    hypotheses = {row["id"]: row["hypothesis"] for row in map(json.loads, lines)}
    if hypotheses.keys() != references["raw"].keys():
        raise SystemExit(f"{folder}: not the sentences of the dev set")
    detokenised = {name: detokenise(text) for name, text in hypotheses.items()}
    tokenised = {name: tokenise(text) for name, text in detokenised.items()}
    return {
        "published": bleu(PUBLISHED, tokenised, references["cleaned"]),
        "detokenised": bleu(DETOKENISED, detokenised, references["raw"]),
    }


def detokenise(text: str) -> str:
    """Text as one writes it; what is not tokenised stays as it is."""
    return str(MosesDetokenizer("fr").detokenize(text.split()))


def tokenise(text: str) -> str:
    """Spaces around every word and mark, as in the corpus; entities undone."""
    return html.unescape(str(MosesTokenizer("fr").tokenize(text, return_str=True)))


def bleu(metric: BLEU, hypotheses: dict[str, str], references: dict[str, str | None]) -> float:
    """The corpus score, over the sentences of `references`."""
    ordered = [hypotheses[name] for name in references]
    return float(metric.corpus_score(ordered, [[str(text) for text in references.values()]]).score)


def summary(scores: list[float]) -> str:
    """The mean, and the lowest and the highest where there are several."""
    low, high = min(scores), max(scores)
    return f"{mean(scores):.2f}" + (f" ({low:.2f} to {high:.2f})" if len(scores) > 1 else "")


if __name__ == "__main__":
    main()
