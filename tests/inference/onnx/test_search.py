"""The search in NumPy finds what the one in PyTorch does, from the same log probabilities."""

import numpy as np
import pytest
import torch

from horizon_st.data.collate import make_batch
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.generate import translate
from horizon_st.decoding.trained import load_trained_model
from horizon_st.errors import UserError
from horizon_st.inference.onnx.describe import describe
from horizon_st.inference.onnx.search import Search, TokenRules
from horizon_st.model.outputs import Encoded

RULES = TokenRules(start=2, end=[2], never=[], never_first=[], first=None)


@pytest.fixture(scope="module")
def trained(model_folder):
    """Random weights, whose translations end early now and then."""
    trained = load_trained_model(model_folder, device="cpu")
    with torch.no_grad():
        trained.model.get_output_embeddings().weight[2] *= 4
    return trained


@pytest.fixture(scope="module")
def batch(trained, speech):
    recordings = [speech(length_s, start_s=5 * i) for i, length_s in enumerate((0.7, 2, 1.3, 4, 3))]
    features = [trained.frontend(samples) for samples in recordings]
    ids = [str(number) for number in range(len(features))]
    return make_batch(ids, trained.tokenizer, [None] * len(ids), [""] * len(ids), features)


def find(trained, batch, config, prefixes=None):
    """What the search in NumPy finds with PyTorch's log probabilities of whole prefixes."""
    model = trained.model
    encoded = model.encode_speech(batch.speech, batch.speech_lengths)
    settings, _ = describe(trained)
    begun = [(prefixes or {}).get(identity, ()) for identity in batch.ids]
    limits = [
        config.most_tokens(number, model.max_positions, len(prefix))
        for number, prefix in zip(encoded.mask.sum(1).tolist(), begun, strict=True)
    ]
    search = Search(
        limits,
        settings.rules,
        num_beams=config.beam_size,
        length_penalty=config.length_penalty,
        no_repeat_ngram_size=config.no_repeat_ngram_size,
        prefixes=prefixes and begun,
    )
    before = np.zeros((len(limits), config.beam_size, 0), np.int64)
    num_rows = []
    while search.is_open.any():
        before, encoded = before[search.is_open], kept(encoded, search.is_open)
        search.drop_closed()
        before = np.concatenate([before, search.last_tokens[..., None]], axis=2)
        num_rows.append(len(before))
        beams = Encoded(
            encoded.states.repeat_interleave(config.beam_size, 0),
            encoded.mask.repeat_interleave(config.beam_size, 0),
        )
        with torch.no_grad():
            logits = model.decode(beams, torch.from_numpy(before).flatten(0, 1)).logits[:, -1]
        parents = search.advance(logits.log_softmax(-1).unflatten(0, before.shape[:2]).numpy())
        before = np.take_along_axis(before, parents[..., None], axis=1)
    assert num_rows[-1] < num_rows[0] or len(set(limits)) == 1, "none was done before the others"
    return search.found


def kept(encoded, is_open):
    rows = torch.from_numpy(is_open)
    return Encoded(encoded.states[rows], encoded.mask[rows])


def check(trained, batch, config, prefixes=None):
    """Compares both searches; returns the tokens."""
    expected = translate(trained.model, trained.tokenizer, [batch], config, prefixes=prefixes)
    found = find(trained, batch, config, prefixes)
    assert [one.tokens for one in found] == [one.tokens for one in expected]
    scores = [one.log_probability / len(one.tokens) for one in found]
    assert scores == pytest.approx([one.score for one in expected], abs=1e-4)
    return [one.tokens for one in found]


@pytest.mark.parametrize(
    "settings",
    [
        {"beam_size": 1},
        {"beam_size": 2, "length_penalty": 0.0},
        {"beam_size": 4, "max_tokens_base": 3, "max_tokens_per_state": 0.3},
        {"beam_size": 5, "length_penalty": 1.6, "no_repeat_ngram_size": 2},
        {"beam_size": 3, "no_repeat_ngram_size": 3, "max_tokens": 30},
    ],
    ids=str,
)
def test_it_finds_what_the_search_in_pytorch_finds(trained, batch, settings):
    tokens = check(trained, batch, DecodingConfig(**{"max_tokens": 12} | settings))
    assert len(set(map(len, tokens))) > 1


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize(
    ("brought", "max_tokens"),
    [
        ({"eos_token_id": [2, 23]}, 8),
        ({"forced_bos_token_id": 11}, 8),
        ({"forced_bos_token_id": 11}, 1),
        ({"suppress_tokens": [5, 9, 14], "begin_suppress_tokens": [2]}, 8),
        ({"bad_words_ids": [[7], [8], [19]]}, 8),
        ({"forced_bos_token_id": 11, "begin_suppress_tokens": [2, 12]}, 8),
    ],
    ids=str,
)
def test_rules_of_a_pretrained_model(model_folder, batch, brought, max_tokens, beam_size):
    trained = load_trained_model(model_folder, device="cpu")
    trained.model.text_model.final_logits_bias[0, brought.get("eos_token_id", [2])] = 1.5
    trained.model.generation_config.update(**brought)
    config = DecodingConfig(max_tokens=max_tokens, beam_size=beam_size, length_penalty=2.0)
    tokens = check(trained, batch, config)
    if "forced_bos_token_id" in brought and max_tokens > 1:
        assert {row[0] for row in tokens} == {11}


@pytest.mark.parametrize("beam_size", [1, 4])
def test_prefixes_are_kept(trained, batch, beam_size):
    prefixes = {"0": [7], "2": [9, 4, 11, 5], "3": [12, 2], "4": [*range(4, 20)]}
    tokens = check(trained, batch, DecodingConfig(max_tokens=12, beam_size=beam_size), prefixes)
    for name, prefix in prefixes.items():
        assert [*tokens[int(name)][: len(prefix)]] == prefix


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(value):
    search = Search([4, 4], RULES, num_beams=2, length_penalty=1.0)
    log_probabilities = np.full((2, 2, 9), -2.2, np.float32)
    log_probabilities[1, 0] = value
    with pytest.raises(UserError, match="scores of the model: expected finite numbers"):
        search.advance(log_probabilities)


@pytest.mark.parametrize(
    ("brought", "message"),
    [
        ({"repetition_penalty": 1.5}, r"repetition_penalty: expected nothing.* found 1\.5"),
        ({"bad_words_ids": [[4, 5]]}, r"bad_words_ids: expected nothing.* found \[\[4, 5\]\]"),
    ],
    ids=["repetition", "phrase"],
)
def test_rules_that_it_does_not_know_are_refused(model_folder, brought, message):
    trained = load_trained_model(model_folder, device="cpu")
    trained.model.generation_config.update(**brought)
    with pytest.raises(UserError, match=message):
        describe(trained)
