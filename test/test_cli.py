"""The command line: every verb has help, and errors are one line that a user can act on."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from any2seg_ros import __version__, cli
from any2seg_ros.cli import VERBS, main
from any2seg_ros.commands import options


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does_in_the_words_of_its_function(verb, capsys):
    assert main([verb, "--help"]) == 0
    module = import_module(f"any2seg_ros.commands.{verb}")
    first_line = getattr(module, verb).__doc__.splitlines()[0]
    assert first_line in " ".join(capsys.readouterr().out.split())


def test_help_is_quick_for_it_loads_no_torch():
    code = "import sys; from any2seg_ros.cli import main; main(['--help'])\n"
    code += "assert not {'torch', 'cv2', 'rclpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"any2seg {__version__}\n"


def test_what_was_typed_wrong_is_a_usage_error(capsys):
    assert main(["replay", "--bag", "x"]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["fly"]) == 2
    assert "fly" in capsys.readouterr().err


def failing(monkeypatch, error: BaseException) -> list[str]:
    def app(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)
    return []


@pytest.mark.parametrize("error", [ValueError("no such bag"), FileNotFoundError("no such bag")])
def test_an_error_is_one_line_and_a_traceback_only_where_it_is_asked_for(
    error, monkeypatch, capsys
):
    assert main(failing(monkeypatch, error)) == 2
    assert capsys.readouterr().err == "any2seg: no such bag\n"
    monkeypatch.setenv("ANY2SEG_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main([])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "embreex.rtcore",
            "embreex (extra simulation) is not installed: "
            "pip install -r requirements-simulation.txt",
        ),
        ("sensor_msgs", "sensor_msgs is not there: source a ROS 2, or run `make setup`"),
        ("coffee", "coffee is not installed: pip install coffee"),
    ],
)
def test_a_package_that_is_missing_is_one_line_that_says_where_it_is(
    name, line, monkeypatch, capsys
):
    assert main(failing(monkeypatch, ModuleNotFoundError(name=name))) == 2
    assert capsys.readouterr().err == f"any2seg: {line}\n"


def test_a_missing_module_of_ours_is_a_traceback(monkeypatch):
    with pytest.raises(ModuleNotFoundError):
        main(failing(monkeypatch, ModuleNotFoundError(name="any2seg_ros.coffee")))


def test_every_package_of_an_extra_is_in_its_list():
    for extra, packages in options._EXTRAS.items():
        listed = (Path(__file__).parents[1] / f"requirements-{extra}.txt").read_text()
        assert all(f"\n{package}>" in listed for package in packages)


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    assert main(failing(monkeypatch, KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "any2seg: interrupted\n"


def test_a_reader_that_leaves_is_no_error():
    command = [sys.executable, "-m", "any2seg_ros.cli", "evaluate", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 1, 141)
