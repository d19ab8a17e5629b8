"""The web page of a service: recordings in, translations as they are ready, subtitles out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio
from fastapi import FastAPI
from gradio.utils import get_upload_folder
from starlette.routing import Mount

from horizon_st.inference.formats import Format, TranslatedRecording, to_text
from horizon_st.inference.pipeline import TranslatedSegment
from horizon_st.serving.bounded_uploads import BoundedUploads
from horizon_st.serving.errors import api_error_of
from horizon_st.serving.kept import KeptUploads
from horizon_st.serving.keys import Keys
from horizon_st.serving.reading import RefusedRecordingError
from horizon_st.serving.service import TranslationService

DOWNLOADS: tuple[Format, ...] = ("srt", "vtt", "txt")
_ASSETS = files(__package__) / "assets"

_SHOWN_LATER = 0.02
"""The most that is known and not shown yet, of all that is: each time Gradio handles all of it, and
one by one the cost would grow with the square of the length."""


def add_page(app: FastAPI, service: TranslationService, *, model_name: str, keys: Keys) -> None:
    """Puts the page at ``/``, behind the routes that the application has.

    Args:
        app: the application.
        service: what translates.
        model_name: what the page says that the model is.
        keys: if there are any, the page asks for one before it shows or takes anything.
    """
    # Where no event loop runs, Gradio makes some, and never closes them; in a thread of its own it
    # gets one, whatever the caller has.
    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, _mount(app, service, model_name, keys)).result()


async def _mount(app: FastAPI, service: TranslationService, model_name: str, keys: Keys) -> None:
    kept = KeptUploads(Path(get_upload_folder()), service.limits.most_kept_bytes)
    gradio.mount_gradio_app(
        app,
        make_page(service, kept, model_name),
        path="/",
        auth=partial(_allows, keys) if keys.are_needed else None,
        auth_message="The password is a key of this server. Write any user name, but write one.",
        max_file_size=service.limits.most_bytes,
        css=(_ASSETS / "page.css").read_text(encoding="utf-8"),
        theme=gradio.themes.Base(  # by default, fonts come from another server
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
    )
    mount = app.routes[-1]
    assert isinstance(mount, Mount)
    assert isinstance(mount.app, gradio.routes.App)
    mount.app.uploaded_file_dir = str(kept.path)
    mount.app = BoundedUploads(mount.app, kept, service.limits)
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def keeping(app: FastAPI) -> AsyncIterator[Any]:
        async with kept.open(), lifespan(app) as state:
            yield state

    app.router.lifespan_context = keeping


def make_page(service: TranslationService, kept: KeptUploads, model_name: str) -> gradio.Blocks:
    """One component, whose script uploads, asks for a translation, and shows what comes of it."""
    page = gradio.Blocks(title="Horizon-ST", analytics_enabled=False)
    with page:
        view = gradio.HTML(
            html_template=(_ASSETS / "page.html").read_text(encoding="utf-8"),
            js_on_load=(_ASSETS / "page.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            model_name=model_name,
            most_mb=service.limits.most_mb,
        )
        running = view.submit(
            partial(translate_upload, service, kept),
            inputs=view,
            outputs=view,
            show_progress="hidden",
            concurrency_limit=None,  # the service has its own
            api_visibility="private",
        )
        view.stop(None, cancels=[running], api_visibility="private")
    return page


async def translate_upload(
    service: TranslationService, kept: KeptUploads, asked: object
) -> AsyncIterator[dict[str, Any]]:
    """What the page shows of a recording: each time all of it, nearly as far as it is known.

    Args:
        service: what translates.
        kept: where uploads lie.
        asked: from the browser: the `path` of an uploaded file, its `name`, and what else the
            script knows its question by.
    """
    shown: dict[str, Any] = {"asked": asked, "segments": []}
    rows: list[dict[str, Any]] = []
    try:
        path, name = _read(asked, kept)
        with kept.hearing(path) as hearing:
            async with service.open(path, name=name, on_block=hearing) as opened:
                shown |= {
                    "duration_s": opened.duration_s,
                    # Gradio looks into every list each time, into no text.
                    "bars": " ".join(map(str, hearing.finish())),
                    "sound": gradio.FileData(path=str(kept.sound_of(path))).model_dump(),
                }
                yield shown
                segments: list[TranslatedSegment] = []
                recording = TranslatedRecording(
                    name, opened.duration_s, segments, unsure_below=service.unsure_below
                )
                async for segment in opened:
                    segments.append(segment)
                    rows.append(_row(segment, recording))
                    if len(rows) - len(shown["segments"]) > len(rows) * _SHOWN_LATER:
                        shown = shown | {"segments": [*rows]}
                        yield shown
        yield shown | {
            "segments": rows,
            "texts": {form: to_text(recording, form) for form in DOWNLOADS},
        }
    except Exception as error:
        refusal = api_error_of(error)
        yield shown | {"segments": rows, "error": str(refusal)}
        if refusal.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise  # to the log


def _read(asked: object, kept: KeptUploads) -> tuple[Path, str]:
    """The file and its name, of whatever a stranger may have sent."""
    match asked:
        case {"path": str(given), "name": str(name)}:
            path = kept.find(given)
            if path is not None:
                return path, name
    raise RefusedRecordingError(
        "upload",
        expected="a file that was uploaded a moment ago",
        found="none",
        remedy="Choose the file again.",
    )


def _row(segment: TranslatedSegment, recording: TranslatedRecording) -> dict[str, Any]:
    return {
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "text": segment.text,
        "confidence": segment.confidence,
        "unsure": recording.is_unsure(segment),
    }


def _allows(keys: Keys, user: str, password: str) -> bool:
    return keys.allow(f"Bearer {password}")
