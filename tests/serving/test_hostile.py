"""Senders who mean harm or have bad luck: damaged files, no end of bytes, hanging up, dawdling."""

import importlib.util
import io
import random
import re
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
import soundfile
import starlette.formparsers

from horizon_st.serving import lingering

BOUNDARY = "x" * 16
DAMAGE = Path(__file__).parents[1] / "data" / "corpora" / "test_damage.py"
FORMATS = {"wav": {}, "flac": {}, "ogg": {"subtype": "VORBIS"}, "mp3": {}}
NUM_SEEDS = 2
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()
TYPE = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture(scope="module")
def damage():
    """The mutations that corpora are tested with."""
    spec = importlib.util.spec_from_file_location("damage", DAMAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def encoded(speech):
    """A second of speech in each format."""
    files = {}
    for name, settings in FORMATS.items():
        file = io.BytesIO()
        soundfile.write(file, speech(1), 16_000, format=name.upper(), **settings)
        files[name] = file.getvalue()
    return files


@pytest.fixture
def address(live, replica):
    replica.go.set()
    return live(replica, most_mb=1)


@pytest.fixture
def impatient(monkeypatch):
    """A server that waits no time for the rest of what it refuses."""
    monkeypatch.setattr(lingering, "LINGER_S", 0.1)


@pytest.fixture
def open_request(address):
    """A function: declared length of a body -> a socket that has sent the head of a request."""
    place = urlsplit(address)
    opened = []

    def start(num_bytes):
        connection = socket.create_connection((place.hostname, place.port), timeout=60)
        opened.append(connection)
        lines = [
            "POST /v1/audio/translations HTTP/1.1", f"Host: {place.netloc}",
            f"Content-Type: {TYPE['Content-Type']}", f"Content-Length: {num_bytes}",
        ]  # fmt: skip
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    yield start
    for connection in opened:
        connection.close()


def post(address, content):
    return httpx2.post(
        f"{address}/v1/audio/translations", content=content, headers=TYPE, timeout=60
    )


def accepted(address):
    for line in httpx2.get(f"{address}/metrics").text.splitlines():
        if line.startswith("horizon_st_accepted_requests"):
            return float(line.split()[-1])
    raise AssertionError


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_damaged_files_are_refused_and_harm_nobody(address, damage, encoded):
    sure = {damage.not_a_number, damage.zip_bomb, damage.empty, damage.random_bytes}
    wrong = []
    for mutation in [*sure, damage.truncate, damage.flip_bits]:
        for name, data in encoded.items():
            tells_length = name in {"wav", "flac"}
            must_fail = mutation in sure or (mutation is damage.truncate and tells_length)
            for seed in range(NUM_SEEDS):
                sent = mutation(data, random.Random(seed))
                status = post(address, HEAD + sent + TAIL).status_code
                if status != 400 and (must_fail or status != 200):
                    wrong.append((mutation.__name__, name, seed, status))
    assert wrong == []
    for data in encoded.values():
        assert post(address, HEAD + data + TAIL).status_code == 200


def test_a_body_without_end_is_cut_off(address, monkeypatch):
    written = []

    class Watched(starlette.formparsers.SpooledTemporaryFile):
        def write(self, data):
            written.append(len(data))
            return super().write(data)

    monkeypatch.setattr(starlette.formparsers, "SpooledTemporaryFile", Watched)
    block = bytes(1_000_000)

    def body():
        yield HEAD
        for _ in range(300):
            yield block

    before = psutil.Process().memory_info().rss
    answer = post(address, body())
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    assert 0 < sum(written) <= 1_000_000
    assert psutil.Process().memory_info().rss - before < 100e6


def test_a_body_that_goes_on_after_the_refusal_is_cut_off(address, impatient):
    def body():
        yield HEAD
        while True:
            yield bytes(1_000_000)

    with suppress(httpx2.TransportError):  # or it reads the refusal
        assert post(address, body()).status_code == 413


def test_what_says_that_it_is_too_large_is_not_read(address, open_request, impatient):
    connection = open_request(10**9)
    assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")
    assert accepted(address) == 0


def test_a_length_of_thousands_of_digits_is_refused(open_request, impatient):
    connection = open_request("9" * 5_000)
    assert re.match(rb"HTTP/1.1 4\d\d ", connection.recv(65_536))


def test_whoever_hangs_up_while_sending_frees_a_place(address, open_request):
    connection = open_request(500_000)
    connection.sendall(HEAD)
    until(lambda: accepted(address) == 1)
    connection.close()
    until(lambda: accepted(address) == 0)
    assert httpx2.get(f"{address}/readyz").status_code == 200


def test_whoever_hangs_up_while_waiting_frees_a_place(
    address, open_request, replica, recordings, held_texts
):
    replica.go.clear()
    body = HEAD + recordings[0].read_bytes() + TAIL
    connections = [open_request(len(body)) for _ in range(3)]
    for connection in connections:
        connection.sendall(body)
    until(lambda: accepted(address) == 3)
    until(replica.has_begun.is_set)
    for connection in connections:
        connection.close()
    until(lambda: accepted(address) == 0)
    replica.go.set()
    assert post(address, body).status_code == 200
    # The three left nothing to do but the batch that had begun.
    assert sum(replica.batch_sizes[1:]) == len(held_texts(recordings[0]))


def test_who_dawdles_is_cut_off(live, replica, impatient):
    address = live(replica, most_wait_s=0.5)
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        head = (
            f"POST /v1/audio/translations HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n"
            f"Content-Type: {TYPE['Content-Type']}\r\n\r\n"
        )
        connection.sendall(head.encode() + HEAD)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408 ")
    assert accepted(address) == 0


def test_who_falls_silent_gives_back_the_place(live, replica, impatient):
    address = live(replica, queue=3, most_idle_s=0.3)
    place = urlsplit(address)
    head = (
        f"POST /v1/audio/translations HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n"
        f"Content-Type: {TYPE['Content-Type']}\r\n\r\n"
    ).encode()
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((place.hostname, place.port), timeout=60))
            for _ in range(3)
        ]
        for connection, more in zip(connections, (b"", HEAD, HEAD + bytes(70_000)), strict=True):
            connection.sendall(head + more)
        for connection in connections:
            answer = connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"Nothing of the request came for 0.3 s" in answer + connection.recv(65_536)
    until(lambda: accepted(address) == 0)


def test_who_sends_slowly_is_served(live, replica, recordings, held_texts):
    replica.go.set()
    body = HEAD + recordings[0].read_bytes() + TAIL

    def pieces():
        for start in range(0, len(body), 1 + len(body) // 4):
            time.sleep(0.05)
            yield body[start : start + 1 + len(body) // 4]

    answer = post(live(replica, most_idle_s=5), pieces())
    assert answer.json()["text"] == " ".join(held_texts(recordings[0]))


def test_what_takes_too_long_to_translate_is_answered_503(live, replica, recordings):
    answer = post(live(replica, most_wait_s=1), HEAD + recordings[0].read_bytes() + TAIL)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["error"]["type"] == "server_error"
