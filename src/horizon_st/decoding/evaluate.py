"""A trained model and a manifest to an evaluation folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from horizon_st.data.audio import Cut
from horizon_st.data.collate import Batch, Collator, FeatureCache, make_batch
from horizon_st.data.files import make_folder
from horizon_st.data.manifest import reference_of, transcript_of
from horizon_st.data.shar import files_to_fingerprint, open_cuts
from horizon_st.decoding.configuration import DecodingConfig, Hypothesis, Tokenize
from horizon_st.decoding.evaluation import Evaluation, Sentence, write_evaluation
from horizon_st.decoding.generate import Modality, translate
from horizon_st.decoding.model_folder import fingerprint
from horizon_st.decoding.scoring import build_metrics, score, score_sentences
from horizon_st.decoding.trained import TrainedModel, load_trained_model, weights_fingerprint
from horizon_st.decoding.training_record import record_beside
from horizon_st.display import progress_bar
from horizon_st.versions import package_versions

OnDecoded = Callable[[int, int], None]

_BAR_AFTER_S = 3.0


def evaluate(
    model_dir: str | Path,
    manifest: Path,
    out_dir: Path,
    *,
    config: DecodingConfig | None = None,
    modality: Modality = "speech",
    lowercase: bool = False,
    device: str | None = None,
    on_decoded: OnDecoded | None = None,
) -> Evaluation:
    """The scores and sentences of a model on a manifest; `out_dir` gets both as files.

    Of a test set that has no references at all, the translations alone.

    Args:
        model_dir: folder or hub id of the model.
        manifest: cuts, or shards of them, with a translation each, or all without; for
            `modality="text"` with a transcript each too.
        out_dir: made where missing; an evaluation in it is replaced when the new one is complete.
        config: the search, and BLEU's tokeniser; when None, the default search, and the tokeniser
            of the recipe that trained the model, as `tokenizer_of_run` finds it.
        modality: translate the speech, or the transcripts (to see what the MT path has kept).
        lowercase: score BLEU and chrF without case.
        device: as PyTorch names it; None takes CUDA where it is.
        on_decoded: called after every batch with the utterances done and all of them; when None, a
            bar appears once decoding takes more than a few seconds.

    Raises:
        UserError: the model or the manifest cannot be read, the manifest is empty, its ids are not
            unique, some of it has no translation, a transcript is missing for the text path, the
            tokeniser lacks its dictionaries, the device lacks the precision, or the folder cannot
            be written.
    """
    config = config or DecodingConfig(tokenize=tokenizer_of_run(model_dir))
    build_metrics(lowercase=lowercase, tokenize=config.tokenize)  # refuses before hours of decoding
    cuts, references = _read(manifest)
    make_folder(out_dir)  # for the same reason
    trained = load_trained_model(model_dir, device=device)
    started = time.monotonic()
    hypotheses = _decode(trained, cuts, config, modality, on_decoded)
    wall_s = time.monotonic() - started
    sentences = [_sentence(cut, hypotheses[cut.id]) for cut in cuts]
    scores: dict[str, Any] = {"num_sentences": len(cuts), "metrics": {}}
    if references is not None:
        scores, sentences = _score(sentences, references, lowercase, config.tokenize)
    summary: dict[str, Any] = {
        **scores,
        "scoring": {"lowercase": lowercase, "tokenize": config.tokenize},
        "modality": modality,
        "decoding": asdict(config),
        **_speed(cuts, wall_s, modality),
        "device": str(trained.model.device),
        "model": {"source": str(model_dir), "sha256": weights_fingerprint(trained.folder)},
        "manifest": {"path": str(manifest), "sha256": fingerprint(*files_to_fingerprint(manifest))},
        "versions": package_versions(),
    }
    evaluation = Evaluation(summary, sentences)
    write_evaluation(evaluation, out_dir)
    return evaluation


def tokenizer_of_run(model_dir: str | Path) -> Tokenize:
    """BLEU's tokeniser in the recipe of the run whose model this is; 13a where that is not known.

    Raises:
        UserError: the record of the run cannot be read.
    """
    folder = Path(model_dir)
    record = (record_beside(folder) if folder.is_dir() else None) or {}
    decoding = record.get("recipe", {}).get("decoding", {})
    tokenize: Tokenize = decoding.get("tokenize", DecodingConfig.tokenize)
    return tokenize


def _read(manifest: Path) -> tuple[list[Cut], list[str] | None]:
    """The cuts and their references; None for these where no cut has one."""
    cuts = list(open_cuts(manifest, needs_translation=False))
    references = [text for cut in cuts if (text := reference_of(cut)) is not None]
    if 0 < len(references) < len(cuts):
        for _ in open_cuts(manifest):  # refuses the first without one, and tells its place
            pass
    return cuts, references or None


def _sentence(cut: Cut, hypothesis: Hypothesis) -> Sentence:
    return Sentence(
        id=cut.id,
        hypothesis=hypothesis.text,
        reference=reference_of(cut),
        source=transcript_of(cut),
        duration_s=float(cut.duration),
        log_probability=hypothesis.score,
        num_tokens=hypothesis.num_tokens,
    )


def _score(
    sentences: list[Sentence], references: list[str], lowercase: bool, tokenize: Tokenize
) -> tuple[dict[str, Any], list[Sentence]]:
    """The scores of all, for the summary, and each sentence with its own."""
    texts = [sentence.hypothesis for sentence in sentences]
    scores = score(texts, references, lowercase=lowercase, tokenize=tokenize)
    each = score_sentences(texts, references, lowercase=lowercase, tokenize=tokenize)
    scored = [
        replace(sentence, bleu=bleu, chrf=chrf)
        for sentence, bleu, chrf in zip(sentences, each.bleu, each.chrf, strict=True)
    ]
    return {**scores.to_json(), "sentence_signatures": each.signatures}, scored


def _decode(
    trained: TrainedModel,
    cuts: list[Cut],
    config: DecodingConfig,
    modality: Modality,
    on_decoded: OnDecoded | None,
) -> dict[str, Hypothesis]:
    num_done = 0
    bar = progress_bar("translating", after_s=_BAR_AFTER_S)
    with bar if on_decoded is None else nullcontext(on_decoded) as show:

        def count(num_decoded: int) -> None:
            nonlocal num_done
            num_done += num_decoded
            show(num_done, len(cuts))

        hypotheses = translate(
            trained.model,
            trained.tokenizer,
            _batches(trained, cuts, config.batch_size, modality),
            config,
            modality=modality,
            on_decoded=count,
        )
    return {hypothesis.id: hypothesis for hypothesis in hypotheses}


def _batches(
    trained: TrainedModel, cuts: list[Cut], batch_size: int, modality: Modality
) -> Iterator[Batch]:
    """Batches of similar length; the longest come first: what does not fit fails at once."""
    collate = Collator(FeatureCache(trained.frontend, max_bytes=0), trained.tokenizer)
    by_length = sorted(cuts, key=lambda cut: cut.duration, reverse=True)
    for start in range(0, len(by_length), batch_size):
        chosen = by_length[start : start + batch_size]
        if modality == "speech":
            yield collate(chosen)
        else:
            yield make_batch(
                [cut.id for cut in chosen],
                trained.tokenizer,
                [transcript_of(cut) for cut in chosen],
                [reference_of(cut) for cut in chosen],
            )


def _speed(cuts: list[Cut], wall_s: float, modality: Modality) -> dict[str, float]:
    audio_s = float(sum(cut.duration for cut in cuts))
    speed = {"wall_s": wall_s, "sentences_per_s": len(cuts) / wall_s}
    if modality == "speech":
        speed |= {"audio_s": audio_s, "audio_s_per_s": audio_s / wall_s}
    return speed
