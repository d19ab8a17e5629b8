"""The extras of the package: what a plain installation leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from horizon_st.errors import UserError


def install_extra(extra: str) -> str:
    """What to do where an extra is missing, as a sentence."""
    return f"Run `pip install '.[{extra}]'` in a checkout of horizon-st."


def check_extra(place: str, extra: str, packages: Sequence[str]) -> None:
    """Nothing, when some packages of an extra are there.

    Args:
        place: what needs them.
        extra: its name.
        packages: as they are imported.

    Raises:
        UserError: one is missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UserError(
            place,
            expected=f"the packages of the extra `{extra}`",
            found=f"no package {' and no package '.join(missing)}",
            remedy=install_extra(extra),
        )
