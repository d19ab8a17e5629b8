"""Many clients of one server at once: whether each gets its own answer, and how soon.

    python benchmarks/serving.py MODEL MANIFEST [--clients 64] [--seconds 60] [--workers 1]
        [--recordings 40] [--out FILE.json] [--page docs/serving.md]

Starts `horizon-st serve` on this machine and sends it the manifest's recordings with the `openai`
client: one caller, then all of them at once, then all of them beside others who hang up before the
answer, send random bytes, a gigabyte, or hours of silence, or begin a request and fall silent.
Each caller sends the next recording when it has the answer to the last. Every answer is compared
with what `SpeechTranslator` gives for that recording; `wrong` counts those that differ, `lost`
those that never came. Clients and server share the cores.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import math
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import openai
import soundfile
from all import put_table
from measuring import memory_mb, print_table, write_report

from horizon_st.data.audio import SAMPLING_RATE, load_cut
from horizon_st.data.shar import open_cuts
from horizon_st.inference.pipeline import SpeechTranslator

PATH = "/v1/audio/translations"
BOUNDARY = "boundary-of-the-benchmark"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
BAD_OF_EACH_KIND = 4
GARBAGE_BYTES = 200_000
LARGE_BYTES = 1_000_000_000
SILENCE_S = 2 * 3600
"""Sent as FLAC, in which it takes almost no bytes."""

SILENCE_PATIENCE_S = 5.0
"""After which its sender asks anew."""

IDLE_S = 10.0
"""After which the server gives up a request of which nothing comes."""

PATIENCE_S = 600.0
_END = f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True)
class Sample:
    """A recording, as a file in memory, and its translation."""

    file: bytes
    duration_s: float
    expected: str


@dataclass
class Tally:
    """What happened to the callers of one round."""

    latencies_s: list[float] = field(default_factory=list)
    audio_s: float = 0.0
    wrong: int = 0
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def row(self, name: str, took_s: float, server_mb: float) -> dict[str, Any]:
        """A row of the table."""
        latencies_s = self.latencies_s or [math.nan]
        return {
            "callers": name,
            "answers": len(self.latencies_s),
            "wrong": self.wrong,
            "lost": self.lost,
            "p50 (s)": float(np.percentile(latencies_s, 50)),
            "p95 (s)": float(np.percentile(latencies_s, 95)),
            "answers per s": len(self.latencies_s) / took_s,
            "audio s per s": self.audio_s / took_s,
            "server's peak (MB)": server_mb,
            "to the others": ", ".join(f"{n} × {what}" for what, n in sorted(self.refused.items()))
            or "–",
        }


def main() -> None:
    """Prints the table, and on demand writes it as JSON and into a page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="folder or hub id")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--recordings", type=int, default=40)
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--page", type=Path, help="whose table is replaced")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # of the client: its maker's model retires
    samples = read_samples(options.model, options.manifest, options.recordings)
    queue = options.clients + len(BAD_KINDS) * BAD_OF_EACH_KIND
    with server(options.model, options.workers, queue) as (address, process_id):
        rows = asyncio.run(measure(address, process_id, samples, options.clients, options.seconds))
    print_table(rows)
    if options.out is not None:
        write_report(options.out, {**vars(options), "page": None}, rows)
    if options.page is not None:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            print_table(rows)
        put_table(options.page, "serving", text.getvalue())


def read_samples(model: str, manifest: Path, most: int) -> list[Sample]:
    """Recordings with other translations each, as far as that goes, so that swaps show."""
    translator = SpeechTranslator.from_pretrained(model)
    samples: dict[str, Sample] = {}
    for cut in open_cuts(manifest):
        if len(samples) == most:
            break
        sound = load_cut(cut)
        file = io.BytesIO()
        soundfile.write(file, sound, SAMPLING_RATE, format="FLAC")
        text = " ".join(one.text for one in translator.translate_recording(file))
        samples.setdefault(text, Sample(file.getvalue(), len(sound) / SAMPLING_RATE, text))
    return [*samples.values()]


@contextlib.contextmanager
def server(model: str, num_workers: int, queue: int) -> Iterator[tuple[str, int]]:
    """The address and the process of a server; it has to end well when it is told to."""
    command = [sys.executable, "-m", "horizon_st", "serve", model, "--port", "0"]
    command += ["--workers", str(num_workers), "--queue", str(queue), "--max-idle", str(IDLE_S)]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        [address] = re.findall(r"^Serving \S+ at (\S+)/v1", process.stdout.readline())
        # A line a request: where nobody reads them, the pipe fills, and the server waits for ever.
        Thread(target=process.stdout.read, daemon=True).start()
        try:
            yield address, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            if process.wait():
                log.seek(0)
                sys.exit(log.read().decode())


async def measure(
    address: str, process_id: int, samples: Sequence[Sample], num_clients: int, seconds: float
) -> list[dict[str, Any]]:
    """The rows of the table."""
    bad = [*BAD_KINDS] * BAD_OF_EACH_KIND
    rounds: list[tuple[str, int, list[Bad]]] = [
        ("1", 1, []),
        (f"{num_clients}", num_clients, []),
        (f"{num_clients}, and {len(bad)} others", num_clients, bad),
    ]
    rows = []
    for name, number, others in rounds:
        tally = Tally()
        started = time.perf_counter()
        until = started + seconds
        await asyncio.gather(
            *(ask(address, samples, until, tally, seed) for seed in range(number)),
            *(disturb(one, address, samples, until, tally) for one in others),
        )
        took_s = time.perf_counter() - started
        peak_mb = memory_mb("VmHWM", process=str(process_id))
        rows.append(tally.row(name, took_s, peak_mb))
    return rows


async def ask(
    address: str, samples: Sequence[Sample], until: float, tally: Tally, seed: int
) -> None:
    """One caller, who sends one recording after the other, and one at least."""
    chance = random.Random(seed)
    client = openai.AsyncOpenAI(
        base_url=f"{address}/v1", api_key="any", timeout=PATIENCE_S, max_retries=0
    )
    async with client:
        started = 0.0
        while started < until:
            started = time.perf_counter()
            sample = chance.choice(samples)
            try:
                answer = await client.audio.translations.create(
                    file=("a.flac", sample.file), model="whisper-1"
                )
            except openai.OpenAIError:
                tally.lost += 1
                continue
            tally.latencies_s.append(time.perf_counter() - started)
            tally.audio_s += sample.duration_s
            tally.wrong += answer.text != sample.expected


Bad = Callable[[str, bytes], Awaitable[str]]


async def disturb(
    bad: Bad, address: str, samples: Sequence[Sample], until: float, tally: Tally
) -> None:
    """One of the others, who does the same again and again, about twice a second."""
    started = 0.0
    while started < until:
        started = time.perf_counter()
        tally.refused[await bad(address, samples[0].file)] += 1
        await asyncio.sleep(random.uniform(0, 1))


async def hang_up(address: str, file: bytes) -> str:
    """A whole request, and no patience."""
    body = _form(file)
    _, writer = await _begin(address, body, len(body))
    await asyncio.sleep(random.uniform(0, 0.5))
    writer.close()
    return "hung up"


async def fall_silent(address: str, file: bytes) -> str:
    """Half a request, and nothing more."""
    body = _form(file)
    reader, writer = await _begin(address, body[: len(body) // 2], len(body))
    status = (await reader.readline()).split()[1:2]
    writer.close()
    return status[0].decode() if status else "cut off"


async def send_garbage(address: str, file: bytes) -> str:
    """What no decoder knows."""
    return await _post(address, _form(random.randbytes(GARBAGE_BYTES)))


async def send_much(address: str, file: bytes) -> str:
    """A gigabyte, of a length that is not told."""

    async def body() -> AsyncIterator[bytes]:
        yield _form(b"").removesuffix(_END)
        block = bytes(1 << 20)
        for _ in range(LARGE_BYTES >> 20):
            yield block

    return await _post(address, body())


async def send_silence(address: str, file: bytes) -> str:
    """Hours in which nobody speaks, in few bytes."""
    try:
        async with asyncio.timeout(SILENCE_PATIENCE_S):
            return await _post(address, _form(_silence()))
    except TimeoutError:
        return "gave up on silence"


@cache
def _silence() -> bytes:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", SAMPLING_RATE, 1, "PCM_16", format="FLAC") as sound:
        for _ in range(SILENCE_S // 60):
            sound.write(np.zeros(60 * SAMPLING_RATE, np.int16))
    return file.getvalue()


async def _begin(
    address: str, sent: bytes, num_bytes: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a request of so many bytes has begun."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = [
        f"POST {PATH} HTTP/1.1", f"Host: {place.netloc}", f"Content-Type: {TYPE}",
        f"Content-Length: {num_bytes}",
    ]  # fmt: skip
    writer.write("\r\n".join([*head, "", ""]).encode() + sent)
    await writer.drain()
    return reader, writer


async def _post(address: str, content: bytes | AsyncIterator[bytes]) -> str:
    async with httpx2.AsyncClient(timeout=PATIENCE_S) as client:
        try:
            answer = await client.post(
                f"{address}{PATH}", content=content, headers={"Content-Type": TYPE}
            )
        except httpx2.TransportError:
            return "cut off"
    return str(answer.status_code)


def _form(file: bytes) -> bytes:
    disposition = "Content-Disposition: form-data; name="
    return (
        (
            f'--{BOUNDARY}\r\n{disposition}"model"\r\n\r\nwhisper-1\r\n'
            f'--{BOUNDARY}\r\n{disposition}"file"; filename="a.flac"\r\n\r\n'
        ).encode()
        + file
        + _END
    )


BAD_KINDS: tuple[Bad, ...] = (hang_up, send_garbage, send_much, send_silence, fall_silent)


if __name__ == "__main__":
    main()
