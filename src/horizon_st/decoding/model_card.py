"""What is known about a trained model -> its page on the hub: data, recipe, scores, licence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from horizon_st.data.files import whole_file
from horizon_st.decoding.evaluation import Evaluation, read_evaluation
from horizon_st.decoding.trained import weights_fingerprint
from horizon_st.decoding.training_record import WEIGHTS, record_beside
from horizon_st.errors import UserError
from horizon_st.objective.configuration import ObjectiveConfig

CARD_FILE = "README.md"
_PRECISIONS = {"no": "fp32"}
"""As recipes call them; accelerate calls single precision no mixed one."""

_MARK = "<!-- Written by horizon-st, and written anew unless this line is removed. -->"
_USE = """\
It translates recorded speech of the kind and language it was trained on into text. It makes
mistakes, also such that read well: nobody should rely on its output where one would do harm. It was
not built to recognise who speaks.

```python
from horizon_st import SpeechTranslator

translator = SpeechTranslator.from_pretrained("{name}")
print(translator.translate("recording.wav").text)
```
"""
_ANY_PATH = "path/of/this/folder"


def write_card(
    folder: Path,
    *,
    record: Mapping[str, Any] | None = None,
    scores: Sequence[Path] = (),
    licence: str | None = None,
    picture: str | None = None,
    name: str | None = None,
) -> Path:
    """The card, written into the model's folder as README.md, whole or not at all.

    Nothing stands in it that is not known: what is missing is said to be. A card whose owner has
    removed the line that says who wrote it is left as it is, and takes nothing that is given.

    Args:
        folder: of the model.
        record: of the run that trained it; by default ``record.json`` beside the folder, if that
            names these weights.
        scores: folders that `evaluate` wrote for this model.
        licence: as the hub names it, for example cc-by-4.0.
        picture: file name inside the folder, of the regularization horizon.
        name: its id on the hub; without one the title is the recipe's name.

    Raises:
        UserError: scores are missing, damaged, or another model's; or scores, a licence or a
            picture are given for a card that its owner wrote; or the record is damaged.
    """
    path = folder / CARD_FILE
    if _is_owners(path):
        if scores or licence is not None or picture is not None:
            raise UserError(
                str(path),
                expected=f"the line {_MARK} in the card that is to take scores, licence or picture",
                found="a card of your own",
                remedy="Write them into it and leave the options out, or put the line back.",
            )
        return path
    record = record_beside(folder) if record is None else record
    evaluations = [_evaluation_of(folder, path) for path in scores]
    title = name or (str(record["name"]) if record else folder.name)
    data = ModelCardData(
        language=_languages(record) or None,
        license=licence,
        library_name="horizon-st",
        tags=["speech-translation", "horizon-st"],
        model_name=title,
        eval_results=[result for one in evaluations for result in _results(one)] or None,
    )
    body = "\n".join(_body(title, name, record, evaluations, licence, picture))
    with whole_file(path) as file:
        file.write(str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")))
    return path


def _is_owners(path: Path) -> bool:
    if not path.is_file():
        return False
    return _MARK not in path.read_text(encoding="utf-8", errors="replace")


def _evaluation_of(folder: Path, path: Path) -> Evaluation:
    evaluation = read_evaluation(path)
    for key, part in (("model", "sha256"), ("manifest", "path")):
        section = evaluation.summary.get(key)
        if not isinstance(section, dict) or part not in section:
            raise UserError(
                str(path),
                expected=f"the key {key}.{part} in its summary",
                found="none",
                remedy="Run `horizon-st evaluate` into this folder again.",
            )
    if evaluation.summary["model"]["sha256"] != weights_fingerprint(folder):
        raise UserError(
            str(path),
            expected=f"the scores of the model in {folder}",
            found="those of other weights",
            remedy="Run `horizon-st evaluate` with this model.",
        )
    return evaluation


def _languages(record: Mapping[str, Any] | None) -> list[str]:
    data = record["recipe"]["data"] if record else {}
    given = (data.get("source_language"), data.get("target_language"))
    return [language.partition("_")[0] for language in given if language]


def _results(evaluation: Evaluation) -> Iterator[EvalResult]:
    for metric, score in evaluation.summary["metrics"].items():
        yield EvalResult(
            task_type="translation",
            task_name="speech translation",
            dataset_type="manifest",
            dataset_name=_manifest_of(evaluation),
            metric_type=metric.lower(),
            metric_name=metric,
            metric_value=round(score["value"], 2),
            metric_config=score["signature"],
        )


def _body(
    title: str,
    name: str | None,
    record: Mapping[str, Any] | None,
    evaluations: Sequence[Evaluation],
    licence: str | None,
    picture: str | None,
) -> Iterator[str]:
    yield f"{_MARK}\n\n# {title}\n"
    yield "A model for speech translation, trained with Horizon-ST.\n"
    yield "## Intended use\n"
    yield _USE.format(name=name or _ANY_PATH)
    yield "## Scores\n"
    yield from _score_table(evaluations)
    yield "\n## Training\n"
    yield from _training(record) if record else ["Nothing is known about its training."]
    if picture is not None:
        yield f"\n## Regularization horizon\n\n![scores over the weights]({picture})"
    yield "\n## Licence\n"
    yield licence or "Not given: ask whoever published this model before using it."
    yield ""


def _score_table(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    if not evaluations:
        yield "No test scores are given."
        return
    yield "| test set | sentences | metric | score | signature |\n|---|---|---|---|---|"
    for one in evaluations:
        where = f"{_manifest_of(one)} | {one.summary['num_sentences']}"
        for metric, score in one.summary["metrics"].items():
            signature = score["signature"].replace("|", "\\|")
            yield f"| {where} | {metric} | {score['value']:.2f} | `{signature}` |"


def _training(record: Mapping[str, Any]) -> Iterator[str]:
    recipe = record["recipe"]
    objective = ", ".join(_objective(recipe["objective"]))
    yield f"- Recipe `{record['name']}`, seed {record['seed']}; objective: {objective}."
    precision = _PRECISIONS.get(record["precision"], record["precision"])
    yield f"- {record['num_parameters']:,} parameters, precision {precision}."
    for name, digest in record["data_fingerprint"].items():
        is_data = name in recipe["data"]
        title = f"Data `{name}`" if is_data else name.replace("_", " ").capitalize()
        value = recipe["data"][name] if is_data else recipe.get(name)
        yield f"- {title}: {_short(value)} (SHA-256 `{digest[:16]}…`)."
    for stage in record["stages"]:
        final = ", ".join(f"{key} {value:.2f}" for key, value in (stage["final"] or {}).items())
        yield f"- Stage `{stage['name']}`: {stage['steps']} updates; on the dev set: {final}."
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    yield f"- Versions: {versions}."


def _objective(settings: Mapping[str, Any]) -> Iterator[str]:
    """Its weights, and what else is not as usual."""
    for key, symbol in WEIGHTS.items():
        yield f"{symbol} = {settings[key]:g}"
    yield from _unusual(settings, asdict(ObjectiveConfig()))


def _unusual(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[str]:
    for key, default in usual.items():
        value = settings.get(key, default)
        if isinstance(value, Mapping):
            yield from (f"{key}.{line}" for line in _unusual(value, default))
        elif key not in WEIGHTS and value != default:
            yield f"{key} = {value}"


def _manifest_of(evaluation: Evaluation) -> str:
    return _short(evaluation.summary["manifest"]["path"])


def _short(path: object) -> str:
    """The end of a path: where a machine keeps its files tells nobody anything."""
    return "unnamed" if path is None else "/".join(Path(str(path)).parts[-2:])
