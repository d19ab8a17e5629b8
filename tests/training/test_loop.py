"""Schedules, clipping, early stopping and figures of the loop."""

import json
import math

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from horizon_st.data.collate import Batch
from horizon_st.data.sampling import Position
from horizon_st.errors import UserError
from horizon_st.training.checkpoint import Checkpoints
from horizon_st.training.loop import Loop, Streams
from horizon_st.training.recipe import StageConfig


class Silent:
    def update(self, stage, step, max_steps, figures):
        pass


class Slope(nn.Module):
    """A loss whose gradient is the same at every update: (3, 4) times a factor."""

    def __init__(self, factor=1.0, loss=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.factor, self.loss = factor, loss
        self.updates, self.epochs = [], []

    def forward(
        self, micro, num_speech_tokens, num_text_tokens, *, update, epoch, train_speech_encoder=True
    ):
        self.updates.append(update)
        self.epochs.append(epoch)
        loss = self.factor * (self.weight * torch.tensor([3.0, 4.0])).sum()
        return loss, {"ce_pairs": torch.tensor(self.loss) * num_text_tokens}


class Late(Slope):
    """CTC on the speech encoder, 3 per token wherever it is trained."""

    def forward(self, micro, num_speech_tokens, *arguments, train_speech_encoder=True, **options):
        loss, sums = super().forward(micro, num_speech_tokens, *arguments, **options)
        return loss, sums | ({"ctc": 3.0 * num_speech_tokens} if train_speech_encoder else {})


class Endless:
    """A stream whose batches count two tokens."""

    def __init__(self):
        self.position = Position()

    def rest_of_epoch(self):
        ids = torch.zeros(1, 2, dtype=torch.int64)
        while True:
            self.position.num_batches += 1
            yield Batch(["a"], None, None, ids, ids, 2)

    endless = rest_of_epoch


def make_loop(folder, module=None, dev_figures=None, streams=None, reporter=None, **settings):
    settings = {"max_steps": 8, "validate_every_steps": 1, "log_every_steps": 1} | settings
    settings = {"warmup_steps": 0, "average": 1, "weight_decay": 0.0} | settings
    config = StageConfig(**settings)
    figures = iter(dev_figures or [{"loss": 1.0}] * 99)
    return Loop(
        "test",
        config,
        step=module or Slope(),
        streams=streams or Streams(None, Endless()),
        validate=lambda: dict(next(figures)),
        checkpoints=Checkpoints(
            folder,
            keep_newest=2,
            keep_best=1,
            metric=config.metric,
            higher_is_better=config.metric == "bleu",
        ),
        accelerator=Accelerator(cpu=True, step_scheduler_with_optimizer=False),
        reporter=reporter or Silent(),
        on_validation=lambda progress: None,
    )


FORMULAS = {
    "inverse_sqrt": lambda t, warmup, last: math.sqrt(warmup / t),
    "cosine": lambda t, warmup, last: (1 + math.cos(math.pi * (t - warmup) / (last - warmup))) / 2,
    "constant": lambda t, warmup, last: 1.0,
}


@pytest.mark.parametrize("schedule", FORMULAS)
def test_schedules_follow_their_formulas(tmp_path, schedule):
    """After t updates the rate is linear up to t = warm-up, then the formula."""
    warmup, last, peak = 4, 12, 0.02
    loop = make_loop(
        tmp_path,
        schedule=schedule,
        warmup_steps=warmup,
        max_steps=last,
        learning_rate=peak,
        validate_every_steps=12,
    )
    found = [entry["learning_rate"] for entry in loop.run().train_history]
    expected = [
        peak * (t / warmup if t < warmup else FORMULAS[schedule](t, warmup, last))
        for t in range(last)
    ]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("clip_norm", "scale"), [(1.0, 0.1), (20.0, 1.0), (0.0, 1.0)])
def test_clipping_limits_the_norm(tmp_path, clip_norm, scale):
    """The gradient is (6, 8), of norm 10; Adam's first moment after one update is a tenth of it."""
    loop = make_loop(tmp_path, Slope(2.0), clip_norm=clip_norm, max_steps=1)
    [entry] = loop.run().train_history
    assert entry["gradient_norm"] == pytest.approx(10.0)
    [state] = loop.optimizers[0].state_dict()["state"].values()
    torch.testing.assert_close(state["exp_avg"], 0.1 * scale * torch.tensor([6.0, 8.0]))


@pytest.mark.parametrize("accumulation", [1, 3])
def test_accumulation_adds_gradients_and_counts_tokens(tmp_path, accumulation):
    loop = make_loop(tmp_path, accumulation=accumulation, clip_norm=0.0, max_steps=2)
    progress = loop.run()
    assert [entry["gradient_norm"] for entry in progress.train_history] == pytest.approx(
        [5.0 * accumulation] * 2
    )
    assert progress.text.num_batches == 2 * accumulation


@pytest.mark.parametrize(
    ("metric", "values", "last_step"),
    [
        ("loss", [3.0, 2.0, 2.5, 2.0, 1.0], 4),
        ("loss", [3.0, 2.0, 2.5, 1.9, 2.0, 2.1, 0.0], 6),
        ("bleu", [1.0, 2.0, 1.5, 2.0, 9.0], 4),
        ("bleu", [5.0, 4.0, 3.0, 9.0], 3),
    ],
)
def test_patience_ends_the_stage(tmp_path, metric, values, last_step):
    figures = [{"loss": 1.0} | {metric: value} for value in values]
    loop = make_loop(tmp_path, None, figures, metric=metric, patience=2)
    assert loop.run().step == last_step
    assert loop.stopped_early
    again = make_loop(tmp_path, None, [], metric=metric, patience=2)
    assert again.run().step == last_step
    assert again.stopped_early


def test_without_patience_all_steps_are_done(tmp_path):
    figures = [{"loss": float(step)} for step in range(9)]
    loop = make_loop(tmp_path, None, figures)
    assert loop.run().step == 8
    assert not loop.stopped_early
    assert loop.progress.num_without_gain == 7


def test_patience_that_runs_out_with_the_last_step_stops_nothing(tmp_path):
    loop = make_loop(tmp_path, max_steps=3, patience=2)
    assert loop.run().step == 3
    assert not loop.stopped_early


def test_a_loss_that_is_not_finite_is_refused_before_it_is_saved(tmp_path):
    loop = make_loop(tmp_path, Slope(loss=math.nan))
    with pytest.raises(
        UserError,
        match=r"stage test, step 1: expected a finite loss, found ce_pairs nan",
    ):
        loop.run()
    assert not [*tmp_path.iterdir()]


def test_a_dev_loss_that_is_not_finite_is_refused_before_it_is_saved(tmp_path):
    loop = make_loop(tmp_path, None, [{"loss": 1.0}, {"loss": math.inf}])
    with pytest.raises(UserError, match=r"step 2: expected a finite loss, found loss inf"):
        loop.run()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_the_share_that_ctc_aligned_is_logged(tmp_path):
    class Aligning(Slope):
        num_calls = 0

        def forward(self, *arguments, **options):
            self.num_calls += 1
            loss, sums = super().forward(*arguments, **options)
            aligned, transcripts = (3, 4) if self.num_calls > 1 else (0, 0)
            counted = {"ctc_aligned": aligned, "ctc_transcripts": transcripts}
            return loss, sums | {name: torch.tensor(count) for name, count in counted.items()}

    loop = make_loop(tmp_path, Aligning(), max_steps=3, log_every_steps=3, validate_every_steps=3)
    first, last = loop.run().train_history
    assert "ctc_aligned" not in first
    assert last["ctc_aligned"] == 0.75
    assert "ctc_transcripts" not in last


def test_figures_are_means_per_token_since_the_last_entry(tmp_path):
    loop = make_loop(
        tmp_path, Slope(loss=2.5), max_steps=6, log_every_steps=4, validate_every_steps=6
    )
    history = loop.run().train_history
    assert [entry["step"] for entry in history] == [1, 4, 6]
    assert [entry["ce_pairs"] for entry in history] == pytest.approx([2.5] * 3)
    stored = json.loads((tmp_path / "step-00000006" / "progress.json").read_text())
    assert stored["train_history"] == history


@pytest.mark.parametrize(
    ("log_every_steps", "logged"), [(2, [1, 2, 4, 6, 8]), (5, [1, 5, 8]), (3, [1, 3, 6, 8])]
)
def test_a_term_that_begins_between_two_entries_is_a_mean_of_its_updates(
    tmp_path, log_every_steps, logged
):
    loop = make_loop(
        tmp_path,
        Late(loss=2.5),
        streams=Streams(Endless(), Endless()),
        freeze_speech_encoder_steps=3,
        log_every_steps=log_every_steps,
        validate_every_steps=8,
    )
    history = loop.run().train_history
    assert [entry["step"] for entry in history] == logged
    assert [entry.get("ctc") for entry in history] == [
        None if step <= 3 else pytest.approx(3.0) for step in logged
    ]
    assert [entry["ce_pairs"] for entry in history] == pytest.approx([2.5] * len(logged))


def test_all_micro_batches_of_an_update_have_its_number(tmp_path):
    loop = make_loop(tmp_path, accumulation=3, max_steps=2)
    loop.run()
    assert loop.step.updates == [0, 0, 0, 1, 1, 1]


def test_updates_know_the_epoch_of_the_speech(tmp_path):
    class Short(Endless):
        def rest_of_epoch(self):
            ids = torch.zeros(1, 2, dtype=torch.int64)
            while self.position.num_batches < 3:
                self.position.num_batches += 1
                yield Batch(["a"], None, None, ids, ids, 2)
            self.position = Position(self.position.epoch + 1, 0)

    loop = make_loop(tmp_path / "speech", streams=Streams(Short(), Endless()), max_steps=7)
    loop.run()
    assert loop.step.epochs == [0, 0, 0, 1, 1, 1, 2]
    loop = make_loop(tmp_path / "text", streams=Streams(None, Short()), max_steps=7)
    loop.run()
    assert loop.step.epochs == [0] * 7


def test_a_resumed_run_writes_the_same_figures_of_such_a_term(tmp_path):
    class KilledError(Exception):
        pass

    class KillAt(Silent):
        def update(self, stage, step, max_steps, figures):
            if step == 3:
                raise KilledError

    def loop(name, reporter=None):
        settings = {"log_every_steps": 5, "validate_every_steps": 2, "max_steps": 8}
        streams = Streams(Endless(), Endless())
        return make_loop(
            tmp_path / name,
            Late(),
            streams=streams,
            reporter=reporter,
            freeze_speech_encoder_steps=3,
            **settings,
        )

    expected = loop("whole").run().train_history
    with pytest.raises(KilledError):
        loop("killed", KillAt()).run()
    resumed = loop("killed")
    assert resumed.run().train_history == expected
    assert resumed.step.updates == [2, 3, 4, 5, 6, 7]
    assert [entry["step"] for entry in expected if "ctc" in entry] == [4, 5, 6, 8]
