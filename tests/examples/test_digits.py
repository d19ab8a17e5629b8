"""The example of another domain learns, with the objective and the search as they are."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from num2words import num2words

from horizon_st.objective.objective import ObjectiveConfig
from horizon_st.objective.terms import symmetric_kl

FOLDER = Path(__file__).parents[2] / "examples" / "digits"
ALL_ON = {"mt_weight": 0.5, "consistency_weight": 1.0, "rdrop_weight": 1.0}


@pytest.fixture(scope="module")
def example():
    """Its modules, imported as Python does where it runs one of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        rows, reader, run = (
            importlib.import_module(name) for name in ("digit_rows", "digit_reader", "run")
        )
        yield SimpleNamespace(rows=rows, reader=reader, run=run)
    for module in (rows, reader, run):
        del sys.modules[module.__name__]


@pytest.fixture(scope="module")
def parts(example):
    return example.rows.split_digits(400, 300)


def test_rows_say_what_they_show(example, parts):
    sets = [{image.tobytes() for image in part.images} for part in parts]
    assert not sets[0] & sets[2]
    rows = example.rows.make_rows(parts[0], 50, seed=3)
    label_of = {
        image.tobytes(): int(label)
        for image, label in zip(parts[0].images, parts[0].labels, strict=True)
    }
    for pixels, length, digits, target in zip(*vars(rows).values(), strict=True):
        number = "".join(str(at - 2) for at in digits[:length].tolist())
        seen = [label_of[image.numpy().tobytes()] for image in pixels.split(8, dim=1)[:length]]
        assert "".join(map(str, seen)) == number == str(int(number))
        assert not pixels[:, 8 * length :].any()
        words = num2words(int(number), lang="fr").replace("-", " ")
        assert example.rows.spell(target.tolist()) == words


def test_states_of_padding_reach_nobody(example, parts):
    """A row alone has the logits that it has beside longer ones."""
    torch.manual_seed(0)
    model = example.reader.DigitReader().eval()
    rows = example.rows.make_rows(parts[0], 20, seed=4)
    for run in (model.run_images, model.run_digits):
        [together] = run(rows, 1)
        shortest = rows.lengths.argmin()[None]
        [alone] = run(rows[shortest], 1)
        assert torch.allclose(alone.logits, together.logits[shortest], atol=1e-5)


def test_the_terms_are_those_of_the_two_views(example, parts):
    torch.manual_seed(0)
    model = example.reader.DigitReader().eval()
    batch = example.rows.make_rows(parts[0], 8, seed=5)
    report = example.run.loss_of(model, ObjectiveConfig(**ALL_ON), batch)
    assert set(report.terms) == {"ce_speech", "ce_text", "consistency", "rdrop"}
    [images], [digits] = model.run_images(batch, 1), model.run_digits(batch, 1)
    is_target = batch.target != example.rows.PAD_ID
    expected, count = symmetric_kl(images.logits, digits.logits, is_target)
    assert torch.allclose(report.terms["consistency"][0], expected, rtol=1e-4)
    assert report.terms["consistency"][1] == count
    assert report.terms["rdrop"][0].item() == pytest.approx(0, abs=1e-6)  # without dropout
    model.train()
    report = example.run.loss_of(model, ObjectiveConfig(**ALL_ON), batch)
    assert report.terms["rdrop"][0] > 0.1


def test_consistency_alone_trains_the_reader_of_strings(example, parts):
    model = example.reader.DigitReader()
    batch = example.rows.make_rows(parts[0], 8, seed=5)
    for weight in (0.0, 1.0):
        objective = ObjectiveConfig(mt_weight=0.0, consistency_weight=weight)
        model.zero_grad()
        example.run.loss_of(model, objective, batch).total(1).backward()
        gradient = model.digit_embedding.weight.grad
        assert (gradient is not None and bool(gradient.any())) == (weight > 0)


def test_it_learns_to_read_images_that_it_has_not_seen(example, parts):
    def small():
        return example.reader.DigitReader(width=32, num_layers=1, dropout=0.0)

    rows = example.rows.make_rows(parts[0], 300, seed=1)
    test = example.rows.make_rows(parts[2], 200, seed=2)
    objective = ObjectiveConfig(consistency_weight=1.0)
    model, history = example.run.train(objective, rows, updates=250, seed=1, new_model=small)
    assert history[-1]["ce_speech"] < 0.5 * history[0]["ce_speech"]
    assert example.run.exact_match(small().eval(), test) == 0
    assert example.run.exact_match(model, test) > 8


def test_one_command_searches_and_compares(example, monkeypatch, capsys, tmp_path):
    sizes = {"images": 50, "rows": 40, "evaluated": 20, "updates": 2, "trials": 2, "seeds": 1}
    out = tmp_path / "digits.json"
    flags = [str(part) for name, x in sizes.items() for part in (f"--{name}", x)]
    monkeypatch.setattr(sys, "argv", ["run.py", *flags, "--out", str(out)])
    example.run.main()
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["settings"] == sizes
    assert len(report["search"]["trials"]) == 2
    assert {*report["exact_match"]} == {"images alone", "joint training", "found"}
    assert all(len(scores) == 1 for scores in report["exact_match"].values())
    printed = capsys.readouterr().out
    assert printed.count("of the dev set") == 2
    assert "joint training" in printed


def test_the_readme_has_the_recorded_scores():
    report = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name, scores in report["exact_match"].items():
        [row] = [line for line in readme.splitlines() if line.startswith(f"| {name}")]
        *_, by_seed, mean = (cell.strip() for cell in row.strip("|").split("|"))
        assert by_seed == ", ".join(f"{score:.1f}" for score in scores)
        assert mean == f"{sum(scores) / len(scores):.1f}"
