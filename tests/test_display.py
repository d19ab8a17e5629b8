"""Bars on the terminal: when they appear and what stands beside them."""

import io
import math

from rich.console import Console

from horizon_st.display import ProgressBars, progress_bar


def test_every_figure_has_a_name_of_its_own():
    page = io.StringIO()
    with ProgressBars(Console(file=page, width=160)) as bars:
        figures = {"dev_bleu": 21.5, "dev_loss": 2.25, "train_ce_speech": 3.5, "train_ce_pairs": 4}
        bars.update("st", 3, 7, figures)
    shown = page.getvalue()
    assert "st " in shown
    assert "3/7" in shown
    for text in ("dev BLEU 21.5", "dev loss 2.25", "speech CE 3.50", "pairs CE 4.00"):
        assert text in shown


def test_a_bar_appears_when_its_time_has_come(capsys):
    with progress_bar("counting", after_s=math.inf) as show:
        show(1, 2)
    assert capsys.readouterr().err == ""
    with progress_bar("counting") as show:
        show(2, 2)
    shown = capsys.readouterr()
    assert "counting" in shown.err
    assert "2/2" in shown.err
    assert shown.out == ""
