"""Live speech: text that is stable stays, agrees with two translations in a row, and ends soon."""

from itertools import groupby, pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from horizon_st.data.text import train_tokenizer
from horizon_st.decoding.configuration import DecodingConfig, Hypothesis
from horizon_st.errors import UserError
from horizon_st.inference.live import LiveTranslation
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.inference.segmenter import Segmenter, SegmenterConfig

WORDS = ["uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez"]


@pytest.fixture(scope="module")
def translator(model_folder):
    search = DecodingConfig(beam_size=2, max_tokens=12)
    return SpeechTranslator.from_pretrained(model_folder, config=search)


def blocks_of(samples, block_s=0.1):
    size = int(block_s * 16_000)
    return [samples[i : i + size] for i in range(0, len(samples), size)]


@pytest.fixture(scope="module")
def talk(speech):
    return np.concatenate([speech(7), np.zeros(24_000, np.float32), speech(3, start_s=30)])


@pytest.fixture(scope="module")
def events(translator, talk):
    return [*translator.translate_stream(blocks_of(talk), sampling_rate=16_000, every_s=0.5)]


def test_what_is_stable_stays(events):
    numbers = [event.number for event in events]
    assert numbers == sorted(numbers)
    for _, group in groupby(events, key=lambda event: event.number):
        group = [*group]
        assert [event.is_final for event in group] == [False] * (len(group) - 1) + [True]
        for before, after in pairwise(group):
            assert after.stable.startswith(before.stable)
            assert after.start_s == before.start_s
            assert after.end_s >= before.end_s - 2.1 * after.is_final
            assert after.heard_s >= before.heard_s
        assert group[-1].unstable == ""
    assert any(event.stable and not event.is_final for event in events), "nothing was agreed on"


def test_segments_are_those_of_voice_activity_and_end_soon(events, translator, talk):
    segmenter = Segmenter(translator.segmenter, is_live=True)
    expected = [*segmenter.feed(talk), *segmenter.finish()]
    final = [event for event in events if event.is_final]
    assert [(event.start_s, event.end_s) for event in final] == [
        (segment.start_s, segment.end_s) for segment in expected
    ]
    pause_s = translator.segmenter.longest_pause_s
    assert all(event.heard_s - event.end_s < pause_s + 2.2 for event in final)


def test_the_rate_and_shape_of_blocks_do_not_matter(translator, talk, events):
    stereo = np.stack([talk, talk])
    blocks = [stereo[:, i : i + 1_600] for i in range(0, stereo.shape[1], 1_600)]
    again = [*translator.translate_stream(blocks, sampling_rate=16_000, every_s=0.5)]
    assert again == events


def test_a_final_text_begins_with_all_that_was_stable(translator, speech):
    whole = speech(4)
    [found] = translator.decode([whole])
    stable = (found.tokens[:-1] * 12)[:20]
    config = DecodingConfig(beam_size=2, max_tokens=10)  # fewer than that
    live = SpeechTranslator(translator.runtime, config)
    [shorter] = live.decode([whole[:16_000]], [stable])
    assert shorter.tokens[:20] == stable


def test_whoever_gives_much_at_once_gets_one_translation_of_it(translator, speech):
    live = LiveTranslation(translator, every_s=0.5)
    live.feed(speech(0.4))
    caught_up = live.feed(speech(4.4)[6_400:])
    assert len([event for event in caught_up if not event.is_final]) == 1
    assert caught_up[-1].heard_s == pytest.approx(4.4)


def test_silence_says_nothing(translator):
    silence = blocks_of(np.zeros(16_000 * 5, np.float32))
    assert [*translator.translate_stream(silence, sampling_rate=16_000)] == []


class Scripted:
    """A translator whose successive translations are given."""

    def __init__(self, texts):
        self._texts = iter(texts)
        sentences = [" ".join(WORDS), "今日は 天気", "می\u200cخواهم می\u200cروم"]
        tokenizer = train_tokenizer(sentences * 20, vocab_size=36)
        self._tokenizer = tokenizer
        self.runtime = SimpleNamespace(end_id=tokenizer.eos_token_id, text_of=self._text_of)
        self.segmenter = SegmenterConfig()
        self.prefixes = []

    def decode(self, samples, prefixes):
        text = next(self._texts)
        self.prefixes.append(self._tokenizer.decode(prefixes[0]))
        return [Hypothesis("0", text, -0.5, tuple(self._tokenizer(text).input_ids))]

    def _text_of(self, tokens):
        return self._tokenizer.decode([*tokens], skip_special_tokens=True).strip()


@pytest.mark.parametrize(
    ("texts", "stable"),
    [
        (["uno dos", "uno dos tres", "uno dos tres cuatro"], ["", "uno dos", "uno dos tres"]),
        (["uno dos", "dos tres", "dos tres"], ["", "", "dos tres"]),
        # "ci" is common to both, but no word.
        (["uno cinco", "uno ci", "uno ci"], ["", "uno", "uno ci"]),
        (["uno dos tres", "uno dos", "uno dos"], ["", "uno dos", "uno dos"]),
        (["今日は天", "今日は天気", "今日は天"], ["", "今日は天", "今日は天"]),
        # A joiner is in the middle of a word.
        (["می\u200cخواهم", "می\u200cروم", "می"], ["", "", ""]),
    ],
)
def test_two_in_a_row_agree_on_what_becomes_stable(speech, texts, stable):
    scripted = Scripted([*texts, "uno dos tres cuatro"])
    live = LiveTranslation(scripted, every_s=1.0)
    events = [event for i in range(3) for event in live.feed(speech(1, start_s=2 + i))]
    assert [event.stable for event in events] == stable
    assert scripted.prefixes == ["", *stable[:2]]


def test_a_step_that_is_too_short_is_refused(translator):
    with pytest.raises(UserError, match=r"every_s: expected at least 0\.1 seconds, found 0\.01"):
        [*translator.translate_stream([], sampling_rate=16_000, every_s=0.01)]
