"""Dev figures: plain cross-entropy of one deterministic pass, whatever the objective's weights."""

import json
import math
from types import SimpleNamespace

import pytest
import sacrebleu
import torch
from accelerate import Accelerator

from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.manifest import transcript_of, translation_of
from horizon_st.decoding.configuration import DecodingConfig, Hypothesis
from horizon_st.decoding.generate import translate
from horizon_st.decoding.scoring import score
from horizon_st.errors import UserError
from horizon_st.training import validation
from horizon_st.training.dev_batches import DevBatches, measuring
from horizon_st.training.parts import build_parts, read_corpus
from horizon_st.training.validation import Validation


@pytest.fixture
def built(make_recipe):
    recipe = make_recipe("model.text_model.dropout=0.5")
    corpus = read_corpus(recipe)
    torch.manual_seed(0)
    return corpus, build_parts(recipe, corpus)


def validation_of(corpus, parts, modality, *, with_bleu=False, tokenize="13a"):
    return Validation(
        parts.translator,
        parts.tokenizer,
        corpus.dev_cuts,
        FeatureCache(parts.frontend, 1e9),
        DecodingConfig(beam_size=2, max_tokens=5, batch_size=2, tokenize=tokenize),
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


def test_bleu_has_the_tokeniser_of_the_recipe(built, monkeypatch):
    corpus, parts = built
    references = {cut.id: translation_of(cut) for cut in corpus.dev_cuts}
    hypotheses = {name: f"{text} {text[::-1]}" for name, text in references.items()}

    def found_by(_model, _tokenizer, batches, _config, *, modality):
        names = [name for batch in batches for name in batch.ids]
        return [Hypothesis(name, hypotheses[name], 0.0, (2,)) for name in names]

    monkeypatch.setattr(validation, "translate", found_by)
    values = []
    for tokenize in ("13a", "char"):
        found = validation_of(corpus, parts, "speech", with_bleu=True, tokenize=tokenize)()
        by_sacrebleu = sacrebleu.corpus_bleu(
            [*hypotheses.values()], [[*references.values()]], tokenize=tokenize
        )
        assert found["bleu"] == pytest.approx(by_sacrebleu.score)
        values.append(found["bleu"])
    assert values[0] != pytest.approx(values[1])


def test_a_tokeniser_without_its_dictionaries_is_refused_before_training(train, tmp_path):
    with pytest.raises(UserError, match=r"ja-mecab: .*pip install 'sacrebleu\[ja\]'"):
        train(tmp_path, "decoding.tokenize=ja-mecab")
    assert not (tmp_path / "stages").exists()


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


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_has_diverged_is_not_decoded_with(built, value):
    corpus, parts = built
    parts.translator.train()
    for parameter in parts.translator.parameters():
        parameter.data.fill_(value)
    found = validation_of(corpus, parts, "speech", with_bleu=True)()
    assert found.keys() == {"loss"}
    assert not math.isfinite(found["loss"])
    assert parts.translator.training


def test_a_run_that_diverges_ends_for_its_loss(train, st_only, tmp_path):
    """The first update makes weights so large that the dev loss overflows."""
    stage = {"max_steps": 1, "average": 1, "warmup_steps": 0, "learning_rate": 1e36}
    settings = [f"stages.st.{key}={value}" for key, value in stage.items()]
    with pytest.raises(UserError, match=r"stage st, step 1: expected a finite loss, found loss na"):
        train(tmp_path, *st_only, *settings)


def test_processes_share_the_dev_set(built):
    """Each takes a part of it, in batches of similar length; no utterance is left over or twice."""
    corpus, parts = built
    cuts = [*corpus.dev_cuts, *corpus.train]
    collate = Collator(FeatureCache(parts.frontend, 1e9), parts.tokenizer)
    for needs_transcript, num in ((False, 12), (True, 11)):
        seen = []
        for rank in range(5):
            share = SimpleNamespace(process_index=rank, num_processes=5)
            batches = [*DevBatches(cuts, collate, 2, share, needs_transcript=needs_transcript)]
            assert [[cut.id for cut in cuts] for cuts, _ in batches] == [b.ids for _, b in batches]
            assert [len(batch.ids) for _, batch in batches[:-1]] == [2] * (len(batches) - 1)
            durations = [cut.duration for cuts, _ in batches for cut in cuts]
            assert durations == sorted(durations)
            assert num // 5 <= len(durations) <= math.ceil(num / 5)
            seen += [cut for cuts, _ in batches for cut in cuts]
        assert len({cut.id for cut in seen}) == len(seen) == num
        assert not needs_transcript or None not in map(transcript_of, seen)


@pytest.mark.parametrize("is_training", [False, True])
def test_the_mode_is_put_back_whatever_happens(is_training):
    model = torch.nn.Linear(1, 1).train(is_training)

    def fail():
        with measuring(model):
            assert not model.training
            assert not model(torch.ones(1)).requires_grad
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert model.training == is_training
    assert torch.is_grad_enabled()
