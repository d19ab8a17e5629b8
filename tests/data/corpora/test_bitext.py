"""Text pairs of every layout -> one Arrow file; what is left out is counted, damage refused."""

import gzip
import json
import sys
import tracemalloc

import datasets
import pyarrow as pa
import pytest

from horizon_st.data.corpora.bitext import Row, prepare_bitext, read_bitext
from horizon_st.data.text_pairs import PAIRS_FILE, TextPairs
from horizon_st.errors import UserError

PAIRS = [("one", "un"), ("two\u2028three", "deux trois"), ('say "no"', "dis « non »")]


def write(path, text):
    content = text.encode()
    if path.suffix == ".gz":
        content = gzip.compress(content)
    if path.suffix == ".zst":
        content = pa.compress(content, "zstd", asbytes=True)
    path.write_bytes(content)
    return path


def pairs_of(rows, folder):
    bitext = prepare_bitext(rows, folder / "out")
    assert bitext.path == folder / "out" / PAIRS_FILE
    found = [*TextPairs(bitext.path)]
    assert bitext.num_pairs == len(found)
    return found


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_aligned_files(tmp_path, ending):
    sides = [
        write(tmp_path / f"corpus.{language}{ending}", "\r\n".join(texts) + "\r\n")
        for language, texts in zip(("en", "fr"), zip(*PAIRS, strict=True), strict=True)
    ]
    assert pairs_of(read_bitext(str(sides[0]), sides[1]), tmp_path) == PAIRS


@pytest.mark.parametrize(("lines", "counts"), [((3, 5), "3, and 5 there"), ((4, 1), "4, and 1")])
def test_files_of_different_length_are_refused_with_both_counts(tmp_path, lines, counts):
    sides = [write(tmp_path / f"corpus.{n}", "text\n" * count) for n, count in enumerate(lines)]
    message = rf"corpus\.0: expected as many lines as in .*corpus\.1, found {counts}"
    with pytest.raises(UserError, match=message):
        prepare_bitext(read_bitext(str(sides[0]), sides[1]), tmp_path / "out")
    assert not [*(tmp_path / "out").iterdir()]


def test_a_table_with_a_header(tmp_path):
    lines = ["score\tfr\ten", *(f"0.5\t{target}\t{source}" for source, target in PAIRS)]
    path = write(tmp_path / "corpus.tsv", "\n".join(lines) + "\n")
    assert pairs_of(read_bitext(str(path), source="en", target="fr"), tmp_path) == PAIRS


def test_a_table_without_a_header(tmp_path):
    lines = [f"{target}\t0.5\t{source}" for source, target in PAIRS]
    path = write(tmp_path / "corpus.tsv.zst", "\n".join(lines))
    assert pairs_of(read_bitext(str(path), source="3", target="1"), tmp_path) == PAIRS


@pytest.mark.parametrize("row", ["2\tzwei\tmehr\ttwo", "2\tzwei"])
def test_a_row_of_another_length_is_refused_or_without_a_header_left_out(tmp_path, row):
    """A tab too many would pair one text with a part of another."""
    path = write(tmp_path / "corpus.tsv", f"id\tde\ten\n1\teins\tone\n{row}\n")
    message = rf"corpus\.tsv:3: expected 3 values, .*found {len(row.split())} in 2"
    with pytest.raises(UserError, match=message):
        prepare_bitext(read_bitext(str(path), source="de", target="en"), tmp_path / "out")
    bitext = prepare_bitext(read_bitext(str(path), source="2", target="3"), tmp_path / "out")
    assert [*TextPairs(bitext.path)] == [("de", "en"), ("eins", "one")]
    assert bitext.left_out == {"another number of values than in line 1": 1}
    assert [*bitext.first_left_out.values()] == [f"{path}:3"]


def test_tables_put_one_after_the_other_have_no_pair_of_headers(tmp_path):
    path = write(tmp_path / "corpus.tsv", "en\tde\na\tb\nen\tde\nc\td\n")
    bitext = prepare_bitext(read_bitext(str(path), source="en", target="de"), tmp_path / "out")
    assert [*TextPairs(bitext.path)] == [("a", "b"), ("c", "d")]
    assert bitext.first_left_out == {"the header again": f"{path}:3"}


def test_a_table_without_the_columns_is_refused(tmp_path):
    path = write(tmp_path / "corpus.tsv", "en\tde\na\tb\n")
    message = r"corpus\.tsv:1: expected a header with the columns en and fr, found en, de\. Name"
    with pytest.raises(UserError, match=message):
        prepare_bitext(read_bitext(str(path), source="en", target="fr"), tmp_path / "out")


@pytest.mark.parametrize("nested", [False, True])
def test_json_lines(tmp_path, nested):
    rows = [{"en": source, "fr": target} for source, target in PAIRS]
    lines = [json.dumps({"id": 1, "translation": row} if nested else row) for row in rows]
    path = write(tmp_path / "corpus.jsonl.gz", "\n".join(lines))
    assert pairs_of(read_bitext(str(path), source="en", target="fr"), tmp_path) == PAIRS


@pytest.mark.parametrize("layout", ["folder of data files", "save_to_disk", "with splits"])
def test_data_sets(tmp_path, layout):
    rows = [{"id": 1, "translation": {"en": source, "fr": target}} for source, target in PAIRS]
    folder = tmp_path / "corpus"
    data = datasets.Dataset.from_list(rows)
    if layout == "save_to_disk":
        data.save_to_disk(folder)
    elif layout == "with splits":
        datasets.DatasetDict({"train": data}).save_to_disk(folder)
    else:
        folder.mkdir()
        write(folder / "train.jsonl", "\n".join(map(json.dumps, rows)))
    assert pairs_of(read_bitext(str(folder), source="en", target="fr"), tmp_path) == PAIRS


def test_a_data_set_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"nix: expected a data set with the split train, found "):
        prepare_bitext(read_bitext(str(tmp_path / "nix")), tmp_path / "out")


def test_a_data_set_without_the_library_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = r"opus100: expected the package datasets, .* `pip install '\.\[datasets\]'`"
    with pytest.raises(UserError, match=message):
        prepare_bitext(read_bitext("opus100", config="en-fr"), tmp_path / "out")


def test_other_files_are_refused(tmp_path):
    path = write(tmp_path / "corpus.docx", "")
    with pytest.raises(UserError, match=r"expected a file \.tsv or \.jsonl .*found corpus\.docx"):
        read_bitext(str(path))


def test_what_is_left_out_is_counted_with_its_first_place(tmp_path):
    rows = [
        Row("f:1", " good ", "bon"),
        Row("f:2", "", "vide"),
        Row("f:3", " \t", "vide"),
        Row("f:4", "no target", " "),
        Row("f:5", "short row", None),
        Row("f:6", None, "no source"),
        Row("f:7", "x" * 101, "long"),
        Row("f:8", "long", "y" * 200),
        Row("f:9", "y" * 40, "z" * 9),
        Row("f:10", "hi", "z" * 39),
        Row("f:11", "y" * 40, "z" * 10),
    ]
    bitext = prepare_bitext(rows, tmp_path, max_characters=100, max_ratio=4)
    assert [*TextPairs(bitext.path)] == [("good", "bon"), ("hi", "z" * 39), ("y" * 40, "z" * 10)]
    assert bitext.num_pairs == 3
    assert bitext.left_out == {
        "empty source": 2,
        "empty target": 1,
        "no target": 1,
        "no source": 1,
        "source longer than 100 characters": 1,
        "target longer than 100 characters": 1,
        "one side more than 4 times as long": 1,
    }
    assert bitext.first_left_out["empty source"] == "f:2"
    assert bitext.first_left_out["one side more than 4 times as long"] == "f:9"
    assert prepare_bitext(rows, tmp_path, max_characters=100).num_pairs == 4


def test_a_corpus_without_a_usable_pair_is_refused_and_keeps_what_was_there(tmp_path):
    before = prepare_bitext([Row("f:1", "a", "b")], tmp_path).path.read_bytes()
    message = r"f:1: expected at least one pair .*found no target \(2 rows\)\. Check the files"
    with pytest.raises(UserError, match=message):
        prepare_bitext([Row("f:1", "a", None), Row("f:2", "b", None)], tmp_path)
    with pytest.raises(UserError, match=r"expected at least one pair .*found no rows"):
        prepare_bitext([], tmp_path)
    assert (tmp_path / PAIRS_FILE).read_bytes() == before


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    path = write(tmp_path / "file", "mine")
    with pytest.raises(UserError, match="file: expected a folder that can be written"):
        prepare_bitext([Row("f:1", "a", "b")], path)
    assert path.read_text() == "mine"


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    def peak_bytes(num_pairs):
        rows = (Row(f"f:{n}", f"source sentence {n}", f"target {n}") for n in range(num_pairs))
        tracemalloc.start()
        reports = []
        prepare_bitext(rows, tmp_path, progress=reports.append)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert reports == [*range(10_000, num_pairs + 1, 10_000)]
        return peak

    assert peak_bytes(60_000) < 1.2 * peak_bytes(10_000)
