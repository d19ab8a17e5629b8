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
from typer.testing import CliRunner

from horizon_st.cli import app
from horizon_st.errors import UserError
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.serving import replicas
from horizon_st.serving.limits import LostReplicaError
from horizon_st.serving.replicas import replica_processes
from horizon_st.serving.server import model_name_of

# The client's maker retires its own translations.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


class Deadly:
    """Ends the process that receives it."""

    def __reduce__(self):
        return os._exit, (9,)


@pytest.fixture
def command(model_folder):
    """A function: options -> the process of `horizon-st serve`, and its address."""
    started = []

    def start(*options):
        line = [sys.executable, "-m", "horizon_st", "serve", str(model_folder), "--port", "0"]
        process = subprocess.Popen([*line, *options], stdout=subprocess.PIPE, text=True)
        started.append(process)
        [address] = re.findall(r"^Serving \S+ at (\S+)/v1", process.stdout.readline())
        return process, address

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_that_is_told_to_end_finishes_what_it_accepted(command, translator, talk):
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
    same = SpeechTranslator(translator.runtime)
    assert answer.text == " ".join(one.text for one in same.translate_recording(talk))
    client.close()


def test_copies_in_processes(model_folder, translator, talk):
    segments = [*translator.cut(talk)]
    expected = [one.text for one in translator.translate_segments(segments)]
    with replica_processes(str(model_folder), 1, config=translator.config) as [replica]:
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
        rf"no package {package}\. Install them with `pip install 'horizon-st\[serve\]'`",
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
    assert "expected an exported model" in refused("--runtime", "onnx")


def test_the_model_is_called_as_its_run_folder_or_id(tmp_path):
    (tmp_path / "telephone" / "model").mkdir(parents=True)
    assert model_name_of(str(tmp_path / "telephone" / "model")) == "telephone"
    assert model_name_of(str(tmp_path / "telephone")) == "telephone"
    assert model_name_of("me/my-model") == "me/my-model"
