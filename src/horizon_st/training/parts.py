"""A recipe -> the data and the model of a run, all read and checked before anything trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers import AutoFeatureExtractor, PreTrainedTokenizerBase

from horizon_st.data.audio import Cut
from horizon_st.data.characters import CharacterTokenizer, characters_of
from horizon_st.data.configuration import DataConfig
from horizon_st.data.cuts import Cuts
from horizon_st.data.frontend import FilterbankFrontend, Frontend, PretrainedFrontend
from horizon_st.data.manifest import transcript_of, translation_of
from horizon_st.data.shar import files_to_fingerprint, is_shar, open_cuts
from horizon_st.data.text import (
    load_tokenizer,
    set_languages,
    train_tokenizer,
    vocabulary_size,
)
from horizon_st.data.text_pairs import TextPairs, read_text_pairs, store_text_pairs
from horizon_st.data.validation import check_before_training
from horizon_st.decoding.model_folder import fingerprint
from horizon_st.decoding.trained import (
    TrainedModel,
    load_trained_model,
    weights_fingerprint,
)
from horizon_st.errors import UserError
from horizon_st.model.build import build_translator
from horizon_st.model.continuation import continue_model
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.training.recipe import Recipe


@dataclass
class Corpus:
    """The data of a run, none of which but the dev set is held in memory.

    Attributes:
        train: the triples.
        dev_cuts: for the dev figures.
        external_pairs: of `data.text_pairs`.
        fingerprint: SHA-256 of each file, by its key in the recipe's data section.
    """

    train: Cuts
    dev_cuts: list[Cut]
    external_pairs: TextPairs | None
    fingerprint: dict[str, str]

    @cached_property
    def in_domain_pairs(self) -> TextPairs:
        """Transcripts and translations of the triples that have a transcript.

        Raises:
            UserError: an utterance cannot be used.
        """
        return store_text_pairs(
            (transcript, translation_of(cut))
            for cut in self.train.texts()
            if (transcript := transcript_of(cut)) is not None
        )

    def sentences(self, at_most: int) -> Iterator[str]:
        """Training text of both languages, once per occurrence; of more, a sample spread over it.

        Each utterance and each external pair counts as two sentences. Where there is not room for
        all, the utterances get half of it, or what the pairs leave.
        """
        num_pairs = len(self.external_pairs or ())
        share = max(at_most // 2, at_most - 2 * num_pairs)
        untranscribed = []
        for cut in self.train.sample(max(1, share // 2)):
            at_most -= 2
            transcript, translation = transcript_of(cut), translation_of(cut)
            if transcript is None:
                untranscribed.append(translation)
            else:
                yield from (transcript, translation)
        if self.external_pairs is not None:
            for pair in self.external_pairs.sample(at_most // 2):
                yield from pair
        yield from untranscribed


@dataclass
class Parts:
    """What is trained, and how its input is made."""

    tokenizer: PreTrainedTokenizerBase
    frontend: Frontend
    translator: SpeechTranslatorModel

    @property
    def character_tokenizer(self) -> CharacterTokenizer | None:
        """Of the CTC head, where it gives characters."""
        characters = self.translator.config.ctc_characters
        return None if characters is None else CharacterTokenizer(characters)


def read_corpus(recipe: Recipe) -> Corpus:
    """The data that a recipe names, of which a large corpus is read in part only.

    Raises:
        UserError: a file is missing, what is read of it is malformed, or a stage would find nothing
            in it.
    """
    data = recipe.data
    train, dev = (_open_checked(Path(name)) for name in (data.train, data.dev))
    corpus = Corpus(
        train=train,
        dev_cuts=list(dev),
        external_pairs=read_text_pairs(Path(data.text_pairs)) if data.text_pairs else None,
        fingerprint={
            key: fingerprint(*files_to_fingerprint(Path(name)))
            for key in ("train", "dev", "text_pairs")
            if (name := getattr(data, key)) is not None
        },
    )
    _check_stages_have_data(recipe, corpus)
    return corpus


def _open_checked(path: Path) -> Cuts:
    cuts = open_cuts(path)
    if not is_shar(path):
        check_before_training(path)
    return cuts


def build_parts(recipe: Recipe, corpus: Corpus, *, vocabulary: Path | None = None) -> Parts:
    """The recipe's initial model, or a new one with random or pretrained weights.

    Args:
        recipe: of the run.
        corpus: its data.
        vocabulary: the folder of the one that was trained when the run began; None to train one.

    Raises:
        UserError: a model or tokenizer cannot be loaded, or does not fit the recipe.
    """
    parts = (
        _new_parts(recipe, corpus, vocabulary)
        if recipe.initial_model is None
        else _initial_parts(recipe, recipe.initial_model, corpus)
    )
    _check_frozen(recipe, parts.translator)
    return parts


def _new_parts(recipe: Recipe, corpus: Corpus, vocabulary: Path | None) -> Parts:
    source = recipe.data.tokenizer or recipe.model.text_model.pretrained or vocabulary
    tokenizer = (
        train_tokenizer(
            corpus.sentences(recipe.data.vocab_sample_sentences), recipe.data.vocab_size
        )
        if source is None
        else load_tokenizer(source)
    )
    data = recipe.data
    language_id = set_languages(tokenizer, data.source_language, data.target_language)
    translator = build_translator(
        recipe.model,
        vocab_size=vocabulary_size(tokenizer),
        pad_id=tokenizer.pad_token_id,
        bos_id=tokenizer.bos_token_id,
        eos_id=tokenizer.eos_token_id,
        ctc=recipe.objective.ctc_weight > 0,
        ctc_characters=_ctc_characters(recipe, corpus),
    )
    if language_id is not None:
        _decode_into(language_id, tokenizer, translator)
    return Parts(tokenizer, _new_frontend(recipe), translator)


def _ctc_characters(recipe: Recipe, corpus: Corpus) -> str | None:
    if recipe.objective.ctc_weight == 0 or recipe.model.ctc.unit == "piece":
        return None
    found = characters_of(
        transcript
        for cut in corpus.train.sample(recipe.data.vocab_sample_sentences)
        if (transcript := transcript_of(cut)) is not None
    )
    if not found:
        raise UserError(
            "model.ctc.unit",
            expected="transcripts to learn the characters of",
            found="no training utterance with a transcript",
            remedy=f"Set objective.ctc_weight to 0, or add transcripts to {recipe.data.train}.",
        )
    return found


def _initial_parts(recipe: Recipe, source: str, corpus: Corpus) -> Parts:
    initial = load_trained_model(source, device="cpu")
    corpus.fingerprint["initial_model"] = weights_fingerprint(initial.folder)
    if recipe.objective.ctc_weight > 0 and initial.model.ctc_head is None:
        raise UserError(
            "objective.ctc_weight",
            expected=f"0, since {source} was trained without a CTC head",
            found=recipe.objective.ctc_weight,
            remedy="Set ctc_weight to 0, or train the initial model with ctc_weight above 0.",
        )
    if "asr" in recipe.stages.trained and initial.model.config.ctc_position != "speech_encoder":
        raise UserError(
            "stages.asr.max_steps",
            expected=f"0, since {source} was trained without CTC on its speech encoder",
            found=recipe.stages.asr.max_steps,
            remedy="Set it to 0, or train the initial model with model.ctc.position: "
            "speech_encoder.",
        )
    translator = continue_model(
        initial.model, recipe.model, uses_ctc=recipe.objective.ctc_weight > 0
    )
    data = recipe.data
    _check_brought_along(data, initial)
    if data.source_language is not None:
        language_id = set_languages(initial.tokenizer, data.source_language, data.target_language)
        assert language_id is not None
        _decode_into(language_id, initial.tokenizer, translator)
    return Parts(initial.tokenizer, initial.frontend, translator)


def _check_frozen(recipe: Recipe, translator: SpeechTranslatorModel) -> None:
    """Refuses what would train, or leave untrained for a while, a speech encoder that is fixed."""
    config, objective, st = translator.config, recipe.objective, recipe.stages.st
    has_own_ctc = config.ctc_position == "speech_encoder"
    if config.freeze_speech_encoder and has_own_ctc and objective.ctc_weight > 0:
        raise UserError(
            "objective.ctc_weight",
            expected="0 with CTC on a frozen speech encoder, which learns nothing from it",
            found=objective.ctc_weight,
            remedy="Set it to 0, or model.speech_encoder.freeze to false.",
        )
    is_fixed = not any(p.requires_grad for p in translator.speech_encoder.parameters())
    if "st" in recipe.stages.trained and st.freeze_speech_encoder_steps > 0 and is_fixed:
        raise UserError(
            "stages.st.freeze_speech_encoder_steps",
            expected="0 for a speech encoder that is never trained: filterbanks as they are, or "
            "one with model.speech_encoder.freeze",
            found=st.freeze_speech_encoder_steps,
            remedy="Remove it.",
        )


def _check_brought_along(data: DataConfig, initial: TrainedModel) -> None:
    """Refuses other values for the vocabulary and the front end that the model brings along."""
    brought = {
        "vocab_size": len(initial.tokenizer),
        "high_hz": getattr(initial.frontend, "high_hz", None),
    }
    for key, value in brought.items():
        if getattr(data, key) not in (value, getattr(DataConfig, key)):
            shown = "" if value is None else f" of {value}"
            raise UserError(
                f"data.{key}",
                expected=f"nothing, since it is not read: initial_model brings its own{shown}",
                found=getattr(data, key),
                remedy="Remove it.",
            )


def _decode_into(
    language_id: int, tokenizer: PreTrainedTokenizerBase, translator: SpeechTranslatorModel
) -> None:
    """Makes every translation begin with its language, as the tokenizer's targets do."""
    settings = translator.generation_config
    if tokenizer(text_target="").input_ids[0] == language_id:
        settings.forced_bos_token_id = language_id
    else:  # mBART: the language stands in place of the start symbol
        settings.forced_bos_token_id = None
        settings.decoder_start_token_id = language_id
        translator.config.decoder_start_token_id = language_id


def _new_frontend(recipe: Recipe) -> Frontend:
    encoder = recipe.model.speech_encoder
    if encoder.pretrained is None:
        return FilterbankFrontend(encoder.num_mel_bins, recipe.data.high_hz)
    try:
        return PretrainedFrontend(AutoFeatureExtractor.from_pretrained(encoder.pretrained))
    except (OSError, ValueError) as error:
        raise UserError(
            "model.speech_encoder.pretrained",
            expected="a model with the settings of its feature extractor, preprocessor_config.json",
            found=f"{encoder.pretrained} ({' '.join(str(error).split())})",
            remedy="Copy this file from the place that the model comes from.",
        ) from error


def _check_stages_have_data(recipe: Recipe, corpus: Corpus) -> None:
    trained = recipe.stages.trained
    for name in ("mt_in_domain", "asr"):
        if name in trained and not corpus.train.survey.num_transcribed:
            raise UserError(
                f"stages.{name}.max_steps",
                expected="0 when no training utterance has a transcript",
                found=recipe.stages.of(name).max_steps,
                remedy=f"Set it to 0, or add transcripts to {recipe.data.train}.",
            )
    source_stages = [name for name in trained if name != "st"]
    if any(transcript_of(cut) is not None for cut in corpus.dev_cuts):
        return
    if recipe.stages.st.track_text:
        raise UserError(
            "stages.st.track_text",
            expected="false when no dev utterance has a transcript to translate",
            found=True,
            remedy=f"Set it to false, or add transcripts to {recipe.data.dev}.",
        )
    if source_stages:
        raise UserError(
            f"stages.{source_stages[0]}.max_steps",
            expected="0 when no dev utterance has a transcript to measure it on",
            found=recipe.stages.of(source_stages[0]).max_steps,
            remedy=f"Set it to 0, or add transcripts to {recipe.data.dev}.",
        )
