"""Lines of large files in parts: every line once, whole, from any place, as `read_lines` has it."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from horizon_st.data import blocks
from horizon_st.data.blocks import has_at_most, sample_lines, shuffled_blocks
from horizon_st.data.files import read_lines
from horizon_st.errors import UserError

LINES = [f"{n} " + "é\u2028" * (n * 37 % 50) for n in range(2000)]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function: lines -> a file of them; blocks are small."""
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 1000)

    def write(lines, end="\n", name="lines.txt"):
        text = "\ufeff" + end.join(lines)
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


def texts(lines):
    return [text for _, text in lines]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blocks_have_every_line_once(file, end):
    path = file(LINES, end)
    found = texts(shuffled_blocks(path, np.random.default_rng(1)))
    assert sorted(found) == sorted(LINES)
    assert found != LINES
    assert found != texts(shuffled_blocks(path, np.random.default_rng(2)))
    assert found == texts(shuffled_blocks(path, np.random.default_rng(1)))


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.text(st.characters(exclude_characters="\n\r\ufeff", codec="utf-8")), max_size=20
    ),
    block=st.integers(1, 12),
)
def test_blocks_of_any_size_over_any_lines(tmp_path_factory, lines, block):
    path = tmp_path_factory.mktemp("blocks") / "lines.txt"
    path.write_bytes("\n".join(lines).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_BLOCK_BYTES", block)
        found = texts(shuffled_blocks(path, np.random.default_rng(0)))
    assert sorted(found) == sorted(texts(read_lines(path)))


@pytest.mark.parametrize("num_lines", [1, 50, 64, 500, 1999])
def test_a_sample_is_spread_over_the_file(file, num_lines):
    found = texts(sample_lines(file(LINES), num_lines))
    rows = [LINES.index(text) for text in found]
    assert rows == sorted(set(rows))
    assert 0.6 * num_lines <= len(rows) <= num_lines
    if num_lines >= 50:
        shares = np.histogram(rows, 10, (0, 2000))[0] / num_lines
        assert shares.min() > 0.05
        assert shares.max() < 0.15


@pytest.mark.parametrize("num_lines", [2000, 5000])
def test_a_sample_that_holds_all_is_the_file(file, num_lines):
    path = file(LINES)
    assert [*sample_lines(path, num_lines)] == [*read_lines(path)]


def test_of_a_compressed_file_the_first_lines_are_sampled_and_the_order_stays(file):
    path = file(LINES, name="lines.txt.gz")
    assert texts(sample_lines(path, 30)) == LINES[:30]
    assert texts(shuffled_blocks(path, np.random.default_rng(1))) == LINES


def test_lines_are_counted_no_further_than_asked(file):
    path = file(LINES)
    assert [has_at_most(path, number) for number in (0, 1999, 2000, 2001)] == [
        False, False, True, True,
    ]  # fmt: skip


def test_damage_is_refused_with_its_place(file):
    path = file(LINES)
    damaged = path.read_bytes().replace(b"1500 ", b"1500\xff")
    path.write_bytes(damaged)
    place = damaged.rindex(b"\n", 0, damaged.index(b"\xff")) + 1
    with pytest.raises(
        UserError, match=rf"lines\.txt:byte {place}: expected UTF-8, found the byte"
    ):
        list(shuffled_blocks(path, np.random.default_rng(1)))
