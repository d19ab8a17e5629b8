"""What is sent to the page, which Gradio takes, within the bounds of the service."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from horizon_st.serving.errors import ApiError, api_error_of
from horizon_st.serving.kept import KeptUploads
from horizon_st.serving.limits import MEGABYTE, FullError, Limits
from horizon_st.serving.uploads import check_length, too_large, unless_idle

_UPLOAD_ROUTE = "/gradio_api/upload"
_ENDLESS_ROUTE = "/gradio_api/heartbeat/"
"""Answers for as long as somebody listens, without a key, and the page has no use for it: it would
keep the server from ending."""


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
            ApiError: a body is not, or the answer would be without end.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _ENDLESS_ROUTE in scope["path"]:
            raise ApiError(404, "Not Found")
        is_upload = scope["path"].endswith(_UPLOAD_ROUTE)
        most_bytes = self._limits.most_bytes + _FORM_BYTES if is_upload else _MOST_OTHER_BYTES
        check_length(Headers(scope=scope), most_bytes)
        num_bytes = 0
        is_read = False
        refusal: ApiError | None = None

        async def receive_within_bounds() -> Message:
            nonlocal num_bytes, is_read, refusal
            if is_read:
                return await receive()  # which waits until the sender leaves
            if refusal is None:
                try:
                    message = await unless_idle(receive(), self._limits.most_idle_s)
                    new = len(message.get("body", b""))
                    num_bytes += new
                    if num_bytes > most_bytes:
                        raise too_large(most_bytes)
                    if is_upload:
                        self._kept.count(new)
                    is_read = not message.get("more_body", False)
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

_MOST_OTHER_BYTES = MEGABYTE
"""Of a question, which names an upload, or of a key; Gradio holds these in memory."""
