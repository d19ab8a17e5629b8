"""Beam search with a shrinking batch against the `generate` of transformers, one by one."""

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from horizon_st.data.collate import make_batch
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.generate import translate
from horizon_st.errors import UserError
from horizon_st.model.attention import use_cpu_attention

MAX_TOKENS = 12


class EndAt(LogitsProcessor):
    """Allows nothing but end tokens as the last one."""

    def __init__(self, max_tokens, end_ids):
        self.max_tokens, self.end_ids = max_tokens, torch.tensor(end_ids)

    def __call__(self, input_ids, scores):
        if input_ids.shape[1] < self.max_tokens:
            return scores
        is_other = ~torch.isin(torch.arange(scores.shape[1]), self.end_ids)
        return scores.masked_fill(is_other, -torch.inf)


@pytest.fixture
def batch(tokenizer, frontends, recordings):
    speech = list(map(frontends["fbank"], recordings))
    ids = [str(number) for number in range(len(speech))]
    return make_batch(ids, tokenizer, [None] * len(ids), [""] * len(ids), speech)


def limited(max_tokens, **settings):
    return DecodingConfig(
        max_tokens=max_tokens, max_tokens_base=max_tokens, max_tokens_per_state=0, **settings
    )


def check_against_generate(model, tokenizer, batch, config, end_ids, **replaced):
    """Compares all that is found with what `generate` finds; returns the token ids.

    `replaced`: settings of the model that the reference must not follow.
    """
    found = translate(model, tokenizer, [batch], config)
    sequences = []
    for one, features, length in zip(found, batch.speech, batch.speech_lengths, strict=True):
        sequence = model.generate(
            speech=features[None, :length],
            speech_lengths=length[None],
            num_beams=config.beam_size,
            length_penalty=config.length_penalty,
            no_repeat_ngram_size=config.no_repeat_ngram_size,
            max_new_tokens=config.max_tokens,
            do_sample=False,
            logits_processor=LogitsProcessorList([EndAt(config.max_tokens, end_ids)]),
            **replaced,
        )[0, 1:]
        is_end = torch.isin(sequence, torch.tensor(end_ids))
        expected = sequence[: int(is_end.nonzero()[0]) + 1]
        assert one.text == tokenizer.decode(expected, skip_special_tokens=True).strip()
        assert one.num_tokens == len(expected)
        encoded = model.encode_speech(features[None, :length], length[None])
        with torch.no_grad():
            logits = model.decode(encoded, model.shift_right(expected[None])).logits[0]
        log_probability = logits.log_softmax(-1).gather(1, expected[:, None]).mean()
        assert one.score == pytest.approx(float(log_probability), abs=1e-4)
        sequences.append(expected.tolist())
    return sequences


@pytest.mark.parametrize(
    ("architecture", "end_scale"), [("bart", 4), ("marian", 4), ("m2m_100", 2), ("t5", 4)]
)
@pytest.mark.parametrize(
    "settings",
    [
        {"beam_size": 1},
        {"beam_size": 2, "length_penalty": 0.0},
        {"beam_size": 4, "length_penalty": 1.0},
        {"beam_size": 4, "length_penalty": 1.6, "no_repeat_ngram_size": 2},
    ],
    ids=str,
)
def test_it_finds_what_generate_finds(
    make_model, tokenizer, batch, architecture, end_scale, settings
):
    model = make_model("fbank", architecture).eval()
    end_id = tokenizer.eos_token_id
    with torch.no_grad():  # random weights hardly ever end; now some utterances do early
        model.get_output_embeddings().weight[end_id] *= end_scale
    config = limited(MAX_TOKENS, **settings)
    sequences = check_against_generate(model, tokenizer, batch, config, [end_id])
    lengths = set(map(len, sequences))
    assert len(lengths) > 1, "all end at once: nothing was dropped from the batch on the way"


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize(
    ("brought", "max_tokens", "replaced"),
    [
        ({"use_cache": False}, 8, {}),
        ({"cache_implementation": "static"}, 8, {"cache_implementation": None}),
        ({"eos_token_id": [2]}, 8, {}),
        ({"eos_token_id": [2, 23]}, 8, {}),
        ({"min_new_tokens": 20}, 8, {"min_new_tokens": None}),
        ({"repetition_penalty": 3.0}, 8, {}),
        ({"forced_eos_token_id": 2}, 8, {"forced_eos_token_id": None}),
        ({"forced_bos_token_id": 11}, 8, {}),
        ({"forced_bos_token_id": 11}, 1, {"forced_bos_token_id": None}),
    ],
    ids=str,
)
def test_settings_of_a_pretrained_model(
    make_model, tokenizer, batch, brought, max_tokens, replaced, beam_size
):
    """What its `generation_config.json` may say stays in force, or does no harm."""
    model = make_model().eval()
    assert tokenizer.eos_token_id == 2
    end_ids = brought.get("eos_token_id", [2])
    model.text_model.final_logits_bias[0, end_ids] = 1.5
    model.generation_config.update(**brought)
    config = limited(max_tokens, beam_size=beam_size, length_penalty=2.0)
    sequences = check_against_generate(model, tokenizer, batch, config, end_ids, **replaced)
    assert {sequence[-1] for sequence in sequences} == set(end_ids)
    if max_tokens > 1:
        firsts = {sequence[0] for sequence in sequences}
        assert (firsts == {11}) == ("forced_bos_token_id" in brought)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_scores_that_are_not_finite_are_refused(make_model, tokenizer, batch, value):
    model = make_model()
    with torch.no_grad():
        model.text_model.final_logits_bias[0, 5] = value
    message = "scores of the model: expected finite numbers, found NaN or infinity"
    with pytest.raises(UserError, match=message):
        translate(model, tokenizer, [batch], limited(4, beam_size=2))


@pytest.mark.parametrize("architecture", ["bart", "marian", "m2m_100", "t5"])
@pytest.mark.parametrize("attention", ["sdpa", "cpu", "eager"])
def test_beams_share_the_keys_of_encoder_states(
    make_model, tokenizer, batch, architecture, attention
):
    model = make_model("fbank", architecture).eval()
    expected = translate(model, tokenizer, [batch], limited(6, beam_size=3))
    if attention == "cpu":
        use_cpu_attention(model)
    else:
        model.set_attn_implementation(attention)
    config = model.text_model.get_decoder().config
    name = config._attn_implementation
    rows = []

    def watch(module, _, arguments, output):
        cross = arguments["past_key_values"].cross_attention_cache
        rows.append((len(arguments["decoder_input_ids"]), len(cross.layers[0].keys)))

    model.register_forward_hook(watch, with_kwargs=True)
    found = translate(model, tokenizer, [batch], limited(6, beam_size=3))
    assert [h.text for h in found] == [h.text for h in expected]
    assert [h.score for h in found] == pytest.approx([h.score for h in expected], abs=1e-4)
    _, *later = rows
    num_copies = 3 if attention == "eager" else 1
    assert all(num_keys * 3 == num_queries * num_copies for num_queries, num_keys in later)
    assert config._attn_implementation == name


@pytest.mark.parametrize("settings", [{"beam_size": 1}, {"beam_size": 4}], ids=str)
def test_a_prefix_is_kept_as_generate_keeps_allowed_tokens(make_model, tokenizer, batch, settings):
    model = make_model().eval()
    end_id = tokenizer.eos_token_id
    with torch.no_grad():
        model.get_output_embeddings().weight[end_id] *= 4
    config = limited(MAX_TOKENS, **settings)
    prefixes = {"0": [7], "2": [9, 4, 11, 5], "3": [12, end_id], "6": [*range(4, 4 + MAX_TOKENS)]}
    found = translate(model, tokenizer, [batch], config, prefixes=prefixes)
    free = translate(model, tokenizer, [batch], config)
    everything = [*range(len(tokenizer))]
    for number, one in enumerate(found):
        prefix = prefixes.get(str(number), [])
        length = batch.speech_lengths[number]
        expected = model.generate(
            speech=batch.speech[number, None, :length],
            speech_lengths=length[None],
            num_beams=config.beam_size,
            max_new_tokens=MAX_TOKENS,
            do_sample=False,
            logits_processor=LogitsProcessorList([EndAt(MAX_TOKENS, [end_id])]),
            prefix_allowed_tokens_fn=lambda _, before, prefix=prefix: (
                prefix[len(before) - 1 : len(before)] or everything
            ),
        )[0, 1:]
        assert [*one.tokens[: len(prefix)]] == prefix  # all of it, however long
        if len(prefix) < MAX_TOKENS:
            assert [*one.tokens] == expected[: len(one.tokens)].tolist()
        assert one.num_tokens == len(one.tokens) <= max(MAX_TOKENS, len(prefix) + 1)
    assert [one.tokens for one in found if one.id not in prefixes] == [
        one.tokens for one in free if one.id not in prefixes
    ]
    assert all(found[int(name)].tokens != free[int(name)].tokens for name in prefixes)
