"""Training steps side by side: the project's, the plain schedule of published code, plain ST + MT.

    python benchmarks/training_step.py SIZE [--out FILE.json] [--rounds 7] [--threads 2]

SIZE is small (the model of the recipe mboshi_fr), paper (HuBERT-base and the paper's text model,
random weights) or tiny (a layer of each kind, a second of speech, to see that it runs). A step is
the forward and backward passes and the update over one made-up batch. The contenders take turns on
the same batch, so that a machine that slows down slows all of them; ratios are medians over the
rounds. Memory is what a process that runs one contender alone adds from before its first step to
its peak. The share of the peak is that of the operations of matrix products, convolutions and
attention in a step, per second, in those of the fastest product of two large matrices in the same
precision (PyTorch does not count its attention on CPUs, so the share is a lower bound). All of them
keep freed memory, as `horizon-st` does. Prints Markdown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from measuring import (
    matrix_product_operations,
    matrix_product_peak,
    memory_added_mb,
    print_table,
    write_report,
)
from plain_schedule import PlainSchedule
from torch import Tensor
from transformers import HubertConfig, HubertModel

from horizon_st.cli.memory import keep_freed_memory
from horizon_st.config import load_config
from horizon_st.data.collate import Batch
from horizon_st.model.attention import use_cpu_attention
from horizon_st.model.build import build_translator
from horizon_st.model.configuration import ModelConfig
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.objective.configuration import ObjectiveConfig
from horizon_st.recipes import FOLDER
from horizon_st.training.recipe import Recipe
from horizon_st.training.step import MicroBatch, TrainingStep

ALL_ON = ObjectiveConfig(mt_weight=0.5, consistency_weight=1.0, rdrop_weight=3.0)
FROM_SHARED = replace(ALL_ON, rdrop_from="shared_encoder")
EVERY_SECOND = replace(ALL_ON, rdrop_every_steps=2)
BOTH = replace(FROM_SHARED, rdrop_every_steps=2)
ST_MT = ObjectiveConfig(mt_weight=1.0)
SAMPLES_PER_S, FRAMES_PER_S = 16_000, 100


@dataclass(frozen=True)
class Contender:
    """One way to do a step.

    Attributes:
        name: in the table.
        objective: its terms.
        precision: fp32 or bf16.
        plain: whether by the plain schedule.
    """

    name: str
    objective: ObjectiveConfig
    precision: str = "bf16"
    plain: bool = False

    @property
    def num_updates(self) -> int:
        """After how many updates they repeat; what is given of a step is the mean over them."""
        return self.objective.rdrop_every_steps


@dataclass(frozen=True)
class Size:
    """A model and a batch.

    Attributes:
        vocab_size: of the text model.
        durations_s: of the utterances.
        contenders: the first is what the others are compared with.
    """

    vocab_size: int
    durations_s: tuple[float, ...]
    contenders: tuple[Contender, ...]


SIZES = {
    "small": Size(
        500,
        tuple(2.6 + 0.04 * i for i in range(32)),
        (
            Contender("plain three passes, fp32", ALL_ON, "fp32", plain=True),
            Contender("plain three passes, bf16", ALL_ON, plain=True),
            Contender("all terms, fp32", ALL_ON, "fp32"),
            Contender("all terms, bf16", ALL_ON),
            Contender("all terms, R-drop in every second, bf16", EVERY_SECOND),
            Contender("all terms, R-drop from the shared encoder, bf16", FROM_SHARED),
            Contender("all terms, R-drop in every second from the shared encoder, bf16", BOTH),
            Contender("ST + MT, bf16", ST_MT),
        ),
    ),
    "tiny": Size(
        40,
        (0.6, 0.4),
        (
            Contender("plain three passes, fp32", ALL_ON, "fp32", plain=True),
            Contender("all terms, bf16", ALL_ON),
            Contender("all terms, R-drop in every second, bf16", EVERY_SECOND),
        ),
    ),
    "paper": Size(
        10_000,
        (9.0, 8.5, 8.0, 7.5),
        (
            Contender("plain three passes, bf16", ALL_ON, plain=True),
            Contender("all terms, bf16", ALL_ON),
            Contender("all terms, R-drop in every second, bf16", EVERY_SECOND),
            Contender("all terms, R-drop from the shared encoder, bf16", FROM_SHARED),
            Contender("all terms, R-drop in every second from the shared encoder, bf16", BOTH),
            Contender("ST + MT, bf16", ST_MT),
        ),
    ),
}


def main() -> None:
    """Prints the table, and on demand writes it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    keep_freed_memory()
    times_s = time_steps(options.size, options.rounds, options.threads)
    shares = shares_of_peak(options.size, times_s)
    memory_mb = memory_of_steps(options.size, options.threads)
    contenders = SIZES[options.size].contenders
    first = times_s[contenders[0].name]
    rows = [
        {
            "step": contender.name,
            "seconds": statistics.median(times_s[contender.name]),
            "times faster": statistics.median(
                a / b for a, b in zip(first, times_s[contender.name], strict=True)
            ),
            "of the peak": f"{shares[contender.name]:.0%}",
            "memory (MB)": memory_mb[contender.name],
            "of its memory": memory_mb[contender.name] / memory_mb[contenders[0].name],
        }
        for contender in contenders
    ]
    print_table(rows)
    if options.out is not None:
        write_report(options.out, vars(options), rows)


def time_steps(size: str, rounds: int, threads: int) -> dict[str, list[float]]:
    """Seconds of the step of every contender in every round, after one that is not counted."""
    torch.set_num_threads(threads)
    steps = make_steps(size)
    times_s: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for contender in SIZES[size].contenders:
            started = time.perf_counter()
            steps[contender.name]()
            seconds = time.perf_counter() - started
            times_s[contender.name].append(seconds / contender.num_updates)
    return {name: times[1:] for name, times in times_s.items()}


def shares_of_peak(size: str, times_s: dict[str, list[float]]) -> dict[str, float]:
    """What share of the fastest matrix product's speed each step reaches."""
    peaks = {
        "fp32": matrix_product_peak(torch.float32),
        "bf16": matrix_product_peak(torch.bfloat16),
    }
    steps = make_steps(size)
    return {
        c.name: matrix_product_operations(steps[c.name])
        / c.num_updates
        / statistics.median(times_s[c.name])
        / peaks[c.precision]
        for c in SIZES[size].contenders
    }


def memory_of_steps(size: str, threads: int) -> dict[str, float]:
    """MB that all kinds of steps add at their peak, each contender in a process of its own."""
    context = multiprocessing.get_context("spawn")
    found = {}
    for contender in SIZES[size].contenders:
        with context.Pool(1) as pool:
            found[contender.name] = pool.apply(_memory_of, (size, contender.name, threads))
    return found


def _memory_of(size: str, name: str, threads: int) -> float:
    keep_freed_memory()
    torch.set_num_threads(threads)
    step = make_steps(size, only=name)[name]
    return memory_added_mb(lambda: (step(), step()))


def make_steps(size: str, only: str | None = None) -> dict[str, Callable[[], None]]:
    """Functions that do one step each, or as many as it takes until they repeat.

    Models of one precision share their weights.
    """
    chosen = [c for c in SIZES[size].contenders if only in (None, c.name)]
    batch = make_batch(SIZES[size], waveforms=size == "paper")
    steps = {}
    for precision in dict.fromkeys(c.precision for c in chosen):
        for plain in (True, False):
            same = [c for c in chosen if (c.precision, c.plain) == (precision, plain)]
            if same:
                model = build_model(size, fast_attention=precision == "bf16" and not plain)
                steps |= {c.name: _step(c, model, batch) for c in same}
    return {c.name: steps[c.name] for c in chosen}


def _step(contender: Contender, model: SpeechTranslatorModel, batch: Batch) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-5, fused=not contender.plain
    )
    own = TrainingStep(model, contender.objective)
    reference = PlainSchedule(model, contender.objective)

    def loss(update: int) -> Tensor:
        if contender.plain:
            return reference(batch)
        count = torch.tensor(batch.num_target_tokens)
        return own(MicroBatch(batch), count, torch.tensor(1), update=update)[0]

    def step(update: int) -> None:
        model.train()
        with (
            torch.autocast("cpu", torch.bfloat16)
            if contender.precision == "bf16"
            else nullcontext()
        ):
            value = loss(update)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()

    def steps() -> None:
        for update in range(contender.num_updates):
            step(update)

    return steps


def build_model(size: str, *, fast_attention: bool) -> SpeechTranslatorModel:
    """The model of a size, the same weights every time."""
    torch.manual_seed(0)
    section = ModelConfig()
    if size != "paper":
        section = load_config(Recipe, FOLDER / "mboshi_fr.yaml").model
        section.ctc = ModelConfig().ctc
    if size == "tiny":
        section.speech_encoder.layers = 1
        section.text_model.encoder_layers = section.text_model.decoder_layers = 1
    with tempfile.TemporaryDirectory() as folder:
        if size == "paper":
            HubertModel(HubertConfig(layerdrop=0.0, apply_spec_augment=False)).save_pretrained(
                folder
            )
            section.speech_encoder = replace(section.speech_encoder, pretrained=folder)
            section.text_model.dropout = 0.1
        model = build_translator(
            section, vocab_size=SIZES[size].vocab_size, pad_id=1, bos_id=0, eos_id=2
        )
    if fast_attention:
        use_cpu_attention(model)
    return model


def make_batch(size: Size, *, waveforms: bool) -> Batch:
    """Noise of the durations, and random tokens: 4 of a translation a second, 3.5 of a source."""
    generator = torch.Generator().manual_seed(0)
    rate = SAMPLES_PER_S if waveforms else FRAMES_PER_S
    lengths = [int(s * rate) for s in size.durations_s]
    speech = [torch.randn(n if waveforms else (n, 80), generator=generator) for n in lengths]

    def tokens(per_s: float) -> Tensor:
        rows = [
            torch.cat(
                [
                    torch.randint(4, size.vocab_size, (int(s * per_s),), generator=generator),
                    torch.tensor([2]),
                ]
            )
            for s in size.durations_s
        ]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=1)

    target = tokens(4.0)
    return Batch(
        ids=[str(i) for i in range(len(lengths))],
        speech=torch.nn.utils.rnn.pad_sequence(speech, batch_first=True),
        speech_lengths=torch.tensor(lengths),
        transcript=tokens(3.5),
        target=target,
        num_target_tokens=int((target != 1).sum()),
    )


if __name__ == "__main__":
    main()
