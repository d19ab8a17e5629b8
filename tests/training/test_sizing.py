"""Recipes sized for a corpus: they load, train, and grow with the corpus."""

import dataclasses
import math

import numpy as np
import pytest
import yaml

from horizon_st.config import load_config
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.text import train_tokenizer
from horizon_st.data.text_pairs import write_text_pairs
from horizon_st.errors import UserError
from horizon_st.training.recipe import Recipe
from horizon_st.training.sizing import CorpusSize, has_too_long, measure_corpus, size_recipe

MBOSHI = CorpusSize(
    hours=4.02,
    long_s=6.0,
    longest_s=9.8,
    num_utterances=4616,
    num_transcribed=4616,
    transcribed_hours=4.02,
    dev_is_transcribed=True,
    characters_per_s=9.5,
    num_words=66_406,
    most_pieces=10_000,
    num_text_pairs=0,
)
HOURS = [0.05, 0.5, 3, 11, 12, 50, 150, 500, 5000]


def of_hours(hours, **changes):
    """A corpus like Mboshi of another size."""
    factor = hours / MBOSHI.hours
    num_utterances = math.ceil(MBOSHI.num_utterances * factor)
    scaled = {
        "hours": hours,
        "num_utterances": num_utterances,
        "num_transcribed": num_utterances,
        "transcribed_hours": hours,
        "num_words": math.ceil(MBOSHI.num_words * factor),
    }
    return dataclasses.replace(MBOSHI, **(scaled | changes))


@pytest.fixture
def load(tmp_path):
    """A function: size -> the recipe that is written for it."""

    def read(size):
        path = tmp_path / "recipe.yaml"
        path.write_text(size_recipe("my corpus: 1", tmp_path / "a b", size), encoding="utf-8")
        return load_config(Recipe, path)

    return read


@pytest.mark.parametrize("hours", HOURS)
@pytest.mark.parametrize("num_text_pairs", [0, 10, 3_000_000])
@pytest.mark.parametrize("is_transcribed", [True, False])
def test_every_recipe_loads(load, tmp_path, hours, num_text_pairs, is_transcribed):
    size = of_hours(hours, num_text_pairs=num_text_pairs)
    if not is_transcribed:
        size = dataclasses.replace(size, num_transcribed=1, transcribed_hours=0, characters_per_s=0)
    recipe = load(size)
    assert recipe.name == "my corpus: 1"
    assert recipe.data.train == str(tmp_path / "a b" / "train.jsonl")
    assert recipe.data.text_pairs == (
        str(tmp_path / "a b" / "text_pairs.arrow") if num_text_pairs else None
    )
    of_transcripts = ["mt_in_domain", "asr"] * is_transcribed
    assert recipe.stages.trained == ["mt_external"] * bool(num_text_pairs) + of_transcripts + ["st"]
    for weight in ("ctc_weight", "consistency_weight", "mt_weight"):
        assert (getattr(recipe.objective, weight) > 0) == is_transcribed


def test_asr_is_as_long_as_its_speech(load):
    whole, half = (load(of_hours(40, transcribed_hours=hours)).stages for hours in (40, 20))
    assert half.asr.max_steps == pytest.approx(whole.asr.max_steps / 2, rel=0.05)
    assert half.st.max_steps == whole.st.max_steps


def test_models_and_vocabularies_grow_with_the_corpus(load):
    recipes = [load(of_hours(hours)) for hours in HOURS]
    for of in (
        lambda recipe: recipe.model.text_model.d_model,
        lambda recipe: recipe.model.speech_encoder.layers,
        lambda recipe: recipe.data.vocab_size,
        lambda recipe: -recipe.model.text_model.dropout,
    ):
        values = [of(recipe) for recipe in recipes]
        assert values == sorted(values)


def test_speech_too_fast_for_characters_is_spelt_in_pieces(load):
    units = [load(of_hours(4, characters_per_s=rate)).model.ctc.unit for rate in (9.5, 20)]
    assert units == ["character", "piece"]


def test_a_batch_has_room_for_long_utterances_but_not_for_an_outlier(load):
    size = of_hours(4, long_s=90.0, longest_s=91.0)
    assert load(size).data.max_batch_s >= 4 * 90 / 0.9
    assert not has_too_long(size)
    outlier = of_hours(4, long_s=6.0, longest_s=1800.0)
    assert load(outlier).data.max_batch_s == 100
    assert has_too_long(outlier)


def test_without_transcripts_in_the_dev_set_no_text_stage_is_planned(load):
    recipe = load(of_hours(4, dev_is_transcribed=False, num_text_pairs=1000))
    assert recipe.stages.trained == ["st"]
    assert recipe.objective.ctc_weight > 0


def test_marks_of_comments_in_a_path_stay_in_it(tmp_path):
    folder = tmp_path / "my # corpus"
    text = size_recipe("x", folder, MBOSHI)
    assert yaml.safe_load(text)["data"]["train"] == str(folder / "train.jsonl")


def test_a_corpus_is_measured(corpus):
    cuts = list(read_manifest(corpus / "train.jsonl"))
    texts = [text for cut in cuts for text in (transcript_of(cut), translation_of(cut)) if text]
    write_text_pairs(corpus / "text_pairs.arrow", [("a", "b")] * 3)
    size = measure_corpus(corpus)
    (corpus / "text_pairs.arrow").unlink()
    assert size.hours == pytest.approx(sum(cut.duration for cut in cuts) / 3600)
    assert size.longest_s == max(cut.duration for cut in cuts)
    assert size.long_s == pytest.approx(np.quantile([cut.duration for cut in cuts], 0.99))
    assert size.num_utterances == len(cuts)
    assert size.num_transcribed == sum(transcript_of(cut) is not None for cut in cuts)
    transcribed_s = sum(cut.duration for cut in cuts if transcript_of(cut) is not None)
    assert size.transcribed_hours == pytest.approx(transcribed_s / 3600)
    assert size.num_words == len(" ".join(texts).split())
    assert size.dev_is_transcribed
    assert size.num_text_pairs == 3


def test_missing_manifests_are_named(tmp_path):
    with pytest.raises(
        UserError, match=r"train\.jsonl: expected the manifests.*horizon-st prepare"
    ):
        measure_corpus(tmp_path)


def test_the_vocabulary_can_be_filled_and_no_larger_one(corpus):
    cuts = list(read_manifest(corpus / "train.jsonl"))
    texts = [text for cut in cuts for text in (transcript_of(cut), translation_of(cut)) if text]
    most = measure_corpus(corpus).most_pieces
    assert len(train_tokenizer(texts, most)) == most
    with pytest.raises(UserError, match="too high"):
        train_tokenizer(texts, most + 1)
