"""An application on a socket, until the process is told to end."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from horizon_st.errors import UserError


def run_server(app: FastAPI, listener: socket.socket, *, grace_s: float) -> None:
    """Serves until SIGTERM or SIGINT, and then finishes what it has accepted.

    Args:
        app: the application.
        listener: from `listen`.
        grace_s: after which requests that are not finished are given up.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)  # uvicorn raises them again when it has shut down
    # One way through, whichever other loops and parsers are installed.
    config = uvicorn.Config(
        app, http="h11", loop="asyncio", timeout_graceful_shutdown=max(1, round(grace_s))
    )
    uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections.

    Args:
        host: name or address of this machine; 0.0.0.0 for all of its addresses.
        port: 0 for any that is free.

    Raises:
        UserError: the address is not this machine's, or the port is taken or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"--host {host} --port {port}",
            expected="an address of this machine and a free port",
            found=error.strerror or str(error),
            remedy="Choose another port with --port.",
        ) from error


def address_of(listener: socket.socket) -> str:
    """Where clients find it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def model_name_of(model: str) -> str:
    """What a model is called in the API: its hub id, or its folder's name.

    Training calls every model's folder ``model``; then it is the name of the run.
    """
    folder = Path(model)
    if not folder.is_dir():
        return model
    folder = folder.resolve()
    return folder.parent.name if folder.name == "model" else folder.name


def _ignore(*signal_and_frame: object) -> None:
    pass
