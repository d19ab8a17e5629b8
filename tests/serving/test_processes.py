"""The command as a process of its own, and copies of the model in further processes."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
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
from horizon_st.serving.replicas import ReplicaProcess, replica_processes
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


def test_two_copies_answer_alike_and_end_together(exported, recordings):
    translator = SpeechTranslator.from_pretrained(exported, config=SEARCH)
    segments = [[*translator.cut(path)] for path in recordings[:2]]
    with (
        replica_processes(str(exported), 2, config=SEARCH) as copies,
        ThreadPoolExecutor(2) as threads,
    ):
        assert len(active_children()) == 2
        found = threads.map(lambda copy, some: copy.translate_segments(some), copies, segments)
        assert [[one.text for one in some] for some in found] == [
            [one.text for one in translator.translate_segments(some)] for some in segments
        ]
    assert active_children() == []


def test_copies_of_no_model_are_not_started(tmp_path):
    line = [sys.executable, "-m", "horizon_st", "serve", str(tmp_path / "none"), "--workers", "2"]
    ended = subprocess.run([*line, "--port", "0", "--no-page"], capture_output=True, text=True)
    assert ended.returncode == 2
    [message] = (ended.stdout + ended.stderr).strip().splitlines()
    assert "none: expected a model folder, found no such folder" in message


def test_only_one_copy_looks_at_a_model_that_is_broken(exported, tmp_path, monkeypatch):
    started = []
    start = ReplicaProcess._start
    monkeypatch.setattr(ReplicaProcess, "_start", lambda self: [started.append(self), start(self)])
    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    (folder / "decoder.onnx").unlink()
    with (
        pytest.raises(UserError, match=r"found no decoder\.onnx"),
        replica_processes(str(folder), 3),
    ):
        pass
    assert len(started) == 1
    assert active_children() == []


@pytest.mark.parametrize("error", [EOFError, ConnectionResetError, BrokenPipeError])
@pytest.mark.parametrize("loads", [True, False])
def test_a_copy_ends_quietly_with_its_server(translator, monkeypatch, error, loads):
    monkeypatch.setattr(replicas.signal, "signal", lambda *_: None)

    calls = []

    class Gone:
        def send(self, answer):
            calls.append("send")
            if not loads:
                raise BrokenPipeError

        def recv(self):
            calls.append("recv")
            raise error

    replicas._work(Gone(), lambda: translator if loads else 1 / 0)
    assert calls == (["send", "recv"] if loads else ["send"])


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


def test_an_export_is_served_without_pytorch_or_gradio(exported, recordings):
    program = f"""
        import sys
        for name in ("accelerate", "gradio", "lhotse", "torch", "transformers"):
            sys.modules[name] = None  # whoever imports it gets a ModuleNotFoundError
        from starlette.testclient import TestClient
        from horizon_st.cli import main
        from horizon_st.serving import server

        def ask(app, listener, **_):
            with TestClient(app) as client, open({str(recordings[0])!r}, "rb") as file:
                form = {{"files": {{"file": file}}, "data": {{"model": "whisper-1"}}}}
                print(client.post("/v1/audio/translations", **form).json()["text"])

        server.run_server = ask
        sys.argv = ["horizon-st", "serve", {str(exported)!r}, "--port", "0", "--no-page"]
        main()
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    translator = SpeechTranslator.from_pretrained(exported)
    expected = " ".join(one.text for one in translator.translate_recording(recordings[0]))
    assert result.stdout.splitlines()[1:] == [expected]


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
