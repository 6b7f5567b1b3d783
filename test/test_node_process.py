"""The node as a process of its own: how it starts, and how it ends.

Signals, exit codes and what is printed before there is a node cannot be had in the test's process.
"""

from __future__ import annotations

import signal
import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402

from any2seg_ros.network import checkpoints  # noqa: E402
from any2seg_ros.node.process import WATCHDOG_CODE  # noqa: E402
from any2seg_ros.types import Modality  # noqa: E402

ALL = set(Modality)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    model = ros_vehicle.tiny_model(tmp_path_factory.mktemp("model"))
    return ros_vehicle.arguments_of(model=model, silent_after=4 * ros_vehicle.PERIOD)


@pytest.fixture(scope="module")
def vehicle():
    with ros_vehicle.opened() as vehicle:
        yield vehicle


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_node_ends_with_zero_on_signals(vehicle, arguments, tmp_path, number):
    vehicle.alive = set(ALL)
    with ros_vehicle.NodeProcess(tmp_path / "node.log", *arguments) as node:
        assert vehicle.wait(lambda: "ready after" in node.log.read_text() or not node.lives, 90)
        assert node.end(number) == 0, node.log.read_text()


def test_a_node_that_cannot_load_its_network_says_why_and_ends_with_one(tmp_path):
    wrong = ("-p", "model:=/nowhere.safetensors")
    with ros_vehicle.NodeProcess(tmp_path / "node.log", *wrong) as node:
        assert node.process.wait(90) == 1
        assert "no weights at /nowhere.safetensors" in node.log.read_text()


def test_a_node_whose_weights_are_not_finite_says_so_and_ends_with_one(tmp_path):
    path = ros_vehicle.tiny_model(tmp_path)
    network, metadata = checkpoints.load(path)
    next(iter(network.parameters())).data.view(-1)[7] = float("nan")
    checkpoints.save(path, network, metadata)
    given = ros_vehicle.arguments_of(model=path)
    with ros_vehicle.NodeProcess(tmp_path / "node.log", *given) as node:
        assert node.process.wait(90) == 1
        assert "holds NaN or infinity" in node.log.read_text()


def test_a_node_that_sees_nothing_of_living_sensors_ends_with_the_watchdog_s_code(
    vehicle, arguments, tmp_path
):
    vehicle.alive = set(ALL)
    vehicle.spoil = dict.fromkeys(ALL, unstamped)
    try:
        given = (*arguments, "-p", "watchdog:=2.0")
        with ros_vehicle.NodeProcess(tmp_path / "node.log", *given) as node:
            assert node.process.wait(90) == WATCHDOG_CODE, node.log.read_text()
            log = node.log.read_text()
            assert "watchdog: blind for 2" in log and "no usable sensor" in log
            assert "Traceback" not in log
    finally:
        vehicle.spoil.clear()


@pytest.mark.parametrize("home", [None, "/nowhere/at/all"])
def test_a_node_without_a_home_folder_runs(vehicle, arguments, tmp_path, monkeypatch, home):
    for name in ("ROS_LOG_DIR", "ROS_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with ros_vehicle.NodeProcess(tmp_path / "node.log", *arguments) as node:
        assert vehicle.wait(lambda: "ready after" in node.log.read_text() or not node.lives, 90)
        assert node.end(signal.SIGINT) == 0, node.log.read_text()
    assert list(tmp_path.glob("any2seg-log-*"))


def unstamped(message) -> None:
    message.header.stamp.sec = message.header.stamp.nanosec = 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_that_is_still_being_loaded_ends_with_zero(arguments, tmp_path, number):
    with ros_vehicle.NodeProcess(tmp_path / "node.log", *arguments) as node:
        time.sleep(0.5)  # its imports take seconds
        assert node.end(number) == 0, node.log.read_text()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("deadline:=1", "a parameter cannot be"),
        ("anchors:=[]", "name at least one sensor"),
        ("rgb.enable:=false", "unknown parameters, ignored: rgb.enable"),
        # what YAML turns into booleans is taken as a word
        ("replay:=yes", "no weights at"),
        ("rgb.reliable:=true", "no weights at"),
        ("rgb.rectified:=off", "no weights at"),
        ("replay:=3", "replay is 3, but must be one of auto, yes, no"),
        ("replay:=maybe", "replay is 'maybe', but must be one of auto, yes, no"),
    ],
)
def test_parameters_that_are_mistyped_are_said(tmp_path, given, words):
    mistyped = ("-p", given, "-p", "model:=/nowhere.safetensors")
    with ros_vehicle.NodeProcess(tmp_path / "node.log", *mistyped) as node:
        assert node.process.wait(90) == 1
        assert words in node.log.read_text() and "Traceback" not in node.log.read_text()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--params-file", "/nowhere.yaml"), "params file: '--params-file /nowhere.yaml'"),
        (("-p", "device"), "parameter override rule: '-p device'"),
        (("-r", "rgb/image"), "remap rule: '-r rgb/image'"),
        (("--bogus",), "unknown arguments: ['--bogus']"),
    ],
)
def test_arguments_that_ros_cannot_read_end_in_one_line(tmp_path, given, words):
    with ros_vehicle.NodeProcess(tmp_path / "node.log", *given) as node:
        assert node.process.wait(90) == 1
        said = [line for line in node.log.read_text().splitlines() if "segmenter" in line]
        assert len(said) == 1 and words in said[0] and "see segmenter --help" in said[0]
        assert "Traceback" not in node.log.read_text()


@pytest.mark.parametrize("there", [True, False])
def test_a_node_that_cannot_be_secured_does_not_run(tmp_path, monkeypatch, there):
    """Its enclave has no keys, or is not there at all; PyPI's middleware could not use them."""
    enclave = tmp_path / "keystore" / "enclaves" / "any2seg"
    if there:
        enclave.mkdir(parents=True)
        for name in (
            "cert.pem", "key.pem", "identity_ca.cert.pem", "permissions_ca.cert.pem",
            "governance.p7s", "permissions.p7s",
        ):  # fmt: skip
            (enclave / name).touch()
    for name, value in {
        "ENABLE": "true", "STRATEGY": "Enforce", "KEYSTORE": str(tmp_path / "keystore")
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ROS_SECURITY_{name}", value)
    with ros_vehicle.NodeProcess(tmp_path / "node.log", "--enclave", "/any2seg") as node:
        assert node.process.wait(90) == 1
        log = node.log.read_text()
    assert "segmenter: " in log and "Traceback" not in log
