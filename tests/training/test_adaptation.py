"""Weights that follow the loss of held-out utterances."""

import json
from copy import deepcopy

import pytest
import torch

from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.manifest import read_manifest
from horizon_st.decoding.trained import load_trained_model
from horizon_st.errors import UserError
from horizon_st.model.passes import run_passes
from horizon_st.objective.adaptive import AdaptiveConfig, Agreement
from horizon_st.objective.objective import ObjectiveConfig, validation_loss
from horizon_st.training.adaptation import cosine, scales_of, split_dev
from horizon_st.training.parts import build_parts, read_corpus
from horizon_st.training.step import TrainingStep

ADAPTIVE = ("objective.adaptive.every_steps=2", "objective.adaptive.rate=0.2")


@pytest.fixture(scope="module")
def parts(make_recipe):
    recipe = make_recipe("model.text_model.dropout=0")
    torch.manual_seed(0)
    return build_parts(recipe, read_corpus(recipe))


@pytest.fixture(scope="module")
def batches(parts, corpus):
    """A training batch and a held-out one."""
    collate = Collator(FeatureCache(parts.frontend, 1e9), parts.tokenizer)
    cuts = list(read_manifest(corpus / "train.jsonl"))
    return collate(cuts[:4]), collate(cuts[4:])


def loss_on(translator, batch):
    [speech], _ = run_passes(
        translator,
        speech=batch.speech,
        speech_lengths=batch.speech_lengths,
        transcript=batch.transcript,
        target=batch.target,
        num_speech=1,
        num_text=0,
    )
    total, count = validation_loss(speech, batch.target, pad_id=translator.config.pad_token_id)
    return total / count


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"rdrop_weight": 30.0},
            r"rdrop_weight: expected a start between 0\.001 and 20, .*found 30",
        ),
        ({"consistency_weight": 1e-4}, "consistency_weight: expected a start between"),
        ({"mt_weight": 1.5}, r"mt_weight: expected a start between 0\.001 and 1,"),
    ],
)
def test_a_start_out_of_the_bounds_is_refused(weights, message):
    adaptive = AdaptiveConfig(every_steps=2)
    with pytest.raises(UserError, match=message):
        ObjectiveConfig(**weights, adaptive=adaptive)
    ObjectiveConfig(**weights)
    ObjectiveConfig(rdrop_weight=30.0, adaptive=AdaptiveConfig(every_steps=2, largest=40.0))
    ObjectiveConfig(rdrop_weight=0.0, adaptive=adaptive)


@pytest.mark.parametrize("term", ["ce_text", "consistency"])
def test_the_agreement_is_what_a_weight_changes_of_the_held_out_loss(parts, batches, term):
    """The cosine, times both lengths, against a difference quotient over a step of plain SGD."""
    train, held_out = batches
    translator = deepcopy(parts.translator).double().eval()
    for batch in batches:
        batch.speech = batch.speech.double()
    step = TrainingStep(translator, ObjectiveConfig(mt_weight=0.5, consistency_weight=1.0))
    parameters = [p for p in step.parameters() if p.requires_grad]
    report = step.speech_report(train, step.objective, 0, train_speech_encoder=True)
    gradients = torch.autograd.grad(report.terms[term][0], parameters, allow_unused=True)
    held = torch.autograd.grad(loss_on(translator, held_out), parameters, allow_unused=True)
    lengths = [
        torch.stack([x.square().sum() for x in side if x is not None]).sum().sqrt()
        for side in (held, gradients)
    ]
    found = cosine(held, gradients, [1.0] * len(parameters)) * lengths[0] * lengths[1]

    def after(rate):
        moved = deepcopy(translator)
        with torch.no_grad():
            for parameter, gradient in zip(moved.parameters(), gradients, strict=True):
                if gradient is not None:
                    parameter -= rate * gradient
        with torch.no_grad():
            return loss_on(moved, held_out)

    assert len(parameters) == len([*translator.parameters()])
    rate = 1e-7
    measured = (after(-rate) - after(rate)) / (2 * rate)
    assert float(found) == pytest.approx(float(measured), rel=1e-4)


def test_a_gradient_agrees_with_itself_whatever_the_scales():
    torch.manual_seed(0)
    left = [torch.randn(3, 2), None, torch.randn(4)]
    right = [torch.randn(3, 2), torch.randn(2), torch.randn(4)]
    scales = [torch.rand(3, 2), 1.0, torch.rand(4)]
    assert float(cosine(left, left, scales)) == pytest.approx(1)
    assert float(cosine(left, [None if x is None else -x for x in left], scales)) == -1
    flat = [torch.cat([x.flatten() * s.flatten().sqrt() for x, s in pairs]) for pairs in (
        [(left[0], scales[0]), (left[2], scales[2])],
        [(right[0], scales[0]), (right[2], scales[2])],
    )]  # fmt: skip
    whole = flat[1].norm() ** 2 + right[1].norm() ** 2
    expected = flat[0] @ flat[1] / (flat[0].norm() * whole.sqrt())
    assert float(cosine(left, right, scales)) == pytest.approx(float(expected), rel=1e-5)


def test_scales_are_those_that_adam_multiplies_by():
    """Its update, without momentum and weight decay, is the gradient times them."""
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(5))
    optimizer = torch.optim.AdamW([parameter], lr=1.0, betas=(0.0, 0.0), weight_decay=0.0)
    assert scales_of([parameter], [optimizer]) == [1.0]
    before = parameter.detach().clone()
    parameter.grad = torch.randn(5)
    optimizer.step()
    [scale] = scales_of([parameter], [optimizer])
    torch.testing.assert_close(before - parameter.grad * scale, parameter.detach())


def test_weights_rise_with_agreement_fall_without_it_and_stay_in_their_bounds():
    config = AdaptiveConfig(every_steps=1, rate=0.1, memory=0.5, largest=4.0)

    def after(agreements, name="rdrop_weight"):
        value, agreement = 1.0, None
        for found in agreements:
            agreement = Agreement.after(agreement, found, config.memory)
            value = config.moved(name, value, agreement)
        return value

    assert after([0.3]) == pytest.approx(after([3e-5])) == pytest.approx(1.1, abs=0.01)
    assert after([-0.3]) == pytest.approx(1 / after([0.3]))
    assert after([0.01] * 100) == 4.0
    assert after([0.01] * 100, "mt_weight") == 1.0
    assert after([-0.01] * 100) == 1e-3
    assert 0.8 < after([0.1, -0.1] * 50) < 1.25  # a move or two, of 100


def test_the_weights_of_a_run_move_and_its_dev_figures_leave_out_what_they_follow(
    train, st_only, tmp_path, corpus
):
    folder = train(tmp_path / "run", *st_only, *ADAPTIVE, "stages.st.log_every_steps=1")
    stage = json.loads((folder / "record.json").read_text())["stages"][-1]
    weights = [entry["consistency_weight"] for entry in stage["train_history"]]
    assert len(weights) >= 4
    assert weights[0] != weights[2]
    assert weights[0] == weights[1]  # moves come with every second update
    assert all("consistency_agreement" in entry for entry in stage["train_history"])
    dev = list(read_manifest(corpus / "dev.jsonl"))
    measured, followed = split_dev(dev, 0.5)
    assert {cut.id for cut in measured} | {cut.id for cut in followed} == {cut.id for cut in dev}
    assert not {cut.id for cut in measured} & {cut.id for cut in followed}
    trained = load_trained_model(str(folder / "model"), device="cpu")
    collate = Collator(FeatureCache(trained.frontend, 1e9), trained.tokenizer)
    with torch.no_grad():
        of_measured, of_followed = (
            float(loss_on(trained.model.eval(), collate(cuts))) for cuts in (measured, followed)
        )
    assert stage["final"]["loss"] == pytest.approx(of_measured, rel=1e-4)
    assert of_followed != pytest.approx(of_measured, rel=1e-3)


def test_refusals(make_recipe):
    with pytest.raises(UserError, match=r"adaptive\.every_steps: .* schedule is constant"):
        ObjectiveConfig(mt_weight=0, adaptive=AdaptiveConfig(every_steps=10))
    with pytest.raises(UserError, match=r"objective\.adaptive"):
        ObjectiveConfig(adaptive=AdaptiveConfig(rate=0.5))
    with pytest.raises(UserError, match=r"adaptive\.share_of_dev: expected a share"):
        AdaptiveConfig(every_steps=10, share_of_dev=1.0)
    with pytest.raises(UserError, match=r"parts the 0 dev utterances"):
        split_dev([], 0.5)
