"""Recipes that cannot be trained are refused with the key, what it should be, and what to do."""

from types import SimpleNamespace

import pytest
import torch

from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.generate import check_precision
from horizon_st.errors import UserError
from horizon_st.training import devices
from horizon_st.training.devices import resolve_precision
from horizon_st.training.recipe import STAGES, StageConfig, StagesConfig
from horizon_st.training.stages import Run


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.st.max_steps=-1", r"stages\.st\.max_steps: expected at least 0, found -1\. The"),
        ("stages.st.accumulation=0", r"stages\.st\.accumulation: expected at least 1, found 0"),
        ("stages.st.validate_every_steps=0", r"validate_every_steps: expected at least 1"),
        ("stages.st.log_every_steps=0", r"stages\.st\.log_every_steps: expected at least 1"),
        ("stages.st.keep_newest=0", r"stages\.st\.keep_newest: expected at least 1"),
        ("stages.st.keep_best=-1", r"stages\.st\.keep_best: expected at least 0"),
        ("stages.mt_external.average=0", r"stages\.mt_external\.average: expected at least 1"),
        ("stages.st.patience=-1", r"stages\.st\.patience: expected at least 0"),
        ("stages.st.warmup_steps=-1", r"stages\.st\.warmup_steps: expected at least 0"),
        ("stages.st.weight_decay=-0.1", r"stages\.st\.weight_decay: expected at least 0"),
        ("stages.st.clip_norm=.nan", r"stages\.st\.clip_norm: expected a finite number, found nan"),
        ("stages.st.beta2=1", r"stages\.st\.beta2: expected at least 0 and below 1, found 1"),
        ("stages.st.learning_rate=0", r"learning_rate: expected a positive number, found 0"),
        (
            "stages.mt_in_domain.average=3",
            r"stages\.mt_in_domain\.average: expected at most keep_newest.*found average 3 with "
            r"keep_newest 2\. Set keep_newest to 3",
        ),
        (
            "stages.st.average_of=best",
            r"stages\.st\.average: expected at most keep_best.*Set keep_best to 2",
        ),
        (
            "stages.asr.freeze_speech_encoder_steps=2",
            r"stages\.asr\.freeze_speech_encoder_steps: expected nothing.*only stage st .*2",
        ),
        (
            "stages.st.freeze_speech_encoder_steps=8",
            r"stages\.st\.freeze_speech_encoder_steps: expected at most max_steps, 7, found 8\. "
            r"Set it to 7",
        ),
        (
            "stages.mt_external.track_text=true",
            r"stages\.mt_external\.track_text: expected nothing.*only stage st .*True",
        ),
        (
            "objective={rdrop_from: shared_encoder, rdrop_weight: 0}",
            r"objective\.rdrop_from: expected nothing, .*: rdrop_weight is 0, found shared_encod",
        ),
        (
            "objective={rdrop_every_steps: 2, rdrop_weight: 0}",
            r"objective\.rdrop_every_steps: expected nothing, .*: rdrop_weight is 0, found 2",
        ),
        (
            "objective.rdrop_every_steps=0",
            r"objective\.rdrop_every_steps: expected at least 1, found 0",
        ),
        (
            "objective={rdrop_from: encoder, rdrop_weight: 1}",
            r"objective\.rdrop_from: expected speech_encoder \| shared_encoder, found encoder",
        ),
        ("stages.st.optimizer=sgd", r"stages\.st\.optimizer: .*found sgd"),
        ("seed=-1", r"seed: expected a number from 0 to 4294967295, found -1"),
        ("trackers=[tensorbord]", r"trackers: .*found tensorbord\. Did you mean tensorboard\?"),
        (
            "data.text_pairs=null",
            r"stages\.mt_external\.max_steps: expected 0 without external text pairs, found 4\. "
            r"Set data\.text_pairs",
        ),
        (
            "stages.st.warmup_steps=8",
            r"stages\.st\.warmup_steps: expected at most max_steps, 7, .*found 8\. Set it to "
            r"about a tenth of max_steps, 1\.",
        ),
        (
            "stages.st.validate_every_steps=4000",
            r"stages\.st\.average: expected at most 1, the checkpoints of max_steps 7 with "
            r"validate_every_steps 4000, found 2\. Set it to 1, or validate more oft",
        ),
        (
            "data.tokenizer=a",
            r"data\.vocab_size: expected nothing, since it is not read: data\.tokenizer brings a "
            r"vocabulary, found 28\. Remove it\.",
        ),
        (
            "model.text_model.pretrained=a",
            r"data\.vocab_size: expected nothing, .*: model\.text_model\.pretrained brings a token",
        ),
        (
            "model.speech_encoder.pretrained=a",
            r"model\.speech_encoder\.num_mel_bins: expected nothing, .* end and layers, found 20\.",
        ),
        (
            "model.speech_encoder={pretrained: a, num_mel_bins: 80}",
            r"data\.high_hz: expected nothing, .*brings its own front end, found 3800\.0\. Remove",
        ),
        (
            "model.speech_encoder.freeze_feature_encoder=false",
            r"speech_encoder\.freeze_feature_encoder: expected nothing, .*such convolutions",
        ),
        (
            "objective={consistency_weight: 0, stop_gradient: text}",
            r"objective\.stop_gradient: expected nothing, .*: consistency_weight is 0, found text",
        ),
        (
            "objective={consistency_weight: 0, tap: decoder}",
            r"objective\.tap: expected nothing, .*: consistency_weight is 0, found decoder",
        ),
        ("stages.st.max_stesp=3", r"stages\.st\.max_stesp: .*Did you mean 'max_steps'\?"),
    ],
)
def test_impossible_values_are_refused(make_recipe, override, message):
    band = ("data.high_hz=3800",) if "high_hz" in message else ()
    with pytest.raises(UserError, match=message):
        make_recipe(*band, override)


def test_rdrop_on_text_needs_a_text_pass_in_some_stage(make_recipe, st_only):
    alone = "objective={mt_weight: 0, consistency_weight: 0, mt_rdrop_weight: 1}"
    with pytest.raises(UserError, match=r"objective\.mt_rdrop_weight: expected 0 when no stage"):
        make_recipe(*st_only, alone, "objective.external_mt_weight=0")
    make_recipe(*st_only, alone)  # external pairs in stage st
    make_recipe(alone, "objective.external_mt_weight=0")  # the MT stages
    make_recipe(*st_only, "objective={mt_weight: 1, mt_rdrop_weight: 1, external_mt_weight: 0}")


def test_a_stage_may_be_all_warm_up_with_a_checkpoint_at_each_step(make_recipe):
    settings = ("max_steps=4", "warmup_steps=4", "validate_every_steps=1", "average=4")
    stage = make_recipe("stages.st.keep_newest=4", *(f"stages.st.{s}" for s in settings)).stages.st
    assert (stage.warmup_steps, stage.average) == (4, 4)


def test_a_stage_that_is_skipped_may_keep_its_defaults(make_recipe):
    settings = "{max_steps: 0, warmup_steps: 4000, freeze_speech_encoder_steps: 2000}"
    stage = make_recipe(f"stages.st={settings}").stages.st
    assert (stage.max_steps, stage.warmup_steps) == (0, 4000)


def test_the_speech_encoder_may_stay_as_it_is_for_a_whole_stage(make_recipe):
    stage = make_recipe("stages.st.freeze_speech_encoder_steps=7").stages.st
    assert stage.freeze_speech_encoder_steps == stage.max_steps


def test_a_recipe_must_train_something(make_recipe):
    with pytest.raises(UserError, match=r"stages: expected max_steps above 0 in at least one"):
        make_recipe(*(f"stages.{name}.max_steps=0" for name in STAGES))


def test_two_tokenizers_are_one_too_many(make_recipe):
    with pytest.raises(
        UserError, match=r"data\.tokenizer: expected nothing beside initial_model.*Remove one"
    ):
        make_recipe("initial_model=a", "data.tokenizer=b", "data.vocab_size=1000")


def test_trained_stages_in_their_order():
    st = StageConfig(max_steps=3, warmup_steps=1, average=1)
    stages = StagesConfig(mt_external=StageConfig(max_steps=0), st=st)
    assert stages.trained == ["st"]
    assert stages.of("st").max_steps == 3


@pytest.mark.parametrize(
    ("instructions", "asked", "expected"),
    [
        ("amx_tile", "auto", "bf16"),
        ("avx512_bf16", "auto", "bf16"),
        (None, "auto", "no"),
        (None, "bf16", "bf16"),
        ("amx_tile", "fp32", "no"),
    ],
)
def test_precision_on_a_cpu(monkeypatch, instructions, asked, expected):
    monkeypatch.setattr(devices.torch.cuda, "is_available", lambda: False)
    for name in ("amx_tile", "avx512_bf16"):
        monkeypatch.setattr(
            devices.torch.cpu, f"_is_{name}_supported", lambda name=name: name == instructions
        )
    assert resolve_precision(asked) == expected


def pretend_gpu(monkeypatch, *, has_bf16):
    """A GPU that, like every recent one for PyTorch, at least emulates bf16."""
    monkeypatch.setattr(devices.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices.torch.cuda, "get_device_name", lambda: "Some GPU")
    monkeypatch.setattr(
        devices.torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: has_bf16 or including_emulation,
    )


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, "bf16"), (False, "no")])
def test_precision_on_a_gpu(monkeypatch, has_bf16, expected):
    pretend_gpu(monkeypatch, has_bf16=has_bf16)
    assert resolve_precision("auto") == expected
    assert resolve_precision("fp16") == "fp16"


def test_bf16_needs_a_gpu_that_has_it(monkeypatch):
    pretend_gpu(monkeypatch, has_bf16=True)
    assert resolve_precision("bf16") == "bf16"
    pretend_gpu(monkeypatch, has_bf16=False)
    with pytest.raises(
        UserError, match=r"precision: expected .* lacks bf16, found bf16 on Some GPU\. Set prec"
    ):
        resolve_precision("bf16")


def test_decoding_in_bf16_needs_a_gpu_that_has_it(monkeypatch):
    config, gpu = DecodingConfig(precision="bf16"), torch.device("cuda")
    pretend_gpu(monkeypatch, has_bf16=True)
    check_precision(config, gpu)
    pretend_gpu(monkeypatch, has_bf16=False)
    check_precision(config, torch.device("cpu"))
    check_precision(DecodingConfig(), gpu)
    with pytest.raises(
        UserError, match=r"decoding\.precision: expected fp32 .* found bf16 on Some GPU\. Set it to"
    ):
        check_precision(config, gpu)


def test_a_run_refuses_what_it_cannot_decode_before_it_trains(make_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    recipe = make_recipe("decoding.precision=bf16")
    gpu = SimpleNamespace(device=torch.device("cuda"))
    with pytest.raises(UserError, match=r"decoding\.precision: expected fp32"):
        Run(recipe, tmp_path, gpu, reporter=None)


def test_fp16_needs_a_gpu(monkeypatch):
    monkeypatch.setattr(devices.torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"precision: expected .* without a GPU, found fp16\. Set"):
        resolve_precision("fp16")


def test_a_tracker_that_is_not_installed_names_the_extra(make_recipe, monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "get_available_trackers", list)
    with (
        pytest.raises(UserError, match=r"wandb to be installed.*pip install '\.\[wandb\]'"),
        devices.accelerated(make_recipe("trackers=[wandb]"), tmp_path),
    ):
        pass


def test_sharded_training_is_refused(make_recipe, monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_SUPPORTED", ())
    with (
        pytest.raises(UserError, match=r"accelerate's configuration: expected one process.*NO"),
        devices.accelerated(make_recipe(), tmp_path),
    ):
        pass


def test_runs_of_one_process_may_differ_in_precision(make_recipe, tmp_path):
    for asked, resolved in (("fp32", "no"), ("bf16", "bf16")):
        with devices.accelerated(make_recipe(f"precision={asked}"), tmp_path) as accelerator:
            assert accelerator.mixed_precision == resolved


def test_loss_scaling_and_muon_are_refused_together(make_recipe):
    with pytest.raises(
        UserError, match=r"precision: expected fp32, bf16 or auto with stages\.\*\.optimizer: muon"
    ):
        make_recipe("precision=fp16", "stages.st.optimizer=muon")
    make_recipe("precision=fp16", "stages.st.max_steps=0", "stages.st.optimizer=muon")
