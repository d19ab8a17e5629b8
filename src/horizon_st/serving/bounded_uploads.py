"""Uploads to the page, which Gradio takes, within the bounds of the service."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from horizon_st.serving.errors import ApiError, api_error_of
from horizon_st.serving.kept import KeptUploads
from horizon_st.serving.limits import FullError, Limits
from horizon_st.serving.uploads import check_length, too_large, unless_idle

_ROUTE = "/gradio_api/upload"


class BoundedUploads:
    """An application around Gradio's.

    Args:
        app: Gradio's.
        kept: where uploads lie.
        limits: how large one may be, and how slow.
    """

    def __init__(self, app: ASGIApp, kept: KeptUploads, limits: Limits) -> None:
        self._app = app
        self._kept = kept
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as Gradio does, to what is within bounds.

        Raises:
            ApiError: an upload is not.
        """
        if scope["type"] != "http" or not scope["path"].endswith(_ROUTE):
            await self._app(scope, receive, send)
            return
        most_bytes = self._limits.most_bytes + _FORM_BYTES
        check_length(Headers(scope=scope), most_bytes)
        num_bytes = 0
        refusal: ApiError | None = None

        async def receive_within_bounds() -> Message:
            nonlocal num_bytes, refusal
            if refusal is None:
                try:
                    message = await unless_idle(receive(), self._limits.most_idle_s)
                    new = len(message.get("body", b""))
                    num_bytes += new
                    if num_bytes > most_bytes:
                        raise too_large(most_bytes)
                    self._kept.count(new)
                    return message
                except (ApiError, FullError) as error:
                    refusal = api_error_of(error)
            return {"type": "http.disconnect"}  # so that Gradio reads no more of it

        async def send_unless_refused(message: Message) -> None:
            if refusal is None:
                await send(message)

        try:
            await self._app(scope, receive_within_bounds, send_unless_refused)
        except Exception:
            if refusal is None:
                raise
        if refusal is not None:
            raise refusal


_FORM_BYTES = 10_000
"""What a browser writes around a file."""
