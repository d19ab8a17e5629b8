"""What can be seen before training, and would end it midway or make terms of it mean nothing."""

from __future__ import annotations

from collections.abc import Sequence

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
from horizon_st.objective.terms import ctc_states_needed
from horizon_st.training.parts import Corpus, Parts
from horizon_st.training.recipe import Recipe

_NUM_SAMPLED = 2000
"""Training utterances whose texts are looked at, some seconds of work."""
_MOST_UNALIGNED = 0.05
"""The share of transcripts that CTC may leave out: fast speakers, not a model of wrong shape."""

_MOST_UNKNOWN = 0.05
"""The share of characters that CTC may not know: rare ones, not another script."""
_WITHOUT_CTC = "train without CTC (objective.ctc_weight 0, no section model.ctc, no stage asr)."
_MORE_ROOM = {
    ("shared_encoder", "piece"): "Remove a kernel from model.subsampler.kernel_sizes, which "
    "doubles the states, raise data.vocab_size for fewer tokens",
    ("shared_encoder", "character"): "Set model.ctc.position to speech_encoder or model.ctc.unit "
    "to piece, or remove a kernel from model.subsampler.kernel_sizes, which doubles the states",
    ("speech_encoder", "piece"): "Raise data.vocab_size for fewer tokens",
    ("speech_encoder", "character"): "Set model.ctc.unit to piece",
}
"""What helps, by what CTC reads and what it gives."""


def check_before_training(recipe: Recipe, corpus: Corpus, parts: Parts) -> None:
    """Nothing, when model and data fit each other, as far as a sample of the training data shows.

    Raises:
        UserError: R-drop would compare equal passes, an utterance of the dev set or of the sample
            is too long for the model, or, where that is not rare, too short for CTC or in
            characters that CTC of the initial model does not know.
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
    check.texts(dev_cuts, num_text=int(has_text_stage))
    if not trains_speech:
        return
    sample = [*corpus.train.sample(_NUM_SAMPLED)]
    num_text = int(has_text_stage or plan_passes(recipe.objective).text > 0)
    transcripts = check.texts(sample, num_text=num_text)
    if recipe.objective.ctc_weight == 0:
        return
    characters = parts.character_tokenizer
    if characters is None:
        check.alignment(sample, transcripts)
        return
    if recipe.initial_model is not None:  # else they are those of the training data
        for name, cuts in (("train", sample), ("dev", dev_cuts)):
            check.characters(f"data.{name}", cuts, characters)
    check.alignment(sample, characters([*map(transcript_of, sample)]))


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

    def characters(self, place: str, cuts: Sequence[Cut], known: CharacterTokenizer) -> None:
        """Refuses transcripts in characters that an initial model has not learnt."""
        ids = [i for cut in cuts for i in known.encode(transcript_of(cut) or "")]
        share = ids.count(UNKNOWN) / max(1, len(ids))
        if share > _MOST_UNKNOWN:
            raise UserError(
                place,
                expected="transcripts in the characters that CTC of the model knows: "
                f"{self._parts.translator.config.ctc_characters!r}",
                found=f"{share:.0%} of the characters unknown to it",
                remedy=f"Write the transcripts in this script, or {_WITHOUT_CTC}",
            )

    def alignment(self, cuts: Sequence[Cut], targets: Tensor) -> None:
        """Refuses a model whose speech has too few states for many transcripts."""
        translator, speeds = self._parts.translator, self._recipe.data.augment.speeds
        needed = ctc_states_needed(targets, blank=translator.ctc_blank)
        states = torch.stack(
            [translator.num_ctc_states(self.lengths(_durations_s(cuts), speed)) for speed in speeds]
        )
        share = float((states < needed).sum() / ((needed > 0).sum() * len(speeds)).clamp_min(1))
        if share > _MOST_UNALIGNED:
            config = translator.config
            unit = "piece" if config.ctc_characters is None else "character"
            raise UserError(
                "objective.ctc_weight",
                expected=f"0, or a model whose speech has a state for each {unit} of the "
                "transcript and one between equal ones, as CTC needs",
                found=f"{share:.0%} of the sampled transcripts with more {unit}s than that",
                remedy=f"{_MORE_ROOM[config.ctc_position, unit]}, or {_WITHOUT_CTC}",
            )


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
