"""The demonstration end to end at a few updates: what it writes, says, and does when repeated."""

import io
import json
import re
from functools import partial

import pytest
from rich.console import Console

from horizon_st.data.corpora.telephone import build_corpus
from horizon_st.demo import run_demo
from horizon_st.errors import UserError

FEW_UPDATES = [
    *(f"stages.{stage}.{key}=2" for stage in ("mt_external", "st") for key in ("max_steps",)),
    *(f"stages.{stage}.warmup_steps=1" for stage in ("mt_external", "st")),
    *(f"stages.{stage}.validate_every_steps=2" for stage in ("mt_external", "st")),
    "data.max_batch_s=30",
    "decoding.beam_size=1",
    "decoding.max_tokens=4",
    "trackers=[]",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    page = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        few = {"num_train": 24, "num_dev": 6, "num_test": 40, "num_text_pairs": 400}
        patch.setattr("horizon_st.demo.build_corpus", partial(build_corpus, **few))
        comparison = run_demo("fr", folder, Console(file=page, width=80), overrides=FEW_UPDATES)
        yield folder, page.getvalue(), comparison


def test_both_runs_differ_in_the_objective_alone(finished):
    folder, _, _ = finished
    recipes = [
        json.loads((folder / name / "record.json").read_text())["recipe"]
        for name in ("baseline", "regularised")
    ]
    plain, regularised = (recipe.pop("objective") for recipe in recipes)
    assert [recipe.pop("name") for recipe in recipes] == ["baseline", "regularised"]
    assert recipes[0] == recipes[1]
    changed = {
        key: (plain[key], regularised[key]) for key in plain if plain[key] != regularised[key]
    }
    assert changed == {
        "mt_weight": (1, 0.5),
        "consistency_weight": (0, 1),
        "rdrop_weight": (0, 3),
    }


def test_both_runs_start_from_the_same_weights_and_take_the_same_updates(finished):
    folder, _, _ = finished
    records = [
        json.loads((folder / name / "record.json").read_text())
        for name in ("baseline", "regularised")
    ]
    assert {record["recipe"]["initial_model"] for record in records} == {
        str(folder / "pretraining" / "model")
    }
    assert [[stage["steps"] for stage in record["stages"]] for record in records] == [[2], [2]]


def test_scores_signatures_and_translations_are_shown(finished):
    folder, page, comparison = finished
    saved = json.loads((folder / "comparison.json").read_text())
    assert saved == comparison.to_json()
    assert saved["num_sentences"] == 40
    delta = comparison.metrics["BLEU"].delta
    for text in (f"{delta:+.2f}", "BLEU|nrefs:1|", "translation", "horizon-st translate"):
        assert text in page
    assert "α_rd·RD + α_ctc·CTC" in page
    row = re.search(r"regularised +│ +0\.5 +│ +1 +│ +3 +│ +(\S+) +│ +(\d+) +│ +2 +│ +(\S+) ", page)
    record = json.loads((folder / "regularised" / "record.json").read_text())
    assert row is not None, page
    assert row.groups() == (
        f"{record['recipe']['objective']['ctc_weight']:g}",
        str(record["seed"]),
        f"{record['stages'][-1]['final']['bleu']:.1f}",
    )


def test_a_finished_demo_is_only_shown_again(finished):
    folder, _, comparison = finished
    weights = folder / "regularised" / "model" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    again = run_demo("fr", folder, Console(file=io.StringIO()), overrides=FEW_UPDATES)
    assert again == comparison
    assert weights.stat().st_mtime_ns == written


def test_an_unknown_language_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"expected .*es.*fr.*it.*de.*found .*pt"):
        run_demo("pt", tmp_path, Console(file=io.StringIO()))


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"out: expected a folder that can be written, found FileE.*Choose another"
    ):
        run_demo("fr", tmp_path / "out", Console(file=io.StringIO()))
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"
