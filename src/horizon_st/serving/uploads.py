"""The body of a request -> its fields and its file on disk, never more of either than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from horizon_st.serving.errors import ApiError
from horizon_st.serving.limits import MEGABYTE

_CHARSETS = (b"utf-8", b"utf8")
_MOST_FIELDS = 20
_T = TypeVar("_T")


@asynccontextmanager
async def received(
    request: Request, *, most_bytes: int, most_idle_s: float, deadline: float
) -> AsyncIterator[FormData]:
    """The form of a request; what is large lies in a temporary file until the context ends.

    Args:
        request: whose body has not been read.
        most_bytes: of the body; what is longer is read no further.
        most_idle_s: between two pieces of it.
        deadline: by the event loop's clock, for its last byte.

    Raises:
        ApiError: it is no form, too large, or too slow.
        ClientDisconnect: the sender has gone.
    """
    kind, settings = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise ApiError(400, "Send a form: the content type has to be multipart/form-data.")
    # Some of Python's decode to what no answer can be made of, or fail in ways of their own.
    if settings.get(b"charset", b"utf-8").lower() not in _CHARSETS:
        raise ApiError(400, "The form's charset has to be UTF-8.")
    check_length(request.headers, most_bytes)
    parser = MultiPartParser(
        request.headers,
        _limited(request, most_bytes, most_idle_s),
        max_files=1,
        max_fields=_MOST_FIELDS,
    )
    try:
        async with asyncio.timeout_at(deadline):
            form = await parser.parse()
    except TimeoutError as error:
        raise ApiError(408, "The request took too long to arrive.") from error
    except MultiPartException as error:
        raise ApiError(400, f"The form cannot be read: {error.message}") from error
    try:
        yield form
    finally:
        await form.close()


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """What some work gives, unless the caller hangs up meanwhile, which ends it.

    Raises:
        ClientDisconnect: the caller has gone.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnection(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


def check_length(headers: Headers, most_bytes: int) -> None:
    """Nothing, unless a request says that it is longer.

    Raises:
        ApiError: it does.
    """
    declared = headers.get("content-length", "")
    if declared.isdecimal() and float(declared) > most_bytes:
        raise too_large(most_bytes)


async def unless_idle(coming: Awaitable[_T], most_idle_s: float) -> _T:
    """The next piece of a request.

    Raises:
        ApiError: nothing came for so long.
    """
    try:
        async with asyncio.timeout(most_idle_s):
            return await coming
    except TimeoutError as error:
        raise ApiError(408, f"Nothing of the request came for {most_idle_s:g} s.") from error


async def _limited(
    request: Request, most_bytes: int, most_idle_s: float
) -> AsyncGenerator[bytes, None]:
    num_bytes = 0
    stream = aiter(request.stream())
    with suppress(StopAsyncIteration):
        while True:
            chunk = await unless_idle(anext(stream), most_idle_s)
            num_bytes += len(chunk)
            if num_bytes > most_bytes:
                raise too_large(most_bytes)
            yield chunk


def too_large(most_bytes: int) -> ApiError:
    """The refusal of a request that is."""
    return ApiError(
        413,
        f"The request has more than {most_bytes / MEGABYTE:g} MB. Compress the sound, or cut it.",
        param="file",
        code="request_too_large",
    )


async def _disconnection(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
