"""The recipes that come with the package."""

import pytest

from horizon_st.config import dump_config, load_config
from horizon_st.errors import UserError
from horizon_st.recipes import FOLDER, find_recipe, shipped_recipe
from horizon_st.training.stages import Recipe

SHIPPED = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def test_there_are_shipped_recipes():
    assert "telephone" in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_parses_and_survives_a_round_trip(name, tmp_path):
    recipe = load_config(Recipe, find_recipe(name))
    assert recipe.name == name
    again = tmp_path / "again.yaml"
    again.write_text(dump_config(recipe), encoding="utf-8")
    assert load_config(Recipe, again) == recipe


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
