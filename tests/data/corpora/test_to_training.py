"""Every corpus: its layout -> manifests or pairs -> a step of training -> an evaluation."""

import json

import pytest

from horizon_st.config import build_config
from horizon_st.data.corpora.bitext import prepare_bitext, read_bitext
from horizon_st.data.corpora.utterances import write_corpus
from horizon_st.data.manifest import read_manifest, translation_of
from horizon_st.data.text import train_tokenizer
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.evaluate import evaluate
from horizon_st.training.stages import Recipe, run_recipe

STAGE = {"warmup_steps": 1, "validate_every_steps": 1, "log_every_steps": 1, "average": 1}
RECIPE = {
    "name": "corpus",
    "precision": "fp32",
    "data": {"max_batch_s": 3.0, "max_batch_utterances": 4, "num_buckets": 1},
    "model": {
        "speech_encoder": {"num_mel_bins": 20},
        "subsampler": {"mid_channels": 16},
        "text_model": {
            "architecture": "m2m_100",
            "encoder_layers": 1,
            "decoder_layers": 1,
            "d_model": 16,
            "ffn_dim": 16,
            "num_heads": 2,
        },
    },
    "objective": {"mt_weight": 0.5, "consistency_weight": 1.0, "rdrop_weight": 1.0},
    "decoding": {"beam_size": 1, "max_tokens": 4},
    "stages": {
        "mt_external": {"max_steps": 0},
        "mt_in_domain": {"max_steps": 0},
        "st": {"max_steps": 1, **STAGE},
    },
}


class Silent:
    """A reporter that shows nothing."""

    def update(self, stage, step, max_steps, figures):
        pass


def train(manifests, tokenizer, run, stages=RECIPE["stages"], **data):
    """The folder of a model."""
    data |= RECIPE["data"] | {"tokenizer": tokenizer}
    data |= {split: str(path) for split, path in manifests.items()}
    recipe = build_config(Recipe, RECIPE | {"data": data, "stages": stages}, place="test")
    return run_recipe(recipe, run, Silent())


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([text for pair in pairs for text in pair], vocab_size=22).save_pretrained(
        folder
    )
    return str(folder)


def test_layout_to_manifest_to_training_to_evaluation(layout, tokenizer, tmp_path):
    layout.build(tmp_path / "corpus")
    prepared = write_corpus(tmp_path / "out", layout.read(tmp_path / "corpus"))
    assert not prepared.left_out
    assert prepared.num_utterances.keys() >= {"train", "dev"}
    assert prepared.hours["train"] == pytest.approx(
        prepared.num_utterances["train"] * 0.5 / 3600, rel=0.2
    )  # lossy codecs pad

    manifests = {split: tmp_path / "out" / f"{split}.jsonl" for split in ("train", "dev")}
    model = train(manifests, tokenizer, tmp_path / "run")

    search = DecodingConfig(beam_size=1, max_tokens=4)
    evaluation = evaluate(model, manifests["dev"], tmp_path / "scores", config=search)
    assert [sentence.reference for sentence in evaluation.sentences] == [
        translation_of(cut) for cut in read_manifest(manifests["dev"])
    ]
    assert len(evaluation.sentences) == prepared.num_utterances["dev"]


def test_bitext_to_pairs_to_training_to_evaluation(corpus, pairs, tokenizer, tmp_path):
    sides = [tmp_path / "bitext.xx", tmp_path / "bitext.yy"]
    for side, texts in zip(sides, zip(*pairs, strict=True), strict=True):
        side.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    prepared = prepare_bitext(read_bitext(str(sides[0]), sides[1]), tmp_path / "pairs")
    assert prepared.num_pairs == len(pairs)

    _, read = corpus("jsonl")
    write_corpus(tmp_path / "out", read())
    manifests = {split: tmp_path / "out" / f"{split}.jsonl" for split in ("train", "dev")}
    stages = RECIPE["stages"] | {"mt_external": {"max_steps": 1, **STAGE}}
    run = tmp_path / "run"
    model = train(manifests, tokenizer, run, stages, text_pairs=str(prepared.path))
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    assert [stage["name"] for stage in record["stages"]] == ["mt_external", "st"]

    search = DecodingConfig(beam_size=1, max_tokens=4)
    evaluation = evaluate(model, manifests["dev"], tmp_path / "scores", config=search)
    assert len(evaluation.sentences) == 2
