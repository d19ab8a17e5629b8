"""What single runs show of themselves: published runs whose side is known, and made-up curves."""

import json
import math
from pathlib import Path

import pytest
import torch

from horizon_st.horizon.run_diagnosis import diagnose_run, smoothed_floor
from horizon_st.objective.configuration import ObjectiveConfig
from horizon_st.objective.terms import cross_entropy

RESULTS = Path(__file__).parents[2] / "results/embedded_es/saturation/results.json"
LONGER = Path(__file__).with_name("saturation_1800_updates.json")
"""The same study with twice the updates, before speeds were varied: see docs/results.md."""


def record_of(losses, ce_speech, *, vocab_size=500, **objective):
    """What `diagnose_run` reads of a record."""
    config = vars(ObjectiveConfig(**objective))
    train = {"step": 100.0 * len(losses), "ce_speech": ce_speech, "rdrop": 0.02}
    return {
        "recipe": {"objective": config},
        "vocab_size": vocab_size,
        "stages": [
            {"name": "mt_external", "train_history": [{}], "dev_history": []},
            {
                "name": "st",
                "train_history": [train],
                "dev_history": [
                    {"step": 100.0 * (i + 1), "loss": loss} for i, loss in enumerate(losses)
                ],
            },
        ],
    }


def published(arm):
    """(losses, training cross-entropy, weights) of the three runs of an arm."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    weights = {
        key.removeprefix("objective."): value
        for key, value in results["settings"][arm].items()
        if key in ("objective.rdrop_weight", "objective.consistency_weight")
    }
    trials = [trial for trial in results["trials"] if trial["arm"] == arm]
    assert len(trials) == 3
    for trial in trials:
        losses = [entry["loss"] for entry in trial["dev_history"]]
        yield losses, trial["train_figures"]["ce_speech"], weights


def longer(arm):
    """The same of the runs of an arm with 1,800 updates."""
    trials = [one for one in json.loads(LONGER.read_text(encoding="utf-8")) if one["arm"] == arm]
    assert len(trials) == 3
    for trial in trials:
        yield trial["dev_losses"], trial["ce_speech"], trial["weights"]


@pytest.mark.parametrize("arm", ["none", "CR"])
def test_runs_that_rdrop_would_have_improved_are_under_regularised(arm):
    """R-drop gains 5.1 BLEU there (p 0.005)."""
    for losses, ce_speech, weights in longer(arm):
        found = diagnose_run(record_of(losses, ce_speech, **weights))
        assert found.side == "under-regularised"
        assert found.next_setting == {"objective.rdrop_weight": 3.0}


@pytest.mark.parametrize("arm", ["RD", "CR + RD"])
def test_the_runs_with_rdrop_are_not(arm):
    for losses, ce_speech, weights in longer(arm):
        assert diagnose_run(record_of(losses, ce_speech, **weights)).side == "undecided"


@pytest.mark.parametrize("arm", ["RD", "CR + RD"])
def test_short_runs_of_the_best_arms_are_not_called_over_regularised(arm):
    """They gain 4.6 and 6.5 BLEU over none, and most have not learnt their training set."""
    found = [
        diagnose_run(record_of(losses, ce, **weights)) for losses, ce, weights in published(arm)
    ]
    assert {(one.side, str(one.next_setting)) for one in found} == {("undecided", "{}")}
    assert sum("train longer. If dev loss then stays" in one.describe() for one in found) == 2


def test_what_is_learnt_or_held_back_by_nothing_is_told_apart():
    learnt = diagnose_run(record_of([1.4, 1.3, 1.25], 1.0, rdrop_weight=8.0))
    assert "Nothing in these curves speaks against the setting" in learnt.describe()
    short = diagnose_run(record_of([5.0, 4.0, 3.5], 3.4))
    assert short.describe().endswith("train longer.")


def test_stronger_rdrop_is_next_where_there_is_some():
    found = diagnose_run(record_of([1.0, 1.2, 1.4], 1.0, rdrop_weight=2.0))
    assert found.next_setting == {"objective.rdrop_weight": 4.0}
    assert "40% above its lowest (update 100)" in found.describe()


def test_runs_that_cannot_tell_say_nothing():
    assert diagnose_run(record_of([1.4, 1.3], 1.0)) is None
    assert diagnose_run(record_of([1.0, 1.2, 1.4], 1.0, token_base_weight=0.7)) is None
    without = record_of([1.0, 1.2, 1.4], 1.0)
    without["stages"] = without["stages"][:1]
    assert diagnose_run(without) is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_the_floor_is_the_cross_entropy_of_the_targets_themselves(smoothing):
    ideal = torch.full((7,), smoothing / 6)
    ideal[2] = 1 - smoothing
    logits = ideal.clamp_min(1e-30).log()[None, None]
    total, count = cross_entropy(
        logits, torch.tensor([[2]]), label_smoothing=smoothing, ignore_index=0
    )
    assert math.isclose(smoothed_floor(smoothing, 7), float(total / count), abs_tol=1e-5)
