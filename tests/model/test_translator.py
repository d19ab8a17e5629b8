"""The whole model: passes, independence of the batch, generation, saving, limits."""

import json

import pytest
import torch

from horizon_st.errors import UserError
from horizon_st.model.passes import run_passes
from horizon_st.model.translator import SpeechTranslatorModel

ARCHITECTURES = ("bart", "marian", "mbart", "m2m_100", "t5")
each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def speech_of(batch):
    return {"speech": batch["speech"], "speech_lengths": batch["speech_lengths"]}


@each_architecture
def test_passes_differ_by_dropout_alone(architecture, make_model, batch):
    model = make_model(architecture, ctc=True)
    for training in (True, False):
        model.train(training)
        speech, text = run_passes(model, **batch, num_speech=2, num_text=2, ctc=True)
        for a, b in (speech, text):
            assert a.logits.shape == (3, 5, 50)
            assert a.decoder_states.shape == (3, 5, 32)
            for field in ("logits", "decoder_states", "encoder_states"):
                same = torch.allclose(getattr(a, field), getattr(b, field), atol=1e-5)
                assert same != training
            assert torch.equal(a.encoder_mask, b.encoder_mask)
        assert speech[0].encoder_mask.sum(dim=1).tolist() == [16, 11, 5]
        assert speech[0].ctc_logits.shape == (3, 16, 50)
        assert text[0].ctc_logits is None


@each_architecture
def test_a_row_without_transcript_keeps_everything_finite(architecture, make_model, batch):
    model = make_model(architecture, ctc=True).train()
    speech, text = run_passes(model, **batch, num_speech=2, num_text=1, ctc=True)
    outputs = [x.logits for x in (*speech, *text)] + [x.ctc_logits for x in speech]
    sum(x.square().sum() for x in outputs).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@each_architecture
def test_a_share_of_the_words_is_drawn_by_the_decoder_itself(architecture, make_model, batch):
    """What it reads at each place is the reference, or a draw from its scores of that place."""
    model = make_model(architecture).eval()
    read = []
    decode = model.decode

    def listened(encoded, prefixes):
        output = decode(encoded, prefixes)
        read.append((prefixes, output.logits))
        return output

    model.decode = listened
    gold = model.shift_right(batch["target"])
    is_padding = gold == model.config.pad_token_id
    is_padding[:, 0] = True  # the start symbol stays as well
    torch.manual_seed(0)
    found = []
    for _ in range(60):
        [speech], _ = run_passes(model, **batch, num_speech=1, num_text=0, gold_share=0.6)
        (first, scores), (second, logits) = read
        assert torch.equal(first, gold)
        assert torch.equal(speech.logits, logits)
        assert torch.equal(second[is_padding], gold[is_padding])
        found.append((second, scores))
        read.clear()
    kept = torch.stack([mixed == gold for mixed, _ in found])[:, ~is_padding].float().mean()
    assert 0.55 < kept < 0.68  # a drawn word may be the reference's by chance
    run_passes(model, **batch, num_speech=1, num_text=0)
    assert len(read) == 1


def test_drawn_words_follow_the_decoders_own_distribution(make_model, batch):
    model = make_model().eval()
    gold = model.shift_right(batch["target"])
    with torch.no_grad():
        [speech], _ = run_passes(model, **batch, num_speech=1, num_text=0)
        expected = speech.logits.softmax(-1)[0, 0]
        decode, drawn = model.decode, []
        model.decode = lambda encoded, prefixes: drawn.append(prefixes) or decode(encoded, prefixes)
        torch.manual_seed(0)
        for _ in range(400):
            run_passes(model, **batch, num_speech=1, num_text=0, gold_share=1e-9)
    words = torch.stack(drawn[1::2])[:, 0, 1]
    assert not torch.equal(drawn[1], gold)
    counts = torch.bincount(words, minlength=len(expected)) / len(words)
    assert (counts - expected).abs().sum() / 2 < 0.25  # total variation of 400 draws of 50 words
    sharp = expected.argmax()
    assert counts[sharp] == pytest.approx(expected[sharp].item(), abs=0.06)


def test_passes_that_nobody_asked_for_are_not_computed(make_model, batch):
    model = make_model()
    rows = []
    for part in (model.get_encoder(), model.text_model.get_decoder(), model.subsampler):
        part.register_forward_hook(
            lambda module, inputs, output: rows.append((type(module).__name__, len(output[0])))
        )
    run_passes(model, **batch, num_speech=1, num_text=0)
    assert rows == [("Conv1dSubsampler", 3), ("BartEncoder", 3), ("BartDecoder", 3)]
    rows.clear()
    run_passes(model, **batch, num_speech=2, num_text=1)
    assert rows == [
        ("Conv1dSubsampler", 3),  # no dropout before it: shared by both passes
        *[("BartEncoder", 6), ("BartDecoder", 6), ("BartEncoder", 3), ("BartDecoder", 3)],
    ]
    rows.clear()
    no_speech = batch | {"speech": None, "speech_lengths": None}
    speech, text = run_passes(model, **no_speech, num_speech=0, num_text=1)
    assert rows == [("BartEncoder", 3), ("BartDecoder", 3)]
    assert (len(speech), len(text)) == (0, 1)


@each_architecture
def test_results_do_not_depend_on_the_batch(architecture, make_model, batch):
    model = make_model(architecture).eval()
    with torch.no_grad():
        speech, text = run_passes(model, **batch, num_speech=1, num_text=1)
        for b, n in enumerate(batch["speech_lengths"]):
            source = batch["transcript"][b : b + 1]
            source = source[:, : max(1, int((source != 1).sum()))]
            alone = run_passes(
                model,
                speech=batch["speech"][b : b + 1, :n],
                speech_lengths=n[None],
                transcript=source,
                target=batch["target"][b : b + 1],
                num_speech=1,
                num_text=1,
            )
            real = batch["target"][b] != 1
            for together, single in zip((speech, text), alone, strict=True):
                difference = together[0].logits[b] - single[0].logits[0]
                assert difference[real].abs().max() < 1e-4


@each_architecture
def test_speech_enters_at_the_scale_of_embeddings(architecture, make_model, batch):
    model = make_model(architecture).eval()
    ids = torch.tensor([[5, 6, 7, 2]])
    embeds = model.get_input_embeddings().weight[ids] * model.embedding_scale
    states = model.get_encoder()(inputs_embeds=embeds).last_hidden_state
    assert torch.allclose(states, model.encode_text(ids).states, atol=1e-5)
    assert (model.embedding_scale > 1) == (architecture != "t5")
    frames, lengths = model.subsampler(batch["speech"][:1], batch["speech_lengths"][:1])
    states = model.get_encoder()(inputs_embeds=frames * model.embedding_scale).last_hidden_state
    found = model.encode_speech(batch["speech"][:1], batch["speech_lengths"][:1])
    assert torch.allclose(states, found.states, atol=1e-5)
    assert found.mask.sum() == lengths


@each_architecture
@pytest.mark.parametrize("modality", ["speech", "text"])
def test_cached_greedy_search_follows_the_teacher_forced_logits(
    architecture, modality, make_model, batch
):
    model = make_model(architecture).eval()
    inputs = speech_of(batch) if modality == "speech" else {"input_ids": batch["transcript"][:2]}
    found = model.generate(**inputs, max_new_tokens=5, min_new_tokens=5, num_beams=1)
    prefix = found[:, :1]
    assert (prefix == 2).all()
    for _ in range(5):
        with torch.no_grad():
            logits = model(**inputs, decoder_input_ids=prefix).logits[:, -1]
        logits[:, 2] = -torch.inf
        prefix = torch.cat([prefix, logits.argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(found, prefix)


def test_beam_search_finds_the_best_sequence(make_model, batch):
    """A beam as wide as the vocabulary is exhaustive over two steps."""
    model = make_model("m2m_100").eval()
    inputs = speech_of(batch)
    options = {"num_beams": 50, "max_new_tokens": 2, "min_new_tokens": 2}
    found = model.generate(**inputs, **options, output_scores=True, return_dict_in_generate=True)
    with torch.no_grad():
        for b, n in enumerate(batch["speech_lengths"]):
            tokens = [t for t in range(50) if t != 2]
            prefixes = torch.tensor([[2, t] for t in tokens])
            log_p = model(
                speech=batch["speech"][b : b + 1, :n].repeat(49, 1, 1),
                speech_lengths=n.repeat(49),
                decoder_input_ids=prefixes,
            ).logits.log_softmax(-1)
            scores = log_p[0, 0, tokens][:, None] + log_p[:, 1, tokens]
            first, second = divmod(int(scores.argmax()), 49)
            assert found.sequences[b].tolist() == [2, tokens[first], tokens[second]]
            assert found.sequences_scores[b].item() == pytest.approx(scores.max().item() / 2, 1e-4)
    assert torch.equal(found.sequences, model.generate(**inputs, **options))


def test_the_first_token_can_be_forced(make_model, batch):
    model = make_model("m2m_100").eval()
    for inputs in (speech_of(batch), {"input_ids": batch["transcript"]}):
        found = model.generate(
            **inputs, num_beams=2, max_new_tokens=3, length_penalty=0.5, forced_bos_token_id=7
        )
        assert (found[:, 1] == 7).all()


@each_architecture
def test_a_saved_model_comes_back(architecture, make_model, batch, tmp_path):
    model = make_model(architecture, ctc=True).eval()
    model.save_pretrained(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]
    again = SpeechTranslatorModel.from_pretrained(tmp_path)
    assert not again.training
    for kind in range(2):
        a = run_passes(model, **batch, num_speech=1, num_text=1)[kind][0]
        b = run_passes(again, **batch, num_speech=1, num_text=1)[kind][0]
        assert torch.equal(a.logits, b.logits)
    embedding, output = again.get_input_embeddings(), again.get_output_embeddings()
    assert output.weight is embedding.weight
    assert again.config.get_text_config().model_type == architecture
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "horizon_st"
    assert torch.equal(
        model.generate(**speech_of(batch), max_new_tokens=4),
        again.generate(**speech_of(batch), max_new_tokens=4),
    )


def test_forward_gives_the_mean_cross_entropy_of_labels(make_model, batch):
    model = make_model().eval()
    target = batch["target"]
    expected = run_passes(model, **batch, num_speech=1, num_text=0)[0][0].logits
    for padding in (1, -100):
        output = model(**speech_of(batch), labels=target.masked_fill(target == 1, padding))
        assert torch.allclose(output.logits, expected, atol=1e-6)
        nll = -expected.log_softmax(-1).gather(-1, target[..., None])[target != 1]
        assert torch.allclose(output.loss, nll.mean())


def test_half_precision_and_checkpointing_give_usable_gradients(make_model, batch):
    model = make_model("m2m_100").train()
    model.activation_checkpointing_enable()
    assert model.get_encoder().gradient_checkpointing
    with torch.autocast("cpu", torch.bfloat16):
        speech, text = run_passes(model, **batch, num_speech=2, num_text=1)
    sum(x.logits.float().square().mean() for x in (*speech, *text)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("architecture", ["bart", "marian", "mbart"])
def test_sequences_beyond_the_positions_are_refused(architecture, make_model):
    model = make_model(architecture, max_positions=8).eval()
    long, fine = torch.full((1, 9), 5), torch.full((1, 3), 5)
    speech, lengths = torch.zeros(1, 40, 80), torch.tensor([40])
    with pytest.raises(UserError, match=r"speech: expected at most 8 frames.*found 10 frames"):
        model.encode_speech(speech, lengths)
    with pytest.raises(UserError, match=r"text: expected at most 8 tokens.*found 9 tokens"):
        model.encode_text(long)
    with pytest.raises(UserError, match=r"target: expected at most 8 tokens.*max_positions"):
        model(input_ids=fine, labels=long)
    with pytest.raises(UserError, match=r"target: expected at most 8 tokens.*found 9 tokens"):
        model.generate(input_ids=fine, min_new_tokens=9, max_new_tokens=9)


@pytest.mark.parametrize("architecture", ["m2m_100", "t5"])
def test_other_families_have_no_limit(architecture, make_model):
    model = make_model(architecture, max_positions=8).eval()
    options = {"min_new_tokens": 20, "max_new_tokens": 20}
    assert model.encode_text(torch.full((1, 30), 5)).states.isfinite().all()
    assert model.generate(input_ids=torch.full((1, 3), 5), **options).shape[1] > 20


def test_inputs_must_be_of_one_kind(make_model, batch):
    model = make_model()
    speech, lengths, ids = batch["speech"], batch["speech_lengths"], batch["transcript"]
    given = {"speech": speech, "speech_lengths": lengths, "input_ids": ids}
    for names in ([], ["speech"], ["speech", "input_ids"], list(given)):
        found = ", ".join(names) or "none"
        with pytest.raises(UserError, match=rf"or input_ids, found {found}\. Pass speech"):
            model.generate(**{name: given[name] for name in names})


def test_tokens_shift_behind_the_start_symbol(make_model):
    model = make_model()
    assert model.shift_right(torch.tensor([[5, 6, 2], [7, 2, 1]])).tolist() == [
        [2, 5, 6],
        [2, 7, 2],
    ]
