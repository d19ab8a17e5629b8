"""The page, the figures and the terminal of made-up studies; and that drawing needs no torch."""

import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import asdict
from html.parser import HTMLParser

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from horizon_st.cli import app
from horizon_st.errors import UserError
from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.drawing import as_bytes
from horizon_st.horizon.figures import draw, draw_forgetting
from horizon_st.horizon.report import PAGE_FILE, markdown, show, write_page
from horizon_st.horizon.report.runs import Runs
from horizon_st.horizon.report.tables import runs_table
from horizon_st.horizon.results import RESULTS_FILE, find_results, read_results


@pytest.fixture
def peak(make_results):
    weights = [0.0, 0.25, 1.0]
    truth = dict(zip(map(str, weights), [20.0, 26.0, 23.0], strict=True))
    settings = {str(weight): {"objective.mt_weight": weight} for weight in weights}
    analysis = {"kind": "peak", "key": "objective.mt_weight", "at": 1.0}
    return make_results(truth, settings, baseline="1.0", analysis=analysis)


@pytest.fixture(params=["comparison", "saturation", "peak", "order", "order alone", "horizon"])
def results(request, make_results, peak):
    kind = request.param
    if kind == "peak":
        return peak
    if kind == "horizon":
        settings = {
            f"{a} {b}": {"objective.rdrop_weight": a, "objective.mt_weight": b}
            for a in (0.0, 1.0, 3.0)
            for b in (1.0, 0.5, 0.0)
        }
        truth = {
            arm: 30 - (0.5 * s["objective.rdrop_weight"] - s["objective.mt_weight"]) ** 2
            for arm, s in settings.items()
        }
        return make_results(truth, settings, analysis={"kind": "horizon"})
    if kind.startswith("order"):
        weights = (1, 10) if kind == "order" else (1,)
        settings = {
            f"{tap} {weight}": {"objective.tap": tap}
            | ({"objective.consistency_weight": weight} if len(weights) > 1 else {})
            for tap in ("softmax", "encoder")
            for weight in weights
        }
        truth = {arm: 20.0 + place for place, arm in enumerate(settings)}
        analysis = {"kind": "order", "key": "objective.tap", "order": ["softmax", "encoder"]}
        return make_results(truth, settings, analysis=analysis)
    truth = {"none": 20.0, "CR": 23.0, "RD": 24.0, "both": 24.5}
    analysis = {"kind": kind} | ({"parts": ["CR", "RD", "both"]} if kind == "saturation" else {})
    return make_results(truth, baseline="none", analysis=analysis)


def test_every_kind_has_a_figure_with_all_runs(results):
    figure = draw(Analysis(results))
    drawn = [
        float(value)
        for axes in figure.axes
        for line in axes.lines
        for value in [*line.get_xdata(), *line.get_ydata()]
        if line.get_marker() in ("o", "D")
    ]
    if results.study.analysis.kind == "horizon":
        expected = Analysis(results).mean_of.values()
    else:
        expected = results.scores.values()
    for score in expected:
        assert any(value == pytest.approx(score) for value in drawn)


def test_figures_are_pictures_and_the_same_each_time(results):
    png, again = (as_bytes(draw(Analysis(results)), "png") for _ in range(2))
    assert png == again
    with Image.open(io.BytesIO(png)) as image:
        assert image.size[0] > 500
    svg, again = (as_bytes(draw(Analysis(results)), "svg") for _ in range(2))
    assert svg == again
    assert ET.fromstring(svg).tag.endswith("svg")


def track_text(results, lost_of_arm):
    """Three validations of each run; the text path loses something, speech gains 10 each time."""
    for trial in results.trials:
        trial.dev_history = [
            {
                "step": 100 * at,
                "loss": 1.0,
                "bleu": 10.0 * at + trial.seed,
                "text_bleu": 50.0 - lost_of_arm[trial.arm] * at + trial.seed,
            }
            for at in (1, 2, 3)
        ]
    return results


@pytest.fixture
def forgetful(make_results):
    lost = {"mt_weight 1": 0.0, "mt_weight 0.5": 2.0, "mt_weight 0": 8.0}
    settings = {arm: {"objective.mt_weight": float(arm.split()[1])} for arm in lost}
    return track_text(make_results(dict.fromkeys(lost, 20.0), settings), lost)


def curves_of(axes):
    return {line.get_label(): [*zip(*line.get_data(), strict=True)] for line in axes.lines}


def test_text_bleu_through_training_stands_above_that_of_speech(forgetful):
    figure = draw_forgetting(Analysis(forgetful))
    text, speech = figure.axes
    assert curves_of(text) == {
        "α_t 1": [(100, 52), (200, 52), (300, 52)],
        "α_t 0.5": [(100, 50), (200, 48), (300, 46)],
        "α_t 0": [(100, 44), (200, 36), (300, 28)],
    }
    assert set(map(tuple, curves_of(speech).values())) == {((100, 12), (200, 22), (300, 32))}
    assert "text" in text.get_ylabel()
    assert "speech" in speech.get_ylabel()
    [legend] = figure.legends
    assert [entry.get_text() for entry in legend.get_texts()] == ["α_t 1", "α_t 0.5", "α_t 0"]


def test_a_mean_is_of_the_validations_that_all_runs_have(forgetful):
    forgetful.trials[0].dev_history.pop()
    forgetful.trials[4].scores, forgetful.trials[4].dev_history = {}, []  # it diverged
    curves = curves_of(draw_forgetting(Analysis(forgetful)).axes[0])
    assert curves["α_t 1"] == [(100, 52), (200, 52)]
    assert curves["α_t 0.5"] == [(100, 50), (200, 48), (300, 46)]  # of seeds 1 and 3


def test_many_arms_are_drawn_by_their_mt_weight(make_results):
    weights = {f"{at} {mt}": (at, mt) for at in range(5) for mt in (1.0, 0.5)}
    settings = {
        arm: {"objective.rdrop_weight": at, "objective.mt_weight": mt}
        for arm, (at, mt) in weights.items()
    }
    results = make_results(dict.fromkeys(weights, 20.0), settings)
    track_text(results, {arm: at for arm, (at, _) in weights.items()})
    curves = curves_of(draw_forgetting(Analysis(results)).axes[0])
    assert curves == {key: [(100, 50), (200, 48), (300, 46)] for key in ("α_t 1", "α_t 0.5")}
    other = {arm: {"objective.rdrop_weight": place} for place, arm in enumerate(weights)}
    results = make_results(dict.fromkeys(weights, 20.0), other)
    track_text(results, dict.fromkeys(weights, 1.0))
    assert draw_forgetting(Analysis(results)) is None


def test_the_page_has_that_figure_where_the_text_path_was_tracked(forgetful, tmp_path):
    write_page([forgetful], tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"made_up-forgetting.svg", "made_up-forgetting.png"} < names
    assert 'id="made_up-forgetting"' in (tmp_path / PAGE_FILE).read_text(encoding="utf-8")
    assert "](b.png)" in markdown(forgetful, "a.png", "b.png")
    for entry in forgetful.trials[0].dev_history:
        del entry["text_bleu"]
    assert draw_forgetting(Analysis(forgetful)) is None
    write_page([forgetful], tmp_path / "without")
    names = {path.name for path in (tmp_path / "without").iterdir()}
    assert PAGE_FILE in names
    assert not any("forgetting" in name for name in names)


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.cells, self.open, self.sources = [], False, []

    def handle_starttag(self, tag, attrs):
        self.open = tag in ("td", "th")
        self.cells += [""] if self.open else []
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        if self.open:
            self.cells[-1] += data


def test_the_page_holds_table_verdict_and_picture_and_needs_nothing_else(results, tmp_path):
    page = write_page([results], tmp_path / "page").read_text(encoding="utf-8")
    parsed = Cells()
    parsed.feed(page)
    for row in Analysis(results).rows():
        assert row.name in parsed.cells
        assert any(cell.startswith(f"{row.mean:.2f} ± ") for cell in parsed.cells)
    assert Analysis(results).verdict().answer.capitalize() in page
    assert "<svg" in page
    assert not [source for source in parsed.sources if not source.startswith("#")]
    names = {path.name for path in (tmp_path / "page").iterdir()}
    assert names >= {PAGE_FILE, "made_up.svg", "made_up.png"}


def test_markup_in_names_is_text(make_results, tmp_path):
    results = make_results({"<b>a</b>": 1.0, "c": 2.0})
    page = write_page([results], tmp_path).read_text(encoding="utf-8")
    assert "<b>a</b>" not in page
    assert "&lt;b&gt;a&lt;/b&gt;" in page


def test_markdown_has_a_row_for_each_arm(peak):
    text = markdown(peak, "figures/peak.png")
    rows = re.findall(r"^\| (\S+) \| 3 \| ([\d.]+) ± [\d.]+ \| [\d.]+ to", text, re.MULTILINE)
    expected = [(row.name, f"{row.mean:.2f}") for row in Analysis(peak).rows()]
    assert rows == expected
    assert "![made_up](figures/peak.png)" in text
    assert "**Holds.** “0.25” against mt_weight 1: +" in text
    assert "9 runs, 9 minutes" in text


def test_runs_without_a_score_are_named_by_their_end(peak):
    peak.trials[0].scores, peak.trials[0].failure = {}, "The loss is no number."
    last = peak.trials[-1]
    last.scores, last.failure, last.is_out_of_memory = {}, "Too large.", True
    text = markdown(peak, "figures/peak.png")
    assert "| 0.0 | 2 (+1 diverged) |" in text
    assert "| 1.0 | 2 (+1 out of memory) |" in text
    table = runs_table(Runs(Analysis(peak))).html
    assert ">diverged<" in table
    assert ">out of memory<" in table


def test_the_terminal_shows_table_and_verdict(peak):
    page = io.StringIO()
    show(peak, Console(file=page, width=120))
    assert "A is B. Holds." in page.getvalue()
    assert f"{Analysis(peak).mean_of['0.25']:.2f}" in page.getvalue()


def test_results_come_back_from_their_file(results, tmp_path):
    path = tmp_path / RESULTS_FILE
    results.write(path)
    assert asdict(read_results(path)) == asdict(results)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected the results of a study, found JSONDecodeError"),
        ("[]", "found TypeError|found AttributeError"),
        ('{"study": {"name": "a"}, "trials": []}', "expected a value"),
        ('{"trials": []}', "found KeyError"),
    ],
)
def test_damaged_results_are_refused(tmp_path, content, message):
    path = tmp_path / RESULTS_FILE
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_results(path)


def test_the_command_draws_all_studies_of_a_folder(peak, make_results, tmp_path):
    peak.write(tmp_path / "results.json")
    other = make_results({"a": 1.0, "b": 2.0})
    other.study.name = "other"
    (tmp_path / "deep").mkdir()
    other.write(tmp_path / "deep" / "results.json")
    assert len(find_results(tmp_path)) == 2
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / PAGE_FILE).read_text(encoding="utf-8")
    assert "<h1>made_up</h1>" in page
    assert "<h1>other</h1>" in page


def test_a_study_without_scores_does_not_keep_others_from_being_drawn(peak, make_results, tmp_path):
    empty = make_results({"a": 1.0, "b": 2.0})
    empty.study.name, empty.trials = "begun", []
    (tmp_path / "begun").mkdir()
    empty.write(tmp_path / "begun" / "results.json")
    report = ["report", str(tmp_path), "--out", str(tmp_path / "out")]
    alone = CliRunner().invoke(app, report)
    assert isinstance(alone.exception, UserError)
    assert "begun: expected at least one run with a score" in str(alone.exception)
    peak.write(tmp_path / "results.json")
    done = CliRunner().invoke(app, report)
    assert done.exit_code == 0, done.output
    assert "begun has no score yet, and is left out." in done.output
    page = (tmp_path / "out" / PAGE_FILE).read_text(encoding="utf-8")
    assert "<h1>made_up</h1>" in page
    assert "begun" not in page


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected a folder with some results\.json"):
        find_results(tmp_path)


WITHOUT_TORCH = """
import sys
from pathlib import Path

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "lhotse"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuses())
from horizon_st.horizon.report import write_page
from horizon_st.horizon.results import read_results
write_page([read_results(Path(sys.argv[1]))], Path(sys.argv[2]))
"""


def test_drawing_needs_no_torch(peak, tmp_path):
    peak.write(tmp_path / RESULTS_FILE)
    command = [sys.executable, "-c", WITHOUT_TORCH, tmp_path / RESULTS_FILE, tmp_path / "page"]
    subprocess.run(command, check=True)
    assert (tmp_path / "page" / PAGE_FILE).is_file()
