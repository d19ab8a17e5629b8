"""Models and data that do not fit each other are refused before anything is trained."""

import json
import math
import re

import pytest
import torch
from accelerate import Accelerator
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.errors import UserError
from horizon_st.objective.objective import ObjectiveConfig
from horizon_st.training.checks import check_before_training
from horizon_st.training.parts import build_parts, read_corpus
from horizon_st.training.step import MicroBatch, TrainingStep
from horizon_st.training.validation import Validation

NO_CTC = "objective.ctc_weight=0"


@pytest.fixture
def check(make_recipe):
    """A function: overrides -> None, after what they ask for was checked."""

    def run(*overrides):
        recipe = make_recipe(*overrides)
        corpus = read_corpus(recipe)
        check_before_training(recipe, corpus, build_parts(recipe, corpus))

    return run


def longest_states(corpus, split, speed):
    """Of the longest utterance: 100 frames a second, halved twice and rounded up."""
    lines = (corpus / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    cuts = [json.loads(line) for line in lines]
    longest = max(cuts, key=lambda cut: cut["duration"])
    frames = int(longest["recording"]["num_samples"] / speed + 80) // 160
    return longest["id"], math.ceil(math.ceil(frames / 2) / 2)


def bart(max_positions):
    return ("model.text_model.architecture=bart", f"model.text_model.max_positions={max_positions}")


def test_a_training_utterance_that_is_too_long_when_slow_is_refused(
    train, check, corpus, st_only, tmp_path
):
    name, states = longest_states(corpus, "train", 0.9)
    check(*st_only, *bart(states))
    message = rf"^utterance {name}: expected at most {states - 1} states .*found {states}\. Raise"
    with pytest.raises(UserError, match=message):
        train(tmp_path, *st_only, *bart(states - 1))
    assert not [*tmp_path.rglob("step-*")]
    check(*st_only, *bart(states - 1), "data.augment.speeds=[1.0]")


def test_a_dev_utterance_that_is_too_long_is_refused(check, corpus, st_only):
    name, states = longest_states(corpus, "train", 1.0)
    swapped = (f"data.dev={corpus / 'train.jsonl'}", f"data.train={corpus / 'dev.jsonl'}")
    with pytest.raises(UserError, match=rf"^utterance {name}: .*found {states}"):
        check(*st_only, *swapped, *bart(states - 1), NO_CTC)


def test_texts_that_are_too_long_are_refused(check):
    text_only = ("stages.st.max_steps=0", *bart(4))
    with pytest.raises(
        UserError, match=r"^(translation|transcript) of dev\d: expected at most 4 t"
    ):
        check(*text_only)


def test_a_batch_that_is_too_long_is_named_while_training(make_recipe):
    recipe = make_recipe(*bart(5))
    corpus = read_corpus(recipe)
    parts = build_parts(recipe, corpus)
    features = FeatureCache(parts.frontend, 1e9)
    batch = Collator(features, parts.tokenizer)(corpus.train)
    step = TrainingStep(parts.translator, ObjectiveConfig(mt_weight=0.0))
    with pytest.raises(
        UserError, match=r"^utterance train\d: expected at most 5 states .*validate"
    ):
        step(MicroBatch(batch), torch.tensor(1), torch.tensor(1))
    batch.speech = batch.speech_lengths = None
    with pytest.raises(UserError, match=r"^trans\w+ of train\d: expected at most 5 tokens"):
        step(MicroBatch(text=batch), torch.tensor(1), torch.tensor(1))


@pytest.mark.parametrize("modality", ["speech", "text"])
def test_a_batch_that_is_too_long_is_named_while_validating(make_recipe, modality):
    recipe = make_recipe(*bart(3))
    corpus = read_corpus(recipe)
    parts = build_parts(recipe, corpus)
    validate = Validation(
        parts.translator,
        parts.tokenizer,
        corpus.dev_cuts,
        FeatureCache(parts.frontend, 1e9),
        recipe.decoding,
        Accelerator(cpu=True),
        modality=modality,
        with_bleu=False,
    )
    with pytest.raises(UserError, match=r"^(utterance|translation of) dev\d: expected at most 3 "):
        validate()


SHORT = ("model.subsampler.kernel_sizes=[5,5,5,5,5]", "data.augment.speeds=[1.0]")


def test_ctc_is_refused_where_it_could_align_little(check, make_recipe, st_only):
    recipe = make_recipe(*st_only, *SHORT)
    corpus = read_corpus(recipe)
    parts = build_parts(recipe, corpus)
    batch = Collator(FeatureCache(parts.frontend, 1e9), parts.tokenizer)(corpus.train)
    _, sums = TrainingStep(parts.translator.eval(), ObjectiveConfig(ctc_weight=1.0))(
        MicroBatch(batch), torch.tensor(1), torch.tensor(1)
    )
    assert sums["ctc_transcripts"] == 8
    share = 1 - float(sums["ctc_aligned"]) / 8
    assert share > 0.05
    with pytest.raises(
        UserError,
        match=rf"^objective\.ctc_weight: expected 0, or .* found {share:.0%} of the sampled "
        r"transcripts.* Remove a kernel from model\.subsampler\.kernel_sizes.*data\.vocab_size",
    ):
        check(*st_only, *SHORT)
    check(*st_only, *SHORT, NO_CTC)
    check("stages.st.max_steps=0", *SHORT)


@pytest.mark.parametrize(
    ("position", "unit", "kernel_sizes", "durations", "remedy"),
    [
        (
            "shared_encoder",
            "character",
            [5, 5],
            1,
            r"Set model\.ctc\.position to speech_encoder or",
        ),
        ("speech_encoder", "piece", [5], 8, r"Raise data\.vocab_size"),
        ("speech_encoder", "character", [5], 3, r"Set model\.ctc\.unit to piece"),
    ],
)
def test_what_gives_ctc_room_depends_on_what_it_reads(
    check, corpus, st_only, tmp_path, position, unit, kernel_sizes, durations, remedy
):
    """Transcripts so many times as long as they were have no room any more."""
    with (tmp_path / "train.jsonl").open("w", encoding="utf-8") as file:
        for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines():
            cut = json.loads(line)
            source = cut["recording"]["sources"][0]
            source["source"] = str(corpus / source["source"])
            text = cut["supervisions"][0].get("text")
            if text is not None:
                cut["supervisions"][0]["text"] = " ".join([text] * durations)
            file.write(json.dumps(cut) + "\n")
    settings = (
        *(
            f"data.train={tmp_path / 'train.jsonl'}",
            f"model.subsampler.kernel_sizes={kernel_sizes}",
        ),
        *("model.speech_encoder.layers=1", f"model.ctc.position={position}"),
        f"model.ctc.unit={unit}",
    )
    with pytest.raises(UserError, match=rf"^objective\.ctc_weight: .*more {unit}s than.* {remedy}"):
        check(*st_only, *settings)


def test_the_asr_stage_is_checked_too(check, corpus):
    _, states = longest_states(corpus, "train", 0.5)
    stages = ("stages.st.max_steps=0", "stages.mt_in_domain.max_steps=0", "stages.asr.max_steps=4")
    encoder = ("model.speech_encoder.layers=1", "model.ctc.position=speech_encoder")
    halved = "model.subsampler.kernel_sizes=[5]"  # of 25 states a second
    settings = (
        *stages,
        "stages.mt_external.max_steps=0",
        *encoder,
        halved,
        "data.augment.speeds=[0.5]",
    )
    check(*settings, *bart(math.ceil(states / 2)))
    with pytest.raises(UserError, match=r"^utterance train\d: expected at most \d+ states"):
        check(*settings, *bart(math.ceil(states / 2) - 1))


def test_sharing_a_speech_encoder_without_dropout_is_refused(check, st_only):
    with pytest.raises(
        UserError,
        match=r"^objective\.rdrop_from: expected speech_encoder for a speech encoder without drop"
        r"out, which runs once anyway, found shared_encoder",
    ):
        check(*st_only, "objective.rdrop_from=shared_encoder")


def test_a_pass_that_cannot_differ_is_refused(check, train, st_only, tmp_path):
    with pytest.raises(
        UserError,
        match=r"^objective\.rdrop_weight: expected 0 for a model without dropout, .*found 1\.0\. "
        r"Set it to 0, or model\.text_model\.dropout above 0",
    ):
        train(tmp_path, *st_only, "model.text_model.dropout=0")
    without = ("model.text_model.dropout=0", "objective.rdrop_weight=0")
    with pytest.raises(
        UserError, match=r"^objective\.mt_rdrop_weight: expected 0 for a model with"
    ):
        check(*without, "objective.mt_rdrop_weight=0.5")
    check(*without)
    check("model.text_model.dropout=0", "model.text_model.attention_dropout=0.1")


@pytest.mark.parametrize("freeze", [False, True])
def test_dropout_of_a_speech_encoder_makes_passes_over_speech_differ(check, tmp_path, freeze):
    HubertModel(
        HubertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(5, 8), num_feat_extract_layers=2,
            num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        )
    ).save_pretrained(tmp_path)  # fmt: skip
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    encoder = f"{{pretrained: {tmp_path}, num_mel_bins: 80, freeze: {str(freeze).lower()}}}"
    settings = (f"model.speech_encoder={encoder}", "model.text_model.dropout=0")
    if freeze:
        with pytest.raises(UserError, match=re.escape("objective.rdrop_weight: expected 0")):
            check(*settings)
    else:
        check(*settings)
        with pytest.raises(
            UserError, match=r"objective\.rdrop_weight: expected 0.*or rdrop_from to speech_encoder"
        ):
            check(*settings, "objective.rdrop_from=shared_encoder")
        with pytest.raises(UserError, match=re.escape("objective.mt_rdrop_weight: expected 0")):
            check(*settings, "objective.mt_rdrop_weight=1")
