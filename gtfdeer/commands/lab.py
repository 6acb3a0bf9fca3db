"""`gtfdeer lab`: JupyterLab on the notebooks, for this machine only.

Whatever the user's own configuration says, the server listens on 127.0.0.1 and asks for a token that is drawn at each
start; the address that is printed carries it.
"""

from __future__ import annotations

import importlib.util
import secrets
from argparse import ArgumentParser, Namespace
from pathlib import Path

from .._checks import package
from .command import Command, Failure

__all__ = ["COMMAND"]

_COURSE = Path("notebooks")


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        help="what to open; by default the folder notebooks of this one, else this one",
    )
    parser.add_argument("--port", type=int, default=8888, help="the first to try (8888); the next free one is taken")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open no browser")
    parser.add_argument("--allow-root", action="store_true", help="start although you are root, as in containers")


def run(options: Namespace) -> None:
    if importlib.util.find_spec("jupyterlab") is None:
        raise Failure(f"JupyterLab is not installed; type: pip install {package('lab')}")
    folder = _folder(options.folder)
    if not 0 < options.port < 65536:
        raise ValueError(f"--port is {options.port}; pass a number from 1 to 65535, such as 8888")
    from jupyterlab.labapp import LabApp

    token = secrets.token_hex(24)
    server = LabApp.initialize_server(argv=_words(options, folder, token))
    print(f"JupyterLab on {folder}: {server.connection_url}lab?token={token}", flush=True)
    server.start()


def _words(options: Namespace, folder: Path, token: str) -> list[str]:
    """Jupyter's own options. They stand above its configuration files and stay in this process, unseen by `ps`."""
    provider = "PasswordIdentityProvider"
    words = [f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={options.port}"]
    words += [f"--ServerApp.identity_provider_class=jupyter_server.auth.identity.{provider}"]
    words += [f"--{provider}.token={token}"]
    return words + ["--no-browser"] * options.no_browser + ["--allow-root"] * options.allow_root


def _folder(asked: Path | None) -> Path:
    folder = asked or (_COURSE if _COURSE.is_dir() else Path())
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; pass the one that holds your notebooks")
    return folder.resolve()


COMMAND = Command(
    name="lab",
    summary="open JupyterLab on the notebooks",
    description="Open JupyterLab on the notebooks: on this machine only, behind a token. Ctrl-C twice ends it.",
    example="  gtfdeer lab\n  gtfdeer lab my_notebooks --port 8890 --no-browser",
    add_options=add_options,
    run=run,
)
