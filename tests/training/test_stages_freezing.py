"""Stages with a speech encoder that stays as it is: at first, or for good."""

import json
import re

import pytest
import torch
from accelerate.utils import set_seed
from safetensors.torch import load_file
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from horizon_st.errors import UserError
from horizon_st.training.parts import build_parts, read_corpus

LAYERS = (
    *("model.speech_encoder.layers=1", "model.speech_encoder.d_model=16"),
    *("model.speech_encoder.ffn_dim=16", "model.speech_encoder.num_heads=2"),
)
MODEL = (*LAYERS, "model.subsampler.kernel_sizes=[5]", "model.ctc.position=speech_encoder")
STEPS = "stages.st.freeze_speech_encoder_steps"


class KilledError(Exception):
    """Ends a run from inside."""


class KillAt:
    def __init__(self, step):
        self.step = step

    def update(self, stage, step, max_steps, figures):
        if step == self.step:
            raise KilledError


def stage_of(folder):
    [stage] = json.loads((folder / "record.json").read_text())["stages"]
    return stage


def weights_of(folder):
    return load_file(folder / "model" / "model.safetensors")


def build(recipe):
    return build_parts(recipe, read_corpus(recipe)).translator


@pytest.fixture(scope="module")
def run(train, st_only, tmp_path_factory):
    """A run whose speech encoder stays as it is in the first 3 of 7 updates."""
    folder = tmp_path_factory.mktemp("freezing")
    return train(folder, *st_only, *MODEL, f"{STEPS}=3", "stages.st.log_every_steps=5")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_stop_before_or_after_the_encoder_is_released_changes_nothing(
    train, make_recipe, st_only, tmp_path, optimizer
):
    settings = (
        *(*st_only, *MODEL, f"{STEPS}=3", "stages.st.log_every_steps=5"),
        *(f"stages.st.optimizer={optimizer}", "stages.st.metric=loss"),
        "stages.st.keep_newest=9",
    )
    whole = train(tmp_path / "whole", *settings)
    for step in (2, 3, 4, 5):  # with checkpoints at 2 and 4
        with pytest.raises(KilledError):
            train(tmp_path / "killed", *settings, reporter=KillAt(step))
    killed = train(tmp_path / "killed", *settings)
    before, after = weights_of(whole), weights_of(killed)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(after[name], value), name
    for history in ("train_history", "dev_history"):
        assert stage_of(killed)[history] == stage_of(whole)[history]
    logged = stage_of(whole)["train_history"]
    assert [entry["step"] for entry in logged if "ctc" in entry] == [4, 5, 6, 7]
    frozen, early, late = (
        load_file(whole / f"stages/st/checkpoints/step-{step:08}/model.safetensors")
        for step in (2, 6, 7)
    )
    name = "translator.speech_encoder.model.layers.0.fc1.weight"
    assert not torch.equal(early[name], late[name])
    recipe = make_recipe(*settings)
    set_seed(recipe.seed)
    initial = {f"translator.{name}": value for name, value in build(recipe).state_dict().items()}
    changed = {name for name, value in frozen.items() if not torch.equal(initial[name], value)}
    left = {name for name in frozen if re.match(r"translator\.(speech_encoder|ctc_head)\.", name)}
    assert len(left) > 10
    assert not left & changed
    assert any(name.startswith("translator.subsampler.") for name in changed)


def test_an_initial_model_goes_on_with_its_encoder_frozen(run, train, st_only, tmp_path):
    settings = (*st_only, *MODEL, f"initial_model={run / 'model'}", "objective.ctc_weight=0")
    folder = train(tmp_path, *settings, "model.speech_encoder.freeze=true")
    before, after = weights_of(run), weights_of(folder)
    equal = {name for name, value in before.items() if torch.equal(after[name], value)}
    fixed = {name for name in before if name.startswith(("speech_encoder", "ctc_head"))}
    assert fixed <= equal
    assert not any(name.startswith("subsampler") for name in equal)


def test_ctc_on_a_frozen_encoder_is_refused(run, make_recipe, st_only):
    initial = f"initial_model={run / 'model'}"
    frozen = (*st_only, *MODEL, initial, "model.speech_encoder.freeze=true")
    with pytest.raises(
        UserError,
        match=r"^objective\.ctc_weight: expected 0 with CTC on a frozen speech enc.*found 0\.3",
    ):
        build(make_recipe(*frozen))
    build(make_recipe(*frozen, "objective.ctc_weight=0"))


def test_an_encoder_that_is_never_trained_cannot_be_released(
    run, undisturbed, make_recipe, st_only, tmp_path
):
    HubertModel(
        HubertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            conv_dim=(8,), conv_kernel=(10,), conv_stride=(5,), num_feat_extract_layers=1,
            num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        )
    ).save_pretrained(tmp_path)  # fmt: skip
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)

    def hubert(freeze):
        return (
            f"model.speech_encoder={{pretrained: {tmp_path}, num_mel_bins: 80, freeze: {freeze}}}"
        )

    initial = f"initial_model={run / 'model'}"
    frozen = (*MODEL, initial, "model.speech_encoder.freeze=true", "objective.ctc_weight=0")
    for settings in ((), (hubert("true"),), (f"initial_model={undisturbed / 'model'}",), frozen):
        build(make_recipe(*st_only, *settings))
        with pytest.raises(
            UserError,
            match=rf"^{STEPS}: expected 0 for a speech encoder that is never trained: .*found 3",
        ):
            build(make_recipe(*st_only, *settings, f"{STEPS}=3"))
    skipped = ("stages.mt_in_domain.max_steps=0", "stages.st.max_steps=0")
    build(make_recipe(*skipped, f"{STEPS}=2000"))
    for settings in (LAYERS, (hubert("false"),), (*MODEL, initial)):
        build(make_recipe(*st_only, *settings, f"{STEPS}=7"))
