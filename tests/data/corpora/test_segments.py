"""Lists of segments, checked against a YAML parser that reads the whole file."""

import math
import tracemalloc

import pytest
import yaml

from horizon_st.data.corpora.segments import (
    read_kaldi_segments,
    read_span_segments,
    read_yaml_segments,
    seconds,
)
from horizon_st.errors import UserError

FLOW = "- {duration: 3.5, offset: 16.08, rW: 9, speaker_id: spk.767, wav: ted_767.wav}\n"
BLOCK = """---
# made by hand
- duration: 1e-1
  offset: "2.25"

  speaker_id: 007
  wav: 'a: b, {c}.wav'
-
  wav: no
  offset: 3
  duration: 4
"""


@pytest.mark.parametrize("text", [FLOW * 3, BLOCK, FLOW + "...\n", "  " + FLOW])
def test_yaml_is_read_as_a_whole_parser_reads_it(tmp_path, text):
    path = tmp_path / "train.yaml"
    path.write_text(text, encoding="utf-8")
    expected = yaml.load(text, Loader=yaml.BaseLoader)
    segments = [*read_yaml_segments(path)]
    assert [
        (segment.audio, segment.offset_s, segment.duration_s, segment.speaker)
        for segment in segments
    ] == [
        (row["wav"], float(row["offset"]), float(row["duration"]), row.get("speaker_id"))
        for row in expected
    ]
    lines = text.splitlines()
    for segment in segments:
        number = int(segment.place.rpartition(":")[2])
        assert lines[number - 1].lstrip().startswith("-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wav: a.wav\n", r":1: expected a list item such as .*, found wav: a\.wav"),
        (FLOW + "- {duration: 1, wav: a.wav\n", r":2: expected .*did not find expected"),
        (FLOW + "- {duration: 1, wav: a.wav}\n", ":2: .*found no offset in"),
        (FLOW.replace("16.08", "16,08"), ":1: .*found the key 08 in"),
        (FLOW + "- [a]\n", ":2: expected a list item"),
        (FLOW + "- {duration: [1], offset: 1, wav: a}\n", ":2: .*found no duration"),
        (FLOW + "- " + "- " * 4000 + "a\n", ":2: expected a list item"),
        (FLOW + "- " + "[" * 20_000 + "\n", ":2: .*more than 10000 characters"),
        ("- {wav: *a, offset: 1, duration: 1}\n", ":1: expected .*undefined alias"),
    ],
)
def test_yaml_that_is_no_such_list_is_an_error_with_its_line(tmp_path, text, message):
    path = tmp_path / "train.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        [*read_yaml_segments(path)]


@pytest.mark.parametrize("times", [("1,5", "2"), ("1", "2,5"), ("1", "x"), ("1", "2")])
def test_a_time_that_is_no_number_is_kept_as_written(tmp_path, times):
    start, end = times
    path = tmp_path / "segments"
    expected = next((text for text in times if not text.isdecimal()), None)
    for read, line in (
        (read_span_segments, f"a {start} {end}"),
        (read_kaldi_segments, f"u a {start} {end}"),
        (read_yaml_segments, f"- {{offset: '{start}', duration: '{end}', wav: a}}"),
    ):
        path.write_text(f"{line}\n", encoding="utf-8")
        [segment] = read(path)
        assert segment.unreadable_time == expected


def test_yaml_takes_no_memory_for_its_length(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text(FLOW * 2000, encoding="utf-8")
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_yaml_segments(path)) == 2000
        assert tracemalloc.get_traced_memory()[1] < 150_000
    finally:
        tracemalloc.stop()


def test_kaldi_lines_give_ids_or_paths_with_speakers(tmp_path):
    path = tmp_path / "segments"
    path.write_text("talk_0001 talk 1.5 2.75\nwav/a.wav lamine 0.0 7.5\n", encoding="utf-8")
    kaldi, iwslt = read_kaldi_segments(path)
    assert (kaldi.id, kaldi.audio, kaldi.speaker) == ("talk_0001", "talk", None)
    assert (kaldi.offset_s, kaldi.duration_s) == (1.5, 1.25)
    assert (iwslt.id, iwslt.audio, iwslt.speaker) == (None, "wav/a.wav", "lamine")
    path.write_text("talk_0001 talk 1.5\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"segments:1: expected UTTERANCE RECORDING START END"):
        next(read_kaldi_segments(path))


def test_spans_are_separated_by_tabs_or_spaces(tmp_path):
    path = tmp_path / "segments.lst"
    path.write_text("en.2008.3-243 6.09 10.5\nwav/a b.wav\t0\t2.5\n", encoding="utf-8")
    first, second = read_span_segments(path)
    assert (first.audio, first.offset_s, first.duration_s) == (
        "en.2008.3-243",
        6.09,
        pytest.approx(4.41),
    )
    assert (second.audio, second.duration_s) == ("wav/a b.wav", 2.5)
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"segments\.lst:1: expected RECORDING START END"):
        next(read_span_segments(path))


def test_numbers_that_cannot_be_read_are_not_numbers():
    assert seconds(" 1.5 ") == 1.5
    assert all(math.isnan(seconds(text)) for text in ("", "1,5", "1_0", "x", "nan"))
