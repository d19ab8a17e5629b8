"""The ASR stage: CTC alone on the speech encoder, and its dev figures."""

import json
import math

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.manifest import transcript_of
from horizon_st.errors import UserError
from horizon_st.training.checks import check_before_training
from horizon_st.training.parts import build_parts, read_corpus
from horizon_st.training.recognition import RecognitionStep, RecognitionValidation
from horizon_st.training.step import MicroBatch

ENCODER = (
    *("layers=1", "d_model=16", "ffn_dim=32", "num_heads=2"),
    "dropout=0.1",
)
MODEL = (
    *(f"model.speech_encoder.{key}" for key in ENCODER),
    "model.subsampler.kernel_sizes=[5]",
    "model.ctc.position=speech_encoder",
    "model.ctc.unit=character",
)
NO_MT = ("stages.mt_external.max_steps=0", "stages.mt_in_domain.max_steps=0")


def asr(**changes):
    return tuple(f"stages.asr.{key}={value}" for key, value in ({"max_steps": 6} | changes).items())


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    """A run of MT, ASR and ST that nobody interrupted."""
    return train(tmp_path_factory.mktemp("asr"), *MODEL, *asr())


def weights(folder, stage):
    return load_file(folder / "stages" / stage / "model" / "model.safetensors")


def test_it_trains_the_speech_encoder_and_nothing_else(run):
    before, after = weights(run, "mt_in_domain"), weights(run, "asr")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith(("speech_encoder", "ctc_head"))}


def test_the_record_has_its_figures(run):
    stages = json.loads((run / "record.json").read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["mt_external", "mt_in_domain", "asr", "st"]
    stage = stages[2]
    assert stage["train_history"][0].keys() == {
        "step", "ctc", "ctc_aligned", "learning_rate", "gradient_norm",
    }  # fmt: skip
    assert [entry["step"] for entry in stage["dev_history"]] == [2, 4, 6]
    assert stage["final"].keys() == {"loss", "character_error_rate"}
    assert stages[3]["final"].keys() == {"loss", "bleu"}


def test_the_figures_are_those_of_the_best_path(run, make_recipe):
    recipe = make_recipe(*MODEL, *asr(), *NO_MT, f"initial_model={run / 'stages/asr/model'}")
    corpus = read_corpus(recipe)
    parts = build_parts(recipe, corpus)
    features = FeatureCache(parts.frontend, 1e9)
    accelerator = Accelerator(cpu=True)
    validate = RecognitionValidation(parts, corpus.dev_cuts, features, recipe, accelerator)
    parts.translator.train()
    found = validate()
    assert parts.translator.training
    parts.translator.eval()
    nll = edits = characters = 0.0
    for cut in corpus.dev_cuts:
        text = transcript_of(cut)
        speech = features(cut)[None]
        output = parts.translator.ctc_output(speech, torch.tensor([speech.shape[1]]))
        target = parts.character_tokenizer([text])[:, :-1]
        log_p = output.logits.log_softmax(-1).transpose(0, 1)
        lengths = torch.tensor([len(log_p)]), torch.tensor([target.shape[1]])
        nll += torch.nn.functional.ctc_loss(log_p, target, *lengths, reduction="sum").item()
        path = output.logits[0].argmax(-1).tolist()
        units = [u for i, u in enumerate(path) if u != 0 and (i == 0 or u != path[i - 1])]
        edits += distance(units, parts.character_tokenizer.encode(text))
        characters += len(text)
    assert found["loss"] == pytest.approx(nll / characters, rel=1e-5)
    assert found["character_error_rate"] == pytest.approx(edits / characters)
    recorded = json.loads((run / "record.json").read_text())["stages"][2]["final"]
    assert found == pytest.approx(recorded, rel=1e-5)


def test_transcripts_that_cannot_be_aligned_do_not_lower_the_loss(run, make_recipe):
    initial = f"initial_model={run / 'stages/asr/model'}"
    recipe = make_recipe(*MODEL, *asr(), *NO_MT, initial)
    corpus = read_corpus(recipe)
    parts = build_parts(recipe, corpus)
    features = FeatureCache(parts.frontend, 1e9)

    def figures(cuts):
        return RecognitionValidation(parts, cuts, features, recipe, Accelerator(cpu=True))()

    first, *others = sorted(corpus.dev_cuts, key=lambda cut: cut.duration)
    alone = figures([first])
    for cut in others:
        cut.supervisions[0].text = 30 * transcript_of(cut)
    together = figures([first, *others])
    assert together["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    assert together["character_error_rate"] > 0.9


def test_a_model_that_has_diverged_has_no_finite_loss(make_recipe):
    recipe = make_recipe(*MODEL, *asr(), *NO_MT)
    corpus = read_corpus(recipe)
    parts = build_parts(recipe, corpus)
    for parameter in parts.translator.parameters():
        parameter.data.fill_(math.nan)
    features = FeatureCache(parts.frontend, 1e9)
    found = RecognitionValidation(parts, corpus.dev_cuts, features, recipe, Accelerator(cpu=True))()
    assert math.isnan(found["loss"])


def test_an_unknown_character_is_an_error(run, make_recipe):
    initial = f"initial_model={run / 'stages/asr/model'}"
    recipe = make_recipe(*MODEL, *asr(), *NO_MT, initial)
    corpus = read_corpus(recipe)
    parts = build_parts(recipe, corpus)
    validate = RecognitionValidation(
        parts, corpus.dev_cuts, FeatureCache(parts.frontend, 1e9), recipe, Accelerator(cpu=True)
    )
    before = validate()["character_error_rate"]
    length = sum(len(transcript_of(cut)) for cut in corpus.dev_cuts)
    supervision = corpus.dev_cuts[0].supervisions[0]
    supervision.text = f"{supervision.text}???"
    after = validate()["character_error_rate"]
    assert after == pytest.approx((before * length + 3) / (length + 3), rel=1e-5)


def test_only_utterances_with_a_transcript_are_trained_on(train, tmp_path, corpus):
    lines = (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()
    with (tmp_path / "train.jsonl").open("w", encoding="utf-8") as file:
        for index, line in enumerate(lines):
            cut = json.loads(line)
            source = cut["recording"]["sources"][0]
            source["source"] = str(corpus / source["source"])
            if index > 1:
                cut["supervisions"][0].pop("text", None)
            file.write(json.dumps(cut) + "\n")
    folder = train(
        tmp_path / "run",
        *(*MODEL, *NO_MT, *asr(accumulation=1), "stages.st.max_steps=0"),
        f"data.train={tmp_path / 'train.jsonl'}",
    )
    [stage] = json.loads((folder / "record.json").read_text())["stages"]
    assert all(entry["ctc"] > 0 for entry in stage["train_history"])


def test_it_is_measured_in_the_precision_of_training(run, make_recipe):
    recipe = make_recipe(*MODEL, *asr(), *NO_MT, f"initial_model={run / 'stages/asr/model'}")
    corpus = read_corpus(recipe)
    parts = build_parts(recipe, corpus)
    seen = set()
    parts.translator.ctc_head.register_forward_hook(
        lambda module, inputs, output: seen.add(output.dtype)
    )
    accelerator = Accelerator(cpu=True)
    accelerator.autocast = lambda: torch.autocast("cpu", torch.bfloat16)
    features = FeatureCache(parts.frontend, 1e9)
    RecognitionValidation(parts, corpus.dev_cuts, features, recipe, accelerator)()
    assert seen == {torch.bfloat16}


def distance(a, b):
    """Levenshtein's, by its recursion."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        left = [i]
        for j, y in enumerate(b, 1):
            left.append(min(row[j] + 1, left[-1] + 1, row[j - 1] + (x != y)))
        row = left
    return row[-1]


def test_the_loss_is_per_target_token_of_the_whole_step(make_recipe):
    recipe = make_recipe(*MODEL)
    corpus = read_corpus(recipe)
    parts = build_parts(recipe, corpus)
    features = FeatureCache(parts.frontend, 1e9)
    batch = Collator(features, parts.tokenizer, character_tokenizer=parts.character_tokenizer)(
        corpus.train
    )
    step = RecognitionStep(parts.translator.eval())
    loss, sums = step(MicroBatch(batch), torch.tensor(7), torch.tensor(1))
    assert loss.item() == pytest.approx(sums["ctc"].item() / 7)
    assert (sums["ctc_transcripts"], sums["ctc_aligned"]) == (8, 8)
    output = parts.translator.ctc_output(batch.speech, batch.speech_lengths)
    expected = torch.nn.functional.ctc_loss(
        output.logits.log_softmax(-1).transpose(0, 1),
        batch.characters,
        output.mask.sum(1),
        ((batch.characters != 0).sum(1) - 1).clamp(min=0),
        reduction="none",
    )
    assert sums["ctc"].item() == pytest.approx(expected[:-1].sum().item(), rel=1e-5)


def test_it_learns_to_recognise(train, tmp_path):
    long = asr(max_steps=300, validate_every_steps=150, average=1, accumulation=1)
    folder = train(tmp_path, *MODEL, *NO_MT, "stages.st.max_steps=0", *long)
    [stage] = json.loads((folder / "record.json").read_text())["stages"]
    assert stage["train_history"][-1]["ctc"] < 0.3 * stage["train_history"][0]["ctc"]
    assert stage["final"]["character_error_rate"] < 0.7, "it is 1 where nothing is recognised"
    translator = json.loads((folder / "model/config.json").read_text())
    assert translator["longest_training_s"] is None


class Killed(BaseException):
    """Ends a run from inside."""


def test_a_run_killed_in_it_ends_with_the_same_weights(run, train, tmp_path):
    for at in (1, 3, 6):

        class Killer:
            def update(self, stage, step, max_steps, figures, at=at):
                if (stage, step) == ("asr", at):
                    raise Killed

        with pytest.raises(Killed):
            train(tmp_path, *MODEL, *asr(), reporter=Killer())
    train(tmp_path, *MODEL, *asr())
    for stage in ("asr", "st"):
        again, before = weights(tmp_path, stage), weights(run, stage)
        assert all(torch.equal(again[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            asr(),
            r"stages\.asr\.max_steps: expected 0 without CTC on the speech encoder.*found 6",
        ),
        (
            (*MODEL, *asr(), "objective.ctc_weight=0"),
            r"model\.ctc\.position: expected nothing, .*: objective\.ctc_weight is 0, found speech",
        ),
        ((*MODEL, *asr(metric="bleu")), r"stages\.asr\.metric: expected loss, since .*found bleu"),
    ],
)
def test_what_cannot_be_is_refused(make_recipe, overrides, message):
    with pytest.raises(UserError, match=message):
        make_recipe(*overrides)


def test_it_needs_transcripts(make_recipe, corpus, tmp_path):
    for split in ("train", "dev"):
        with (tmp_path / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for line in (corpus / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
                cut = json.loads(line)
                cut["supervisions"][0].pop("text", None)
                source = cut["recording"]["sources"][0]
                source["source"] = str(corpus / source["source"])
                file.write(json.dumps(cut) + "\n")
    bare = f"data.train={tmp_path / 'train.jsonl'}"
    with pytest.raises(
        UserError, match=r"stages\.asr\.max_steps: expected 0 when no training utterance .*found 6"
    ):
        read_corpus(make_recipe(*MODEL, *NO_MT, *asr(), bare))
    without_stage = make_recipe(*MODEL, *NO_MT, bare)
    with pytest.raises(UserError, match=r"model\.ctc\.unit: expected transcripts to learn the cha"):
        build_parts(without_stage, read_corpus(without_stage))
    with pytest.raises(
        UserError, match=r"stages\.asr\.max_steps: expected 0 when no dev utterance has a tran"
    ):
        read_corpus(make_recipe(*MODEL, *NO_MT, *asr(), f"data.dev={tmp_path / 'dev.jsonl'}"))


@pytest.fixture
def build(make_recipe, run):
    """A function: overrides -> the parts that train on from the run's model, which are checked."""

    def make(*overrides):
        initial = f"initial_model={run / 'model'}"
        left_out = ("model.speech_encoder.num_mel_bins=80", "model.subsampler.kernel_sizes=[5]")
        recipe = make_recipe(*NO_MT, initial, *left_out, *overrides)
        corpus = read_corpus(recipe)
        parts = build_parts(recipe, corpus)
        check_before_training(recipe, corpus, parts)
        return parts

    return make


def test_a_model_with_ctc_is_trained_on_without_naming_it(build):
    build(*asr())
    build(*asr(), "model.ctc.position=speech_encoder", "model.ctc.unit=character")
    build("objective.ctc_weight=0")
    build("objective.ctc_weight=0", *MODEL[-2:])
    parts = build("objective.ctc_weight=0", "model.speech_encoder.dropout=0.4")
    assert parts.translator.config.speech_config.dropout == 0.4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("model.ctc.position=speech_encoder",),
            r"model\.ctc\.unit: expected 'character', as in initial_model, found piece",
        ),
        (
            ("model.speech_encoder.layers=1", "model.speech_encoder.d_model=32"),
            r"model\.speech_encoder\.num_mel_bins: expected 20, as in initial_model, found 80",
        ),
        (
            (
                *("model.speech_encoder.layers=1", "model.speech_encoder.num_mel_bins=20"),
                "model.speech_encoder.d_model=32",
            ),
            r"model\.speech_encoder\.d_model: expected 16, as in initial_model, found 32",
        ),
    ],
)
def test_another_shape_than_that_of_the_initial_model_is_refused(build, overrides, message):
    with pytest.raises(UserError, match=message):
        build(*overrides)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_another_script_than_that_of_the_initial_model_is_refused(build, corpus, tmp_path, split):
    with (tmp_path / f"{split}.jsonl").open("w", encoding="utf-8") as file:
        for line in (corpus / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
            cut = json.loads(line)
            source = cut["recording"]["sources"][0]
            source["source"] = str(corpus / source["source"])
            if "text" in cut["supervisions"][0]:
                cut["supervisions"][0]["text"] = "αβγ δ"
            file.write(json.dumps(cut) + "\n")
    with pytest.raises(
        UserError,
        match=rf"data\.{split}: expected transcripts in the characters .* '.*', found 80% of the",
    ):
        build(f"data.{split}={tmp_path / f'{split}.jsonl'}", *asr())


def test_an_initial_model_without_what_is_asked_for_is_refused(train, make_recipe, tmp_path):
    folder = train(tmp_path, *NO_MT, "stages.st.max_steps=4")
    initial = f"initial_model={folder / 'model'}"
    for overrides, message in (
        (asr(), r"stages\.asr\.max_steps: expected 0, since .* without CTC on its speech enc"),
        (
            ("model.speech_encoder.dropout=0.2",),
            r"model\.speech_encoder\.dropout: expected nothing, since .*no fresh lay.*found 0\.2",
        ),
    ):
        recipe = make_recipe(*NO_MT, initial, *overrides)
        with pytest.raises(UserError, match=message):
            build_parts(recipe, read_corpus(recipe))


def test_a_frozen_speech_encoder_stays_as_it_was(run, train, tmp_path):
    initial = f"initial_model={run / 'stages/asr/model'}"
    settings = (*MODEL, *NO_MT, initial, "stages.st.log_every_steps=1")
    folder = train(tmp_path, *settings, "stages.st.freeze_speech_encoder_steps=4")
    [stage] = json.loads((folder / "record.json").read_text())["stages"]
    assert ["ctc" in entry for entry in stage["train_history"]] == [False] * 4 + [True] * 3
    before = load_file(run / "stages/asr/model/model.safetensors")
    for step, is_frozen in ((4, True), (6, False)):
        after = load_file(folder / f"stages/st/checkpoints/step-{step:08}/model.safetensors")
        own = {name: after[f"translator.{name}"] for name in before if name[:6] == "speech"}
        assert len(own) > 4
        for name, value in own.items():
            assert torch.equal(value, before[name]) == is_frozen, name
