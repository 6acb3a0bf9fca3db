"""`gtfdeer lab`: a real server, reached as a browser would, and refusals."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from gtfdeer.__main__ import main

OPEN_TO_ALL = {
    "ServerApp": {"ip": "0.0.0.0", "token": ""},
    "IdentityProvider": {"token": ""},
    "PasswordIdentityProvider": {"token": ""},
}


@pytest.fixture
def server(tmp_path):
    """The command in a folder that holds one file, of a user whose own Jupyter lets everybody in."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "lorenz.txt").write_text("x")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "jupyter_server_config.json").write_text(json.dumps(OPEN_TO_ALL))
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    command = [sys.executable, "-m", "gtfdeer", "lab", "--no-browser", "--allow-root", "--port", "8913"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**quiet, "JUPYTER_CONFIG_DIR": str(tmp_path / "own")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.terminate()
    process.communicate(timeout=30)


def address(server):
    """What is printed for the browser: host and port, and the token."""
    return re.search(r"(http://127\.0\.0\.1:\d+)/lab\?token=(\w{48})\n", server.stdout.readline()).groups()


def read(url):
    """What is there, once the server listens: it prints its address a moment before."""
    for _ in range(50):
        try:
            return urllib.request.urlopen(url).read()
        except urllib.error.URLError as error:  # an HTTPError is one, with the server's words as its reason
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.2)
    raise AssertionError(f"nobody listens at {url}")


def test_it_serves_the_notebooks_on_this_machine_to_whoever_has_the_token(server):
    home, token = address(server)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        read(f"{home}/api/contents/lorenz.txt")
    assert b"lorenz.txt" in read(f"{home}/api/contents/lorenz.txt?token={token}")
    with pytest.raises(OSError, match=r"refused|timed out"):  # any other address of this machine
        socket.create_connection(("127.0.0.2", int(home.rsplit(":", 1)[1])), timeout=5)


def test_without_jupyterlab_it_says_what_to_type(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jupyterlab", None)  # what Python has for a package that is not there
    assert main(["lab"]) == 1
    assert capsys.readouterr().err == (
        "gtfdeer: error: JupyterLab is not installed; type: "
        "pip install 'gtfdeer[lab] @ git+https://github.com/gtfdeer/gtfdeer'\n"
    )


def test_a_folder_that_is_none_is_refused(tmp_path, capsys):
    assert main(["lab", str(tmp_path / "none")]) == 1
    assert "is not a folder; pass the one that holds your notebooks" in capsys.readouterr().err


def test_a_port_that_is_none_is_refused(tmp_path, capsys):
    assert main(["lab", str(tmp_path), "--port", "70000"]) == 1
    assert "--port is 70000; pass a number from 1 to 65535" in capsys.readouterr().err
