"""A trained model as something to translate recordings with, from Python or the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, groupby, islice, repeat
from pathlib import Path
from typing import TypeVar, cast, overload

from horizon_st.data.mono import SAMPLING_RATE, Samples, SupportsArray, to_mono
from horizon_st.decoding.configuration import DecodingConfig, Hypothesis
from horizon_st.inference.line_breaks import join_texts
from horizon_st.inference.live import LiveText, live_translation
from horizon_st.inference.recordings import Audio, blocks_of, name_of
from horizon_st.inference.runtime import Runtime, RuntimeName, load_runtime
from horizon_st.inference.segmenter import (
    SHORTEST_CUT_S,
    SegmenterConfig,
    SpeechSegment,
    speech_segments,
)
from horizon_st.inference.utterance import read_utterance

_WINDOW_BATCHES = 4
"""Held at once, so that segments of similar length share a batch ..."""

_FIRST_WINDOWS_BATCHES = (1, 2)
"""... but fewer in the beginning, so that the first text comes soon."""

_GRAIN_SAMPLES = SAMPLING_RATE // 100
_Key = TypeVar("_Key")


@dataclass(frozen=True)
class TranslatedSegment:
    """The translation of a stretch of speech.

    Attributes:
        start_s: where the speech begins in the recording.
        end_s: where it ends.
        score: mean natural log probability per token.
        num_tokens: of the translation, end token included.
    """

    start_s: float
    end_s: float
    text: str
    score: float
    num_tokens: int

    @property
    def confidence(self) -> float:
        """The geometric mean of the probabilities of its tokens, 0 to 1."""
        return math.exp(min(self.score, 0.0))


@dataclass(frozen=True)
class Translation:
    """The translation of one recording.

    Attributes:
        text: of all segments, with a space between them where the script has spaces.
        source: the file's path or name, "array" or "audio stream".
        score: mean natural log probability per token, for ranking and filtering; 0 without speech.
        duration_s: of the recording.
        segments: in their order; one that spans it all where it was translated as one utterance.
    """

    text: str
    source: str
    score: float
    duration_s: float
    segments: tuple[TranslatedSegment, ...]


class SpeechTranslator:
    """Translates recordings of any length.

    Threads may share a translator: batches are decoded one after the other.

    Args:
        runtime: the model and what computes it; see `from_pretrained`.
        config: the search.
        segmenter: how long recordings are cut.

    Raises:
        UserError: the runtime lacks the precision of the search.
    """

    def __init__(
        self,
        runtime: Runtime,
        config: DecodingConfig | None = None,
        *,
        segmenter: SegmenterConfig | None = None,
    ) -> None:
        self.runtime = runtime
        self.config = config or DecodingConfig()
        self._asked_segmenter = segmenter or SegmenterConfig()
        runtime.check(self.config)

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path,
        *,
        config: DecodingConfig | None = None,
        segmenter: SegmenterConfig | None = None,
        runtime: RuntimeName | None = None,
        device: str | None = None,
        num_threads: int | None = None,
    ) -> SpeechTranslator:
        """A translator from a model folder or the id of a model on the Hugging Face hub.

        Args:
            folder_or_hub_id: a trained model, or one exported for ONNX Runtime.
            config: the search.
            segmenter: how long recordings are cut.
            runtime: what has to run it; None takes what the model is made for.
            device: of a trained model, as PyTorch names it; a GPU where there is one by default.
            num_threads: of an exported model; all cores that this process may use by default.

        Raises:
            UserError: there is no such model, it is incomplete, its weights cannot be read, it is
                made for another runtime, or that lacks the precision of the search.
        """
        loaded = load_runtime(
            folder_or_hub_id, runtime=runtime, device=device, num_threads=num_threads
        )
        return cls(loaded, config, segmenter=segmenter)

    @cached_property
    def segmenter(self) -> SegmenterConfig:
        """How recordings are cut: no segment longer than what the model has learnt or can take."""
        asked, longest_training_s = self._asked_segmenter, self.runtime.longest_training_s
        longest_s = min(asked.longest_s, max(longest_training_s or math.inf, SHORTEST_CUT_S))
        num_grains = int(longest_s * SAMPLING_RATE) // _GRAIN_SAMPLES
        least, most = 1, num_grains
        while least < most:  # the largest number of grains that the model can take
            middle = (least + most + 1) // 2
            fits = self.runtime.can_take(middle * _GRAIN_SAMPLES)
            least, most = (middle, most) if fits else (least, middle - 1)
        if least < num_grains:
            longest_s = least * _GRAIN_SAMPLES / SAMPLING_RATE
        return replace(asked, longest_s=longest_s)

    @overload
    def translate(  # type: ignore[overload-overlap]  # a str is also a Sequence
        self, audio: Audio, *, sampling_rate: int | None = None, one_utterance: bool = False
    ) -> Translation: ...

    @overload
    def translate(
        self,
        audio: Sequence[Audio],
        *,
        sampling_rate: int | None = None,
        one_utterance: bool = False,
    ) -> list[Translation]: ...

    def translate(
        self,
        audio: Audio | Sequence[Audio],
        *,
        sampling_rate: int | None = None,
        one_utterance: bool = False,
    ) -> Translation | list[Translation]:
        """The translation of a recording, or of each recording of a list or tuple, in its order.

        Each is cut as `translate_recording` does, so that pauses are left out and a silent one has
        no text.

        Args:
            audio: files of any rate and channel count, open binary files, or arrays of samples
                `[N]` or `[channels, N]`, of numpy's or what turns into one, such as a tensor,
                floats at full scale 1 or integers at their own, or generators of such arrays.
            sampling_rate: of the arrays in Hz; files carry their own.
            one_utterance: never cut, nor look for speech: each is an utterance as those of the
                training, with hardly a pause around it. Far beyond their length there is a
                LongRecordingWarning.

        Raises:
            UserError: a file is missing or unreadable, what should be an array is none, has no
                samples, an unusable shape or no sampling rate, or a recording that is not to be cut
                is too long for the model.
        """
        if isinstance(audio, list | tuple):
            return list(self._translate_all(audio, sampling_rate, one_utterance))
        recording = cast("Audio", audio)
        return next(self._translate_all([recording], sampling_rate, one_utterance))

    def translate_recording(
        self, audio: Audio, *, sampling_rate: int | None = None
    ) -> Iterator[TranslatedSegment]:
        """The translated speech of a recording of any length, some segments at a time.

        Memory does not grow with the recording. A silent one gives nothing.

        Args:
            audio: as `translate` takes one.
            sampling_rate: of arrays in Hz.

        Raises:
            UserError: as `translate`.
        """
        pieces = ((None, segment) for segment in self.cut(audio, sampling_rate=sampling_rate))
        for _, segment in self.translate_pieces(pieces):
            if segment is not None:
                yield segment

    def cut(self, audio: Audio, *, sampling_rate: int | None = None) -> Iterator[SpeechSegment]:
        """The stretches of speech of a recording, with their samples, ready for the model."""
        return speech_segments(blocks_of(audio, sampling_rate), self.segmenter)

    def translate_stream(
        self,
        blocks: Iterable[SupportsArray],
        *,
        sampling_rate: int,
        every_s: float = 2.0,
    ) -> Iterator[LiveText]:
        """What becomes known of live speech as it comes, from a microphone or a socket.

        Events tell of one segment after the other: text that stays, and a tail that may change,
        about every `every_s` seconds while somebody speaks, and once when the segment has ended.
        See `LiveTranslation` for a stream that is fed from outside.

        Args:
            blocks: samples `[N]` or `[channels, N]` in the order of time; tenths of a second.
            sampling_rate: of the blocks in Hz.
            every_s: how often the open segment is translated anew.

        Raises:
            UserError: a block has an unusable shape or values, or a setting is out of range.
        """
        return live_translation(self, to_mono(blocks, sampling_rate), every_s=every_s)

    def translate_pieces(
        self,
        pieces: Iterable[tuple[_Key, SpeechSegment | None]],
        *,
        on_translated: Callable[[_Key, TranslatedSegment], None] | None = None,
    ) -> Iterator[tuple[_Key, TranslatedSegment | None]]:
        """The translation of each (key, segment), in their order, of any number of recordings.

        They are read some batches ahead, and those of similar length are decoded together.

        Args:
            pieces: a segment of None comes back in its place.
            on_translated: is told of each translation as soon as it is there, before its turn.
        """
        stream = iter(pieces)
        for num_batches in chain(_FIRST_WINDOWS_BATCHES, repeat(_WINDOW_BATCHES)):
            window = list(islice(stream, num_batches * self.config.batch_size))
            if not window:
                return
            speech = [(key, segment) for key, segment in window if segment is not None]
            translated: dict[int, TranslatedSegment] = {}
            for number, found in self._translate_batches([segment for _, segment in speech]):
                translated[number] = found
                if on_translated is not None:
                    on_translated(speech[number][0], found)
            in_order = (translated[number] for number in range(len(speech)))
            for key, segment in window:
                yield key, None if segment is None else next(in_order)

    def translate_segments(self, segments: Sequence[SpeechSegment]) -> list[TranslatedSegment]:
        """The translations of segments, of one recording or of several, in batches by length."""
        translated = dict(self._translate_batches(segments))
        return [translated[number] for number in range(len(segments))]

    def _translate_batches(
        self, segments: Sequence[SpeechSegment]
    ) -> Iterator[tuple[int, TranslatedSegment]]:
        """The number of each segment and its translation, the longest first."""
        by_length = sorted(
            range(len(segments)), key=lambda number: len(segments[number].samples), reverse=True
        )
        size = self.config.batch_size
        for start in range(0, len(by_length), size):
            chosen = by_length[start : start + size]
            found = self.decode([segments[number].samples for number in chosen])
            for number, hypothesis in zip(chosen, found, strict=True):
                segment = segments[number]
                yield (
                    number,
                    TranslatedSegment(
                        segment.start_s,
                        segment.end_s,
                        hypothesis.text,
                        hypothesis.score,
                        hypothesis.num_tokens,
                    ),
                )

    def decode(
        self, samples: Sequence[Samples], prefixes: Sequence[Sequence[int]] | None = None
    ) -> list[Hypothesis]:
        """The translations of utterances at 16 kHz, as one batch.

        Args:
            samples: each short enough for the model.
            prefixes: tokens that the translation of each begins with.
        """
        return self.runtime.decode(samples, self.config, prefixes)

    def _translate_all(
        self, recordings: Sequence[Audio], sampling_rate: int | None, one_utterance: bool
    ) -> Iterator[Translation]:
        num_samples = [0] * len(recordings)

        def pieces() -> Iterator[tuple[int, SpeechSegment | None]]:
            for number, recording in enumerate(recordings):
                blocks = _counted(blocks_of(recording, sampling_rate), number, num_samples)
                for segment in self._utterances(blocks, name_of(recording), one_utterance):
                    yield number, segment
                yield number, None

        for number, group in groupby(self.translate_pieces(pieces()), key=lambda pair: pair[0]):
            segments = tuple(segment for _, segment in group if segment is not None)
            num_tokens = sum(segment.num_tokens for segment in segments)
            yield Translation(
                join_texts(segment.text for segment in segments),
                name_of(recordings[number]),
                sum(s.score * s.num_tokens for s in segments) / max(num_tokens, 1),
                num_samples[number] / SAMPLING_RATE,
                segments,
            )

    def _utterances(
        self, blocks: Iterator[Samples], name: str, one_utterance: bool
    ) -> Iterator[SpeechSegment]:
        if one_utterance:
            yield read_utterance(self.runtime, blocks, name)
        else:
            yield from speech_segments(blocks, self.segmenter)


def _counted(blocks: Iterable[Samples], number: int, num_samples: list[int]) -> Iterator[Samples]:
    for block in blocks:
        num_samples[number] += len(block)
        yield block
