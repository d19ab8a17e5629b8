"""Text pairs in Arrow: what was written comes back, from any shape of file; damage is refused."""

import gzip
import json
import os
import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from horizon_st.data.files import partial_of
from horizon_st.data.text_pairs import (
    TextPairs,
    read_text_pairs,
    store_text_pairs,
    write_text_pairs,
)
from horizon_st.errors import UserError

PAIRS = [(f"source {'é' * (n % 5)}{n}", f"¿target\u2028{n}?") for n in range(9000)]


@pytest.fixture(scope="module")
def arrow(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.arrow"
    assert write_text_pairs(path, iter(PAIRS)) == len(PAIRS)
    return path


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 9500), st.integers(0, 9500))
def test_slices_are_those_of_a_list(arrow, start, stop):
    pairs = TextPairs(arrow)
    assert len(pairs) == len(PAIRS)
    assert pairs[start:stop] == PAIRS[start:stop]


def test_iterating_gives_all_pairs_in_their_order(arrow):
    assert [*TextPairs(arrow)] == PAIRS


@pytest.mark.parametrize("num_pairs", [0, 1, 7, 1000, 1500, 8999])
def test_a_sample_is_spread_evenly_and_in_order(arrow, num_pairs):
    found = [*TextPairs(arrow).sample(num_pairs)]
    rows = [int(target[8:-1]) for _, target in found]
    assert found == [PAIRS[row] for row in rows]
    assert len(set(rows)) == num_pairs
    assert rows == sorted(rows)
    for tenth in range(10):  # as many of each tenth of the file
        share = sum(900 * tenth <= row < 900 * (tenth + 1) for row in rows)
        assert abs(share - num_pairs / 10) <= 1


def test_a_sample_of_more_than_there_is_is_all(arrow):
    assert [*TextPairs(arrow).sample(20_000)] == PAIRS


@pytest.mark.parametrize("is_swapped", [False, True])
def test_long_texts_are_found_by_their_bytes(tmp_path, is_swapped):
    """Texts of two bytes a letter, of which the sources, or the targets, are the longer ones."""
    pairs = [("é" * (row % 23), "x" * 20) for row in range(1, 900) if row % 23]
    if is_swapped:
        pairs = [(target, source) for source, target in pairs]
    expected = [row for row, pair in enumerate(pairs) if max(len(t.encode()) for t in pair) > 24]
    assert 0 < len(expected) < len(pairs)
    assert [*store_text_pairs(pairs).longer_than(24)] == expected


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_files_of_other_writers(tmp_path, kind, compression):
    # Other columns, the order of columns, batches of any size, empty ones among them.
    schema = pa.schema([("target", kind), ("score", pa.float64()), ("source", kind)])
    path = tmp_path / "pairs.arrow"
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(str(path), schema, options=options) as writer:
        for start, stop in [(0, 3), (3, 3), (3, 4), (4, 900)]:
            rows = PAIRS[start:stop]
            columns = [[t for _, t in rows], [0.5] * len(rows), [s for s, _ in rows]]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    pairs = TextPairs(path)
    assert [*pairs] == PAIRS[:900]
    assert pairs[2:6] == PAIRS[2:6]


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    def stops():
        yield from PAIRS
        raise RuntimeError("killed")

    path = tmp_path / "pairs.arrow"
    write_text_pairs(path, [("old", "viejo")])
    with pytest.raises(RuntimeError, match="killed"):
        write_text_pairs(path, stops())
    assert [*TextPairs(path)] == [("old", "viejo")]
    assert [file.name for file in tmp_path.iterdir()] == ["pairs.arrow"]


def test_a_file_that_has_a_second_name_is_not_written_through(arrow, tmp_path):
    """As a copy leaves it that is killed between linking and renaming."""
    before = arrow.read_bytes()
    path = tmp_path / "other.arrow"
    os.link(arrow, partial_of(path))
    write_text_pairs(path, [("one", "eins")])
    assert arrow.read_bytes() == before


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"pairs\.arrow: expected a file that can be written, "):
        write_text_pairs(tmp_path / "nowhere" / "pairs.arrow", PAIRS)


def test_stored_pairs_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pairs = store_text_pairs(iter(PAIRS))
    assert not [*tmp_path.iterdir()]
    assert pairs[8000:] == PAIRS[8000:]


def test_text_pairs_are_read_from_plain_and_compressed_files(tmp_path):
    rows = [
        {"source": " one\u2028two ", "target": "uno", "more": 1},
        {"source": "b", "target": "¿c?"},
    ]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    with pa.CompressedOutputStream(str(tmp_path / "a.jsonl.zst"), "zstd") as file:
        file.write(text.encode())
    write_text_pairs(tmp_path / "a.arrow", [("one\u2028two", "uno"), ("b", "¿c?")])
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.arrow"):
        assert [*read_text_pairs(tmp_path / name)] == [("one\u2028two", "uno"), ("b", "¿c?")]


@pytest.mark.parametrize(
    "line",
    ['{"source": "a"}', '{"source": "a", "target": " "}', '{"source": null, "target": "b"}',
     '{"source": 5, "target": "b"}', "[1]", '"text"'],
)  # fmt: skip
def test_a_line_without_both_texts_is_refused(tmp_path, line):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"source": "a", "target": "b"}\n' + line, encoding="utf-8")
    with pytest.raises(UserError, match=r"pairs\.jsonl:2: expected a JSON object with non-empty"):
        read_text_pairs(path)


def test_unreadable_text_pairs_are_refused(tmp_path):
    path = tmp_path / "pairs.jsonl"
    with pytest.raises(UserError, match=r"expected text pairs, .*Check data\.text_pairs"):
        read_text_pairs(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"pairs\.jsonl: expected at least one text pair, found no"):
        read_text_pairs(path)
    path.write_bytes(b'{"source": "caf\xe9", "target": "b"}\n')
    with pytest.raises(UserError, match=r"pairs\.jsonl:1: expected UTF-8, found the byte 0xe9"):
        read_text_pairs(path)
    path.write_text("{oops\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"pairs\.jsonl:1: expected one JSON object, found {oops"):
        read_text_pairs(path)


def written(path, columns):
    table = pa.table(columns)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"source": ["a"]}, "columns source: string"),
        ({"source": ["a"], "target": [1]}, "columns source: string, target: int64"),
        ({"src": ["a"], "tgt": ["b"]}, "columns src: string, tgt: string"),
    ],
)
def test_other_columns_are_refused(tmp_path, columns, found):
    path = written(tmp_path / "a.arrow", columns)
    with pytest.raises(UserError, match=f"string columns source and target, found {found}. Make"):
        TextPairs(path)


def test_an_empty_or_missing_arrow_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected text pairs in an Arrow file, found no such file"):
        read_text_pairs(tmp_path / "nix.arrow")
    empty = pa.array([], pa.string())
    path = written(tmp_path / "a.arrow", {"source": empty, "target": empty})
    with pytest.raises(UserError, match="expected at least one text pair, found none"):
        read_text_pairs(path)


@pytest.mark.parametrize("text", ["", " ", None])
def test_an_empty_text_is_refused_with_its_row(tmp_path, text):
    path = written(tmp_path / "a.arrow", {"source": ["a", "b"], "target": ["c", text]})
    with pytest.raises(UserError, match=r"a\.arrow, row 2: expected a source and a target that"):
        [*TextPairs(path)]


def test_damage_never_ends_in_anything_but_a_message(arrow, tmp_path):
    """Truncated anywhere, overwritten anywhere: refused, or read as text; nothing else."""
    whole = arrow.read_bytes()
    path = tmp_path / "damaged.arrow"
    rng = random.Random(3)
    refused = 0
    for trial in range(150):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            del damaged[rng.randrange(len(damaged)) :]
        else:
            # Texts take most of the file: aim at its other parts as often as at them.
            near = rng.choice([0, len(damaged) - 2000, rng.randrange(len(damaged))])
            for _ in range(rng.choice([1, 8])):
                at = min(len(damaged) - 1, near + rng.randrange(2000))
                damaged[at] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            for source, target in TextPairs(path):
                assert source.strip()
                assert target.strip()
        except UserError:
            refused += 1
    assert refused > 60
