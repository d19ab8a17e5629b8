"""The part of the OpenAI audio API that a speech translator can serve, as clients know it."""

from __future__ import annotations

import time
import zlib
from typing import Any, Literal, cast, get_args

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import FormData, UploadFile
from starlette.routing import Match

from horizon_st.inference.formats import TranslatedRecording, to_text
from horizon_st.inference.line_breaks import join_texts
from horizon_st.inference.pipeline import TranslatedSegment
from horizon_st.serving.errors import ApiError
from horizon_st.serving.service import TranslationService
from horizon_st.serving.uploads import received, unless_gone

Shape = Literal["json", "text", "srt", "vtt", "verbose_json"]

COMMON_NAME = "whisper-1"
"""The one model of the original's translations, which clients ask for whatever the server."""

_FIELDS = ("file", "model", "prompt", "response_format", "temperature")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_FRAMES_PER_S = 100
"""Of `seek`, as in Whisper."""

_FORM = {
    "type": "object",
    "required": ["file", "model"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "Audio or video."},
        "model": {"type": "string"},
        "prompt": {"type": "string", "description": "Accepted, and without effect."},
        "response_format": {"type": "string", "enum": get_args(Shape), "default": "json"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
    },
}
_BODY = {"requestBody": {"content": {"multipart/form-data": {"schema": _FORM}}, "required": True}}


def make_router(service: TranslationService, model_name: str) -> APIRouter:
    """The routes below /v1.

    Args:
        service: what translates.
        model_name: what the model is called in the API.
    """
    router = APIRouter(prefix="/v1")
    model = {
        **{"id": model_name, "object": "model"},
        **{"created": int(time.time()), "owned_by": "horizon-st"},
    }

    @router.post("/audio/translations", openapi_extra=_BODY, response_class=Response)
    async def create_translation(request: Request) -> Response:
        """Translates a recording."""
        with service.accept() as place:
            limits = service.limits
            async with received(
                request,
                most_bytes=limits.most_bytes,
                most_idle_s=limits.most_idle_s,
                deadline=place.deadline,
            ) as form:
                upload, shape = _read_form(form, model_name)
                name = upload.filename or "file"
                work = service.translate(cast("Any", upload.file), name=name, place=place)
                return _answer(await unless_gone(request, work), shape)

    @router.get("/models")
    async def list_models() -> dict[str, Any]:
        """The one model."""
        return {"object": "list", "data": [model]}

    @router.get("/models/{model_id:path}")
    async def retrieve_model(model_id: str) -> dict[str, Any]:
        """The model."""
        _check_model(model_id, model_name)
        return model

    served = list(router.routes)

    # Without it, what else the original has would be taken for an address of the page.
    @router.api_route("/{path:path}", methods=_METHODS, include_in_schema=False)
    async def refuse(request: Request) -> None:
        """Says what there is instead."""
        asked = f"{request.method} {request.url.path}"
        if any(route.matches(request.scope)[0] is Match.PARTIAL for route in served):
            raise ApiError(405, f"Invalid method: {asked}.", code="method_not_supported")
        raise ApiError(
            404,
            f"Invalid URL: {asked}. This server translates: POST /v1/audio/translations.",
            code="unknown_url",
        )

    return router


def _read_form(form: FormData, model_name: str) -> tuple[UploadFile, Shape]:
    for field in form:
        if field not in _FIELDS:
            raise ApiError(
                400, f"Unknown parameter: '{field}'.", param=field, code="unknown_parameter"
            )
    values = {field: form[field] for field in form}
    upload = values.pop("file", None)
    if not isinstance(upload, UploadFile):
        found = "Missing required parameter" if upload is None else "Not a file"
        raise ApiError(400, f"{found}: 'file'.", param="file", code="missing_required_parameter")
    for field, value in values.items():
        if not isinstance(value, str):
            raise ApiError(
                400, f"'{field}' has to be text, not a file.", param=field, code="invalid_type"
            )
    texts = cast("dict[str, str]", values)
    if not texts.get("model"):
        raise ApiError(
            400,
            "Missing required parameter: 'model'.",
            param="model",
            code="missing_required_parameter",
        )
    _check_model(texts["model"], model_name)
    _check_temperature(texts.get("temperature", "0"))
    shape = texts.get("response_format", "json")
    if shape not in get_args(Shape):
        raise ApiError(
            400,
            f"Invalid value: '{shape}'. Supported values are: "
            + ", ".join(f"'{one}'" for one in get_args(Shape))
            + ".",
            param="response_format",
            code="invalid_value",
        )
    return upload, cast("Shape", shape)


def _check_model(asked: str, model_name: str) -> None:
    if asked not in (model_name, COMMON_NAME):
        raise ApiError(
            404,
            f"The model '{asked}' does not exist. This server has '{model_name}'.",
            param="model",
            code="model_not_found",
        )


def _check_temperature(asked: str) -> None:
    """As the original; it has no effect, since the model searches and does not sample."""
    try:
        temperature = float(asked)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= 1:
        raise ApiError(
            400,
            f"Invalid value: '{asked}'. Expected a number between 0 and 1.",
            param="temperature",
            code="invalid_value",
        )


def _answer(recording: TranslatedRecording, shape: Shape) -> Response:
    text = join_texts(segment.text for segment in recording.segments)
    match shape:
        case "json":
            return JSONResponse({"text": text})
        case "text":
            return PlainTextResponse(text + "\n")
        case "verbose_json":
            return JSONResponse(_verbose(recording, text))
    return PlainTextResponse(to_text(recording, shape))


def _verbose(recording: TranslatedRecording, text: str) -> dict[str, Any]:
    return {
        "task": "translate",
        "language": "unknown",
        "duration": round(recording.duration_s, 3),
        "text": text,
        "segments": [
            _verbose_segment(number, segment, recording.is_unsure(segment))
            for number, segment in enumerate(recording.segments)
        ],
    }


def _verbose_segment(number: int, segment: TranslatedSegment, is_unsure: bool) -> dict[str, Any]:
    """As Whisper gives it; and how sure the model is, in words of this project."""
    encoded = segment.text.encode()
    return {
        "id": number,
        "seek": int(segment.start_s * _FRAMES_PER_S),
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": segment.score,
        "compression_ratio": len(encoded) / len(zlib.compress(encoded)),
        "no_speech_prob": 0.0,
        "confidence": round(segment.confidence, 4),
        "unsure": is_unsure,
    }
