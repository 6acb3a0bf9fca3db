"""The door: help that is quick, errors in one sentence, exit codes."""

import lzma
import subprocess
import sys
from pathlib import Path

import pytest
from jax.errors import JaxRuntimeError

from gtfdeer import commands
from gtfdeer.__main__ import main

ROOT = Path(__file__).parents[2]


def test_help_names_every_command():
    help = subprocess.run(
        [sys.executable, "-m", "gtfdeer", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(command.name in help.stdout for command in commands.COMMANDS)


def test_the_command_line_itself_loads_nothing_heavy():
    """Behind a stand-in for the package's front door: only what the command line asks for is loaded."""
    program = (
        "import sys, time, types\n"
        f"front = types.ModuleType('gtfdeer'); front.__path__ = [{str(ROOT / 'gtfdeer')!r}]\n"
        "sys.modules['gtfdeer'] = front\n"
        "from gtfdeer.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'jax', 'numpy', 'flax', 'optax', 'matplotlib'} & set(sys.modules)\n"
        "print('seconds', time.process_time())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # CPU time, start of the interpreter included, so that a busy machine does not matter; measured 0.06 s
    assert float(done.stdout.split()[-1]) < 0.3


@pytest.mark.parametrize("command", [command.name for command in commands.COMMANDS])
def test_every_command_helps_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert f"example:\n  gtfdeer {command}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["dance"], ["fit", "a.csv"], ["score", "only_one"], ["info", "--loud"]])
def test_what_is_not_understood_leaves_with_2(words, capsys):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "usage: gtfdeer" in capsys.readouterr().err


def test_the_version_is_the_package_s(capsys):
    from gtfdeer import __version__

    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"gtfdeer {__version__}\n"


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_the_traceback_in_either_place(place, tmp_path):
    words = ["score", str(tmp_path / "none.npz"), "x.csv"]
    with pytest.raises(FileNotFoundError):
        main(["--debug", *words] if place == "before" else [*words, "--debug"])


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ValueError("seven"), "unexpected ValueError (seven); please report it"),  # not raised in a file of ours
        (KeyError("dt"), "unexpected KeyError ('dt'); please report it"),
        (lzma.LZMAError("corrupt"), "unexpected LZMAError (corrupt); please report it"),
        (RecursionError(), "unexpected RecursionError (RecursionError); please report it"),
        (
            JaxRuntimeError("INTERNAL: a bug"),
            f"unexpected {JaxRuntimeError.__name__} (INTERNAL: a bug); please report it",
        ),
        (
            JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating 99 bytes"),
            "allocating 99 bytes); pass a smaller --batch",
        ),
    ],
)
def test_a_fault_of_ours_is_told_in_one_line(fault, said, monkeypatch, capsys):
    import json

    def broken(*_, **__):
        raise fault

    monkeypatch.setattr(json, "dumps", broken)
    assert main(["info", "--json"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("gtfdeer: error: ")
    assert said in err
    with pytest.raises(type(fault)):
        main(["info", "--json", "--debug"])


def test_an_interrupted_command_says_that_nothing_was_written(monkeypatch, capsys):
    from gtfdeer.commands import info

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "environment", interrupt)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "gtfdeer: interrupted: nothing was written\n"
