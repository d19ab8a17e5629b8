"""The service on a Ray cluster of this machine, with two replicas of the model."""

import asyncio
import importlib
import socket
import sys

import openai
import pytest
import ray
from ray import serve

from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.errors import UserError
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.serving.ray_deployment import build


@pytest.fixture
def address():
    """Where a cluster listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()


# Ray leaves files and sockets to the collector; the client's maker retires its own translations.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_two_replicas_answer_as_one(address, model_folder, translator, recordings):
    serve.run(build({"model": str(model_folder), "replicas": "2", "cpus": "0.4", "beam_size": "1"}))
    states = serve.status().applications["default"].deployments["Translator"].replica_states
    assert {str(state): number for state, number in states.items()} == {"RUNNING": 2}

    async def ask_all():
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any") as client:
            return await asyncio.gather(
                *(
                    client.audio.translations.create(
                        file=(path.name, path.read_bytes()), model="whisper-1"
                    )
                    for path in recordings
                )
            )

    same = SpeechTranslator(translator.runtime, DecodingConfig(beam_size=1))
    assert [answer.text for answer in asyncio.run(ask_all())] == [
        " ".join(one.text for one in same.translate_recording(path)) for path in recordings
    ]


@pytest.mark.parametrize("package", ["ray", "fastapi", "python_multipart", "prometheus_client"])
def test_the_missing_extra_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith("horizon_st.serving.")]:
        monkeypatch.delitem(sys.modules, name)
    deployment = importlib.import_module("horizon_st.serving.ray_deployment")
    message = rf"extra `ray`, found no package {package}\. Run `pip install '\.\[ray\]'`"
    with pytest.raises(UserError, match=message):
        deployment.build({"model": "m"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "found no model"),
        ({"model": "m", "replica": "2"}, "found replica"),
        ({"model": "m", "replicas": "many"}, "replicas: expected a number, found many"),
        ({"model": "m", "queue": "0"}, "expected more than 0"),
    ],
)
def test_options_are_checked_before_anything_starts(options, message):
    with pytest.raises(UserError, match=message):
        build(options)
