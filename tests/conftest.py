"""Shapes are checked in every test; a corpus of tones and its recipe; a tiny model; benchmarks."""

import importlib.util
import json
import os
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import soundfile
import soxr
import torch
from accelerate.state import AcceleratorState
from filelock import FileLock
from typer.testing import CliRunner

jaxtyping.install_import_hook(
    [
        *(
            f"horizon_st.objective.{name}"
            for name in ("objective", "passes", "terms", "token_terms")
        ),
        *(f"horizon_st.model.{name}" for name in ("outputs", "passes", "subsampler", "translator")),
        "horizon_st.decoding.beam_search",
        *(f"horizon_st.data.{name}" for name in ("augment", "frontend")),
    ],
    "beartype.beartype",
)

LONG_FILES = (
    *("horizon/test_search", "horizon/test_tuning", "horizon/test_cluster"),
    *("training/test_resume", "training/test_processes", "training/test_dry_run"),
    *("inference/onnx/test_export", "inference/onnx/test_graphs", "test_benchmarks"),
    *("serving/test_processes", "serving/test_ray_deployment", "serving/test_page_in_a_browser"),
)
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
WORDS = {"do": "eins", "re": "zwei", "mi": "drei", "fa": "vier", "so": "acht"}
PITCHES_HZ = dict(zip(WORDS, (260, 330, 410, 520, 660), strict=True))
CONTENT = {
    "name": "tones",
    "precision": "fp32",
    "data": {
        "vocab_size": 28,
        "max_batch_s": 3.0,
        "max_batch_utterances": 2,
        "max_batch_tokens": 24,
        "num_buckets": 2,
        "augment": {
            "speeds": [0.9, 1.0],
            "num_frequency_masks": 1,
            "frequency_mask_bins": 4,
            "num_time_masks": 1,
        },
    },
    "model": {
        "speech_encoder": {"num_mel_bins": 20},
        "subsampler": {"mid_channels": 16},
        "text_model": {
            "architecture": "m2m_100",
            "encoder_layers": 1,
            "decoder_layers": 1,
            "d_model": 16,
            "ffn_dim": 16,
            "num_heads": 2,
            "dropout": 0.1,
        },
    },
    "objective": {
        "mt_weight": 0.5,
        "consistency_weight": 1.0,
        "rdrop_weight": 1.0,
        "ctc_weight": 0.3,
        "external_mt_weight": 0.5,
    },
    "decoding": {"beam_size": 2, "batch_size": 4, "max_tokens": 6},
    "stages": {
        "mt_external": {"max_steps": 4},
        "mt_in_domain": {"max_steps": 3},
        "asr": {"max_steps": 0},
        "st": {"max_steps": 7, "metric": "bleu"},
    },
}
for stage in CONTENT["stages"].values():
    stage |= {
        "learning_rate": 1e-2,
        "warmup_steps": 1,
        "validate_every_steps": 2,
        "log_every_steps": 1,
        "accumulation": 2,
        "keep_newest": 2,
        "average": 2,
    }


def pytest_collection_modifyitems(items):
    """Puts what takes longest first, so that no worker waits for another at the end."""
    tests = Path(__file__).parent

    def place(item):
        name = item.path.relative_to(tests).with_suffix("").as_posix()
        return LONG_FILES.index(name) if name in LONG_FILES else len(LONG_FILES)

    items.sort(key=place)


@pytest.fixture(scope="session")
def file_size_limit():
    """A function: bytes -> a block in which no file can be longer, as on a full disk."""

    @contextmanager
    def limit(num_bytes):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limit


@pytest.fixture(autouse=True, scope="module")
def _forget_accelerators():
    """Or one that a test makes fixes the precision of all that are made later."""
    yield
    AcceleratorState._reset_state()


@pytest.fixture
def benchmark(monkeypatch):
    """A function: name -> the module of that benchmark."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def run_main(benchmark, monkeypatch, capsys, tmp_path):
    """A function: (name, arguments) -> rows of the JSON, after its main has printed them."""

    def run(name, *arguments):
        module = benchmark(name)
        out = tmp_path / f"{name}.json"
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments), "--out", str(out)])
        num_threads = torch.get_num_threads()
        module.main()
        torch.set_num_threads(num_threads)
        report = json.loads(out.read_text(encoding="utf-8"))
        assert report["machine"]["cores"] > 0
        header, _, *lines = [x for x in capsys.readouterr().out.splitlines() if x.startswith("|")]
        assert header == "| " + " | ".join(report["rows"][0]) + " |"
        assert len(lines) == len(report["rows"])
        return report["rows"]

    return run


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder with train.jsonl (one utterance lacks a transcript), dev.jsonl, text_pairs.jsonl."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for split, number in (("train", 9), ("dev", 3)):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for index in range(number):
                words = [*rng.choice([*WORDS], size=int(rng.integers(1, 5)))]
                cut = _write_utterance(folder, f"{split}{index}", words, rng)
                if (split, index) == ("train", 8):
                    del cut["supervisions"][0]["text"]
                file.write(json.dumps(cut) + "\n")
    with (folder / "text_pairs.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(11):
            words = [*rng.choice([*WORDS], size=int(rng.integers(1, 7)))]
            pair = {"source": " ".join(words), "target": _translate(words)}
            file.write(json.dumps(pair) + "\n")
    return folder


@pytest.fixture(scope="session")
def make_recipe(corpus):
    """A function: overrides -> Recipe, three stages over the corpus unless told otherwise."""
    # Not before the hook above is installed.
    from horizon_st.config import build_config
    from horizon_st.training.stages import Recipe

    def make(*overrides):
        content = CONTENT | {
            "data": CONTENT["data"]
            | {
                "train": str(corpus / "train.jsonl"),
                "dev": str(corpus / "dev.jsonl"),
                "text_pairs": str(corpus / "text_pairs.jsonl"),
            }
        }
        return build_config(Recipe, content, overrides, place="test")

    return make


@pytest.fixture(scope="session")
def write_model(tmp_path_factory):
    """A function: encoder layers -> the folder of a model of random weights that listens."""
    # Not before the hook above is installed.
    from horizon_st.data.frontend import FilterbankFrontend
    from horizon_st.data.text import train_tokenizer
    from horizon_st.model.build import build_translator
    from horizon_st.model.configuration import ModelConfig, TextModelConfig
    from horizon_st.model.subsampler import SubsamplerConfig

    def write(encoder_layers):
        torch.manual_seed(3)
        sentences = ["le chat dort sur le lit", "the cat sleeps on the bed", "il pleut des cordes"]
        tokenizer = train_tokenizer(sentences * 5, vocab_size=27)
        shape = {"d_model": 32, "ffn_dim": 64, "num_heads": 2, "max_positions": 128}
        text_model = TextModelConfig(encoder_layers=encoder_layers, decoder_layers=2, **shape)
        model = build_translator(
            ModelConfig(subsampler=SubsamplerConfig(mid_channels=32), text_model=text_model),
            vocab_size=len(tokenizer),
            pad_id=tokenizer.pad_token_id,
            bos_id=tokenizer.bos_token_id,
            eos_id=tokenizer.eos_token_id,
        )
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "encoder_attn" in name or "subsampler" in name:
                    parameter.mul_(3)  # random weights care little about the speech otherwise
        folder = tmp_path_factory.mktemp("translator") / "model"
        for part in (model, tokenizer, FilterbankFrontend()):
            part.save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def model_folder(write_model):
    """A tiny random model."""
    return write_model(encoder_layers=2)


@pytest.fixture(scope="session")
def tracing():
    """A context in which shapes are not checked: the lengths of a traced graph are symbols."""

    @contextmanager
    def unchecked():
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            yield
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    return unchecked


@pytest.fixture(scope="session")
def small_model_folder(write_model):
    """A tiny random model that is traced in seconds."""
    return write_model(encoder_layers=1)


@pytest.fixture(scope="session")
def exported(small_model_folder, tracing, tmp_path_factory):
    """The folder of its export for ONNX Runtime, in 32-bit floats; processes of a run share it."""
    from horizon_st.cli import app  # after the hook above

    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exported"
    with FileLock(f"{out}.lock"), tracing():
        if not out.exists():
            result = CliRunner().invoke(app, ["export", str(small_model_folder), str(out)])
            assert result.exit_code == 0, result.output
            assert result.stdout == f"{out}\n"
    return out


@pytest.fixture(scope="session")
def speech():
    """A function: seconds -> so much recorded speech at 16 kHz, over faint noise."""
    from horizon_st.data.corpora.telephone.recordings import Recordings

    recordings = Recordings()
    samples = soxr.resample(recordings.samples[: 400 * recordings.sample_rate], 8_000, 16_000)
    noise = np.random.default_rng(1).normal(0, 1e-3, len(samples))
    samples = (samples + noise).astype(np.float32)
    return lambda seconds, start_s=0: samples[int(start_s * 16_000) :][: int(seconds * 16_000)]


def _write_utterance(folder, identity, words, rng):
    rate = 16_000
    tones = [
        np.sin(2 * np.pi * PITCHES_HZ[word] * np.arange(int(rate * rng.uniform(0.1, 0.2))) / rate)
        for word in words
    ]
    samples = 0.3 * np.concatenate(tones)
    samples += rng.normal(0, 0.01, len(samples))
    soundfile.write(folder / f"{identity}.wav", samples, rate, subtype="PCM_16")
    duration = len(samples) / rate
    span = {"start": 0.0, "duration": duration, "channel": 0}
    source = {"type": "file", "channels": [0], "source": f"{identity}.wav"}
    return {
        "id": identity,
        **span,
        "supervisions": [
            {
                "id": identity,
                "recording_id": identity,
                **span,
                "text": " ".join(words),
                "custom": {"translated_text": _translate(words)},
            }
        ],
        "recording": {
            "id": identity,
            "sources": [source],
            "sampling_rate": rate,
            "num_samples": len(samples),
            "duration": duration,
            "channel_ids": [0],
        },
        "type": "MonoCut",
    }


def _translate(words):
    return " ".join(WORDS[word] for word in reversed(words))
