"""Strict YAML -> nested dataclasses, with dotted overrides; a section is declared beside its owner.

An unknown key is refused with its full path and the nearest known name, an ill-typed value with
what was expected.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from horizon_st.errors import UserError

Config = TypeVar("Config")


def load_config(schema: type[Config], path: Path, overrides: Sequence[str] = ()) -> Config:
    """The dataclass that a YAML file and dotted overrides describe.

    Args:
        schema: the dataclass of the whole file; nested dataclasses are sections.
        path: the YAML file.
        overrides: ``section.key=value``; later ones win; a value is read as YAML.

    Raises:
        UserError: the file is missing or is not YAML, a key is unknown, or a value is ill-typed.
    """
    if not path.is_file():
        raise UserError(
            str(path),
            expected="a recipe file",
            found="nothing",
            remedy="Check the path; the shipped recipes are in recipes/.",
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            str(path),
            expected="YAML",
            found=" ".join(str(error).split()),
            remedy="Mend the syntax there.",
        ) from error
    return build_config(schema, content, overrides, place=str(path))


def build_config(
    schema: type[Config], content: dict[str, Any], overrides: Sequence[str] = (), *, place: str
) -> Config:
    """The dataclass that a plain dictionary and dotted overrides describe; see `load_config`."""
    _refuse_unknown_keys(schema, content, place)
    merged = _merge(OmegaConf.structured(schema), content, place)
    for override in overrides:
        merged = _merge(merged, _parse_override(schema, override), f"override {override!r}")
    try:
        result = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(
            f"{place}: {error.full_key}",
            expected="a value",
            found="none",
            remedy=f"Add `{error.full_key}: ...` to the recipe.",
        ) from error
    assert isinstance(result, schema)
    return result


def dump_config(config: Any) -> str:
    """The YAML text of a dataclass, every default written out."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _parse_override(schema: type, override: str) -> dict[str, Any]:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UserError(
            f"override {override!r}",
            expected="section.key=value",
            found=override,
            remedy="Write it without spaces around the equals sign.",
        )
    tree: Any = yaml.safe_load(value)
    for name in reversed(key.split(".")):
        tree = {name: tree}
    _refuse_unknown_keys(schema, tree, f"override {override!r}")
    return typing.cast("dict[str, Any]", tree)


def _merge(base: Any, content: dict[str, Any], place: str) -> Any:
    try:
        return OmegaConf.merge(base, OmegaConf.create(content))
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{place}: {error.full_key}",
            expected="a value of the key's type",
            found=reason,
            remedy="Correct the value; `horizon-st keys` lists every key with its type.",
        ) from error


def _refuse_unknown_keys(schema: Any, content: Any, place: str, path: str = "") -> None:
    """Walks a plain tree beside the schema; OmegaConf's own message lacks the path of list items."""
    section = _dataclass_of(schema)
    if section is None:
        return
    if isinstance(content, list):
        for index, item in enumerate(content):
            _refuse_unknown_keys(section, item, place, f"{path}[{index}]")
        return
    if not isinstance(content, dict):
        if content is None:
            return
        raise UserError(
            f"{place}: {path or 'top level'}",
            expected=f"a section with keys such as {_first_names(section)}",
            found=content,
            remedy="Indent the section's keys below its name.",
        )
    hints = typing.get_type_hints(section)
    known = {field.name for field in dataclasses.fields(section)}
    for key, value in content.items():
        full_key = f"{path}.{key}" if path else str(key)
        if key not in known:
            near = difflib.get_close_matches(str(key), sorted(known), n=1, cutoff=0.5)
            names = ", ".join(sorted(known))
            remedy = f"Did you mean {near[0]!r}?" if near else "Remove it or use one of these."
            raise UserError(
                f"{place}: {full_key}",
                expected=f"one of the known keys ({names})",
                found=f"unknown key {key!r}",
                remedy=remedy,
            )
        _refuse_unknown_keys(hints[key], value, place, full_key)


def _dataclass_of(hint: Any) -> Any:
    """The dataclass inside ``X``, ``X | None`` or ``list[X]``; None for any other type."""
    if dataclasses.is_dataclass(hint):
        return hint
    if typing.get_origin(hint) in (typing.Union, types.UnionType, list):
        for inner in typing.get_args(hint):
            found = _dataclass_of(inner)
            if found is not None:
                return found
    return None


def _first_names(section: Any) -> str:
    return ", ".join(field.name for field in dataclasses.fields(section)[:3])


def describe_config(schema: Any, prefix: str = "") -> list[tuple[str, str, str, str]]:
    """The rows (key, type, default, meaning) of every key below a dataclass."""
    hints = typing.get_type_hints(schema)
    rows = []
    for item in dataclasses.fields(schema):
        key = f"{prefix}{item.name}"
        if dataclasses.is_dataclass(hints[item.name]):
            rows += describe_config(hints[item.name], f"{key}.")
            continue
        default = item.default
        if item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        shown = "required" if default == "???" else str(default)
        rows.append((key, _type_name(hints[item.name]), shown, item.metadata.get("help", "")))
    return rows


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(map(str, typing.get_args(hint)))
    return str(hint) if typing.get_args(hint) else hint.__name__
