"""The service on a Ray cluster: one front that callers talk to, and several replicas of the model.

    serve run horizon_st.serving.ray_deployment:build model=/shared/model replicas=4

All callers' segments go through the front's one queue, so that they share batches, and what it
counts and refuses is true for all; only batches go to the replicas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.errors import UserError
from horizon_st.extras import check_extra
from horizon_st.inference.pipeline import SpeechTranslator, TranslatedSegment
from horizon_st.inference.segmenter import SegmenterConfig, SpeechSegment
from horizon_st.serving.keys import read_keys
from horizon_st.serving.limits import Limits

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray import serve

_DEFAULTS: dict[str, Any] = {
    **{"replicas": 2, "cpus": 1.0, "gpus": 0.0, "beam_size": 5, "batch_size": 16},
    **{"queue": 64, "max_mb": 200.0, "max_minutes": 180.0},
}
_PACKAGES = ("fastapi", "prometheus_client", "python_multipart", "ray", "uvicorn")
_NAME = "Translator"
_SPARE_REQUESTS = 1_000
"""More than the queue that Ray lets through to the front, which answers them that it is full."""


def build(options: Mapping[str, str]) -> serve.Application:
    """The application, as `serve run` asks for it.

    Args:
        options: ``model``, a folder that all nodes see or a hub id; how many ``replicas``, and the
            ``cpus`` and ``gpus`` of each; ``beam_size``, ``batch_size``, ``queue``, ``max_mb`` and
            ``max_minutes`` as of `horizon-st serve`.

    Raises:
        UserError: an option is unknown, missing or no number, or the extra `ray` is not installed.
    """
    check_extra("horizon_st.serving.ray_deployment", "ray", _PACKAGES)
    from ray import serve

    model, chosen = _read_options(options)
    search = DecodingConfig(beam_size=chosen["beam_size"], batch_size=chosen["batch_size"])
    limits = Limits(
        most_mb=chosen["max_mb"], most_minutes=chosen["max_minutes"], queue=chosen["queue"]
    )
    num_replicas = chosen["replicas"]

    def make_app() -> FastAPI:
        from horizon_st.serving.app import create_app
        from horizon_st.serving.server import model_name_of
        from horizon_st.serving.service import TranslationService

        handle = serve.get_deployment_handle(_NAME, app_name=serve.get_replica_context().app_name)
        with ThreadPoolExecutor(1) as thread:  # Ray waits for answers on no thread with a loop
            replica = thread.submit(_RayReplicas, handle).result()
        service = TranslationService(*[replica] * num_replicas, limits=limits)
        return create_app(service, model_name=model_name_of(model), keys=read_keys(None))

    translators = serve.deployment(
        name=_NAME,
        num_replicas=num_replicas,
        max_ongoing_requests=1,
        ray_actor_options={"num_cpus": chosen["cpus"], "num_gpus": chosen["gpus"]},
    )(_Translator)
    front = serve.deployment(name="Front", max_ongoing_requests=limits.queue + _SPARE_REQUESTS)(
        serve.ingress(make_app)()
    )
    num_threads = max(1, int(chosen["cpus"]))
    return front.bind(translators.bind(model, search, num_threads))


class _Translator:
    """A replica of the model."""

    def __init__(self, model: str, search: DecodingConfig, num_threads: int) -> None:
        self._translator = SpeechTranslator.from_pretrained(
            model, config=search, num_threads=num_threads
        )

    def describe(self) -> tuple[DecodingConfig, SegmenterConfig]:
        return self._translator.config, self._translator.segmenter

    def translate_segments(self, segments: Sequence[SpeechSegment]) -> list[TranslatedSegment]:
        return self._translator.translate_segments(segments)


class _RayReplicas:
    """The replicas as the service sees them: a batch goes to whichever is free."""

    def __init__(self, handle: serve.handle.DeploymentHandle[Any]) -> None:
        self._handle = handle
        self.config: DecodingConfig
        self.segmenter: SegmenterConfig
        self.config, self.segmenter = handle.describe.remote().result()

    def translate_segments(self, segments: Sequence[SpeechSegment]) -> list[TranslatedSegment]:
        translated: list[TranslatedSegment] = self._handle.translate_segments.remote(
            segments
        ).result()
        return translated


def _read_options(options: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    given = dict(options)
    model = given.pop("model", None)
    unknown = [*given.keys() - _DEFAULTS.keys()]
    if model is None or unknown:
        raise UserError(
            "options",
            expected="model=FOLDER, and of " + ", ".join(_DEFAULTS) + " what shall differ",
            found=", ".join(unknown) or "no model",
            remedy="Write them as NAME=VALUE behind horizon_st.serving.ray_deployment:build.",
        )
    chosen = dict(_DEFAULTS)
    for name, value in given.items():
        try:
            chosen[name] = type(_DEFAULTS[name])(value)
        except ValueError as error:
            raise UserError(
                name,
                expected="a number",
                found=value,
                remedy=f"The default is {_DEFAULTS[name]}.",
            ) from error
    return model, chosen
