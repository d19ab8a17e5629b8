"""One normaliser for the whole step, and no pass that no term needs."""

from dataclasses import replace

import pytest
import torch
from torch.profiler import profile

from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.manifest import read_manifest
from horizon_st.model.passes import run_passes
from horizon_st.objective.objective import ObjectiveConfig
from horizon_st.training import step as training_step
from horizon_st.training.parts import build_parts, read_corpus
from horizon_st.training.step import MicroBatch, TrainingStep


@pytest.fixture(scope="module")
def parts(make_recipe):
    recipe = make_recipe("model.text_model.dropout=0")
    torch.manual_seed(0)
    return build_parts(recipe, read_corpus(recipe))


@pytest.fixture(scope="module")
def cuts(corpus):
    return list(read_manifest(corpus / "train.jsonl"))


@pytest.fixture(scope="module")
def collate(parts):
    return Collator(FeatureCache(parts.frontend, 1e9), parts.tokenizer)


EVERYTHING = ObjectiveConfig(
    mt_weight=0.5,
    consistency_weight=1.0,
    rdrop_weight=1.0,
    mt_rdrop_weight=0.7,
    external_mt_weight=0.4,
    ctc_weight=0.3,
)


def losses_and_gradients(parts, micros):
    step = TrainingStep(parts.translator.train(), EVERYTHING)
    step.zero_grad()
    counts = [torch.tensor(sum(m.num_tokens[side] for m in micros)) for side in (0, 1)]
    losses, sums = [], {}
    for micro in micros:
        loss, found = step(micro, *counts)
        loss.backward()
        losses.append(float(loss.detach()))
        for name, value in found.items():
            sums[name] = sums.get(name, 0) + float(value)
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in step.named_parameters()
        if parameter.grad is not None
    }
    return sum(losses), sums, gradients


@pytest.mark.parametrize("sizes", [(8, 1), (1, 3, 5), (1,) * 9])
def test_unequal_micro_batches_give_the_loss_and_gradient_of_one_batch(parts, collate, cuts, sizes):
    # Each part gets another part as its text pairs, so that both normalisers are exercised.
    whole = [MicroBatch(collate(cuts), collate(cuts))]
    whole[0].text.speech = None
    cut_up, start = [], 0
    for size in sizes:
        batch, text = (collate(cuts[start : start + size]) for _ in range(2))
        text.speech = None
        cut_up.append(MicroBatch(batch, text))
        start += size
    assert len({micro.num_tokens for micro in cut_up}) > 1
    loss, sums, gradients = losses_and_gradients(parts, whole)
    loss_in_parts, sums_in_parts, gradients_in_parts = losses_and_gradients(parts, cut_up)
    assert loss_in_parts == pytest.approx(loss, rel=1e-5)
    assert sums_in_parts == pytest.approx(sums, rel=1e-5, abs=1e-6)
    assert gradients.keys() == gradients_in_parts.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(
            gradients_in_parts[name], gradient, rtol=1e-3, atol=1e-5, msg=name
        )


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"mt_weight": 0.0}, (1, 0)),
        ({"mt_weight": 1.0}, (1, 1)),
        ({"mt_weight": 0.0, "consistency_weight": 1.0}, (1, 1)),
        ({"mt_weight": 0.0, "rdrop_weight": 1.0}, (2, 0)),
        ({"mt_weight": 1.0, "rdrop_weight": 1.0, "mt_rdrop_weight": 1.0}, (2, 2)),
    ],
)
def test_passes_of_weight_zero_are_not_computed(
    parts, collate, cuts, monkeypatch, weights, expected
):
    asked = []
    encoded = []

    def spy(*translator, **arguments):
        asked.append((arguments["num_speech"], arguments["num_text"]))
        return run_passes(*translator, **arguments)

    monkeypatch.setattr(training_step, "run_passes", spy)
    for name in ("encode_speech", "encode_text"):
        monkeypatch.setattr(
            parts.translator, name, _counted(getattr(parts.translator, name), name, encoded)
        )
    step = TrainingStep(parts.translator, ObjectiveConfig(**weights))
    _, sums = step(MicroBatch(collate(cuts[:2])), torch.tensor(9), torch.tensor(1))
    assert asked == [expected]
    assert ("encode_text" in encoded) is (expected[1] > 0)
    assert ("ce_text" in sums) is (weights["mt_weight"] > 0)
    assert sums.keys() >= {"ce_speech"}


def _counted(function, name, calls):
    def call(*arguments, **options):
        calls.append(name)
        return function(*arguments, **options)

    return call


def test_sums_are_detached(parts, collate, cuts):
    step = TrainingStep(parts.translator, EVERYTHING)
    loss, sums = step(MicroBatch(collate(cuts[:2])), torch.tensor(9), torch.tensor(1))
    assert loss.requires_grad
    assert not any(value.requires_grad for value in sums.values())


def test_dropout_of_a_step_does_not_wait_for_random_numbers(make_recipe, collate, cuts):
    recipe = make_recipe("model.text_model.dropout=0.3")
    parts = build_parts(recipe, read_corpus(recipe))
    step = TrainingStep(parts.translator.train(), EVERYTHING)
    with profile() as found:
        step(MicroBatch(collate(cuts)), torch.tensor(9), torch.tensor(1))
    names = {event.key for event in found.key_averages()}
    assert "aten::random_" in names
    assert not names & {"aten::bernoulli_", "aten::native_dropout"}


@pytest.mark.parametrize(("rdrop_from", "rows"), [("speech_encoder", 18), ("shared_encoder", 9)])
def test_the_speech_encoder_runs_as_often_as_asked(make_recipe, cuts, rdrop_from, rows):
    recipe = make_recipe("model.speech_encoder.layers=1", f"objective.rdrop_from={rdrop_from}")
    parts = build_parts(recipe, read_corpus(recipe))
    seen = []
    parts.translator.speech_encoder.register_forward_hook(
        lambda module, inputs, output: seen.append(len(output[0]))
    )
    batch = Collator(FeatureCache(parts.frontend, 1e9), parts.tokenizer)(cuts)
    step = TrainingStep(parts.translator.train(), recipe.objective)
    step(MicroBatch(batch), torch.tensor(1), torch.tensor(1))
    assert seen == [rows]


@pytest.mark.parametrize("rdrop_from", ["speech_encoder", "shared_encoder"])
def test_rdrop_now_and_then_weighs_as_much_in_all(make_recipe, collate, cuts, rdrop_from):
    """Every third update has three times the weight; those between are what they are without."""
    form = (
        "model.speech_encoder.layers=1",
        "objective.rdrop_weight=2",
        f"objective.rdrop_from={rdrop_from}",
    )
    recipe = make_recipe(*form, "objective.rdrop_every_steps=3")
    weight_of = {0: 0.0, 1: 0.0, 2: 6.0, 3: 0.0, 5: 6.0}
    parts = build_parts(recipe, read_corpus(recipe))
    micro = MicroBatch(collate(cuts))

    def loss_of(objective, **options):
        torch.manual_seed(0)
        step = TrainingStep(parts.translator.train(), objective)
        loss, sums = step(micro, torch.tensor(9), torch.tensor(1), **options)
        return loss.item(), "rdrop" in sums

    for update, weight in weight_of.items():
        from_where = rdrop_from if weight > 0 else "speech_encoder"
        plain = replace(
            recipe.objective, rdrop_every_steps=1, rdrop_weight=weight, rdrop_from=from_where
        )
        assert loss_of(recipe.objective, update=update) == loss_of(plain)
        assert loss_of(plain)[1] is (weight > 0)


def test_scheduled_weights_act_on_both_kinds_of_batches(make_recipe, collate, cuts):
    """An update has the weights of its place in the schedule, for speech and for text pairs."""
    recipe = make_recipe("objective={mt_rdrop_weight: 2, schedule: warmup, schedule_steps: 4}")
    parts = build_parts(recipe, read_corpus(recipe))
    batch = collate(cuts)
    micro = MicroBatch(batch, replace(batch, speech=None, speech_lengths=None))

    def loss_of(objective, **options):
        torch.manual_seed(0)
        step = TrainingStep(parts.translator.train(), objective)
        return step(micro, torch.tensor(9), torch.tensor(9), **options)[0].item()

    scheduled = recipe.objective
    plain = replace(
        scheduled,
        consistency_weight=scheduled.consistency_weight / 2,
        rdrop_weight=scheduled.rdrop_weight / 2,
        mt_rdrop_weight=1.0,
        schedule="constant",
        schedule_steps=0,
    )
    assert loss_of(scheduled, update=1) == loss_of(plain)
    assert loss_of(scheduled, update=2) != loss_of(plain)


CTC_ON_SPEECH = (
    *("model.speech_encoder.layers=1", "model.ctc.position=speech_encoder"),
    "objective.rdrop_from=shared_encoder",
)


@pytest.fixture
def on_speech(make_recipe, cuts):
    """A model with CTC on its speech encoder, in training, its objective and a batch."""
    recipe = make_recipe(*CTC_ON_SPEECH)
    torch.manual_seed(0)
    parts = build_parts(recipe, read_corpus(recipe))
    batch = Collator(FeatureCache(parts.frontend, 1e9), parts.tokenizer)(cuts)
    return parts.translator.train(), recipe.objective, batch


def loss_and_gradients(translator, objective, batch):
    """Those of one step, and how many rows the CTC head got."""
    rows = []
    hook = translator.ctc_head.register_forward_hook(
        lambda module, inputs, output: rows.append(len(output))
    )
    translator.zero_grad()
    torch.manual_seed(7)
    count = torch.tensor(batch.num_target_tokens)
    loss, sums = TrainingStep(translator, objective)(MicroBatch(batch), count, torch.tensor(1))
    loss.backward()
    hook.remove()
    named = translator.named_parameters()
    return loss, sums, {name: p.grad.clone() for name, p in named if p.grad is not None}, rows


def test_ctc_once_for_both_passes_gives_the_loss_and_gradients_of_twice(on_speech, monkeypatch):
    translator, _, _ = on_speech
    loss, sums, gradients, rows = loss_and_gradients(*on_speech)
    assert rows == [9]
    encode = translator.encode_speech

    def encode_for_each(*arguments, **options):
        encoded = encode(*arguments, **options)
        repeated = (encoded.ctc_states.repeat(2, 1, 1), encoded.ctc_mask.repeat(2, 1))
        return replace(encoded, ctc_states=repeated[0], ctc_mask=repeated[1])

    monkeypatch.setattr(translator, "encode_speech", encode_for_each)
    loss_of_two, sums_of_two, gradients_of_two, rows_of_two = loss_and_gradients(*on_speech)
    assert rows_of_two == [18]
    torch.testing.assert_close(loss, loss_of_two)
    torch.testing.assert_close(sums, sums_of_two)
    assert gradients.keys() == gradients_of_two.keys()
    assert gradients["ctc_head.weight"].abs().max() > 0
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, gradients_of_two[name], msg=name)


@pytest.mark.parametrize(
    ("ctc_weight", "train_speech_encoder", "rows"),
    [(0.3, True, [9]), (0, True, []), (0.3, False, [])],
)
def test_ctc_that_is_not_wanted_is_not_computed(on_speech, ctc_weight, train_speech_encoder, rows):
    translator, objective, batch = on_speech
    seen = []
    translator.ctc_head.register_forward_hook(
        lambda module, inputs, output: seen.append(len(output))
    )
    step = TrainingStep(translator, replace(objective, ctc_weight=ctc_weight))
    _, sums = step(
        *(MicroBatch(batch), torch.tensor(9), torch.tensor(1)),
        train_speech_encoder=train_speech_encoder,
    )
    assert seen == rows
    assert ("ctc" in sums) == bool(rows)
