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


@pytest.fixture
def rewritten(corpus, tmp_path):
    """A function: (split, text -> text) -> the override that takes this split with these texts."""

    def rewrite(split, change):
        with (tmp_path / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for line in (corpus / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
                cut = json.loads(line)
                source = cut["recording"]["sources"][0]
                source["source"] = str(corpus / source["source"])
                [supervision] = cut["supervisions"]
                if "text" in supervision:
                    supervision["text"] = change(supervision["text"])
                file.write(json.dumps(cut) + "\n")
        return f"data.{split}={tmp_path / f'{split}.jsonl'}"

    return rewrite


@pytest.fixture
def save_hubert(tmp_path):
    """A function: () -> the folder of a small HuBERT."""

    def save():
        HubertModel(
            HubertConfig(
                hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(5, 8), num_feat_extract_layers=2,
                num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
            )
        ).save_pretrained(tmp_path / "hubert")  # fmt: skip
        Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "hubert")
        return tmp_path / "hubert"

    return save


ENCODER = "model.speech_encoder.layers=1"
PIECES = ("model.ctc.position=speech_encoder", "model.ctc.unit=piece")
CHARACTERS = ("model.ctc.position=speech_encoder", "model.ctc.unit=character")
ASR = ("stages.asr.max_steps=4",)
ASR_ONLY = (*ASR, "stages.st.max_steps=0")
FOLLOWED = {
    "set model.ctc.position to speech_encoder": ("model.ctc.position=speech_encoder",),
    "remove a kernel from model.subsampler.kernel_sizes": ("model.subsampler.kernel_sizes=[5]",),
    "set model.ctc.unit to piece": ("model.ctc.unit=piece",),
    "raise data.vocab_size": ("data.vocab_size=32",),
    "leave these utterances out of data.train": (),
    "train without CTC": (
        *("objective.ctc_weight=0", "stages.asr.max_steps=0"),
        *("model.ctc.position=shared_encoder", "model.ctc.unit=piece"),
    ),
}
"""What a remedy asks for, and the overrides that do so."""
POSITION, KERNEL, PIECE, SIZE, LEAVE_OUT, WITHOUT = FOLLOWED


def offered(error):
    """The remedies of an error, in their order, all of which must be known."""
    told = re.sub(r" \(.*?\)", "", error.remedy[0].lower() + error.remedy[1:-1])
    return [
        next(name for name in FOLLOWED if remedy.startswith(name))
        for remedy in re.split(", or |, ", told)
    ]


@pytest.fixture
def check_remedies(check, make_recipe, rewritten):
    """A function: (how often each transcript, overrides, remedies) -> None, after all were seen.

    Transcripts that often have no room any more, and following any remedy gives a recipe.
    """

    def run(times, settings, remedies):
        settings = (*settings, rewritten("train", lambda text: " ".join([text] * times)))
        unit = "character" if CHARACTERS[1] in settings else "piece"
        with pytest.raises(
            UserError, match=rf"^objective\.ctc_weight: expected .* each {unit} .*more {unit}s than"
        ) as caught:
            check(*settings)
        assert offered(caught.value) == [*remedies]
        for remedy in remedies:
            make_recipe(*settings, *FOLLOWED[remedy])
        if WITHOUT in remedies:
            check(*settings, *FOLLOWED[WITHOUT])

    return run


@pytest.mark.parametrize(
    ("times", "settings", "remedies"),
    [
        (4, (), (KERNEL, SIZE, LEAVE_OUT, WITHOUT)),
        (8, (ENCODER,), (POSITION, KERNEL, SIZE, LEAVE_OUT, WITHOUT)),
        (
            1,
            (ENCODER, "model.ctc.unit=character"),
            (POSITION, KERNEL, PIECE, LEAVE_OUT, WITHOUT),
        ),
        (
            2,
            (ENCODER, "model.ctc.unit=character", "model.subsampler.kernel_sizes=[5]"),
            (POSITION, PIECE, LEAVE_OUT, WITHOUT),
        ),
        (8, (ENCODER, *PIECES), (SIZE, LEAVE_OUT, WITHOUT)),
        (3, (ENCODER, *CHARACTERS, *ASR), (PIECE, LEAVE_OUT, WITHOUT)),
        (3, (ENCODER, *CHARACTERS, *ASR_ONLY), (PIECE, LEAVE_OUT)),
    ],
)
def test_what_gives_ctc_room_fits_the_recipe(check_remedies, st_only, times, settings, remedies):
    check_remedies(times, (*st_only, *settings), remedies)


@pytest.fixture
def saved(make_recipe, tmp_path):
    """A function: overrides -> the folder of their model, its text model alone within it."""

    def save(*overrides):
        recipe = make_recipe(*overrides)
        parts = build_parts(recipe, read_corpus(recipe))
        folder = tmp_path / "saved"
        for part in (parts.translator, parts.tokenizer, parts.frontend):
            part.save_pretrained(folder)
        for part in (parts.translator.text_model, parts.tokenizer):
            part.save_pretrained(folder / "text")
        return folder

    return save


@pytest.mark.parametrize("key", ["model.text_model.pretrained", "data.tokenizer"])
def test_a_vocabulary_that_is_given_is_not_to_be_made_larger(check_remedies, st_only, saved, key):
    given = (f"{key}={saved() / 'text'}", "data.vocab_size=1000", ENCODER)
    check_remedies(8, (*st_only, *given, *PIECES), (LEAVE_OUT, WITHOUT))
    check_remedies(8, (*st_only, *given), (POSITION, KERNEL, LEAVE_OUT, WITHOUT))
    check_remedies(8, (*st_only, *given, *PIECES, *ASR_ONLY), (LEAVE_OUT,))


@pytest.mark.parametrize("unit", [PIECES, CHARACTERS])
def test_an_initial_model_is_not_to_get_another_shape(
    check, check_remedies, st_only, saved, rewritten, unit
):
    settings = (*st_only, ENCODER, *unit)
    initial = f"initial_model={saved(*settings)}"
    check_remedies(9, (*settings, initial), (LEAVE_OUT, WITHOUT))
    check_remedies(9, (*settings, initial, *ASR_ONLY), (LEAVE_OUT,))


def test_a_pretrained_encoder_that_is_frozen_is_not_to_get_ctc(
    check_remedies, st_only, save_hubert
):
    frozen = f"model.speech_encoder={{pretrained: {save_hubert()}, num_mel_bins: 80, freeze: true}}"
    masks = ("data.augment.num_frequency_masks=0", "data.augment.num_time_masks=0")
    settings = (*st_only, *masks, frozen, "model.subsampler.kernel_sizes=[5,5,5,5,5,5,5,5,5,5]")
    check_remedies(1, settings, (KERNEL, SIZE, LEAVE_OUT, WITHOUT))


@pytest.mark.parametrize(
    ("speeds", "kept"),
    [([0.9, 1.0, 1.9, 2.0], [0.9, 1.0]), ([0.9, 1.1, 2.0], [0.9, 1.1]), ([2.0], [1.0])],
)
def test_where_fast_speech_alone_lacks_room_it_is_to_be_left_out(
    check, st_only, saved, rewritten, speeds, kept
):
    often = rewritten("train", lambda text: f"{text} {text}")
    settings = (*st_only, ENCODER, *PIECES, often)
    slower = rf"^objective\.ctc_weight: .*\. Set data\.augment\.speeds to {re.escape(str(kept))}"
    for given, then in (
        (settings, "raise data.vocab_size for fewer tokens, leave"),
        ((*settings, f"initial_model={saved(*settings)}"), "leave"),
    ):
        with pytest.raises(UserError, match=f"{slower}, {then} these"):
            check(*given, f"data.augment.speeds={speeds}")
        check(*given, f"data.augment.speeds={kept}")


RECOGNISED = (ENCODER, *CHARACTERS, *ASR)


def test_a_dev_set_in_other_characters_than_the_training_data_is_refused(check, st_only, rewritten):
    settings = (*st_only, *RECOGNISED, rewritten("dev", str.upper))
    message = (
        r"^data\.dev: expected transcripts in the characters that CTC .*: ' adefimors', found "
        r"\d\d% of the characters unknown to it\. Write .* \(upper and lower case differ\)"
    )
    with pytest.raises(UserError, match=rf"{message}, or set stages\.asr\.max_steps to 0\.$"):
        check(*settings)
    with pytest.raises(UserError, match=rf"{message}\.$"):
        check(*settings, *ASR_ONLY)
    check(*settings, "stages.asr.max_steps=0")


def test_a_dev_set_is_refused_for_many_other_characters_not_for_one_of_thirty(
    check, st_only, rewritten
):
    settings = (*st_only, *RECOGNISED)
    check(*settings, rewritten("dev", lambda text: text.replace("do mi", "do mI")))
    with pytest.raises(UserError, match=r"^data\.dev: .* of the characters unknown to it"):
        check(*settings, rewritten("dev", lambda text: text.replace("i", "I").replace("o", "O")))


@pytest.mark.parametrize(("unit", "times"), [("piece", 4), ("character", 2)])
def test_a_dev_set_of_which_nothing_can_be_aligned_is_refused(
    train, check, st_only, rewritten, tmp_path, unit, times
):
    """Whatever training makes of the speed: dev figures are taken at the natural one."""
    more = "raise data.vocab_size for fewer tokens" if unit == "piece" else "set model.ctc.unit to"
    settings = (*st_only, *RECOGNISED, f"model.ctc.unit={unit}", "data.augment.speeds=[0.5]")
    dev = rewritten("dev", lambda text: " ".join([text] * times))
    message = (
        rf"^data\.dev: expected transcripts that CTC can align.*one {unit} for each.* found none .*"
        rf"Check that the transcripts of \S*dev\.jsonl belong to its speech, {more}.*, or set "
        r"stages\.asr\.max_steps to 0\.$"
    )
    with pytest.raises(UserError, match=message):
        train(tmp_path / "run", *settings, dev)
    assert not [*tmp_path.rglob("step-*")]
    with pytest.raises(UserError, match=message):
        check(*settings, dev)
    check(*settings, dev, "stages.asr.max_steps=0")


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
def test_dropout_of_a_speech_encoder_makes_passes_over_speech_differ(check, save_hubert, freeze):
    encoder = f"{{pretrained: {save_hubert()}, num_mel_bins: 80, freeze: {str(freeze).lower()}}}"
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
