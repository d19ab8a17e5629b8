"""A run whose modalities have an encoder each from the last stage on."""

import json

import pytest
import torch
from safetensors.torch import load_file

from horizon_st.decoding.trained import load_trained_model
from horizon_st.training.dry_run import dry_run

OWN = "model.share_encoder=false"
SHORT = (OWN, "stages.mt_external.max_steps=0", "stages.st.max_steps=4")
STILL = ("stages.st.learning_rate=1e-30", "stages.st.max_steps=1", "stages.st.average=1")


class StopError(Exception):
    """Ends a run from inside."""


class StopAt:
    def update(self, stage, step, max_steps, figures):
        if (stage, step) == ("st", 3):
            raise StopError


def weights_of(folder):
    return load_file(folder / "model" / "model.safetensors")


def encoders_of(weights):
    own = {
        name.removeprefix("own_encoder."): value
        for name, value in weights.items()
        if name.startswith("own_encoder.")
    }
    return own, {name: weights[f"text_model.model.encoder.{name}"] for name in own}


def are_equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[x], second[x]) for x in first)


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("parting"), *SHORT)


def test_speech_starts_from_the_encoder_that_mt_has_trained(train, run, tmp_path):
    mt = load_file(run / "stages" / "mt_in_domain" / "model" / "model.safetensors")
    assert not any(name.startswith("own_encoder") for name in mt)
    still = train(tmp_path / "still", *SHORT, *STILL)
    own, of_text = encoders_of(weights_of(still))
    assert own
    assert are_equal(own, of_text)
    assert are_equal(of_text, {x: mt[f"text_model.model.encoder.{x}"] for x in own})
    assert not are_equal(*encoders_of(weights_of(run)))


def test_a_stopped_run_ends_with_the_same_weights(train, run, tmp_path):
    with pytest.raises(StopError):
        train(tmp_path, *SHORT, reporter=StopAt())
    assert are_equal(weights_of(train(tmp_path, *SHORT)), weights_of(run))
    train(tmp_path, *SHORT)  # nothing is left to do


def test_an_initial_model_keeps_the_encoders_that_it_has(train, run, st_only, tmp_path):
    initial = f"initial_model={run / 'model'}"
    for name, settings in (("asked", [OWN]), ("taken", [])):
        again = train(tmp_path / name, initial, *st_only, *STILL, *settings)
        assert are_equal(encoders_of(weights_of(again))[0], encoders_of(weights_of(run))[0])


def test_encoders_of_an_initial_model_can_be_parted(train, undisturbed, st_only, tmp_path):
    again = train(tmp_path, f"initial_model={undisturbed / 'model'}", *st_only, *STILL, OWN)
    own, of_text = encoders_of(weights_of(again))
    assert are_equal(own, of_text)
    before = weights_of(undisturbed)
    assert are_equal(own, {x: before[f"text_model.model.encoder.{x}"] for x in own})


def test_parameters_are_counted_and_tried(run, make_recipe):
    model = load_trained_model(run / "model").model
    record = json.loads((run / "record.json").read_text())
    assert record["num_parameters"] == model.num_parameters()
    tried = dry_run(make_recipe(*SHORT))
    assert tried.total == model.num_parameters()
    own = tried.num_parameters["encoder of speech's own"]
    assert own == model.own_encoder.num_parameters() > 0
    trained = {stage.name: stage.num_trained for stage in tried.stages}
    assert trained["st"] == tried.total
    assert trained["mt_in_domain"] == tried.num_parameters["text model"]
