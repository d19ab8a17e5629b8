"""Speech as it is spoken -> text that stays, and a tail that may still change.

While somebody speaks, the open segment is translated anew every second or two. What two such
translations in a row agree on is stable: local agreement (Liu et al. 2020, arXiv 2005.11185,
section 3.2), by tokens and whole words. Later ones have to begin with it. When voice activity ends
the segment, all of it becomes stable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from horizon_st.data.mono import SAMPLING_RATE, Samples
from horizon_st.decoding.configuration import Hypothesis
from horizon_st.errors import UserError
from horizon_st.inference.line_breaks import is_word_border
from horizon_st.inference.runtime import Runtime
from horizon_st.inference.segmenter import Segmenter, SpeechSegment

if TYPE_CHECKING:
    from horizon_st.inference.pipeline import SpeechTranslator

SHORTEST_STEP_S = 0.1


@dataclass(frozen=True)
class LiveText:
    """What is known of a segment by now.

    Attributes:
        number: of the segment, from 0.
        start_s: where its speech begins.
        end_s: where it ends, as far as it has been heard; one that grows too long is cut up to two
            seconds before that.
        stable: what will not change any more; each event's begins with that of the one before.
        unstable: how it goes on at present.
        is_final: whether the segment has ended, and all is stable.
        heard_s: how much of the stream had been heard.
        score: mean natural log probability per token of all of it.
    """

    number: int
    start_s: float
    end_s: float
    stable: str
    unstable: str
    is_final: bool
    heard_s: float
    score: float


class LiveTranslation:
    """Translates one stream that comes block by block; for one thread at a time.

    Args:
        translator: the model; any number of streams may share it.
        every_s: so much more has to be heard before the open segment is translated anew. Less
            lowers the lag and costs more: each time all of the open segment is translated.

    Raises:
        UserError: `every_s` is less than a tenth of a second.
    """

    def __init__(self, translator: SpeechTranslator, *, every_s: float = 2.0) -> None:
        if not every_s >= SHORTEST_STEP_S:
            raise UserError(
                "every_s",
                expected=f"at least {SHORTEST_STEP_S:g} seconds",
                found=every_s,
                remedy="1 to 2 is usual.",
            )
        self._translator = translator
        self._step = round(every_s * SAMPLING_RATE)
        self._segmenter = Segmenter(translator.segmenter, is_live=True)
        self._heard = 0
        self._translate_at = self._step
        self._number = 0
        self._begin_segment()

    def feed(self, samples: Samples) -> list[LiveText]:
        """What the next samples at 16 kHz, all that have come since, make known.

        The open segment is translated once at most, so that whoever is slower than the speech, and
        gives more at a time for it, catches up.
        """
        self._heard += len(samples)
        events = [self._end_segment(ended) for ended in self._segmenter.feed(samples)]
        if self._heard >= self._translate_at:
            self._translate_at = self._heard + self._step
            open_speech = self._segmenter.open_speech
            if open_speech is not None and open_speech.end_s > self._translated_to_s:
                events.append(self._translate_open(open_speech))
        return events

    def finish(self) -> list[LiveText]:
        """What is known once the stream has ended."""
        return [self._end_segment(ended) for ended in self._segmenter.finish()]

    def _begin_segment(self) -> None:
        self._stable: tuple[int, ...] = ()
        self._last: tuple[int, ...] = ()
        self._translated_to_s = 0.0

    def _translate_open(self, speech: SpeechSegment) -> LiveText:
        found = self._decode(speech)
        agreed = _common_prefix(self._last, found.tokens)
        runtime = self._translator.runtime
        while len(agreed) > len(self._stable):
            if all(
                _ends_word(runtime, tokens, len(agreed)) for tokens in (self._last, found.tokens)
            ):
                self._stable = agreed
            agreed = agreed[:-1]
        self._last = found.tokens
        self._translated_to_s = speech.end_s
        stable = runtime.text_of(self._stable)
        return self._event(speech, found, stable, is_final=False)

    def _end_segment(self, speech: SpeechSegment) -> LiveText:
        found = self._decode(speech)
        event = self._event(speech, found, found.text, is_final=True)
        self._begin_segment()
        self._number += 1
        return event

    def _decode(self, speech: SpeechSegment) -> Hypothesis:
        [found] = self._translator.decode([speech.samples], [self._stable])
        return found

    def _event(
        self, speech: SpeechSegment, found: Hypothesis, stable: str, *, is_final: bool
    ) -> LiveText:
        return LiveText(
            self._number,
            speech.start_s,
            speech.end_s,
            stable,
            found.text[len(stable) :],
            is_final,
            self._heard / SAMPLING_RATE,
            found.score,
        )


def live_translation(
    translator: SpeechTranslator, blocks: Iterable[Samples], *, every_s: float
) -> Iterator[LiveText]:
    """What becomes known of a stream at 16 kHz, as its blocks come.

    Raises:
        UserError: as `LiveTranslation`.
    """
    live = LiveTranslation(translator, every_s=every_s)
    for block in blocks:
        yield from live.feed(block)
    yield from live.finish()


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    pairs = zip(one, other, strict=False)
    return tuple(token for token, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _ends_word(runtime: Runtime, tokens: Sequence[int], number: int) -> bool:
    """Whether the first tokens, without an end token, end where a word does."""
    if tokens[number - 1] == runtime.end_id:
        return False
    before = runtime.text_of(tokens[:number])
    after = runtime.text_of(tokens[: number + 1])
    return after.startswith(before) and is_word_border(before, after[len(before) :])
