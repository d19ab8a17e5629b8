"""The error that users see: it names the place, the expectation, the value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import MISSING, fields
from typing import Any

_MAX_REASON_CHARACTERS = 300


class UserError(ValueError):
    """A mistake that the user can mend: bad input, bad configuration, a missing file.

    The command line prints its message without a traceback and exits with status 2.

    Args:
        place: where it is wrong: a file and line, a recipe key, an argument.
        expected: what should have stood there.
        found: what stands there instead; rendered with ``repr`` unless it is a string.
        remedy: what to do about it, as an imperative sentence.
    """

    def __init__(self, place: str, *, expected: str, found: Any, remedy: str) -> None:
        self.place = place
        self.expected = expected
        self.found = found if isinstance(found, str) else repr(found)
        self.remedy = remedy
        super().__init__(f"{place}: expected {expected}, found {self.found}. {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle needs to carry the error from a worker process to its parent."""
        return _rebuild, (self.place, self.expected, self.found, self.remedy)


def check_choice(place: str, value: str, choices: Collection[str]) -> None:
    """Nothing, when the value is one of the choices.

    Raises:
        UserError: it is none of them; the remedy names the nearest.
    """
    if value in choices:
        return
    nearest = difflib.get_close_matches(value, choices, n=1, cutoff=0.0)[0]
    raise UserError(
        place,
        expected="one of " + ", ".join(choices),
        found=value,
        remedy=f"Did you mean {nearest}?",
    )


def refuse_unread(place: str, section: Any, keys: Collection[str], reason: str) -> None:
    """Nothing, when these keys of a recipe's section have their defaults.

    Args:
        place: the section's own key.
        section: a dataclass.
        keys: fields of it that nothing reads.
        reason: why not, as a clause.

    Raises:
        UserError: one has another value.
    """
    for field in fields(section):
        default = field.default if field.default is not MISSING else None
        value = getattr(section, field.name)
        if field.name in keys and value != default:
            raise UserError(
                f"{place}.{field.name}",
                expected=f"nothing, since it is not read: {reason}",
                found=value,
                remedy="Remove it.",
            )


def reason_of(error: Exception) -> str:
    """An error of another library on one line of a readable length, to stand as what was found."""
    message = " ".join(str(error).split())
    if len(message) > _MAX_REASON_CHARACTERS:
        message = message[:_MAX_REASON_CHARACTERS] + " …"
    return f"{type(error).__name__}: {message}"


def _rebuild(place: str, expected: str, found: str, remedy: str) -> UserError:
    return UserError(place, expected=expected, found=found, remedy=remedy)
