"""The corpus on disk: what lhotse reads, what is repeatable, what a killed build leaves."""

import hashlib
import json
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from horizon_st.data.corpora.telephone import build, build_corpus, build_recorded
from horizon_st.errors import UserError

SIZES: dict[str, Any] = {"num_train": 4, "num_dev": 2, "num_test": 3, "num_text_pairs": 30}


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("telephone") / "corpus"
    return build_corpus(folder, target="de", **SIZES)


def test_lhotse_reads_cuts_audio_and_translations(corpus):
    assert corpus.num_utterances == {"train": 4, "dev": 2, "test": 3}
    assert corpus.num_text_pairs == 30
    for split, num_utterances in corpus.num_utterances.items():
        cuts = list(CutSet.from_jsonl_lazy(corpus.folder / f"{split}.jsonl"))
        assert len(cuts) == num_utterances
        for cut in cuts:
            (supervision,) = cut.supervisions
            assert supervision.language == "en"
            assert supervision.custom["target_language"] == "de"
            assert supervision.custom["translated_text"].endswith(".")
            assert supervision.text == supervision.text.lower()
            path = corpus.folder / cut.recording.sources[0].source
            samples, sample_rate = soundfile.read(path)
            assert soundfile.info(path).subtype == "PCM_16"
            assert (sample_rate, len(samples)) == (8000, cut.recording.num_samples)
            assert cut.duration == pytest.approx(len(samples) / 8000)
            assert 0.05 < np.abs(samples).max() < 1.0
        hours = sum(cut.duration for cut in cuts) / 3600
        assert corpus.hours[split] == pytest.approx(hours, abs=1e-4)


def test_text_pairs_are_not_among_the_spoken_sentences(corpus):
    rows = [
        json.loads(line)
        for line in (corpus.folder / "text_pairs.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    spoken = [
        cut.supervisions[0]
        for split in ("train", "dev", "test")
        for cut in CutSet.from_jsonl_lazy(corpus.folder / f"{split}.jsonl")
    ]
    assert not {row["source"] for row in rows} & {supervision.text for supervision in spoken}
    targets = {supervision.custom["translated_text"] for supervision in spoken}
    assert not {row["target"] for row in rows} & targets


def test_description_names_seed_licence_and_fingerprints(corpus):
    description = json.loads((corpus.folder / "corpus.json").read_text(encoding="utf-8"))
    assert description["parameters"]["seed"] == 0
    assert "CC BY-SA 3.0" in description["licence"]
    assert "Allison Smith" in description["credits"]
    for name, digest in description["sha256"].items():
        assert contents(corpus.folder)[name] == digest


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(corpus, tmp_path):
    again = build_corpus(tmp_path / "again", target="de", **SIZES)
    other = build_corpus(tmp_path / "other", target="de", seed=1, **SIZES)
    assert contents(again.folder) == contents(corpus.folder)
    assert again.fingerprint == corpus.fingerprint != other.fingerprint
    same = contents(other.folder).items() & contents(corpus.folder).items()
    assert not same


def test_complete_corpus_is_not_built_twice(corpus):
    before = {path: path.stat().st_mtime_ns for path in corpus.folder.rglob("*")}
    calls = []
    again = build_corpus(
        corpus.folder, target="de", progress=lambda *counts: calls.append(counts), **SIZES
    )
    assert again == corpus
    assert not calls
    assert {path: path.stat().st_mtime_ns for path in corpus.folder.rglob("*")} == before


def test_other_parameters_replace_the_corpus_and_report_progress(tmp_path):
    sizes: dict[str, Any] = {"num_train": 1, "num_dev": 1, "num_test": 1, "num_text_pairs": 1}
    calls = []
    build_corpus(tmp_path / "c", **sizes)
    summary = build_corpus(
        tmp_path / "c", seed=2, progress=lambda *counts: calls.append(counts), **sizes
    )
    assert summary.parameters["seed"] == 2
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_corpus_in_another_language_or_part_is_left_alone(tmp_path):
    sizes: dict[str, Any] = {"num_train": 1, "num_dev": 1, "num_test": 1, "num_text_pairs": 1}
    before = build_corpus(tmp_path / "c", **sizes)
    with pytest.raises(
        UserError, match=r"older telephone corpus \(announcements, fr\), found the "
    ):
        build_corpus(tmp_path / "c", target="fr", **sizes)
    with pytest.raises(UserError, match=r"found the part announcements in es\. Name another"):
        build_recorded(tmp_path / "c")
    assert build_corpus(tmp_path / "c", **sizes) == before


def test_interrupted_build_leaves_nothing_behind(tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_corpus(tmp_path / "c", progress=interrupt, **SIZES)
    assert not list(tmp_path.iterdir())


def test_killed_build_leaves_no_corpus_and_a_later_one_succeeds(tmp_path):
    program = (
        "import os, pathlib, signal\n"
        "from horizon_st.data.corpora.telephone import build_corpus\n"
        "def kill(done, total):\n"
        "    if done == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"build_corpus(pathlib.Path({str(tmp_path / 'c')!r}), progress=kill, **{SIZES!r})\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.rglob("*.flac"))
    assert not list(tmp_path.rglob("corpus.json"))
    assert not (tmp_path / "c").exists()
    assert build_corpus(tmp_path / "c", **SIZES).num_utterances["train"] == 4


def test_build_that_fails_keeps_the_corpus_it_would_replace(corpus, tmp_path, monkeypatch):
    kept = build_corpus(tmp_path / "c", **SIZES)
    before = contents(kept.folder)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(build, "write_manifests", fail)
    with pytest.raises(OSError, match="disk full"):
        build_corpus(tmp_path / "c", **(SIZES | {"seed": 9}))
    assert contents(tmp_path / "c") == before


def test_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"found other files\. Name another folder"):
        build_corpus(tmp_path, **SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_unknown_language_is_refused(tmp_path):
    with pytest.raises(UserError, match="target: expected one of es, fr, it, de, found nl"):
        build_corpus(tmp_path / "c", target="nl", **SIZES)


def test_negative_size_is_refused(tmp_path):
    with pytest.raises(UserError, match="num_dev: expected 0 or more, found -1"):
        build_corpus(tmp_path / "c", num_dev=-1)
