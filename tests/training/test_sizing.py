"""Recipes sized for a corpus: they load, train, and grow with the corpus."""

import dataclasses
import math

import pytest

from horizon_st.config import load_config
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.text import train_tokenizer
from horizon_st.data.text_pairs import write_text_pairs
from horizon_st.errors import UserError
from horizon_st.training.recipe import Recipe
from horizon_st.training.sizing import CorpusSize, measure_corpus, size_recipe

MBOSHI = CorpusSize(
    hours=4.02,
    longest_s=9.8,
    num_utterances=4616,
    num_transcribed=4616,
    characters_per_s=9.5,
    num_words=66_406,
    num_types=11_023,
    num_characters=55,
    num_text_pairs=0,
)
HOURS = [0.05, 0.5, 3, 11, 12, 50, 150, 500, 5000]


def of_hours(hours, **changes):
    """A corpus like Mboshi of another size; words grow with it, and types as Heaps' law has it."""
    factor = hours / MBOSHI.hours
    return dataclasses.replace(
        MBOSHI,
        hours=hours,
        num_utterances=math.ceil(MBOSHI.num_utterances * factor),
        num_words=math.ceil(MBOSHI.num_words * factor),
        num_types=math.ceil(MBOSHI.num_types * factor**0.6),
        **changes,
    )


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
        size = dataclasses.replace(size, num_transcribed=0, characters_per_s=0.0)
    recipe = load(size)
    assert recipe.name == "my corpus: 1"
    assert recipe.data.train == str(tmp_path / "a b" / "train.jsonl")
    assert recipe.data.text_pairs == (
        str(tmp_path / "a b" / "text_pairs.arrow") if num_text_pairs else None
    )
    trained = ["mt_external"] * bool(num_text_pairs) + ["mt_in_domain"] * is_transcribed + ["st"]
    assert recipe.stages.trained == trained
    for weight in ("ctc_weight", "consistency_weight", "mt_weight"):
        assert (getattr(recipe.objective, weight) > 0) == is_transcribed


def test_models_and_vocabularies_grow_with_the_corpus(load):
    recipes = [load(of_hours(hours)) for hours in HOURS]
    for of in (
        lambda recipe: recipe.model.text_model.d_model,
        lambda recipe: recipe.data.vocab_size,
        lambda recipe: -recipe.model.text_model.dropout,
    ):
        values = [of(recipe) for recipe in recipes]
        assert values == sorted(values)


def test_fast_speech_gets_more_states(load):
    kernels = [
        len(load(of_hours(4, characters_per_s=rate)).model.subsampler.kernel_sizes)
        for rate in (9.5, 20)
    ]
    assert kernels == [3, 2]


def test_a_batch_has_room_for_the_longest_utterance(load):
    assert load(of_hours(4, longest_s=90.0)).data.max_batch_s >= 4 * 90 / 0.9


def test_a_corpus_is_measured(corpus):
    cuts = list(read_manifest(corpus / "train.jsonl"))
    texts = [text for cut in cuts for text in (transcript_of(cut), translation_of(cut)) if text]
    write_text_pairs(corpus / "text_pairs.arrow", [("a", "b")] * 3)
    size = measure_corpus(corpus)
    (corpus / "text_pairs.arrow").unlink()
    assert size.hours == pytest.approx(sum(cut.duration for cut in cuts) / 3600)
    assert size.longest_s == max(cut.duration for cut in cuts)
    assert size.num_utterances == len(cuts)
    assert size.num_transcribed == sum(transcript_of(cut) is not None for cut in cuts)
    assert size.num_words == len(" ".join(texts).split())
    assert size.num_types == len(set(" ".join(texts).split()))
    assert size.num_characters == len(set("".join(texts).replace(" ", "")))
    assert size.num_text_pairs == 3


def test_missing_manifests_are_named(tmp_path):
    with pytest.raises(
        UserError, match=r"train\.jsonl: expected the manifests.*horizon-st prepare"
    ):
        measure_corpus(tmp_path)


def test_the_vocabulary_can_be_filled(load, corpus):
    cuts = list(read_manifest(corpus / "train.jsonl"))
    texts = [text for cut in cuts for text in (transcript_of(cut), translation_of(cut)) if text]
    recipe = load(measure_corpus(corpus))
    assert len(train_tokenizer(texts * 3, recipe.data.vocab_size)) == recipe.data.vocab_size
