"""Exported graphs compute what PyTorch does, and whole translations are the same without it."""

import errno
import json
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from packaging.requirements import Requirement
from typer.testing import CliRunner

from horizon_st.cli import app
from horizon_st.data.collate import make_batch
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.generate import translate
from horizon_st.decoding.model_folder import model_fingerprint
from horizon_st.decoding.trained import load_trained_model
from horizon_st.errors import UserError
from horizon_st.inference.onnx import export, quantization
from horizon_st.inference.onnx.model import ExportedModel, Past
from horizon_st.inference.onnx.quantization import quantize
from horizon_st.inference.onnx.runtime import OnnxRuntime
from horizon_st.inference.pipeline import SpeechTranslator
from horizon_st.inference.pytorch_runtime import PyTorchRuntime
from horizon_st.model.outputs import Encoded

ROOT = Path(__file__).parents[3]
RULES = ("end", "never", "never_first", "first")
SEARCHES = [
    DecodingConfig(beam_size=1, max_tokens=10),
    DecodingConfig(beam_size=4, max_tokens=14, length_penalty=1.5, no_repeat_ngram_size=3),
    DecodingConfig(beam_size=5, max_tokens_base=3, max_tokens_per_state=0.2),
]


@pytest.fixture(scope="module")
def trained(model_folder):
    return load_trained_model(model_folder, device="cpu")


@pytest.fixture(scope="module")
def model(exported):
    return ExportedModel(exported, num_threads=1)


@pytest.fixture(scope="module")
def recordings(speech):
    # The best translations of these are no near ties: noise of a hundred thousandth changes none.
    places_s = ((0.7, 35), (2.0, 290), (0.1, 20), (4.9, 1.2), (1.3, 135))
    return [speech(length_s, start_s=start_s) for length_s, start_s in places_s]


@pytest.mark.parametrize("chosen", [[0], [2], [3], [0, 1, 2], [4, 3, 2, 1, 0]], ids=str)
def test_states_of_speech(trained, model, recordings, chosen):
    features = [trained.frontend(recordings[i]) for i in chosen]
    lengths = torch.tensor([len(row) for row in features])
    padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True)
    with torch.no_grad():
        expected = trained.model.encode_speech(padded, lengths)
    check_states(model.encode_speech([row.numpy() for row in features]), expected)


@pytest.mark.parametrize("lengths", [[1], [9], [3, 8, 1, 5]], ids=str)
def test_states_of_text(trained, model, lengths):
    rng = np.random.default_rng(0)
    rows = [[*rng.integers(4, 27, size=length - 1).tolist(), 2] for length in lengths]
    padded = torch.tensor([row + [1] * (max(lengths) - len(row)) for row in rows])
    with torch.no_grad():
        expected = trained.model.encode_text(padded)
    check_states(model.encode_text(rows), expected)


def check_states(found, expected):
    assert found.num_states.tolist() == expected.mask.sum(dim=1).tolist()
    mask = expected.mask.numpy()
    np.testing.assert_allclose(found.states[mask], expected.states.numpy()[mask], atol=1e-4)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_log_probabilities_of_beams_that_change_places(trained, model, num_beams):
    rng = np.random.default_rng(0)
    rows = [[*rng.integers(4, 27, size=length).tolist(), 2] for length in (5, 2, 7)]
    found = model.encode_text(rows)
    encoded = Encoded(
        torch.from_numpy(found.states),
        torch.arange(found.states.shape[1])[None] < torch.from_numpy(found.num_states)[:, None],
    )
    past = Past(model, found)
    past.extend(np.full((3, 1), 2))
    is_open = np.array([True, False, True])
    past.keep(is_open, np.zeros((3, num_beams), np.int64))
    tokens = rng.integers(4, 27, size=(2, num_beams))
    past.extend(tokens)
    parents = rng.integers(num_beams, size=(2, num_beams))
    past.keep(np.array([True, True]), parents)
    last = rng.integers(4, 27, size=(2, num_beams))
    before = np.take_along_axis(tokens, parents, axis=1)
    prefixes = np.stack([np.full_like(before, 2), before, last], axis=2)
    rows = torch.tensor([0, 2]).repeat_interleave(num_beams)
    with torch.no_grad():
        logits = trained.model.decode(
            Encoded(encoded.states[rows], encoded.mask[rows]),
            torch.from_numpy(prefixes).flatten(0, 1),
        ).logits[:, -1]
    expected = logits.log_softmax(dim=-1).unflatten(0, (2, num_beams))
    np.testing.assert_allclose(past.extend(last), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("config", SEARCHES, ids=["greedy", "no repetition", "short"])
def test_the_same_tokens_whatever_the_batch(trained, exported, recordings, config):
    both = PyTorchRuntime(trained), OnnxRuntime.load(exported, num_threads=1)
    for chosen in (recordings, recordings[:1], recordings[1:3]):
        prefixes = [[5, 9], [], [4], [], []][: len(chosen)]
        for begun in (None, prefixes):
            expected, found = (runtime.decode(chosen, config, begun) for runtime in both)
            assert [one.tokens for one in found] == [one.tokens for one in expected]
            assert [one.text for one in found] == [one.text for one in expected]
            scores = [one.score for one in expected]
            assert [one.score for one in found] == pytest.approx(scores, abs=1e-4)


def test_the_same_tokens_of_text(trained, model):
    sentences = ["le chat dort", "it is on the bed", "il pleut"]
    tokenizer = trained.tokenizer
    batch = make_batch(["0", "1", "2"], tokenizer, sentences, [""] * 3)
    config = DecodingConfig(beam_size=4, max_tokens=12)
    expected = translate(trained.model, tokenizer, [batch], config, modality="text")
    rows = [tokenizer(sentence).input_ids for sentence in sentences]
    found = model.search(model.encode_text(rows), config)
    assert [one.tokens for one in found] == [one.tokens for one in expected]


@pytest.fixture(scope="module")
def talk(speech, tmp_path_factory):
    path = tmp_path_factory.mktemp("talk") / "talk.flac"
    samples = [speech(7), np.zeros(24_000, np.float32), speech(9, start_s=30)]
    soundfile.write(path, np.concatenate(samples), 16_000)
    return path


@pytest.mark.parametrize("form", ["txt", "srt", "json"])
def test_the_same_files(model_folder, exported, talk, tmp_path, form):
    written = []
    for folder, runtime in ((model_folder, "pytorch"), (exported, "onnx")):
        out = tmp_path / runtime
        arguments = [str(folder), str(talk), "--runtime", runtime, "-f", form, "-o", str(out)]
        result = CliRunner().invoke(app, ["translate", *arguments])
        assert result.exit_code == 0, result.output
        written.append((out / f"talk.{form}").read_text(encoding="utf-8"))
    assert written[0]
    if form != "json":
        assert written[0] == written[1]
        return
    expected, found = map(json.loads, written)
    assert found.pop("source") == expected.pop("source")
    for one, other in zip(found["segments"], expected["segments"], strict=True):
        assert one.pop("confidence") == pytest.approx(other.pop("confidence"), abs=2e-4)
    assert found == expected


def test_the_same_live_text(model_folder, exported, speech):
    blocks = np.array_split(speech(5), 50)
    config = DecodingConfig(beam_size=2, max_tokens=12)
    told = []
    for folder in (model_folder, exported):
        translator = SpeechTranslator.from_pretrained(folder, config=config)
        events = translator.translate_stream(blocks, sampling_rate=16_000, every_s=1)
        told.append([(event.stable, event.unstable, event.end_s) for event in events])
    assert told[0] == told[1]
    assert len(told[0]) > 3


def test_only_what_is_said_to_be_needed_is_imported(
    exported, model_folder, talk, modules_beyond, run_without
):
    """No PyTorch, no transformers, and nothing else that the requirements do not bring."""
    lines = (ROOT / "requirements-onnx.txt").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(listed) < {line.partition("#")[0] for line in project["dependencies"]}
    # The two without what they require.
    absent = modules_beyond([Requirement(line).name for line in listed], "horizon-st", "silero-vad")
    assert {"torch", "transformers", "lhotse"} < set(absent)
    command = [str(exported), str(talk), "--runtime", "onnx", "--format", "srt"]
    result = run_without(absent, "translate", *command)
    assert result.returncode == 0, result.stderr
    expected = CliRunner().invoke(app, ["translate", str(model_folder), str(talk), "-f", "srt"])
    assert result.stdout == expected.stdout


def test_trained_models_and_copies_without_pytorch(exported, model_folder):
    """A copy of an export has its share of the cores; a trained model says what it needs."""
    program = f"""
        import sys
        sys.modules["torch"] = sys.modules["transformers"] = None
        from horizon_st.errors import UserError
        from horizon_st.hardware import usable_cores
        from horizon_st.inference.runtime import load_runtime
        from horizon_st.serving.replicas import _load_share
        translator = _load_share(0, usable_cores(), {str(exported)!r}, {{}})
        options = translator.runtime.model.decoder.get_session_options()
        print(options.intra_op_num_threads)
        try:
            load_runtime({str(model_folder)!r})
        except UserError as error:
            print(error)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    num_threads, error = result.stdout.splitlines()
    assert num_threads == "1"
    assert error.startswith(f"{model_folder}: expected an exported model (export.json, ...), since")


@pytest.fixture(scope="module")
def integers(exported, tmp_path_factory):
    """The export in 8-bit integers."""
    folder = tmp_path_factory.mktemp("int8") / "model"
    shutil.copytree(exported, folder)
    quantize(folder)
    return folder


def test_all_products_with_weights_are_of_integers(integers):
    num_attentions = {"speech_encoder": 1, "text_encoder": 1, "cross_attention": 0, "decoder": 4}
    for name, number in num_attentions.items():
        kinds = [node.op_type for node in onnx.load(integers / f"{name}.onnx").graph.node]
        assert "MatMulInteger" in kinds
        # Queries by keys, and by values, which no weights are.
        assert kinds.count("MatMul") + kinds.count("Gemm") == 2 * number


@pytest.mark.parametrize("most_bytes", [0, 10**9])
def test_weights_in_a_file_of_their_own(
    exported, integers, tmp_path, recordings, monkeypatch, most_bytes
):
    """As PyTorch writes large graphs; in integers they may be large still, or not."""
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    path, weights = folder / "decoder.onnx", folder / "decoder.onnx.data"
    graph = onnx.load(path)
    path.unlink()
    onnx.save_model(
        graph, path, save_as_external_data=True, location=weights.name, size_threshold=0
    )
    num_bytes = weights.stat().st_size
    monkeypatch.setattr(quantization, "_MOST_BYTES", most_bytes)
    quantize(folder)
    assert (weights.stat().st_size if weights.exists() else 0) < num_bytes
    assert weights.exists() == (most_bytes == 0)
    found, expected = (
        OnnxRuntime.load(place, num_threads=1).decode(recordings, SEARCHES[0])
        for place in (folder, integers)
    )
    assert found == expected


def test_integers_are_near(exported, integers, recordings):
    exact, rounded = (ExportedModel(path, num_threads=1) for path in (exported, integers))
    features = [OnnxRuntime(exact).frontend(samples) for samples in recordings]
    expected, found = (model.encode_speech(features) for model in (exact, rounded))
    longest = expected.num_states.argmax()
    alike = np.corrcoef(found.states[longest].ravel(), expected.states[longest].ravel())[0, 1]
    assert 0.95 < alike < 0.999999
    config = DecodingConfig(beam_size=2, max_tokens=8)
    assert all(one.text for one in OnnxRuntime(rounded).decode(recordings, config))


def test_segments_are_as_long_as_the_model_can_take(model_folder, exported, recordings):
    translators = [SpeechTranslator.from_pretrained(f) for f in (model_folder, exported)]
    lengths_s = [translator.segmenter.longest_s for translator in translators]
    assert lengths_s[0] == lengths_s[1] == pytest.approx(5.12, abs=0.05)
    too_long = np.zeros(16_000 * 6, np.float32)
    with pytest.raises(UserError, match=r"array: .* longer than the model can take, found 6\.0 s"):
        translators[1].translate(too_long, sampling_rate=16_000, one_utterance=True)
    with pytest.raises(UserError, match=r"speech: expected at most 5\.\d+ s.* found 6\.00 s"):
        translators[1].decode([too_long])


@pytest.mark.parametrize("changed", ["decoder.onnx", "export.json", "arrays.npz", "tokenizer.json"])
def test_a_record_of_another_export_or_runtime_is_not_used(
    exported, model_folder, tmp_path, changed
):
    folder = shutil.copytree(exported, tmp_path / "changed")
    as_before = model_fingerprint(folder)
    path = folder / changed
    path.write_bytes(path.read_bytes() + b"\n")
    found = [model_fingerprint(one) for one in (model_folder, exported, folder)]
    assert len({*found}) == 3
    assert as_before == found[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "bf16"], "decoding.precision: expected fp32 for an exported model"),
        (["--device", "cuda"], "device: expected cpu for an exported model, found cuda"),
        (["--runtime", "pytorch"], "expected a trained model with --runtime pytorch"),
    ],
)
def test_what_an_export_cannot_do_is_refused(exported, talk, options, message):
    with pytest.raises(UserError, match=message):
        CliRunner().invoke(
            app, ["translate", str(exported), str(talk), *options], catch_exceptions=False
        )


def test_a_trained_model_is_no_export(model_folder):
    with pytest.raises(UserError, match=r"expected an exported model.*`horizon-st export"):
        SpeechTranslator.from_pretrained(model_folder, runtime="onnx")


@pytest.mark.parametrize("name", ["decoder.onnx", "tokenizer.json", "arrays.npz"])
def test_missing_and_damaged_files_are_named(exported, tmp_path, recordings, name):
    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    (folder / name).write_bytes((exported / name).read_bytes()[:50])
    with pytest.raises(UserError, match=r"Copy the whole folder again"):
        OnnxRuntime.load(folder).decode(recordings[:1], SEARCHES[0])
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"expected an exported model .*found no {name}"):
        OnnxRuntime.load(folder)


@pytest.mark.parametrize(
    ("arrays", "settings"),
    [
        (b"", {}),
        ({"filters": np.ones((257, 20), np.float32)}, {}),
        (None, {"frontend": {"type": "mfcc"}}),
        (None, {"frontend": []}),
        (None, {"rules": {"start": 2}}),
        (None, {"rules": {"start": 2} | {name: [] for name in RULES}}),
    ],
    ids=["no bytes", "no window", "front end", "no object", "few rules", "no end"],
)
def test_settings_that_make_no_sense_are_named(exported, tmp_path, arrays, settings):
    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    if isinstance(arrays, dict):
        np.savez(folder / "arrays.npz", **arrays)
    elif arrays is not None:
        (folder / "arrays.npz").write_bytes(arrays)
    path = folder / "export.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | settings))
    with pytest.raises(UserError, match=r"expected the settings of an export .*Copy the whole"):
        OnnxRuntime.load(folder)


def test_an_export_of_another_version_is_refused(exported, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    settings = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    (folder / "export.json").write_text(json.dumps(settings | {"version": 99}), encoding="utf-8")
    with pytest.raises(UserError, match="expected version 1 of an export, found 99"):
        OnnxRuntime.load(folder)


def test_a_folder_with_other_files_is_not_written(model_folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="expected a new or empty folder, found one with other"):
        export.export_onnx(model_folder, tmp_path)


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    out = tmp_path / "file" / "exported"
    result = CliRunner().invoke(app, ["export", str(tmp_path / "no-model"), str(out)])
    with pytest.raises(UserError, match=r"file: expected a folder that can be written, found File"):
        raise result.exception


def test_of_what_cannot_be_written_nothing_stays(small_model_folder, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export, "write_graphs", fail)
    out = tmp_path / "exported"
    for exists in (False, True):
        if exists:
            out.mkdir()
        with pytest.raises(UserError, match=r"exported: expected a file .*No space left.* Make ro"):
            export.export_onnx(small_model_folder, out)
        assert [*tmp_path.rglob("*")] == ([out] if exists else [])


def test_an_empty_folder_is_filled(small_model_folder, exported, tmp_path, monkeypatch, tracing):
    monkeypatch.chdir(tmp_path)
    with tracing():
        export.export_onnx(small_model_folder, Path())
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in exported.iterdir()}
    assert tmp_path.stat().st_mode & 0o777 == exported.stat().st_mode & 0o777


def test_missing_packages_are_named(model_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    message = r"extra `onnx`, found no package onnxscript\. Run `pip install '\.\[onnx\]'`"
    with pytest.raises(UserError, match=message):
        export.export_onnx(model_folder, tmp_path / "out")


def test_graphs_that_compute_something_else_are_not_kept(
    trained, exported, model_folder, tmp_path, monkeypatch
):
    def wrong(model, example, folder):
        for path in exported.glob("*.onnx"):
            shutil.copy(path, folder / path.name)
        model.text_model.final_logits_bias += torch.arange(27) / 10

    monkeypatch.setattr(export, "write_graphs", wrong)
    message = r"decoder\.onnx: expected what PyTorch computes.* found a difference of 0\.\d+"
    with pytest.raises(UserError, match=message):
        export.export_onnx(model_folder, tmp_path / "out")
    assert [*tmp_path.iterdir()] == []


def test_the_benchmark_runs_each_contender_alone(benchmark, exported, recordings, tmp_path):
    module = benchmark("runtimes")
    length_s = module.write_samples(tmp_path / "samples.npz", recordings)
    assert length_s == pytest.approx(9.0)
    contender = module.Contender("ONNX fp32", exported, "fp32", 2)
    found = module.run(contender, tmp_path / "samples.npz", 1)
    translator = SpeechTranslator.from_pretrained(exported)
    expected = [
        translator.translate(samples, sampling_rate=16_000, one_utterance=True).text
        for samples in recordings
    ]
    assert found.texts == expected
    assert found.seconds > 0
    assert 50 < found.memory_mb < 400, "with PyTorch it would be more"


def test_the_benchmark_compares_with_its_first_contender(benchmark, model_folder, tmp_path):
    module = benchmark("runtimes")
    exports = {"fp32": tmp_path, "int8": tmp_path / "8"}
    one, other, *_ = contenders = module.make_contenders(model_folder, exports, [1, 16])
    names = ["PyTorch fp32", "PyTorch bf16", "ONNX fp32", "ONNX int8"]
    assert [(x.name, x.batch_size) for x in contenders] == [(n, b) for b in (1, 16) for n in names]
    runs = {
        one: [module.Run(seconds, ["uno", "dos"], 300.0) for seconds in (8.0, 4.0, 6.0)],
        other: [module.Run(seconds, ["uno", "tres"], 200.0) for seconds in (2.0, 2.0, 2.0)],
    }
    row = module.row_of(other, runs, 60.0, ["uno", "dos"])
    assert row["audio seconds per second"] == 30
    assert row["times faster"] == 3
    assert row["translations that differ"] == 1
    assert module.row_of(one, runs, 60.0, ["uno", "dos"])["translations that differ"] == 0
