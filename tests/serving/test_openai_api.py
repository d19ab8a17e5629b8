"""The API as the real `openai` client sees it, and as raw requests do."""

import asyncio
import io
import json
import re
import time
import urllib.request
from threading import Thread

import httpx2
import numpy as np
import openai
import pytest
import soundfile

from horizon_st.errors import UserError
from horizon_st.inference.formats import TranslatedRecording, to_text
from horizon_st.serving.keys import Keys, read_keys

# The client's maker retires its own translations.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def expected(translator, talk):
    """The talk's translation by Python."""
    return TranslatedRecording("talk.flac", 20.0, [*translator.translate_recording(talk)])


@pytest.fixture
def ready(replica):
    """A replica that holds nobody up."""
    replica.go.set()
    return replica


def sent(path):
    return path.name, path.read_bytes()


def refusal_of(error):
    body = error.value.body
    assert body.keys() == {"message", "type", "param", "code"}
    return error.value.status_code, body["param"], body["code"]


def test_every_response_format(live, connect, translator, talk, expected):
    client = connect(live(translator, app={"model_name": "mine"}))

    def translate(**more):
        with talk.open("rb") as file:
            return client.audio.translations.create(file=file, model="mine", **more)

    text = " ".join(segment.text for segment in expected.segments)
    assert translate().text == text
    assert translate(response_format="json", prompt="Hello.", temperature=0).text == text
    # Clients that are set for another model work as they are.
    assert translate(temperature=0.2).text == translate(temperature=1).text == text
    assert translate(response_format="text") == text + "\n"
    assert translate(response_format="srt") == to_text(expected, "srt")
    assert translate(response_format="vtt") == to_text(expected, "vtt")
    verbose = translate(response_format="verbose_json")
    assert (verbose.text, verbose.duration) == (text, 20)
    assert [(one.id, one.text) for one in verbose.segments] == [
        (number, one.text) for number, one in enumerate(expected.segments)
    ]
    for found, wanted in zip(verbose.segments, expected.segments, strict=True):
        assert (found.start, found.end) == pytest.approx((wanted.start_s, wanted.end_s), abs=1e-3)
        assert found.avg_logprob == pytest.approx(wanted.score, abs=1e-5)
        assert found.confidence == pytest.approx(wanted.confidence, abs=1e-4)
        assert found.unsure == (wanted.confidence < 0.6)


def test_silence_is_no_error(live, connect, ready):
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros(32_000, np.float32), 16_000, format="WAV")
    translate = connect(live(ready)).audio.translations.create
    file = ("silence.wav", silence.getvalue())
    assert translate(file=file, model="whisper-1").text == ""
    assert translate(file=file, model="whisper-1", response_format="srt") == ""
    assert translate(file=file, model="whisper-1", response_format="vtt") == "WEBVTT\n"


def test_many_clients_at_once_get_their_own_answers(live, ready, recordings, held_texts):
    address = live(ready)

    async def ask_all():
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any") as client:
            return await asyncio.gather(
                *(
                    client.audio.translations.create(file=sent(path), model="whisper-1")
                    for path in 3 * recordings
                )
            )

    found = [answer.text for answer in asyncio.run(ask_all())]
    assert found == 3 * [" ".join(held_texts(path)) for path in recordings]


def test_models(live, connect, ready):
    client = connect(live(ready, app={"model_name": "me/telephone"}))
    [model] = client.models.list().data
    assert (model.id, model.object) == ("me/telephone", "model")
    assert client.models.retrieve("me/telephone") == model
    assert client.models.retrieve("whisper-1") == model
    with pytest.raises(openai.NotFoundError, match="'other' does not exist") as error:
        client.models.retrieve("other")
    assert refusal_of(error) == (404, "model", "model_not_found")


@pytest.mark.parametrize(
    ("fields", "expected", "message"),
    [
        ({"model": "gpt"}, (404, "model", "model_not_found"), "'gpt' does not exist"),
        ({"model": ""}, (400, "model", "missing_required_parameter"), "'model'"),
        ({"response_format": "xml"}, (400, "response_format", "invalid_value"), "'srt'"),
        ({"temperature": 3}, (400, "temperature", "invalid_value"), "between 0 and 1"),
        ({"temperature": "hot"}, (400, "temperature", "invalid_value"), "between 0 and 1"),
        ({"temperature": "nan"}, (400, "temperature", "invalid_value"), "between 0 and 1"),
        ({"temperature": 1.1}, (400, "temperature", "invalid_value"), "between 0 and 1"),
        ({"temperature": -0.1}, (400, "temperature", "invalid_value"), "between 0 and 1"),
        ({"extra_body": {"lang": "es"}}, (400, "lang", "unknown_parameter"), "'lang'"),
        ({"file": ("a.mp3", b"no sound")}, (400, "file", "invalid_audio"), "a.mp3: expected whole"),
        ({"file": ("a.wav", b"")}, (400, "file", "invalid_audio"), "an empty file"),
    ],
)
def test_refusals(live, connect, ready, recordings, fields, expected, message):
    client = connect(live(ready))
    with pytest.raises(openai.APIStatusError, match=re.escape(message)) as error:
        client.audio.translations.create(
            **{"file": sent(recordings[0]), "model": "whisper-1"} | fields
        )
    assert refusal_of(error) == expected
    assert ready.batch_sizes == []


@pytest.mark.parametrize(
    ("request_of", "status", "message"),
    [
        ({"json": {"model": "whisper-1"}}, 400, "multipart/form-data"),
        ({"data": {"model": "whisper-1"}}, 400, "multipart/form-data"),
        ({"files": {"model": (None, "whisper-1")}}, 400, "'file'"),
        ({"files": {"file": (None, "text"), "model": (None, "whisper-1")}}, 400, "Not a file"),
        ({"files": {"file": ("a", b"1"), "model": ("b", b"2")}}, 400, "Too many files"),
        ({"files": [(f"x{i}", (None, "1")) for i in range(99)]}, 400, "Too many fields"),
        (
            {"content": b"??", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
            "cannot be read",
        ),
        (
            {"content": b"--", "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "boundary",
        ),
    ],
)
def test_requests_that_no_client_sends(live, ready, request_of, status, message):
    answer = httpx2.post(f"{live(ready)}/v1/audio/translations", **request_of)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("charset", "value"),
    [
        ("unicode_escape", rb"\ud800"),
        ("utf-7", b"+2AA-"),
        ("punycode", b"\xff-"),
        ("no such", b"gpt"),
    ],
)
def test_charsets_that_break_text_are_refused(live, ready, charset, value):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + value + b"\r\n"
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n?\r\n--x--\r\n'
    )
    address = live(ready)
    expected = {charset: (400, "charset has to be UTF-8"), "UTF-8": (404, "does not exist")}
    for name, (status, message) in expected.items():
        answer = httpx2.post(
            f"{address}/v1/audio/translations",
            content=body,
            headers={"Content-Type": f"Multipart/Form-Data; boundary=x; charset={name}"},
        )
        assert answer.status_code == status
        assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize("page", [False, True])
def test_other_addresses_and_methods_are_refused_in_the_same_shape(live, ready, page):
    address = live(ready, app={"page": page})
    large = {"file": ("talk.wav", bytes(3_000_000)), "model": (None, "whisper-1")}
    for answer, status, code in (
        (httpx2.get(f"{address}/v1/audio/speech"), 404, "unknown_url"),
        (httpx2.post(f"{address}/v1/audio/transcriptions", files=large), 404, "unknown_url"),
        (httpx2.get(f"{address}/v1/audio/translations"), 405, "method_not_supported"),
        (httpx2.delete(f"{address}/v1/models"), 405, "method_not_supported"),
    ):
        assert answer.status_code == status
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", code)
        assert status == 405 or "POST /v1/audio/translations" in error["message"]


def test_load_balancers_may_ask_for_headers_alone(live, ready):
    address = live(ready, app={"page": True})
    for name in ("healthz", "readyz"):
        answer = httpx2.head(f"{address}/{name}")
        assert (answer.status_code, answer.content) == (200, b"")


def test_keys(live, connect, ready, recordings, tmp_path, monkeypatch):
    path = tmp_path / "keys"
    path.write_text("first-key\n second-key \n")
    monkeypatch.setenv("HORIZON_ST_API_KEYS", "third-key")
    address = live(ready, app={"keys": read_keys(path)})
    for key in ("first-key", "second-key", "third-key"):
        assert connect(address, api_key=key).models.list().data
    for key in ("first-ke", "first-key2", "any"):
        client = connect(address, api_key=key)
        with pytest.raises(openai.AuthenticationError) as error:
            client.models.list()
        assert refusal_of(error) == (401, None, "invalid_api_key")
        with pytest.raises(openai.AuthenticationError):
            client.audio.translations.create(file=sent(recordings[0]), model="whisper-1")
    for headers in ({}, {"Authorization": "Basic first-key"}, {"Authorization": "first-key"}):
        assert httpx2.get(f"{address}/v1/models", headers=headers).status_code == 401
    assert httpx2.get(f"{address}/healthz").json() == {"status": "ok"}
    assert httpx2.get(f"{address}/metrics").status_code == 200
    assert Keys().allow(None)


def test_a_full_queue_answers_429_and_clients_come_back(live, connect, replica, recordings):
    address = live(replica, queue=1)
    found = []
    first = Thread(
        target=lambda: found.append(
            connect(address).audio.translations.create(file=sent(recordings[0]), model="whisper-1")
        )
    )
    first.start()
    assert replica.has_begun.wait(60)
    assert httpx2.get(f"{address}/readyz").status_code == 503
    with pytest.raises(openai.RateLimitError) as error:
        connect(address).audio.translations.create(file=sent(recordings[1]), model="whisper-1")
    assert refusal_of(error) == (429, None, "rate_limit_exceeded")
    assert 1 <= int(error.value.response.headers["retry-after"]) <= 60
    replica.go.set()
    # The client waits as long as it is told, and tries again by itself.
    patient = connect(address, max_retries=5)
    assert patient.audio.translations.create(file=sent(recordings[1]), model="whisper-1").text
    first.join()
    assert len(found) == 1
    assert httpx2.get(f"{address}/readyz").status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        ZeroDivisionError("division by zero"),
        UserError("scores", expected="finite ones", found="nan", remedy="Train again."),
    ],
)
def test_a_fault_of_the_server_is_told_as_one(live, connect, replica, recordings, caplog, fault):
    """Also one that its user could mend: the caller is not that user."""

    def fail(segments):
        raise fault

    replica.translate_segments = fail
    client = connect(live(replica))
    with pytest.raises(openai.InternalServerError, match="The server had an error") as error:
        client.audio.translations.create(file=sent(recordings[0]), model="whisper-1")
    assert refusal_of(error) == (500, None, None)
    end = time.monotonic() + 60  # the log is written after the answer
    while str(fault) not in caplog.text:
        assert time.monotonic() < end


def test_metrics_count_all_of_it(live, connect, ready, recordings):
    address = live(ready)
    client = connect(address)
    for path in recordings[:3]:
        client.audio.translations.create(file=sent(path), model="whisper-1")
    with pytest.raises(openai.BadRequestError):
        client.audio.translations.create(file=("a.wav", b"?"), model="whisper-1")
    httpx2.get(f"{address}/made-up")
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        figures = dict(
            line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#"
        )
    route = 'route="/v1/audio/translations"'
    assert figures[f'horizon_st_requests_total{{{route},status="200"}}'] == "3.0"
    assert figures[f'horizon_st_requests_total{{{route},status="400"}}'] == "1.0"
    assert figures['horizon_st_requests_total{route="other",status="404"}'] == "1.0"
    assert figures[f"horizon_st_request_seconds_count{{{route}}}"] == "4.0"
    assert figures["horizon_st_audio_seconds_total"] == "9.0"
    assert float(figures["horizon_st_batch_segments_sum"]) == sum(ready.batch_sizes)
    assert figures["horizon_st_accepted_requests"] == "0.0"


def test_the_description_names_fields_and_formats(live, ready):
    description = httpx2.get(f"{live(ready)}/openapi.json").json()
    body = description["paths"]["/v1/audio/translations"]["post"]["requestBody"]
    form = body["content"]["multipart/form-data"]["schema"]["properties"]
    assert form.keys() == {"file", "model", "prompt", "response_format", "temperature"}
    assert json.dumps(form["response_format"]["enum"]) == (
        '["json", "text", "srt", "vtt", "verbose_json"]'
    )
