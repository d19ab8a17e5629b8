"""The recipes that come with the package."""

import pytest

from horizon_st.config import dump_config, load_config
from horizon_st.errors import UserError
from horizon_st.recipes import FOLDER, find_recipe, shipped_recipe
from horizon_st.training.stages import Recipe

SHIPPED = sorted(path.stem for path in FOLDER.glob("*.yaml"))
MUSTC = [name for name in SHIPPED if name.startswith("mustc")]
PUBLISHED = {
    "CRESS": {
        "mt_external": (32_000, 7e-4, 4000, 0, 0),
        "mt_in_domain": (32_000, 1e-4, 8000, 0, 10),
        "st": (1000, 1e-4, 4000, 1e-4, 0),
    },
    "SimCR": {
        "mt_external": (32_000, 1e-3, 8000, 0, 10),
        "mt_in_domain": (32_000, 1e-3, 8000, 0, 10),
        "st": (1000, 1e-4, 4000, 1e-4, 0),
    },
}
"""Of each stage: tokens (of ST seconds) an update, learning rate, warm-up, weight decay, clipping.

From the training scripts of CRESS (Fang and Feng 2023) and SimCR (Gao et al. 2024), tokens rounded.
"""


def test_there_are_shipped_recipes():
    assert "telephone" in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_parses_and_survives_a_round_trip(name, tmp_path):
    recipe = load_config(Recipe, find_recipe(name))
    assert recipe.name == name
    again = tmp_path / "again.yaml"
    again.write_text(dump_config(recipe), encoding="utf-8")
    assert load_config(Recipe, again) == recipe


@pytest.mark.parametrize("name", MUSTC)
def test_recipes_at_the_size_of_the_paper_train_as_published(name):
    recipe = load_config(Recipe, find_recipe(name))
    code = "SimCR" if name in ("mustc_de_simregcr", "mustc_de_zeroshot") else "CRESS"
    for stage_name in recipe.stages.trained:
        stage, data = recipe.stages.of(stage_name), recipe.data
        batch = data.max_batch_s if stage_name == "st" else data.max_batch_tokens
        rates = (stage.learning_rate, stage.warmup_steps, stage.weight_decay, stage.clip_norm)
        assert (batch * stage.accumulation, *rates) == PUBLISHED[code][stage_name], stage_name


def test_a_file_goes_before_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_recipe("telephone") == shipped_recipe("telephone")
    (tmp_path / "telephone").write_text("name: mine", encoding="utf-8")
    assert find_recipe("telephone").read_text(encoding="utf-8") == "name: mine"
    (tmp_path / "my.yaml").write_text("name: mine", encoding="utf-8")
    assert find_recipe(str(tmp_path / "my.yaml")) == tmp_path / "my.yaml"


def test_a_missing_recipe_is_refused_with_the_shipped_names(tmp_path):
    with pytest.raises(
        UserError, match=r"telefone: expected a YAML file, .*recipe \(.*telephone.*\), found no suc"
    ):
        find_recipe("telefone")
    with pytest.raises(UserError, match="found a folder"):
        find_recipe(str(tmp_path))
