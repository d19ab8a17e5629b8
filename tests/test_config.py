"""Strictness of the configuration: what is refused, where, and with which remedy."""

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml

from horizon_st.config import (
    build_config,
    describe_config,
    dump_changes,
    dump_config,
    load_config,
    parse_yaml,
)
from horizon_st.errors import UserError
from horizon_st.training.stages import Recipe


@dataclass
class Layer:
    width: int = 8
    kind: Literal["conv", "linear"] = "conv"


@dataclass
class Inner:
    rate: float = 0.1
    speeds: list[float] = field(default_factory=lambda: [1.0])
    layers: list[Layer] = field(default_factory=list)
    label: str | None = field(default=None, metadata={"help": "what it is"})


@dataclass
class Outer:
    name: str = "???"
    steps: int = 5
    is_on: bool = True
    inner: Inner = field(default_factory=Inner)
    other: Inner = field(default_factory=lambda: Inner(rate=0.7))

    def __post_init__(self):
        if self.steps < 0:
            raise UserError("steps", expected="0 or more", found=self.steps, remedy="Raise it.")


@pytest.fixture
def load(tmp_path):
    """A function: (text of a recipe, overrides) -> the dataclass."""

    def load(text, *overrides):
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(Outer, path, overrides)

    return load


def test_a_file_and_overrides_fill_the_dataclass(load):
    config = load(
        "name: x\ninner:\n  rate: 2e-3\n  layers: [{width: 3}, {kind: linear}]\n",
        "steps=7",
        "other.speeds=[0.9, 1]",
        "steps=9",
    )
    assert config == Outer(
        name="x",
        steps=9,
        inner=Inner(rate=0.002, layers=[Layer(width=3), Layer(kind="linear")]),
        other=Inner(rate=0.7, speeds=[0.9, 1.0]),
    )
    assert isinstance(config.inner.layers[0], Layer)


@pytest.mark.parametrize("number", ["2e-3", "2.0e-3", "0.002", ".002", "+2E-3"])
def test_floats_in_every_notation(load, number):
    assert load(f"name: x\ninner: {{rate: {number}}}").inner.rate == 0.002
    assert load("name: x", f"inner.rate={number}").inner.rate == 0.002
    assert load("name: x", f"inner.speeds=[{number}]").inner.speeds == [0.002]


def test_null_where_it_is_allowed(load):
    assert load("name: x\ninner: {label: a}", "inner.label=null").inner.label is None
    assert load("name: x\ninner: {label: null}").inner.label is None


def test_a_reference_to_another_key(load):
    assert load("name: x\ninner: {label: '${name}y'}").inner.label == "xy"


UNKNOWN = [
    ("nam: x", r"recipe\.yaml: nam: .*unknown key 'nam'\. Did you mean 'name'\?"),
    ("inner: {ratte: 1}", r"recipe\.yaml: inner\.ratte: .*Did you mean 'rate'\?"),
    (
        "inner: {layers: [{}, {widht: 1}]}",
        r"recipe\.yaml: inner\.layers\[1\]\.widht: expected one of the known keys \(kind, width\), "
        r"found unknown key 'widht'\. Did you mean 'width'\?",
    ),
    ("inner: {zzzz: 1}", r"inner\.zzzz: .*unknown key 'zzzz'\. Remove it or use one of these"),
    ("5: 1", r"recipe\.yaml: 5: .*unknown key 5"),
]


@pytest.mark.parametrize(("text", "message"), UNKNOWN)
def test_an_unknown_key_is_refused_with_path_and_nearest_name(load, text, message):
    with pytest.raises(UserError, match=message):
        load(text)


ILL_TYPED = [
    ("steps", "many", r": steps: expected int, found many\. Correct .* `horizon-st keys`"),
    ("steps", "1.5", r": steps: expected int, found 1\.5"),
    ("steps", "[1]", r": steps: expected int, found \[1\]"),
    ("steps", "null", r": steps: expected int, found null"),
    ("is_on", "perhaps", r": is_on: expected bool, found perhaps"),
    ("name", "no", r": name: expected text, found False\. Put it in quotes"),
    ("inner.label", "on", r": inner\.label: expected text, found True"),
    ("name", "2024-01-01", r": name: expected str, found datetime"),
    (
        "inner",
        "5",
        r": inner: expected a section with keys such as rate, speeds, layers, found 5\.",
    ),
    ("inner", "[1]", r": inner: expected a section .* found \[1\]\. Indent the section's keys"),
    ("inner", "null", r": inner: expected a value of the key's type"),
    ("inner.rate", "fast", r": inner\.rate: expected float, found fast"),
    ("inner.speeds", "1.0", r": inner\.speeds: expected a list, found 1\.0\. Write \[a, b\]"),
    ("inner.speeds", "{a: 1}", r": inner\.speeds: expected a list"),
    ("inner.speeds", "[1.0, x]", r": inner\.speeds\[1\]: expected float, found x\. Correct"),
    ("inner.layers", "[5]", r": inner\.layers\[0\]: expected a section with keys such as width"),
    (
        "inner.layers",
        "[{kind: round}]",
        r"inner\.layers\[0\]\.kind: expected conv \| linear, found round\.",
    ),
    ("inner.rate", "inf", r": inner\.rate: expected a finite number, found inf\. Correct the val"),
    ("inner.rate", "-.inf", r": inner\.rate: expected a finite number, found -inf"),
    ("inner.rate", ".nan", r": inner\.rate: expected a finite number, found nan"),
    ("inner.rate", "1e999", r": inner\.rate: expected a finite number, found inf"),
    ("inner.speeds", "[1.0, .inf]", r": inner\.speeds\[1\]: expected a finite number, found inf"),
    ("name", "'${nix.y}'", r": name: expected a reference .*'nix\.y' not found\. Correct the ref"),
]


def nested(key, value):
    for name in reversed(key.split(".")):
        value = f"{{{name}: {value}}}"
    return value


@pytest.mark.parametrize(("key", "value", "message"), ILL_TYPED)
def test_an_ill_typed_value_is_refused_in_files_and_overrides(load, key, value, message):
    with pytest.raises(UserError, match=message):
        load(nested(key, value))
    with pytest.raises(UserError, match=message):
        load("name: x", f"{key}={value}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("inner.ratte=1", r"override 'inner\.ratte=1': inner\.ratte: .*Did you mean 'rate'\?"),
        ("inner.layers=[{widht: 1}]", r"inner\.layers\[0\]\.widht: .*Did you mean 'width'\?"),
        ("inner.layers[0].width=1", r"override .* inner\.layers\[0\]: .*unknown key"),
        ("inner.speeds=[1,", r"override 'inner\.speeds=\[1,': expected YAML, found .* Mend"),
        ("steps={{ n }}", r"override 'steps=.*': expected YAML, found a list or a mapping in pl"),
        ("steps", r"override 'steps': expected section\.key=value, found steps\. Write it without"),
        ("=5", r"override '=5': expected section\.key=value"),
        ("steps = 5", r"override 'steps = 5': expected section\.key=value"),
    ],
)
def test_a_wrong_override_is_refused(load, override, message):
    with pytest.raises(UserError, match=message):
        load("name: x", override)


def test_a_missing_value_is_refused_with_its_key(load):
    with pytest.raises(
        UserError, match=r"recipe\.yaml: name: expected a value, found none\. Add `n"
    ):
        load("steps: 3")
    with pytest.raises(UserError, match=r"name: expected a value, found none"):
        load("")


def test_a_section_checks_itself(load):
    with pytest.raises(UserError, match=r"^steps: expected 0 or more, found -1\. Raise it\."):
        load("name: x", "steps=-1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [", r"recipe\.yaml: expected YAML, found .*line 1.* Mend the syntax"),
        (b"name: x\nname: y", r"expected YAML, found the key 'name' stands twice .*line 2"),
        (b"name: x\ninner: {rate: 1, rate: 2}", r"the key 'rate' stands twice"),
        (b"name: {{ x }}", r"expected YAML, found a list or a mapping in place of a key .*line 1"),
        (b"? [a, b]\n: x", r"a list or a mapping in place of a key"),
        (b"name: caf\xe9", r"recipe\.yaml: expected UTF-8, found .*0xe9.*Save the file as UTF-8"),
        (b"- a", r"recipe\.yaml: top level: expected a section with keys such as name, steps"),
        (b"[]", r"top level: expected a section"),
        (b"just text", r"top level: expected a section .* found just text"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content, message):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_config(Outer, path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"nix\.yaml: expected a recipe file, found no such file"):
        load_config(Outer, tmp_path / "nix.yaml")


def test_yaml_anchors_may_be_merged_and_overridden(load):
    config = load("name: x\ninner: &base {rate: 1, label: a}\nother: {<<: *base, rate: 3}")
    assert config.other == Inner(rate=3.0, label="a")


def test_a_dumped_config_loads_as_itself(tmp_path):
    config = Outer(
        name="¿Qué? 'quoted' # not a comment",
        steps=0,
        is_on=False,
        inner=Inner(rate=1e-7, speeds=[0.9, 1.1], layers=[Layer(5, "linear")], label="no"),
    )
    path = tmp_path / "dumped.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(Outer, path) == config
    content = yaml.safe_load(dump_config(Outer(name="x")))
    assert build_config(Outer, content, place="dump") == Outer(name="x")


def test_keys_are_described_with_type_default_and_meaning():
    assert describe_config(Outer) == [
        ("name", "str", "required", ""),
        ("steps", "int", "5", ""),
        ("is_on", "bool", "true", ""),
        ("inner.rate", "float", "0.1", ""),
        ("inner.speeds", "list[float]", "[1.0]", ""),
        ("inner.layers", f"list[{Layer.__module__}.Layer]", "[]", ""),
        ("inner.label", "str | null", "null", "what it is"),
        ("other.rate", "float", "0.7", ""),
        ("other.speeds", "list[float]", "[1.0]", ""),
        ("other.layers", f"list[{Layer.__module__}.Layer]", "[]", ""),
        ("other.label", "str | null", "null", "what it is"),
    ]


def leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_every_leaf_of_a_recipe_is_described_with_its_real_default():
    rows = describe_config(Recipe)
    actual = dict(leaves(dataclasses.asdict(Recipe())))
    assert [row[0] for row in rows] == list(actual)
    for key, _, default, meaning in rows:
        value = actual[key]
        assert default == "required" if value == "???" else yaml.safe_load(default) == value
        assert meaning, key


def test_no_number_of_a_recipe_may_be_infinite():
    given = {"name": "x", "data": {"train": "a", "dev": "b"}}
    keys = [key for key, kind, _, _ in describe_config(Recipe) if "float" in kind]
    assert {"stages.st.learning_rate", "stages.st.weight_decay", "data.max_batch_s"} < {*keys}
    for key in keys:
        value = "[.inf]" if key == "data.augment.speeds" else "inf"
        with pytest.raises(UserError, match=rf"{re.escape(key)}\S*: expected a finite number, fo"):
            build_config(Recipe, given, [f"{key}={value}"], place="test")


def test_every_leaf_of_a_recipe_can_be_overridden_with_its_default():
    given = {"name": "x", "data": {"train": "a", "dev": "b"}}
    recipe = build_config(Recipe, given, place="test")
    overrides = [
        f"{key}={default}"
        for key, _, default, _ in describe_config(Recipe)
        if default != "required"
    ]
    assert build_config(Recipe, given, overrides, place="test") == recipe


def test_numbers_with_an_exponent_are_numbers_everywhere():
    found = parse_yaml("[1e17, 1e-4, 2.5E+3, .5e2, -3e4, e5, 1e, v1e5]", "here")
    assert found == [1e17, 1e-4, 2500.0, 50.0, -30000.0, "e5", "1e", "v1e5"]


def test_changes_alone_give_the_same_dataclass(tmp_path):
    config = Outer(name="x", inner=Inner(rate=1e-5, layers=[Layer(3), Layer(kind="linear")]))
    text = dump_changes(config)
    assert "other" not in text
    assert "steps" not in text
    (tmp_path / "changes.yaml").write_text(text, encoding="utf-8")
    assert load_config(Outer, tmp_path / "changes.yaml") == config
