"""Dev figures: plain cross-entropy of one deterministic pass, whatever the objective's weights."""

import json

import pytest
import torch
from accelerate import Accelerator

from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.manifest import transcript_of, translation_of
from horizon_st.decoding.generate import DecodingConfig, translate
from horizon_st.decoding.scoring import score
from horizon_st.training.parts import build_parts, read_corpus
from horizon_st.training.validation import Validation


@pytest.fixture
def built(make_recipe):
    recipe = make_recipe("model.text_model.dropout=0.5")
    corpus = read_corpus(recipe)
    torch.manual_seed(0)
    return corpus, build_parts(recipe, corpus)


def validation_of(corpus, parts, modality, *, with_bleu=False):
    return Validation(
        parts.translator,
        parts.tokenizer,
        corpus.dev_cuts,
        FeatureCache(parts.frontend, 1e9),
        DecodingConfig(beam_size=2, max_tokens=5, batch_size=2),
        Accelerator(cpu=True),
        modality=modality,
        with_bleu=with_bleu,
    )


@pytest.mark.parametrize("modality", ["speech", "text"])
def test_loss_is_plain_cross_entropy_per_token(built, modality):
    corpus, parts = built
    model = parts.translator.train()
    found = validation_of(corpus, parts, modality)()
    assert model.training
    model.eval()
    total = num_tokens = 0
    for cut in corpus.dev_cuts:
        target = torch.tensor(parts.tokenizer(translation_of(cut)).input_ids)
        batch = Collator(FeatureCache(parts.frontend, 1e9), parts.tokenizer)([cut])
        inputs = (
            {"speech": batch.speech, "speech_lengths": batch.speech_lengths}
            if modality == "speech"
            else {"input_ids": torch.tensor([parts.tokenizer(transcript_of(cut)).input_ids])}
        )
        with torch.no_grad():
            logits = model(**inputs, labels=target[None]).logits[0]
        total -= logits.log_softmax(-1).gather(1, target[:, None]).sum().item()
        num_tokens += len(target)
    assert found == {"loss": pytest.approx(total / num_tokens, rel=1e-5)}


def test_bleu_is_sacrebleus_over_the_dev_set(built):
    corpus, parts = built
    found = validation_of(corpus, parts, "speech", with_bleu=True)()
    batch = Collator(FeatureCache(parts.frontend, 1e9), parts.tokenizer)(corpus.dev_cuts)
    hypotheses = translate(
        parts.translator,
        parts.tokenizer,
        [batch],
        DecodingConfig(beam_size=2, max_tokens=5, batch_size=2),
    )
    references = [translation_of(cut) for cut in corpus.dev_cuts]
    expected = score([hypothesis.text for hypothesis in hypotheses], references)
    assert found["bleu"] == pytest.approx(expected.metrics["BLEU"].value)


def test_the_objective_does_not_change_the_dev_loss(train, st_only, tmp_path):
    """At a learning rate too small to matter, all objectives see the same dev loss."""
    common = (*st_only, "stages.st.max_steps=1", "stages.st.average=1", "stages.st.metric=loss")
    common = (*common, "stages.st.learning_rate=1e-30", "objective.ctc_weight=0.3")
    found = []
    for number, weights in enumerate(
        [
            ("objective.mt_weight=0", "objective.consistency_weight=0", "objective.rdrop_weight=0"),
            ("objective.mt_weight=1", "objective.label_smoothing=0.3", "objective.rdrop_weight=5"),
        ]
    ):
        folder = train(tmp_path / str(number), *common, *weights)
        record = json.loads((folder / "record.json").read_text())
        found.append(record["stages"][-1]["dev_history"][-1]["loss"])
    assert found[0] == found[1]
