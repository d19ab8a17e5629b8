"""Lines and values of studies: section.key=value, and how values are shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import yaml

from horizon_st.config import parse_yaml
from horizon_st.errors import UserError

_SYMBOLS = {
    "mt_weight": "α_t",
    "consistency_weight": "α_cr",
    "rdrop_weight": "α_rd",
    "mt_rdrop_weight": "α_rdt",
}


def is_number(value: Any) -> bool:
    """Whether it is one; truth values are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def short_name(key: str) -> str:
    """A recipe's key without its sections: objective.mt_weight -> mt_weight."""
    return key.rpartition(".")[2]


def symbol(key: str) -> str:
    """A recipe's key as figures name it: the paper's symbol where it has one."""
    name = short_name(key)
    return _SYMBOLS.get(name, name.replace("_", " "))


def labels(keys: Sequence[str]) -> dict[str, str]:
    """Each key as tables and figures name it: with no more of its sections than tell it apart."""
    return {key: _label(key, keys) for key in keys}


def _label(key: str, keys: Sequence[str]) -> str:
    *sections, name = key.split(".")
    kept: list[str] = []
    while sections and any(
        other != key and f".{other}".endswith("." + ".".join([*kept, name])) for other in keys
    ):
        kept.insert(0, sections.pop())
    return " ".join([*(section.replace("_", " ") for section in kept), symbol(key)])


def shown(value: Any) -> str:
    """A value as it stands in YAML, and in the name of an arm."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if is_number(value) else str(value)


def as_yaml(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf)
    return text.removesuffix("...\n").strip()


def assignment(line: str) -> tuple[str, float]:
    """The key and the number of section.key=value.

    Raises:
        UserError: it is no number.
    """
    key, _, text = line.partition("=")
    value = parse_yaml(text, f"arms {line!r}")
    if not is_number(value):
        raise UserError(
            f"arms {line!r}",
            expected="a number",
            found=text or "none",
            remedy="Arms of a search are points of its space.",
        )
    return key, float(value)


def bounds(line: str) -> tuple[str, tuple[float, float]]:
    """The key and the two numbers of section.key=[low, high].

    Raises:
        UserError: they are not two numbers.
    """
    key, values = axis(line, "space")
    if len(values) != 2 or not all(map(is_number, values)):
        raise UserError(
            f"space {line!r}",
            expected="section.key=[low, high]",
            found=line,
            remedy="Write the two bounds in square brackets.",
        )
    return key, (float(values[0]), float(values[1]))


def axis(line: str, section: str = "grid") -> tuple[str, list[Any]]:
    """The key and the values of section.key=[a, b].

    Args:
        line: as written.
        section: of the study, in messages.

    Raises:
        UserError: it is not written so.
    """
    key, equals, text = line.partition("=")
    place = f"{section} {line!r}"
    values = parse_yaml(text, place) if equals else None
    if not key or not isinstance(values, list) or not values:
        raise UserError(
            place,
            expected="section.key=[a, b]",
            found=line,
            remedy="Write the values in square brackets.",
        )
    return key, values
