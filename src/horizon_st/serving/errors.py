"""Answers that say no, in the shape of the OpenAI API."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from horizon_st.serving.limits import BusyError, FullError, LostReplicaError, OutOfTimeError
from horizon_st.serving.reading import RefusedRecordingError

HUNG_UP = 499
"""The status, for the metrics, of an answer that nobody waited for (nginx's)."""

_LOST_RETRY_S = 5


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        message: what is wrong, for people.
        param: the field that is wrong.
        code: what is wrong, for programs.
        kind: the API's class of error.
        retry_after_s: when to try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.content = {"message": message, "type": kind, "param": param, "code": code}
        # Of a body that is not wanted, the rest is not waited for.
        self.headers = {"Connection": "close"}
        if retry_after_s is not None:
            self.headers["Retry-After"] = f"{retry_after_s:.0f}"
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"

    def to_response(self) -> Response:
        """As the API puts it."""
        return JSONResponse({"error": self.content}, self.status, self.headers)


def api_error_of(error: Exception) -> ApiError:
    """What callers learn of an error."""
    match error:
        case ApiError():
            return error
        case RefusedRecordingError():
            return ApiError(400, str(error), param="file", code="invalid_audio")
        case BusyError() | FullError():
            return ApiError(
                429,
                str(error),
                kind="rate_limit_exceeded",
                code="rate_limit_exceeded",
                retry_after_s=error.retry_after_s,
            )
        case OutOfTimeError() | LostReplicaError():
            return ApiError(503, str(error), kind="server_error", retry_after_s=_LOST_RETRY_S)
        case HTTPException():
            return ApiError(error.status_code, error.detail)
    return ApiError(500, "The server had an error. Its log says which.", kind="server_error")


async def answer_error(request: Request, error: Exception) -> Response:
    """The handler of every error of the application."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=HUNG_UP)
    return api_error_of(error).to_response()


HANDLERS: dict[Any, Any] = dict.fromkeys(
    (
        ApiError,
        RefusedRecordingError,
        BusyError,
        FullError,
        OutOfTimeError,
        LostReplicaError,
        ClientDisconnect,
        HTTPException,
        Exception,
    ),
    answer_error,
)
"""By class of error, as FastAPI takes them."""
