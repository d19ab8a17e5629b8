"""The page and its pictures: whole, safe, and without anything from elsewhere."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from horizon_st.data.validation import validate
from horizon_st.data.validation.pictures import bin_edges, bin_shares, histogram

VOID = {"meta", "line", "br"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps texts and attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def page(corpus, damage, tmp_path):
    evil = '<script>alert("1 & 2")</script>'
    damage(corpus / "train.jsonl", 2, lambda line: line.update(id=evil, start=7.0))
    damage(
        corpus / "dev.jsonl",
        1,
        lambda line: line["supervisions"][0]["custom"].update(translated_text="<b>ñœ"),
    )
    validate([corpus], out=tmp_path / "out")
    return (tmp_path / "out" / "validation.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_shows_all(page, corpus):
    parsed = Page(page)
    assert page.startswith("<!doctype html>")
    assert parsed.tags.count("svg") == 5
    assert parsed.tags.count("table") == 2
    assert "1 error, 0 warnings: training refuses this corpus" in parsed.text
    assert f"{corpus}/train.jsonl:2" in parsed.text
    assert "7.00 s to 8.20 s" in parsed.text
    assert "train translation" in parsed.text


def test_texts_of_the_corpus_are_no_markup(page):
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert "<b>ñ" not in page
    assert '<script>alert("1 & 2")</script>' in parsed.text


def test_the_page_needs_nothing_from_elsewhere(page):
    names = {name for name, _ in Page(page).attributes}
    assert names.isdisjoint({"src", "href", "xlink:href", "srcset", "onclick", "onload"})
    assert "url(" not in page
    assert "@import" not in page
    assert "://" not in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_an_empty_corpus_has_a_page(tmp_path):
    (tmp_path / "train.jsonl").write_text("{}\n", encoding="utf-8")
    validate([tmp_path], out=tmp_path / "out")
    assert "no usable rows" in Page((tmp_path / "out" / "validation.html").read_text("utf-8")).text


@pytest.mark.parametrize("highest", [1e-9, 0.3, 1.0, 7.3, 40.0, 41.0, 999.0, 12_345.6])
@pytest.mark.parametrize("is_whole", [False, True])
def test_bins_are_round_even_and_reach_beyond_the_highest(highest, is_whole):
    edges = bin_edges(highest, is_whole=is_whole)
    width = edges[1]
    assert edges[0] == 0
    assert edges[-1] > highest * 0.999
    assert 1 <= len(edges) - 1 <= 41
    np.testing.assert_allclose(np.diff(edges), width)
    digit = float(f"{width:e}".split("e")[0])
    assert digit in (1.0, 2.0, 5.0)
    assert not is_whole or width >= 1


def test_shares_are_those_of_brute_force():
    values = np.random.default_rng(0).gamma(2, 2, 500)
    edges = bin_edges(8.0)
    shares = bin_shares(values, edges)
    expected = [float(((values >= a) & (values < b)).mean()) for a, b in pairwise(edges)]
    expected[-1] += float((values >= edges[-1]).mean())
    np.testing.assert_allclose(shares, expected)
    assert shares.sum() == pytest.approx(1)


def test_a_picture_is_drawn_to_scale():
    values = {"train": np.array([0.5, 0.5, 0.5, 1.5]), "dev": np.array([3.5])}
    svg = ET.fromstring(histogram("A & B", "<s>", values, marks=[1.0, 900.0], is_whole=True))
    assert svg.attrib["aria-label"] == "A & B"
    polygons = svg.findall("polygon")
    assert [polygon.find("title").text for polygon in polygons] == ["train", "dev"]
    points = [tuple(map(float, pair.split(","))) for pair in polygons[0].attrib["points"].split()]
    base, top = points[0][1], points[1][1]
    assert (base - points[3][1]) == pytest.approx((base - top) / 3, abs=0.2)  # 1/4 after 3/4
    assert len(svg.findall("line[@class='mark']")) == 1
    assert "<s>" in [text.text for text in svg.findall("text")]
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
