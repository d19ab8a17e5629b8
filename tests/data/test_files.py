"""Text files line by line, and files that appear whole or not at all."""

import gzip
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from horizon_st.data.files import (
    LONGEST_LINE_BYTES,
    is_file,
    make_folder,
    read_lines,
    refuse_originals,
    require_folder,
    whole_file,
    whole_files,
)
from horizon_st.errors import UserError


def compressed(content, name):
    """The content as a file of that name holds it; of zstandard, in two frames."""
    if name.endswith("gz"):
        return gzip.compress(content)
    if name.endswith("zst"):
        halves = content[: len(content) // 2], content[len(content) // 2 :]
        return b"".join(pa.compress(half, "zstd", asbytes=True) for half in halves)
    return content


@pytest.mark.parametrize("name", ["text.de", "text.de.gz", "text.de.zst"])
def test_lines_end_where_editors_end_them(tmp_path, name):
    content = "\ufeffeins\r\nzwei\u2028und \u0085 \x0c halb\n\nletzte".encode()
    path = tmp_path / name
    path.write_bytes(compressed(content, name))
    expected = ["eins", "zwei\u2028und \u0085 \x0c halb", "", "letzte"]
    assert [*read_lines(path)] == [
        (f"{path}:{number}", line) for number, line in enumerate(expected, start=1)
    ]
    assert [line for _, line in read_lines(path)] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"ok\nf\xfcnf\n",
            "text:2: expected UTF-8, found the byte 0xfc at column 2.* -f LATIN1 -t UTF-8 FILE",
        ),
        ("\ufeffab\nc\n".encode("utf-16-le"), "text:1: .*0xff .* -f UTF-16 -t UTF-8 FILE"),
        ("\ufeffab\nc\n".encode("utf-16-be"), "text:1: .*0xfe .* -f UTF-16 -t UTF-8 FILE"),
        (b"ok\n" + b"x" * (LONGEST_LINE_BYTES + 1), "text:2: expected a line of at most"),
    ],
)
def test_damaged_lines_are_errors_with_their_place(tmp_path, content, message):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        [*read_lines(path)]


def test_damaged_compression_is_an_error(tmp_path):
    for name, kind in (("text.gz", "gzip"), ("text.zst", "zstandard")):
        path = tmp_path / name
        whole = compressed(b"".join(b"line %d\n" % n for n in range(5000)), name)
        for content in (b"plain", whole[:-10], whole[:20] + b"\xff" * 8 + whole[28:]):
            path.write_bytes(content)
            with pytest.raises(UserError, match=rf"text.*:\d+: expected a whole {kind} file"):
                [*read_lines(path)]


def test_a_long_line_is_never_held_whole(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"x" * 30 * LONGEST_LINE_BYTES))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="expected a line of at most"):
            [*read_lines(path)]
        assert tracemalloc.get_traced_memory()[1] < 5 * LONGEST_LINE_BYTES
    finally:
        tracemalloc.stop()


def test_missing_files_and_folders_are_errors(tmp_path):
    with pytest.raises(UserError, match="expected a text file, found a folder"):
        [*read_lines(tmp_path)]
    with pytest.raises(UserError, match="expected a text file, found no such file"):
        [*read_lines(tmp_path / "none")]
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match="expected a folder of the corpus, found a file"):
        require_folder(file)
    assert require_folder(tmp_path) == tmp_path


def test_names_that_no_file_can_have_are_no_files(tmp_path):
    (tmp_path / "a").touch()
    assert is_file(tmp_path / "a")
    assert not any(is_file(tmp_path / name) for name in ("b", "x" * 5000, "\0", "\ud800"))


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out"
    path.write_text("old", encoding="utf-8")

    def write_half():
        with whole_file(path) as file:
            file.write("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    assert path.read_text(encoding="utf-8") == "old"
    with whole_file(path) as file:
        file.write("new\n")
    assert path.read_bytes() == b"new\n"


def test_a_write_that_never_reaches_the_disk_leaves_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_text("old", encoding="utf-8")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UserError, match=r"out: .*disk full"), whole_file(path) as file:
        file.write("new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    assert path.read_text(encoding="utf-8") == "old"


def test_a_folder_is_made_or_refused(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert [*(tmp_path / "a" / "b").iterdir()] == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            UserError,
            match=r"expected a folder that can be written, found \w+: .* Choose another folder",
        ):
            make_folder(path)


def test_a_file_is_not_written_over_what_is_read(tmp_path):
    original, other = tmp_path / "original", tmp_path / "other"
    for path in (original, other):
        path.touch()
    (tmp_path / "link").symlink_to(original)
    refuse_originals([other, tmp_path / "new", tmp_path / "new" / "below"], [original])
    for target in (original, tmp_path / "link", tmp_path / "." / "original"):
        with pytest.raises(UserError, match=r"expected a file to write that is not read, too"):
            refuse_originals([other, target], [original])


def test_an_empty_file_stays_or_goes(tmp_path):
    path = tmp_path / "out"
    with whole_file(path):
        pass
    assert path.read_bytes() == b""
    with whole_file(path, keep_empty=False):
        pass
    assert not path.exists()


def test_files_take_their_names_together(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_text("old", encoding="utf-8")

    def write_one():
        with whole_files(paths) as [first, _]:
            first.write("new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_one()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]
    with whole_files(paths) as files:
        for file, text in zip(files, "xy", strict=True):
            file.write(text)
    assert [path.read_text(encoding="utf-8") for path in paths] == ["x", "y"]
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("size", [100, 100_000])  # of what is written at the end, and before
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path, file_size_limit, size):
    paths = [tmp_path / "a", tmp_path / "b"]

    def write_both():
        with whole_files(paths) as files:
            files[0].write("short")
            files[1].write("x" * size)

    message = r"/b: expected a file that can be written, found OSError"
    with file_size_limit(10), pytest.raises(UserError, match=message):
        write_both()
    assert not [*tmp_path.iterdir()]
    (tmp_path / "file").touch()
    for folder, error in (("none", "FileNotFoundError"), ("file", "NotADirectoryError")):
        message = rf"{folder}/a: expected a file .*found {error}"
        with pytest.raises(UserError, match=message), whole_file(tmp_path / folder / "a"):
            pass


def test_only_errors_of_writing_name_the_file_that_is_written(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "out"):
        (tmp_path / "none").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens alone")
def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    for name in ("text", "text.gz"):
        path = tmp_path / name
        path.symlink_to("/proc/self/mem")
        message = rf"{name}:1: expected a file that can be read, found .*Input"
        with pytest.raises(UserError, match=message):
            [*read_lines(path)]
