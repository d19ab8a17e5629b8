"""A service -> an application that speaks HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from horizon_st.serving.errors import HANDLERS, ApiError
from horizon_st.serving.keys import Keys
from horizon_st.serving.lingering import LingeringRefusals
from horizon_st.serving.measuring import MeasuredRequests
from horizon_st.serving.openai_api import make_router
from horizon_st.serving.service import TranslationService


def create_app(
    service: TranslationService,
    *,
    model_name: str = "horizon-st",
    keys: Keys | None = None,
    page: bool = False,
) -> FastAPI:
    """The API, and a page for people.

    When it shuts down, the service finishes what it has accepted and closes.

    Args:
        service: what translates.
        model_name: what the model is called in the API.
        keys: who may use the page and what lies below /v1; without any, everybody.
        page: whether there is a page at /, which takes Gradio.
    """
    keys = keys or Keys()

    @asynccontextmanager
    async def closing(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    def check_key(request: Request) -> None:
        if not keys.allow(request.headers.get("authorization")):
            raise ApiError(401, "Missing or incorrect API key.", code="invalid_api_key")

    app = FastAPI(title="Horizon-ST", lifespan=closing, exception_handlers=HANDLERS)
    app.add_middleware(LingeringRefusals)
    app.add_middleware(MeasuredRequests, metrics=service.metrics)
    app.include_router(make_router(service, model_name), dependencies=[Depends(check_key)])

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz")
    async def is_alive() -> dict[str, str]:
        """Whether the process answers at all."""
        return {"status": "ok"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz")
    async def is_ready() -> Response:
        """Whether it would accept a request now: 503 while all places are taken."""
        return Response(status_code=200 if service.has_place else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.to_text(), media_type=CONTENT_TYPE_LATEST)

    if page:
        from horizon_st.serving.page import add_page  # takes seconds

        add_page(app, service, model_name=model_name, keys=keys)
    return app
