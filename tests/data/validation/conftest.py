"""A small corpus of tones in two splits, and what can be done to a line of it."""

import json

import pytest

TRAIN = ["vende el pan", "la casa es blanca", "mañana viene el tren", "dos billetes por favor"]
DEV = ["el agua está fría", "¿dónde vive usted?"]


@pytest.fixture
def corpus(tmp_path, write_manifest):
    """A folder with a flawless train.jsonl of four utterances and dev.jsonl of two."""
    for name, sentences in (("train", TRAIN), ("dev", DEV)):
        path = write_manifest(
            [1.0 + 0.2 * number for number in range(len(sentences))],
            text=lambda number, name=name: f"{name} utterance number {number}",
            name=name,
        )
        lines = lines_of(path)
        for line, sentence in zip(lines, sentences, strict=True):
            line["supervisions"][0]["custom"]["translated_text"] = sentence
            line["supervisions"][0]["speaker"] = name
        write_lines(path, lines)
    return tmp_path


@pytest.fixture
def damage():
    """A function: changes one line, numbered from 1, of a manifest by a function of its value."""

    def change(path, number, edit):
        lines = lines_of(path)
        edit(lines[number - 1])
        write_lines(path, lines)

    return change


@pytest.fixture
def many(tmp_path, cut_line):
    """A function: (name, [(duration, transcript, translation)]) -> a manifest without audio."""

    def write(name, rows):
        lines = []
        for number, (duration_s, transcript, translation) in enumerate(rows):
            source = f"{name}{number}.wav"
            line = cut_line(f"{name}{number}", duration_s, text=transcript, source=source)
            line["supervisions"][0]["custom"]["translated_text"] = translation
            lines.append(line)
            (tmp_path / source).touch()
        write_lines(tmp_path / f"{name}.jsonl", lines)
        return tmp_path / f"{name}.jsonl"

    return write


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path, lines):
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
