"""What a study's file says, and what is refused."""

from dataclasses import asdict, replace

import pytest

from horizon_st.config import describe_config
from horizon_st.errors import UserError
from horizon_st.horizon.study import STUDIES, StudyConfig, load_study
from horizon_st.horizon.trials import arm_recipe, pretraining_of

SHIPPED = sorted(path.stem for path in STUDIES.glob("*.yaml"))
WHOLE = """
name: mine
claim: A is B.
recipe: telephone
arms:
  - {name: none, set: [objective.rdrop_weight=0]}
baseline: none
grid: ["objective.tap=[softmax, logits]", "objective.consistency_weight=[0.5, 1]"]
"""


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_arms_are_those_listed_and_all_of_the_grid(tmp_path):
    study = load_study(written(tmp_path, WHOLE))
    assert [(arm.name, arm.set) for arm in study.all_arms] == [
        ("none", ["objective.rdrop_weight=0"]),
        *(
            (
                f"tap {tap}, consistency_weight {weight}",
                [f"objective.tap={tap}", f"objective.consistency_weight={weight}"],
            )
            for tap in ("softmax", "logits")
            for weight in ("0.5", "1")
        ),
    ]
    assert study.varied_keys == [
        "objective.rdrop_weight",
        "objective.tap",
        "objective.consistency_weight",
    ]


def test_overrides_change_the_study(tmp_path):
    study = load_study(written(tmp_path, WHOLE), ["seeds=[4]", "recipe=mboshi_fr"])
    assert (study.seeds, study.recipe) == ([4], "mboshi_fr")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_arm_of_a_shipped_study_is_a_recipe(name):
    study = load_study(name)
    assert len(study.seeds) >= 3
    for arm in study.all_arms:
        recipe = arm_recipe(study, arm, seed=5)
        assert recipe.seed == 5
        assert recipe.trackers == []


@pytest.mark.parametrize("name", SHIPPED)
def test_all_arms_of_a_shipped_study_begin_st_with_one_model(name):
    """Or a seed would not fix it, and what is compared would not be ST alone."""
    study = load_study(name)
    copied = "model.share_encoder=true"  # an encoder of its own is a copy, made as ST begins
    arms = [replace(arm, set=[*arm.set, *study.before_st, copied]) for arm in study.all_arms]
    first, *others = (asdict(pretraining_of(arm_recipe(study, arm, seed=5))) for arm in arms)
    assert all(other == first for other in others)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seeds: []", "seeds: expected at least one"),
        ("seeds: [1, 1]", "each once"),
        ("baseline: nothing", "baseline: expected one of none, tap softmax"),
        ("grid: ['objective.tap=softmax']", r"grid .*expected section.key=\[a, b\]"),
        ("grid: ['softmax, logits']", r"expected section.key=\[a, b\]"),
        ("grid: ['objective.rdrop_weight=[1, 1]']", "each name once"),
        ("analysis: {kind: order}", "analysis.key: expected a value, found none with kind order"),
        ("analysis: {kind: peak, key: objective.tap}", "analysis.at: expected a value"),
        ("analysis: {at: 1}", "analysis.at: expected nothing"),
        (
            "analysis: {kind: peak, key: objective.mt_weight, at: 1}",
            "analysis.key: expected one of objective.rdrop_weight, objective.tap",
        ),
        ("analysis: {beside: [nobody]}", "analysis.beside: expected one of none, tap"),
        (
            "analysis: {kind: order, key: objective.tap, order: [softmax, logits], beside: [none]}",
            "analysis.beside: expected nothing, .* with kind order",
        ),
        ("analysis: {kind: saturation, parts: [a, b]}", "expected three arms"),
        ("analysis: {kind: saturation, parts: [none, a, b]}", "expected three arms"),
        ("analysis: {kind: saturation, parts: [a, a, b]}", "expected three arms"),
        ("analysis: {kind: saturation, parts: [a, b, c]}", "expected one of none, tap"),
        ("analysis: {kind: order, key: objective.tap, order: [softmax]}", "at least two values"),
        (
            "baseline: tap softmax, consistency_weight 1\n"
            "analysis: {kind: order, key: objective.tap, order: [softmax, logits]}",
            "baseline: expected a listed arm with kind order, .* which is one of the grid",
        ),
        ("analysis: {tolerance: -1}", "analysis.tolerance: expected a number of points"),
        ("name: a/b", "name: expected letters, digits"),
        ("name: runs", "name: expected letters, digits"),
        ("analysis: {kind: guess}", "analysis.kind: expected comparison | order"),
        ("arm: []", "unknown key 'arm'"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    key = change.partition(":")[0]
    kept = [line for line in WHOLE.splitlines() if not line.startswith(f"{key}:")]
    with pytest.raises(UserError, match=message):
        load_study(written(tmp_path, "\n".join([*kept, change])))


def test_a_study_needs_arms(tmp_path):
    with pytest.raises(UserError, match="arms: expected at least one arm"):
        load_study(written(tmp_path, "{name: a, claim: b, recipe: c}"))


def test_an_unknown_study_is_answered_with_those_there_are():
    with pytest.raises(UserError, match=f"shipped study .{SHIPPED[0]}"):
        load_study("nothing")


def test_every_key_is_explained():
    assert all(meaning for *_, meaning in describe_config(StudyConfig))
