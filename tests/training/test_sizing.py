"""Recipes sized for a corpus: they load, train, and grow with the corpus."""

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from horizon_st.config import load_config
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.text import train_tokenizer
from horizon_st.data.text_pairs import read_text_pairs, write_text_pairs
from horizon_st.errors import UserError
from horizon_st.training.corpus_size import CorpusSize, measure_corpus
from horizon_st.training.recipe import Recipe
from horizon_st.training.sizing import has_too_long, size_recipe

MBOSHI = CorpusSize(
    hours=4.02,
    long_s=6.0,
    longest_s=9.8,
    narrowband_share=0.0,
    num_utterances=4616,
    num_transcribed=4616,
    transcribed_hours=4.02,
    dev_is_transcribed=True,
    characters_per_s=9.5,
    num_words=66_406,
    least_pieces=80,
    most_pieces=10_000,
    tokenize="13a",
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
    """A function: size -> the recipe that is written for it, perhaps changed by a function."""

    def read(size, *, change=lambda text: text, memory_gb=16, num_cores=8):
        path = tmp_path / "recipe.yaml"
        machine = {"memory_gb": memory_gb, "num_cores": num_cores}
        text = size_recipe("my corpus: 1", tmp_path / "a b", size, **machine)
        path.write_text(change(text), encoding="utf-8")
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


def test_the_page_names_the_weights_that_the_recipe_begins_with(load):
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    page = " ".join(text.split())
    objective = load(MBOSHI).objective
    assert (
        f"begins at α_t {objective.mt_weight:g}, α_cr {objective.consistency_weight:g}, "
        f"α_rd {objective.rdrop_weight:g} from the {objective.rdrop_from.replace('_', ' ')} on."
    ) in page


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
    text = size_recipe("x", folder, MBOSHI, memory_gb=16, num_cores=8)
    assert yaml.safe_load(text)["data"]["train"] == str(folder / "train.jsonl")


def test_a_corpus_is_measured(corpus):
    cuts = list(read_manifest(corpus / "train.jsonl"))
    texts = [text for cut in cuts for text in (transcript_of(cut), translation_of(cut)) if text]
    told = []
    size = measure_corpus(corpus, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, len(cuts)) for number in range(len(cuts) + 1)]
    assert size.hours == pytest.approx(sum(cut.duration for cut in cuts) / 3600)
    assert size.longest_s == max(cut.duration for cut in cuts)
    assert size.long_s == pytest.approx(np.quantile([cut.duration for cut in cuts], 0.99))
    assert size.num_utterances == len(cuts)
    assert size.num_transcribed == sum(transcript_of(cut) is not None for cut in cuts)
    transcribed_s = sum(cut.duration for cut in cuts if transcript_of(cut) is not None)
    assert size.transcribed_hours == pytest.approx(transcribed_s / 3600)
    assert size.num_words == len(" ".join(texts).split())
    assert size.dev_is_transcribed


def test_text_pairs_beside_the_manifests_are_found_in_arrow_or_jsonl(corpus, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(corpus, folder)
    num_lines = len((folder / "text_pairs.jsonl").read_text(encoding="utf-8").splitlines())

    def named():
        size = measure_corpus(folder)
        text = size_recipe("x", folder, size, memory_gb=16, num_cores=8)
        return size.num_text_pairs, yaml.safe_load(text)["data"].get("text_pairs")

    assert named() == (num_lines, str(folder / "text_pairs.jsonl"))
    write_text_pairs(folder / "text_pairs.arrow", [("a", "b")] * 3)
    assert named() == (3, str(folder / "text_pairs.arrow"))
    (folder / "text_pairs.arrow").unlink()
    (folder / "text_pairs.jsonl").write_bytes(b"")
    assert named() == (0, None)


def test_features_are_kept_where_they_fit_and_else_loaded_by_processes(load):
    """Three speeds of 80 bins in 32 bits, 100 times a second, in a third of the memory."""
    data = load(of_hours(12)).data
    exact_gb = 12 * 3600 * 100 * 80 * 4 * (1 / 0.9 + 1 + 1 / 1.1) / 1e9
    assert exact_gb <= data.cache_gb <= exact_gb + 0.2
    assert data.num_workers == 0
    assert load(of_hours(0.05)).data.cache_gb == 1
    for memory_gb, num_cores, num_workers in ((16, 8, 4), (16, 1, 1), (2, 4, 3)):
        data = load(of_hours(50), memory_gb=memory_gb, num_cores=num_cores).data
        assert data.num_workers == num_workers
        assert 0 < data.cache_gb * (num_workers + 1) <= memory_gb / 3
    assert load(of_hours(50), memory_gb=64).data.num_workers == 0


@pytest.mark.parametrize(
    ("share", "high_hz", "line"),
    [
        (0.97, 3800, "  high_hz: 3800 # recordings are 8 kHz: nothing is above; pretrained: 7600"),
        (0.4, 7600, "  # high_hz: 3800 # 40% of the speech is 8 kHz: its bins above are empty"),
        (0.01, 7600, None),
    ],
)
def test_filterbanks_end_where_telephone_speech_does(load, share, high_hz, line):
    size = of_hours(4, narrowband_share=share)
    assert load(size).data.high_hz == high_hz
    assert load(size, change=with_pretrained_encoder).data.high_hz == 7600
    text = re.sub(" +", " ", size_recipe("x", Path("y"), size, memory_gb=16, num_cores=8))
    assert ("high_hz" in text) == (line is not None)
    assert line is None or re.sub(" +", " ", line) in text


def test_the_rates_of_recordings_are_weighed_by_their_hours(corpus, tmp_path):
    lines = (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    narrow_s = 0.0
    for number, row in enumerate(rows):
        recording = row["recording"]
        recording["sources"][0]["source"] = str(corpus / recording["sources"][0]["source"])
        recording["sampling_rate"] = 16_000
        if number % 3 == 0:
            recording["sampling_rate"] = 8_000
            narrow_s += row["duration"]
        recording["num_samples"] = round(recording["duration"] * recording["sampling_rate"])
    for name in ("train", "dev"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    share = measure_corpus(tmp_path).narrowband_share
    assert 0 < share < 1
    assert share == pytest.approx(narrow_s / sum(row["duration"] for row in rows))


def with_pretrained_encoder(text):
    """The recipe as its comments say it."""
    text = re.sub(r"^( *\w+:) .*# (?:.*; )?pretrained: (\S+)$", r"\1 \2", text, flags=re.MULTILINE)
    text = re.sub(r"^  (speech_encoder|subsampler): .*\n(    .*\n)+", "", text, flags=re.MULTILINE)
    text = re.sub(r"^  subsampler:\n(    .*\n)+", "", text, flags=re.MULTILINE)
    return re.sub(r"^  # (speech_encoder|subsampler): ", r"  \1: ", text, flags=re.MULTILINE)


def test_a_pretrained_encoder_takes_few_changes(load):
    recipe = load(MBOSHI, change=with_pretrained_encoder)
    assert recipe.model.speech_encoder.pretrained == "facebook/hubert-base-ls960"
    assert recipe.model.subsampler.kernel_sizes == [5, 5]
    assert recipe.stages.st.learning_rate == 1e-4
    assert recipe.stages.trained == ["mt_in_domain", "st"]
    assert recipe.data.augment.num_frequency_masks == recipe.data.augment.num_time_masks == 0


def in_chinese(folder, num_utterances, corpus):
    """A corpus whose translations are Chinese words of two characters each, some hundred in all."""
    lines = (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rng = np.random.default_rng(0)
    words = [chr(0x4E00 + 2 * number) + chr(0x4E01 + 2 * number) for number in range(200)]
    for name, number in (("train", num_utterances), ("dev", 2)):
        rows = []
        for index in range(number):
            cut = json.loads(lines[index % len(lines)])
            cut["id"] = cut["supervisions"][0]["id"] = f"{name}{index}"
            for source in cut["recording"]["sources"]:
                source["source"] = str(corpus / source["source"])
            text = "，".join(rng.choice(words, 6)) + "。！？……（１２，３）"[index % 12 :]
            cut["supervisions"][0]["custom"]["translated_text"] = text
            rows.append(json.dumps(cut, ensure_ascii=False))
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def test_without_spaces_the_vocabulary_has_room_for_all_characters(corpus, load, tmp_path):
    in_chinese(tmp_path, 200, corpus)
    size = measure_corpus(tmp_path)
    assert size.tokenize == "zh"
    cuts = list(read_manifest(tmp_path / "train.jsonl"))
    texts = [text for cut in cuts for text in (transcript_of(cut), translation_of(cut)) if text]
    assert size.least_pieces > len(set("".join(texts))) > 400
    assert size.num_words > 200 * 6
    recipe = load(size)
    assert recipe.decoding.tokenize == "zh"
    assert size.least_pieces + 50 < recipe.data.vocab_size <= size.most_pieces
    assert len(train_tokenizer(texts, recipe.data.vocab_size)) == recipe.data.vocab_size
    assert len(train_tokenizer(texts, size.least_pieces)) == size.least_pieces
    with pytest.raises(UserError, match="more pieces than the text has characters"):
        train_tokenizer(texts, size.least_pieces - 1)


def test_damaged_manifests_are_answered_with_the_command_that_lists_the_damage(corpus, tmp_path):
    in_chinese(tmp_path, 2, corpus)
    with (tmp_path / "dev.jsonl").open("a", encoding="utf-8") as file:
        file.write("{\n")
    with pytest.raises(UserError, match=r"dev\.jsonl:3.*`horizon-st validate \S+dev\.jsonl`"):
        measure_corpus(tmp_path)


def test_missing_manifests_are_named(tmp_path):
    with pytest.raises(
        UserError, match=r"train\.jsonl: expected the manifests.*horizon-st prepare"
    ):
        measure_corpus(tmp_path)


def test_the_vocabulary_can_be_filled_and_no_larger_one(corpus):
    cuts = list(read_manifest(corpus / "train.jsonl"))
    texts = [text for cut in cuts for text in (transcript_of(cut), translation_of(cut)) if text]
    texts += [text for pair in read_text_pairs(corpus / "text_pairs.jsonl") for text in pair]
    most = measure_corpus(corpus).most_pieces
    assert len(train_tokenizer(texts, most)) == most
    with pytest.raises(UserError, match="too high"):
        train_tokenizer(texts, most + 1)
