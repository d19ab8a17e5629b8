"""The command as a process of its own, and copies of the model in further processes."""

import os
import re
import signal
import socket
import subprocess
import sys
from functools import partial
from multiprocessing import Pipe, active_children
from threading import Thread

import httpx2
import openai
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from horizon_st.cli import app
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.errors import UserError
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.serving import replicas, server
from horizon_st.serving.limits import LostReplicaError
from horizon_st.serving.replicas import replica_processes
from horizon_st.serving.server import model_name_of

# The client's maker retires its own translations.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


SEARCH = DecodingConfig(beam_size=1, max_tokens=12, batch_size=4)


class Deadly:
    """Ends the process that receives it."""

    def __reduce__(self):
        return os._exit, (9,)


@pytest.fixture
def command(exported):
    """A function: options -> the process of `horizon-st serve`, and its address."""
    started = []

    def start(*options):
        line = [sys.executable, "-m", "horizon_st", "serve", str(exported), "--port", "0"]
        process = subprocess.Popen([*line, *options], stdout=subprocess.PIPE, text=True)
        started.append(process)
        [address] = re.findall(r"^Serving \S+ at (\S+)/v1", process.stdout.readline())
        return process, address

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_that_is_told_to_end_finishes_what_it_accepted(command, exported, talk):
    process, address = command("--beam-size", "5", "--batch-size", "1", "--name", "mine")
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)
    assert [one.id for one in client.models.list()] == ["mine"]
    answers = []

    def ask():
        with talk.open("rb") as file:
            answers.append(client.audio.translations.create(file=file, model="mine"))

    asking = Thread(target=ask)
    asking.start()
    while "horizon_st_accepted_requests 1.0" not in httpx2.get(f"{address}/metrics").text:
        assert asking.is_alive()
    process.send_signal(signal.SIGTERM)
    asking.join()
    assert process.wait(60) == 0
    [answer] = answers
    same = SpeechTranslator.from_pretrained(exported)
    assert answer.text == " ".join(one.text for one in same.translate_recording(talk))
    client.close()


def test_a_trained_model_is_served_by_pytorch(model_folder, talk, monkeypatch):
    apps = []
    monkeypatch.setattr(server, "run_server", lambda app, listener, **_: apps.append(app))
    options = ["--port", "0", "--runtime", "pytorch", "--beam-size", "1", "--no-page"]
    shown = CliRunner().invoke(app, ["serve", str(model_folder), *options])
    assert shown.exit_code == 0, shown.output
    with TestClient(*apps) as client:
        answer = client.post(
            "/v1/audio/translations",
            files={"file": talk.read_bytes()},
            data={"model": "whisper-1"},
        )
    same = SpeechTranslator.from_pretrained(model_folder, config=DecodingConfig(beam_size=1))
    expected = " ".join(one.text for one in same.translate_recording(talk))
    assert answer.json() == {"text": expected}


def test_copies_in_processes(exported, talk):
    translator = SpeechTranslator.from_pretrained(exported, config=SEARCH)
    segments = [*translator.cut(talk)]
    expected = [one.text for one in translator.translate_segments(segments)]
    with replica_processes(str(exported), 1, config=SEARCH, runtime="onnx") as [replica]:
        assert (replica.config, replica.segmenter) == (translator.config, translator.segmenter)
        assert [one.text for one in replica.translate_segments(segments)] == expected
        with pytest.raises(AttributeError, match="samples"):
            replica.translate_segments(["no segment"])
        [process] = active_children()
        os.kill(process.pid, signal.SIGTERM)  # as a terminal or a service manager does to all
        assert [one.text for one in replica.translate_segments(segments)] == expected
        with pytest.raises(LostReplicaError, match="starts again"):
            replica.translate_segments([Deadly()])
        assert [one.text for one in replica.translate_segments(segments)] == expected
    assert active_children() == []


def test_copies_of_an_export_share_the_cores_without_pytorch(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(replicas, "usable_cores", lambda: 7)
    for num_replicas, num_threads in ((3, 2), (9, 1)):
        copy = replicas._load_share(0, num_replicas, str(exported), {"config": SEARCH})
        options = copy.runtime.model.decoder.get_session_options()
        assert options.intra_op_num_threads == num_threads


def test_a_copy_tells_what_is_wrong_with_its_model(tmp_path, monkeypatch):
    monkeypatch.setattr(replicas.signal, "signal", lambda *_: None)
    ours, theirs = Pipe()
    replicas._work(theirs, partial(SpeechTranslator.from_pretrained, tmp_path / "none"))
    assert "expected a model folder, found no such folder" in str(ours.recv())


@pytest.mark.parametrize(
    "package", ["fastapi", "gradio", "uvicorn", "python_multipart", "prometheus_client"]
)
def test_the_missing_extra_is_named(model_folder, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    result = CliRunner().invoke(app, ["serve", str(model_folder)])
    assert isinstance(result.exception, UserError)
    assert re.search(
        rf"no package {package}\. Run `pip install '\.\[serve\]'` in a checkout",
        str(result.exception),
    )


def test_mistakes_on_the_command_line(model_folder, tmp_path):
    def refused(*options):
        result = CliRunner().invoke(app, ["serve", str(model_folder), *options])
        assert isinstance(result.exception, UserError)
        return str(result.exception)

    empty = tmp_path / "keys"
    empty.touch()
    assert "keys: expected a text file with a key on each line, found an empty" in refused(
        "--api-key-file", str(empty)
    )
    assert "no-keys: expected a text file" in refused("--api-key-file", str(tmp_path / "no-keys"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert "Choose another port" in refused("--port", port)
    assert "expected an address of this machine" in refused("--host", "192.0.2.77")
    assert "limits.queue: expected more than 0" in refused("--queue", "0")
    assert "expected an exported model" in refused("--port", "0", "--runtime", "onnx")


def test_the_model_is_called_as_its_run_folder_or_id(tmp_path):
    (tmp_path / "telephone" / "model").mkdir(parents=True)
    assert model_name_of(str(tmp_path / "telephone" / "model")) == "telephone"
    assert model_name_of(str(tmp_path / "telephone")) == "telephone"
    assert model_name_of("me/my-model") == "me/my-model"
