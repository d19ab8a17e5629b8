"""What can be seen before training, and would end it midway or make terms of it mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor

from horizon_st.data.audio import SAMPLING_RATE, Cut
from horizon_st.data.characters import UNKNOWN, CharacterTokenizer
from horizon_st.data.collate import make_batch
from horizon_st.data.manifest import transcript_of, translation_of
from horizon_st.errors import UserError
from horizon_st.model.limits import check_batch, check_speech
from horizon_st.model.text_dropout import has_dropout
from horizon_st.objective.passes import plan_passes
from horizon_st.objective.terms import ctc_states_needed, is_alignable
from horizon_st.training.parts import Corpus, Parts
from horizon_st.training.recipe import Recipe

_NUM_SAMPLED = 2000
"""Training utterances whose texts are looked at, some seconds of work."""
_MOST_UNALIGNED = 0.05
"""The share of transcripts that CTC may leave out: fast speakers, not a model of wrong shape."""

_MOST_UNKNOWN = 0.05
"""The share of characters that CTC may not know: rare ones, not another script."""


def check_before_training(recipe: Recipe, corpus: Corpus, parts: Parts) -> None:
    """Nothing, when model and data fit each other, as far as a sample of the training data shows.

    Raises:
        UserError: R-drop would compare equal passes, an utterance of the dev set or of the sample
            is too long for the model, or, where that is not rare, too short for CTC or in
            characters that CTC does not know, or CTC cannot align anything of a dev set that it is
            to be measured on.
    """
    _check_passes_differ(recipe, parts)
    check = _Check(recipe, parts)
    dev_cuts, survey = corpus.dev_cuts, corpus.train.survey
    trains_speech = not {"asr", "st"}.isdisjoint(recipe.stages.trained)
    if trains_speech:
        lengths = check.lengths(_durations_s(dev_cuts))
        check_speech(parts.translator, [cut.id for cut in dev_cuts], lengths)
        longest = check.lengths([max(survey.durations_s)], min(recipe.data.augment.speeds))
        check_speech(parts.translator, [survey.longest_id], longest)
    has_text_stage = any(name.startswith("mt") for name in recipe.stages.trained)
    dev_transcripts = check.texts(dev_cuts, num_text=int(has_text_stage))
    if not trains_speech:
        return
    sample = [*corpus.train.sample(_NUM_SAMPLED)]
    num_text = int(has_text_stage or plan_passes(recipe.objective).text > 0)
    transcripts = check.texts(sample, num_text=num_text)
    if recipe.objective.ctc_weight == 0:
        return
    is_measured = "asr" in recipe.stages.trained  # the figures of the other stages are without CTC
    known = parts.character_tokenizer
    if known is not None:
        if recipe.initial_model is not None:  # else they are those of the training data
            check.characters("data.train", sample, known, _without_ctc(recipe))
        if is_measured:
            check.characters("data.dev", dev_cuts, known, _without_stage(recipe))
        transcripts, dev_transcripts = (
            known([*map(transcript_of, cuts)]) for cuts in (sample, dev_cuts)
        )
    check.alignment(sample, transcripts)
    if is_measured:
        check.dev_alignment(dev_cuts, dev_transcripts)


class _Check:
    """Checks of some utterances with the tokenizer, the front end and the model of a run."""

    def __init__(self, recipe: Recipe, parts: Parts) -> None:
        self._recipe = recipe
        self._parts = parts

    def lengths(self, durations_s: Sequence[float], speed: float = 1.0) -> Tensor:
        """Frames or samples of speech that the speech encoder gets."""
        length_of = self._parts.frontend.length_of
        return torch.tensor([length_of(int(s * SAMPLING_RATE / speed)) for s in durations_s])

    def texts(self, cuts: Sequence[Cut], *, num_text: int) -> Tensor:
        """The transcripts as token ids; refuses texts that are too long."""
        batch = make_batch(
            [cut.id for cut in cuts],
            self._parts.tokenizer,
            [transcript_of(cut) for cut in cuts],
            [translation_of(cut) for cut in cuts],
        )
        check_batch(self._parts.translator, batch, num_speech=0, num_text=num_text)
        return batch.transcript

    def characters(
        self, place: str, cuts: Sequence[Cut], known: CharacterTokenizer, otherwise: list[str]
    ) -> None:
        """Refuses transcripts in characters that CTC of the model does not give."""
        ids = [i for cut in cuts for i in known.encode(transcript_of(cut) or "")]
        share = ids.count(UNKNOWN) / max(1, len(ids))
        if share > _MOST_UNKNOWN:
            raise UserError(
                place,
                expected="transcripts in the characters that CTC of the model knows: "
                f"{self._parts.translator.config.ctc_characters!r}",
                found=f"{share:.0%} of the characters unknown to it",
                remedy=_any_of(
                    [
                        "write the transcripts in these characters (upper and lower case differ)",
                        *otherwise,
                    ]
                ),
            )

    def alignment(self, cuts: Sequence[Cut], targets: Tensor) -> None:
        """Refuses a model whose speech has too few states for many transcripts."""
        speeds = self._recipe.data.augment.speeds
        share = self._unaligned_share(cuts, targets, speeds)
        if share > _MOST_UNALIGNED:
            slower = [
                f"set data.augment.speeds to {kept}"
                for kept in _without_fastest(speeds)
                if self._unaligned_share(cuts, targets, kept) <= _MOST_UNALIGNED
            ]
            raise UserError(
                "objective.ctc_weight",
                expected=f"0, or a model whose speech has a state for each {self._unit} of the "
                "transcript and one between equal ones, as CTC needs",
                found=f"{share:.0%} of the sampled transcripts with more {self._unit}s than that",
                remedy=_any_of(
                    [
                        *slower[:1],
                        *_more_room(self._recipe),
                        "leave these utterances out of data.train",
                        *_without_ctc(self._recipe),
                    ]
                ),
            )

    def dev_alignment(self, cuts: Sequence[Cut], targets: Tensor) -> None:
        """Refuses a dev set on which CTC has no loss."""
        if not self._is_alignable(cuts, targets, 1.0).any():
            raise UserError(
                "data.dev",
                expected="transcripts that CTC can align, for the loss of stage asr: at most one "
                f"{self._unit} for each state of the speech, and a state between equal ones",
                found="none that is not empty and has so few",
                remedy=_any_of(
                    [
                        f"check that the transcripts of {self._recipe.data.dev} belong to its "
                        "speech",
                        *_more_room(self._recipe),
                        *_without_stage(self._recipe),
                    ]
                ),
            )

    @property
    def _unit(self) -> str:
        return "piece" if self._parts.translator.config.ctc_characters is None else "character"

    def _unaligned_share(
        self, cuts: Sequence[Cut], targets: Tensor, speeds: Sequence[float]
    ) -> float:
        """Of the transcripts at all speeds."""
        needed = ctc_states_needed(targets, blank=self._parts.translator.ctc_blank)
        num = int((needed > 0).sum()) * len(speeds)
        num_aligned = sum(int(self._is_alignable(cuts, targets, s).sum()) for s in speeds)
        return (num - num_aligned) / max(1, num)

    def _is_alignable(self, cuts: Sequence[Cut], targets: Tensor, speed: float) -> Tensor:
        translator = self._parts.translator
        num_states = translator.num_ctc_states(self.lengths(_durations_s(cuts), speed))
        return is_alignable(targets, num_states, blank=translator.ctc_blank)


def _without_fastest(speeds: Sequence[float]) -> list[list[float]]:
    """The speeds without the fastest, without the two fastest, ..., down to the natural one."""
    limits = sorted({1.0, *(speed for speed in speeds if speed > 1)}, reverse=True)[1:]
    return [[speed for speed in speeds if speed <= limit] or [1.0] for limit in limits]


def _more_room(recipe: Recipe) -> list[str]:
    """What gives CTC more states or fewer units, and does not contradict the recipe."""
    if recipe.initial_model is not None:  # has its shape and its vocabulary
        return []
    model, ctc = recipe.model, recipe.model.ctc
    found = []
    if ctc.position == "shared_encoder":
        with suppress(UserError):
            replace(model, ctc=replace(ctc, position="speech_encoder")).check_fresh()
            found.append("set model.ctc.position to speech_encoder")
        if len(model.subsampler.kernel_sizes) > 1:
            found.append("remove a kernel from model.subsampler.kernel_sizes (twice the states)")
    if ctc.unit == "character":
        found.append("set model.ctc.unit to piece")
    elif recipe.trains_vocabulary:
        found.append("raise data.vocab_size for fewer tokens")
    return found


def _without_ctc(recipe: Recipe) -> list[str]:
    """How to train all the same, if anything is left to train then."""
    if recipe.stages.trained == ["asr"]:
        return []
    return ["train without CTC (objective.ctc_weight 0, no section model.ctc, no stage asr)"]


def _without_stage(recipe: Recipe) -> list[str]:
    """How to have no dev figures of CTC, if anything is left to train then."""
    return [] if recipe.stages.trained == ["asr"] else ["set stages.asr.max_steps to 0"]


def _any_of(remedies: Sequence[str]) -> str:
    """A sentence that offers them all."""
    *others, last = remedies
    sentence = f"{', '.join(others)}, or {last}." if others else f"{last}."
    return sentence[0].upper() + sentence[1:]


def _durations_s(cuts: Sequence[Cut]) -> list[float]:
    return [cut.duration for cut in cuts]


def _check_passes_differ(recipe: Recipe, parts: Parts) -> None:
    translator, objective = parts.translator, recipe.objective
    was_training = translator.training
    translator.train()
    speech_is_random = translator.speech_encoder.is_random
    translator.train(was_training)
    text_is_random = has_dropout(translator.config.get_text_config())
    shares_speech = objective.rdrop_from == "shared_encoder"
    if shares_speech and not speech_is_random:
        raise UserError(
            "objective.rdrop_from",
            expected="speech_encoder for a speech encoder without dropout, which runs once anyway",
            found=objective.rdrop_from,
            remedy="Remove it.",
        )
    remedy = "Set it to 0, or model.text_model.dropout above 0"
    other_remedy = ", or rdrop_from to speech_encoder" if shares_speech else ""
    for name, is_random, other in (
        ("rdrop_weight", text_is_random or (speech_is_random and not shares_speech), other_remedy),
        ("mt_rdrop_weight", text_is_random, ""),
    ):
        if getattr(objective, name) > 0 and not is_random:
            raise UserError(
                f"objective.{name}",
                expected="0 for a model without dropout, whose two passes are always the same",
                found=getattr(objective, name),
                remedy=f"{remedy}{other}.",
            )
