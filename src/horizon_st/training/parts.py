"""A recipe -> the data and the model of a run, all read and checked before anything trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lhotse import CutSet
from lhotse.cut import MonoCut
from transformers import AutoFeatureExtractor, PreTrainedTokenizerBase

from horizon_st.data.frontend import FilterbankFrontend, Frontend, PretrainedFrontend
from horizon_st.data.manifest import read_manifest, transcript_of, translation_of
from horizon_st.data.sampling import read_text_pairs
from horizon_st.data.text import load_tokenizer, train_tokenizer
from horizon_st.decoding.trained import fingerprint, load_trained_model, weights_fingerprint
from horizon_st.errors import UserError
from horizon_st.model.build import build_translator
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.training.recipe import Recipe


@dataclass
class Corpus:
    """The data of a run.

    Attributes:
        train_cuts: the triples, read line by line each time.
        dev_cuts: for the dev figures.
        in_domain_pairs: transcripts and translations of the triples that have a transcript.
        external_pairs: of `data.text_pairs`.
        fingerprint: SHA-256 of each file, by its key in the recipe's data section.
    """

    train_cuts: CutSet
    dev_cuts: list[MonoCut]
    in_domain_pairs: list[tuple[str, str]]
    external_pairs: list[tuple[str, str]]
    fingerprint: dict[str, str]

    def sentences(self) -> list[str]:
        """All training text of both languages, once per occurrence."""
        pairs = [*self.in_domain_pairs, *self.external_pairs]
        untranscribed = [
            translation_of(cut) for cut in self.train_cuts if transcript_of(cut) is None
        ]
        return [text for pair in pairs for text in pair] + untranscribed


@dataclass
class Parts:
    """What is trained, and how its input is made."""

    tokenizer: PreTrainedTokenizerBase
    frontend: Frontend
    translator: SpeechTranslatorModel


def read_corpus(recipe: Recipe) -> Corpus:
    """The data that a recipe names.

    Raises:
        UserError: a file is missing or malformed, or a stage would find nothing in it.
    """
    data = recipe.data
    train_cuts = read_manifest(Path(data.train))
    corpus = Corpus(
        train_cuts=train_cuts,
        dev_cuts=list(read_manifest(Path(data.dev))),
        in_domain_pairs=[
            (transcript, translation_of(cut))
            for cut in train_cuts
            if (transcript := transcript_of(cut)) is not None
        ],
        external_pairs=read_text_pairs(Path(data.text_pairs)) if data.text_pairs else [],
        fingerprint={
            key: fingerprint(Path(name))
            for key in ("train", "dev", "text_pairs")
            if (name := getattr(data, key)) is not None
        },
    )
    _check_stages_have_data(recipe, corpus)
    return corpus


def build_parts(recipe: Recipe, corpus: Corpus) -> Parts:
    """The recipe's initial model, or a new one with random or pretrained weights.

    Raises:
        UserError: a model or tokenizer cannot be loaded, or does not fit the recipe.
    """
    needs_ctc = recipe.objective.ctc_weight > 0
    if recipe.initial_model is not None:
        initial = load_trained_model(recipe.initial_model, device="cpu")
        corpus.fingerprint["initial_model"] = weights_fingerprint(initial.folder)
        if needs_ctc and initial.model.ctc_head is None:
            raise UserError(
                "objective.ctc_weight",
                expected=f"0, since {recipe.initial_model} was trained without a CTC head",
                found=recipe.objective.ctc_weight,
                remedy="Set ctc_weight to 0, or train the initial model with ctc_weight above 0.",
            )
        return Parts(initial.tokenizer, initial.frontend, initial.model)
    source = recipe.data.tokenizer or recipe.model.text_model.pretrained
    tokenizer = (
        train_tokenizer(corpus.sentences(), recipe.data.vocab_size)
        if source is None
        else load_tokenizer(source)
    )
    translator = build_translator(
        recipe.model,
        vocab_size=len(tokenizer),
        pad_id=tokenizer.pad_token_id,
        bos_id=tokenizer.bos_token_id,
        eos_id=tokenizer.eos_token_id,
        ctc=needs_ctc,
    )
    return Parts(tokenizer, _new_frontend(recipe), translator)


def _new_frontend(recipe: Recipe) -> Frontend:
    encoder = recipe.model.speech_encoder
    if encoder.pretrained is None:
        return FilterbankFrontend(encoder.num_mel_bins, recipe.data.high_hz)
    return PretrainedFrontend(AutoFeatureExtractor.from_pretrained(encoder.pretrained))


def _check_stages_have_data(recipe: Recipe, corpus: Corpus) -> None:
    trained = recipe.stages.trained
    if "mt_in_domain" in trained and not corpus.in_domain_pairs:
        raise UserError(
            "stages.mt_in_domain.max_steps",
            expected="0 when no training utterance has a transcript",
            found=recipe.stages.mt_in_domain.max_steps,
            remedy=f"Set it to 0, or add transcripts to {recipe.data.train}.",
        )
    text_stages = [name for name in trained if name != "st"]
    if text_stages and all(transcript_of(cut) is None for cut in corpus.dev_cuts):
        raise UserError(
            f"stages.{text_stages[0]}.max_steps",
            expected="0 when no dev utterance has a transcript to measure text translation on",
            found=recipe.stages.of(text_stages[0]).max_steps,
            remedy=f"Set it to 0, or add transcripts to {recipe.data.dev}.",
        )
