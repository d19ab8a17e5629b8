"""The benchmark of many clients sees wrong, lost and refused answers."""

import asyncio
import os
from dataclasses import replace

import pytest

# The client's maker retires its own translations.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture
def module(benchmark, monkeypatch):
    loaded = benchmark("serving")
    monkeypatch.setattr(loaded, "BAD_OF_EACH_KIND", 1)
    monkeypatch.setattr(loaded, "LARGE_BYTES", 3 << 20)
    monkeypatch.setattr(loaded, "SILENCE_S", 60)
    monkeypatch.setattr(loaded, "SILENCE_PATIENCE_S", 60.0)
    return loaded


@pytest.fixture
def measure(module, live, replica, recordings, held_texts):
    """A function: (change of the samples, limits) -> the rows of the table."""

    def run(change=lambda sample: sample, **limits):
        replica.go.set()
        address = live(replica, **limits)
        samples = [
            change(module.Sample(path.read_bytes(), 3.0, " ".join(held_texts(path))))
            for path in recordings
        ]
        return asyncio.run(module.measure(address, os.getpid(), samples, 4, 0.5))

    return run


def test_answers_are_counted_and_compared(measure):
    alone, together, disturbed = measure(most_mb=1, most_idle_s=0.2)
    assert [row["callers"] for row in (alone, together, disturbed)] == ["1", "4", "4, and 5 others"]
    for row in (alone, together, disturbed):
        assert row["answers"] > 0
        assert row["wrong"] == row["lost"] == 0
        assert row["p50 (s)"] <= row["p95 (s)"]
        assert row["audio s per s"] == pytest.approx(3 * row["answers per s"])
    assert alone["to the others"] == "–"
    assert all(
        what in disturbed["to the others"]
        for what in ("× 200", "× 400", "× 408", "× 413", "× hung up")
    )


def test_swapped_and_refused_answers_are_seen(measure):
    rows = measure(lambda sample: replace(sample, expected="else"), most_mb=1, most_idle_s=0.2)
    assert all(row["wrong"] == row["answers"] > 0 for row in rows)
    refused = measure(most_mb=1e-3, most_idle_s=0.2)
    assert all(row["lost"] > 0 == row["answers"] for row in refused)
