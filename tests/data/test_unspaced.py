"""Words where no spaces part them, and which writing it is."""

import pytest

from horizon_st.data.unspaced import count_words, unspaced_writing


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("one two  three", 3, 3),
        ("où est l'été ?", 4, 4),
        ("학교에 갑니다", 2, 2),  # Korean has spaces
        ("我们今天去公园。", 4, 6),  # 我们 今天 去 公园
        ("我们用 Python 编程", 4, 6),  # 我们 用 Python 编程
        ("明日は学校に行きます", 4, 7),  # 明日 は 学校 に 行き ます
        ("วันนี้เราไปโรงเรียน", 4, 6),  # วันนี้ เรา ไป โรงเรียน
        ("我", 1, 1),
    ],
)
def test_words_are_counted_or_estimated(text, least, most):
    assert least <= count_words(text) <= most


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], None),
        (["one two", "three"], None),
        (["I said 你好 to him"], None),
        (["학교에 갑니다"], None),
        (["我们今天去公园。", "他用 Python"], "chinese"),
        (["明日は学校に行きます"], "japanese"),
        (["カメラ"], "japanese"),
        (["วันนี้เราไปโรงเรียน"], "southeast_asian"),
        (["ထမင်းစားပြီးပြီလား"], "southeast_asian"),
    ],
)
def test_writing_without_spaces_is_known(texts, expected):
    assert unspaced_writing(texts) == expected
