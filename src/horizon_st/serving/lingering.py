"""Refusals that reach clients who are still sending, as most look for an answer only after that."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 5.0
"""So long what a refused client still sends is read, and thrown away; then it is cut off."""


class LingeringRefusals:
    """An application around another one.

    Args:
        app: the other one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the other one does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_read = False

        async def receive_and_note() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = not message.get("more_body", False)
            return message

        async def send_when_read(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER_S):
                        while not is_read:
                            await receive_and_note()
            await send(message)

        await self._app(scope, receive_and_note, send_when_read)
