"""Command -> function: the table of contents of Horizon-ST."""

from __future__ import annotations

import sys
import time
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from horizon_st.cli.corpora import new, shard, validate
from horizon_st.cli.memory import keep_freed_memory
from horizon_st.cli.models import compare, demo, evaluate, keys, train
from horizon_st.cli.prepare import prepare
from horizon_st.cli.serving import serve
from horizon_st.cli.studies import report, search
from horizon_st.cli.terminal import is_main
from horizon_st.cli.translation import export, push, translate
from horizon_st.errors import UserError

_WAIT_FOR_MAIN_S = 10.0
_ORDER = (
    "demo",
    "prepare",
    "validate",
    "new",
    "shard",
    "train",
    "keys",
    "evaluate",
    "compare",
    "search",
    "report",
    "translate",
    "serve",
    "export",
    "push",
)


class _Listed(TyperGroup):
    """Lists commands in the order of work; typer would list groups such as prepare last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names as `horizon-st --help` shows them."""
        return [*_ORDER]


app = typer.Typer(
    cls=_Listed,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train speech translation from scarce data, and use what you trained.",
)
app.command()(demo)
app.add_typer(prepare, name="prepare")
app.command()(validate)
app.command()(new)
app.command()(shard)
app.command()(train)
app.command()(keys)
app.command()(evaluate)
app.command()(compare)
app.command()(search)
app.command()(report)
app.command()(translate)
app.command()(serve)
app.command()(export)
app.command()(push)


def main() -> None:
    """Runs the command line; mistakes of the user end with status 2 and one message."""
    keep_freed_memory()
    try:
        app()
    except UserError as error:
        if not is_main:
            # If the main process meets the same error, it shows it, and the launcher ends this one.
            time.sleep(_WAIT_FOR_MAIN_S)
        Console(stderr=True).print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
