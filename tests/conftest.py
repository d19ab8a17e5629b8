"""Shapes in signatures are checked in every test (jaxtyping), and benchmarks can be run."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from jaxtyping import install_import_hook

install_import_hook(
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

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


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
