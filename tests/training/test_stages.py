"""Whole runs: what they leave behind, and data that does not fit the recipe."""

import hashlib
import json
import shutil

import pytest
import torch
from accelerate import tracking
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from accelerate.utils import LoggerType
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from horizon_st.data.manifest import read_manifest
from horizon_st.decoding.model_card import write_card
from horizon_st.decoding.trained import load_trained_model, weights_fingerprint
from horizon_st.errors import UserError
from horizon_st.training import devices
from horizon_st.training.parts import build_parts, read_corpus
from horizon_st.training.record import describe_hardware


def record_of(folder):
    return json.loads((folder / "record.json").read_text(encoding="utf-8"))


def test_the_record_says_everything(undisturbed, make_recipe, corpus):
    record = record_of(undisturbed)
    assert record["recipe"]["stages"]["st"]["max_steps"] == 7
    assert record["recipe"]["objective"]["tap"] == "softmax"
    assert (record["name"], record["seed"], record["precision"]) == ("tones", 1, "no")
    assert record["num_processes"] == 1
    assert record["data_fingerprint"] == {
        key: hashlib.sha256((corpus / f"{key}.jsonl").read_bytes()).hexdigest()
        for key in ("train", "dev", "text_pairs")
    }
    recipe = make_recipe()
    translator = build_parts(recipe, read_corpus(recipe)).translator
    assert record["num_parameters"] == sum(p.numel() for p in translator.parameters())
    assert {"python", "torch", "horizon-st", "lhotse"} <= record["versions"].keys()
    assert record["hardware"]["cores"] >= 1
    assert record["hardware"]["processor"]
    assert 50 < record["peak_memory_mb"] < 100_000
    assert record["wall_s"] == pytest.approx(sum(s["wall_s"] for s in record["stages"]))


def test_the_record_has_all_figures_of_all_stages(undisturbed):
    stages = record_of(undisturbed)["stages"]
    assert [stage["name"] for stage in stages] == ["mt_external", "mt_in_domain", "st"]
    assert [stage["steps"] for stage in stages] == [4, 3, 7]
    assert not any(stage["stopped_early"] for stage in stages)
    for stage in stages[:2]:
        assert stage["train_history"][0].keys() == {
            "step", "ce_pairs", "learning_rate", "gradient_norm",
        }  # fmt: skip
        assert stage["final"].keys() == {"loss"}
    assert stages[2]["train_history"][0].keys() == {
        "step", "ce_speech", "ce_text", "consistency", "rdrop", "ctc", "ctc_aligned", "ce_pairs",
        "learning_rate", "gradient_norm",
    }  # fmt: skip
    assert [entry["step"] for entry in stages[2]["train_history"]] == [1, 2, 3, 4, 5, 6, 7]
    assert [entry["step"] for entry in stages[2]["dev_history"]] == [2, 4, 6, 7]
    assert stages[2]["dev_history"][0].keys() == {"step", "loss", "bleu"}
    assert stages[2]["final"].keys() == {"loss", "bleu"}
    aligned = [entry.get("ctc_aligned", 1) for entry in stages[2]["train_history"]]
    assert all(0.7 < share <= 1 for share in aligned)


def test_the_record_names_the_checkpoints_that_were_averaged(undisturbed, train, st_only, tmp_path):
    stages = record_of(undisturbed)["stages"]
    assert [stage["averaged_steps"] for stage in stages] == [[4, 2], [3, 2], [7, 6]]
    settings = ("stages.st.max_steps=6", "stages.st.average=3", "stages.st.keep_newest=3")
    early = ("stages.st.patience=1", "stages.st.metric=loss", "stages.st.learning_rate=1e-30")
    [stage] = record_of(train(tmp_path, *st_only, *settings, *early))["stages"]
    assert stage["stopped_early"]
    assert stage["averaged_steps"] == [4, 2]


def test_the_model_is_the_average_of_the_last_checkpoints(undisturbed):
    checkpoints = sorted((undisturbed / "stages/st/checkpoints").glob("step-*"))[-2:]
    weights = [load_file(folder / "model.safetensors") for folder in checkpoints]
    final = load_file(undisturbed / "model" / "model.safetensors")
    assert {f"translator.{name}" for name in final} == weights[0].keys()
    for name, value in final.items():
        mean = sum(each[f"translator.{name}"].double() for each in weights) / 2
        assert torch.equal(value, mean.float()), name


def test_the_final_figures_are_those_of_the_saved_model(undisturbed, train, make_recipe, tmp_path):
    """A run that starts from the model, and hardly learns, begins with its dev loss."""
    folder = train(
        tmp_path,
        f"initial_model={undisturbed / 'model'}",
        "stages.mt_external.max_steps=0",
        "stages.mt_in_domain.max_steps=0",
        "stages.st.max_steps=1",
        "stages.st.average=1",
        "stages.st.learning_rate=1e-30",
    )
    record = record_of(folder)
    expected = record_of(undisturbed)["stages"][-1]["final"]
    assert record["stages"][0]["final"] == pytest.approx(expected, rel=1e-6)
    weights = (undisturbed / "model" / "model.safetensors").read_bytes()
    assert record["data_fingerprint"]["initial_model"] == hashlib.sha256(weights).hexdigest()


def test_the_saved_model_translates(undisturbed):
    trained = load_trained_model(undisturbed / "model")
    assert (
        sum(p.numel() for p in trained.model.parameters())
        == (record_of(undisturbed)["num_parameters"])
    )


def test_the_model_has_a_card_of_its_training(undisturbed):
    card = (undisturbed / "model" / "README.md").read_text(encoding="utf-8")
    for stage in record_of(undisturbed)["stages"]:
        assert f"Stage `{stage['name']}`: {stage['steps']} updates; on the dev set: loss" in card


def test_the_model_knows_the_longest_utterance_it_learnt_from(
    undisturbed, train, st_only, corpus, tmp_path
):
    durations_s = [cut.duration for cut in read_manifest(corpus / "train.jsonl")]
    config = load_trained_model(undisturbed / "model", device="cpu").model.config
    assert config.longest_training_s == max(durations_s)
    of_text = json.loads((undisturbed / "stages/mt_in_domain/model/config.json").read_text())
    assert of_text.get("longest_training_s") is None
    shorter = tmp_path / "shorter.jsonl"
    with shorter.open("w", encoding="utf-8") as file:
        for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines():
            cut = json.loads(line)
            if cut["duration"] < max(durations_s):
                source = cut["recording"]["sources"][0]
                source["source"] = str(corpus / source["source"])
                file.write(json.dumps(cut) + "\n")
    folder = train(
        tmp_path / "run",
        f"data.train={shorter}",
        f"initial_model={undisturbed / 'model'}",
        *st_only,
    )
    config = json.loads((folder / "model/config.json").read_text())
    assert config["longest_training_s"] == max(durations_s)


def test_tensorboard_is_written_by_default(undisturbed):
    [events] = (undisturbed / "tensorboard").rglob("events.out.tfevents.*")
    reader = EventAccumulator(str(events.parent))
    reader.Reload()
    record = record_of(undisturbed)
    for first_step, stage in zip((0, 4, 7), record["stages"], strict=True):
        shown = reader.Scalars(f"{stage['name']}/dev_loss")
        assert [event.step - first_step for event in shown] == [
            entry["step"] for entry in stage["dev_history"]
        ]
        assert [event.value for event in shown] == pytest.approx(
            [entry["loss"] for entry in stage["dev_history"]]
        )
    assert len(reader.Scalars("st/train_gradient_norm")) == 7


def test_other_trackers_get_the_recipe_and_the_run_id(train, st_only, tmp_path, monkeypatch):
    calls = []

    class Fake(GeneralTracker):
        name = "wandb"
        requires_logging_directory = False
        main_process_only = True
        tracker = None

        def __init__(self, project, **options):
            super().__init__()
            calls.append(("init", project, options))

        def start(self):
            calls.append(("start",))

        def store_init_configuration(self, values):
            calls.append(("recipe", values))

        def log(self, values, step=None, **options):
            calls.append(("log", step))

        def finish(self):
            calls.append(("finish",))

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "wandb", Fake)
    for module in (devices, tracking):
        monkeypatch.setattr(module, "get_available_trackers", lambda: [LoggerType.WANDB])
    train(tmp_path, *st_only[1:], "trackers=[wandb]", "stages.st.metric=loss")
    kinds = [call[0] for call in calls]
    assert kinds[:3] == ["init", "start", "recipe"]
    assert kinds.count("init") == kinds.count("finish") == 1
    assert calls[0][2]["id"] == record_of(tmp_path)["run_id"]
    assert calls[2][1]["stages.st.learning_rate"] == 1e-2
    steps = [call[1] for call in calls if call[0] == "log"]
    assert steps == sorted(steps)
    assert steps[-1] == 4 + 7
    assert not (tmp_path / "tensorboard").exists()


def test_bf16_on_the_cpu_stays_near_fp32(train, st_only, tmp_path):
    settings = (*st_only, "stages.st.metric=loss", "stages.st.learning_rate=1e-3")
    losses = [
        [entry["ce_speech"] for entry in record_of(folder)["stages"][0]["train_history"]]
        for precision in ("fp32", "bf16")
        for folder in [train(tmp_path / precision, *settings, f"precision={precision}")]
    ]
    assert record_of(tmp_path / "bf16")["precision"] == "bf16"
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


def _without_transcripts(path, target):
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cut = json.loads(line)
        cut["supervisions"][0].pop("text", None)
        source = cut["recording"]["sources"][0]
        source["source"] = str(path.parent / source["source"])
        lines.append(json.dumps(cut))
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def test_in_domain_text_translation_needs_transcripts(make_recipe, corpus, tmp_path):
    bare = _without_transcripts(corpus / "train.jsonl", tmp_path / "train.jsonl")
    with pytest.raises(
        UserError, match=r"stages\.mt_in_domain\.max_steps: expected 0 when no training .*found 3"
    ):
        read_corpus(make_recipe(f"data.train={bare}"))
    found = read_corpus(make_recipe(f"data.train={bare}", "stages.mt_in_domain.max_steps=0"))
    assert found.train.survey.num_transcribed == 0


def test_text_stages_need_dev_transcripts(make_recipe, corpus, tmp_path):
    bare = _without_transcripts(corpus / "dev.jsonl", tmp_path / "dev.jsonl")
    with pytest.raises(
        UserError, match=r"stages\.mt_external\.max_steps: expected 0 when no dev utterance"
    ):
        read_corpus(make_recipe(f"data.dev={bare}"))


def test_the_text_path_is_tracked_through_the_last_stage(train, st_only, undisturbed, tmp_path):
    """With the figures of the speech path as they are without it, and those of stage MT before."""
    tracked = ("stages.st.track_text=true", "stages.st.max_steps=4")
    [stage] = record_of(train(tmp_path / "with", *st_only, *tracked))["stages"]
    [alone] = record_of(train(tmp_path / "without", *st_only, tracked[1]))["stages"]
    for entry, plain in zip(stage["dev_history"], alone["dev_history"], strict=True):
        assert entry.keys() == plain.keys() | {"text_loss", "text_bleu"}
        assert {name: entry[name] for name in plain} == plain
    assert stage["final"].keys() == {"loss", "bleu", "text_loss", "text_bleu"}
    texts = [f"initial_model={undisturbed / 'stages/mt_in_domain/model'}", *st_only, *tracked]
    frozen = ("stages.st.learning_rate=1e-30", "stages.st.max_steps=1", "stages.st.average=1")
    [kept] = record_of(train(tmp_path / "kept", *texts, *frozen))["stages"]
    expected = record_of(undisturbed)["stages"][1]["final"]["loss"]
    assert kept["final"]["text_loss"] == pytest.approx(expected, rel=1e-6)


def test_tracking_the_text_path_needs_dev_transcripts(make_recipe, corpus, st_only, tmp_path):
    bare = _without_transcripts(corpus / "dev.jsonl", tmp_path / "dev.jsonl")
    tracked = (f"data.dev={bare}", "stages.st.track_text=true")
    with pytest.raises(UserError, match=r"stages\.st\.track_text: expected false when no dev"):
        read_corpus(make_recipe(*st_only, *tracked))


def test_changed_data_is_refused(train, st_only, corpus, tmp_path):
    dev = _without_transcripts(corpus / "dev.jsonl", tmp_path / "dev.jsonl")
    settings = (*st_only, f"data.dev={dev}", "stages.st.max_steps=1", "stages.st.average=1")
    train(tmp_path / "run", *settings)
    dev.write_text(dev.read_text().split("\n")[0] + "\n")
    assert len([*read_manifest(dev)]) == 1
    with pytest.raises(
        UserError, match=r"data\.dev: expected what the run in the folder began with, SHA-256"
    ):
        train(tmp_path / "run", *settings)


def test_an_unreadable_record_is_named(train, st_only, tmp_path):
    settings = (*st_only, "stages.st.max_steps=1", "stages.st.average=1")
    train(tmp_path, *settings)
    before = record_of(tmp_path)
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(UserError, match=r"record\.json: expected the record.*Remove the file"):
        train(tmp_path, *settings)
    (tmp_path / "record.json").unlink()
    train(tmp_path, *settings)
    assert record_of(tmp_path)["stages"][0]["final"] == before["stages"][0]["final"]


def test_an_unreadable_averaged_model_is_named(train, st_only, tmp_path):
    settings = (*st_only, "stages.st.max_steps=1", "stages.st.average=1")
    train(tmp_path, *settings)
    (tmp_path / "stages/st/model/model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"expected the averaged model of a stage.*Remove this"):
        train(tmp_path, *settings)


def test_ctc_needs_an_initial_model_with_a_head(train, st_only, make_recipe, tmp_path):
    settings = (*st_only, "stages.st.max_steps=1", "stages.st.average=1")
    without = train(tmp_path, *settings, "objective.ctc_weight=0")
    recipe = make_recipe(*settings, f"initial_model={without / 'model'}")
    with pytest.raises(
        UserError,
        match=r"objective\.ctc_weight: expected 0, .* without a CTC head, found 0\.3",
    ):
        build_parts(recipe, read_corpus(recipe))


def test_hardware_is_described_without_procfs(monkeypatch):
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)
    assert describe_hardware()["processor"]


def test_a_mistake_can_be_corrected_in_the_same_folder(train, st_only, tmp_path):
    settings = (*st_only, "stages.st.max_steps=1", "stages.st.average=1", "stages.st.metric=loss")
    with pytest.raises(UserError, match=r"nowhere\.jsonl: expected a manifest"):
        train(tmp_path, *settings, "data.train=nowhere.jsonl")
    assert record_of(train(tmp_path, *settings))["stages"][0]["steps"] == 1


@pytest.mark.parametrize("has_cuda", [False, True])
def test_without_cuda_training_runs_on_the_processor(make_recipe, tmp_path, monkeypatch, has_cuda):
    given = {}

    class AskedError(Exception):
        pass

    def ask(**options):
        given.update(options)
        raise AskedError

    monkeypatch.setattr("torch.cuda.is_available", lambda: has_cuda)
    monkeypatch.setattr(devices, "Accelerator", ask)
    with pytest.raises(AskedError), devices.accelerated(make_recipe(), tmp_path):
        pass
    assert given["cpu"] is not has_cuda


def test_the_record_names_the_weights_of_the_model(undisturbed, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    assert record_of(folder)["model_sha256"] == weights_fingerprint(folder / "model")
    card = folder / "model" / "README.md"
    written = card.read_text(encoding="utf-8")
    card.unlink()
    assert write_card(folder / "model").read_text(encoding="utf-8") == written
