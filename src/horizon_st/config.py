"""Strict YAML -> nested dataclasses, with dotted overrides; a section is declared beside its owner.

An unknown key is refused with its full path and the nearest known name, an ill-typed value or a
number that is not finite with what was expected.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from horizon_st.errors import UserError

Config = TypeVar("Config")


def load_config(schema: type[Config], path: Path, overrides: Sequence[str] = ()) -> Config:
    """The dataclass that a YAML file and dotted overrides describe.

    Args:
        schema: the dataclass of the whole file; nested dataclasses are sections.
        path: the YAML file.
        overrides: ``section.key=value``; later ones win; a value is read as YAML.

    Raises:
        UserError: the file is missing or is not YAML, a key is unknown or stands twice, or a
            value is missing, ill-typed or not finite.
    """
    content = read_yaml(path)
    return build_config(schema, {} if content is None else content, overrides, place=str(path))


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; None of an empty one.

    Raises:
        UserError: the file is missing, or is not YAML in UTF-8, or a key stands twice in it.
    """
    if not path.is_file():
        raise UserError(
            str(path), expected="a recipe file", found="no such file", remedy="Check the path."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            str(path), expected="UTF-8", found=str(error), remedy="Save the file as UTF-8."
        ) from error
    return parse_yaml(text, str(path))


def build_config(
    schema: type[Config], content: dict[str, Any], overrides: Sequence[str] = (), *, place: str
) -> Config:
    """The dataclass that a plain dictionary and dotted overrides describe; see `load_config`."""
    _check_tree(schema, content, place)
    for override in overrides:
        content = _overlaid(content, _parse_override(schema, override))
    merged = _merge(_structured(typing.cast("Any", schema)), content, place)
    try:
        result = OmegaConf.to_object(merged)
    except MissingMandatoryValue as error:
        raise UserError(
            f"{place}: {error.full_key}",
            expected="a value",
            found="none",
            remedy=f"Add `{error.full_key}: ...` to the recipe.",
        ) from error
    except OmegaConfBaseException as error:
        raise UserError(
            f"{place}: {error.full_key}",
            expected="a reference ${section.key} to a key of the recipe",
            found=str(error).splitlines()[0],
            remedy="Correct the reference.",
        ) from error
    assert isinstance(result, schema)
    return result


def dump_config(config: Any) -> str:
    """The YAML text of a dataclass, every default written out."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def describe_config(schema: Any, prefix: str = "") -> list[tuple[str, str, str, str]]:
    """The rows (key, type, default, meaning) of every key below a dataclass or an instance.

    Defaults are written as in YAML; "required" stands for a key that has none.
    """
    hints = typing.get_type_hints(schema if isinstance(schema, type) else type(schema))
    rows = []
    for field in dataclasses.fields(schema):
        key = f"{prefix}{field.name}"
        default = _default_of(schema, field)
        section = _section_of(hints[field.name])
        if section is not None:
            rows += describe_config(section if default is None else default, f"{key}.")
            continue
        shown = "required" if default == MISSING else _as_yaml(default)
        rows.append((key, _type_name(hints[field.name]), shown, field.metadata.get("help", "")))
    return rows


def describe_changes(default: Any, config: Any) -> dict[str, Any]:
    """The dotted keys whose values in a dataclass are not those of the default one, and these."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        before, value = getattr(default, field.name), getattr(config, field.name)
        if dataclasses.is_dataclass(before) and dataclasses.is_dataclass(value):
            inner = describe_changes(before, value)
            found |= {f"{field.name}.{key}": changed for key, changed in inner.items()}
        elif value != before:
            found[field.name] = _as_plain(value)
    return found


def _as_plain(value: Any) -> Any:
    """The value with dictionaries in place of dataclasses."""
    if isinstance(value, list):
        return [_as_plain(each) for each in value]
    is_section = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return dataclasses.asdict(value) if is_section else value


def dump_changes(config: Any) -> str:
    """The YAML text of a dataclass, only with what differs from its defaults."""
    tree: dict[str, Any] = {}
    for key, value in describe_changes(type(config)(), config).items():
        *sections, name = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, but keys are single values, and one that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    problem="a list or a mapping in place of a key", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, place: str) -> Any:
    """What a YAML text holds.

    Raises:
        UserError: it is not YAML, or a key stands twice; names the place.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise UserError(
            place,
            expected="YAML",
            found=" ".join(str(error).split()),
            remedy="Mend the syntax there.",
        ) from error


_UniqueKeyLoader.add_implicit_resolver(  # YAML 1.1 takes 1e-4 for text
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    [*"-+.0123456789"],
)


def _parse_override(schema: type, override: str) -> dict[str, Any]:
    place = f"override {override!r}"
    key, equals, value = override.partition("=")
    if not equals or not key or key != key.strip():
        raise UserError(
            place,
            expected="section.key=value",
            found=override,
            remedy="Write it without spaces around the equals sign.",
        )
    tree: Any = parse_yaml(value, place)
    for name in reversed(key.split(".")):
        tree = {name: tree}
    _check_tree(schema, tree, place)
    return typing.cast("dict[str, Any]", tree)


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """A tree with what another says in place of its own."""
    merged = dict(below)
    for key, value in above.items():
        own = below.get(key)
        both = isinstance(own, dict) and isinstance(value, dict)
        merged[key] = _overlaid(typing.cast("dict[str, Any]", own), value) if both else value
    return merged


@functools.cache
def _structured(schema: type) -> Any:
    """The defaults as OmegaConf has them, never to be changed: building them takes long."""
    return OmegaConf.structured(schema)


@functools.cache
def _leaf_schema(hint: Any) -> Any:
    """A section with one key of a type, likewise."""
    return OmegaConf.structured(dataclasses.make_dataclass("Leaf", [("value", hint)]))


_type_hints = functools.cache(typing.get_type_hints)


def _merge(base: Any, content: dict[str, Any], place: str) -> Any:
    try:
        return OmegaConf.merge(base, OmegaConf.create(content))
    except OmegaConfBaseException as error:
        raise UserError(
            f"{place}: {error.full_key}",
            expected="a value of the key's type",
            found=str(error).splitlines()[0],
            remedy="Correct the value; `horizon-st keys` lists every key with its type.",
        ) from error


def _check_tree(hint: Any, content: Any, place: str, path: str = "") -> None:
    """Walks a plain tree beside the types; OmegaConf's own messages lack the path of list items."""
    where = f"{place}: {path or 'top level'}"
    section, item = _section_of(hint), _item_of(hint)
    if section is None and item is None:
        _check_leaf(hint, content, where)
    elif content is None:
        return
    elif section is not None:
        _check_section(section, content, place, path)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            _check_tree(item, value, place, f"{path}[{index}]")
    else:
        raise UserError(
            where, expected="a list", found=content, remedy="Write [a, b] or one item a line."
        )


def _check_section(section: Any, content: Any, place: str, path: str) -> None:
    hints = _type_hints(section)
    known = [field.name for field in dataclasses.fields(section)]
    if not isinstance(content, dict):
        raise UserError(
            f"{place}: {path or 'top level'}",
            expected=f"a section with keys such as {', '.join(known[:3])}",
            found=content,
            remedy="Indent the section's keys below its name.",
        )
    for key, value in content.items():
        full_key = f"{path}.{key}" if path else str(key)
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            remedy = f"Did you mean {near[0]!r}?" if near else "Remove it or use one of these."
            raise UserError(
                f"{place}: {full_key}",
                expected=f"one of the known keys ({', '.join(sorted(known))})",
                found=f"unknown key {key!r}",
                remedy=remedy,
            )
        _check_tree(hints[key], value, place, full_key)


def _check_leaf(hint: Any, value: Any, where: str) -> None:
    if isinstance(value, bool) and str in (hint, *typing.get_args(hint)):
        raise UserError(
            where,
            expected="text",
            found=value,
            remedy="Put it in quotes: YAML reads yes, no, on and off as truth values.",
        )
    try:
        read = OmegaConf.to_container(OmegaConf.merge(_leaf_schema(hint), {"value": value}))
    except OmegaConfBaseException as error:
        raise UserError(
            where,
            expected=_type_name(hint),
            found="null" if value is None else value,
            remedy="Correct the value; `horizon-st keys` lists every key with its type.",
        ) from error
    number = typing.cast("dict[str, Any]", read)["value"]
    if isinstance(number, float) and not math.isfinite(number):
        raise UserError(
            where,
            expected="a finite number",
            found=number,
            remedy="Correct the value; `horizon-st keys` lists every key with its default.",
        )


def _section_of(hint: Any) -> Any:
    """The dataclass of ``X`` or ``X | None``; None for any other type."""
    if dataclasses.is_dataclass(hint):
        return hint
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(filter(dataclasses.is_dataclass, typing.get_args(hint)), None)
    return None


def _item_of(hint: Any) -> Any:
    """``X`` of ``list[X]`` or ``list[X] | None``; None for any other type."""
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(filter(None, map(_item_of, typing.get_args(hint))), None)
    return None


def _default_of(schema: Any, field: dataclasses.Field[Any]) -> Any:
    if not isinstance(schema, type):
        return getattr(schema, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING if field.default is dataclasses.MISSING else field.default


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def _type_name(hint: Any) -> str:
    if hint is type(None):
        return "null"
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " | ".join(map(_type_name, typing.get_args(hint)))
    return str(hint) if typing.get_args(hint) else hint.__name__
