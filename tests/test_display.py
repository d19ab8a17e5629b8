"""Bars on the terminal: when they appear and what stands beside them."""

import io
import math
import os
import subprocess
import sys

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


def test_what_is_printed_meanwhile_stands_above_the_bar():
    program = (
        "from rich.console import Console; from horizon_st.display import progress_bar\n"
        "stderr = Console(stderr=True)\n"
        "with progress_bar('counting', console=stderr) as show:\n"
        "    show(1, 2); print('out/talk.srt'); stderr.print('one is fast'); show(2, 2)\n"
    )
    terminal, end = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    subprocess.run(
        [sys.executable, "-c", program], stdout=end, stderr=end, check=True, env=environment
    )
    os.close(end)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    for text in ("out/talk.srt", "one is fast"):
        before, _, after = shown.partition(text)
        assert before.endswith(("\x1b[2K", "\n")), before[-80:]
        assert after.startswith("\r\n")
