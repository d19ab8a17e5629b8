"""Cuts or text pairs -> one padded Batch.

Legend: B utterances, N samples, T speech frames, F mel bins, S source tokens, U characters,
L target tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from horizon_st.data.audio import Cut, change_speed, load_cut
from horizon_st.data.augment import AugmentConfig, draw_speed, mask_spectrum, utterance_rng
from horizon_st.data.characters import CharacterTokenizer
from horizon_st.data.frontend import Frontend
from horizon_st.data.manifest import reference_of, transcript_of
from horizon_st.errors import UserError


@dataclass
class Batch:
    """Padded tensors of B utterances, or of B text pairs (then `speech` is None).

    Attributes:
        ids: utterance ids.
        speech: filterbanks or waveforms, padded with 0.
        speech_lengths: real frames or samples.
        transcript: token ids ending in ``</s>``, padded; a row without transcript is all padding.
        target: token ids ending in ``</s>``, padded.
        num_target_tokens: real target tokens, ``</s>`` included.
        characters: of the transcripts, as `CharacterTokenizer` gives them, where CTC needs them.
    """

    ids: list[str]
    speech: Float[Tensor, "B T F"] | Float[Tensor, "B N"] | None
    speech_lengths: Int[Tensor, " B"] | None
    transcript: Int[Tensor, "B S"]
    target: Int[Tensor, "B L"]
    num_target_tokens: int
    characters: Int[Tensor, "B U"] | None = None

    @property
    def ctc_targets(self) -> Int[Tensor, "B U"]:
        """What CTC aligns: the characters, where they are given, or the transcript's tokens."""
        return self.transcript if self.characters is None else self.characters

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


class FeatureCache:
    """The encoder's input of each (utterance, speed), kept in memory up to a limit.

    Args:
        frontend: computes what is not kept.
        max_bytes: when full, further utterances are computed each time.
    """

    def __init__(self, frontend: Frontend, max_bytes: float) -> None:
        self._frontend = frontend
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._kept: dict[tuple[Any, ...], Tensor] = {}

    def __call__(
        self, cut: Cut, speed: float = 1.0, *, wanted_later: Sequence[float] = ()
    ) -> Tensor:
        """Frames `[T, F]` or samples `[N]` of a cut at a speed factor.

        Other speeds that are wanted later are kept too, where there is room: reading the recording
        takes as long as all the rest.
        """
        sound = _sound_of(cut)
        if (*sound, speed) in self._kept:
            return self._kept[*sound, speed]
        samples = load_cut(cut)
        features = self._frontend(change_speed(samples, speed))
        if not self._has_room(features.nbytes):
            return features
        self._keep((*sound, speed), features)
        for other in wanted_later:
            if (*sound, other) not in self._kept and self._has_room(
                features.nbytes * speed / other
            ):
                self._keep((*sound, other), self._frontend(change_speed(samples, other)))
        return features

    def _has_room(self, num_bytes: float) -> bool:
        return self._num_bytes + num_bytes <= self._max_bytes

    def _keep(self, key: tuple[Any, ...], features: Tensor) -> None:
        self._kept[key] = features
        self._num_bytes += features.nbytes


def _sound_of(cut: Cut) -> tuple[Any, ...]:
    """What tells the sound of two cuts apart; manifests may use the same id for different ones."""
    sources = tuple(
        blake2b(source.source).digest() if isinstance(source.source, bytes) else source.source
        for source in cut.recording.sources
    )
    channels = tuple(cut.channel) if isinstance(cut.channel, list) else cut.channel
    return (cut.id, sources, channels, cut.start, cut.duration)


class Collator:
    """Turns cuts into a Batch; with `augment`, training audio varies.

    The variation is drawn from (seed, epoch, utterance id), whatever the batch.

    Args:
        features: gives the encoder's input of a cut.
        tokenizer: encodes both languages.
        augment: variation of training audio; None for evaluation.
        seed: seed of the variation.
        character_tokenizer: for CTC on characters; None where there is none.
    """

    def __init__(
        self,
        features: FeatureCache,
        tokenizer: PreTrainedTokenizerBase,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        character_tokenizer: CharacterTokenizer | None = None,
    ) -> None:
        self.features = features
        self.tokenizer = tokenizer
        self.augment = augment
        self.seed = seed
        self.character_tokenizer = character_tokenizer

    def __call__(self, cuts: Iterable[Cut], epoch: int = 0) -> Batch:
        """The batch of these cuts, in their order.

        Raises:
            UserError: audio cannot be read, or the recipe masks spectra that the encoder lacks.
        """
        cuts = list(cuts)
        speech = [self._speech_of(cut, epoch) for cut in cuts]
        transcripts = [transcript_of(cut) for cut in cuts]
        batch = make_batch(
            [cut.id for cut in cuts],
            self.tokenizer,
            transcripts,
            [reference_of(cut) for cut in cuts],
            speech,
        )
        if self.character_tokenizer is not None:
            batch.characters = self.character_tokenizer(transcripts)
        return batch

    def _speech_of(self, cut: Cut, epoch: int) -> Tensor:
        if self.augment is None:
            return self.features(cut)
        rng = utterance_rng(self.seed, epoch, cut.id)
        speed = draw_speed(self.augment, rng)
        features = self.features(cut, speed, wanted_later=self.augment.speeds)
        if not self.augment.masks_spectrum:
            return features
        if features.ndim == 1:
            raise UserError(
                "data.augment",
                expected="no SpecAugment masks for an encoder that reads the waveform",
                found=f"num_frequency_masks {self.augment.num_frequency_masks}, "
                f"num_time_masks {self.augment.num_time_masks}",
                remedy="Set both to 0; data.augment.speeds works with every encoder.",
            )
        return mask_spectrum(features, self.augment, rng)


def make_batch(
    ids: list[str],
    tokenizer: PreTrainedTokenizerBase,
    transcripts: Sequence[str | None],
    targets: Sequence[str | None],
    speech: Sequence[Tensor] | None = None,
) -> Batch:
    """The Batch of parallel lists; a text of None gives a row of padding."""
    target = _encode(tokenizer, targets, text_target=True)
    return Batch(
        ids=ids,
        speech=None if speech is None else torch.nn.utils.rnn.pad_sequence([*speech], True),
        speech_lengths=None if speech is None else torch.tensor([len(item) for item in speech]),
        transcript=_encode(tokenizer, transcripts),
        target=target,
        num_target_tokens=int((target != tokenizer.pad_token_id).sum()),
    )


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str | None], *, text_target: bool = False
) -> Tensor:
    present = [text for text in texts if text is not None]
    ids = iter(_token_ids(tokenizer, present, text_target=text_target) if present else [])
    rows = [torch.tensor([] if text is None else next(ids), dtype=torch.int64) for text in texts]
    pad_id: int = tokenizer.pad_token_id
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad_id)
    return padded if padded.shape[1] else padded.new_full((len(rows), 1), pad_id)


def _token_ids(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], *, text_target: bool
) -> list[list[int]]:
    if not text_target:
        return list(tokenizer(texts).input_ids)
    # mBART puts the language after the end token, where decoding never gets; it starts with it.
    end = tokenizer.eos_token_id
    rows: list[list[int]] = list(tokenizer(text_target=texts).input_ids)
    return [row[:-1] if row[-2:-1] == [end] and row[-1] != end else row for row in rows]
