"""Command to serve a trained model over HTTP: serve."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from horizon_st.cli.options import (
    BeamSize,
    Device,
    LengthPenalty,
    Longest,
    LongestPause,
    Precision,
    RuntimeChoice,
    SegmentsAtOnce,
    TargetLength,
    UnsureBelow,
)
from horizon_st.cli.terminal import console
from horizon_st.extras import check_extra

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from horizon_st.serving.batches import Replica

_PACKAGES = ("fastapi", "prometheus_client", "python_multipart", "uvicorn")
_PACKAGES_OF_PAGE = ("gradio",)


def serve(
    model: Annotated[str, typer.Argument(help="Folder or hub id.")],
    host: Annotated[str, typer.Option(help="0.0.0.0 serves other machines, too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any that is free.")] = 8000,
    workers: Annotated[
        int,
        typer.Option(
            min=1, help="Copies of the model, which share the cores or take GPUs in turn."
        ),
    ] = 1,
    name: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it
        typer.Option(help="Of the model in the API; its hub id, run or folder by default."),
    ] = None,
    api_key_file: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it
        typer.Option(help="Keys that clients have to send, one a line; or HORIZON_ST_API_KEYS."),
    ] = None,
    max_mb: Annotated[float, typer.Option(help="Largest request.")] = 200.0,
    max_minutes: Annotated[float, typer.Option(help="Longest recording.")] = 180.0,
    max_wait: Annotated[
        float, typer.Option(help="Seconds from a request's beginning to its answer.")
    ] = 1800.0,
    max_idle: Annotated[
        float, typer.Option(help="Seconds between two pieces of a request.")
    ] = 30.0,
    queue: Annotated[
        int, typer.Option(help="Requests accepted and not answered yet; more get status 429.")
    ] = 64,
    page: Annotated[bool, typer.Option(help="Whether there is a page for people, at /.")] = True,
    longest: Longest = 20.0,
    longest_pause: LongestPause = 0.8,
    target_length: TargetLength = 0.0,
    unsure_below: UnsureBelow = 0.6,
    beam_size: BeamSize = 5,
    length_penalty: LengthPenalty = 1.0,
    batch_size: SegmentsAtOnce = 16,
    precision: Precision = "fp32",
    runtime: RuntimeChoice = None,
    device: Device = None,
) -> None:
    """Serve a model over HTTP: as the OpenAI audio API defines it, and a page for people."""
    packages = [*_PACKAGES, *(_PACKAGES_OF_PAGE if page else ())]
    check_extra("horizon-st serve", "serve", packages)
    from horizon_st.decoding.configuration import DecodingConfig
    from horizon_st.inference.segmenter import SegmenterConfig
    from horizon_st.serving.app import create_app
    from horizon_st.serving.keys import read_keys
    from horizon_st.serving.limits import Limits
    from horizon_st.serving.server import address_of, listen, model_name_of, run_server
    from horizon_st.serving.service import TranslationService

    limits = Limits(
        most_mb=max_mb,
        most_minutes=max_minutes,
        most_wait_s=max_wait,
        most_idle_s=max_idle,
        queue=queue,
    )
    keys = read_keys(api_key_file)
    settings = {
        "config": DecodingConfig(
            beam_size=beam_size,
            length_penalty=length_penalty,
            batch_size=batch_size,
            precision=precision,
        ),
        "segmenter": SegmenterConfig(
            longest_s=longest, longest_pause_s=longest_pause, target_s=target_length
        ),
        "runtime": runtime,
        "device": device,
    }
    with listen(host, port) as listener, _replicas(model, workers, settings) as replicas:
        service = TranslationService(*replicas, limits=limits, unsure_below=unsure_below)
        model_name = name or model_name_of(model)
        app = create_app(service, model_name=model_name, keys=keys, page=page)
        address = address_of(listener)
        shown = f"; a page for people at {address}" if page else ""
        console.print(
            f"Serving {model_name} at {address}/v1, documented at {address}/docs{shown}",
            soft_wrap=True,
        )
        run_server(app, listener, grace_s=limits.most_wait_s)


def _replicas(
    model: str, num_replicas: int, settings: dict[str, Any]
) -> AbstractContextManager[Sequence[Replica]]:
    from horizon_st.inference.pipeline import SpeechTranslator
    from horizon_st.serving.replicas import replica_processes

    if num_replicas == 1:
        return nullcontext([SpeechTranslator.from_pretrained(model, **settings)])
    return replica_processes(model, num_replicas, **settings)
