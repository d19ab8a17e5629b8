"""What the page is told of a recording, what it plays, and what stands beside it on the server."""

import asyncio
import json
import os
import re
import resource
import shutil
import socket
import time
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
import soundfile
import srt
from starlette.testclient import TestClient

from horizon_st.data.audio import load_audio
from horizon_st.data.mono import stream_audio
from horizon_st.errors import UserError
from horizon_st.inference.pipeline import TranslatedSegment
from horizon_st.serving import kept, lingering, reading
from horizon_st.serving.app import create_app
from horizon_st.serving.bounded_uploads import BoundedUploads
from horizon_st.serving.hearing import LOUDEST_BAR, Hearing
from horizon_st.serving.kept import KEPT_S, KeptUploads
from horizon_st.serving.keys import Keys
from horizon_st.serving.limits import Limits
from horizon_st.serving.page import translate_upload
from horizon_st.serving.service import TranslationService

RATE = 16_000


@pytest.fixture(autouse=True)
def gradio_folder(tmp_path, monkeypatch):
    """Where Gradio keeps what is sent to it."""
    folder = tmp_path / "gradio"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


@pytest.fixture
def kept_uploads(tmp_path):
    """What a page of its own has been sent so far: nothing."""
    made = KeptUploads(tmp_path, 10_000_000)
    made.path.mkdir()
    return made


@pytest.fixture
def uploads(kept_uploads):
    """Where what is sent to the page is kept."""
    return kept_uploads.path


@pytest.fixture
def show(kept_uploads):
    """A function: (replica, question, settings of the service) -> all that the page shows."""

    def collect(replica, asked, *, unsure_below=0.6, **limits):
        service = TranslationService(replica, limits=Limits(**limits), unsure_below=unsure_below)

        async def go():
            return [state async for state in translate_upload(service, kept_uploads, asked)]

        try:
            return asyncio.run(go())
        finally:
            service.close()

    return collect


def hear(recording, sound=None):
    with Hearing(sound) as hearing:
        for block in stream_audio(recording):
            hearing(block)
        return hearing.finish()


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


def test_a_long_recording_is_not_shown_anew_for_every_segment(talk, uploads, kept_uploads):
    class Opened:
        duration_s = 3600.0

        async def __aiter__(self):
            for number in range(1_000):
                yield TranslatedSegment(number, number + 1, f"text {number}", -0.1, 3)

    class Service:
        unsure_below = 0.6

        @asynccontextmanager
        async def open(self, path, *, name, on_block):
            yield Opened()

    async def go():
        asked = uploaded(talk, uploads)
        return [state async for state in translate_upload(Service(), kept_uploads, asked)]

    states = asyncio.run(go())
    counts = [len(state["segments"]) for state in states]
    assert len(counts) < 250
    assert counts[1:20] == [*range(1, 20)]  # the first ones come singly
    assert all(after - before <= 1 + after / 50 for before, after in pairwise(counts))
    assert [one["text"] for one in states[-1]["segments"]] == [f"text {n}" for n in range(1_000)]


def test_a_recording_without_speech(show, translator, uploads):
    path = uploads / "silence.wav"
    soundfile.write(path, np.zeros(2 * RATE, np.float32), RATE)
    last = show(translator, {"path": str(path), "name": "silence.wav"})[-1]
    assert last["segments"] == []
    assert last["texts"] == {"srt": "", "vtt": "WEBVTT\n", "txt": ""}
    assert {*last["bars"].split()} == {"0"}


def test_refusals_are_shown_and_name_the_file_as_its_sender_does(show, translator, talk, uploads):
    text = uploads / "0a1b.mp3"
    text.write_text("not audio", encoding="utf-8")
    [state] = show(translator, {"path": str(text), "name": "song.mp3"})
    assert re.match(r"song\.mp3: expected whole audio .*", state["error"])
    assert str(uploads) not in state["error"]
    [state] = show(translator, uploaded(talk, uploads), most_minutes=0.1)
    assert "expected at most 0.1 minutes of sound" in state["error"]
    assert [path for path in uploads.rglob("*") if path.is_file()] == [text, uploads / talk.name]


@pytest.mark.parametrize(
    "kind",
    [
        *("elsewhere", "upwards", "nothing", "no path", "no name"),
        *("a null", "half a character", "a long name"),
    ],
)
def test_only_what_was_uploaded_is_translated(show, translator, talk, uploads, kind):
    within = str(shutil.copy(talk, uploads))
    asked = {
        "elsewhere": {"path": str(talk), "name": "talk"},
        "upwards": {"path": f"{uploads}/../{talk.name}", "name": "talk"},
        "nothing": None,
        "no path": {"path": 3, "name": "talk"},
        "no name": {"path": within},
        "a null": {"path": f"{within}\0", "name": "talk"},
        "half a character": {"path": f"{within}\ud800", "name": "talk"},
        "a long name": {"path": str(uploads / ("x" * 300)), "name": "talk"},
    }[kind]
    shutil.copy(talk, uploads.parent)
    [state] = show(translator, asked)
    assert state["error"].startswith("upload: expected a file that was uploaded a moment ago")
    assert state["segments"] == []


def test_a_fault_of_the_server_is_shown_and_goes_to_its_log(
    make_replica, talk, uploads, kept_uploads
):
    replica = make_replica()
    replica.translate_segments = lambda segments: 1 / 0
    service = TranslationService(replica)
    states = []

    async def go():
        async for state in translate_upload(service, kept_uploads, uploaded(talk, uploads)):
            states.append(state)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(go())
    service.close()
    assert states[-1]["error"].startswith("The server had an error")


def test_a_full_service_says_when_to_come_back(replica, talk, uploads, kept_uploads):
    service = TranslationService(replica, limits=Limits(queue=1))

    async def go():
        with service.accept():
            asked = uploaded(talk, uploads)
            return [state async for state in translate_upload(service, kept_uploads, asked)]

    [state] = asyncio.run(go())
    replica.go.set()
    service.close()
    assert re.fullmatch(r"The server translates as much .* Try again in \d+ s\.", state["error"])


@pytest.mark.parametrize("ending", ["mp3", "flac", "wav"])
def test_what_is_played_is_what_the_model_hears(speech, tmp_path, ending):
    path = tmp_path / f"speech.{ending}"
    soundfile.write(path, np.stack([speech(3), speech(3, start_s=5)], axis=1), RATE)
    sound = tmp_path / "sound.wav"
    hear(path, sound)
    found, rate = soundfile.read(sound, dtype="float32")
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
    bars = hear(path)
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
        hear(path, tmp_path / "sound.wav")
    assert [*tmp_path.iterdir()] == [path]


def test_who_stops_while_it_is_read_frees_the_place_and_leaves_no_file(
    replica, talk, recordings, uploads, kept_uploads, held_texts, monkeypatch
):
    """As many as there are threads anywhere may stop: nothing waits for what they asked for."""
    num_read = []

    def endless(recording):
        if not str(recording).endswith(".flac"):
            yield from stream_audio(recording)
            return
        while True:
            num_read.append(recording)
            yield np.zeros(RATE, np.float32)

    monkeypatch.setattr(reading, "stream_audio", endless)
    service = TranslationService(replica, limits=Limits(most_minutes=1e9))
    asked = uploaded(talk, uploads)

    async def ask():
        return await anext(translate_upload(service, kept_uploads, asked))

    async def go():
        async with asyncio.timeout(60):
            asking = [asyncio.ensure_future(ask()) for _ in range(40)]
            while len(num_read) < 100:
                await asyncio.sleep(0.01)
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            num_before = len(num_read)
            assert service._num_accepted == 0
            assert [one for one in uploads.rglob("*") if one.is_file()] == [Path(asked["path"])]
            replica.go.set()
            found = await service.translate(recordings[0])
            assert [one.text for one in found.segments] == held_texts(recordings[0])
            assert len(num_read) == num_before

    asyncio.run(go())
    service.close()


def test_an_upload_has_one_sound_however_often_it_is_asked_for(show, translator, talk, uploads):
    asked = uploaded(talk, uploads)
    sounds = {state["sound"]["path"] for _ in range(2) for state in show(translator, asked)}
    assert len(sounds) == 1
    [sound] = sounds
    assert {*uploads.rglob("*.*")} == {Path(asked["path"]), Path(sound)}
    assert soundfile.info(sound).frames == 20 * RATE
    # A later upload of the same lives an hour, and so does its sound.
    before = Path(sound).stat().st_mtime_ns
    Path(asked["path"]).touch()
    assert show(translator, asked)[-1]["sound"]["path"] == sound
    assert Path(sound).stat().st_mtime_ns > before


def test_what_the_page_writes_is_bounded(show, translator, talk, uploads, kept_uploads):
    asked = uploaded(talk, uploads)
    kept_uploads.count(10_000_000 - 40 * RATE - 1)
    assert "texts" in show(translator, asked)[-1]
    Path(asked["path"]).touch()
    [state] = show(translator, asked)
    assert re.match(r"The server keeps as much .* Try again in 6\d minutes\.", state["error"])


def test_uploads_that_fill_the_folder_are_refused(live, translator, gradio_folder, monkeypatch):
    minute = 1_000
    monkeypatch.setattr(kept, "_minute", lambda: minute)
    address = live(translator, app={"page": True}, most_mb=0.1, queue=2)

    def upload(*sizes):
        files = [("files", (f"{number}.wav", bytes(size))) for number, size in enumerate(sizes)]
        return httpx2.post(f"{address}/gradio_api/upload", files=files)

    # Several files are no way around the size of a request.
    assert upload(90_000, 90_000).status_code == 413
    assert upload(90_000).status_code == 200
    assert upload(50_000).status_code == 200
    full = upload(90_000)
    assert full.status_code == 429
    assert 0 < int(full.headers["Retry-After"]) <= KEPT_S + 300
    assert full.json()["error"]["code"] == "rate_limit_exceeded"
    sizes = [one.stat().st_size for one in gradio_folder.rglob("*") if one.is_file()]
    assert sum(sizes) <= 200_000
    minute += KEPT_S // 60 + 5
    assert upload(90_000).status_code == 200


def test_uploads_that_fall_silent_are_cut_off(live, translator, monkeypatch):
    monkeypatch.setattr(lingering, "LINGER_S", 0.1)
    place = urlsplit(live(translator, app={"page": True}, most_idle_s=0.3))
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        connection.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        )
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408 ")


def test_what_is_an_hour_old_is_deleted(kept_uploads, uploads):
    for name, age_s in (("old/a.wav", KEPT_S + 1), ("new/b.wav", KEPT_S - 60)):
        path = uploads / name
        path.parent.mkdir()
        path.touch()
        for one in (path, path.parent):
            os.utime(one, (time.time() - age_s,) * 2)
    kept_uploads.sweep()
    assert {*uploads.rglob("*.wav")} == {uploads / "new/b.wav"}


def test_nothing_that_was_uploaded_outlives_the_server(replica, talk, gradio_folder):
    with TestClient(create_app(TranslationService(replica), page=True)) as client:
        answer = client.post("/gradio_api/upload", files={"files": talk.read_bytes()})
        [path] = answer.json()
        assert Path(path).is_relative_to(gradio_folder)
        assert Path(path).exists()
        [folder] = gradio_folder.iterdir()
        assert folder.stat().st_mode & 0o077 == 0
    assert [*gradio_folder.iterdir()] == []


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


def test_nothing_on_it_answers_without_end(live, translator):
    address = live(translator, app={"page": True})
    assert httpx2.get(f"{address}/gradio_api/heartbeat/x", timeout=20).status_code == 404


def test_uploads_are_no_larger_than_requests(live, translator):
    address = live(translator, app={"page": True}, most_mb=0.1)
    for size, status in [(90_000, 200), (200_000, 413)]:
        files = {"files": ("noise.wav", bytes(size))}
        answer = httpx2.post(f"{address}/gradio_api/upload", files=files)
        assert answer.status_code == status


@pytest.mark.parametrize("path", ["gradio_api/queue/join", "gradio_api/run/predict", "login"])
def test_what_is_no_upload_is_small_and_read_no_further(live, translator, path):
    address = live(translator, app={"page": True, "keys": Keys(["open-sesame"])})
    kind = "application/x-www-form-urlencoded" if path == "login" else "application/json"

    def post(content):
        headers = {"Content-Type": kind}
        return httpx2.post(f"{address}/{path}", content=content, headers=headers, timeout=60)

    def largest_memory():
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = largest_memory()
    answer = post(b" " * 1_000_000 for _ in range(300))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    assert largest_memory() - before < 100e6
    assert post(bytes(1_000_001)).status_code == 413
    assert post(bytes(999_999)).status_code in {400, 401, 422}


def test_who_has_sent_all_may_be_silent_until_the_answer_is_whole(kept_uploads):
    """Applications wait for the end of the connection while they answer: that is no dawdling."""
    limits = Limits(most_idle_s=0.1)
    answered = []

    async def wait_for_the_end(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        await send("answer")

    async def receive():
        if answered:
            await asyncio.sleep(4 * limits.most_idle_s)
            return {"type": "http.disconnect"}
        answered.append("begun")
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        answered.append(message)

    scope = {"type": "http", "path": "/gradio_api/queue/data", "headers": []}
    asyncio.run(BoundedUploads(wait_for_the_end, kept_uploads, limits)(scope, receive, send))
    assert answered == ["begun", "answer"]


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
