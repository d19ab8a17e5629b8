"""Subtitles: read by parsers not ours; short lines, phrases whole, time to read, no overlaps."""

import io
import re
from itertools import pairwise

import pytest
import srt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from horizon_st.inference.line_breaks import break_text, join_texts
from horizon_st.inference.subtitles import Cue, Spoken, make_cues, to_srt, to_vtt

SPANISH = (
    "La persona de la extensión cero seis dos no está disponible. Por favor, inténtelo de nuevo "
    "el lunes quince de octubre, o espere."
)
JAPANESE = (
    "今日はとても天気がいいですね。「公園に行きましょう」と彼は言いました。"
    "それから私たちは長い時間をかけて、川沿いの道を歩きました。"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("Sí.", [("Sí.",)]),
        (
            "exactly forty two columns are still a line",
            [("exactly forty two columns are still a line",)],
        ),
        (
            SPANISH,
            [
                ("La persona de la extensión cero", "seis dos no está disponible."),
                ("Por favor, inténtelo de nuevo", "el lunes quince de octubre, o espere."),
            ],
        ),
        (
            "When we look at what happened in the last ten years, we see more.",
            [("When we look at what happened", "in the last ten years, we see more.")],
        ),
        (
            "El tiempo de espera estimado es actualmente de menos de treinta y ocho segundos.",
            [
                ("El tiempo de espera", "estimado es actualmente"),
                ("de menos de treinta y ocho segundos.",),
            ],
        ),
        (
            JAPANESE,
            [
                ("今日はとても天気がいいですね。", "「公園に行きましょう」と彼は言いました。"),
                ("それから私たちは長い時間をかけて、", "川沿いの道を歩きました。"),
            ],
        ),
    ],
)
def test_lines_end_where_phrases_do(text, expected):
    assert break_text(text) == expected


@pytest.mark.parametrize(
    "text", ["ฉันรักเมืองไทยเพราะอาหารอร่อยและผู้คนเป็นมิตรมากที่สุดในโลกนี้", JAPANESE * 5]
)
def test_marks_and_closing_punctuation_begin_no_line(text):
    lines = [line for block in break_text(text) for line in block]
    assert len(lines) > 1
    assert "".join(lines) == text
    assert not any(re.match("[ัิีึืุูะาำ็่้๊๋์。、」ー]", line) for line in lines)
    assert not any(re.search("[เแโใไ「]$", line) for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "« le chat dort au milieu » « parti maison pas longtemps »",
        "« que veut dire demain » ce vous longtemps ?",
        "On a dit : « du demain voulez veut voulez » sais ce ce peut-être que ;",
        "? " * 60,
    ],
)
def test_marks_that_stand_alone_stay_with_their_words(text):
    lines = [line for block in break_text(text) for line in block]
    assert len(lines) > 1
    assert " ".join(lines).split() == text.split()
    if "?" * 2 not in text.replace(" ", ""):
        assert not any(re.match("[?!:»]", line) or line.endswith("«") for line in lines)


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["The cat.", "It sleeps."], "The cat. It sleeps."),
        (["今日は。", "「いい」天気", "カメラ"], "今日は。「いい」天気カメラ"),
        (["你好", "OK 吗", "、"], "你好 OK 吗、"),
        (["สวัสดี", "ครับ"], "สวัสดี ครับ"),
        (["안녕", "세상"], "안녕 세상"),
        (["a", "", "b"], "a b"),
        ([], ""),
    ],
)
def test_texts_are_joined_as_their_scripts_are_written(texts, joined):
    assert join_texts(texts) == joined


def test_what_is_said_fast_stays_into_the_pause_and_no_longer():
    text = "x" * 34  # two seconds to read
    cues = make_cues(
        [Spoken(1, 1.5, text), Spoken(5, 5.5, text), Spoken(6, 9.5, text), Spoken(10, 10.2, text)],
        duration_s=11,
    )
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [
        (1_000, 3_000),
        (5_000, 6_000),
        (6_000, 9_500),
        (10_000, 11_000),
    ]
    assert [cue.is_too_fast for cue in cues] == [False, True, False, True]


def test_a_long_segment_is_shared_out_in_proportion_to_the_text():
    first, second = make_cues([Spoken(10, 20, SPANISH)], duration_s=60)
    share = len(" ".join(first.lines)) / (len(SPANISH) - 1)
    assert first.start_ms == 10_000
    assert first.end_ms == second.start_ms == pytest.approx(10_000 + 10_000 * share, abs=2)
    assert second.end_ms == 20_000


def test_each_subtitle_of_an_unsure_segment_is_marked():
    cues = make_cues([Spoken(0, 9, SPANISH, "[?]"), Spoken(9, 10, "Sí.")], duration_s=10)
    assert [cue.lines[0][:4] for cue in cues] == ["[?] ", "[?] ", "Sí."]
    assert all(cell_len(line) <= 42 for cue in cues for line in cue.lines)


def test_markup_and_arrows_in_the_text_do_no_harm():
    cues = make_cues([Spoken(0, 9, "a --> b <i>c</i> & d")], duration_s=10)
    [read] = webvtt.from_string(to_vtt(cues))
    assert read.raw_text == "a → b &lt;i&gt;c&lt;/i&gt; &amp; d"
    assert [cue.content for cue in srt.parse(to_srt(cues))] == ["a → b <i>c</i> & d"]


def test_no_speech_is_a_valid_file():
    assert [*srt.parse(to_srt([]))] == []
    assert len(webvtt.from_string(to_vtt([]))) == 0


def test_times_beyond_an_hour():
    cue = Cue(3_600_000 * 11 + 61_001, 3_600_000 * 11 + 62_000, ("late",))
    [read] = srt.parse(to_srt([cue]))
    assert read.start.total_seconds() == 11 * 3_600 + 61.001
    assert webvtt.from_string(to_vtt([cue]))[0].start == "11:01:01.001"


words = st.text(st.sampled_from("abcdeéñß.,?!—今日。、ไม้" + " " * 8), max_size=400)


@settings(deadline=None, max_examples=100)
@given(
    pieces=st.lists(st.tuples(st.floats(0, 4), st.floats(0.1, 15), words), max_size=6),
    mark=st.sampled_from(["", "[?]"]),
)
def test_whatever_was_said(pieces, mark):
    spoken, now_s = [], 0.0
    for pause_s, length_s, text in pieces:
        spoken.append(Spoken(now_s + pause_s, now_s + pause_s + length_s, text, mark))
        now_s = spoken[-1].end_s
    cues = make_cues(spoken, now_s + 2)
    read = [*srt.parse(to_srt(cues))]
    captions = webvtt.from_string(to_vtt(cues))
    assert len(read) == len(captions) == len(cues)
    for one, caption, cue in zip(read, captions, cues, strict=True):
        assert tuple(one.content.split("\n")) == cue.lines == tuple(caption.lines)
        assert [one.start.total_seconds(), one.end.total_seconds()] == [
            cue.start_ms / 1000,
            cue.end_ms / 1000,
        ]
        assert caption.start_in_seconds * 1000 == pytest.approx(cue.start_ms, abs=1000)
        assert len(cue.lines) <= 2
        assert all(cell_len(line) <= 42 for line in cue.lines)
        assert cue.start_ms < cue.end_ms
    for before, after in pairwise(cues):
        assert before.end_ms <= after.start_ms
    squeezed = "".join("".join(cue.lines).replace(mark, "") for cue in cues)
    assert re.sub(r"\s", "", squeezed) == re.sub(r"\s", "", "".join(s.text for s in spoken))
    said = [one for one in spoken if one.text.strip()]
    starts = {cue.start_ms for cue in cues}
    for one, following in zip(said, [*said[1:], None][: len(said)], strict=True):
        end_s = now_s + 2 if following is None else following.start_s
        inside = [c for c in cues if 1000 * one.start_s - 1 <= c.start_ms < 1000 * end_s - 1]
        if len(said) == 1 or end_s - one.start_s > 1:
            assert round(1000 * one.start_s) in starts
        columns = sum(cell_len(" ".join(cue.lines)) for cue in inside)
        if columns / 17 < end_s - one.start_s - 0.1:
            assert not any(cue.is_too_fast for cue in inside), "there was time to read"


def test_a_reader_has_time_in_spite_of_rounding():
    assert not Cue(0, 2_000, ("x" * 34,)).is_too_fast
    assert Cue(0, 1_900, ("x" * 34,)).is_too_fast
    assert io.StringIO(to_srt([Cue(0, 2_000, ("x",))])).readline() == "1\n"
