"""A recipe tried without data: every shipped one passes, and the figures are those of the model."""

import json
import math
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from horizon_st.cli import app
from horizon_st.config import dump_config, load_config
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.errors import UserError
from horizon_st.recipes import FOLDER, find_recipe
from horizon_st.training.dry_run import dry_run
from horizon_st.training.stages import Recipe

TRIED = {}
"""What a dry run gave, by all that it depends on: some recipes differ in the language alone."""
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.yaml"))
_ENCODER_LAYER = 4 * 512 * 513 + 2 * 512 * 2048 + 512 + 2048 + 2 * 1024
_DECODER_LAYER = _ENCODER_LAYER + 4 * 512 * 513 + 1024
MORE_PARAMETERS = {
    "mustc_de_12x12": 6 * (_ENCODER_LAYER + _DECODER_LAYER),
    "mustc_de_zeroshot": 513 * 10_000,
    "mustc_de_own_encoders": 6 * _ENCODER_LAYER + 1026 * 512 + 1024,
}
"""Beside those of the paper's model: layers, positions, the CTC head."""


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_can_be_tried(name, monkeypatch):
    recipe = load_config(Recipe, find_recipe(name))
    if name.startswith("mustc"):  # 150 million parameters: short utterances are enough
        monkeypatch.setattr("horizon_st.training.dry_run._DURATIONS_S", (1.0, 0.6))
    alike = dump_config(_of_any_language(recipe))
    if alike not in TRIED:
        TRIED[alike] = dry_run(recipe)
    tried = TRIED[alike]
    assert [stage.name for stage in tried.stages] == recipe.stages.trained
    for stage in tried.stages:
        assert math.isfinite(stage.loss)
        assert 0 < stage.num_trained <= tried.total
        assert stage.memory_gb > 4 * tried.total / 1e9
        assert stage.shapes["logits"][-1] == recipe.data.vocab_size
    if name.startswith("mustc"):
        more = MORE_PARAMETERS.get(name, 0)
        assert 150e6 < tried.total - more < 156e6
        assert tried.stages[-1].shapes["input"] == (2, 16_000)


def _of_any_language(recipe):
    """The recipe without names of files, and without decoding, neither of which a dry run reads."""
    files = ("train", "dev", "text_pairs")
    data = replace(recipe.data, **{key: getattr(recipe.data, key) and "corpus" for key in files})
    return replace(recipe, name="any", data=data, decoding=DecodingConfig())


def test_parameters_are_those_of_the_trained_model(make_recipe, undisturbed):
    record = json.loads((undisturbed / "record.json").read_text())
    tried = dry_run(make_recipe())
    assert tried.total == record["num_parameters"]
    translator = tried.stages[-1]
    assert translator.num_trained == tried.total


def test_a_stage_trains_what_it_trains(make_recipe):
    recipe = make_recipe(
        *("model.speech_encoder.layers=1", "model.ctc.position=speech_encoder"),
        *("stages.asr.max_steps=3", "stages.st.freeze_speech_encoder_steps=7"),
        "objective.rdrop_from=shared_encoder",
    )
    tried = dry_run(recipe)
    parts = tried.num_parameters
    trained = {stage.name: stage.num_trained for stage in tried.stages}
    assert trained["mt_in_domain"] == parts["text model"]
    assert trained["asr"] == parts["speech encoder"] + parts["CTC head"]
    assert trained["st"] == parts["subsampler"] + parts["text model"]


def test_an_encoder_that_is_released_later_takes_its_memory(make_recipe):
    settings = ("model.speech_encoder.layers=1", "objective.rdrop_from=shared_encoder")
    trained, released, never = (
        dry_run(
            make_recipe(*settings, f"stages.st.freeze_speech_encoder_steps={num_steps}")
        ).stages[-1]
        for num_steps in (0, 6, 7)
    )
    assert released.num_trained == trained.num_trained > never.num_trained
    assert released.memory_gb == pytest.approx(trained.memory_gb, rel=1e-3)
    assert never.memory_gb < trained.memory_gb


def test_memory_grows_with_the_batch_as_activations_do(make_recipe):
    """A batch of four times the length keeps four times as much; weights stay."""

    def memory_gb(seconds):
        recipe = make_recipe(f"data.max_batch_s={seconds}", "objective.external_mt_weight=0")
        return dry_run(recipe).stages[-1].memory_gb

    small, middle, large = memory_gb(10), memory_gb(20), memory_gb(40)
    assert large - middle == pytest.approx(2 * (middle - small), rel=0.02)
    assert middle > small


def test_memory_of_a_large_batch_is_what_that_batch_keeps(make_recipe, monkeypatch):
    """What is foreseen from small batches, beside a trial of a batch of that size."""
    recipe = make_recipe("data.max_batch_s=20", "objective.external_mt_weight=0")
    estimate = dry_run(recipe).stages[-1]
    monkeypatch.setattr("horizon_st.training.dry_run._DURATIONS_S", (5.0, 4.0, 5.0, 4.0))
    measured = dry_run(recipe).stages[-1]
    assert estimate.memory_gb == pytest.approx(measured.memory_gb, rel=0.05)


def test_rdrop_now_and_then_takes_the_memory_of_rdrop(make_recipe):
    pairs_off = "objective.external_mt_weight=0"
    always, now_and_then, never = (
        dry_run(make_recipe(pairs_off, *settings)).stages[-1].memory_gb
        for settings in ([], ["objective.rdrop_every_steps=2"], ["objective.rdrop_weight=0"])
    )
    assert now_and_then == pytest.approx(always, rel=1e-3)
    assert never < always


def test_no_data_and_no_files_are_needed(make_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        dump_config(make_recipe("data={train: nowhere, dev: nowhere, text_pairs: nowhere}")),
        encoding="utf-8",
    )
    done = CliRunner().invoke(app, ["train", "mine.yaml", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "mt_external" in done.output
    assert "st: input 2×500×20 → encoder 2×125×16" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_bf16_can_be_tried(make_recipe):
    tried = dry_run(make_recipe("precision=bf16"))
    assert all(math.isfinite(stage.loss) for stage in tried.stages)


def test_an_initial_model_is_refused(make_recipe):
    with pytest.raises(UserError, match=r"initial_model: expected none in a dry run"):
        dry_run(make_recipe("initial_model=somewhere"))


def test_a_tokenizer_gives_the_size_of_the_vocabulary(make_recipe, undisturbed, tmp_path):
    def tokenizer(folder):  # beside which the recipe's own size would be refused
        return (f"data.tokenizer={folder}", "data.vocab_size=1000")

    of_recipe = dry_run(make_recipe())
    tried = dry_run(make_recipe(*tokenizer(undisturbed / "model")))
    assert tried.num_parameters == of_recipe.num_parameters
    assert tried.stages[-1].shapes == of_recipe.stages[-1].shapes
    with pytest.raises(UserError, match="missing"):
        dry_run(make_recipe(*tokenizer(tmp_path / "missing")))


def test_a_model_that_cannot_be_had_is_named(make_recipe, tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(UserError, match=r"model\.speech_encoder\.pretrained: expected a folder"):
        dry_run(make_recipe(f"model.speech_encoder={{pretrained: {missing}, num_mel_bins: 80}}"))


def test_the_random_state_of_the_caller_does_not_matter(make_recipe):
    losses = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        losses.append([stage.loss for stage in dry_run(make_recipe()).stages])
    assert losses[0] == losses[1]
