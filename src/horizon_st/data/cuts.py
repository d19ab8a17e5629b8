"""What training needs of a corpus of any size: a survey, samples, and an order for each epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from horizon_st.data.audio import Cut

SURVEY_UTTERANCES = 20_000
"""As many as lhotse's sampler holds to shuffle and bucket: what has no more is known whole."""


@dataclass(frozen=True)
class Survey:
    """What a sample of the utterances shows; of a small corpus, the sample is all of it.

    Attributes:
        is_whole: whether the sample is the corpus.
        durations_s: of each utterance.
        longest_id: the utterance of the longest duration.
        num_transcribed: how many have a transcript.
    """

    is_whole: bool
    durations_s: list[float] = field(repr=False)
    longest_id: str
    num_transcribed: int


class Cuts(ABC):
    """Checked cuts, read one by one each time, so that memory does not grow with the corpus.

    Attributes:
        carry_audio: whether a cut brings its sound along, so that memory holds fewer of them.
    """

    carry_audio: bool = False

    @abstractmethod
    def __iter__(self) -> Iterator[Cut]:
        """All cuts, in the order of the corpus."""

    @abstractmethod
    def texts(self) -> Iterator[Cut]:
        """All cuts, in the order of the corpus; their audio may be left out."""

    @abstractmethod
    def has_at_most(self, num_cuts: int) -> bool:
        """Whether there are no more; no more than this many are read."""

    @abstractmethod
    def sample(self, num_cuts: int) -> Iterator[Cut]:
        """So many cuts at most, spread over the corpus; all, in their order, if there are no more.

        Their audio may be left out.
        """

    @abstractmethod
    def of_epoch(self, seed: int, epoch: int) -> Iterator[Cut]:
        """All cuts, far ones brought near each other, in the same order for the same numbers."""

    @cached_property
    def survey(self) -> Survey:
        """What a sample shows, which is checked by being read."""
        durations_s: list[float] = []
        longest_id, longest_s, num_transcribed = "", 0.0, 0
        for cut in self.sample(SURVEY_UTTERANCES):
            durations_s.append(cut.duration)
            if cut.duration > longest_s:
                longest_id, longest_s = cut.id, cut.duration
            num_transcribed += _has_transcript(cut)
        is_whole = self.has_at_most(SURVEY_UTTERANCES)
        return Survey(is_whole, durations_s, longest_id, num_transcribed)


class TranscribedCuts(Cuts):
    """Those of other cuts that have a transcript.

    Args:
        cuts: of which at least one has.
    """

    def __init__(self, cuts: Cuts) -> None:
        self._cuts = cuts
        self.carry_audio = cuts.carry_audio

    def __iter__(self) -> Iterator[Cut]:
        """In their order."""
        return filter(_has_transcript, self._cuts)

    def texts(self) -> Iterator[Cut]:
        """In their order; their audio may be left out."""
        return filter(_has_transcript, self._cuts.texts())

    def has_at_most(self, num_cuts: int) -> bool:
        """Whether there are no more, the others included."""
        return self._cuts.has_at_most(num_cuts)

    def sample(self, num_cuts: int) -> Iterator[Cut]:
        """Those of a sample of all."""
        return filter(_has_transcript, self._cuts.sample(num_cuts))

    def of_epoch(self, seed: int, epoch: int) -> Iterator[Cut]:
        """Those of the epoch, in its order."""
        return filter(_has_transcript, self._cuts.of_epoch(seed, epoch))


def _has_transcript(cut: Cut) -> bool:
    return cut.supervisions[0].text is not None
