"""Recordings as strangers send them, and a replica that tests can hold up."""

import hashlib
from contextlib import ExitStack
from threading import Event, Thread

import openai
import pytest
import soundfile
import uvicorn

from horizon_st.data.mono import stream_audio
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.inference.pipeline import SpeechTranslator, TranslatedSegment
from horizon_st.inference.segmenter import SegmenterConfig, speech_segments
from horizon_st.serving.app import create_app
from horizon_st.serving.limits import Limits
from horizon_st.serving.server import address_of, listen
from horizon_st.serving.service import TranslationService

SEARCH = DecodingConfig(beam_size=1, max_tokens=12, batch_size=4)
PATIENCE_S = 60


def says(samples):
    """What the held replica makes of speech: other words for every other sound."""
    return hashlib.sha256(samples.tobytes()).hexdigest()[:12]


class HeldReplica:
    """Translates nothing until `go` is set, and then each sound into a name of its own."""

    config = SEARCH
    segmenter = SegmenterConfig(longest_s=5)

    def __init__(self):
        self.go = Event()
        self.has_begun = Event()
        self.batch_sizes = []

    def translate_segments(self, segments):
        self.batch_sizes.append(len(segments))
        self.has_begun.set()
        assert self.go.wait(PATIENCE_S)
        return [
            TranslatedSegment(one.start_s, one.end_s, says(one.samples), -0.1, 3)
            for one in segments
        ]


@pytest.fixture
def make_replica():
    """A function: a new held replica, which is let go at the latest when the test ends."""
    made = []

    def make():
        made.append(HeldReplica())
        return made[-1]

    yield make
    for replica in made:
        replica.go.set()


@pytest.fixture
def replica(make_replica):
    return make_replica()


@pytest.fixture(scope="session")
def held_texts():
    """A function: path of a recording -> what a held replica makes of each of its segments."""

    def find(path):
        return [
            says(one.samples) for one in speech_segments(stream_audio(path), HeldReplica.segmenter)
        ]

    return find


@pytest.fixture(scope="session")
def translator(model_folder):
    return SpeechTranslator.from_pretrained(model_folder, config=SEARCH)


@pytest.fixture(scope="session")
def recordings(speech, tmp_path_factory):
    """Files of 3 s, each of another speech."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = []
    for number in range(8):
        paths.append(folder / f"{number}.wav")
        soundfile.write(paths[-1], speech(3, start_s=10 * number), 16_000)
    return paths


@pytest.fixture(scope="session")
def talk(speech, tmp_path_factory):
    """A file of 20 s."""
    path = tmp_path_factory.mktemp("talk") / "talk.flac"
    soundfile.write(path, speech(20, start_s=100), 16_000)
    return path


@pytest.fixture
def live():
    """A function: (replicas, settings of the application, limits) -> a server's base address."""
    running = []

    def start(*replicas, app=None, **limits):
        service = TranslationService(*replicas, limits=Limits(**limits))
        listener = listen("127.0.0.1", 0)
        config = uvicorn.Config(
            create_app(service, **app or {}), http="h11", loop="asyncio", log_config=None
        )
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((server, thread, replicas))
        return address_of(listener)

    yield start
    for server, thread, replicas in running:
        for replica in replicas:
            getattr(replica, "go", Event()).set()
        server.should_exit = True
        thread.join()


@pytest.fixture
def connect():
    """A function: (address, settings) -> the `openai` client of such a server."""
    with ExitStack() as stack:
        yield lambda address, **settings: stack.enter_context(
            openai.OpenAI(
                **{"base_url": f"{address}/v1", "api_key": "any", "max_retries": 0} | settings
            )
        )
