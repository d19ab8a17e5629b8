"""Beam search with a shrinking batch against the `generate` of transformers, one by one."""

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from horizon_st.data.collate import make_batch
from horizon_st.decoding.generate import DecodingConfig, translate

MAX_TOKENS = 12


class EndAt(LogitsProcessor):
    """Allows nothing but the end token as the last one."""

    def __init__(self, max_tokens, eos_id):
        self.max_tokens, self.eos_id = max_tokens, eos_id

    def __call__(self, input_ids, scores):
        if input_ids.shape[1] < self.max_tokens:
            return scores
        is_other = torch.arange(scores.shape[1]) != self.eos_id
        return scores.masked_fill(is_other, -torch.inf)


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
    make_model, tokenizer, frontends, recordings, architecture, end_scale, settings
):
    model = make_model("fbank", architecture).eval()
    with torch.no_grad():  # random weights hardly ever end; now some utterances do early
        model.get_output_embeddings().weight[tokenizer.eos_token_id] *= end_scale
    speech = list(map(frontends["fbank"], recordings))
    ids = [str(number) for number in range(len(speech))]
    batch = make_batch(ids, tokenizer, [None] * len(ids), [""] * len(ids), speech)
    config = DecodingConfig(
        max_tokens=MAX_TOKENS, max_tokens_base=MAX_TOKENS, max_tokens_per_state=0, **settings
    )
    found = translate(model, tokenizer, [batch], config)
    lengths = set()
    for one, features, length in zip(found, batch.speech, batch.speech_lengths, strict=True):
        sequence = model.generate(
            speech=features[None, :length],
            speech_lengths=length[None],
            num_beams=config.beam_size,
            length_penalty=config.length_penalty,
            no_repeat_ngram_size=config.no_repeat_ngram_size,
            max_new_tokens=MAX_TOKENS,
            do_sample=False,
            logits_processor=LogitsProcessorList([EndAt(MAX_TOKENS, tokenizer.eos_token_id)]),
        )[0, 1:]
        expected = sequence[: int((sequence == tokenizer.eos_token_id).nonzero()[0]) + 1]
        assert one.text == tokenizer.decode(expected, skip_special_tokens=True).strip()
        assert one.num_tokens == len(expected)
        encoded = model.encode_speech(features[None, :length], length[None])
        with torch.no_grad():
            logits = model.decode(encoded, model.shift_right(expected[None])).logits[0]
        log_probability = logits.log_softmax(-1).gather(1, expected[:, None]).mean()
        assert one.score == pytest.approx(float(log_probability), abs=1e-4)
        lengths.add(len(expected))
    assert len(lengths) > 1, "all end at once: nothing was dropped from the batch on the way"
