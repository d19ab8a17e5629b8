"""The demonstration: what regularisation buys on recorded speech, in a few minutes on two cores.

Builds the embedded corpus, pre-trains one model on text, then trains the plain multi-task baseline
and a regularised setting from it, side by side and for the same number of updates; scores both,
tests the difference, and translates held-out recordings. Everything continues where it was killed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from horizon_st.config import load_config
from horizon_st.data.corpora.telephone import CorpusSummary, build_corpus
from horizon_st.data.files import make_folder, whole_file
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.decoding.compare import Comparison, compare
from horizon_st.decoding.evaluate import evaluate
from horizon_st.decoding.evaluation import SCORES_FILE, read_evaluation
from horizon_st.decoding.trained import weights_fingerprint
from horizon_st.display import ProgressBars
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.recipes import shipped_recipe
from horizon_st.training.stages import Recipe, run_recipe
from horizon_st.workers import Messages, run_side_by_side

PLAIN = ("objective.mt_weight=1", "objective.consistency_weight=0", "objective.rdrop_weight=0")
"""What turns the shipped recipe's objective into plain multi-task training."""
_NO_PRETRAINING = ("stages.mt_external.max_steps=0", "stages.mt_in_domain.max_steps=0")
_NUM_SHOWN = 3
_NUM_THREADS = 1
"""Per run: threads of so small a model wait for each other more than they compute."""


@dataclass(frozen=True)
class Job:
    """One run of a child process: train by a recipe, then evaluate on the test set."""

    name: str
    overrides: tuple[str, ...]
    run_dir: Path
    test_manifest: Path

    @property
    def place(self) -> str:
        """The run folder, in messages."""
        return str(self.run_dir)

    def __call__(self, messages: Messages) -> None:
        """Trains and evaluates what is not yet done."""
        torch.set_num_threads(_NUM_THREADS)
        recipe = _recipe(self.name, self.overrides)
        model = run_recipe(recipe, self.run_dir, _JobReporter(self.name, messages))
        bar = f"{self.name}: scoring"
        if not _is_evaluated(self.run_dir / "test", model):
            evaluate(
                model,
                self.test_manifest,
                self.run_dir / "test",
                config=recipe.decoding,
                on_decoded=lambda done, total: messages.advance_to(bar, done, total),
            )
        evaluation = read_evaluation(self.run_dir / "test")
        total, bleu = len(evaluation.sentences), evaluation.value_of("BLEU")
        messages.advance_to(bar, total, total, f"test BLEU {bleu:.1f}")


class _JobReporter:
    """Tells the parent process where training stands."""

    def __init__(self, name: str, messages: Messages) -> None:
        self._name = name
        self._messages = messages

    def update(self, stage: str, step: int, max_steps: int, figures: dict[str, float]) -> None:
        shown = f"dev BLEU {figures['dev_bleu']:.1f}" if "dev_bleu" in figures else ""
        self._messages.advance_to(f"{self._name}: {stage}", step, max_steps, shown)


def run_demo(
    target: str, out_dir: Path, console: Console, *, overrides: Sequence[str] = ()
) -> Comparison:
    """The comparison of the regularised model with the baseline on the test set.

    Args:
        target: language of the translations: es, fr, it or de.
        out_dir: corpus, runs and results go below it.
        console: where progress and results are shown.
        overrides: changes to the shipped recipe, for all runs.

    Raises:
        UserError: the target is unknown, or the folder cannot be written or holds a run of another
            recipe.
    """
    started = time.monotonic()
    make_folder(out_dir)
    corpus_dir, pretraining_dir = out_dir / "corpus", out_dir / "pretraining"
    data = (
        f"data.train={corpus_dir / 'train.jsonl'}",
        f"data.dev={corpus_dir / 'dev.jsonl'}",
        f"data.text_pairs={corpus_dir / 'text_pairs.jsonl'}",
        *overrides,
    )
    common = (*data, f"initial_model={pretraining_dir / 'model'}", *_NO_PRETRAINING)
    jobs = [
        Job(name, changes, out_dir / name, corpus_dir / "test.jsonl")
        for name, changes in (("baseline", (*common, *PLAIN)), ("regularised", common))
    ]
    pretraining = _recipe("pretraining", (*data, "stages.st.max_steps=0"))
    # A mistake in the overrides should show before anything is built.
    recipes = [_recipe(job.name, job.overrides) for job in jobs]
    with ProgressBars(console) as bars:
        corpus = build_corpus(
            corpus_dir,
            target=target,
            progress=lambda done, total: bars.advance_to("corpus", done, total),
        )
        torch.set_num_threads(_NUM_THREADS)
        run_recipe(pretraining, pretraining_dir, bars)
        run_side_by_side(jobs, bars)
    baseline, regularised = (job.run_dir / "test" for job in jobs)
    comparison = compare(baseline, regularised)
    with whole_file(out_dir / "comparison.json") as file:
        file.write(json.dumps(comparison.to_json(), indent=1) + "\n")
    _show_corpus(corpus, console)
    _show_settings(jobs, console)
    comparison.render(console)
    translator = SpeechTranslator.from_pretrained(
        out_dir / "regularised" / "model", config=recipes[-1].decoding
    )
    _show_translations(corpus, translator, console)
    console.print(
        f"Done in {(time.monotonic() - started) / 60:.1f} minutes. Models, records and scores are "
        f"in {out_dir}. Translate a recording of yours:\n"
        f"  horizon-st translate {out_dir / 'regularised' / 'model'} FILE",
        soft_wrap=True,
    )
    return comparison


def _recipe(name: str, overrides: Sequence[str]) -> Recipe:
    return load_config(Recipe, shipped_recipe("telephone"), (f"name={name}", *overrides))


def _is_evaluated(folder: Path, model: Path) -> bool:
    """Whether the folder holds the scores of just these weights."""
    if not (folder / SCORES_FILE).is_file():
        return False
    summary = read_evaluation(folder).summary
    return bool(summary["model"]["sha256"] == weights_fingerprint(model))


def _show_corpus(corpus: CorpusSummary, console: Console) -> None:
    minutes = {split: hours * 60 for split, hours in corpus.hours.items()}
    console.print(
        f"Trained on {corpus.num_utterances['train']} announcements ({minutes['train']:.0f} min of "
        f"speech) and {corpus.num_text_pairs} text pairs; tested on "
        f"{corpus.num_utterances['test']} others ({minutes['test']:.0f} min)."
    )


def _show_settings(jobs: list[Job], console: Console) -> None:
    table = Table(title="Objective: CE_s + α_t·CE_x + α_cr·CR + α_rd·RD + α_ctc·CTC")
    weighted = {"α_t": "mt", "α_cr": "consistency", "α_rd": "rdrop", "α_ctc": "ctc"}
    for heading in ("run", *weighted, "seed", "updates", "dev BLEU", "min"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    for job in jobs:
        record = json.loads((job.run_dir / "record.json").read_text())
        weights, stage = record["recipe"]["objective"], record["stages"][-1]
        table.add_row(
            job.name,
            *(f"{weights[f'{name}_weight']:g}" for name in weighted.values()),
            str(record["seed"]),
            str(stage["steps"]),
            f"{stage['final']['bleu']:.1f}" if "bleu" in stage["final"] else "–",
            f"{stage['wall_s'] / 60:.1f}",
        )
    console.print(table)


def _show_translations(
    corpus: CorpusSummary, translator: SpeechTranslator, console: Console
) -> None:
    cuts = list(read_manifest(corpus.folder / "test.jsonl"))[:_NUM_SHOWN]
    files = [cut.recording.sources[0].source for cut in cuts]
    console.print("Recordings the model has not heard:")
    translated = translator.translate(files, one_utterance=True)
    for cut, file, translation in zip(cuts, files, translated, strict=True):
        grid = Table.grid(padding=(0, 1))
        grid.add_row("", "file", file)
        grid.add_row("", "English", transcript_of(cut))
        grid.add_row("", "reference", translation_of(cut))
        grid.add_row("", "translation", f"[bold]{escape(translation.text)}[/]")
        console.print(grid, "")
