"""The error that users see: it names the place, the expectation, the value and the remedy."""

from __future__ import annotations

from typing import Any


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


def _rebuild(place: str, expected: str, found: str, remedy: str) -> UserError:
    return UserError(place, expected=expected, found=found, remedy=remedy)
