"""Text files, plain or compressed -> lines with the place of each; and files written whole."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_NB, lockf
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

from horizon_st.errors import UserError

PARTIAL_PREFIX = ".partial-"
"""Of the name of what is not yet whole."""

LONGEST_LINE_BYTES = 1_000_000
"""More is not text that someone said, and lines are held in memory."""

_LONGEST_NAME_BYTES = 255
"""Of a file, on nearly every system; long titles in other scripts come near it."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstandard"}


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is no error."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def require_folder(path: Path) -> Path:
    """The same path.

    Raises:
        UserError: there is no such folder.
    """
    if not path.is_dir():
        raise UserError(
            str(path),
            expected="a folder of the corpus",
            found="a file" if path.exists() else "nothing there",
            remedy="Give the folder that the corpus was unpacked into, and the right corpus name.",
        )
    return path


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The (place, text) of every line, without its end; a place is ``FILE:LINE``.

    A name that ends in ``.gz`` or ``.zst`` is decompressed. Lines end in LF or CR LF: text may hold
    other separators, such as U+2028. A byte order mark at the start is left out.

    Raises:
        UserError: the file is missing or cannot be read, a line is not UTF-8 or absurdly long, or
            the compression is damaged.
    """
    for place, line in read_raw_lines(path):
        yield place, decode_line(line, place)


def read_raw_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """The (place, bytes) of every line with its end, for those who go on after a bad one.

    Of a line longer than :data:`LONGEST_LINE_BYTES` there is the beginning, one byte more than
    that.

    Raises:
        UserError: the file is missing or cannot be read, or the compression is damaged.
    """
    number = 0
    try:
        if not path.is_file():
            raise UserError(
                str(path),
                expected="a text file",
                found="a folder" if path.is_dir() else "no such file",
                remedy="Check the path; of a corpus, unpack all files.",
            )
        with open_binary(path) as file:
            for number, line in enumerate(bounded_lines(file), start=1):
                yield f"{path}:{number}", line
    except (OSError, EOFError, zlib.error) as error:
        if is_compressed(path) and not getattr(error, "errno", None):
            expected = f"a whole {_COMPRESSIONS[path.suffix]} file"
            remedy = "Compress the file again."
        else:
            expected, remedy = "a file that can be read", "Check its permissions and its disk."
        raise UserError(
            f"{path}:{number + 1}", expected=expected, found=str(error), remedy=remedy
        ) from error


def bounded_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Every line with its end, as :func:`read_raw_lines` gives them; memory stays bounded."""
    line = file.readline(LONGEST_LINE_BYTES + 1).removeprefix(BYTE_ORDER_MARK)
    while line:
        yield line
        while len(line) > LONGEST_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE_BYTES + 1)
        line = file.readline(LONGEST_LINE_BYTES + 1)


def is_compressed(path: Path) -> bool:
    """Whether `read_lines` decompresses the file, which can then be read from its start only."""
    return path.suffix in _COMPRESSIONS


@contextmanager
def whole_file(path: Path, *, keep_empty: bool = True) -> Iterator[IO[str]]:
    """A text file to write that takes its name when the block succeeds; else nothing changes.

    Args:
        path: the file, which is replaced.
        keep_empty: whether an empty file stays; else it is removed, with the one it replaces.

    Raises:
        UserError: the file cannot be written.
    """
    with whole_files([path], keep_empty=keep_empty) as [file]:
        yield file


@contextmanager
def whole_files(paths: Sequence[Path], *, keep_empty: bool = True) -> Iterator[list[IO[str]]]:
    """Text files to write, as :func:`whole_file` has one, which take their names together.

    They are whole on the disk before the first is renamed; only a kill, or a failure, between two
    renames leaves new ones beside old ones.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(_partial_file(path)) for path in paths]
        yield files
        for path, file in zip(paths, files, strict=True):
            with write_errors(path):
                file.flush()
                os.fsync(file.fileno())
        for path in paths:
            with write_errors(path):
                partial = partial_of(path)
                if partial.stat().st_size or keep_empty:
                    partial.replace(path)
                else:
                    path.unlink(missing_ok=True)


@contextmanager
def _partial_file(path: Path) -> Iterator[IO[str]]:
    partial = partial_of(path)
    with write_errors(path):
        raw = _NamedFile(partial, path)
    try:
        with io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", newline="\n") as file:
            yield file
    finally:
        partial.unlink(missing_ok=True)


class _NamedFile(io.FileIO):
    """A file to write, whose own errors alone name it: blocks that write it read others, too."""

    def __init__(self, partial: Path, path: Path) -> None:
        super().__init__(partial, "w")
        self._path = path

    def write(self, data: Any, /) -> int:
        with write_errors(self._path):
            return super().write(data)


@contextmanager
def claimed(path: Path, *, wait: bool) -> Iterator[bool]:
    """A context that holds a lock against other processes, and gives whether it got it.

    The system frees it however this process ends.
    """
    with path.open("w") as lock:
        try:
            lockf(lock, LOCK_EX if wait else LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def partial_of(path: Path) -> Path:
    """Where a file or folder is written before it is renamed."""
    return path.with_name(PARTIAL_PREFIX + fitting_name(path.name, beside=PARTIAL_PREFIX))


def fitting_name(name: str, *, beside: str = "", ending: str = "") -> str:
    """The name with an ending, or a digest of a name that would become too long for a file.

    Args:
        name: of another file.
        beside: what else will stand in the name.
        ending: of the new name.
    """
    if len(os.fsencode(beside + name + ending)) <= _LONGEST_NAME_BYTES:
        return name + ending
    return hashlib.sha256(os.fsencode(name)).hexdigest() + ending


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """A block in which what keeps a file from being written becomes an error that names it.

    Raises:
        UserError: in place of `OSError`: a full disk, a name that the disk's format forbids, ...
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            str(path),
            expected="a file that can be written",
            found=f"{type(error).__name__}: {error.strerror or error}",
            remedy="Make room, or choose another folder for the output.",
        ) from error


def link_or_copy(original: Path, copy: Path) -> None:
    """Gives a file a second name, replacing what has it; a second content where disks forbid that.

    Raises:
        UserError: the copy cannot be written.
    """
    partial = partial_of(copy)
    partial.unlink(missing_ok=True)
    try:
        with write_errors(copy):
            try:
                os.link(original.resolve(), partial)
            except OSError:  # on another disk, or one without links
                shutil.copyfile(original, partial)
            partial.replace(copy)
    finally:
        partial.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Makes a folder to write to, with those above it, where there is none.

    Raises:
        UserError: something else stands there, or the folder cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(
            str(path),
            expected="a folder that can be written",
            found=f"{type(error).__name__}: {error.strerror}",
            remedy="Choose another folder for the output.",
        ) from error


def refuse_originals(targets: Iterable[Path], originals: Iterable[Path]) -> None:
    """Nothing, where no file to be written is one of those that are read.

    Raises:
        UserError: one is.
    """
    originals = [*originals]
    for target in targets:
        if target.exists() and any(target.samefile(path) for path in originals):
            raise UserError(
                str(target),
                expected="a file to write that is not read, too",
                found="one of your own, which would be replaced",
                remedy="Give another folder for what is written.",
            )


def open_binary(path: Path) -> IO[bytes]:
    """The file to read, decompressed by its ending."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix == ".zst":
        import pyarrow as pa  # a tenth of a second, which other files need not wait for

        stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return cast("IO[bytes]", io.BufferedReader(stream))
    return path.open("rb")


def decode_line(line: bytes, place: str) -> str:
    """The text of a line, without its end.

    Raises:
        UserError: it is not UTF-8, or absurdly long.
    """
    if len(line) > LONGEST_LINE_BYTES:
        raise UserError(
            place,
            expected=f"a line of at most {LONGEST_LINE_BYTES} bytes",
            found=f"a longer one that begins with {line[:60].decode('utf-8', 'replace')}",
            remedy="Split it into its rows, or remove it.",
        )
    try:
        return line.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if line.startswith(_UTF_16_MARKS) else "LATIN1"
        raise UserError(
            place,
            expected="UTF-8",
            found=f"the byte {line[error.start]:#04x} at column {error.start + 1}",
            remedy="Save the file as UTF-8, for example with "
            f"`iconv -f {encoding} -t UTF-8 FILE > NEW`.",
        ) from error
