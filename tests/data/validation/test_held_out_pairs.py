"""Text pairs without speech that are also held out."""

import gzip
import json
import random

import pytest

from horizon_st.data.text_pairs import (
    PAIRS_FILE,
    TextPairs,
    find_text_pairs,
    read_text_pairs,
    write_text_pairs,
)
from horizon_st.data.validation import repair, validate
from horizon_st.errors import UserError

NAMES = [PAIRS_FILE, "text_pairs.jsonl"]
HELD_OUT = [
    ("Dev utterance  number 0", "El agua está fría"),
    ("dev utterance number 1", "¿dónde vive usted?"),
]
OTHERS = [("one", "uno"), ("dev utterance number 0", "¿dónde vive usted?"), ("two", "dos")]


def write_pairs(path, pairs):
    if path.name == PAIRS_FILE:
        write_text_pairs(path, pairs)
        return
    lines = [json.dumps({"source": source, "target": target}) for source, target in pairs]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def found_in(report):
    return [
        (problem.place, problem.found) for problem in report.problems.examples["held-out text pair"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_pairs_that_are_held_out_are_told_and_left_out_of_the_copy(corpus, tmp_path, name):
    path, out = corpus / name, tmp_path / "out"
    write_pairs(path, [OTHERS[0], HELD_OUT[0], *OTHERS[1:], HELD_OUT[1]])
    told = []
    report = validate([corpus], progress=lambda *call: told.append(call))
    assert told[-1] == ("text pairs", 5, 5)
    assert report.num_errors == 0
    assert found_in(report) == [
        (f"{path}:2", "“El agua está fría”"),
        (f"{path}:5", "“¿dónde vive usted?”"),
    ]
    for _ in range(2):  # over what it wrote itself, too
        repairs = repair([corpus], out)
        assert repairs.dropped.counts == {"held-out text pair": 2}
        assert repairs.text_pairs == find_text_pairs(out) == out / name
        assert [*read_text_pairs(out / name)] == OTHERS
    assert len(read_text_pairs(path)) == 5
    assert not validate([out]).problems.counts
    write_pairs(path, OTHERS[1:])
    with pytest.raises(UserError, match=r"no other text pairs than copies of .* found others"):
        repair([corpus], out)


def test_what_is_held_out_is_what_brute_force_finds(many, tmp_path):
    rng = random.Random(1)

    def pairs(count, sources):
        return [(rng.choice(sources), f"w{rng.randrange(9)}") for _ in range(count)]

    splits = {name: pairs(20, ["a", "b", None]) for name in ("train", "dev", "test")}
    external = pairs(50, ["a", "b"])
    for name, rows in splits.items():
        many(name, [(1.0, *row) for row in rows])
    write_text_pairs(tmp_path / PAIRS_FILE, external)
    report = validate([tmp_path], check_audio=False)
    held_out = {*splits["dev"], *splits["test"]}
    expected = sum(pair in held_out for pair in external)
    assert 0 < expected < 50
    assert report.problems.counts["held-out text pair"] == expected


def test_where_all_pairs_are_held_out_the_copy_has_none(corpus, tmp_path):
    write_text_pairs(corpus / PAIRS_FILE, OTHERS)
    repair([corpus], tmp_path / "out")
    write_text_pairs(corpus / PAIRS_FILE, [*OTHERS, *HELD_OUT])
    assert len(TextPairs(repair([corpus], tmp_path / "out").text_pairs)) == 3
    write_text_pairs(tmp_path / "out" / PAIRS_FILE, HELD_OUT)
    write_text_pairs(corpus / PAIRS_FILE, HELD_OUT)
    assert repair([corpus], tmp_path / "out").text_pairs is None
    assert find_text_pairs(tmp_path / "out") is None


def test_pairs_beside_no_train_or_with_nothing_held_out_are_let_be(corpus, tmp_path):
    write_text_pairs(corpus / PAIRS_FILE, HELD_OUT)
    for name in ("dev", "train"):
        assert not validate([corpus / f"{name}.jsonl"]).problems.counts
    repairs = repair([corpus / "train.jsonl"], tmp_path / "out")
    assert repairs.text_pairs.samefile(corpus / PAIRS_FILE)


def test_damaged_pairs_are_an_error_and_no_part_of_the_copy(corpus, tmp_path):
    (corpus / PAIRS_FILE).write_bytes(b"no Arrow file")
    report = validate([corpus])
    assert report.problems.counts == {"damaged file": 1}
    [problem] = report.problems.examples["damaged file"]
    assert problem.place == str(corpus / PAIRS_FILE)
    repairs = repair([corpus], tmp_path / "out")
    assert repairs.dropped.counts == {"damaged file": 1}
    assert repairs.text_pairs is None


def test_the_pairs_themselves_are_not_replaced(corpus):
    write_text_pairs(corpus / PAIRS_FILE, HELD_OUT)
    packed = corpus / "train.jsonl.gz"
    packed.write_bytes(gzip.compress((corpus / "train.jsonl").read_bytes()))
    (corpus / "train.jsonl").unlink()
    with pytest.raises(UserError, match="found these pairs themselves"):
        repair([packed], corpus)
