"""What the terminal shows, in 80 columns."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from horizon_st.data.validation import repair, show_repairs, show_report, validate


@pytest.fixture
def printed():
    """A function: (show, result) -> the lines on a terminal of 80 columns."""

    def run(show, result):
        file = io.StringIO()
        show(result, Console(file=file, width=80))
        lines = [line.rstrip() for line in file.getvalue().splitlines()]
        assert max(map(len, lines)) <= 80
        return lines

    return run


def test_a_flawless_corpus_is_shown_in_figures(corpus, printed):
    lines = printed(show_report, validate([corpus]))
    assert lines[0].split() == ["split", "rows", "usable", "hours", "speakers", "seconds",
                                "5", "–", "95", "%", "Hz"]  # fmt: skip
    assert lines[1].split()[:5] == ["train", "4", "4", "0.00", "1"]
    assert lines[1].endswith("16,000")
    assert lines[-1] == "0 errors, 0 warnings: training takes this corpus."


def test_speakers_of_held_out_splits_that_are_in_train_are_counted(corpus, damage, printed):
    damage(corpus / "dev.jsonl", 2, lambda line: line["supervisions"][0].update(speaker="train"))
    report = validate([corpus])
    assert "1 of 2 speakers of dev also in train" in printed(show_report, report)
    assert [split.known_speakers for split in report.summary.splits] == [None, 1]
    assert report.num_warnings == 0


def test_problems_are_shown_with_place_count_and_first_ones(corpus, printed, monkeypatch):
    monkeypatch.chdir(corpus)
    for number in range(4):
        (corpus / f"train{number}.wav").unlink()
    lines = printed(show_report, validate([corpus]))
    at = lines.index("4 × missing audio  no file at the path that the manifest names")
    assert lines[at + 1] == "  train.jsonl:1  train0"
    assert lines[at + 2].startswith("    nothing at")
    assert "  and 1 more" in lines
    assert lines[-1] == "5 errors, 0 warnings: training refuses this corpus."


def test_markup_and_control_characters_of_the_corpus_are_shown_as_text(
    corpus, damage, printed, monkeypatch
):
    monkeypatch.chdir(corpus)
    evil = "[bold]\x1b[2J[/nix]"
    damage(corpus / "dev.jsonl", 1, lambda line: line.update(id=evil, start=9.0))
    lines = printed(show_report, validate([corpus]))
    assert any("[bold]�[2J[/nix]" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_the_whole_place_is_shown_however_long(corpus, printed, tmp_path):
    names = f"{'d' * 70}/{'e' * 70}"
    deep = tmp_path / names
    deep.mkdir(parents=True)
    (deep / "test.jsonl").write_text("{\n", encoding="utf-8")
    lines = printed(show_report, validate([deep / "test.jsonl"]))
    assert f"{names}/test.jsonl:1" in "".join(line.strip() for line in lines)


def test_repairs_are_shown(corpus, damage, printed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damage(corpus / "train.jsonl", 1, lambda line: line.update(start=9.0))
    damage(corpus / "train.jsonl", 2, lambda line: line["supervisions"][0].update(text=""))
    lines = printed(show_repairs, repair([corpus], Path("out")))
    assert [line.split() for line in lines[1:3]] == [
        ["dev", "2", "2", "0"],
        ["train", "4", "3", "1"],
    ]
    assert lines[3:] == [
        "1 × empty transcript removed",
        "1 left out: segment outside recording",
        "The copy is in out.",
        "To begin with it: horizon-st new NAME --manifest out",
    ]


def test_a_split_that_is_lost_is_told(corpus, printed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (corpus / "dev.jsonl").write_text("{}\n", encoding="utf-8")
    lines = printed(show_repairs, repair([corpus], Path("out")))
    assert lines[-2:] == [
        "The copy is in out.",
        "No row of dev can be used: the copy has no dev.jsonl.",
    ]


def test_one_text_in_two_splits_is_counted(corpus, damage, printed, monkeypatch):
    monkeypatch.chdir(corpus)
    sentence = {"translated_text": "Vende  el pan"}
    damage(corpus / "dev.jsonl", 2, lambda line: line["supervisions"][0].update(custom=sentence))
    lines = printed(show_report, validate([corpus]))
    [at] = [n for n, line in enumerate(lines) if line.startswith("1 × translation in two splits")]
    assert "dev.jsonl:2  dev1" in lines[at + 1] + lines[at + 2]
    assert lines[-1] == "0 errors, 1 warning: training takes this corpus."
