"""Corpora of a few tones in exactly the layouts that they are published in."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from horizon_st.data.corpora.covost2 import read_covost2
from horizon_st.data.corpora.europarl_st import read_europarl_st
from horizon_st.data.corpora.fleurs import read_fleurs
from horizon_st.data.corpora.mboshi import read_mboshi
from horizon_st.data.corpora.mtedx import read_mtedx
from horizon_st.data.corpora.mustc import read_mustc
from horizon_st.data.corpora.tables import read_table

PAIRS = [
    ("do re mi fa", "vier drei zwei eins"),
    ("re mi", "drei zwei"),
    ("fa so do", "eins acht vier"),
    ("mi so re", "zwei acht drei"),
    ("so fa", "vier acht"),
    ("do so mi", "drei acht eins"),
]
SOURCE, TARGET = zip(*PAIRS, strict=True)
SEGMENT_S = 0.5


@dataclass(frozen=True)
class Layout:
    """How a corpus is laid out under a root, and how it is read from there.

    Attributes:
        names_splits_once: whether nothing but a table, or its column, tells that a split is there.
    """

    build: Callable[[Path], None]
    read: Callable[[Path], dict]
    names_splits_once: bool = False


def write_speech(path, duration_s=SEGMENT_S, *, rate=16_000, channels=1):
    """Tones in the format of the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(duration_s * rate)) / rate
    seed = sum(path.name.encode())
    samples = 0.3 * np.sin(2 * np.pi * (200 + seed % 400) * times)
    samples += np.random.default_rng(seed).normal(0, 0.01, len(samples))
    if path.suffix == ".m4a":
        _write_m4a(path, samples.astype(np.float32), rate)
        return
    options = {".opus": {"format": "OGG", "subtype": "OPUS"}}.get(path.suffix, {})
    soundfile.write(path, np.repeat(samples[:, None], channels, axis=1), rate, **options)


def _write_m4a(path, samples, rate):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def write_lines(path, lines):
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def build_mboshi(root):
    for split, numbers in (("train", range(4)), ("dev", range(4, 6))):
        for number in numbers:
            base = root / "full_corpus_newsplit" / split / f"abiayi_2015-09-08_Dico18_{number}"
            write_speech(Path(f"{base}.opus" if number % 2 else f"{base}.wav"))
            write_lines(Path(f"{base}.mb"), [f"{SOURCE[number]}"])
            write_lines(Path(f"{base}.mb.cleaned"), [SOURCE[number]])
            write_lines(Path(f"{base}.fr"), [f"{TARGET[number].capitalize()} d'abord !"])
            write_lines(Path(f"{base}.fr.cleaned"), [f"{TARGET[number]} d &apos; abord !"])


def yaml_lines(talks, ending=".wav"):
    """Lines of MuST-C's YAML, one segment after the other in each talk."""
    return [
        f"- {{duration: {SEGMENT_S:.6f}, offset: {index * SEGMENT_S:.6f}, rW: 9, uW: 0, "
        f"speaker_id: spk.{talk}, wav: ted_{talk}{ending}}}"
        for talk, count in talks.items()
        for index in range(count)
    ]


def build_mustc(root):
    parts = {"train": ({1: 3, 2: 1}, slice(4)), "dev": ({3: 2}, slice(4, 6))}
    parts |= {"tst-COMMON": ({4: 2}, slice(2))}
    for split, (talks, rows) in parts.items():
        folder = root / "en-de" / "data" / split
        for talk, count in talks.items():
            write_speech(folder / "wav" / f"ted_{talk}.wav", count * SEGMENT_S)
        write_lines(folder / "txt" / f"{split}.yaml", yaml_lines(talks))
        write_lines(folder / "txt" / f"{split}.en", SOURCE[rows])
        write_lines(folder / "txt" / f"{split}.de", TARGET[rows])


def build_iwslt(root):
    """As low-resource tracks ship it: no transcripts, true-cased texts, names without ending."""
    for split, rows in (("train", range(4)), ("valid", range(4, 6)), ("test", range(2))):
        txt = root / split / "txt"
        names = [f"clean_JOURNAL_-2016-08-{number:02}_id" for number in rows]
        for name in names:
            write_speech(root / split / "wav" / f"{name}.flac", rate=8000)
        write_lines(
            txt / f"{split}.yaml",
            [
                f"- {{duration: {SEGMENT_S}, offset: 0.0, speaker_id: lamine_é, wav: {name}}}"
                for name in names
            ],
        )
        write_lines(txt / "segments", [f"wav/{name}.wav lamine 0.0 {SEGMENT_S}" for name in names])
        if split != "test":
            write_lines(txt / f"{split}.fra.tc", [TARGET[number] for number in rows])
        if split == "valid":
            write_lines(txt / f"{split}.fra", [TARGET[number].upper() for number in rows])


def build_mtedx(root):
    for split, talks, rows in (("train", "ab", slice(4)), ("valid", "c", slice(4, 6))):
        folder = root / "es-en" / "data" / split
        pieces = [(talk, index) for talk in talks for index in range(2)]
        for talk in talks:
            write_speech(folder / "wav" / f"0u7tTpt-{talk}.flac", 2 * SEGMENT_S, rate=44_100)
            write_lines(folder / "vtt" / f"0u7tTpt-{talk}.es.vtt", ["WEBVTT", "", "..."])
        write_lines(
            folder / "txt" / "segments",
            [
                f"0u7tTpt-{talk}_{index:04} 0u7tTpt-{talk} "
                f"{index * SEGMENT_S:.2f} {(index + 1) * SEGMENT_S:.2f}"
                for talk, index in pieces
            ],
        )
        write_lines(
            folder / "txt" / f"{split}.yaml",
            [
                f"- {{duration: {SEGMENT_S}, offset: {index * SEGMENT_S}, "
                f"speaker_id: 0u7tTpt-{talk}, wav: 0u7tTpt-{talk}.wav}}"
                for talk, index in pieces
            ],
        )
        write_lines(folder / "txt" / f"{split}.es", SOURCE[rows])
        write_lines(folder / "txt" / f"{split}.en", TARGET[rows])


def build_common_voice(root):
    clips = [f"common_voice_fr_1730{number}.mp3" for number in range(6)]
    for clip in clips:
        write_speech(root / "clips" / clip, rate=48_000)
    header = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent"]
    rows = [
        [f"c{number % 2}", clip, SOURCE[number], "2", "0", "", "", ""]
        for number, clip in enumerate(clips)
    ]
    write_lines(root / "validated.tsv", ["\t".join(row) for row in (header, *reversed(rows))])
    return clips


def build_covost2(root):
    clips = build_common_voice(root)
    splits = ["train", "train", "train_covost", "train", "dev", "test"]
    rows = [f"{clip}\t{TARGET[number]}\t{splits[number]}" for number, clip in enumerate(clips)]
    write_lines(root / "covost_v2.fr_en.tsv", ["path\ttranslation\tsplit", *rows])


def build_europarl_st(root):
    audios = root / "v1.1" / "en" / "audios"
    for split, speeches, rows in (("train", "ab", slice(4)), ("dev", "c", slice(4, 6))):
        folder = root / "v1.1" / "en" / "de" / split
        names = [f"en.20081117.17.1-12{speech}" for speech in speeches]
        for name in names:
            write_speech(audios / f"{name}.m4a", 2 * SEGMENT_S)
        write_lines(folder / "speeches.lst", names)
        write_lines(folder / "speeches.en", [" ".join(SOURCE)] * len(names))
        write_lines(folder / "speakers.lst", [f"MEP_{name[-1]}" for name in names])
        write_lines(
            folder / "segments.lst",
            [
                f"{name} {index * SEGMENT_S:.2f} {(index + 1) * SEGMENT_S:.2f}"
                for name in names
                for index in range(2)
            ],
        )
        write_lines(folder / "segments.en", SOURCE[rows])
        write_lines(folder / "segments.de", TARGET[rows])


def build_fleurs(root):
    for language, texts in (("en_us", SOURCE), ("de_de", TARGET)):
        for split, numbers in (("train", (0, 1, 2, 3, 3)), ("dev", (4, 5))):
            folder = root / "data" / language
            rows = []
            for speaker, number in enumerate(numbers):
                file = f"{language[:2].encode().hex()}{speaker}{number}.wav"
                if language == "en_us":
                    write_speech(folder / "audio" / split / file)
                text = texts[number]
                letters = " | ".join(" ".join(word) for word in text.split()) + " |"
                rows.append([str(1500 + number), file, f"{text.capitalize()}.", text, letters])
            write_lines(
                folder / f"{split}.tsv",
                ["\t".join([*row, str(round(16_000 * SEGMENT_S)), "MALE"]) for row in rows],
            )


def build_tsv(root):
    write_speech(root / "audio" / "long.wav", 4 * SEGMENT_S, channels=2)
    lines = ["ID\tpath\toffset\tduration\ttranscript\ttranslation\tspeaker\tsplit\tgender"]
    for number in range(6):
        path, offset = "audio/long.wav", number * SEGMENT_S
        if number > 3:
            path, offset = f"audio/{number}.mp3", ""
            write_speech(root / path)
        texts = f"{SOURCE[number] if number else ''}\t{TARGET[number]}"
        split = "train" if number < 4 else "validation"
        lines.append(f"u{number}\t{path}\t{offset}\t{SEGMENT_S}\t{texts}\ts1\t{split}\tx")
    (root / "table.tsv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")


def build_jsonl(root):
    for split, numbers in (("train", range(4)), ("dev", range(4, 6))):
        rows = []
        for number in numbers:
            write_speech(root / "clips" / f"{number}.ogg")
            rows.append({"audio": f"clips/{number}.ogg", "target": TARGET[number], "age": 3})
            if number:
                rows[-1]["source"] = SOURCE[number]
        write_lines(root / f"{split}.jsonl", [json.dumps(row) for row in rows])


LAYOUTS = {
    "mboshi": Layout(build_mboshi, read_mboshi),
    "mustc": Layout(
        build_mustc, lambda root: read_mustc(root, source_language="en", target_language="de")
    ),
    "iwslt": Layout(
        build_iwslt, lambda root: read_mustc(root, source_language="taq", target_language="fra")
    ),
    "mtedx": Layout(
        build_mtedx, lambda root: read_mtedx(root, source_language="es", target_language="en")
    ),
    "covost2": Layout(
        build_covost2, lambda root: read_covost2(root, source_language="fr", target_language="en")
    ),
    "europarl_st": Layout(
        build_europarl_st,
        lambda root: read_europarl_st(root, source_language="en", target_language="de"),
    ),
    "fleurs": Layout(
        build_fleurs,
        lambda root: read_fleurs(root, source_language="en_us", target_language="de_de"),
    ),
    "tsv": Layout(
        build_tsv, lambda root: read_table("tsv", root / "table.tsv"), names_splits_once=True
    ),
    "jsonl": Layout(build_jsonl, lambda root: read_table("jsonl", root), names_splits_once=True),
}


@pytest.fixture(params=[*LAYOUTS])
def layout(request):
    """Each corpus in turn."""
    return LAYOUTS[request.param]


@pytest.fixture
def corpus(tmp_path):
    """A function: name -> (root, utterances by split when called), freshly built."""

    def make(name):
        root = tmp_path / name
        LAYOUTS[name].build(root)
        return root, lambda: {split: [*rows] for split, rows in LAYOUTS[name].read(root).items()}

    return make


@pytest.fixture
def speech():
    """A function: (path, seconds) -> nothing, with tones in a file."""
    return write_speech


@pytest.fixture
def common_voice(tmp_path):
    """A Common Voice folder of six clips, and the clips' names."""
    root = tmp_path / "cv"
    return root, build_common_voice(root)


@pytest.fixture(scope="session")
def pairs():
    """The (source, target) sentences of every corpus."""
    return PAIRS
