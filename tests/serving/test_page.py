"""What the page is told of a recording, what it plays, and what stands beside it on the server."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from threading import Event

import httpx2
import numpy as np
import pytest
import soundfile
import srt
from starlette.testclient import TestClient

from horizon_st.data.audio import load_audio
from horizon_st.errors import UserError
from horizon_st.serving import page
from horizon_st.serving.app import create_app
from horizon_st.serving.hearing import LOUDEST_BAR, hear
from horizon_st.serving.keys import Keys
from horizon_st.serving.limits import Limits
from horizon_st.serving.page import translate_upload
from horizon_st.serving.service import TranslationService

RATE = 16_000


@pytest.fixture(autouse=True)
def uploads(tmp_path, monkeypatch):
    """Where what is sent to the page is kept."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


@pytest.fixture
def show():
    """A function: (replica, question, settings of the service) -> all that the page shows."""

    def collect(replica, asked, *, unsure_below=0.6, **limits):
        service = TranslationService(replica, limits=Limits(**limits), unsure_below=unsure_below)

        async def go():
            return [state async for state in translate_upload(service, asked)]

        try:
            return asyncio.run(go())
        finally:
            service.close()

    return collect


def uploaded(path, folder, **more):
    return {"path": str(shutil.copy(path, folder)), "name": path.name} | more


def test_what_is_shown_grows_into_what_the_service_translates(show, translator, talk, uploads):
    expected = [*translator.translate_recording(talk)]
    threshold = sorted(one.confidence for one in expected)[1]
    asked = uploaded(talk, uploads, run=3)
    states = show(translator, asked, unsure_below=threshold)
    counts = [len(state["segments"]) for state in states]
    assert counts == [*range(len(expected) + 1), len(expected)]
    duration_s = soundfile.info(talk).duration
    assert all(one["asked"] == asked and one["duration_s"] == duration_s for one in states)
    last = states[-1]
    assert [(one["start_s"], one["end_s"], one["text"]) for one in last["segments"]] == [
        (one.start_s, one.end_s, one.text) for one in expected
    ]
    assert [one["unsure"] for one in last["segments"]] == [
        one["confidence"] < threshold for one in last["segments"]
    ]
    assert sum(one["unsure"] for one in last["segments"]) == 1
    assert all("texts" not in state for state in states[:-1])
    assert last["texts"].keys() == {"srt", "vtt", "txt"}
    assert [*srt.parse(last["texts"]["srt"])]
    assert last["texts"]["srt"].count("[?]") >= 1
    json.dumps(states)  # what the browser gets


def test_a_recording_without_speech(show, translator, uploads):
    path = uploads / "silence.wav"
    soundfile.write(path, np.zeros(2 * RATE, np.float32), RATE)
    last = show(translator, {"path": str(path), "name": "silence.wav"})[-1]
    assert last["segments"] == []
    assert last["texts"] == {"srt": "", "vtt": "WEBVTT\n", "txt": ""}
    assert {*last["bars"]} == {0}


def test_refusals_are_shown_and_name_the_file_as_its_sender_does(show, translator, talk, uploads):
    text = uploads / "0a1b.mp3"
    text.write_text("not audio", encoding="utf-8")
    [state] = show(translator, {"path": str(text), "name": "song.mp3"})
    assert re.match(r"song\.mp3: expected whole audio .*", state["error"])
    assert str(uploads) not in state["error"]
    [state] = show(translator, uploaded(talk, uploads), most_minutes=0.1)
    assert "expected at most 0.1 minutes of sound" in state["error"]
    assert [path.suffix for path in uploads.iterdir()].count(".wav") == 0


@pytest.mark.parametrize("kind", ["elsewhere", "upwards", "nothing", "no path", "no name"])
def test_only_what_was_uploaded_is_translated(show, translator, talk, uploads, kind):
    within = str(shutil.copy(talk, uploads))
    asked = {
        "elsewhere": {"path": str(talk), "name": "talk"},
        "upwards": {"path": f"{uploads}/../{talk.name}", "name": "talk"},
        "nothing": None,
        "no path": {"path": 3, "name": "talk"},
        "no name": {"path": within},
    }[kind]
    shutil.copy(talk, uploads.parent)
    [state] = show(translator, asked)
    assert state["error"].startswith("upload: expected a file that was uploaded a moment ago")
    assert state["segments"] == []


def test_a_fault_of_the_server_is_shown_and_goes_to_its_log(show, make_replica, talk, uploads):
    replica = make_replica()
    replica.translate_segments = lambda segments: 1 / 0
    service = TranslationService(replica)
    states = []

    async def go():
        async for state in translate_upload(service, uploaded(talk, uploads)):
            states.append(state)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(go())
    service.close()
    assert states[-1]["error"].startswith("The server had an error")


def test_a_full_service_says_when_to_come_back(replica, talk, uploads):
    service = TranslationService(replica, limits=Limits(queue=1))

    async def go():
        with service.accept():
            return [state async for state in translate_upload(service, uploaded(talk, uploads))]

    [state] = asyncio.run(go())
    replica.go.set()
    service.close()
    assert re.fullmatch(r"The server translates as much .* Try again in \d+ s\.", state["error"])


@pytest.mark.parametrize("ending", ["mp3", "flac", "wav"])
def test_what_is_played_is_what_the_model_hears(speech, tmp_path, ending):
    path = tmp_path / f"speech.{ending}"
    soundfile.write(path, np.stack([speech(3), speech(3, start_s=5)], axis=1), RATE)
    heard = hear(path, tmp_path)
    found, rate = soundfile.read(heard.path, dtype="float32")
    expected = load_audio(path)
    assert rate == RATE
    assert np.abs(found - expected).max() <= 2**-15


@pytest.mark.parametrize(("duration_s", "num_bars"), [(0.5, 25), (30, 200), (200, 600)])
def test_bars_are_the_loudest_samples_of_equal_parts(tmp_path, duration_s, num_bars):
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, int(duration_s * RATE)) * rng.uniform(size=int(duration_s * RATE))
    samples = np.clip(samples, -1, 1)
    path = tmp_path / "noise.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    bars = hear(path, tmp_path).bars
    assert len(bars) == num_bars
    # Parts begin at the 20 ms before.
    starts = [
        20 * (number * int(50 * duration_s) // num_bars) * RATE // 1000
        for number in range(num_bars)
    ]
    expected = [
        np.abs(samples[a:b]).max() for a, b in zip(starts, [*starts[1:], len(samples)], strict=True)
    ]
    assert bars == pytest.approx(LOUDEST_BAR * np.array(expected) / max(expected), abs=0.51)


def test_a_damaged_recording_leaves_nothing_behind(tmp_path, speech):
    path = tmp_path / "cut.flac"
    soundfile.write(path, speech(5), RATE)
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(UserError, match="cut"):
        hear(path, tmp_path)
    assert [*tmp_path.glob("*.wav")] == []


def test_who_stops_while_it_is_read_leaves_no_file(replica, talk, uploads, monkeypatch):
    begun, go_on, heard = Event(), Event(), []

    def slowly(path, folder):
        begun.set()
        go_on.wait()
        heard.append(hear(path, folder))
        return heard[0]

    monkeypatch.setattr(page, "hear", slowly)
    service = TranslationService(replica)

    async def go():
        step = asyncio.ensure_future(anext(translate_upload(service, uploaded(talk, uploads))))
        async with asyncio.timeout(60):
            await asyncio.to_thread(begun.wait)
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
            go_on.set()
            while not (heard and not heard[0].path.exists()):
                await asyncio.sleep(0.01)

    asyncio.run(go())
    service.close()


def test_nothing_that_was_uploaded_outlives_the_server(replica, talk, uploads):
    with TestClient(create_app(TranslationService(replica), page=True)) as client:
        answer = client.post("/gradio_api/upload", files={"files": talk.read_bytes()})
        [path] = answer.json()
        assert Path(path).is_relative_to(uploads)
        assert Path(path).exists()
    assert [one for one in uploads.rglob("*") if one.is_file()] == []


def test_the_page_leaves_everything_else_in_its_place(live, translator):
    address = live(translator, app={"page": True, "model_name": "tiny"})
    with httpx2.Client(base_url=address) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert "Translate a recording" in page.text
        assert client.get("/healthz").json() == {"status": "ok"}
        assert "horizon_st_requests" in client.get("/metrics").text
        assert client.get("/v1/models").json()["data"][0]["id"] == "tiny"
        assert client.get("/v1/nothing").status_code == 404
        assert client.post("/v1/audio/translations").status_code == 400
        fonts = re.findall(r"https?://[^\"' ]*(?:font|cdn|analytics)[^\"' ]*", page.text)
        assert fonts == []


def test_uploads_are_no_larger_than_requests(live, translator, uploads):
    address = live(translator, app={"page": True}, most_mb=0.1)
    for size, status in [(90_000, 200), (200_000, 413)]:
        files = {"files": ("noise.wav", bytes(size))}
        answer = httpx2.post(f"{address}/gradio_api/upload", files=files)
        assert answer.status_code == status


def test_with_keys_the_page_asks_for_one(live, translator, recordings):
    address = live(translator, app={"page": True, "keys": Keys(["open-sesame"])})
    files = {"files": (recordings[0].name, recordings[0].read_bytes())}
    with httpx2.Client(base_url=address) as client:
        assert "Translate a recording" not in client.get("/").text
        assert client.post("/gradio_api/upload", files=files).status_code == 401
        wrong = client.post("/login", data={"username": "me", "password": "sesame"})
        assert wrong.status_code == 400
        assert client.post("/gradio_api/upload", files=files).status_code == 401
        right = client.post("/login", data={"username": "me", "password": "open-sesame"})
        assert right.status_code == 200
        assert "Translate a recording" in client.get("/").text
        assert client.post("/gradio_api/upload", files=files).status_code == 200
        assert client.get("/v1/models").status_code == 401
        assert client.get("/healthz").status_code == 200
