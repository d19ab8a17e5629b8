"""The terminal that all commands write to."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from rich.console import Console
from rich.markup import escape

is_main = os.environ.get("RANK", "0") == "0"
"""Launchers number their processes so; the first one speaks for all."""

console = Console(quiet=not is_main)


@contextmanager
def warnings_on_stderr(category: type[Warning]) -> Iterator[None]:
    """A context in which each warning of the category is one line on the standard error."""
    with warnings.catch_warnings():
        show_others = warnings.showwarning

        def show(message: Any, kind: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(kind, category):
                stderr = Console(stderr=True, quiet=not is_main)
                stderr.print(f"[bold yellow]Warning:[/] {escape(str(message))}", soft_wrap=True)
            else:
                show_others(message, kind, *where, **more)

        warnings.showwarning = cast("Any", show)
        warnings.simplefilter("always", category)
        yield
