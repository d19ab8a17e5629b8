"""The ASR stage: CTC alone on the speech encoder, and its dev figures."""

import json

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.manifest import transcript_of
from horizon_st.errors import UserError
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
    assert stage["final"].keys() == {"loss", "unit_error_rate"}
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
        spelling = parts.translator.spell(speech, torch.tensor([speech.shape[1]]))
        target = parts.speller([text])[:, :-1]
        log_p = spelling.logits.log_softmax(-1).transpose(0, 1)
        lengths = torch.tensor([len(log_p)]), torch.tensor([target.shape[1]])
        nll += torch.nn.functional.ctc_loss(log_p, target, *lengths, reduction="sum").item()
        path = spelling.logits[0].argmax(-1).tolist()
        units = [u for i, u in enumerate(path) if u != 0 and (i == 0 or u != path[i - 1])]
        edits += distance(parts.speller.text(units), text)
        characters += len(text)
    assert found["loss"] == pytest.approx(nll / characters, rel=1e-5)
    assert found["unit_error_rate"] == pytest.approx(edits / characters)
    recorded = json.loads((run / "record.json").read_text())["stages"][2]["final"]
    assert found == pytest.approx(recorded, rel=1e-5)


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
    batch = Collator(features, parts.tokenizer, speller=parts.speller)(corpus.train)
    step = RecognitionStep(parts.translator.eval())
    loss, sums = step(MicroBatch(batch), torch.tensor(7), torch.tensor(1))
    assert loss.item() == pytest.approx(sums["ctc"].item() / 7)
    assert (sums["ctc_transcripts"], sums["ctc_aligned"]) == (8, 8)
    spelling = parts.translator.spell(batch.speech, batch.speech_lengths)
    expected = torch.nn.functional.ctc_loss(
        spelling.logits.log_softmax(-1).transpose(0, 1),
        batch.spelling,
        spelling.mask.sum(1),
        ((batch.spelling != 0).sum(1) - 1).clamp(min=0),
        reduction="none",
    )
    assert sums["ctc"].item() == pytest.approx(expected[:-1].sum().item(), rel=1e-5)


def test_it_learns_to_spell(train, tmp_path):
    long = asr(max_steps=300, validate_every_steps=150, average=1, accumulation=1)
    folder = train(tmp_path, *MODEL, *NO_MT, "stages.st.max_steps=0", *long)
    [stage] = json.loads((folder / "record.json").read_text())["stages"]
    assert stage["train_history"][-1]["ctc"] < 0.3 * stage["train_history"][0]["ctc"]
    assert stage["final"]["unit_error_rate"] < 0.7, "it is 1 where nothing is spelt"
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
