"""Beam search: independent of batching, scored by the model itself, limited per utterance."""

import itertools
import math
import re
from dataclasses import replace

import pytest
import torch

from horizon_st.data.collate import make_batch
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.generate import translate
from horizon_st.errors import UserError

SEARCH = DecodingConfig(beam_size=3, max_tokens=16, max_tokens_base=3, max_tokens_per_state=0.25)
SOURCES = ["the cat", "il pleut", "the bed sleeps on the cat", "le lit", "chat", "dort sur", "des"]


@pytest.fixture
def make_batches(tokenizer, frontends, recordings):
    def make(size, encoder="fbank", sources=SOURCES):
        ids = [f"utt{number}" for number in range(len(recordings))]
        rows = list(zip(ids, sources, map(frontends[encoder], recordings), strict=True))
        for chosen in (rows[start : start + size] for start in range(0, len(rows), size)):
            ids, texts, speech = (list(column) for column in zip(*chosen, strict=True))
            yield make_batch(ids, tokenizer, texts, [""] * len(ids), speech)

    return make


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize(
    ("encoder", "modality", "architecture"),
    [
        ("fbank", "speech", "bart"),
        ("fbank", "text", "bart"),
        ("hubert-group", "speech", "bart"),
        ("fbank", "speech", "marian"),
        ("fbank", "speech", "t5"),
    ],
)
def test_batching_does_not_change_translations(
    make_model, tokenizer, make_batches, encoder, modality, architecture, beam_size
):
    model = make_model(encoder, architecture)
    config = DecodingConfig(
        beam_size=beam_size, max_tokens=16, max_tokens_base=3, max_tokens_per_state=0.25
    )
    alone, three, together = (
        translate(model, tokenizer, make_batches(size, encoder), config, modality=modality)
        for size in (1, 3, 7)
    )
    assert [hypothesis.id for hypothesis in together] == [f"utt{number}" for number in range(7)]
    assert len({hypothesis.text for hypothesis in alone}) > 1, "the model ignores its input"
    for other in (three, together):
        assert [(h.text, h.num_tokens) for h in other] == [(h.text, h.num_tokens) for h in alone]
        assert [h.score for h in other] == pytest.approx([h.score for h in alone], abs=1e-4)


def test_a_wide_beam_finds_the_best_of_all_sequences(make_model, tokenizer, make_batches):
    """With as many beams as sequences, beam search is exhaustive search."""
    model = make_model().eval()
    num_tokens = 3
    eos = tokenizer.eos_token_id
    symbols = [8, 11, 15, 20]
    model.text_model.final_logits_bias.fill_(-1e4)
    model.text_model.final_logits_bias[0, [*symbols, eos]] = 0
    config = DecodingConfig(
        beam_size=len(symbols) ** 2,
        max_tokens=num_tokens,
        max_tokens_base=num_tokens,
        max_tokens_per_state=0,
        length_penalty=0.0,
    )
    candidates = [
        [*prefix, eos]
        for length in range(num_tokens)
        for prefix in itertools.product(symbols, repeat=length)
    ]
    for batch in itertools.islice(make_batches(1), 3):
        found = translate(model, tokenizer, [batch], config)[0]
        encoded = model.encode_speech(batch.speech, batch.speech_lengths)
        totals = []
        with torch.no_grad():
            for candidate in candidates:
                target = torch.tensor([candidate])
                logits = model.decode(encoded, model.shift_right(target)).logits
                totals.append(float(logits.log_softmax(-1).gather(2, target[..., None]).sum()))
        best = max(range(len(candidates)), key=totals.__getitem__)
        assert found.num_tokens == len(candidates[best])
        assert found.text == tokenizer.decode(candidates[best], skip_special_tokens=True).strip()
        assert found.score == pytest.approx(totals[best] / found.num_tokens, abs=1e-4)


def test_every_utterance_has_a_limit_of_its_own(make_model, tokenizer, make_batches):
    model = make_model().eval()
    with torch.no_grad():
        model.text_model.final_logits_bias[0, tokenizer.eos_token_id] = -100  # never ends by itself
    encoded = [model.encode_speech(b.speech, b.speech_lengths) for b in make_batches(1)]
    states = [int(one.mask.sum()) for one in encoded]
    hypotheses = translate(model, tokenizer, make_batches(7), SEARCH)
    assert [h.num_tokens for h in hypotheses] == [min(3 + int(0.25 * n), 16) for n in states]
    assert len(set(states)) > 3


def test_positions_of_the_text_model_limit_the_output(make_model, tokenizer, make_batches):
    model = make_model(architecture="marian", max_positions=48).eval()
    with torch.no_grad():
        model.text_model.final_logits_bias[0, tokenizer.eos_token_id] = -100
    config = DecodingConfig(beam_size=2, max_tokens=100, max_tokens_base=100)
    hypotheses = translate(model, tokenizer, make_batches(7), config)
    assert {h.num_tokens for h in hypotheses} == {48}


def test_ngrams_do_not_repeat_when_forbidden(make_model, tokenizer, make_batches):
    model = make_model().eval()
    with torch.no_grad():
        model.text_model.final_logits_bias[0, tokenizer.eos_token_id] = -100
    longest = {"beam_size": 2, "max_tokens": 16, "max_tokens_base": 16}
    free = translate(model, tokenizer, make_batches(7), DecodingConfig(**longest))
    bound = translate(
        model, tokenizer, make_batches(7), DecodingConfig(no_repeat_ngram_size=2, **longest)
    )

    def repeats(text):
        pairs = list(itertools.pairwise(text))
        return len(pairs) - len(set(pairs))

    assert sum(repeats(h.text) for h in bound) < sum(repeats(h.text) for h in free)


def test_the_model_is_left_as_it_was(make_model, tokenizer, make_batches):
    model = make_model()
    model.train()
    model.subsampler.eval()
    before = {name: module.training for name, module in model.named_modules()}
    first = translate(model, tokenizer, make_batches(7), SEARCH)
    assert translate(model, tokenizer, make_batches(7), SEARCH) == first, "dropout is still on"
    assert {name: module.training for name, module in model.named_modules()} == before
    with pytest.raises(UserError), torch.autocast("cpu", torch.bfloat16):
        translate(
            model,
            tokenizer,
            make_batches(7, sources=[*SOURCES[:-1], None]),
            SEARCH,
            modality="text",
        )
    assert {name: module.training for name, module in model.named_modules()} == before


def test_autocast_around_it_changes_nothing(make_model, tokenizer, make_batches):
    model = make_model()
    expected = translate(model, tokenizer, make_batches(7), SEARCH)
    with torch.autocast("cpu", torch.bfloat16):
        assert translate(model, tokenizer, make_batches(7), SEARCH) == expected


def test_bf16_is_within_its_rounding_of_fp32(make_model, tokenizer, make_batches):
    """Every matrix product is computed in bf16; the features are not."""
    model = make_model()
    kinds = set()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda module, inputs, output: kinds.add(output.dtype))
    exact = translate(model, tokenizer, make_batches(7), SEARCH)
    assert kinds == {torch.float32}
    kinds.clear()
    rounded = translate(model, tokenizer, make_batches(7), replace(SEARCH, precision="bf16"))
    assert kinds == {torch.bfloat16}
    alike = [(a, b) for a, b in zip(exact, rounded, strict=True) if a.text == b.text]
    assert len(alike) > len(exact) / 2
    assert [b.score for a, b in alike] == pytest.approx([a.score for a, b in alike], rel=0.02)


@pytest.mark.parametrize(("architecture", "max_positions"), [("m2m_100", 8), ("bart", 128)])
def test_training_goes_on_after_decoding(
    make_model, tokenizer, make_batches, architecture, max_positions
):
    model = make_model(architecture=architecture, max_positions=max_positions)
    translate(model, tokenizer, make_batches(7), SEARCH)
    # Data-parallel training writes into buffers, which inference tensors refuse.
    assert not any(buffer.is_inference() for buffer in model.buffers())
    batch = next(make_batches(7))
    model.train()
    model(
        speech=batch.speech, speech_lengths=batch.speech_lengths, labels=batch.target
    ).loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_progress_is_told_after_every_batch(make_model, tokenizer, make_batches):
    counts = []
    translate(make_model(), tokenizer, make_batches(3), SEARCH, on_decoded=counts.append)
    assert counts == [3, 3, 1]


def test_a_missing_transcript_is_named(make_model, tokenizer, make_batches):
    sources = [*SOURCES[:-1], None]
    with pytest.raises(UserError, match="utterance utt6: expected a transcript to translate from"):
        translate(
            make_model(), tokenizer, make_batches(7, sources=sources), SEARCH, modality="text"
        )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("beam_size", 0, "decoding.beam_size: expected at least 1, found 0. The default is 5."),
        ("max_tokens", 0, "decoding.max_tokens: expected at least 1"),
        ("max_tokens_base", 0, "decoding.max_tokens_base: expected at least 1"),
        ("max_tokens_per_state", -1, "decoding.max_tokens_per_state: expected at least 0"),
        ("max_tokens_per_state", math.inf, "decoding.max_tokens_per_state: expected a finite"),
        (
            "length_penalty",
            math.nan,
            "decoding.length_penalty: expected a finite number, found nan",
        ),
        ("length_penalty", -math.inf, "decoding.length_penalty: expected a finite number"),
        ("no_repeat_ngram_size", 1, "decoding.no_repeat_ngram_size: expected 0, or at least 2"),
        ("no_repeat_ngram_size", -1, "decoding.no_repeat_ngram_size: expected at least 0"),
        ("batch_size", 0, "decoding.batch_size: expected at least 1"),
        ("precision", "fp16", "decoding.precision: expected one of fp32, bf16, found fp16"),
    ],
)
def test_settings_out_of_range_are_refused(name, value, message):
    with pytest.raises(UserError, match=re.escape(message)):
        DecodingConfig(**{name: value})
