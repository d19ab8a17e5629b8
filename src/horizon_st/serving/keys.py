"""Who may use the service: bearer keys, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from pathlib import Path

from horizon_st.errors import UserError

VARIABLE = "HORIZON_ST_API_KEYS"
"""Of the environment: keys with spaces between them."""


class Keys:
    """The keys that open the service; none leave it open to all.

    Args:
        keys: what clients send after ``Bearer``.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [_digest(key) for key in keys]

    def allow(self, authorization: str | None) -> bool:
        """Whether a request with such an ``Authorization`` header may pass."""
        if not self._digests:
            return True
        scheme, _, key = (authorization or "").partition(" ")
        given = _digest(key.strip())
        # Each is compared to its end, whichever fits.
        fits = [hmac.compare_digest(given, digest) for digest in self._digests]
        return scheme.lower() == "bearer" and any(fits)


def read_keys(path: Path | None) -> Keys:
    """Those of a file, a key on each line, and of the environment variable.

    Raises:
        UserError: the file cannot be read, or has no key.
    """
    keys = os.environ.get(VARIABLE, "").split()
    if path is not None:
        try:
            found = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise _error(path, f"{type(error).__name__}") from error
        if not found:
            raise _error(path, "an empty file")
        keys += found
    return Keys(keys)


def _error(path: Path, found: str) -> UserError:
    return UserError(
        str(path),
        expected="a text file with a key on each line",
        found=found,
        remedy="Make one with `openssl rand -hex 32 > FILE`.",
    )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
